#![allow(clippy::unwrap_used, dead_code)]
#[path = "it/children.rs"]
mod children;
#[path = "it/doctor.rs"]
mod doctor;
#[path = "it/drain.rs"]
mod drain;
#[path = "it/faulty.rs"]
mod faulty;
#[path = "it/health.rs"]
mod health;
#[path = "it/life.rs"]
mod life;
#[path = "it/network.rs"]
mod network;
#[path = "it/poison.rs"]
mod poison;
#[path = "it/postgres.rs"]
mod postgres;
#[path = "it/private.rs"]
mod private;
#[path = "it/resume.rs"]
mod resume;
#[path = "it/store.rs"]
mod store;
#[path = "it/support.rs"]
mod support;
#[path = "it/workers.rs"]
mod workers;
