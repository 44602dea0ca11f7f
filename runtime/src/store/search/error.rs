//! What is wrong with the text of a filter, and where.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

use crate::limits;
use crate::text::cut;

/// A text that is no filter.
///
/// `Display` says in one line what is wrong; [`caret`](Self::caret) shows where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{fault}")]
pub struct FilterError {
    text: String,
    at: Range<usize>,
    fault: FilterFault,
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FilterFault {
    /// Something else should stand there.
    #[error("expected {expected}, found {found}{}", near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unexpected {
        /// What should.
        expected: &'static str,
        /// What does, for people.
        found: String,
        /// The nearest word that could.
        near: Option<&'static str>,
    },
    /// It is too long.
    #[error("longer than {} bytes", limits::FILTER_BYTES)]
    TooLong,
    /// It is nested too deep.
    #[error("nested deeper than {} levels", limits::FILTER_DEPTH)]
    TooDeep,
    /// It has too many conditions.
    #[error("more than {} conditions", limits::FILTER_CONDITIONS)]
    TooMany,
}

impl FilterError {
    pub(super) fn new(text: &str, at: Range<usize>, fault: FilterFault) -> Self {
        // A text that is too long is not kept as a whole.
        let text = cut(text, limits::FILTER_BYTES);
        let at = at.start.min(text.len())..at.end.min(text.len());
        Self { text: text.to_owned(), at, fault }
    }

    /// Which bytes of the text are wrong; empty at its end, where something is missing.
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// What is wrong.
    pub fn fault(&self) -> &FilterFault {
        &self.fault
    }

    /// The text, and below it a line that points to what is wrong:
    ///
    /// ```
    /// use procession_runtime::clock::Timestamp;
    /// use procession_runtime::store::Filter;
    ///
    /// let error = Filter::parse("state = wating and paused", Timestamp::default()).unwrap_err();
    /// assert_eq!(error.caret().to_string(), "state = wating and paused\n        ^^^^^^");
    /// assert!(error.to_string().ends_with("found `wating`; did you mean `waiting`?"));
    /// ```
    pub fn caret(&self) -> Caret<'_> {
        Caret(self)
    }
}

/// Points to what is wrong with a filter: [`FilterError::caret`].
#[derive(Debug, Clone, Copy)]
pub struct Caret<'e>(&'e FilterError);

impl fmt::Display for Caret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(FilterError { text, at, .. }) = self;
        // One line, whatever is in it, and a terminal is told nothing else.
        let shown: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        let before = text[..at.start].chars().count();
        let wrong = text[at.clone()].chars().count().max(1);
        write!(f, "{shown}\n{:before$}{:^>wrong$}", "", "")
    }
}
