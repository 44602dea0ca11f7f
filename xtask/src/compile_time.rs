//! `cargo xtask compile-time`: what the library costs a small program at build time.

use serde_json::Value;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Fault;
use crate::run::{Scratch, cargo, root, succeed};

const SOURCE: &str = include_str!("../hello.rs");
/// What an edit of the step changes.
const EDITED: &str = "\"hello, ";
const EDITS: usize = 3;

/// Measures, and prints each figure beside its aim.
pub(crate) fn compile_time() -> Result<bool, Fault> {
    let scratch = Scratch::new("compile-time")?;
    let folder = scratch.path();
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::write(folder.join("Cargo.toml"), manifest())?;
    std::fs::write(folder.join("src/main.rs"), SOURCE)?;
    // The versions of the workspace; and what is measured is no download.
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    succeed(&mut in_folder("fetch --quiet", folder))?;

    let (clean, crates) = clean_build(folder)?;
    let mut edits = (1..=EDITS).map(|edit| incremental_build(folder, edit)).collect::<Result<Vec<_>, Fault>>()?;
    edits.sort_unstable();
    let edit = edits.get(EDITS / 2).copied().unwrap_or_default();
    succeed(&mut in_folder("run --quiet", folder))?;

    println!("\na small program with default features, built with 2 jobs");
    println!("{:<44} {crates:>6}      aim < 150", "crates compiled");
    println!("{:<44} {:>6.1} s    aim < 60 s", "clean build", clean.as_secs_f64());
    println!("{:<44} {:>6.2} s    aim < 2 s", "build after an edit of one step, median of 3", edit.as_secs_f64());
    Ok(true)
}

fn manifest() -> String {
    format!(
        "[package]\nname = \"hello\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[workspace]\n\n\
         [dependencies]\nprocession = {{ path = '{}' }}\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }}\n",
        root().display()
    )
}

fn in_folder(arguments: &str, folder: &Path) -> Command {
    let mut command = cargo(arguments);
    command.current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
    command
}

/// The time, and the number of different crates that were compiled, the program's own included.
fn clean_build(folder: &Path) -> Result<(Duration, usize), Fault> {
    let start = Instant::now();
    let mut build = in_folder("build -j2 --message-format json-render-diagnostics", folder);
    let mut child = build.stdout(Stdio::piped()).spawn()?;
    let mut crates = HashSet::new();
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let message: Value = serde_json::from_str(&line?)?;
        if message["reason"] == "compiler-artifact" {
            crates.insert(message["package_id"].to_string());
        }
    }
    if !child.wait()?.success() {
        return Err("the program does not build".into());
    }
    Ok((start.elapsed(), crates.len()))
}

/// The time of a build after the text in the step was changed.
fn incremental_build(folder: &Path, edit: usize) -> Result<Duration, Fault> {
    let source = SOURCE.replace(EDITED, &format!("{EDITED}for the {edit}. time, "));
    if source == SOURCE {
        return Err("there is nothing to edit in the program".into());
    }
    std::fs::write(folder.join("src/main.rs"), source)?;
    let start = Instant::now();
    succeed(&mut in_folder("build --quiet -j2", folder))?;
    Ok(start.elapsed())
}
