//! Draws the pictures in the documentation and in the tests anew.

use crate::Fault;
use crate::run::{cargo, succeed};

/// The tests that compare them write them instead.
pub(crate) fn pictures() -> Result<bool, Fault> {
    succeed(cargo("test --all-features --test it picture::").env("BLESS", "1"))?;
    Ok(true)
}
