//! What a process has of its streams: part of its position, and stored with it.

use std::collections::{BTreeMap, VecDeque};

use procession_transport::channel::Seen;
use procession_transport::{Content, Envelope, Kind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::leaving::{END, SavedOut};
use super::{Line, Out, Stream, StreamError};

/// The streams of a process, as of its last boundary and what the step that runs has taken.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    pub(crate) ins: Vec<In>,
    pub(crate) outs: Vec<Out>,
}

/// A port that items come by.
#[derive(Debug, Clone)]
pub(crate) struct In {
    pub(crate) name: &'static str,
    pub(crate) line: Line,
    /// What was received of each sender, so that what comes again is known.
    seen: Seen,
    /// Received, and not yet taken by a step.
    items: VecDeque<Box<RawValue>>,
    /// So many senders have ended.
    ended: u32,
    /// The transport says that nothing comes any more.
    over: bool,
    /// Waited for: up to so many items.
    pub(crate) wants: usize,
}

/// What became of what came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It is an item, or an end, that was not there before.
    New,
    /// It came before.
    Known,
}

/// A port, and how many items are waited for at most.
pub(crate) type Wanted = (&'static str, usize);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedIn {
    #[serde(default)]
    seen: Seen,
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    items: VecDeque<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    ended: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    over: bool,
    #[serde(default, skip_serializing_if = "is_none")]
    wants: usize,
}

// As serde calls them.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_none(number: &usize) -> bool {
    *number == 0
}

/// The streams of a process as they are stored, by the names of their ports; those that were not used are not there.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    #[serde(default, rename = "in", skip_serializing_if = "BTreeMap::is_empty")]
    ins: BTreeMap<String, SavedIn>,
    #[serde(default, rename = "out", skip_serializing_if = "BTreeMap::is_empty")]
    outs: BTreeMap<String, SavedOut>,
}

impl In {
    fn new(name: &'static str, line: Line) -> Self {
        Self { name, line, seen: Seen::default(), items: VecDeque::new(), ended: 0, over: false, wants: 0 }
    }

    fn saved(&self) -> Option<SavedIn> {
        let Self { seen, items, ended, over, wants, .. } = self;
        let is_new = *seen == Seen::default() && !over && *wants == 0;
        let saved = || SavedIn { seen: seen.clone(), items: items.clone(), ended: *ended, over: *over, wants: *wants };
        (!is_new).then(saved)
    }

    fn take(&mut self, saved: SavedIn) {
        let SavedIn { seen, items, ended, over, wants } = saved;
        *self = Self { name: self.name, line: self.line.clone(), seen, items, ended, over, wants };
    }

    /// Takes what came into the state.
    pub(crate) fn absorb(&mut self, envelope: &Envelope) -> Result<Came, StreamError> {
        if envelope.kind != Kind::Data || self.is_over() {
            return Ok(Came::Known);
        }
        let is_end = &*envelope.subject == END;
        let item: Option<Box<RawValue>> = match envelope.content {
            Content::Json if is_end => None,
            Content::Json => serde_json::from_slice(&envelope.body).ok(),
            _ => None,
        };
        if item.is_none() && !is_end {
            return Err(StreamError::NoJson { port: self.name });
        }
        // Numbered by a process, it comes again only if it was not stored; without a number nothing is known of it.
        if envelope.number != 0 && !self.seen.note(&envelope.sender, envelope.number) {
            return Ok(Came::Known);
        }
        self.items.extend(item);
        self.ended += u32::from(is_end);
        Ok(Came::New)
    }

    /// The transport says that nothing comes any more.
    pub(crate) fn end(&mut self) {
        self.over = true;
    }

    /// Whether nothing comes any more.
    pub(crate) fn is_over(&self) -> bool {
        self.over || self.ended >= self.line.senders()
    }

    /// Whether nothing comes any more, and all was taken.
    pub(crate) fn has_ended(&self) -> bool {
        self.items.is_empty() && self.is_over()
    }

    /// How many items more are to come in, for what is waited for.
    pub(crate) fn room(&self) -> usize {
        if self.is_over() { 0 } else { self.wants.saturating_sub(self.items.len()) }
    }

    /// Whether it has what is waited for.
    pub(crate) fn has_some(&self) -> bool {
        self.wants > 0 && (!self.items.is_empty() || self.is_over())
    }

    pub(crate) fn pop(&mut self) -> Option<Box<RawValue>> {
        self.items.pop_front()
    }
}

impl Streams {
    /// Those of a process at its start; none where it has none.
    pub(crate) fn new(streams: Vec<Stream>) -> Option<Box<Self>> {
        if streams.is_empty() {
            return None;
        }
        let (mut ins, mut outs) = (Vec::new(), Vec::new());
        for Stream { name, is_out, line } in streams {
            if is_out { outs.push(Out::new(name, line)) } else { ins.push(In::new(name, line)) }
        }
        Some(Box::new(Self { ins, outs }))
    }

    pub(crate) fn incoming(&self, name: &'static str) -> Result<&In, StreamError> {
        self.ins.iter().find(|known| known.name == name).ok_or(StreamError::NoSuchPort { port: name })
    }

    pub(crate) fn incoming_mut(&mut self, name: &'static str) -> Result<&mut In, StreamError> {
        self.ins.iter_mut().find(|known| known.name == name).ok_or(StreamError::NoSuchPort { port: name })
    }

    pub(crate) fn outgoing(&self, name: &'static str) -> Result<&Out, StreamError> {
        self.outs.iter().find(|known| known.name == name).ok_or(StreamError::NoSuchPort { port: name })
    }

    fn outgoing_mut(&mut self, name: &'static str) -> Result<&mut Out, StreamError> {
        self.outs.iter_mut().find(|known| known.name == name).ok_or(StreamError::NoSuchPort { port: name })
    }

    /// What a step that is kept has sent, closed and asked for.
    pub(crate) fn apply(
        &mut self,
        sent: Vec<(&'static str, Box<RawValue>)>,
        closed: &[&'static str],
        wanted: &[Wanted],
    ) -> Result<(), StreamError> {
        for (name, item) in sent {
            self.outgoing_mut(name)?.put(item);
        }
        for name in closed {
            self.outgoing_mut(name)?.close();
        }
        self.ins.iter_mut().for_each(|port| port.wants = 0);
        for (name, most) in wanted {
            let port = self.incoming_mut(name)?;
            port.wants = port.wants.max(*most);
        }
        Ok(())
    }

    pub(crate) fn close_all(&mut self) {
        self.outs.iter_mut().for_each(Out::close);
    }

    /// The transport has of each port all up to a number.
    pub(crate) fn forget(&mut self, up_to: impl Fn(&'static str) -> u64) {
        for out in &mut self.outs {
            out.forget(up_to(out.name));
        }
    }

    /// Whether some port is waited at.
    pub(crate) fn wants(&self) -> bool {
        self.ins.iter().any(|port| port.wants > 0)
    }

    /// Whether one of the ports that are waited at has something.
    pub(crate) fn has_some(&self) -> bool {
        self.ins.iter().any(In::has_some)
    }

    /// The names of the ports that are waited at.
    pub(crate) fn wanted(&self) -> Vec<String> {
        self.ins.iter().filter(|port| port.wants > 0).map(|port| port.name.to_owned()).collect()
    }

    /// As it is stored; nothing where no port was used yet.
    pub(crate) fn saved(&self) -> Option<Saved> {
        let ins = self.ins.iter().filter_map(|port| Some((port.name.to_owned(), port.saved()?)));
        let outs = self.outs.iter().filter_map(|port| Some((port.name.to_owned(), port.saved()?)));
        let saved = Saved { ins: ins.collect(), outs: outs.collect() };
        (!saved.ins.is_empty() || !saved.outs.is_empty()).then_some(saved)
    }

    /// Goes on with what was stored.
    pub(crate) fn restore(streams: Option<&mut Box<Self>>, saved: Saved) -> Result<(), String> {
        let unknown = |name: &str| format!("streams: the process has no stream `{name}`");
        let Some(streams) = streams else {
            let first = saved.ins.keys().chain(saved.outs.keys()).next();
            return first.map_or(Ok(()), |name| Err(unknown(name)));
        };
        for (name, saved) in saved.ins {
            let port = streams.ins.iter_mut().find(|known| known.name == name);
            port.ok_or_else(|| unknown(&name))?.take(saved);
        }
        for (name, saved) in saved.outs {
            let port = streams.outs.iter_mut().find(|known| known.name == name);
            port.ok_or_else(|| unknown(&name))?.take(saved);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use std::num::NonZeroU32;

    use super::*;
    use crate::stream::Wire;

    fn streams() -> Box<Streams> {
        let wire = Wire::<u8>::new("x").with_senders(NonZeroU32::new(2).unwrap());
        Streams::new(vec![Stream::incoming("texts", &wire), Stream::outgoing("lines", &Wire::<u8>::new("y"))]).unwrap()
    }

    fn item(sender: &str, number: u64, body: &'static str) -> Envelope {
        let body = Bytes::from_static(body.as_bytes());
        Envelope { number, ..Envelope::new(Kind::Data, sender.into(), Content::Json, body) }
    }

    fn end(sender: &str, number: u64) -> Envelope {
        Envelope { subject: END.into(), ..item(sender, number, "null") }
    }

    #[test]
    fn what_is_not_used_is_not_stored() {
        assert!(streams().saved().is_none());
    }

    #[test]
    fn what_comes_again_is_known_also_after_it_was_stored() {
        let mut streams = streams();
        let port = &mut streams.ins[0];
        assert_eq!(port.absorb(&item("a", 1, "7")).unwrap(), Came::New);
        assert_eq!(port.absorb(&item("a", 1, "7")).unwrap(), Came::Known);
        let text = serde_json::to_string(&streams.saved().unwrap()).unwrap();
        let mut again = super::tests::streams();
        Streams::restore(Some(&mut again), serde_json::from_str(&text).unwrap()).unwrap();
        let port = &mut again.ins[0];
        assert_eq!(port.absorb(&item("a", 1, "7")).unwrap(), Came::Known);
        assert_eq!(port.absorb(&item("b", 1, "8")).unwrap(), Came::New);
        assert_eq!([port.pop(), port.pop()].map(|item| item.unwrap().get().to_owned()), ["7", "8"]);
        assert!(port.pop().is_none());
    }

    #[test]
    fn it_ends_when_all_senders_have_each_once() {
        let mut streams = streams();
        let port = &mut streams.ins[0];
        for (came, is_over) in
            [(end("a", 2), false), (end("a", 2), false), (item("b", 1, "1"), false), (end("b", 2), true)]
        {
            port.absorb(&came).unwrap();
            assert_eq!(port.is_over(), is_over, "{came:?}");
        }
        assert!(!port.has_ended(), "an item is still there");
        port.pop();
        assert!(port.has_ended());
        assert_eq!(port.absorb(&item("c", 1, "1")).unwrap(), Came::Known, "nothing comes after the end");
    }

    #[test]
    fn what_is_not_json_is_an_error() {
        let mut streams = streams();
        let error = streams.ins[0].absorb(&item("a", 1, "{")).unwrap_err();
        assert!(matches!(error, StreamError::NoJson { port: "texts" }), "{error}");
        let bytes = Envelope { content: Content::Bytes, ..item("a", 1, "1") };
        assert!(streams.ins[0].absorb(&bytes).is_err());
        assert!(streams.saved().is_none(), "nothing of it is noted");
    }

    #[test]
    fn a_port_that_is_no_more_is_told() {
        let saved = serde_json::from_str(r#"{"out":{"gone":{"first":3}}}"#).unwrap();
        let error = Streams::restore(Some(&mut streams()), saved).unwrap_err();
        assert!(error.contains("no stream `gone`"), "{error}");
        let saved = serde_json::from_str(r#"{"in":{"gone":{}}}"#).unwrap();
        assert!(Streams::restore(None, saved).is_err());
    }
}
