//! What travels: messages as Python writes them, and as Python reads them.

mod peer;
mod values;
