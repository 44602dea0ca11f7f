//! The integration tests: one binary.

// A test that cannot go on panics: that is how it fails.
#![allow(clippy::unwrap_used)]

#[cfg(all(unix, feature = "amqp"))]
mod amqp;
#[cfg(all(unix, any(feature = "amqp-tls", feature = "postgres-tls")))]
mod authority;
mod beside;
#[cfg(all(unix, feature = "amqp", feature = "postgres", feature = "sqlite"))]
mod between;
#[cfg(all(unix, feature = "amqp"))]
mod broker;
#[cfg(feature = "sqlite")]
mod by_hand;
mod chains;
#[cfg(all(unix, feature = "postgres", feature = "sqlite"))]
mod chaos;
mod children;
#[cfg(all(feature = "cli", feature = "sqlite"))]
mod cli;
#[cfg(all(unix, feature = "cli", feature = "sqlite"))]
mod cli_attempts;
#[cfg(all(unix, feature = "cli", feature = "amqp", feature = "sqlite"))]
mod cli_broker;
#[cfg(all(unix, feature = "cli", feature = "amqp", feature = "sqlite"))]
mod cli_faults;
#[cfg(all(unix, feature = "cli", feature = "sqlite"))]
mod cli_look;
#[cfg(all(unix, feature = "cli", feature = "amqp", feature = "sqlite"))]
mod cli_mends;
#[cfg(all(unix, feature = "cli", feature = "sqlite"))]
mod cli_race;
#[cfg(all(unix, feature = "cli", feature = "amqp", feature = "sqlite"))]
mod cli_run;
#[cfg(all(unix, feature = "cli", feature = "sqlite"))]
mod cli_select;
#[cfg(all(unix, feature = "cli", feature = "sqlite"))]
mod cli_shell;
#[cfg(all(unix, feature = "cli", feature = "sqlite"))]
mod cli_store;
#[cfg(all(unix, feature = "cli", feature = "sqlite"))]
mod cli_streams;
#[cfg(all(unix, feature = "cli", feature = "sqlite"))]
mod cli_transfer;
#[cfg(all(unix, feature = "cli", feature = "sqlite"))]
mod cli_workers;
mod communicator;
mod control;
mod controller;
#[cfg(all(unix, feature = "sqlite"))]
mod crash;
mod doctor;
mod drain;
mod expose;
#[cfg(all(unix, feature = "amqp", feature = "sqlite"))]
mod faults;
mod faulty;
mod file;
mod flow;
mod forward;
#[cfg(feature = "sqlite")]
mod golden;
#[cfg(all(unix, feature = "cli", feature = "sqlite"))]
mod guide;
mod health;
mod hooks;
mod inputs;
#[cfg(all(unix, feature = "amqp", feature = "sqlite"))]
mod interop;
mod launcher;
mod life;
#[cfg(all(unix, feature = "cli", feature = "sqlite"))]
mod live;
mod loading;
mod model;
#[cfg(all(unix, any(feature = "amqp", feature = "postgres")))]
mod network;
#[cfg(all(unix, feature = "sqlite"))]
mod os_process;
mod outbox;
mod outcome;
mod parity;
mod picture;
#[cfg(feature = "sqlite")]
mod points;
mod poison;
mod ports;
mod position;
#[cfg(all(unix, feature = "postgres"))]
mod postgres;
#[cfg(all(unix, feature = "postgres"))]
mod postgres_store;
#[cfg(all(unix, any(feature = "amqp", feature = "postgres")))]
mod private;
mod progress;
mod protocol;
mod registry;
mod remote;
mod resume;
mod robust;
mod schema;
mod search;
mod sequences;
#[cfg(feature = "sqlite")]
mod shared_file;
mod snapshots;
mod spec;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(all(unix, feature = "sqlite"))]
mod sqlite_sharing;
mod states;
mod store;
mod streams;
mod support;
mod walk;
mod wire;
mod work_chain;
mod workers;
