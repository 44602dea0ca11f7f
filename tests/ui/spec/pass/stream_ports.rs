//! Streams of all kinds.
#![deny(warnings, missing_docs)]
#![no_implicit_prelude]

use ::procession::stream::Wire;
use ::std::prelude::v1::*;

/// Joined by wires.
#[derive(Default)]
pub struct Count;

::procession::spec! { #![no_implicit_prelude] Count {
    /// Texts come here.
    stream in texts: String;
    stream in r#type: Vec<u8>;
    /// Numbers go there.
    stream out lines: ::std::collections::BTreeMap<String, Option<u32>>;
    input stream: u8 = 1;
    input in_and_out.stream: u8 = 1;
    exit 400 Failed "failed";
} }
::hand::process!(Count);

/// Of items that are told later.
#[derive(Default)]
pub struct Pass<T>(T);

::procession::spec! { #![no_implicit_prelude] <T: ::procession::spec::PortType + Default> Pass<T> {
    stream in from: T;
    stream out to: T;
} }
::hand::process!([T: ::procession::spec::PortType + Default] Pass<T>);

/// Has the streams of another among its inputs, to wire it.
#[derive(Default)]
pub struct Parent;

::procession::spec! { #![no_implicit_prelude] Parent {
    expose inputs of Count as count { exclude: stream, in_and_out };
    stream out count_of: u32;
} }
::hand::process!(Parent);

mod private {
    #[derive(Default)]
    pub(crate) struct Hidden;
    #[derive(::serde::Serialize, ::serde::Deserialize)]
    pub(crate) struct Item;
    ::procession::spec! { #![no_implicit_prelude] Hidden { stream out items: Item; } }
    ::hand::process!(Hidden);
}

impl Count {
    fn step(cx: &mut ::procession::Cx<Self>) -> ::std::result::Result<(), ::procession::stream::StreamError> {
        cx.receive(Self::texts);
        cx.receive_up_to(Self::r#type, 3);
        if let Some(text) = cx.received(Self::texts)? {
            cx.send(Self::lines, [(text, None)].into())?;
        }
        if cx.has_ended(Self::texts) {
            cx.close(Self::lines);
        }
        Ok(())
    }
}

fn main() {
    let (texts, lines) = (Wire::new("texts"), Wire::unique());
    let _ = Count::step;
    ::hand::launch(Count::inputs().texts(texts.clone()).r#type(Wire::unique()).lines(lines.clone()));
    ::hand::launch(Pass::<String>::inputs().from(texts.clone()).to(texts.clone()));
    let parent = Parent::inputs().count(|count| count.texts(texts).r#type(Wire::unique()).lines(lines));
    ::hand::launch(parent.count_of(Wire::unique()));
    ::hand::launch(private::Hidden::inputs().items(Wire::new("items")));
}
