//! The integration tests: one binary.

#[cfg(all(unix, feature = "sqlite"))]
mod crash;
mod hand;
