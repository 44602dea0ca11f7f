//! Which broadcasts a subscriber hears.

use std::fmt;
use std::sync::Arc;

use crate::message::{Broadcast, Node, Tagged};

/// Which broadcasts a subscriber hears: those whose subject passes one of the subject filters and whose sender passes one of the sender
/// filters. Without filters of a kind, every subject or sender passes; so does a broadcast that has none (S126).
///
/// A pattern is a text in which `*` stands for any text, an empty one too. It must match the whole: `state_changed.*.killed`
/// passes `state_changed.running.killed` and nothing longer. That differs from kiwipy, which looks at the beginning only.
///
/// ```
/// # use procession_runtime::communicator::BroadcastFilter;
/// let ends = BroadcastFilter::all().subject("state_changed.*.finished").subject("state_changed.*.killed");
/// # let _ = ends;
/// ```
#[derive(Clone, Default)]
pub struct BroadcastFilter {
    subjects: Vec<Test<str>>,
    senders: Vec<Test<Node>>,
}

enum Test<T: ?Sized> {
    Pattern(String),
    Equal(Node),
    If(Arc<dyn Fn(&T) -> bool + Send + Sync>),
}

impl BroadcastFilter {
    /// Lets everything pass.
    pub fn all() -> Self {
        Self::default()
    }

    /// Lets this pattern of subjects pass.
    pub fn subject(mut self, pattern: impl Into<String>) -> Self {
        self.subjects.push(Test::Pattern(pattern.into()));
        self
    }

    /// Lets subjects pass of which this is true.
    pub fn subject_if(mut self, passes: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.subjects.push(Test::If(Arc::new(passes)));
        self
    }

    /// Lets this sender pass: a [`ProcessId`](crate::ProcessId), or another value.
    pub fn sender(mut self, sender: impl Into<Node>) -> Self {
        self.senders.push(Test::Equal(sender.into()));
        self
    }

    /// Lets senders pass whose text matches this pattern; of a UUID it is the usual one.
    pub fn sender_like(mut self, pattern: impl Into<String>) -> Self {
        self.senders.push(Test::Pattern(pattern.into()));
        self
    }

    /// Lets senders pass of which this is true.
    pub fn sender_if(mut self, passes: impl Fn(&Node) -> bool + Send + Sync + 'static) -> Self {
        self.senders.push(Test::If(Arc::new(passes)));
        self
    }

    /// Whether a broadcast passes.
    pub fn passes(&self, broadcast: &Broadcast) -> bool {
        let subject = broadcast.subject.as_deref().is_none_or(|subject| self.passes_subject(subject));
        subject && (broadcast.sender.is_null() || self.passes_sender(&broadcast.sender))
    }

    fn passes_subject(&self, subject: &str) -> bool {
        let passes = |test: &Test<str>| match test {
            Test::Pattern(pattern) => matches(pattern, subject),
            Test::Equal(node) => node.as_text() == Some(subject),
            Test::If(passes) => passes(subject),
        };
        self.subjects.is_empty() || self.subjects.iter().any(passes)
    }

    fn passes_sender(&self, sender: &Node) -> bool {
        let passes = |test: &Test<Node>| match test {
            Test::Pattern(pattern) => text_of(sender).is_some_and(|text| matches(pattern, &text)),
            // A UUID that lacks its tag is the same process.
            Test::Equal(node) => node == sender || (text_of(node).is_some() && text_of(node) == text_of(sender)),
            Test::If(passes) => passes(sender),
        };
        self.senders.is_empty() || self.senders.iter().any(passes)
    }
}

/// The text of an id.
fn text_of(node: &Node) -> Option<String> {
    match node {
        Node::Text(text) => Some(text.clone()),
        Node::Integer(integer) => Some(integer.to_string()),
        Node::Tagged(tagged) => {
            let Tagged { node, .. } = &**tagged;
            node.as_text().map(str::to_owned)
        }
        _ => None,
    }
}

/// Whether a text is what a pattern says, in time that is bounded by the product of their lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where the last `*` stood, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((before, taken)) = star else { return false };
                star = Some((before, taken + 1));
                at = before + 1;
                seen = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

impl<T: ?Sized> Clone for Test<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Pattern(pattern) => Self::Pattern(pattern.clone()),
            Self::Equal(node) => Self::Equal(node.clone()),
            Self::If(passes) => Self::If(Arc::clone(passes)),
        }
    }
}

impl<T: ?Sized> fmt::Debug for Test<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => write!(f, "{pattern:?}"),
            Self::Equal(node) => write!(f, "= {node}"),
            Self::If(_) => f.write_str("if …"),
        }
    }
}

impl fmt::Debug for BroadcastFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastFilter").field("subjects", &self.subjects).field("senders", &self.senders).finish()
    }
}
