//! What comes over a connection is read however it is cut, and written as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use procession_transport::tcp::fuzz::fuzz;

fuzz_target!(|bytes: &[u8]| {
    fuzz(bytes);
});
