//! Pickles that were changed at random.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::{read, write};
use crate::fuzzing;

/// Instructions, and what follows them.
const PIECES: &[&[u8]] = &[
    b"\x80\x04",
    b"\x95\x10\0\0\0\0\0\0\0",
    b".",
    b"(",
    b"0",
    b"1",
    b"N",
    b"\x88",
    b"\x89",
    b"J\xff\xff\xff\xff",
    b"K\x01",
    b"M\x01\x02",
    b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\0",
    b"\x8a\0",
    b"\x8b\x01\0\0\0\x80",
    b"G?\xf0\0\0\0\0\0\0",
    b"\x8c\x01a",
    b"X\x01\0\0\0a",
    b"\x8d\x01\0\0\0\0\0\0\0a",
    b"C\x01\xff",
    b"B\x01\0\0\0\xff",
    b"\x8e\x01\0\0\0\0\0\0\0\xff",
    b"]",
    b"a",
    b"](h\0h\0e\x94",
    b"e",
    b"l",
    b")",
    b"t",
    b"\x85",
    b"\x86",
    b"\x87",
    b"}",
    b"K\x01Ns",
    b"s",
    b"u",
    b"d",
    b"q\0",
    b"r\0\0\0\0",
    b"\x94",
    b"h\0",
    b"h\x01",
    b"j\0\0\0\0",
    b"2",
    b"cos\nsystem\n",
    b"\x93",
    b"R",
    b"b",
    b"\x8f",
    b"\x97",
    b"\xff\xff\xff\xff",
    b"\xed\xa0\x80",
];

#[test]
fn changed_pickles_are_read_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/plugboard");
    let mut corpus = Vec::new();
    for protocol in 2..=5 {
        for entry in std::fs::read_dir(folder.join(format!("protocol{protocol}"))).unwrap() {
            let path = entry.unwrap().path();
            corpus.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    corpus.sort();
    // Large ones would be cut to what is no pickle. Pieces are put into others.
    let corpus = corpus.into_iter().map(|(_, pickle)| pickle).filter(|pickle| pickle.len() < 8 << 10);
    let corpus: Vec<_> = corpus.chain(PIECES.iter().map(|piece| piece.to_vec())).collect();
    assert!(corpus.len() > 60 + PIECES.len(), "the corpus is there");
    // Most begin with what is a whole pickle.
    let whole: Vec<_> = corpus.iter().filter(|pickle| read(pickle).is_ok()).cloned().collect();
    let corpus: Vec<_> = corpus.into_iter().chain(whole.into_iter().cycle().take(400)).collect();
    fuzzing::run("pickles", &corpus, |input| {
        let Ok(value) = read(input) else { return false };
        let written = write(&value).unwrap();
        let again = read(&written).unwrap();
        // Not `==`: no number is equal to itself.
        assert_eq!(format!("{again:?}"), format!("{value:?}"));
        true
    });
}
