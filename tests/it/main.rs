//! The integration tests: one binary.

// A test that cannot go on panics: that is how it fails.
#![allow(clippy::unwrap_used)]

#[cfg(feature = "sqlite")]
mod by_hand;
mod children;
mod control;
#[cfg(all(unix, feature = "sqlite"))]
mod crash;
mod faulty;
mod file;
mod flow;
#[cfg(feature = "sqlite")]
mod golden;
mod hooks;
mod life;
mod loading;
mod resume;
mod robust;
#[cfg(feature = "sqlite")]
mod shared_file;
mod snapshots;
mod spec;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
mod support;
mod walk;
