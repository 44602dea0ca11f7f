//! Pictures of outlines and of runs.
//!
//! What is drawn is compared with the files in `tests/data/pictures` and `docs/pictures`. `cargo xtask pictures` draws
//! them anew; look at what has changed.

mod constructs;
#[cfg(feature = "sqlite")]
mod examples;
mod hostile;
mod overlay;
mod runs;
#[cfg(all(unix, feature = "cli", feature = "sqlite"))]
mod screen;
mod shapes;

use procession::clock::Timestamp;
use procession::picture::{Picture, Run};
use procession::process::Ended;
use procession::store::{Envelope, FORMAT, HistoryEntry, Record};
use procession::{ProcessId, ProcessState};
use std::fmt::Write as _;
use std::path::PathBuf;

/// The file in a folder of the repository holds this text. With `BLESS`, it does from now on.
#[track_caller]
fn check(folder: &str, name: &str, drawn: &str) {
    let file: PathBuf = [env!("CARGO_MANIFEST_DIR"), folder, name].iter().collect();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, drawn).expect("the picture can be written");
        return;
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == drawn,
        "{folder}/{name} is another picture; `cargo xtask pictures` renews it\n{}",
        diff(&kept, drawn)
    );
}

/// The lines between the first difference and the last, the old ones before the new ones.
fn diff(kept: &str, drawn: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (kept.lines().collect(), drawn.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[same..], &new[same..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
    let mut text = format!("from line {} on:\n", same + 1);
    for (sign, lines) in [('-', &old_rest[..old_rest.len() - end]), ('+', &new_rest[..new_rest.len() - end])] {
        lines.iter().take(20).for_each(|line| writeln!(text, "{sign} {line}").unwrap());
        if lines.len() > 20 {
            writeln!(text, "{sign} … and {} more lines", lines.len() - 20).unwrap();
        }
    }
    text
}

/// All three forms of a picture are as they are kept.
#[track_caller]
fn check_all(name: &str, picture: &Picture) {
    let text = [100, 40].map(|width| format!("{width} columns:\n{}", picture.text(width, false))).join("\n");
    check("tests/data/pictures", &format!("{name}.txt"), &text);
    check("tests/data/pictures", &format!("{name}.mmd"), &picture.mermaid());
    check("tests/data/pictures", &format!("{name}.svg"), &picture.svg());
}

/// Some milliseconds after all that is drawn here began.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

/// A run as a store would have it, told row by row.
#[derive(Clone)]
struct Story {
    record: Record,
    history: Vec<HistoryEntry>,
}

impl Story {
    fn new() -> Self {
        let envelope =
            Envelope { format: FORMAT, process: "it::Story".to_owned(), version: 1, fingerprint: String::new() };
        let record = Record {
            pid: ProcessId::from("story"),
            envelope,
            key: None,
            parent: None,
            follows: false,
            state: ProcessState::Created,
            paused: false,
            status: procession::store::StatusText::default(),
            position: r#"{"at":"start"}"#.to_owned(),
            context: "{}".to_owned(),
            inputs: "{}".into(),
            defaulted: None,
            outputs: "{}".to_owned(),
            awaiting: procession::store::Awaiting::default(),
            listeners: None,
            open_children: 0,
            steps: 0,
            ended: None,
            parked: None,
            created_at: at(0),
            updated_at: at(0),
        };
        Self { record, history: Vec::new() }
    }

    /// So many milliseconds later, the step that runs has ended, or the wait is over, and this is next.
    fn row(mut self, after: i64, to: ProcessState, point: &str) -> Self {
        let from = self.record.state;
        let now = at(self.record.updated_at.as_millis() - at(0).as_millis() + after);
        self.record.steps += u64::from(from == ProcessState::Running);
        self.record.state = to;
        self.record.updated_at = now;
        let steps = self.record.steps;
        self.history.push(HistoryEntry { at: now, from, to, steps, point: point.to_owned() });
        self
    }

    fn runs(self, after: i64, point: &str) -> Self {
        let mut story = self.row(after, ProcessState::Running, point);
        story.record.position = format!(r#"{{"at":{{"step":"{point}"}}}}"#);
        story
    }

    fn waits(self, after: i64, point: &str) -> Self {
        let mut story = self.row(after, ProcessState::Waiting, point);
        story.record.position = format!(r#"{{"after":{{"step":"{point}"}}}}"#);
        story
    }

    fn ends(self, after: i64, point: &str, ended: &Ended) -> Self {
        let mut story = self.row(after, ended.state(), point);
        story.record.ended = Some(serde_json::to_string(ended).unwrap());
        story
    }

    /// With something else in its record.
    fn with(mut self, change: impl FnOnce(&mut Record)) -> Self {
        change(&mut self.record);
        self
    }

    fn run(&self) -> Run {
        Run::new(&self.record, &self.history)
    }
}

/// What a picture tells of a run in a terminal, without trailing spaces.
fn told(picture: Picture, run: &Run) -> String {
    picture.with_run(run).text(100, false)
}

/// The text has all of these in some of its lines, wherever its columns are.
#[track_caller]
fn has(text: &str, parts: &[&str]) {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts.iter().map(|part| words(part)) {
        assert!(text.lines().any(|line| words(line).contains(&part)), "no line has `{part}`:\n{text}");
    }
}
