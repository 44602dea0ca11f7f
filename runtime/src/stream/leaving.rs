//! What a process sends, until the transport has it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use procession_transport::{Content, Envelope, Kind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Line;

/// With what the end of a sender is told from its items. No transport knows of it: it is numbered, kept and acknowledged as items are,
/// so that it is as sure to come, and several senders of a topic end one by one.
pub(super) const END: &str = "end";

/// A port that items leave by.
#[derive(Debug, Clone)]
pub(crate) struct Out {
    pub(crate) name: &'static str,
    pub(crate) line: Line,
    /// The number of the first item that is kept, or of the next one.
    first: u64,
    items: VecDeque<Box<RawValue>>,
    /// Nothing is added any more. The end is kept behind the items.
    closed: bool,
    /// The transport has the end, too.
    told: bool,
}

/// The same as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedOut {
    first: u64,
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    items: VecDeque<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    closed: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    told: bool,
}

impl Out {
    pub(super) fn new(name: &'static str, line: Line) -> Self {
        Self { name, line, first: 1, items: VecDeque::new(), closed: false, told: false }
    }

    pub(super) fn saved(&self) -> Option<SavedOut> {
        let Self { first, items, closed, told, .. } = self;
        let is_new = *first == 1 && items.is_empty() && !closed;
        (!is_new).then(|| SavedOut { first: *first, items: items.clone(), closed: *closed, told: *told })
    }

    pub(super) fn take(&mut self, saved: SavedOut) {
        let SavedOut { first, items, closed, told } = saved;
        (self.first, self.items, self.closed, self.told) = (first, items, closed, told);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn put(&mut self, item: Box<RawValue>) {
        self.items.push_back(item);
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// The number before the first that is kept.
    pub(crate) fn before(&self) -> u64 {
        self.first - 1
    }

    /// How many are kept, the end among them.
    fn kept(&self) -> usize {
        self.items.len() + usize::from(self.closed && !self.told)
    }

    /// How many are kept, when the transport has all up to this number.
    pub(crate) fn ahead(&self, up_to: u64) -> usize {
        let gone = usize::try_from(up_to.saturating_sub(self.before())).unwrap_or(usize::MAX);
        self.kept().saturating_sub(gone)
    }

    /// The transport has all up to this number: they need not be kept.
    pub(super) fn forget(&mut self, up_to: u64) {
        while self.first <= up_to && self.items.pop_front().is_some() {
            self.first += 1;
        }
        // What is left is the end.
        self.told |= self.closed && self.items.is_empty() && self.first <= up_to;
    }

    /// What is kept beyond a number, each as it is sent.
    pub(crate) fn beyond(&self, number: u64, sender: &Arc<str>) -> Vec<Envelope> {
        let envelope =
            |number, body| Envelope { number, ..Envelope::new(Kind::Data, Arc::clone(sender), Content::Json, body) };
        let numbered = (self.first..).zip(&self.items).skip_while(|(known, _)| *known <= number);
        let items = numbered.map(|(number, item)| envelope(number, Bytes::copy_from_slice(item.get().as_bytes())));
        let mut envelopes: Vec<Envelope> = items.collect();
        let last = self.first + u64::try_from(self.items.len()).unwrap_or(u64::MAX);
        if self.closed && !self.told && last > number {
            envelopes.push(Envelope { subject: END.into(), ..envelope(last, Bytes::from_static(b"null")) });
        }
        envelopes
    }

    /// The number of the end, where there is one.
    pub(crate) fn end(&self) -> Option<u64> {
        self.closed.then(|| self.first + u64::try_from(self.items.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Wire;
    use crate::stream::port::Stream;

    fn out() -> Out {
        Out::new("lines", Stream::outgoing("lines", &Wire::<u8>::new("x")).line)
    }

    fn item(value: u8) -> Box<RawValue> {
        serde_json::value::to_raw_value(&value).unwrap()
    }

    fn numbers(out: &Out, beyond: u64) -> Vec<(u64, bool)> {
        let sender = Arc::from("p.lines");
        out.beyond(beyond, &sender).iter().map(|sent| (sent.number, &*sent.subject == END)).collect()
    }

    #[test]
    fn items_keep_their_numbers_until_they_are_forgotten() {
        let mut out = out();
        assert!(out.saved().is_none(), "nothing is stored of what was not used");
        (0..3).for_each(|value| out.put(item(value)));
        assert_eq!(numbers(&out, 0), [(1, false), (2, false), (3, false)]);
        assert_eq!(numbers(&out, 2), [(3, false)]);
        out.forget(2);
        out.put(item(3));
        assert_eq!(numbers(&out, 0), [(3, false), (4, false)]);
        assert_eq!((out.ahead(2), out.ahead(3), out.ahead(4)), (2, 1, 0));
    }

    #[test]
    fn the_end_is_numbered_and_kept_as_items_are() {
        let mut out = out();
        out.put(item(0));
        out.close();
        assert_eq!(numbers(&out, 0), [(1, false), (2, true)]);
        out.forget(1);
        assert_eq!((numbers(&out, 0), out.ahead(1)), (vec![(2, true)], 1));
        let text = serde_json::to_string(&out.saved().unwrap()).unwrap();
        assert_eq!(text, r#"{"first":2,"closed":true}"#);
        let mut again = super::tests::out();
        again.take(serde_json::from_str(&text).unwrap());
        assert_eq!(numbers(&again, 0), [(2, true)]);
        again.forget(2);
        assert_eq!((numbers(&again, 0), again.ahead(2), again.ahead(0)), (vec![], 0, 0));
        assert_eq!(serde_json::to_string(&again.saved().unwrap()).unwrap(), r#"{"first":2,"closed":true,"told":true}"#);
    }
}
