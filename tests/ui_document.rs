//! `docs/compile-errors.md`: all compile cases with what the compiler says, written from the files in `tests/ui`.
//!
//! What stands above the marker is written by hand; `BLESS=1` writes what follows. A case with more than one error must
//! be named by hand, with the reason: one mistake is to give one error.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

const MARKER: &str = "<!-- What follows is written by `BLESS=1 cargo test --test ui_document`. -->\n";
/// The suites, in the order of the document.
const SUITES: [&str; 2] = ["spec", "flow"];
/// The groups, in the order of the document: what a mistake is in.
const GROUPS: [(&str, &str); 6] = [
    ("#[process]", "The struct, its fields and the options of the attribute."),
    ("spec!", "Ports, namespaces, default values, validators and exit codes."),
    ("spec!: expose", "Ports of another process."),
    ("outline!", "Steps, predicates, ends, and the outputs behind `=>`."),
    ("steps!", "Steps with arguments."),
    ("Calls", "Inputs of a launch, and what steps and functions do with a process."),
];

#[test]
fn the_list_of_compile_errors_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compile-errors.md");
    let document = fs::read_to_string(&path).expect("the document can be read");
    let (by_hand, written) = document.split_once(MARKER).expect("the document has its marker");
    let cases = cases();
    for case in cases.iter().filter(|case| case.errors.len() > 1) {
        let name = format!("`{}`", case.name);
        assert!(by_hand.contains(&name), "{name} has {} errors and is not explained", case.errors.len());
    }
    let expected = write(&cases);
    if env::var_os("BLESS").is_some() {
        fs::write(&path, [by_hand, MARKER, &expected].concat()).expect("the document can be written");
        return;
    }
    let stale = written.lines().zip(expected.lines()).find(|(old, new)| old != new);
    assert!(written == expected, "the document is stale, `BLESS=1` writes it; the first difference: {stale:?}");
}

/// A program that does not compile.
struct Case {
    name: String,
    source: Vec<String>,
    errors: Vec<Said>,
}

/// An error: what is said, where, and what is said about the place.
#[derive(Default)]
struct Said {
    message: String,
    carets: Vec<Caret>,
    helps: Vec<String>,
}

/// A place in one line, counted from 0, and what stands at it.
struct Caret {
    line: usize,
    start: usize,
    end: usize,
    labels: Vec<String>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for suite in SUITES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui").join(suite).join("fail");
        let entries = fs::read_dir(folder).expect("the cases are there").flatten().map(|entry| entry.path());
        let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect();
        paths.sort();
        cases.extend(paths.iter().map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let read =
                |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let source = read(path).lines().map(str::to_owned).collect();
            Case { name, source, errors: errors(&read(&path.with_extension("stderr"))) }
        }));
    }
    // What only an expansion writes is of no use to a reader.
    cases.retain(|case: &Case| !case.source.iter().any(|line| line.contains("__private")));
    cases
}

/// Reads an expectation; warnings are left out.
fn errors(text: &str) -> Vec<Said> {
    let mut all: Vec<Said> = Vec::new();
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("    | ") {
            let Some(said) = all.last_mut() else { continue };
            match line.strip_prefix("note: ").or_else(|| line.strip_prefix("help: ")) {
                Some(help) if is_advice(help) => said.helps.push(help.to_owned()),
                Some(_) => {}
                None => said.carets.iter_mut().last().into_iter().for_each(|caret| caret.labels.push(line.to_owned())),
            }
        } else if let Some(place) = line.strip_prefix("  --> ") {
            all.last_mut().into_iter().for_each(|said| said.carets.extend(caret(place)));
        } else {
            all.push(Said { message: line.to_owned(), ..Said::default() });
        }
    }
    all.retain(|said| said.message.starts_with("error"));
    all
}

/// `10:18-42: text` as a place. One that goes over several lines is shown by its first column.
fn caret(place: &str) -> Option<Caret> {
    let (place, _) = place.split_once(": ")?;
    let (line, columns) = place.split_once(':')?;
    let (start, end) = columns.split_once('-')?;
    let start: usize = start.parse().ok()?;
    let end = end.parse().unwrap_or(start + 1);
    Some(Caret {
        line: line.parse::<usize>().ok()?.checked_sub(1)?,
        start: start - 1,
        end: end - 1,
        labels: Vec::new(),
    })
}

/// Not what the compiler knows of its own work and of the traits inside of the library.
fn is_advice(help: &str) -> bool {
    let inside = [
        "required ",
        "the trait `",
        "the following other types",
        "captured value",
        "within `",
        "the full name",
        "see issue",
        "`#[",
        "method defined here",
        "associated function defined here",
        "function defined here",
    ];
    !inside.iter().any(|start| help.starts_with(start)) && !help.is_empty()
}

fn write(cases: &[Case]) -> String {
    let mut groups: BTreeMap<usize, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        groups.entry(group(case)).or_default().push(case);
    }
    let mut text = String::new();
    for (index, mut cases) in groups {
        cases.sort_by_key(|case| title_of(case));
        let (title, about) = GROUPS[index];
        let title = if title == "Calls" { title.to_owned() } else { format!("`{title}`") };
        writeln!(text, "\n## {title}\n\n{about}").expect("text grows");
        for case in cases {
            writeln!(text, "\n### {}\n\n```text", title_of(case)).expect("text grows");
            let errors: Vec<String> = case.errors.iter().map(|said| shown(case, said)).collect();
            writeln!(text, "{}\n```", errors.join("\n\n")).expect("text grows");
        }
    }
    text
}

/// `caret_exit_in_a_branch` as `Exit in a branch`.
fn title_of(case: &Case) -> String {
    let name =
        ["caret_", "recover_"].iter().fold(case.name.as_str(), |name, kind| name.strip_prefix(kind).unwrap_or(name));
    let mut letters = name.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).map(|letter| if letter == '_' { ' ' } else { letter }).collect()
}

/// What the first error is in.
fn group(case: &Case) -> usize {
    let line = case.errors.first().and_then(|said| said.carets.first()).map_or(0, |caret| caret.line);
    let is = |line: &str, word: &str| line.trim_start().starts_with(word);
    let mut inside = None;
    for (number, text) in case.source.iter().enumerate() {
        let opens = ["spec!", "outline!", "steps!"].into_iter().find(|name| is(text, name));
        inside = opens.or(inside);
        if number == line {
            break;
        }
        // The end stands at the beginning of a line, or in the line of the beginning.
        if text.starts_with('}') || (opens.is_some() && text.trim_end().ends_with("} }")) {
            inside = None;
        }
    }
    let text = case.source.get(line).map_or("", String::as_str);
    let title = match inside {
        Some("spec!") if text.contains("expose") => "spec!: expose",
        Some(name) => name,
        None if before_the_macros(case, line) => "#[process]",
        None => "Calls",
    };
    GROUPS.iter().position(|(known, _)| *known == title).unwrap_or_default()
}

/// Whether a line belongs to what `#[process]` stands on.
fn before_the_macros(case: &Case, line: usize) -> bool {
    let begins = |text: &&String| !text.is_empty() && !text.starts_with([' ', '}', ')']);
    let mut heads = case.source.iter().take(line + 1).rev().filter(begins);
    let (head, above) = (heads.next().map_or("", String::as_str), heads.next().map_or("", String::as_str));
    ["#[process", "struct ", "pub struct ", "enum ", "union "].iter().any(|word| head.starts_with(word))
        || above.starts_with("#[process")
}

/// An error as the compiler shows it, without what is of no use to a reader.
fn shown(case: &Case, said: &Said) -> String {
    let mut text = said.message.clone();
    for Caret { line, start, end, labels } in &said.carets {
        let source = case.source.get(*line).map_or("", String::as_str);
        let indent = source.len() - source.trim_start().len();
        let (start, end) = (start.saturating_sub(indent), end.saturating_sub(indent));
        // The compiler often says the same twice.
        let new: Vec<&str> = labels.iter().map(String::as_str).filter(|label| !said.message.ends_with(label)).collect();
        let label = new.join("; ");
        let under = format!("{}{} {label}", " ".repeat(start), "^".repeat(end.saturating_sub(start).max(1)));
        write!(text, "\n  | {}\n  | {}", source.trim_start(), under.trim_end()).expect("text grows");
    }
    said.helps.iter().for_each(|help| write!(text, "\n  = {help}").expect("text grows"));
    text
}
