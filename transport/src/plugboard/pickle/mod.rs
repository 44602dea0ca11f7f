//! Plain data in Python's pickle: read without executing anything, and written.
//!
//! A pickle is a program for a machine that can call whatever Python can import. This one has only the instructions
//! that make plain
//! data: `None`, booleans, integers of 64 bits, floats, texts, bytes, lists, tuples and dictionaries. Any other is
//! refused by its
//! name and place. What is read is bounded in depth and in size, also where a small pickle would stand for a large
//! value by
//! referring to its parts many times.

mod error;
mod opcodes;
mod read;
mod write;

pub use self::error::PickleError;
pub use self::read::read;
pub use self::write::write;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
