//! What all peers share: the state that their processes write, and how they are measured.

mod pace;
mod state;

pub use pace::{Pace, Paced};
pub use state::{STEPS, State};

/// What a peer is told: where its database is, and how to go about it.
///
/// # Panics
/// Of bad arguments.
pub fn arguments() -> (String, Pace) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [place, pace] = &arguments[..] else { panic!("a place and a pace, not {arguments:?}") };
    (place.clone(), serde_json::from_str(pace).expect("a pace"))
}

/// What it tells, as its last line.
///
/// # Panics
/// Never: numbers are JSON.
pub fn tell(paced: &Paced) {
    println!("{}", serde_json::to_string(paced).expect("numbers are JSON"));
}
