//! Ports of streams, and the wires between them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use procession_transport::channel::ConnectorSpec;
use procession_transport::{Mode, Topic, TransportResult};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::StreamError;
use crate::spec::JsonSchema;

/// What is asked of the items of a stream.
///
/// The traits that this stands for are no supertraits, since the compiler would report each of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the item of a stream",
    label = "must be `Serialize`, `DeserializeOwned` and `'static`",
    note = "for a type of your own add `#[derive(serde::Serialize, serde::Deserialize)]`"
)]
pub trait StreamItem: Sized + 'static {
    /// The item as JSON.
    ///
    /// # Errors
    /// It cannot be written.
    fn to_text(&self) -> serde_json::Result<Box<RawValue>>;
    /// The item that was written so.
    ///
    /// # Errors
    /// It is of another type.
    fn of_text(text: &RawValue) -> serde_json::Result<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + 'static> StreamItem for T {
    fn to_text(&self) -> serde_json::Result<Box<RawValue>> {
        serde_json::value::to_raw_value(self)
    }

    fn of_text(text: &RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(text.get())
    }
}

/// What joins a `stream out` of one process to a `stream in` of another: the value of both as inputs.
///
/// It is a name, under which the two meet, and carries items of type `T`: to hand it to a port of another type is a compile error.
/// As data it is the name, `"lines"`, or `{"topic":"lines","senders":2}`, by which a process can be launched from elsewhere, too.
///
/// What is sent stays under the name until it is received, so take another one for each pair of processes: [`unique`](Self::unique)
/// makes one. One process receives by it at a time: another one that is to receive by the same wire gets nothing until that one has
/// ended, and then what is left. So what one process sent comes in its order, though who receives it is killed and goes on elsewhere.
pub struct Wire<T> {
    line: Line,
    items: PhantomData<fn(T) -> T>,
}

/// A wire without its type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Line {
    topic: Arc<str>,
    senders: NonZeroU32,
    capacity: Option<NonZeroUsize>,
}

impl Line {
    /// What the transport knows it as.
    pub(crate) fn topic(&self) -> TransportResult<Topic> {
        let topic = Topic::new(&*self.topic, Mode::Pipeline)?.lasting().exclusive();
        self.capacity.map_or(Ok(topic.clone()), |capacity| topic.with_capacity(capacity))
    }

    /// So many ends of senders are the end.
    pub(crate) fn senders(&self) -> u32 {
        self.senders.get()
    }
}

impl<T> Wire<T> {
    /// The wire of this name. That the name can be one is asked when a process is launched with it.
    pub fn new(topic: impl Into<Arc<str>>) -> Self {
        let line = Line { topic: topic.into(), senders: NonZeroU32::MIN, capacity: None };
        Self { line, items: PhantomData }
    }

    /// A wire of a name that no other has.
    pub fn unique() -> Self {
        Self::new(format!("{:x}", uuid::Uuid::now_v7().as_u128()))
    }

    /// The wire of a connector, under the name that its channels have.
    ///
    /// # Errors
    /// The connector is one with subscribers: for those that are not there nothing is kept.
    pub fn of(connector: &ConnectorSpec) -> Result<Self, StreamError> {
        match connector.mode {
            Mode::Pipeline => Ok(Self::new(connector.topic())),
            Mode::PubSub => Err(StreamError::PubSub { connector: connector.id() }),
        }
    }

    /// So many processes send: what is received ends when all of them have. One, unless it is told.
    #[must_use]
    pub fn with_senders(mut self, senders: NonZeroU32) -> Self {
        self.line.senders = senders;
        self
    }

    /// With room for so many items that nobody has received; see [`CAPACITY`](procession_transport::limits::CAPACITY).
    #[must_use]
    pub fn with_capacity(mut self, capacity: NonZeroUsize) -> Self {
        self.line.capacity = Some(capacity);
        self
    }

    /// The name.
    pub fn topic(&self) -> &str {
        &self.line.topic
    }
}

impl<T> Clone for Wire<T> {
    fn clone(&self) -> Self {
        Self { line: self.line.clone(), items: PhantomData }
    }
}

impl<T> fmt::Debug for Wire<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wire").field(&self.line.topic).finish()
    }
}

impl<T> PartialEq for Wire<T> {
    fn eq(&self, other: &Self) -> bool {
        self.line == other.line
    }
}

impl<T> Eq for Wire<T> {}

impl<T> Hash for Wire<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.line.hash(state);
    }
}

/// A wire with more than its name.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    topic: Arc<str>,
    #[serde(default = "one")]
    senders: NonZeroU32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capacity: Option<NonZeroUsize>,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

impl<T> Serialize for Wire<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Line { topic, senders, capacity } = &self.line;
        if *senders == NonZeroU32::MIN && capacity.is_none() {
            return topic.serialize(serializer);
        }
        Written { topic: Arc::clone(topic), senders: *senders, capacity: *capacity }.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Wire<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a wire, or `{\"topic\": name, \"senders\": number}`")
            }

            fn visit_str<E: serde::de::Error>(self, topic: &str) -> Result<Written, E> {
                Ok(Written { topic: topic.into(), senders: NonZeroU32::MIN, capacity: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
                Written::deserialize(MapAccessDeserializer::new(map))
            }
        }
        let Written { topic, senders, capacity } = deserializer.deserialize_any(Reader)?;
        let line = Line { topic, senders, capacity };
        line.topic().map_err(D::Error::custom)?;
        Ok(Self { line, items: PhantomData })
    }
}

impl<T> JsonSchema for Wire<T> {
    fn json_schema() -> Value {
        json!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            {
                "type": "object",
                "properties": {
                    "topic": { "type": "string", "minLength": 1 },
                    "senders": { "type": "integer", "minimum": 1 },
                    "capacity": { "type": "integer", "minimum": 1 },
                },
                "required": ["topic"],
                "additionalProperties": false,
            },
        ] })
    }
}

/// The type of what a wire carries.
pub trait Wired {
    /// It.
    type Item;
}

impl<T> Wired for Wire<T> {
    type Item = T;
}

/// The type of the items of a stream, by the hash of its port's name.
pub trait Carries<const PORT: u64> {
    /// It.
    type Item: StreamItem;

    /// The item as JSON.
    ///
    /// # Errors
    /// It cannot be written.
    fn to_text(item: &Self::Item) -> serde_json::Result<Box<RawValue>> {
        item.to_text()
    }

    /// The item that was written so.
    ///
    /// # Errors
    /// It is of another type.
    fn of_text(text: &RawValue) -> serde_json::Result<Self::Item> {
        Self::Item::of_text(text)
    }
}

macro_rules! port {
    ($(#[$docs:meta])* $name:ident, $by:ident: $function:ty = $item:ident) => {
        $(#[$docs])*
        pub struct $name<P, T> {
            pub(crate) name: &'static str,
            // That the items can be some is asked where the port is declared, and nowhere else.
            pub(crate) $by: $function,
            of: PhantomData<fn(P)>,
        }

        impl<P, T> $name<P, T> {
            /// The port of this name.
            pub const fn new(name: &'static str) -> Self
            where
                T: StreamItem,
            {
                Self { name, $by: T::$item, of: PhantomData }
            }

            /// The port of this name, as `spec!` writes it.
            #[doc(hidden)]
            pub const fn declared<const PORT: u64>(name: &'static str) -> Self
            where
                P: Carries<PORT, Item = T>,
            {
                Self { name, $by: <P as Carries<PORT>>::$item, of: PhantomData }
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                self.name
            }
        }

        impl<P, T> Clone for $name<P, T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<P, T> Copy for $name<P, T> {}

        impl<P, T> fmt::Debug for $name<P, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.name).finish()
            }
        }
    };
}

port! {
    /// A port of `P` through which items of type `T` come: `Self::texts` of `stream in texts: T`.
    Incoming, read: fn(&RawValue) -> serde_json::Result<T> = of_text
}
port! {
    /// A port of `P` through which items of type `T` go: `Self::lines` of `stream out lines: T`.
    Outgoing, write: fn(&T) -> serde_json::Result<Box<RawValue>> = to_text
}

/// A port of a stream with its wire, as [`Spec::streams`](crate::spec::Spec::streams) tells the runtime of it.
#[derive(Debug, Clone)]
pub struct Stream {
    pub(crate) name: &'static str,
    pub(crate) is_out: bool,
    pub(crate) line: Line,
}

impl Stream {
    /// Of an [`Incoming`] port.
    pub fn incoming<T>(name: &'static str, wire: &Wire<T>) -> Self {
        Self { name, is_out: false, line: wire.line.clone() }
    }

    /// Of an [`Outgoing`] port.
    pub fn outgoing<T>(name: &'static str, wire: &Wire<T>) -> Self {
        Self { name, is_out: true, line: wire.line.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wire_is_its_name_or_an_object() {
        let plain = Wire::<u8>::new("lines");
        assert_eq!(serde_json::to_value(&plain).unwrap(), json!("lines"));
        let two = plain.clone().with_senders(NonZeroU32::new(2).unwrap());
        assert_eq!(serde_json::to_value(&two).unwrap(), json!({ "topic": "lines", "senders": 2 }));
        for wire in [plain, two.clone(), two.with_capacity(NonZeroUsize::new(3).unwrap())] {
            let text = serde_json::to_string(&wire).unwrap();
            assert_eq!(serde_json::from_str::<Wire<u8>>(&text).unwrap(), wire, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_wire_is_refused() {
        for (wrong, reason) in [
            (json!(""), "cannot be the name of a topic"),
            (json!("x".repeat(1_000)), "cannot be the name of a topic"),
            (json!({ "topic": "x", "senders": 0 }), "nonzero"),
            (json!({ "topic": "x", "capacity": 1_u64 << 40 }), "may have"),
            (json!({ "topic": "x", "sender": 1 }), "unknown field `sender`"),
            (json!({ "senders": 1 }), "missing field `topic`"),
            (json!(7), "the name of a wire"),
        ] {
            let error = serde_json::from_value::<Wire<u8>>(wrong.clone()).unwrap_err().to_string();
            assert!(error.contains(reason), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_connector_is_a_wire_unless_it_publishes() {
        let connector: ConnectorSpec = "a.lines..b.texts".parse().unwrap();
        assert_eq!(Wire::<u8>::of(&connector).unwrap().topic(), "a.lines..b.texts");
        let event = ConnectorSpec::event("x").unwrap();
        assert!(matches!(Wire::<u8>::of(&event), Err(StreamError::PubSub { .. })));
    }
}
