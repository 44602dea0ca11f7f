//! Inputs that were changed at random: nothing that comes makes a reader panic or hang, and what is read is written and read as the same.
//!
//! Its users always read some; `cargo xtask fuzz` reads more. A fault prints its input, and the seed and number that make it again.

#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Inputs of a test that always runs.
const COUNT: u64 = 20_000;
/// How long one input may take: each is a few kilobytes at most, and the machine may be busy.
const SLOW: Duration = Duration::from_secs(5);
/// Bytes of an input, which grows by each change.
const LONGEST: usize = 8 << 10;

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

    fn change(&mut self, input: &mut Vec<u8>, fuzz: &Fuzz<'_>) {
        let part = self.part(input.len());
        match self.below(9) {
            0 => drop(input.drain(part)),
            1 => {
                let piece = input[part.clone()].repeat(1 + self.below(40));
                input.splice(part.start..part.start, piece);
            }
            2 | 3 => {
                let piece = fuzz.pieces[self.below(fuzz.pieces.len())];
                input.splice(part.start..part.start, piece.iter().copied());
            }
            4 => {
                let piece = fuzz.pieces[self.below(fuzz.pieces.len())].repeat(1 + self.below(200));
                input.splice(part, piece);
            }
            5 => {
                let byte = u8::try_from(self.below(256)).unwrap();
                input.splice(part, [byte]);
            }
            6 if part.start < input.len() => input[part.start] ^= 1 << self.below(8),
            7 => input.truncate(part.start),
            _ => {
                let other = &fuzz.corpus[self.below(fuzz.corpus.len())];
                let other = &other[self.below(other.len() + 1)..];
                input.splice(part, other[..self.below(other.len() + 1)].iter().copied());
            }
        }
        input.truncate(LONGEST);
    }
}

/// What is changed, and by what.
pub(crate) struct Fuzz<'a> {
    pub(crate) what: &'a str,
    pub(crate) corpus: Vec<Vec<u8>>,
    /// Pieces that mean something to the reader.
    pub(crate) pieces: &'a [&'a [u8]],
}

/// Lengths and codes: what bounds them is tried.
#[cfg(feature = "mesh")]
pub(crate) const NUMBERS: [&[u8]; 6] = [b"\0", b"\x01", b"\x7f\xff", b"\x80", b"\xff\xff\xff\xff", b"\0\0\0\0\0\0\0\0"];

fn option(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |value| value.parse().unwrap())
}

impl Fuzz<'_> {
    /// An input by its number: the same in each run with the same seed.
    fn input(&self, seed: u64, number: u64) -> Vec<u8> {
        let mut random = Random(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        let mut input = self.corpus[random.below(self.corpus.len())].clone();
        input.truncate(LONGEST);
        for _ in 0..=random.below(4) {
            random.change(&mut input, self);
        }
        input
    }

    /// Checks so many. `check` says whether an input was read, or what is wrong about that; at least one of `share` is to be read.
    pub(crate) fn run(&self, share: u64, mut check: impl FnMut(&[u8]) -> Result<bool, String>) {
        let (count, seed) = (option("PROCESSION_FUZZ_COUNT", COUNT), option("PROCESSION_FUZZ_SEED", 1));
        let (mut read, mut faults, mut slowest, begun) = (0_u64, 0_u64, (Duration::ZERO, 0), Instant::now());
        for number in 0..count {
            let (input, begun) = (self.input(seed, number), Instant::now());
            let checked =
                catch_unwind(AssertUnwindSafe(|| check(&input))).unwrap_or_else(|_| Err("a panic".to_owned()));
            let took = begun.elapsed();
            slowest = slowest.max((took, number));
            let fault = match checked {
                Ok(is_read) => {
                    read += u64::from(is_read);
                    (took > SLOW).then(|| format!("it took {took:?}"))
                }
                Err(fault) => Some(fault),
            };
            if let Some(fault) = fault {
                faults += 1;
                println!("{}, seed {seed}, number {number}: {fault}\n  b\"{}\"", self.what, input.escape_ascii());
            }
        }
        println!(
            "{}: {count} inputs in {:.1} s, {read} of them read, {faults} faults; the slowest took {} µs (number {})",
            self.what,
            begun.elapsed().as_secs_f64(),
            slowest.0.as_micros(),
            slowest.1
        );
        assert_eq!(faults, 0);
        assert!(read > count / share, "most changes leave nothing that can be read");
    }
}
