//! Against pickles that Python has written, `tests/data/plugboard/make.py`; and those that nobody in earnest writes.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{PickleError, read, write};
use crate::limits;
use crate::plugboard::{Plain, from_plain, to_plain};

fn text(text: &str) -> Plain {
    Plain::Text(text.to_owned())
}

fn ints(ints: &[i64]) -> Vec<Plain> {
    ints.iter().copied().map(Plain::Int).collect()
}

/// What the script has written, by the names it has there.
fn golden() -> Vec<(&'static str, Plain)> {
    let twice = || Plain::List(vec![text("twice")]);
    let (empty, unit) = (|| Plain::List(Vec::new()), || Plain::Tuple(Vec::new()));
    let dict = Plain::Dict;
    let mut wide = ints(&[0, 1, -1, 255, 256, 65_535, 65_536, i32::MAX.into(), i32::MIN.into(), 1 << 31]);
    wide.extend([Plain::Int(i64::MAX), Plain::Int(i64::MIN), Plain::Large(1 << 63), Plain::Large(u64::MAX)]);
    let floats = [0.0, -0.0, 0.1, 1e308, f64::INFINITY, f64::NEG_INFINITY, 5e-324];
    let texts = ["", "a", "ä", "\u{1f600}", &"x".repeat(255), &"y".repeat(256), &"z".repeat(70_000)].map(text);
    let deep = dict(vec![(text("deep"), dict(vec![(text("deeper"), unit())]))]);
    vec![
        ("none", Plain::None),
        ("true", Plain::Bool(true)),
        ("false", Plain::Bool(false)),
        ("ints", Plain::List(wide)),
        ("floats", Plain::List(floats.into_iter().map(Plain::Float).collect())),
        ("texts", Plain::List(texts.to_vec())),
        (
            "lists",
            Plain::List(vec![
                empty(),
                Plain::List(ints(&[1])),
                Plain::List((0..2_000).map(Plain::Int).collect()),
                Plain::List(vec![empty(), Plain::List(vec![empty()])]),
            ]),
        ),
        (
            "tuples",
            Plain::Tuple(vec![
                unit(),
                Plain::Tuple(ints(&[1])),
                Plain::Tuple(ints(&[1, 2])),
                Plain::Tuple(ints(&[1, 2, 3])),
                Plain::Tuple(ints(&[1, 2, 3, 4])),
                Plain::Tuple(vec![unit(), Plain::List(vec![unit()])]),
            ]),
        ),
        (
            "dicts",
            dict(vec![
                (text("a"), Plain::Int(1)),
                (Plain::Int(2), text("b")),
                (Plain::None, dict(Vec::new())),
                (Plain::Tuple(vec![Plain::Int(1), text("x")]), Plain::List(vec![Plain::Float(1.5)])),
                (Plain::Bool(true), deep),
            ]),
        ),
        ("shared", Plain::List(vec![twice(), twice(), Plain::Tuple(vec![twice(), text("twice")])])),
        ("close", text(crate::plugboard::CLOSE)),
        (
            "bytes",
            Plain::List(
                [&b""[..], b"\0\xff", &[b'x'; 255], &[b'y'; 256], &vec![b'z'; 70_000]]
                    .map(|bytes| Plain::Bytes(bytes.to_vec()))
                    .to_vec(),
            ),
        ),
    ]
}

fn file(protocol: u8, name: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/plugboard");
    std::fs::read(folder.join(format!("protocol{protocol}")).join(name)).ok()
}

#[test]
fn what_python_writes_is_read() {
    let mut files = 0;
    for protocol in 2..=5 {
        for (name, value) in golden() {
            let Some(pickle) = file(protocol, &format!("{name}.pickle")) else {
                // Bytes are made by a call there.
                assert_eq!((protocol, name), (2, "bytes"));
                continue;
            };
            let read = read(&pickle).unwrap_or_else(|error| panic!("{name}, protocol {protocol}: {error}"));
            // Not `==`: 0.0 is equal to -0.0.
            assert_eq!(format!("{read:?}"), format!("{value:?}"), "{name}, protocol {protocol}");
            files += 1;
        }
    }
    assert_eq!(files, 47);
}

#[test]
fn what_is_not_plain_is_refused_by_its_name() {
    let names = include_str!("../../../../tests/data/plugboard/refused.json");
    let names: BTreeMap<String, BTreeMap<u8, String>> = serde_json::from_str(names).unwrap();
    let mut files = 0;
    for (name, by_protocol) in names {
        for (protocol, named) in by_protocol {
            let pickle = file(protocol, &format!("{name}.refused")).unwrap();
            let refused = read(&pickle).expect_err(&name);
            let (found, at) = match &refused {
                PickleError::Refused { opcode, offset } => (*opcode, Some(*offset)),
                PickleError::Integer { opcode, offset, .. } | PickleError::Text { opcode, offset } => {
                    (*opcode, Some(*offset))
                }
                PickleError::Depth { .. } => ("depth", None),
                PickleError::Protocol { .. } => ("protocol", None),
                other => panic!("{name}, protocol {protocol}: {other}"),
            };
            assert_eq!(found, named, "{name}, protocol {protocol}: {refused}");
            if let Some(at) = at {
                let (opcode, _) = super::opcodes::of(pickle[at]).unwrap();
                assert_eq!(opcode, named, "the place is the instruction's");
            }
            files += 1;
        }
    }
    assert_eq!(files, 45);
}

#[test]
fn what_would_call_something_is_refused_before_anything_is_done() {
    for (pickle, opcode, offset) in [
        (&b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R."[..], "GLOBAL", 2),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.", "STACK_GLOBAL", 14),
        (b"\x80\x02(X\x02\0\0\0lsios\nsystem\n.", "INST", 10),
        (b"\x80\x02NNR.", "REDUCE", 4),
        (b"\x80\x02NNb.", "BUILD", 4),
        (b"\x80\x02N\x81.", "NEWOBJ", 3),
        (b"\x80\x02N\x92.", "NEWOBJ_EX", 3),
        (b"\x80\x02(No.", "OBJ", 4),
        (b"\x80\x02\x82\x01.", "EXT1", 2),
        (b"\x80\x02NQ.", "BINPERSID", 3),
        (b"\x80\x02Pa\n.", "PERSID", 2),
        (b"\x80\x05\x97.", "NEXT_BUFFER", 2),
        (b"\x80\x02I1\n.", "INT", 2),
        (b"\x80\x02N2.", "DUP", 3),
    ] {
        assert_eq!(read(pickle), Err(PickleError::Refused { opcode, offset }), "{}", pickle.escape_ascii());
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for pickle in [
        &b""[..],
        b"\x80",
        b"\x80\x02",
        b"\x80\x01N.",
        b"\x80\x06N.",
        b"N.",
        b"\x80\x02.",
        b"\x80\x02N",
        b"\x80\x02NN.",
        b"\x80\x02(N.",
        b"\x80\x02N.N",
        b"\x80\x02N\x80\x02.",
        b"\x80\x02\xff.",
        b"\x80\x02h\x07.",
        b"\x80\x02q\0N.",
        b"\x80\x02\x94.",
        b"\x80\x02e.",
        b"\x80\x02N(Ne.",
        b"\x80\x02](Nu.",
        b"\x80\x02}(Nu.",
        b"\x80\x02}]Ns.",
        b"\x80\x02}]\x85Ns.",
        b"\x80\x020.",
        b"\x80\x021.",
        b"\x80\x02N(0.",
        b"\x80\x02\x86.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffN.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fa.",
        b"\x80\x02\x8b\xff\xff\xff\xff.",
        b"\x80\x02X\x01\0\0\0\xff.",
        b"\x80\x02J\0\0.",
    ] {
        let refused = read(pickle);
        assert!(refused.is_err(), "{}: {refused:?}", pickle.escape_ascii());
    }
}

#[test]
fn a_small_pickle_cannot_stand_for_a_large_value() {
    // Each list has the one before it twice: 2^60 of them.
    let mut pickle = b"\x80\x04]\x94".to_vec();
    for _ in 0..60_u8 {
        pickle.extend(b"0](h\0h\0e\x94q\0");
    }
    pickle.push(b'.');
    assert_eq!(read(&pickle), Err(PickleError::Size { limit: limits::PICKLE_BYTES }));
    // A large text, often.
    let mut pickle = b"\x80\x04(X\0\0\x10\0".to_vec();
    pickle.extend(vec![b'x'; 1 << 20]);
    pickle.push(0x94);
    pickle.extend(b"h\0".repeat(100));
    pickle.extend(b"l.");
    assert_eq!(read(&pickle), Err(PickleError::Size { limit: limits::PICKLE_BYTES }));
    // What is kept and never used.
    let mut pickle = b"\x80\x04".to_vec();
    pickle.extend(vec![b'('; 8 << 20]);
    assert_eq!(read(&pickle), Err(PickleError::Size { limit: limits::PICKLE_BYTES }));
    let pickle = vec![0x80; limits::PICKLE_BYTES + 1];
    assert_eq!(read(&pickle), Err(PickleError::Size { limit: limits::PICKLE_BYTES }));
}

#[test]
fn what_is_too_deep_is_refused() {
    let nested = |depth: usize| [b"\x80\x04".as_slice(), &b"]".repeat(depth), &b"a".repeat(depth - 1), b"."].concat();
    assert!(read(&nested(limits::PICKLE_DEPTH)).is_ok());
    let refused = Err(PickleError::Depth { limit: limits::PICKLE_DEPTH });
    assert_eq!(read(&nested(limits::PICKLE_DEPTH + 1)), refused);
    assert_eq!(read(&nested(1_000_000)), refused);
    let mut value = Plain::None;
    for _ in 0..limits::PICKLE_DEPTH {
        value = Plain::List(vec![value]);
    }
    assert_eq!(write(&value), Err(PickleError::Depth { limit: limits::PICKLE_DEPTH }));
}

/// All plain data, but for floats that are no number: none of them is equal to itself.
fn plain() -> impl Strategy<Value = Plain> {
    let leaf = prop_oneof![
        Just(Plain::None),
        any::<bool>().prop_map(Plain::Bool),
        any::<i64>().prop_map(Plain::Int),
        any::<i8>().prop_map(|int| Plain::Int(int.into())),
        any::<i32>().prop_map(|int| Plain::Int(int.into())),
        ((1_u64 << 63)..).prop_map(Plain::Large),
        any::<f64>().prop_filter("it is no number", |float| !float.is_nan()).prop_map(Plain::Float),
        any::<String>().prop_map(Plain::Text),
        vec(any::<u8>(), 0..300).prop_map(Plain::Bytes),
    ];
    let key = leaf.clone();
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Plain::List),
            vec(inner.clone(), 0..8).prop_map(Plain::Tuple),
            vec((key.clone(), inner), 0..8).prop_map(Plain::Dict),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_the_same(value in plain()) {
        let pickle = write(&value).unwrap();
        prop_assert_eq!(read(&pickle).unwrap(), value);
    }

    #[test]
    fn plain_data_is_itself_through_serde(value in plain()) {
        prop_assert_eq!(&to_plain(&value).unwrap(), &value);
        prop_assert_eq!(from_plain::<Plain>(value.clone()).unwrap(), value);
    }

    #[test]
    fn a_value_becomes_plain_data_and_a_value_again(
        pair in any::<(String, Option<i64>)>(), list in vec(any::<(u64, bool)>(), 0..9), bytes in vec(any::<u8>(), 0..9),
        map in proptest::collection::btree_map(any::<i32>(), any::<String>(), 0..9), letter in any::<char>(),
    ) {
        let thing = Thing { pair, list, bytes, map, kinds: vec![Kind::Unit, Kind::Letter(letter), Kind::Two(1, 2.5), Kind::Named { a: 1 }] };
        let pickle = write(&to_plain(&thing).unwrap()).unwrap();
        prop_assert_eq!(from_plain::<Thing>(read(&pickle).unwrap()).unwrap(), thing);
    }
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Thing {
    pair: (String, Option<i64>),
    list: Vec<(u64, bool)>,
    bytes: Vec<u8>,
    map: BTreeMap<i32, String>,
    kinds: Vec<Kind>,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Kind {
    Unit,
    Letter(char),
    Two(u8, f64),
    Named { a: i8 },
}

#[test]
fn bytes_of_python_are_a_list_of_numbers_where_one_is_asked_for() {
    assert_eq!(from_plain::<Vec<u8>>(Plain::Bytes(vec![0, 255])).unwrap(), [0, 255]);
    assert!(from_plain::<u8>(Plain::Int(256)).is_err());
    assert!(from_plain::<String>(Plain::None).is_err());
    assert!(from_plain::<Kind>(text("Other")).is_err());
}
