//! What is read is written, and read as the same again.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use procession_transport::Envelope;

fuzz_target!(|input: &[u8]| {
    if let Ok(envelope) = Envelope::decode(&Bytes::copy_from_slice(input)) {
        let written = envelope.encode().expect("what was read can be written");
        assert_eq!(Envelope::decode(&written).expect("what was written can be read"), envelope);
    }
});
