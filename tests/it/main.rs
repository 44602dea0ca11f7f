//! The integration tests: one binary.

mod hand;
