//! The runtime of procession, in the order of a process's life: [`spec`], [`outline`], [`process`], [`registry`],
//! [`store`], [`Runtime`]; then [`stream`], [`message`] and [`communicator`].
//!
//! Use it through the facade crate `procession`, which adds the macros; everything the macros write can be written by
//! hand with what is public here.

pub mod clock;
pub mod communicator;
pub mod controller;
pub mod doctor;
pub mod launcher;
pub mod limits;
pub mod listener;
pub mod message;
pub mod outline;
pub mod picture;
pub mod process;
pub mod registry;
mod resources;
mod runner;
pub mod spec;
pub mod store;
pub mod stream;
mod text;

#[doc(hidden)]
pub mod __private;

pub use controller::{ControlError, RemoteProcessController, blocking};
pub use process::{Child, Cx, Next, Outcome, Process, ProcessId, ProcessState};
pub use runner::{
    Answers, AnyHandle, Counted, Handle, Health, Launching, LaunchingByName, LeaseHealth, Mending, RunError, Runtime,
    RuntimeBuilder, Status, WorkerOptions, current,
};
