//! Plain data as values.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Plain, PlainError};

/// By this name plain data that is asked for plain data says that it is a tuple, for which serde has no word: others
/// say that it is a list.
const TUPLE: &str = "$procession::transport::plugboard::Tuple";

/// Plain data as a value of a type.
///
/// # Errors
///
/// It is of another type; the error says what was expected.
pub fn from_plain<T: DeserializeOwned>(plain: Plain) -> Result<T, PlainError> {
    T::deserialize(plain)
}

impl IntoDeserializer<'_, PlainError> for Plain {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Plain {
    type Error = PlainError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PlainError> {
        match self {
            Self::None => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Int(int) => visitor.visit_i64(int),
            Self::Large(large) => visitor.visit_u64(large),
            Self::Float(float) => visitor.visit_f64(float),
            Self::Text(text) => visitor.visit_string(text),
            Self::Bytes(bytes) => visitor.visit_byte_buf(bytes),
            Self::List(items) | Self::Tuple(items) => {
                let mut items = SeqDeserializer::new(items.into_iter());
                let value = visitor.visit_seq(&mut items)?;
                items.end().map(|()| value)
            }
            Self::Dict(pairs) => {
                let mut pairs = MapDeserializer::new(pairs.into_iter());
                let value = visitor.visit_map(&mut pairs)?;
                pairs.end().map(|()| value)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PlainError> {
        if self == Self::None { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, PlainError> {
        match self {
            Self::Tuple(items) if name == TUPLE => {
                visitor.visit_enum(Variant { name: Self::Text(TUPLE.to_owned()), value: Some(Self::List(items)) })
            }
            other => visitor.visit_newtype_struct(other),
        }
    }

    /// A variant by its name, or an entry of its name and what it has.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, PlainError> {
        match self {
            Self::Text(_) => visitor.visit_enum(Variant { name: self, value: None }),
            Self::Dict(pairs) if pairs.len() == 1 => {
                let Some((name, value)) = pairs.into_iter().next() else {
                    return Err(PlainError::custom("no variant"));
                };
                visitor.visit_enum(Variant { name, value: Some(value) })
            }
            _ => Err(PlainError::invalid_type(Unexpected::Other("plain data"), &"the name of a variant, or one entry")),
        }
    }

    /// Bytes are also a sequence of numbers, for types that have nothing else.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PlainError> {
        match self {
            Self::Bytes(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.into_iter())),
            other => other.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Variant {
    name: Plain,
    value: Option<Plain>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = PlainError;
    type Variant = Payload;

    fn variant_seed<S: serde::de::DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Payload), PlainError> {
        Ok((seed.deserialize(self.name)?, Payload(self.value)))
    }
}

/// What a variant has.
struct Payload(Option<Plain>);

impl<'de> VariantAccess<'de> for Payload {
    type Error = PlainError;

    fn unit_variant(self) -> Result<(), PlainError> {
        match self.0 {
            None | Some(Plain::None) => Ok(()),
            Some(_) => Err(PlainError::custom("the variant has a value, and should have none")),
        }
    }

    fn newtype_variant_seed<S: serde::de::DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, PlainError> {
        seed.deserialize(self.0.unwrap_or(Plain::None))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, PlainError> {
        self.0.unwrap_or(Plain::None).deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, PlainError> {
        self.0.unwrap_or(Plain::None).deserialize_any(visitor)
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(TUPLE, OfPlain)
    }
}

struct OfPlain;

/// Numbers and texts, each as one kind of plain data.
macro_rules! leaves {
    ($($method:ident($type:ty) => $plain:expr;)*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<Plain, E> {
            Ok($plain(value))
        })*
    };
}

impl<'de> Visitor<'de> for OfPlain {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain data")
    }

    leaves! {
        visit_bool(bool) => Plain::Bool;
        visit_i64(i64) => Plain::Int;
        visit_u64(u64) => |int| i64::try_from(int).map_or(Plain::Large(int), Plain::Int);
        visit_f64(f64) => Plain::Float;
        visit_str(&str) => |text: &str| Plain::Text(text.to_owned());
        visit_string(String) => Plain::Text;
        visit_bytes(&[u8]) => |bytes: &[u8]| Plain::Bytes(bytes.to_vec());
        visit_byte_buf(Vec<u8>) => Plain::Bytes;
    }

    fn visit_unit<E: Error>(self) -> Result<Plain, E> {
        Ok(Plain::None)
    }

    fn visit_none<E: Error>(self) -> Result<Plain, E> {
        Ok(Plain::None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Plain, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Plain, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tuple: A) -> Result<Plain, A::Error> {
        let (name, items) = tuple.variant::<String>()?;
        if name != TUPLE {
            return Err(A::Error::custom("a variant is no plain data by itself"));
        }
        items.newtype_variant().map(Plain::Tuple)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Plain, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Plain::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Plain, A::Error> {
        let mut all = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            all.push(entry);
        }
        Ok(Plain::Dict(all))
    }
}
