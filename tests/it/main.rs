//! The integration tests, in one binary.

// A test fails by a panic, also in its helpers.
#![allow(clippy::unwrap_used)]

#[cfg(feature = "sqlite")]
mod golden;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
