//! The integration tests: one binary.

mod children;
mod control;
mod life;
mod resume;
mod support;
