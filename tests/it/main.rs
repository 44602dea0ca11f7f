//! The integration tests: one binary.

mod by_hand;
mod children;
mod control;
mod faulty;
mod hooks;
mod life;
mod resume;
mod spec;
mod support;
