//! Against PyYAML itself: what one side writes, the other reads to the same value.

use procession::message::{Node, STANDARD, UUID, decode, encode};
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::values::shown;

/// Values in each direction.
const VALUES: u64 = 5_000;

/// A Python that reads and writes messages.
struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Python {
    fn start(seed: u64) -> Self {
        let python = std::env::var_os("PROCESSION_PYTHON").expect("PROCESSION_PYTHON names a Python with PyYAML");
        let mut command = Command::new(python);
        command.args(["-c", include_str!("peer.py"), &seed.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let output = child.stdout.take().unwrap();
        Self { child, input, output }
    }

    fn ask(&mut self, asked: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(&u32::try_from(asked.len()).unwrap().to_be_bytes()).unwrap();
        input.write_all(asked).unwrap();
        input.flush().unwrap();
    }

    fn answer(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.output.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.output.read_exact(&mut answer).unwrap();
        answer
    }

    /// A message that Python writes, and the text of its value.
    fn dump(&mut self) -> (Vec<u8>, String) {
        self.ask(b"dump");
        (self.answer(), String::from_utf8(self.answer()).unwrap())
    }

    /// The text of the value that Python reads.
    fn load(&mut self, message: &[u8]) -> String {
        self.ask(&[b"load", message].concat());
        String::from_utf8(self.answer()).unwrap()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs Python with PyYAML: cargo xtask test"]
fn what_python_writes_is_read_as_the_same_value() {
    let mut python = Python::start(1);
    for number in 0..VALUES {
        let (message, value) = python.dump();
        let shown_message = || String::from_utf8_lossy(&message).into_owned();
        let node = decode(&message).unwrap_or_else(|error| panic!("{number}: {error}\n{}", shown_message()));
        assert_eq!(shown(&node), value, "{number}: {}", shown_message());
        // And back again: as it was read, it is written so that Python reads the same.
        let written = encode(&node).unwrap();
        assert_eq!(python.load(&written), value, "{number}: {}", String::from_utf8_lossy(&written));
    }
}
