//! Whether what a command printed is what a page shows.
//!
//! `…` stands for any words of a line, and on a line of its own for any lines. How wide columns are does not matter; nor
//! do times, and how long something took. An id of a page stands for another one, always the same.

use std::collections::BTreeMap;

/// The ids of a page, and what they are in this run.
pub(super) type Ids = BTreeMap<String, String>;

/// Whether it fits; then with the ids that became known.
pub(super) fn fits(shown: &str, printed: &str, known: &Ids) -> Option<Ids> {
    let lines = |text: &str| text.lines().map(words).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    same_lines(&lines(shown), &lines(printed), known)
}

fn same_lines(shown: &[Vec<String>], printed: &[Vec<String>], ids: &Ids) -> Option<Ids> {
    let Some((line, rest)) = shown.split_first() else { return printed.is_empty().then(|| ids.clone()) };
    if *line == ["…"] {
        return (0..=printed.len()).find_map(|skipped| same_lines(rest, &printed[skipped..], ids));
    }
    let (first, left) = printed.split_first()?;
    let ids = same_words(line, first, ids)?;
    same_lines(rest, left, &ids)
}

fn same_words(shown: &[String], printed: &[String], ids: &Ids) -> Option<Ids> {
    let Some((word, rest)) = shown.split_first() else { return printed.is_empty().then(|| ids.clone()) };
    if word == "…" {
        return (0..=printed.len()).find_map(|skipped| same_words(rest, &printed[skipped..], ids));
    }
    let (first, left) = printed.split_first()?;
    let mut ids = ids.clone();
    if let (Some(id), Some(other)) = (id_in(word), id_in(first)) {
        if ids.entry(id.to_owned()).or_insert_with(|| other.to_owned()) != other {
            return None;
        }
        return (word.replace(id, "") == first.replace(other, "")).then(|| same_words(rest, left, &ids))?;
    }
    let same = match word.split_once('…') {
        Some((begin, end)) => {
            first.len() >= begin.len() + end.len() && first.starts_with(begin) && first.ends_with(end)
        }
        None => word == first,
    };
    if same { same_words(rest, left, &ids) } else { None }
}

/// The words of a line; a time is `TIME`, how long something took `SPAN`.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let bare = word.trim_end_matches([',', ';', ')']);
        let after = &word[bare.len()..];
        let word = match bare {
            time if is_time(time) => format!("TIME{after}"),
            span if is_span(span) => {
                // `1m 12s` is one.
                if words.last().is_some_and(|last| last == "SPAN") {
                    words.pop();
                }
                format!("SPAN{after}")
            }
            _ => word.to_owned(),
        };
        words.push(word);
    }
    words
}

fn is_time(word: &str) -> bool {
    word.len() >= 20 && word.ends_with('Z') && word.as_bytes()[10] == b'T' && word.starts_with("20")
}

fn is_span(word: &str) -> bool {
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < word.len() && ["ms", "s", "m", "h", "d", "day", "days"].contains(&unit)
}

/// A UUID in a word.
fn id_in(word: &str) -> Option<&str> {
    let is_id = |text: &&str| {
        let parts: Vec<_> = text.split('-').map(str::len).collect();
        parts == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
    };
    word.split(|c: char| c != '-' && !c.is_ascii_hexdigit()).find(is_id)
}

/// A command with the ids of this run in the place of those of the page.
pub(super) fn with_ids(command: &str, ids: &Ids) -> String {
    ids.iter().fold(command.to_owned(), |command, (id, other)| command.replace(id.as_str(), other))
}

#[test]
fn what_may_differ_does_not_matter() {
    let (one, two) = ("0199a7c2-0000-7000-8000-000000000001", "0199ffff-0000-7000-8000-00000000000a");
    let ids = fits(
        &format!("ID  STATE\n{one}  running, 3s ago"),
        &format!("ID STATE\n{two} running, 1m 12s ago"),
        &Ids::new(),
    );
    let ids = ids.unwrap();
    assert_eq!(with_ids(&format!("show {one}"), &ids), format!("show {two}"));
    assert!(fits(one, one, &ids).is_none(), "an id is always the same");
    assert!(fits("at 2026-11-21T19:30:00Z\n…\nend", "at 2025-01-01T00:00:00.123Z\none\ntwo\nend", &ids).is_some());
    assert!(fits("a … d, sqlite:…/one.db", "a b c d, sqlite:/tmp/one.db", &ids).is_some());
    assert!(fits("…", "", &ids).is_some());
}

#[test]
fn what_differs_is_seen() {
    let ids = Ids::new();
    for (shown, printed) in
        [("a", "b"), ("a", "a b"), ("a\n…\nc", "a\nb"), ("", "a"), ("4 of 7", "4 of 8"), ("a…c", "a")]
    {
        assert!(fits(shown, printed, &ids).is_none(), "{shown} and {printed}");
    }
}
