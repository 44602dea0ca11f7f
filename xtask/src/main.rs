//! The two commands of the repository.
fn main() {}
