//! Runtimes of a mesh go on whatever they are sent.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use procession_transport::mesh::fuzz::Fuzz;

thread_local! {
    static MESH: RefCell<Fuzz> = RefCell::new(Fuzz::new().expect("the system has means"));
}

fuzz_target!(|envelope: &[u8]| {
    MESH.with_borrow_mut(|mesh| mesh.take(envelope));
});
