//! Inputs that were changed at random, for the tests that end in `fuzz`; `cargo xtask fuzz` runs them for longer. A fault prints its
//! input and the seed and number that make it again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Inputs of a test that always runs.
const COUNT: u64 = 20_000;
/// How long one input may take: each is a few kilobytes at most, and the machine may be busy.
const SLOW: Duration = Duration::from_secs(5);
/// Bytes of an input, which grows by each change.
const LONGEST: usize = 8 << 10;

/// Marsaglia's xorshift: inputs are the same in each run with the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or_default()
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let from = self.below(input.len() + 1);
        let part = from..(from + self.below(17)).min(input.len());
        match self.below(8) {
            0 => drop(input.drain(part)),
            1 => {
                let piece = input[part.clone()].repeat(1 + self.below(40));
                input.splice(from..from, piece);
            }
            2 => {
                let bytes = self.next().to_le_bytes();
                input.splice(part, bytes[..=self.below(8)].iter().copied());
            }
            3 => input.truncate(from),
            4 | 5 if from < input.len() => input[from] ^= 1 << self.below(8),
            6 if from < input.len() => input[from] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            _ => {
                let other = &corpus[self.below(corpus.len())];
                let other = &other[self.below(other.len() + 1)..];
                input.splice(part, other[..self.below(other.len() + 1)].iter().copied());
            }
        }
        input.truncate(LONGEST);
    }
}

fn option(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Gives changes of the corpus to `take`, which says whether there was something to be read, and panics where something is wrong.
pub(crate) fn run(what: &str, corpus: &[Vec<u8>], mut take: impl FnMut(&[u8]) -> bool) {
    let (count, seed) = (option("PROCESSION_FUZZ_COUNT", COUNT), option("PROCESSION_FUZZ_SEED", 1));
    let (mut read, mut faults, mut slowest) = (0_u64, 0_u64, (Duration::ZERO, 0));
    for number in 0..count {
        // Zero would stay zero.
        let mut random = Random((seed ^ number.wrapping_mul(0xd134_2543_de82_ef95)) | 1);
        let mut input = corpus[random.below(corpus.len())].clone();
        for _ in 0..random.below(8) {
            random.change(&mut input, corpus);
        }
        let begun = Instant::now();
        let taken = catch_unwind(AssertUnwindSafe(|| take(&input)));
        slowest = slowest.max((begun.elapsed(), number));
        read += u64::from(matches!(taken, Ok(true)));
        if taken.is_err() || begun.elapsed() > SLOW {
            faults += 1;
            println!("seed {seed}, number {number}: {what}\n  b\"{}\"", input.escape_ascii());
        }
    }
    let (slow, at) = (slowest.0.as_micros(), slowest.1);
    println!("{what}: {count} inputs, {read} of them read, {faults} faults; the slowest took {slow} µs (number {at})");
    assert_eq!(faults, 0);
    assert!(read > count / 20, "most changes leave nothing that can be read: {read}");
}
