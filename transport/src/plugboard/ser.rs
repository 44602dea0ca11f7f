//! Values as plain data.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{Plain, PlainError};

/// A value as plain data: structs as dictionaries, variants as their name or a dictionary of one entry.
///
/// # Errors
///
/// An integer is larger than 64 bits, or the value itself says that it cannot be written.
pub fn to_plain<T: Serialize + ?Sized>(value: &T) -> Result<Plain, PlainError> {
    value.serialize(ToPlain)
}

struct ToPlain;

/// Items of a list or of a tuple; with the variant that they are of.
struct Items {
    all: Vec<Plain>,
    is_tuple: bool,
    variant: Option<&'static str>,
}

/// Entries of a dictionary; with the variant that they are of.
struct Entries {
    all: Vec<(Plain, Plain)>,
    key: Option<Plain>,
    variant: Option<&'static str>,
}

fn of_variant(variant: Option<&'static str>, value: Plain) -> Plain {
    match variant {
        Some(variant) => Plain::Dict(vec![(Plain::Text(variant.to_owned()), value)]),
        None => value,
    }
}

impl Items {
    fn new(length: usize, is_tuple: bool, variant: Option<&'static str>) -> Self {
        // A length that is only announced costs no memory.
        Self { all: Vec::with_capacity(length.min(1_024)), is_tuple, variant }
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), PlainError> {
        self.all.push(to_plain(value)?);
        Ok(())
    }

    fn whole(self) -> Plain {
        of_variant(self.variant, if self.is_tuple { Plain::Tuple(self.all) } else { Plain::List(self.all) })
    }
}

impl Entries {
    fn new(variant: Option<&'static str>) -> Self {
        Self { all: Vec::new(), key: None, variant }
    }

    fn push<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), PlainError> {
        self.all.push((Plain::Text(key.to_owned()), to_plain(value)?));
        Ok(())
    }

    fn whole(self) -> Plain {
        of_variant(self.variant, Plain::Dict(self.all))
    }
}

/// Numbers and texts, each as one kind of plain data.
macro_rules! leaves {
    ($($method:ident($type:ty) => $plain:expr;)*) => {
        $(fn $method(self, value: $type) -> Result<Plain, PlainError> {
            Ok($plain(value))
        })*
    };
}

impl Serializer for ToPlain {
    type Ok = Plain;
    type Error = PlainError;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    leaves! {
        serialize_bool(bool) => Plain::Bool;
        serialize_i8(i8) => |int| Plain::Int(i64::from(int));
        serialize_i16(i16) => |int| Plain::Int(i64::from(int));
        serialize_i32(i32) => |int| Plain::Int(i64::from(int));
        serialize_i64(i64) => Plain::Int;
        serialize_u8(u8) => |int| Plain::Int(i64::from(int));
        serialize_u16(u16) => |int| Plain::Int(i64::from(int));
        serialize_u32(u32) => |int| Plain::Int(i64::from(int));
        serialize_u64(u64) => |int| i64::try_from(int).map_or(Plain::Large(int), Plain::Int);
        serialize_f32(f32) => |float| Plain::Float(f64::from(float));
        serialize_f64(f64) => Plain::Float;
        serialize_char(char) => |letter: char| Plain::Text(letter.to_string());
        serialize_str(&str) => |text: &str| Plain::Text(text.to_owned());
        serialize_bytes(&[u8]) => |bytes: &[u8]| Plain::Bytes(bytes.to_vec());
        serialize_unit_struct(&'static str) => |_| Plain::None;
    }

    fn serialize_none(self) -> Result<Plain, PlainError> {
        Ok(Plain::None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Plain, PlainError> {
        to_plain(value)
    }

    fn serialize_unit(self) -> Result<Plain, PlainError> {
        Ok(Plain::None)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Plain, PlainError> {
        Ok(Plain::Text(variant.to_owned()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Plain, PlainError> {
        to_plain(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Plain, PlainError> {
        Ok(of_variant(Some(variant), to_plain(value)?))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Items, PlainError> {
        Ok(Items::new(length.unwrap_or_default(), false, None))
    }

    fn serialize_tuple(self, length: usize) -> Result<Items, PlainError> {
        Ok(Items::new(length, true, None))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Items, PlainError> {
        Ok(Items::new(length, true, None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Items, PlainError> {
        Ok(Items::new(length, true, Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries, PlainError> {
        Ok(Entries::new(None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Entries, PlainError> {
        Ok(Entries::new(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Entries, PlainError> {
        Ok(Entries::new(Some(variant)))
    }
}

/// The traits of what has items differ in the name of a method.
macro_rules! items {
    ($($name:ident $method:ident;)*) => {
        $(impl $name for Items {
            type Ok = Plain;
            type Error = PlainError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), PlainError> {
                self.push(value)
            }

            fn end(self) -> Result<Plain, PlainError> {
                Ok(self.whole())
            }
        })*
    };
}

items! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

impl SerializeMap for Entries {
    type Ok = Plain;
    type Error = PlainError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), PlainError> {
        let key = to_plain(key)?;
        if !key.is_key() {
            return Err(PlainError("a list or a dictionary is no key".to_owned()));
        }
        self.key = Some(key);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), PlainError> {
        let key = self.key.take().ok_or_else(|| PlainError("a value comes without its key".to_owned()))?;
        self.all.push((key, to_plain(value)?));
        Ok(())
    }

    fn end(self) -> Result<Plain, PlainError> {
        Ok(self.whole())
    }
}

impl Plain {
    /// Whether it can be a key.
    pub(super) fn is_key(&self) -> bool {
        match self {
            Self::List(_) | Self::Dict(_) => false,
            Self::Tuple(items) => items.iter().all(Self::is_key),
            _ => true,
        }
    }
}

impl SerializeStruct for Entries {
    type Ok = Plain;
    type Error = PlainError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), PlainError> {
        self.push(key, value)
    }

    fn end(self) -> Result<Plain, PlainError> {
        Ok(self.whole())
    }
}

impl SerializeStructVariant for Entries {
    type Ok = Plain;
    type Error = PlainError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), PlainError> {
        self.push(key, value)
    }

    fn end(self) -> Result<Plain, PlainError> {
        Ok(self.whole())
    }
}

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(int) => serializer.serialize_i64(*int),
            Self::Large(large) => serializer.serialize_u64(*large),
            Self::Float(float) => serializer.serialize_f64(*float),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::List(items) => serializer.collect_seq(items),
            Self::Tuple(items) => {
                let mut tuple = serializer.serialize_tuple(items.len())?;
                items.iter().try_for_each(|item| tuple.serialize_element(item))?;
                tuple.end()
            }
            Self::Dict(pairs) => serializer.collect_map(pairs.iter().map(|(key, value)| (key, value))),
        }
    }
}
