//! How a process is found by its id or its key, which may be longer than an index takes.

/// Whether two ids, or two keys, are the same: an index has the beginning of each, by which they are in order, and what
/// tells those apart that begin alike.
macro_rules! same {
    ($one:literal, $other:literal) => {
        concat!("(substr(", $one, ", 1, 64), sha256(", $one, ")) = (substr(", $other, ", 1, 64), sha256(", $other, "))")
    };
}

pub(super) use same;
