//! The index of errors is complete: every kind that a user can see has a row with its cause and what to do.

use std::collections::BTreeSet;

use super::book::page;

const INDEX: &str = "docs/guide/errors.md";

/// Enums of errors, where they are, and what may stand for a name there.
const ENUMS: [(&str, &str); 5] = [
    ("StoreErrorKind", "runtime/src/store/error.rs"),
    ("RunError", "runtime/src/runner/error.rs"),
    ("RegistryError", "runtime/src/registry.rs"),
    ("ControlError", "runtime/src/controller/error.rs"),
    ("CommunicatorError", "runtime/src/communicator/error.rs"),
];

/// The rows of a section: name, cause, next.
fn rows(section: &str) -> Vec<[String; 3]> {
    let index = page(INDEX);
    let lines = index.lines().skip_while(|line| *line != format!("# {section}")).skip(1);
    let rows = lines.take_while(|line| !line.starts_with("# ")).filter(|line| line.starts_with("| "));
    let rows = rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
        cells.try_into().unwrap_or_else(|cells| panic!("{INDEX}, {section}: {cells:?}"))
    });
    rows.skip(1).collect()
}

/// The variants of an enum, read from the source: from outside nobody can match all of an enum that may grow.
fn variants(name: &str, source: &str) -> BTreeSet<String> {
    let source = page(source);
    let head = format!("enum {name} {{");
    let body = source.lines().skip_while(|line| !line.ends_with(&head)).skip(1).take_while(|line| *line != "}");
    let names = body.filter_map(|line| line.strip_prefix("    ").filter(|line| line.starts_with(char::is_uppercase)));
    names.map(|line| line.chars().take_while(|c| c.is_alphanumeric()).collect()).collect()
}

#[test]
fn every_kind_of_error_is_in_the_index() {
    for (name, source) in ENUMS {
        let known = variants(name, source);
        assert!(known.len() > 2, "{name} is in {source}");
        let rows = rows(&format!("`{name}`"));
        let told: BTreeSet<String> = rows.iter().map(|[name, ..]| name.trim_matches('`').to_owned()).collect();
        let missing: Vec<_> = known.difference(&told).collect();
        assert!(missing.is_empty(), "{INDEX} says nothing of {missing:?} of `{name}`");
        let gone: Vec<_> = told.difference(&known).collect();
        assert!(gone.is_empty(), "`{name}` has no {gone:?}");
        assert_eq!(rows.len(), known.len(), "{name}: each once");
        for [name, cause, next] in rows {
            assert!(!cause.is_empty() && !next.is_empty(), "`{name}` has a cause and a next step");
        }
    }
}

#[test]
fn every_exit_status_is_in_the_index() {
    let source = page("src/cli/fault.rs");
    let body = source.lines().skip_while(|line| !line.ends_with("enum Status {")).take_while(|line| *line != "}");
    let statuses: Vec<_> = body.filter_map(|line| line.split_once(" = ")?.1.strip_suffix(',')).collect();
    assert!(statuses.len() > 3, "{statuses:?}");
    let told = rows("Exit status of the command line");
    let told: Vec<_> = told.iter().map(|[status, ..]| status.trim_matches('`')).collect();
    assert_eq!(told, [&["0"], &statuses[..]].concat());
}

/// What is told of inputs is what is said of them.
#[test]
fn messages_in_the_index_are_real() {
    let sources: String = ["prepare", "validate", "port", "path", "namespace", "mod", "absorb"]
        .map(|file| page(&format!("runtime/src/spec/{file}.rs")))
        .concat();
    for [message, ..] in rows("`SpecError`") {
        let part = message.trim_matches('`').split('…').max_by_key(|part| part.len()).unwrap_or_default();
        let part = part.trim_matches(|c: char| c == '`' || c == '?' || c == ' ');
        assert!(message.starts_with("a text") || sources.contains(part), "nothing says `{part}`");
    }
    let compiled = page("docs/compile-errors.md");
    for [message, ..] in rows("Compile errors") {
        for part in message.trim_matches('`').split('…') {
            let part = part.trim().trim_matches('`').trim();
            assert!(compiled.contains(part), "the compiler does not say `{part}`");
        }
    }
}
