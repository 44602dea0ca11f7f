//! `docs/parity.md` says of every rule and every public name of plumpy, of plugboard's connectors and of mosaic's mesh
//! what stands for it here, and which test shows it. This test holds it to that: what it names must exist, and nothing
//! may be missing.

mod links;

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

/// What users of plumpy suffer from: each has a row that says what is done about it.
const PAINS: std::ops::RangeInclusive<u32> = 1..=20;
/// The rules of plumpy and kiwipy, of connectors and channels, and of the mesh, by the letter of their numbers.
const RULES: [(char, std::ops::RangeInclusive<u32>); 3] = [('S', 1..=142), ('C', 1..=52), ('M', 1..=38)];
/// The rules `S` on the communicator, the launcher and the controllers, which are next.
const RULES_NEXT: std::ops::RangeInclusive<u32> = 119..=140;

/// One row: what plumpy has, what stands for it here, what shows it, and whether it is the same.
struct Row<'a> {
    name: &'a str,
    ours: &'a str,
    tests: &'a str,
    verdict: &'a str,
}

/// What may be said of a name or a rule.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Something of ours stands for it.
    Ours,
    /// It may be left to the communicator.
    Next,
    /// The language, or tokio, has it: there may be nothing of ours.
    Language,
}

/// Public names of plumpy and kiwipy, of plugboard's connectors and of mosaic's mesh.
fn items() -> BTreeMap<String, Kind> {
    let text = fs::read_to_string(root().join("tests/data/parity/items.txt")).expect("the list of names");
    let mut kind = Kind::Ours;
    let mut items = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some("communicator") => kind = Kind::Next,
            Some("language") => kind = Kind::Language,
            Some(_) => kind = Kind::Ours,
            None => assert!(items.insert(line.to_owned(), kind).is_none(), "`{line}` is listed twice"),
        }
    }
    items
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn table() -> String {
    fs::read_to_string(root().join("docs/parity.md")).expect("the table")
}

/// The rows of all tables; a line that looks like one and is none is a fault.
fn rows(text: &str) -> (Vec<Row<'_>>, Vec<String>) {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let mut lines = text.lines().enumerate().filter(|(_, line)| line.starts_with('|')).peekable();
    while let Some((number, line)) = lines.next() {
        // The line above a rule of dashes is a head.
        if line.starts_with("|---") || lines.peek().is_some_and(|(_, next)| next.starts_with("|---")) {
            continue;
        }
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        match cells[..] {
            // The pains have rows of their own.
            [name, _, _] if is_pain(name) => {}
            [name, ours, tests, verdict] => rows.push(Row { name: name_of(name), ours, tests, verdict }),
            _ => faults.push(format!("line {}: {} cells, not four", number + 1, cells.len())),
        }
    }
    (rows, faults)
}

fn is_pain(name: &str) -> bool {
    let number = name_of(name).strip_prefix('P').unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is wrong with the rows of the pains: each is there once, says what is done, and names tests or says why there are none.
fn check_pains(text: &str) -> Vec<String> {
    let (mut faults, mut seen) = (Vec::new(), BTreeMap::<String, usize>::new());
    let is_sentence = |cell: &str| cell.len() > 30 && cell.contains(' ') && cell.ends_with('.');
    for line in text.lines().filter(|line| line.starts_with("| P")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, done, shown] = cells[..] else { continue };
        if !is_pain(name) {
            continue;
        }
        let name = name_of(name);
        *seen.entry(name.to_owned()).or_default() += 1;
        if !is_sentence(done) {
            faults.push(format!("`{name}`: it does not say what is done"));
        }
        if !shown.starts_with('`') && !is_sentence(shown) {
            faults.push(format!("`{name}`: neither a test nor a sentence"));
        }
        if shown.starts_with('`') {
            let tests = shown.split(", ").filter_map(|test| missing_test_or_file(test.trim_matches('`')));
            faults.extend(tests.map(|fault| format!("`{name}`: {fault}")));
        }
    }
    for number in PAINS {
        let name = format!("P{number}");
        match seen.remove(&name) {
            None => faults.push(format!("`{name}`: no row")),
            Some(1) => {}
            Some(times) => faults.push(format!("`{name}`: {times} rows")),
        }
    }
    faults.extend(seen.keys().map(|name| format!("`{name}`: no such pain")));
    faults
}

/// A file stands for all tests in it.
fn missing_test_or_file(named: &str) -> Option<String> {
    if named.contains("::") {
        return missing_test(named);
    }
    let source = fs::read_to_string(root().join(named)).unwrap_or_default();
    let has_tests = source.contains("#[tokio::test") || source.contains("#[test]") || named.contains("/conformance/");
    (source.is_empty() || !has_tests).then(|| format!("no tests in `{named}`"))
}

/// A name of plumpy, or the number of a rule, which stands before its title.
fn name_of(cell: &str) -> &str {
    let number = cell.split(' ').next().unwrap_or_default();
    cell.strip_prefix('`').and_then(|name| name.strip_suffix('`')).unwrap_or(number)
}

/// What is wrong with a table, its links apart.
fn check(text: &str) -> Vec<String> {
    let (rows, mut faults) = rows(text);
    let mut expected = items();
    for (family, numbers) in RULES {
        expected.extend(numbers.map(|number| {
            let is_next = family == 'S' && RULES_NEXT.contains(&number);
            (format!("{family}{number}"), if is_next { Kind::Next } else { Kind::Ours })
        }));
    }
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        *seen.entry(row.name).or_default() += 1;
        let Some(kind) = expected.get(row.name) else {
            faults.push(format!("`{}`: no such rule or name", row.name));
            continue;
        };
        faults.extend(check_row(row, *kind).into_iter().map(|fault| format!("`{}`: {fault}", row.name)));
    }
    faults.extend(check_pains(text));
    for name in expected.keys() {
        match seen.get(name.as_str()) {
            None => faults.push(format!("`{name}`: no row")),
            Some(1) => {}
            Some(times) => faults.push(format!("`{name}`: {times} rows")),
        }
    }
    faults
}

fn check_row(row: &Row<'_>, kind: Kind) -> Vec<String> {
    let nothing = |cell: &str| cell == "—";
    let mut faults = Vec::new();
    match row.verdict.split_once(": ") {
        None if row.verdict == "same" => {}
        Some(("different", why)) if why.len() > 10 => {}
        Some(("next", "communicator")) if kind == Kind::Next => {
            let empty = nothing(row.ours) && nothing(row.tests);
            return if empty { faults } else { vec!["next, yet something is there".to_owned()] };
        }
        _ => faults.push(format!("verdict `{}`", row.verdict)),
    }
    if nothing(row.ours) && nothing(row.tests) && kind == Kind::Language && row.verdict != "same" {
        return faults;
    }
    if !row.ours.split(", ").all(|item| item.starts_with("[`") && item.contains("crate::")) {
        faults.push("ours is not a list of links".to_owned());
    }
    faults.extend(row.tests.split(", ").filter_map(|test| missing_test(test.trim_matches('`'))));
    faults
}

/// Why a test that is named is none.
fn missing_test(named: &str) -> Option<String> {
    let (path, function) = match named.split_once("::") {
        Some((path, function)) => (path, Some(function)),
        None => (named, None),
    };
    let Ok(source) = fs::read_to_string(root().join(path)) else { return Some(format!("no file `{path}`")) };
    let Some(function) = function else {
        // A program that must compile or must not, an example that is run, or the examples in a file's documentation.
        let is_test = path.starts_with("tests/ui/") || path.starts_with("examples/") || source.contains("```");
        return (!is_test).then(|| format!("`{path}` is no test by itself"));
    };
    let Some((before, _)) = source.split_once(&format!("fn {function}(")) else {
        return Some(format!("no function `{function}` in `{path}`"));
    };
    // A property of stores or communicators is a test of every one of them.
    let attributes = before.rsplit('}').next().unwrap_or_default();
    let is_test = attributes.contains("test]") || attributes.contains("test(") || path.contains("/conformance/");
    (!is_test).then(|| format!("`{function}` in `{path}` is no test"))
}

#[test]
fn every_rule_and_every_name_has_its_row_and_its_test() {
    let faults = check(&table());
    assert!(faults.is_empty(), "{} faults in docs/parity.md:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_item_of_ours_exists() {
    let broken = links::broken("table", &table());
    assert!(broken.is_empty(), "docs/parity.md:\n{}", broken.join("\n"));
}

#[test]
fn an_item_that_does_not_exist_is_found() {
    let table = "| rule | ours |\n|---|---|\n\
                 | S1 | [`ProcessState`](crate::ProcessState), [`Cx::gone`](crate::Cx::gone) |\n\
                 | S2 | [`Gone`](crate::store::Gone) |\n";
    let broken = links::broken("faulty", table);
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(broken[0].contains("procession::Cx::gone") && broken[1].contains("procession::store::Gone"), "{broken:?}");
}

/// The same table with one fault each: every one is found.
#[test]
fn a_table_with_a_gap_is_refused() {
    let table = table();
    let line = |start: &str| table.lines().find(|line| line.starts_with(start)).expect("it is there").to_owned();
    let rule = line("| S2 ");
    let item = line("| `Process.kill` |");
    let (connector, mesh, method) = (line("| C52 "), line("| M38 "), line("| `mosaic.CommsManager.send` |"));
    let with = |line: &str, new: &str| table.replace(&format!("{line}\n"), new);
    // The last cell but `fewer` of a row becomes another.
    let cell = |line: &str, fewer: usize, new: &str| {
        let mut cells: Vec<_> = line.trim_matches('|').split('|').map(str::to_owned).collect();
        let place = cells.len() - 1 - fewer;
        cells[place] = format!(" {new} ");
        with(line, &format!("|{}|\n", cells.join("|")))
    };
    let pain = line("| P1 ");
    let gaps = [
        (with(&pain, ""), "`P1`: no row"),
        (with(&pain, &format!("{pain}\n{pain}\n")), "`P1`: 2 rows"),
        (with(&pain, &format!("{pain}\n{}\n", pain.replace("P1 ", "P21 "))), "`P21`: no such pain"),
        (cell(&pain, 0, "soon"), "`P1`: neither a test nor a sentence"),
        (cell(&pain, 0, "`tests/it/model.rs::gone`"), "`P1`: no function `gone` in `tests/it/model.rs`"),
        (cell(&pain, 0, "`tests/it/gone.rs`"), "`P1`: no tests in `tests/it/gone.rs`"),
        (cell(&pain, 1, "—"), "`P1`: it does not say what is done"),
        (with(&rule, ""), "`S2`: no row"),
        (with(&rule, &format!("{rule}\n{rule}\n")), "`S2`: 2 rows"),
        (with(&item, ""), "`Process.kill`: no row"),
        (with(&connector, ""), "`C52`: no row"),
        (with(&mesh, ""), "`M38`: no row"),
        (with(&method, ""), "`mosaic.CommsManager.send`: no row"),
        (
            with(&connector, &format!("{connector}\n{}\n", connector.replace("C52 ", "C53 "))),
            "`C53`: no such rule or name",
        ),
        (with(&mesh, &format!("{mesh}\n{}\n", mesh.replace("M38 ", "M39 "))), "`M39`: no such rule or name"),
        (cell(&mesh, 0, "next: communicator"), "`M38`: verdict `next: communicator`"),
        (with(&rule, &format!("{rule}\n{}\n", rule.replace("S2 ", "S143 "))), "`S143`: no such rule or name"),
        (with(&rule, &format!("{rule}\n| S2 | same |\n")), "2 cells, not four"),
        (with(&rule, &rule.replace("S2 ", "")), "`S2`: no row"),
        (cell(&rule, 0, "perhaps"), "`S2`: verdict `perhaps`"),
        (cell(&rule, 0, "different:"), "`S2`: verdict `different:`"),
        (cell(&rule, 0, "next: communicator"), "`S2`: verdict `next: communicator`"),
        (cell(&item, 0, "next: communicator"), "`Process.kill`: verdict `next: communicator`"),
        (cell(&rule, 1, "`tests/it/model.rs::gone`"), "`S2`: no function `gone` in `tests/it/model.rs`"),
        (cell(&rule, 1, "`tests/it/gone.rs::gone`"), "`S2`: no file `tests/it/gone.rs`"),
        (cell(&rule, 1, "`tests/it/parity.rs::rows`"), "`S2`: `rows` in `tests/it/parity.rs` is no test"),
        (cell(&rule, 1, "`tests/it/main.rs`"), "`S2`: `tests/it/main.rs` is no test by itself"),
        (cell(&rule, 1, "—"), "`S2`: no file `—`"),
        (cell(&rule, 1, "TODO"), "`S2`: no file `TODO`"),
        (cell(&rule, 2, "TODO"), "`S2`: ours is not a list of links"),
        (cell(&rule, 2, "`can_go_to`"), "`S2`: ours is not a list of links"),
        (cell(&line("| `Future` |"), 0, "same"), "`Future`: ours is not a list of links"),
        (cell(&rule, 2, "—"), "`S2`: ours is not a list of links"),
    ];
    let next = table.lines().find(|line| line.ends_with("next: communicator |"));
    let next = next.map(|line| (cell(line, 1, "`tests/it/model.rs`"), "next, yet something is there"));
    for (table, expected) in gaps.into_iter().chain(next) {
        let faults = check(&table);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:?}");
    }
}
