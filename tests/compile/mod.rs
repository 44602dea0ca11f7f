//! Compile tests: what the compiler says about small programs, compared by message and caret.
//!
//! All cases of a suite become binaries of one generated package, so that one `cargo check` sees them all. Of each
//! diagnostic only level, code, first line and caret are compared; labels, notes and helps stand in the expectation
//! for the reader, on lines that begin with `    |`, and may be reworded by another compiler.
//!
//! `tests/ui/SUITE/pass/*.rs` must compile without a warning, `fail/*.rs` must say what the `.stderr` file beside
//! each holds, `aux/*.rs` are library crates that all cases can name. `BLESS=1` writes the expectations; the list for
//! users is written from them afterwards, by `BLESS=1 cargo test --test ui_document`.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Checks all cases in `tests/ui/SUITE`.
#[track_caller]
pub(crate) fn check(suite: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui").join(suite);
    let (pass, fail) = (sources(&folder.join("pass")), sources(&folder.join("fail")));
    assert!(!pass.is_empty() && !fail.is_empty(), "no cases in {}", folder.display());
    let only = env::var("CASE").ok();
    let cases: Vec<Case> = (pass.into_iter().map(|path| Case::new("pass", path)))
        .chain(fail.into_iter().map(|path| Case::new("fail", path)))
        .filter(|case| only.as_ref().is_none_or(|only| case.name.contains(only.as_str())))
        .collect();
    let said = run(&generate(suite, &folder, &cases));
    let unexpected: Vec<String> = cases.iter().filter_map(|case| case.compare(said.get(&case.name))).collect();
    assert!(
        unexpected.is_empty(),
        "{} of {} cases differ; `BLESS=1` accepts what the compiler says\n\n{}",
        unexpected.len(),
        cases.len(),
        unexpected.join("\n")
    );
}

struct Case {
    name: String,
    source: PathBuf,
    passes: bool,
}

impl Case {
    fn new(kind: &str, source: PathBuf) -> Self {
        let stem = source.file_stem().unwrap_or_default().to_string_lossy();
        Self { name: format!("{kind}_{stem}"), passes: kind == "pass", source }
    }

    /// What is not as expected.
    fn compare(&self, said: Option<&Vec<Said>>) -> Option<String> {
        let mut said: Vec<&Said> = said.into_iter().flatten().collect();
        said.sort();
        said.dedup();
        let actual = said.iter().fold(String::new(), |text, said| text + &said.text);
        let expectation = self.source.with_extension("stderr");
        let expected = if self.passes { String::new() } else { fs::read_to_string(&expectation).unwrap_or_default() };
        if self.passes || !actual.contains("error") {
            let wanted = if self.passes { "compiles without a word" } else { "does not compile" };
            let fine = actual.is_empty() == self.passes;
            return (!fine || !self.passes).then(|| format!("== {}: expected that it {wanted}\n{actual}", self.name));
        }
        if env::var_os("BLESS").is_some() {
            fs::write(&expectation, &actual).expect("expectations can be written");
            return None;
        }
        (compared(&actual) != compared(&expected))
            .then(|| format!("== {}\n-- expected\n{expected}-- actual\n{actual}", self.name))
    }
}

/// The lines that are compared.
fn compared(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with("    |")).collect()
}

/// A diagnostic, in the order of the source.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    at: (u64, u64),
    text: String,
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut sources: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|ext| ext == "rs")).collect();
    sources.sort();
    sources
}

/// Writes the package of a suite and gives its folder.
fn generate(suite: &str, folder: &Path, cases: &[Case]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile").join(suite);
    let dependencies = format!(
        "procession = {{ path = {}, default-features = false }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\nserde_json = \"1\"\n",
        quoted(root)
    );
    let mut manifest = head("cases") + "[workspace]\n\n[dependencies]\n" + &dependencies;
    let mut bins = String::new();
    for case in cases {
        writeln!(bins, "\n[[bin]]\nname = {:?}\npath = {}", case.name, quoted(&case.source)).expect("text grows");
    }
    // An auxiliary crate can name those before it in the alphabet.
    let mut auxiliary = String::new();
    for source in sources(&folder.join("aux")) {
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        writeln!(manifest, "{name} = {{ path = {name:?} }}").expect("text grows");
        let library =
            head(&name) + &format!("[lib]\npath = {}\n\n[dependencies]\n{dependencies}{auxiliary}", quoted(&source));
        write(&package.join(&name).join("Cargo.toml"), &library);
        writeln!(auxiliary, "{name} = {{ path = \"../{name}\" }}").expect("text grows");
    }
    write(&package.join("Cargo.toml"), &(manifest + &bins));
    // The versions of the workspace, so that nothing is looked up.
    write(&package.join("Cargo.lock"), &fs::read_to_string(root.join("Cargo.lock")).expect("the workspace is locked"));
    package
}

/// A path as text of a manifest.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}

fn head(name: &str) -> String {
    format!("[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n")
}

/// Writes a file unless it is there already: a new time would make cargo check everything again.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|known| known == text) {
        return;
    }
    path.parent().map(fs::create_dir_all).transpose().expect("the target folder can be written");
    fs::write(path, text).expect("the target folder can be written");
}

/// What the compiler says, by case.
fn run(package: &Path) -> BTreeMap<String, Vec<Said>> {
    let output = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--offline", "--bins", "--keep-going", "--message-format=json"])
        .current_dir(package)
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile/target"))
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    let mut by_case: BTreeMap<String, Vec<Said>> = BTreeMap::new();
    let mut checked = 0;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let target = message["target"]["name"].as_str().unwrap_or_default().to_owned();
        match message["reason"].as_str() {
            Some("compiler-artifact") => checked += 1,
            Some("compiler-message") if target.starts_with("pass_") || target.starts_with("fail_") => {
                checked += 1;
                by_case.entry(target).or_default().extend(said(&message["message"]));
            }
            Some("compiler-message") if message["message"]["level"] == "error" => {
                panic!("{target} does not compile:\n{}", message["message"]["rendered"].as_str().unwrap_or_default());
            }
            _ => {}
        }
    }
    assert!(checked > 0, "cargo checked nothing:\n{}", String::from_utf8_lossy(&output.stderr));
    by_case
}

/// A diagnostic in short; none for the count at the end.
fn said(message: &Value) -> Option<Said> {
    let level = message["level"].as_str().filter(|level| matches!(*level, "error" | "warning"))?;
    let spans = message["spans"].as_array()?;
    let first_line = message["message"].as_str()?.lines().next()?;
    if spans.is_empty() && (first_line.starts_with("aborting due to") || first_line.ends_with("emitted")) {
        return None;
    }
    let code = message["code"]["code"].as_str().map(|code| format!("[{code}]")).unwrap_or_default();
    let mut text = format!("{level}{code}: {first_line}\n");
    let mut at = (0, 0);
    for span in spans.iter().filter(|span| span["is_primary"] == true) {
        let place = in_the_case(span);
        at = (place["line_start"].as_u64()?, place["column_start"].as_u64()?);
        writeln!(text, "  --> {}", caret(place)).expect("text grows");
        for line in span["label"].as_str().unwrap_or_default().lines() {
            writeln!(text, "    | {line}").expect("text grows");
        }
    }
    for child in message["children"].as_array().into_iter().flatten() {
        let kind = child["level"].as_str().unwrap_or_default();
        let line = child["message"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
        // Where the compiler put a long type, and where this package lies, is different on each machine.
        if line.contains("written to '")
            || line.starts_with("the full name for the type")
            || line.contains("`--verbose`")
        {
            continue;
        }
        let line = line.replace(concat!(env!("CARGO_MANIFEST_DIR"), "/"), "");
        writeln!(text, "    | {kind}: {line}").expect("text grows");
    }
    Some(Said { at, text })
}

/// The place in the case itself that a span in an expansion comes from.
fn in_the_case(span: &Value) -> &Value {
    let mut place = span;
    while !is_in_a_case(place) && place["expansion"]["span"].is_object() {
        place = &place["expansion"]["span"];
    }
    place
}

fn is_in_a_case(span: &Value) -> bool {
    span["file_name"].as_str().is_some_and(|file| file.replace('\\', "/").contains("tests/ui/"))
}

/// `line:columns` and the text under the caret.
fn caret(span: &Value) -> String {
    let number = |name: &str| span[name].as_u64().unwrap_or_default();
    let (line, line_end) = (number("line_start"), number("line_end"));
    let (column, column_end) = (number("column_start"), number("column_end"));
    if !is_in_a_case(span) {
        return "outside of the case".to_owned();
    }
    let first = &span["text"][0];
    let width = |name: &str| usize::try_from(first[name].as_u64().unwrap_or(1)).unwrap_or(1).saturating_sub(1);
    let (start, end) = (width("highlight_start"), width("highlight_end"));
    let under: String =
        first["text"].as_str().unwrap_or_default().chars().skip(start).take(end.saturating_sub(start)).collect();
    if line == line_end {
        format!("{line}:{column}-{column_end}: `{under}`")
    } else {
        format!("{line}:{column}-{line_end}:{column_end}: `{under} …`")
    }
}
