//! The words of a filter's text.

use std::ops::Range;

use super::error::{FilterError, FilterFault};
use super::filter::Comparison;

/// One of them, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Open,
    Close,
    Comparison(Comparison),
    /// Without quotes.
    Word(String),
    /// What stood in quotes.
    Quoted(String),
    End,
}

const COMPARISONS: [(&str, Comparison); 6] = [
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("=", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// Cuts a text into its words; the last is the end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(next) = text[start..].chars().next() {
        let rest = &text[start..];
        let (kind, length) = match next {
            _ if next.is_whitespace() => {
                start += next.len_utf8();
                continue;
            }
            '(' => (Kind::Open, 1),
            ')' => (Kind::Close, 1),
            '"' => quoted(text, start)?,
            _ => sign(rest).unwrap_or_else(|| {
                let end = rest.char_indices().skip(1).find(|(_, char)| !is_of_word(*char));
                let length = end.map_or(rest.len(), |(length, _)| length);
                (Kind::Word(rest[..length].to_owned()), length)
            }),
        };
        tokens.push(Token { kind, at: start..start + length });
        start += length;
    }
    tokens.push(Token { kind: Kind::End, at: text.len()..text.len() });
    Ok(tokens)
}

fn sign(rest: &str) -> Option<(Kind, usize)> {
    let (sign, comparison) = COMPARISONS.iter().find(|(sign, _)| rest.starts_with(sign))?;
    Some((Kind::Comparison(*comparison), sign.len()))
}

/// Whether it may stand in a word without quotes, after its beginning.
pub(super) fn is_of_word(char: char) -> bool {
    !char.is_whitespace() && !matches!(char, '(' | ')' | '"' | '=' | '!' | '<' | '>')
}

/// A text in quotes, written as in JSON.
fn quoted(text: &str, start: usize) -> Result<(Kind, usize), FilterError> {
    let mut escaped = false;
    for (place, char) in text[start..].char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let end = start + place + 1;
                let whole = &text[start..end];
                let read = serde_json::from_str(whole).map_err(|_| {
                    let expected = r#"a text in quotes, written as in JSON, with `\"`, `\\` and `\n`"#;
                    FilterError::new(text, start..end, unexpected(expected, &format!("`{}`", short(whole))))
                })?;
                return Ok((Kind::Quoted(read), end - start));
            }
            _ => {}
        }
    }
    let missing = unexpected("a closing `\"`", "the end");
    Err(FilterError::new(text, start..text.len(), missing))
}

pub(super) fn unexpected(expected: &'static str, found: &str) -> FilterFault {
    FilterFault::Unexpected { expected, found: found.to_owned(), near: None }
}

/// As much of a word as is told; a terminal is told nothing but text.
pub(super) fn short(word: &str) -> String {
    const MOST: usize = 40;
    let printed = |char: char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char };
    let dots = if word.chars().nth(MOST).is_some() { "…" } else { "" };
    word.chars().take(MOST).map(printed).chain(dots.chars()).collect()
}

impl Kind {
    /// For people.
    pub(super) fn found(&self) -> String {
        match self {
            Self::Open => "`(`".to_owned(),
            Self::Close => "`)`".to_owned(),
            Self::Comparison(comparison) => format!("`{comparison}`"),
            Self::Word(word) => format!("`{}`", short(word)),
            Self::Quoted(text) => format!("the text `{}`", short(text)),
            Self::End => "the end".to_owned(),
        }
    }
}
