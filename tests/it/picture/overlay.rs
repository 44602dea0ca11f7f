//! What a run tells in a picture, from rows as a store has them.

use procession::ProcessState;
use procession::outline::{Branch, Node, Outline, Step};
use procession::picture::{Picture, Run};
use procession::process::{Ended, ErrorInfo};
use procession::spec::{ExitCode, MISSING_OUTPUT};
use procession::store::{AwaitedChild, Awaiting, HistoryEntry};
use serde_json::Value;

use super::constructs::step;
use super::{Story, at, check_all, has, told};

const ROUND: &[Node] = &[
    step("improve"),
    Node::If {
        branches: &[Branch::new("stalled", &[Node::Return { exit: Some("Stalled"), line: 1 }], 1)],
        otherwise: &[],
    },
    Node::While(Branch::new("noisy", &[step("calm"), step("listen")], 1)),
];

const RELAX: Outline = Outline {
    body: &[
        step("setup"),
        Node::While(Branch::new("unconverged", ROUND, 1)),
        Node::If { branches: &[Branch::new("done", &[Node::Return { exit: None, line: 1 }], 1)], otherwise: &[] },
        Node::Step(Step::new("finish", "finish").outputs(&["energy"])),
    ],
};

fn relax() -> Picture {
    Picture::new("Relax", &RELAX).with_exits(&[stalled()])
}

fn stalled() -> ExitCode {
    ExitCode::new(410, "Stalled", "no progress")
}

fn finished() -> Ended {
    serde_json::from_value(serde_json::json!({ "state": "finished", "result": Value::Null })).unwrap()
}

fn exited(exit: &ExitCode) -> Ended {
    serde_json::from_value(serde_json::json!({ "state": "exited", "exit": exit })).unwrap()
}

fn excepted(step: Option<&str>) -> Ended {
    let mut error = ErrorInfo::new("no room left");
    (error.step, error.causes) = (step.map(str::to_owned), vec!["disk is full".to_owned()]);
    serde_json::from_value(serde_json::json!({ "state": "excepted", "error": error })).unwrap()
}

fn killed(text: &str) -> Ended {
    serde_json::from_value(serde_json::json!({ "state": "killed", "text": text })).unwrap()
}

/// Two rounds of the outer loop, of which the second is in the third round of the inner one.
fn busy() -> Story {
    Story::new()
        .runs(5, "setup")
        .runs(20, "improve")
        .runs(1_000, "calm")
        .runs(100, "listen")
        .runs(50, "improve")
        .runs(3_000, "calm")
        .runs(100, "listen")
        .runs(50, "calm")
        .runs(100, "listen")
        .runs(50, "calm")
}

#[test]
fn steps_tell_how_often_and_how_long_and_loops_their_rounds() {
    let text = told(relax(), &busy().run().as_of(at(6_000)));
    has(&text, &["● running · 9 steps · created 6.0 s ago", "├─ ✓ setup", "took 20 ms", "2× · took 4.0 s"]);
    has(&text, &["↻ while unconverged round 2", "↻ while noisy round 3, 4 in all"]);
    has(&text, &["● calm", "3× · took 300 ms", "running for 1.5 s", "✓ listen", "3× · took 150 ms"]);
    has(&text, &["├─ · finish → energy", "■ exit 410 Stalled"]);
    check_all("run", &relax().with_run(&busy().run().as_of(at(6_000))));
}

#[test]
fn without_a_present_time_it_tells_since_when() {
    has(&told(relax(), &busy().run()), &["running since 2023-11-14 22:13:24 UTC", "created 2023-11-14 22:13:20 UTC"]);
    let created = told(relax(), &Story::new().run());
    has(&created, &["· created · 0 steps", "├─ · setup"]);
}

#[test]
fn a_wait_tells_what_for_and_how_long_and_afterwards_how_long_it_was() {
    let children = |open: u64| {
        let child = |name: &str| AwaitedChild { pid: name.into(), allow_failure: false };
        busy().waits(100, "calm").with(|record| {
            record.awaiting.children = ["a", "b", "c"].map(child).to_vec();
            record.open_children = open;
        })
    };
    let text = told(relax(), &children(2).run().as_of(at(6_000)));
    has(&text, &["… waiting · 10 steps", "… calm", "waiting for 2 of 3 children, for 1.4 s"]);
    has(&told(relax(), &children(3).run()), &["waiting for 3 children, since 2023-11-14 22:13:24 UTC"]);
    let timed =
        |wake_at| Awaiting { wake_at: Some(at(wake_at)), resume: Some("all right?".into()), ..Awaiting::default() };
    let sleeps = |wake_at| busy().waits(100, "calm").with(|record| record.awaiting = timed(wake_at));
    let text = told(relax(), &sleeps(66_000).run().as_of(at(6_000)));
    has(&text, &["waiting for 1 min 0 s more and for a resume: all right?, for 1.4 s"]);
    has(&told(relax(), &sleeps(66_000).run()), &["waiting until 2023-11-14 22:14:26 UTC and"]);
    let text = told(relax(), &sleeps(5_000).runs(2_000, "listen").run());
    has(&text, &["✓ calm", "4× · took 400 ms · waited 2.0 s", "● listen"]);
}

#[test]
fn a_pause_a_parking_and_a_lost_worker_are_not_drawn_as_running() {
    let paused = busy().with(|record| record.paused = true);
    let text = told(relax(), &paused.run().as_of(at(6_000)));
    has(&text, &["‖ paused, running · 9 steps", "‖ calm", "paused before it for 1.5 s"]);
    let waits = busy().waits(100, "calm").with(|record| {
        (record.paused, record.awaiting.resume) = (true, Some(String::new()));
    });
    has(&told(relax(), &waits.run().as_of(at(6_000))), &["paused for 1.4 s, waiting for a resume"]);
    let parked = busy().with(|record| record.parked = Some("its checkpoint cannot be read".to_owned()));
    has(&told(relax(), &parked.run()), &["? parked: its checkpoint cannot be read", "? calm"]);
    let lost = busy().run().unattended("its worker was not heard from for 3 min");
    let text = told(relax(), &lost);
    has(&text, &["? not running: its worker was not heard from for 3 min", "? calm"]);
    assert!(!text.contains('●'), "{text}");
}

#[test]
fn a_failure_stands_at_its_step_with_the_reason() {
    let text = told(relax(), &busy().ends(100, "calm", &excepted(Some("calm"))).run());
    has(&text, &["✗ excepted · 10 steps · took 4.5 s", "✗ calm", "no room left: disk is full"]);
    // A predicate failed after the step, or a child while it was waited for.
    let text = told(relax(), &busy().ends(100, "calm", &excepted(None)).run());
    has(&text, &["✗ calm", "after it: no room left: disk is full"]);
    let text = told(relax(), &busy().waits(1, "calm").ends(100, "calm", &excepted(None)).run());
    has(&text, &["✗ calm", "after it: no room left"]);
    // Before the first step there is none to stand at.
    has(&told(relax(), &Story::new().ends(1, "", &excepted(None)).run()), &["✗ excepted: no room left: disk is full"]);
    has(
        &told(relax(), &busy().ends(1, "calm", &killed("by hand")).run()),
        &["■ killed · 10 steps", "■ calm", "by hand"],
    );
    has(&told(relax(), &Story::new().ends(1, "", &killed("early")).run()), &["■ killed: early"]);
}

#[test]
fn the_end_is_marked_that_the_run_has_come_to() {
    let last = |point: &str| busy().runs(1, point);
    let text = told(relax(), &last("finish").ends(1, "finish", &finished()).run());
    has(&text, &["✓ finished · 11 steps", "✓ finish", "╰─ ✓ ◎ end"]);
    // From here, only `return_;` leads to a normal end.
    let text = told(relax(), &last("listen").ends(1, "listen", &finished()).run());
    has(&text, &["✓ return", "╰─ ◎ end"]);
    let text = told(relax(), &last("improve").ends(1, "improve", &exited(&stalled())).run());
    has(&text, &["! finished with exit code Stalled (410): no progress", "! exit 410 Stalled", "✓ improve"]);
    // Other steps cannot have come there: they ended the process themselves.
    let text = told(relax(), &last("finish").ends(1, "finish", &exited(&stalled())).run());
    has(&text, &["! finish", "ended the process with exit code Stalled", "■ exit 410 Stalled"]);
    let text = told(relax(), &Story::new().runs(1, "setup").ends(1, "setup", &finished()).run());
    has(&text, &["✓ return"]);
    let missing = exited(&ExitCode::new(MISSING_OUTPUT, "MissingOutput", "`energy` is missing"));
    let text = told(relax(), &last("finish").ends(1, "finish", &missing).run());
    has(&text, &["╰─ ! ◎ end", "✓ finish"]);
}

#[test]
fn a_history_without_its_first_rows_tells_at_least() {
    let mut story = busy();
    story.history.drain(..4);
    let text = told(relax(), &story.run());
    has(&text, &["The first transitions are not kept any more: numbers and times are at least these, and other"]);
    has(&text, &["at least 2×", "at least round 1", "at least 1× · took 3.0 s", "├─ · setup"]);
    story.history.clear();
    let text = told(relax(), &story.run().as_of(at(6_000)));
    has(&text, &["● running · 9 steps", "● calm", "running for 1.5 s", "numbers and times are at least these"]);
    assert!(!told(relax(), &busy().run()).contains("at least"));
}

#[test]
fn a_step_of_an_older_version_is_told_below() {
    let story = Story::new().runs(1, "setup").runs(1, "prepare").runs(2_000, "prepare").runs(500, "improve");
    let text = told(relax(), &story.run());
    has(&text, &["Not in this outline, but in the run: `prepare` done, 2×, took 2.5 s.", "● improve", "round 1"]);
    let text = told(relax(), &Story::new().runs(1, "prepare").run().as_of(at(2_000)));
    has(&text, &["Not in this outline, but in the run: `prepare` running, running for 1.9 s."]);
    assert!(relax().with_run(&story.run()).svg().contains("`prepare` done"));
    assert!(relax().with_run(&story.run()).mermaid().contains("prepare"));
}

#[test]
fn a_process_that_went_back_to_a_snapshot_goes_on_from_there() {
    let mut story = busy();
    let (now, steps) = (story.record.updated_at, story.record.steps);
    let (from, to) = (ProcessState::Running, ProcessState::Running);
    story.history.push(HistoryEntry { at: now, from, to, steps, point: "restored from `good`".to_owned() });
    assert_eq!(story.history.last().and_then(HistoryEntry::restored_from), Some("good"));
    assert_eq!(story.history[0].restored_from(), None);
    let text = told(relax(), &story.clone().runs(9_000, "finish").run());
    has(&text, &["✓ calm", "3× · took 300 ms", "● finish"]);
    assert!(!text.contains("restored"), "{text}");
}

#[test]
fn steps_without_an_outline_tell_which_followed_which() {
    let picture = || Picture::of_steps("by steps", ["setup", "improve", "leave"]);
    let text = told(picture(), &busy().run().as_of(at(6_000)));
    has(&text, &["✓ setup", "took 20 ms · then improve 1×", "· leave", "● calm", "then listen 3×"]);
    has(&text, &["No outline: each step decides what comes next."]);
    has(&picture().text(80, false), &["•  setup", "•  leave"]);
    // Nothing needs to be known but the run.
    has(&told(Picture::of_steps("unknown", []), &busy().run()), &["✓ setup", "● calm"]);
    check_all("run_of_steps", &picture().with_run(&busy().run().as_of(at(6_000))));
}

#[test]
fn what_cannot_be_read_is_no_panic() {
    let garbage = |record: &mut procession::store::Record| {
        (record.position, record.ended) = ("{".to_owned(), Some("[]".to_owned()));
        record.created_at = at(i64::MIN / 2);
    };
    for state in ProcessState::ALL {
        let mut story = busy().with(garbage);
        story.record.state = state;
        for run in [story.run(), Run::new(&story.record, &[]), story.run().as_of(at(i64::MAX / 2))] {
            assert!(relax().with_run(&run).svg().ends_with("</svg>\n"));
            assert!(!relax().with_run(&run).text(0, true).is_empty());
        }
    }
}
