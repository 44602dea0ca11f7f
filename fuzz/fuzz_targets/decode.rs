//! What is read is written, and read as the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use procession_runtime::message::{decode, encode};

fuzz_target!(|message: &[u8]| {
    if let Ok(node) = decode(message) {
        let written = encode(&node).expect("what was read can be written");
        let again = decode(&written).expect("what was written can be read");
        // Not `==`: no number is equal to itself.
        assert_eq!(format!("{again:?}"), format!("{node:?}"));
    }
});
