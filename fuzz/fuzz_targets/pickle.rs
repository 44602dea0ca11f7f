//! What is read is written, and read as the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use procession_transport::plugboard::pickle::{read, write};

fuzz_target!(|pickle: &[u8]| {
    if let Ok(value) = read(pickle) {
        let written = write(&value).expect("what was read can be written");
        let again = read(&written).expect("what was written can be read");
        // Not `==`: no number is equal to itself.
        assert_eq!(format!("{again:?}"), format!("{value:?}"));
    }
});
