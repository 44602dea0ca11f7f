//! Against PyYAML itself: what one side writes, the other reads to the same value.

use procession::message::{Node, STANDARD, UUID, decode, encode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::golden;
use super::values::shown;

/// Values in each direction.
const VALUES: u32 = 5_000;
const SEED: u8 = 4;

/// A Python that reads and writes messages.
struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Python {
    fn start(seed: u8) -> Self {
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
    let mut python = Python::start(SEED);
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

#[test]
#[ignore = "needs Python with PyYAML: cargo xtask test"]
fn what_is_written_is_read_by_python_as_the_same_value() {
    let python = RefCell::new(Python::start(SEED));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[SEED; 32]);
    let config = Config { cases: VALUES, failure_persistence: None, ..Config::default() };
    let tried = TestRunner::new_with_rng(config, rng).run(&nodes(), |node| {
        let written = encode(&node).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(
            shown(&decode(&written).map_err(|error| TestCaseError::fail(error.to_string()))?),
            shown(&node)
        );
        prop_assert_eq!(python.borrow_mut().load(&written), shown(&node), "{}", String::from_utf8_lossy(&written));
        Ok(())
    });
    if let Err(fault) = tried {
        panic!("{fault}");
    }
}

/// Captured messages, written again: Python reads them as it read the first ones.
#[test]
#[ignore = "needs Python with PyYAML: cargo xtask test"]
fn captured_messages_that_are_written_again_are_the_same_to_python() {
    let mut python = Python::start(SEED);
    let mut read = 0;
    for (name, message) in golden::messages() {
        let value = python.load(&message);
        // Objects of Python, which kiwipy sends and does not take; pairs of surrogates, which are two characters there.
        if value.starts_with("error ConstructorError") || name == "json_reply" {
            continue;
        }
        let written = encode(&decode(&message).unwrap()).unwrap();
        assert_eq!(python.load(&written), value, "{name}: {}", String::from_utf8_lossy(&written));
        read += 1;
    }
    assert!(read > 40, "{read} messages were compared");
}

/// Keys and texts beyond what PyYAML looks for a `:` in.
#[test]
#[ignore = "needs Python with PyYAML: cargo xtask test"]
fn long_keys_and_texts_arrive() {
    let mut python = Python::start(SEED);
    for length in [499, 997, 998, 999, 1_000, 1_025, 3_000] {
        for part in ["a", "\u{e9}", "\u{1f600}", "\n", " ", "\\"] {
            let text = part.repeat(length);
            let node = Node::mapping([(text.clone(), Node::text(text))]);
            let written = encode(&node).unwrap();
            assert_eq!(shown(&decode(&written).unwrap()), shown(&node), "{length} of {part:?}");
            assert!(python.load(&written) == shown(&node), "{length} of {part:?}");
        }
    }
}

fn characters() -> impl Strategy<Value = char> {
    let special = "\0\u{7}\t\n\r\u{1b} \"'\\/#:-?,{}[]&*!|>%@`\u{7f}\u{80}\u{84}\u{85}\u{9f}\u{a0}\u{2028}\u{2029}\u{d7ff}\u{e000}\
        \u{feff}\u{fffd}\u{fffe}\u{ffff}\u{1f600}\u{1fffe}\u{10ffff}";
    prop_oneof![2 => any::<char>(), 2 => proptest::char::range(' ', '~'), 3 => proptest::sample::select(special.chars().collect::<Vec<_>>())]
}

fn texts() -> impl Strategy<Value = String> {
    let looks_like =
        ["yes", "1:30", "017", "1_000", "~", "", "=", "<<", "2026-01-02", "1.0e+16", "null", "- a", "---", "..."];
    prop_oneof![
        60 => vec(characters(), 0..20).prop_map(|characters| characters.into_iter().collect::<String>()),
        1 => vec(characters(), 0..1_200).prop_map(|characters| characters.into_iter().collect::<String>()),
        20 => proptest::sample::select(looks_like.to_vec()).prop_map(str::to_owned),
    ]
}

/// Values that Python takes as keys.
fn scalars() -> impl Strategy<Value = Node> {
    let standard = |tag: &'static str| move |text: String| Node::tagged(format!("{STANDARD}{tag}"), Node::text(text));
    let binary = vec("[A-Za-z0-9+/]{4}", 0..30).prop_map(|groups| groups.concat());
    let times = ["2026-01-02", "2026-01-02 03:04:05", "2026-01-02 03:04:05.000006+00:00", "2026-01-02 03:04:05-05:30"];
    let times = proptest::sample::select(times.to_vec()).prop_map(str::to_owned);
    prop_oneof![
        6 => texts().prop_map(Node::Text),
        1 => Just(Node::Null),
        1 => any::<bool>().prop_map(Node::Bool),
        1 => any::<i128>().prop_map(Node::Integer),
        2 => (-300..300_i64).prop_map(Node::from),
        1 => "-?[1-9][0-9]{40,60}".prop_map(|digits| Node::Huge(digits.into())),
        2 => any::<f64>().prop_map(Node::Float),
        2 => any::<i32>().prop_map(|number| Node::Float(f64::from(number) * 1e10)),
        1 => proptest::sample::select(vec![0.0, -0.0, 1e16, 5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]).prop_map(Node::Float),
        1 => any::<u128>().prop_map(|bits| Node::tagged(UUID, Node::text(uuid::Uuid::from_u128(bits).to_string()))),
        1 => binary.prop_map(standard("binary")),
        1 => times.prop_map(standard("timestamp")),
        1 => (any::<i8>(), 0..9_u8).prop_map(|(real, imaginary)| Node::tagged(format!("{STANDARD}python/complex"), Node::text(format!("{real}.5+{imaginary}.25j")))),
    ]
}

/// Each key once, as Python compares keys: of numbers only integers, of truths none.
fn once(keys: Vec<Node>) -> Vec<Node> {
    let mut seen = HashSet::new();
    let key = |node: &Node| !matches!(node, Node::Bool(_) | Node::Float(_)) && seen.insert(shown(node));
    keys.into_iter().filter(key).collect()
}

fn nodes() -> impl Strategy<Value = Node> {
    let tuple = |nodes| Node::tagged(format!("{STANDARD}python/tuple"), Node::Sequence(nodes));
    let set = |keys| {
        let entries = once(keys).into_iter().map(|key| (key, Node::Null)).collect();
        Node::tagged(format!("{STANDARD}set"), Node::Mapping(entries))
    };
    let key = move || prop_oneof![8 => scalars(), 1 => vec(scalars(), 0..3).prop_map(tuple)];
    scalars().prop_recursive(6, 24, 6, move |inner| {
        let entries = (vec(key(), 0..8), vec(inner.clone(), 8));
        prop_oneof![
            2 => vec(inner.clone(), 0..8).prop_map(Node::Sequence),
            4 => entries.prop_map(|(keys, nodes)| Node::Mapping(once(keys).into_iter().zip(nodes).collect())),
            1 => vec(inner, 0..4).prop_map(tuple),
            1 => vec(scalars(), 0..4).prop_map(set),
        ]
    })
}
