//! What is drawn of given processes, at several widths.

use std::sync::Arc;

use procession_runtime::ProcessState;
use procession_runtime::clock::Timestamp;
use procession_runtime::outline::{Branch, Node as Instruction, Outline, Step};
use procession_runtime::picture::{Picture, Run};
use procession_runtime::process::Progress;
use procession_runtime::store::{
    AwaitedChild, Awaiting, Envelope, Epoch, FORMAT, HistoryEntry, Look, Record, StatusText, Worker, WorkerRow,
};
use unicode_width::UnicodeWidthStr;

use super::changes::Changes;
use super::line::{Telling, line};
use super::screen::{Drawn, Screen, Size, lines};
use super::tree::{Attended, Node, Trees};

const IMPROVE: &[Instruction] = &[Instruction::Step(Step::new("improve", "improve"))];
const RELAX: Outline = Outline {
    body: &[
        Instruction::Step(Step::new("setup", "setup")),
        Instruction::While(Branch::new("unconverged", IMPROVE, 3)),
        Instruction::Step(Step::new("finish", "finish")),
    ],
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + 1_000 * seconds)
}

fn record(pid: &str, state: ProcessState) -> Record {
    Record {
        pid: pid.into(),
        envelope: Envelope {
            format: FORMAT,
            process: "crystals::Relax".to_owned(),
            version: 1,
            fingerprint: String::new(),
        },
        key: None,
        parent: None,
        follows: false,
        state,
        paused: false,
        status: StatusText::default(),
        position: r#"{"at":{"step":"improve"}}"#.to_owned(),
        context: "{}".to_owned(),
        inputs: "{}".into(),
        defaulted: None,
        outputs: "{}".to_owned(),
        awaiting: Awaiting::default(),
        listeners: None,
        open_children: 0,
        steps: 3,
        ended: None,
        parked: None,
        created_at: at(0),
        updated_at: at(40),
    }
}

fn began(seconds: i64, steps: u64, point: &str) -> HistoryEntry {
    let from = if steps == 0 { ProcessState::Created } else { ProcessState::Running };
    HistoryEntry { at: at(seconds), from, to: ProcessState::Running, steps, point: point.to_owned() }
}

fn node(depth: usize, record: &Record) -> Node {
    let history = [began(0, 0, "setup"), began(10, 1, "improve"), began(20, 2, "improve"), began(40, 3, "improve")];
    let run = Run::new(record, &history);
    let place = Picture::new("Relax", &RELAX).with_run(&run).place();
    let (run, place) = if record.state.is_terminal() { (None, None) } else { (Some(run), place) };
    let look = Arc::new(Look::from(record));
    Node { depth, look, place, run, attended: Attended::Unknown }
}

/// In its third round, 40 % done, 90 s after its start.
fn running() -> Node {
    let mut node = node(0, &record("0192ab31-7c11-7000-8000-000000000001", ProcessState::Running));
    let look = Arc::make_mut(&mut node.look);
    look.hint = Some(Progress { done: 40, total: Some(100), at: at(80), first: 0, since: at(40) });
    look.status.text = Some("迭代 7: \u{1b}[31mmixing the\ndensity".to_owned());
    node
}

fn worker(heard: i64) -> Attended {
    let queues = vec![String::new()];
    let worker = Worker { host: "node".to_owned(), os_process: 7, version: "1".to_owned(), queues, slots: 4 };
    let (epoch, joined_at, heard_at) = (Epoch(3), at(0), at(heard));
    let row = WorkerRow { epoch, worker, slots_used: 1, joined_at, heard_at, owned: 1, alive: false, drains: false };
    Attended::Lost(Some(Box::new(row)))
}

fn trees(nodes: Vec<Node>) -> Trees {
    Trees { at: at(90), nodes, ..Trees::default() }
}

fn told(node: &Node, width: usize) -> String {
    line(node, Telling { now: at(90), width: Some(width), times: true })
}

#[test]
fn a_line_says_all_that_there_is_room_for() {
    let node = running();
    assert_eq!(
        told(&node, 200),
        "crystals::Relax 0192ab31-7c11-7000-8000-000000000001: running, at `improve` 2/3, round 3, 40 % (40 of 100), 50s \
         left, for 50s, active 1m 30s, waited 0s — 迭代 7: \u{fffd}[31mmixing the density"
    );
    assert_eq!(
        told(&node, 80),
        "crystals::Relax: running, at `improve` 2/3, round 3, 40 %, 50s left — 迭代 7: \u{fffd}…"
    );
    assert_eq!(told(&node, 40), "crystals::Relax: running, 40 %");
    assert_eq!(told(&node, 12), "crystals::R…");
    for width in 0..220 {
        assert!(told(&node, width).width() <= width, "{width}: {}", told(&node, width));
    }
}

#[test]
fn what_a_process_waits_for_is_told_with_since_when() {
    let mut waiting = record("one", ProcessState::Waiting);
    let child = |pid: &str| AwaitedChild { pid: pid.into(), allow_failure: false };
    waiting.awaiting.children = vec![child("a"), child("b"), child("c")];
    waiting.open_children = 2;
    waiting.position = r#"{"after":{"step":"improve"}}"#.to_owned();
    let mut node = node(0, &waiting);
    let waits = HistoryEntry {
        at: at(60),
        from: ProcessState::Running,
        to: ProcessState::Waiting,
        steps: 4,
        point: "improve".to_owned(),
    };
    let history = [began(0, 0, "setup"), began(10, 1, "improve"), waits];
    node.run = Some(Run::seen(&node.look, &history));
    assert_eq!(
        told(&node, 200),
        "crystals::Relax one: waiting, after `improve` 2/3, round 3, waits for children, 1 of 3 ended, for 30s, active 1m, \
         waited 30s"
    );
    assert_eq!(told(&node, 80), "crystals::Relax: waiting, after `improve` 2/3, waits for children, 1 of 3 ended");
}

#[test]
fn what_a_lost_worker_had_is_never_running() {
    let mut node = running();
    Arc::make_mut(&mut node.look).owner = Some((Epoch(3), false));
    node.attended = worker(78);
    for width in [40, 80, 200] {
        let told = told(&node, width);
        assert!(told.starts_with("crystals::Relax") && told.contains(": not running"), "{told}");
    }
    assert!(told(&node, 80).contains(": not running, worker lost, last heard from 12s ago"), "{}", told(&node, 80));
    assert!(!told(&node, 200).contains(" left"), "nobody knows how long it takes");
    node.attended = Attended::Lost(None);
    assert!(told(&node, 200).contains(": not running, worker lost, at"), "{}", told(&node, 200));
    node.attended = Attended::Unclaimed;
    assert!(told(&node, 200).contains(": not running, no worker has it, at"), "{}", told(&node, 200));
    Arc::make_mut(&mut node.look).paused = true;
    assert!(told(&node, 200).contains(": not running, no worker has it, paused, at"), "{}", told(&node, 200));
}

#[test]
fn an_attempt_that_is_not_the_first_is_told() {
    let mut node = running();
    assert!(!told(&node, 200).contains("attempt"), "{}", told(&node, 200));
    Arc::make_mut(&mut node.look).attempts = 2;
    assert!(told(&node, 200).contains("at `improve` 2/3, round 3, attempt 3, 40 %"), "{}", told(&node, 200));
    assert_eq!(told(&node, 60), "crystals::Relax: running, at `improve` 2/3, attempt 3, 40 %");
    // One that was put aside says how often itself.
    Arc::make_mut(&mut node.look).parked = Some("why".to_owned());
    assert!(!told(&node, 200).contains("attempt"), "{}", told(&node, 200));
}

#[test]
fn what_has_ended_is_told_with_how() {
    let mut failed = record("one", ProcessState::Finished);
    failed.ended = Some(r#"{"state":"exited","exit":{"number":3,"name":"Bad","message":"bad"}}"#.to_owned());
    let node = node(0, &failed);
    assert!(told(&node, 200).starts_with("crystals::Relax one: finished"), "{}", told(&node, 200));
    assert!(told(&node, 200).ends_with(", took 40s"), "{}", told(&node, 200));
    assert_eq!(drawn(&trees(vec![node]), 80, 24)[0].chars().next(), Some('!'));
}

fn drawn(trees: &Trees, width: usize, height: usize) -> Vec<String> {
    lines(trees, Size { width, height }, false).into_iter().map(|line| line.text).collect()
}

#[test]
fn no_more_lines_are_drawn_than_fit() {
    let mut nodes = vec![running()];
    for index in 0..100 {
        let state = if index == 70 { ProcessState::Waiting } else { ProcessState::Finished };
        let mut ended = record(&format!("child-{index}"), state);
        ended.ended = state.is_terminal().then(|| r#"{"state":"finished","result":null}"#.to_owned());
        nodes.push(node(1, &ended));
    }
    let mut all = trees(nodes);
    for height in [1, 2, 3, 24, 101] {
        let lines = drawn(&all, 80, height);
        assert!(lines.len() <= height.saturating_sub(1).max(1), "{height}: {lines:?}");
    }
    let lines = drawn(&all, 80, 5);
    assert!(lines[0].starts_with("● crystals::Relax: running"), "{lines:?}");
    assert!(lines[1].starts_with("  ✓ crystals::Relax child-0: finished"), "{lines:?}");
    assert!(lines[2].starts_with("  … crystals::Relax child-70: waiting"), "what has not ended comes first: {lines:?}");
    assert_eq!(lines[3], "… and 98 more");
    assert_eq!(drawn(&all, 80, 102).len(), 101);
    all.more = true;
    assert_eq!(drawn(&all, 80, 5)[3], "… and at least 98 more");
}

#[test]
fn deep_processes_are_still_read() {
    let mut deep = running();
    deep.depth = 500;
    for width in [1, 40, 80] {
        let lines = lines(&trees(vec![deep.clone()]), Size { width, height: 9 }, true);
        assert!(lines[0].width <= width.max(10) && lines[0].text.contains("\u{1b}[1;36m●\u{1b}[0m"), "{lines:?}");
    }
}

#[test]
fn a_screen_is_drawn_over_what_it_had_drawn() {
    let mut screen = Screen::default();
    let line = |text: &str| Drawn::plain(text, 80);
    let wide = Size { width: 80, height: 24 };
    let first = [line(&"a".repeat(60)), line("b")];
    assert_eq!(screen.draw(&first, wide), format!("\r{}\u{1b}[K\r\nb\u{1b}[K\r\n\u{1b}[J", "a".repeat(60)));
    // Broken in two by a narrower terminal.
    let narrow = Size { width: 40, height: 24 };
    assert_eq!(screen.draw(&[line("c")], narrow), "\r\u{1b}[3Ac\u{1b}[K\r\n\u{1b}[J");
    // What has left the screen above is left alone.
    let lines: Vec<_> = (0..9).map(|_| line("d")).collect();
    screen.draw(&lines, wide);
    assert!(screen.draw(&[], Size { width: 80, height: 4 }).starts_with("\r\u{1b}[3A\u{1b}[J"));
}

#[test]
fn the_time_alone_is_no_change() {
    let mut changes = Changes::new(false);
    let mut trees = trees(vec![running()]);
    let mut told = |trees: &Trees| changes.since_last(trees).into_iter().map(|(_, line)| line).collect::<String>();
    let text = told(&trees);
    assert!(text.starts_with("2023-11-14T22:14:50.000Z crystals::Relax 0192ab31-"), "{text}");
    assert_eq!((text.lines().count(), text.contains("left")), (1, false));
    trees.at = at(500);
    assert_eq!(told(&trees), "");
    Arc::make_mut(&mut trees.nodes[0].look).hint.as_mut().unwrap().done = 41;
    assert!(told(&trees).contains("41 %"));
    trees.nodes[0].attended = worker(99);
    let text = told(&trees);
    assert!(text.contains("worker lost, not heard from since 2023-11-14T22:14:59.000Z"), "{text}");
}
