//! The state of a process: 1 KiB that is another one after every step.

use serde::{Deserialize, Serialize};

/// Steps of a process.
pub const STEPS: u64 = 3;

const BYTES: usize = 1024;

/// What a step is given, and gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub process: u64,
    pub steps: u64,
    pub text: String,
}

impl State {
    pub fn new(process: u64) -> Self {
        Self { process, ..Self::default() }
    }

    /// What a step does: it adds to the state, which has as many bytes as before, all of them others.
    #[must_use]
    pub fn step(&self) -> Self {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let steps = self.steps + 1;
        let mut random = ((self.process << 8) | steps).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let letter = |_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            char::from(ALPHABET[usize::from(random.to_le_bytes()[5] % 64)])
        };
        Self { process: self.process, steps, text: (0..BYTES).map(letter).collect() }
    }

    /// Checks what a process gives.
    ///
    /// # Panics
    /// Where it is not what its steps make.
    pub fn check(&self, process: u64) {
        let mut expected = Self::new(process);
        for _ in 0..STEPS {
            expected = expected.step();
        }
        assert_eq!(*self, expected, "process {process}");
    }
}
