//! What processes do.

mod flow;
