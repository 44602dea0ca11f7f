//! What an editor sees in the macros: completion, definitions, hover and errors, asked of rust-analyzer.
//!
//! The program stands in a package of its own, with the facade as a dependency from outside, as with users. This is
//! the one test that may be left out: where rust-analyzer or the sources of the standard library are not installed, it
//! says so and counts as ignored. That is why it has a harness of its own, which prints as the standard one does.

mod checks;
mod client;
mod harness;

use client::{Client, Fault, uri};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use checks::{Ask, PROGRAM};
use harness::Harness;

fn main() -> ExitCode {
    let mut harness = Harness::from_arguments(checks::all().into_iter().map(|check| check.name));
    if harness.is_idle() {
        return harness.finish();
    }
    let mut editor = match Editor::open() {
        Ok(Ok(editor)) => editor,
        Ok(Err(missing)) => {
            return harness.leave_out(&missing);
        }
        Err(fault) => {
            harness.fail_the_rest(&fault.to_string());
            return harness.finish();
        }
    };
    for check in checks::all() {
        if !harness.wants(check.name) {
            continue;
        }
        match editor.check(&check.ask) {
            Ok(wrong) => harness.tell(check.name, wrong),
            Err(fault) => {
                // A server that does not answer will not answer the next question either.
                harness.fail_the_rest(&fault.to_string());
                break;
            }
        }
    }
    drop(editor);
    harness.finish()
}

/// A file that is open in a server.
struct Editor {
    client: Client,
    file: String,
    version: u64,
}

/// A place in the program.
struct Place {
    line: usize,
    column: usize,
}

impl Editor {
    /// Opens the program; what is missing, if something is.
    fn open() -> Result<Result<Self, String>, Fault> {
        let package = generate()?;
        if let Some(missing) = missing(&package) {
            return Ok(Err(missing));
        }
        let client = Client::start(&package, &options())?;
        let mut editor = Self { client, file: uri(&package.join("src/main.rs")), version: 1 };
        let document = json!({ "uri": editor.file, "languageId": "rust", "version": 1, "text": PROGRAM });
        editor.client.tell("textDocument/didOpen", &json!({ "textDocument": document }))?;
        // Its dependencies come over the network, once.
        let number = editor.ask("hover", &place(PROGRAM, "steps: u$032")?)?;
        if !number.to_string().contains("32-bit") {
            return Ok(Err("rust-analyzer cannot read the sources of the standard library".to_owned()));
        }
        Ok(Ok(editor))
    }

    /// What is not as expected.
    fn check(&mut self, ask: &Ask) -> Result<Option<String>, Fault> {
        match ask {
            Ask::Completion { instead_of, typed, offers } => {
                if !PROGRAM.contains(instead_of) {
                    return Err(format!("the program has no `{instead_of}`").into());
                }
                let marked = PROGRAM.replacen(instead_of, typed, 1);
                let text = marked.replace("$0", "");
                self.show(&text)?;
                let cursor = marked.find("$0").ok_or("no place is marked")?;
                let answer = self.ask("completion", &place_at(&text, cursor));
                self.show(PROGRAM)?;
                let answer = answer?;
                let items = answer["items"].as_array().or(answer.as_array());
                let labels: Vec<&str> =
                    items.into_iter().flatten().filter_map(|item| item["label"].as_str()).map(name).collect();
                let offered = labels.contains(offers);
                Ok((!offered).then(|| format!("`{offers}` is not offered at `{typed}`, but {labels:?}")))
            }
            Ask::Definition { of, lines } => {
                let answer = self.ask("definition", &place(PROGRAM, of)?)?;
                let targets: Vec<&Value> = answer.as_array().into_iter().flatten().collect();
                let found: Vec<&str> = targets.iter().map(|target| self.line_of(target)).collect();
                let fits = found.len() == lines.len() && found.iter().zip(*lines).all(|(a, b)| a.contains(b));
                Ok((!fits).then(|| format!("`{of}` leads to {found:?}, not to {lines:?}")))
            }
            Ask::Hover { over, says } => {
                let answer = self.ask("hover", &place(PROGRAM, over)?)?;
                let text = answer["contents"]["value"].as_str().unwrap_or_default();
                Ok((!text.contains(says)).then(|| format!("hover over `{over}` does not say `{says}`, but: {text}")))
            }
            Ask::Errors => {
                let document = json!({ "textDocument": { "uri": self.file } });
                let answer = self.client.ask("textDocument/diagnostic", &document)?;
                let items = answer["items"].as_array().cloned().unwrap_or_default();
                Ok((!items.is_empty()).then(|| format!("a correct program is said to be wrong: {items:#?}")))
            }
        }
    }

    fn ask(&mut self, what: &str, Place { line, column }: &Place) -> Result<Value, Fault> {
        let position = json!({ "line": line, "character": column });
        let parameters = json!({ "textDocument": { "uri": self.file }, "position": position });
        self.client.ask(&format!("textDocument/{what}"), &parameters)
    }

    /// Puts another text into the file, as if it were typed.
    fn show(&mut self, text: &str) -> Result<(), Fault> {
        self.version += 1;
        let document = json!({ "uri": self.file, "version": self.version });
        let change = json!({ "textDocument": document, "contentChanges": [{ "text": text }] });
        self.client.tell("textDocument/didChange", &change)
    }

    /// The line of the program that a definition is in.
    fn line_of(&self, target: &Value) -> &'static str {
        let (file, range) = match target["targetUri"].as_str() {
            Some(file) => (file, &target["targetSelectionRange"]),
            None => (target["uri"].as_str().unwrap_or_default(), &target["range"]),
        };
        let line = range["start"]["line"].as_u64().and_then(|line| usize::try_from(line).ok());
        let lines = line.filter(|_| file == self.file).and_then(|line| PROGRAM.lines().nth(line));
        lines.unwrap_or("(not in the program)")
    }
}

/// `outcome` of `outcome(as Trait)`.
fn name(label: &str) -> &str {
    label.split('(').next().unwrap_or(label)
}

/// The place that `$0` marks in a piece of a text.
fn place(text: &str, marked: &str) -> Result<Place, Fault> {
    let (before, piece) = (marked.find("$0").ok_or("no place is marked")?, marked.replace("$0", ""));
    let found = text.find(&piece).ok_or_else(|| format!("the program has no `{piece}`"))?;
    Ok(place_at(text, found + before))
}

fn place_at(text: &str, offset: usize) -> Place {
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    // The protocol counts in UTF-16.
    Place { line: before.matches('\n').count(), column: before[start..].encode_utf16().count() }
}

/// Nothing that costs time and is not asked for. The target folder is that of the other generated packages.
fn options() -> Value {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile/target");
    json!({
        "checkOnSave": false,
        "cachePriming": { "enable": false },
        "cargo": { "allTargets": false, "targetDir": target },
        "files": { "watcher": "client" },
        "numThreads": 2,
    })
}

/// What of the toolchain is missing.
fn missing(package: &Path) -> Option<String> {
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(package).stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if run("rust-analyzer", &["--version"]).is_none() {
        return Some("rust-analyzer is not installed (`rustup component add rust-analyzer`)".to_owned());
    }
    let sysroot = run("rustc", &["--print", "sysroot"]).unwrap_or_default();
    let sources = Path::new(&sysroot).join("lib/rustlib/src/rust/library/core");
    (!sources.exists()).then(|| "the sources of Rust are not installed (`rustup component add rust-src`)".to_owned())
}

/// Writes a package outside of the workspace.
fn generate() -> Result<PathBuf, Fault> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("editor");
    let manifest = format!(
        "[package]\nname = \"edited\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[workspace]\n\n\
         [dependencies]\nprocession = {{ path = {:?}, default-features = false }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\n",
        root.to_string_lossy()
    );
    fs::create_dir_all(package.join("src"))?;
    fs::write(package.join("Cargo.toml"), manifest)?;
    // The versions of the workspace, so that nothing is looked up.
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock"))?;
    fs::write(package.join("src/main.rs"), PROGRAM)?;
    Ok(package)
}
