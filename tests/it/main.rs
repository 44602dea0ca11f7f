//! The integration tests: one binary.

mod children;
mod control;
#[cfg(all(unix, feature = "sqlite"))]
mod crash;
mod life;
mod resume;
mod support;
