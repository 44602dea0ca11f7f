//! What carries items in Python: `peers.py`, in an OS process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::measure::Sample;

/// The interpreter that has pyzmq; `cargo xtask bench` makes one.
pub(super) fn interpreter() -> Option<PathBuf> {
    std::env::var_os("PROCESSION_PYTHON").map(PathBuf::from)
}

/// Items a second of one of them.
pub(super) fn measure(python: &Path, what: &str, items: usize) -> Sample {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/workloads/w8/peers.py");
    let mut command = Command::new(python);
    command.arg(script).args([what, &items.to_string()]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().expect("the interpreter starts");
    assert!(output.status.success(), "{what} in Python: {}", output.status);
    let figure = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a figure");
    Sample::new(figure)
}
