//! Reads messages that were changed at random: nothing that comes makes the reader panic, hang, or read what it would
//! not read again.
//!
//! `cargo xtask fuzz` runs it for longer; a fault prints its input and the seed and number that make it again.

// A test that cannot go on panics: that is how it fails.
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Node, decode, encode};

/// Inputs of the test that always runs.
const COUNT: u64 = 20_000;
/// How long one input may take: each is a few kilobytes at most, and the machine may be busy.
const SLOW: Duration = Duration::from_secs(5);
/// Bytes of an input, which grows by each change.
const LONGEST: usize = 8 << 10;

/// Pieces that mean something to YAML.
const PIECES: &[&str] = &[
    "- ",
    "? ",
    ": ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&a ",
    "*a",
    "&id001 ",
    "*id001",
    "!",
    "!!set ",
    "!!int ",
    "!!python/tuple ",
    "!!binary ",
    "!uuid ",
    "!<tag:x> ",
    "!e!x ",
    "!!python/object:uuid.UUID {int: 1}",
    "|\n",
    ">-\n",
    "|2+\n",
    "\"",
    "'",
    "''",
    "\\",
    "\\u12",
    "\\ud83d\\ude00",
    "\\U00110000",
    "<<: ",
    "<<",
    "=",
    "---\n",
    "...\n",
    "\n",
    "\n\n",
    "\n  ",
    " ",
    "\t",
    "\r\n",
    "#",
    " #",
    "%TAG !e! a:\n",
    "%YAML 1.1\n",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\u{1f600}",
    "0x",
    "0b_",
    "1:30",
    "1_0",
    ".inf",
    "1.0e+16",
    "2026-01-02",
    "99999999999999999999999999999999999999999",
    "~",
    "null",
    "yes",
    "a: b\n",
    "@",
    "`",
];

/// Numbers that look random and follow from a seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// A part of so many bytes.
    fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.below(length + 1);
        from..(from + self.below(17)).min(length)
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[(PathBuf, Vec<u8>)]) {
        let part = self.part(input.len());
        match self.below(9) {
            0 => drop(input.drain(part)),
            1 => {
                let piece = input[part.clone()].repeat(1 + self.below(40));
                input.splice(part.start..part.start, piece);
            }
            2 | 3 => {
                let piece = PIECES[self.below(PIECES.len())];
                input.splice(part.start..part.start, piece.bytes());
            }
            4 => {
                let piece = PIECES[self.below(PIECES.len())].repeat(1 + self.below(200));
                input.splice(part, piece.bytes());
            }
            5 => {
                let byte = u8::try_from(self.below(256)).unwrap();
                input.splice(part, [byte]);
            }
            6 if part.start < input.len() => input[part.start] ^= 1 << self.below(8),
            7 => input.truncate(part.start),
            _ => {
                let (_, other) = &corpus[self.below(corpus.len())];
                let other = &other[self.below(other.len() + 1)..];
                input.splice(part, other[..self.below(other.len() + 1)].iter().copied());
            }
        }
        input.truncate(LONGEST);
    }
}

/// The captured messages, and those that were made to have all there is in YAML.
fn corpus() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/wire");
    let mut corpus = Vec::new();
    for folder in [folder.join("corpus"), folder] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                corpus.push((path.clone(), std::fs::read(path).unwrap()));
            }
        }
    }
    corpus.sort();
    corpus
}

/// An input by its number: the same in each run with the same seed.
fn input(seed: u64, number: u64, corpus: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
    let mut random = Random(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
    let (_, message) = &corpus[random.below(corpus.len())];
    let mut input = message.clone();
    for _ in 0..=random.below(8) {
        random.change(&mut input, corpus);
    }
    input
}

/// What is read is written, and read as the same again. Gives how long reading took.
fn check(input: &[u8]) -> Result<(Duration, Option<Node>), String> {
    let begun = Instant::now();
    let read = decode(input);
    let took = begun.elapsed();
    let Ok(node) = read else { return Ok((took, None)) };
    let written = encode(&node).map_err(|error| format!("what was read cannot be written: {error}"))?;
    let again = decode(&written).map_err(|error| format!("what was written cannot be read: {error}"))?;
    // Not `==`: no number is equal to itself.
    if format!("{again:?}") == format!("{node:?}") {
        Ok((took, Some(node)))
    } else {
        Err(format!("{node:?} became {again:?}"))
    }
}

/// Bytes in memory, roughly.
fn memory(node: &Node) -> usize {
    size_of::<Node>()
        + match node {
            Node::Text(text) => text.len(),
            Node::Huge(digits) => digits.len(),
            Node::Sequence(nodes) => nodes.iter().map(memory).sum(),
            Node::Mapping(entries) => entries.iter().map(|(key, node)| memory(key) + memory(node)).sum(),
            Node::Tagged(tagged) => tagged.tag.len() + memory(&tagged.node),
            _ => 0,
        }
}

fn option(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |value| value.parse().unwrap())
}

#[test]
fn changed_messages_are_read_or_refused() {
    let (count, seed) = (option("PROCESSION_FUZZ_COUNT", COUNT), option("PROCESSION_FUZZ_SEED", 1));
    let corpus = corpus();
    assert!(corpus.len() > 60, "the corpus is there");
    let (mut read, mut faults, mut slowest, mut largest) = (0_u64, 0_u64, (Duration::ZERO, 0), (0, 0));
    for number in 0..count {
        let input = input(seed, number, &corpus);
        let checked = catch_unwind(AssertUnwindSafe(|| check(&input))).unwrap_or_else(|_| Err("a panic".to_owned()));
        let fault = match checked {
            Ok((took, node)) => {
                slowest = slowest.max((took, number));
                read += u64::from(node.is_some());
                largest = largest.max((node.as_ref().map_or(0, memory), number));
                (took > SLOW).then(|| format!("it took {took:?}"))
            }
            Err(fault) => Some(fault),
        };
        if let Some(fault) = fault {
            faults += 1;
            println!("seed {seed}, number {number}: {fault}\n  b\"{}\"", input.escape_ascii());
        }
    }
    let (slow, large) = (slowest.0.as_micros(), largest.0 / 1024);
    println!(
        "{count} messages, {read} of them read, {faults} faults; the slowest took {slow} µs (number {}), the largest \
         {large} KiB (number {})",
        slowest.1, largest.1
    );
    assert_eq!(faults, 0);
    assert!(read > count / 10, "most changes leave nothing that can be read");
}
