//! What travels: messages as Python writes them, and as Python reads them.

mod bodies;
mod golden;
mod peer;
mod reading;
mod values;
