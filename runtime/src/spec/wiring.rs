//! Facts about ports that types carry.

use super::OutputInfo;

/// The type of an output, by the hash of its name.
pub trait Output<const HASH: u64> {
    /// The type.
    type Value;
}

/// The process whose outputs fill a namespace, by the hash of its name.
pub trait ExposedOutputs<const HASH: u64> {
    /// The process.
    type Of;
}

/// The outputs at compile time.
pub trait OutputTable {
    /// All outputs.
    const OUTPUTS: &'static [OutputInfo];
}

/// Asserts that a normal end of an outline has set all required outputs.
#[track_caller]
pub const fn assert_set<T: OutputTable>(process: &str, set: &[&str], path: &str) {
    let _ = (process, path);
    let mut index = 0;
    while index < T::OUTPUTS.len() {
        let mut found = !T::OUTPUTS[index].required;
        let mut at = 0;
        while at < set.len() {
            found = found || same(set[at].as_bytes(), T::OUTPUTS[index].name.as_bytes());
            at += 1;
        }
        assert!(found, "required output is not set");
        index += 1;
    }
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}
