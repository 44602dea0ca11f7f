//! Whether the links of a text lead to items of the facade: rustdoc is asked.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Those that bring the items which the table names.
const FEATURES: &str = r#""sqlite", "amqp", "zmq", "mesh", "conformance", "collect""#;

/// The links that lead nowhere.
///
/// The text becomes the documentation of a generated crate that depends on the facade. It is built beside the compile
/// tests, whose dependencies it shares.
pub(super) fn broken(name: &str, text: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let package = temporary.join("parity").join(name);
    let manifest = format!(
        "[package]\nname = {:?}\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         procession = {{ path = {:?}, features = [{FEATURES}] }}\n",
        format!("parity-{name}"),
        root.to_string_lossy()
    );
    fs::create_dir_all(package.join("src")).expect("the target folder can be written");
    let write = |path: &str, text: &str| fs::write(package.join(path), text).expect("the target folder can be written");
    write("Cargo.toml", &manifest);
    // The versions of the workspace, so that nothing is looked up.
    write("Cargo.lock", &fs::read_to_string(root.join("Cargo.lock")).expect("the workspace is locked"));
    write("src/lib.rs", "#![deny(rustdoc::broken_intra_doc_links)]\n#![doc = include_str!(\"table.md\")]\n");
    write("src/table.md", &text.replace("crate::", "procession::"));
    let output = Command::new(env!("CARGO"))
        .args(["doc", "--no-deps", "--offline", "--quiet"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", temporary.join("compile/target"))
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTDOCFLAGS")
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let broken: Vec<_> =
        said.lines().filter(|line| line.starts_with("error: unresolved link")).map(str::to_owned).collect();
    assert!(output.status.success() || !broken.is_empty(), "rustdoc failed:\n{said}");
    broken
}
