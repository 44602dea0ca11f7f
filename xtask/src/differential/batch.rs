//! Runs a batch of cases in both languages, each in one program of its own kind, and reads what they wrote down.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::case::Case;
use super::{python, rust};
use crate::Fault;
use crate::run::{cargo, root, shown};

/// Crates that are compiled side by side.
const PARTS: usize = 2;

/// What was written down about one case: the processes by name, on plumpy's side and, by mode, on ours.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) plumpy: Value,
    pub(crate) ours: BTreeMap<String, Value>,
}

/// Where batches are written and run.
pub(crate) struct Workshop {
    purpose: &'static str,
    folder: PathBuf,
    python: PathBuf,
    /// Held while it is open: of two at once in one folder, each would run the other's programs.
    _lock: File,
}

impl Workshop {
    /// Makes what all batches share. `purpose` keeps those apart that may run at the same time.
    pub(crate) fn open(purpose: &'static str) -> Result<Self, Fault> {
        let folder = root().join("target/differential");
        std::fs::create_dir_all(folder.join(purpose))?;
        let lock = File::create(folder.join(purpose).join("lock"))?;
        lock.lock()?;
        let python = crate::venv::plumpy()?;
        Ok(Self { purpose, folder: folder.join(purpose), python, _lock: lock })
    }

    /// Runs all cases: the same ones on both sides, unless a test wants them to differ.
    pub(crate) fn run(&self, plumpy: &[Case], ours: &[Case]) -> Result<BTreeMap<String, Recorded>, Fault> {
        let mut recorded: BTreeMap<String, Recorded> = BTreeMap::new();
        let (plumpy, ours) = std::thread::scope(|scope| {
            let plumpy = scope.spawn(|| self.run_python(plumpy));
            let ours = self.run_rust(ours);
            (plumpy.join().unwrap_or_else(|_| Err("the thread that runs Python panicked".into())), ours)
        });
        for line in plumpy?.lines() {
            let line: Value = serde_json::from_str(line)?;
            recorded.entry(name(&line)).or_default().plumpy = line["processes"].clone();
        }
        for line in ours?.lines() {
            let line: Value = serde_json::from_str(line)?;
            let mode = line["mode"].as_str().unwrap_or_default().to_owned();
            recorded.entry(name(&line)).or_default().ours.insert(mode, line["processes"].clone());
        }
        Ok(recorded)
    }

    fn run_python(&self, cases: &[Case]) -> Result<String, Fault> {
        let program = self.folder.join("batch.py");
        write(&program, &python::program(cases))?;
        let mut command = Command::new(&self.python);
        command.arg(&program).env("PYTHONPATH", root().join("tests/differential")).env("PYTHONDONTWRITEBYTECODE", "1");
        output(&mut command)
    }

    fn run_rust(&self, cases: &[Case]) -> Result<String, Fault> {
        let package = self.folder.join("package");
        self.write_packages(&package, cases)?;
        let target = root().join("target/differential/target");
        let mut build = cargo("build --quiet --workspace");
        build.current_dir(&package).env("CARGO_TARGET_DIR", &target).env("CARGO_INCREMENTAL", "0");
        output(build.env_remove("RUSTFLAGS"))?;
        let parts = parts(cases).count();
        (0..parts).map(|part| output(&mut Command::new(target.join("debug").join(self.part_name(part))))).collect()
    }

    fn part_name(&self, part: usize) -> String {
        format!("{}{part}", self.purpose)
    }

    fn write_packages(&self, package: &Path, cases: &[Case]) -> Result<(), Fault> {
        let sources = root().join("tests/differential");
        let quoted = |path: PathBuf| format!("{:?}", path.to_string_lossy());
        let members: Vec<String> =
            parts(cases).enumerate().map(|(part, _)| format!("{:?}", self.part_name(part))).collect();
        let workspace = format!(
            "[workspace]\nresolver = \"3\"\nmembers = [\"recorder\", {}]\n\n[profile.dev]\ndebug = 0\nincremental = false\n",
            members.join(", ")
        );
        write(&package.join("Cargo.toml"), &workspace)?;
        // The versions of the workspace, so that nothing is looked up.
        write(&package.join("Cargo.lock"), &std::fs::read_to_string(root().join("Cargo.lock"))?)?;
        let dependencies = format!(
            "[dependencies]\nprocession = {{ path = {}, default-features = false }}\n\
             serde = {{ version = \"1\", features = [\"derive\"] }}\nserde_json = \"1\"\n\
             tokio = {{ version = \"1\", default-features = false, features = [\"rt-multi-thread\", \"time\", \"sync\", \"macros\"] }}\n",
            quoted(root().to_path_buf())
        );
        let library =
            format!("{}[lib]\npath = {}\n\n{dependencies}", head("recorder"), quoted(sources.join("recorder.rs")));
        write(&package.join("recorder/Cargo.toml"), &library)?;
        for (part, cases) in parts(cases).enumerate() {
            let name = self.part_name(part);
            let manifest = format!("{}{dependencies}recorder = {{ path = \"../recorder\" }}\n", head(&name));
            write(&package.join(&name).join("Cargo.toml"), &manifest)?;
            write(&package.join(&name).join("src/main.rs"), &rust::program(cases))?;
        }
        Ok(())
    }
}

fn name(line: &Value) -> String {
    line["case"].as_str().unwrap_or_default().to_owned()
}

fn parts(cases: &[Case]) -> std::slice::Chunks<'_, Case> {
    cases.chunks(cases.len().div_ceil(PARTS).max(1))
}

fn head(name: &str) -> String {
    format!("[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n")
}

/// Writes a file unless it is there already: a new time would make cargo build it again.
fn write(path: &Path, text: &str) -> Result<(), Fault> {
    if std::fs::read_to_string(path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    path.parent().map(std::fs::create_dir_all).transpose()?;
    Ok(std::fs::write(path, text)?)
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String, Fault> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("`{}` cannot be started: {error}", shown(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let (status, said) = (output.status, String::from_utf8_lossy(&output.stderr));
    Err(format!("`{}` failed: {status}\n{said}", shown(command)).into())
}
