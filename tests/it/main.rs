//! The integration tests: one binary.

mod by_hand;
mod children;
mod control;
#[cfg(all(unix, feature = "sqlite"))]
mod crash;
mod faulty;
mod flow;
mod hooks;
mod life;
mod resume;
mod spec;
mod support;
mod walk;
