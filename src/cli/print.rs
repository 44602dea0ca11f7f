//! What is written: tables and lines for people, JSON for programs.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use comfy_table::{ContentArrangement, Table, presets};
use procession_runtime::clock::Timestamp;
use serde::Serialize;

use super::fault::{Fault, Status};

/// Writes to the standard output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer {
    pub(super) json: bool,
}

impl Printer {
    /// One document, with a line end.
    pub(super) fn json(self, value: &impl Serialize) -> Result<(), Fault> {
        let mut text = serde_json::to_string_pretty(value).map_err(|error| unwritable(&error))?;
        text.push('\n');
        self.text(&text)
    }

    pub(super) fn line(self, line: &str) -> Result<(), Fault> {
        self.text(&format!("{}\n", plain(line)))
    }

    pub(super) fn text(self, text: &str) -> Result<(), Fault> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| Fault::io("the standard output cannot be written", &error))
    }

    /// Rows below a head.
    pub(super) fn table(self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<(), Fault> {
        self.text(&tabular(head, rows))
    }
}

/// What was found has no form as JSON.
pub(super) fn unwritable(error: &serde_json::Error) -> Fault {
    Fault::of(Status::Failed, "what was found cannot be written as JSON", error)
}

/// One document of many, that are written as they come.
#[derive(Debug)]
pub(super) struct Array {
    printer: Printer,
    begun: bool,
}

impl Array {
    pub(super) fn new(printer: Printer) -> Self {
        Self { printer, begun: false }
    }

    pub(super) fn add(&mut self, element: &impl Serialize) -> Result<(), Fault> {
        let text = serde_json::to_string_pretty(element).map_err(|error| unwritable(&error))?;
        let before = if self.begun { "," } else { "[" };
        self.begun = true;
        self.printer.text(&format!("{before}\n  {}", text.replace('\n', "\n  ")))
    }

    pub(super) fn end(self) -> Result<(), Fault> {
        self.printer.text(if self.begun { "\n]\n" } else { "[]\n" })
    }
}

/// Rows below a head. On a terminal they are as wide as it; elsewhere they are not wrapped.
pub(super) fn tabular(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let terminal = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    let lines = table(head, rows, terminal.map(|(width, _)| width.0.into()));
    lines.into_iter().map(|line| plain(&line) + "\n").collect()
}

/// Whether a terminal takes it as text, which turns round nothing that stands beside it.
fn is_text(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns
}

/// A text without what is no text to a terminal: what processes and their peers say of themselves may be anything.
pub(super) fn plain(text: &str) -> String {
    text.replace(|c| !matches!(c, '\n' | '\t') && !is_text(c), "\u{fffd}")
}

/// The same on one line.
pub(super) fn clean(text: &str) -> String {
    let words = text.split_whitespace().map(plain);
    words.collect::<Vec<_>>().join(" ")
}

/// A line to the standard error. Whoever does not read it is no fault.
pub(super) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{}", plain(line));
}

/// The lines of a table, which are wrapped where there is a width.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>, width: Option<usize>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.iter().map(|name| name.to_uppercase()));
    if let Some(width) = width {
        let width = u16::try_from(width).unwrap_or(u16::MAX);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| clean(cell)));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// So many of something, in words: one is not told as several.
pub(super) fn counted(number: u64, one: &str, several: &str) -> String {
    let what = if number == 1 { one } else { several };
    format!("{number} {what}")
}

/// In milliseconds: from here on a time has no form in RFC 3339.
const YEAR_10000: u64 = 253_402_300_800_000;

/// A time for people and programs: RFC 3339, in UTC; in milliseconds since 1970 after an `@`, where that has no form for it.
pub(super) fn time(at: Timestamp) -> String {
    let millis = u64::try_from(at.as_millis()).unwrap_or_default();
    if millis >= YEAR_10000 {
        return format!("@{millis}");
    }
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).to_string()
}

/// How long ago.
pub(super) fn ago(at: Timestamp) -> String {
    format!("{} ago", span(Timestamp::from(SystemTime::now()).since(at)))
}

/// How long: from one hour on in minutes, from one second on in seconds.
pub(super) fn span(duration: Duration) -> String {
    let shown = match duration.as_secs() {
        0 => Duration::from_millis(duration.subsec_millis().into()),
        seconds @ 1..3_600 => Duration::from_secs(seconds),
        seconds => Duration::from_secs(seconds / 60 * 60),
    };
    humantime::format_duration(shown).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_form_is_told_in_milliseconds() {
        assert_eq!(time(Timestamp::from_millis(253_402_300_799_999)), "9999-12-31T23:59:59.999Z");
        assert_eq!(time(Timestamp::from_millis(253_402_300_800_000)), "@253402300800000");
        assert_eq!(time(Timestamp::from_millis(i64::MAX)), format!("@{}", i64::MAX));
        assert_eq!(time(Timestamp::from_millis(-1)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn one_is_not_told_as_several() {
        let told = |number| counted(number, "process", "processes");
        assert_eq!([told(0), told(1), told(2)], ["0 processes", "1 process", "2 processes"]);
    }

    #[test]
    fn nothing_that_is_told_reaches_the_terminal_but_as_text() {
        let odd = "a\u{1b}[2Jb\r\nc\u{202e}d";
        assert_eq!(plain(odd), "a\u{fffd}[2Jb\u{fffd}\nc\u{fffd}d");
        assert_eq!(clean(odd), "a\u{fffd}[2Jb c\u{fffd}d");
        let rows = table(&["status"], [vec![odd.to_owned()]], None);
        assert_eq!(rows[1].trim(), clean(odd));
    }
}
