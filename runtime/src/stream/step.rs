//! What steps do with streams.

use std::any::type_name;
use std::sync::Arc;

use super::{Incoming, Outgoing, StreamError};
use crate::limits;
use crate::process::Cx;
use crate::spec::Spec;

impl<P: Spec> Cx<P> {
    /// After this step, waits until an item is there, or the stream has ended; the process costs no slot meanwhile. The next step
    /// takes it with [`received`](Self::received). Of several streams that are asked for, one must have something.
    ///
    /// Nothing is received unless it is asked for; an item that is there already is not waited for.
    pub fn receive<T>(&mut self, port: Incoming<P, T>) {
        self.receive_up_to(port, 1);
    }

    /// As [`receive`](Self::receive): up to so many items, if more than one is there by then, and at most
    /// [`limits::STREAM_RECEIVED`]. They cost one boundary together.
    pub fn receive_up_to<T>(&mut self, port: Incoming<P, T>, most: usize) {
        self.core.effects.wanted.push((port.name, most.clamp(1, limits::STREAM_RECEIVED)));
    }

    /// The next item that was [asked for](Self::receive), in the order of its sender; none where there is no other. It counts as
    /// received when the step is committed, and a step that runs again gets it again.
    ///
    /// # Errors
    /// It is no `T`: what wired the port wrote the wire by hand. It was taken out, and the next call gives the next one.
    pub fn received<T>(&mut self, port: Incoming<P, T>) -> Result<Option<T>, StreamError> {
        let streams = self.core.streams.as_mut().ok_or(StreamError::NoSuchPort { port: port.name })?;
        let Some(item) = streams.incoming_mut(port.name)?.pop() else { return Ok(None) };
        let item = (port.read)(&item).map_err(|source| StreamError::Malformed {
            port: port.name,
            item: type_name::<T>(),
            source: Arc::new(source),
        })?;
        Ok(Some(item))
    }

    /// Whether all senders have closed, and all was taken. It is known once it was [waited for](Self::receive).
    pub fn has_ended<T>(&self, port: Incoming<P, T>) -> bool {
        let streams = self.core.streams.as_ref();
        streams.and_then(|streams| streams.incoming(port.name).ok()).is_some_and(super::state::In::has_ended)
    }

    /// Sends an item, when the step is committed. A step that fails has sent nothing.
    ///
    /// # Errors
    /// The stream is [closed](Self::close), the item cannot be written as JSON, or the step sends more than
    /// [`limits::STREAM_SENT`] items or [`limits::STREAM_BYTES`] bytes.
    #[allow(clippy::needless_pass_by_value)] // It is another's from now on.
    pub fn send<T>(&mut self, port: Outgoing<P, T>, item: T) -> Result<(), StreamError> {
        let name = port.name;
        let streams = self.core.streams.as_ref().ok_or(StreamError::NoSuchPort { port: name })?;
        if streams.outgoing(name)?.is_closed() || self.core.effects.closed.contains(&name) {
            return Err(StreamError::Closed { port: name });
        }
        let sent = &self.core.effects.sent;
        if sent.len() >= limits::STREAM_SENT {
            return Err(StreamError::TooMany { what: "items", most: limits::STREAM_SENT });
        }
        let item =
            (port.write)(&item).map_err(|source| StreamError::Unwritable { port: name, source: Arc::new(source) })?;
        if self.core.effects.sent_bytes + item.get().len() > limits::STREAM_BYTES {
            return Err(StreamError::TooMany { what: "bytes", most: limits::STREAM_BYTES });
        }
        let effects = &mut *self.core.effects;
        effects.sent_bytes += item.get().len();
        effects.sent.push((name, item));
        Ok(())
    }

    /// Ends a stream, when the step is committed: receivers get what was sent, and then the end. The end of the process does the
    /// same for all that are open.
    pub fn close<T>(&mut self, port: Outgoing<P, T>) {
        self.core.effects.closed.push(port.name);
    }
}
