//! The live view, as a shell runs it: over a store alone, while a worker is at work, and after it was lost.

use procession::WorkerOptions;
use procession::prelude::*;
use procession::store::SqliteStore;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child as Running, Command};

#[cfg(feature = "amqp")]
use super::cli_run::every;
use super::os_process::Other;
use super::support::{Gate, World, eventually};

/// Has a page painted, and binds it.
#[process(name = "live::Album", needs(Gate))]
#[derive(Default)]
struct Album {
    page: Child<Page>,
}

spec! { Album { input fails: bool = false; output pages: u64; exit 7 Torn "a page is torn"; } }

outline! { Album {
    begin;
    if_(torn) { return_(Torn) }
    bind => pages;
}}

impl Album {
    fn begin(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        cx.set_status("has a page painted, with all the colours that there are");
        self.page = cx.launch(Page::inputs())?;
        Ok(())
    }

    fn torn(&self, cx: &Cx<Self>) -> bool {
        cx.inputs().fails
    }

    fn bind(&self) -> u64 {
        1
    }
}

#[process(name = "live::Page", needs(Gate))]
#[derive(Default)]
struct Page {}

spec! { Page { output painted: bool; } }

outline! { Page { paint => painted; } }

impl Page {
    async fn paint(&mut self, cx: &mut Cx<Self>) -> bool {
        cx.progress(3, 10);
        cx.resource::<Gate>().pass().await;
        true
    }
}

struct Studio {
    folder: TempDir,
    world: World,
    runtime: Runtime,
}

impl Studio {
    async fn new() -> Self {
        let (folder, world) = (tempfile::tempdir().unwrap(), World::new());
        let store = SqliteStore::open(folder.path().join("studio.db")).unwrap();
        // The real clock: what is shown is reckoned from it.
        let builder = Runtime::builder().store(store).resource(world.gate.clone());
        let runtime = builder.register::<Album>().register::<Page>().build().await.unwrap();
        Self { folder, world, runtime }
    }

    /// An album whose page is at the gate.
    async fn album(&self, id: &str, fails: bool) {
        self.runtime.launch(Album::inputs().fails(fails)).id(id).await.unwrap();
        self.world.gate.reached().await;
    }

    fn command(&self, arguments: &[&str]) -> Command {
        command(self.folder.path(), arguments)
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().await.unwrap()
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procession"));
    command.current_dir(folder).stdin(Stdio::null()).env_remove("PROCESSION_CONFIG");
    command.args(["--store", "sqlite:studio.db"]).args(arguments);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Its output to the end.
async fn finished(mut running: Running) -> (i32, String, String) {
    let (mut output, mut errors) = (String::new(), String::new());
    let (mut out, mut err) = (running.stdout.take().unwrap(), running.stderr.take().unwrap());
    let (read, _) = tokio::join!(out.read_to_string(&mut output), err.read_to_string(&mut errors));
    read.unwrap();
    let status = tokio::time::timeout(Duration::from_secs(20), running.wait()).await;
    (status.expect("it ends").unwrap().code().unwrap_or(-1), output, errors)
}

#[tokio::test]
async fn progress_is_seen_from_another_os_process_while_the_step_runs() {
    let studio = Studio::new().await;
    studio.album("one", false).await;
    eventually(async || text(&studio.run(&["status", "one"]).await.stdout).contains(", 30 % (3 of 10)")).await;
    let json: Value = serde_json::from_slice(&studio.run(&["status", "one", "--json"]).await.stdout).unwrap();
    let page = &json["processes"][1];
    assert_eq!((&page["progress"]["percent"], &page["progress"]["left_ms"]), (&30.into(), &Value::Null));
    assert_eq!(json["processes"][0]["children"], serde_json::json!({"all": 1, "ended": 0}));
    assert_eq!(json["processes"][0]["owner"], Value::Null, "the store has one owner");
}

#[tokio::test]
async fn each_change_is_told_until_all_have_ended() {
    let studio = Studio::new().await;
    studio.album("one", false).await;
    let mut watching = studio.start(&["watch", "one"]);
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    assert!(first.contains("Z live::Album one: waiting, after `begin`, waits for children, 0 of 1 ended"), "{first}");
    assert!(first.ends_with(" — has a page painted, with all the colours that there are"), "{first}");
    let second = lines.next_line().await.unwrap().unwrap();
    assert!(second.contains("Z live::Page ") && second.contains(": running, at `paint`"), "{second}");
    studio.world.gate.open(1);
    let mut told = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        told.push(line);
    }
    assert_eq!(watching.wait().await.unwrap().code(), Some(0));
    assert!(told.iter().any(|line| line.contains("live::Page ") && line.contains(": finished")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("live::Album one: finished")), "{told:?}");
    let distinct: std::collections::HashSet<_> = told.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(distinct.len(), told.len(), "no line is told twice: {told:?}");
    assert!(told.iter().all(|line| !line.contains('\u{1b}')), "{told:?}");
}

#[tokio::test]
async fn each_change_is_a_document_for_programs() {
    let studio = Studio::new().await;
    studio.album("one", false).await;
    let watching = studio.start(&["watch", "one", "--json"]);
    studio.world.gate.open(1);
    let (status, output, errors) = finished(watching).await;
    assert_eq!(status, 0, "{errors}");
    let documents: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = documents.iter().rfind(|document| document["id"] == "one").unwrap();
    assert_eq!((&last["id"], &last["state"], &last["depth"]), (&"one".into(), &"finished".into(), &0.into()));
    assert!(documents.iter().all(|document| document["at"].is_string()));
}

#[tokio::test]
async fn a_process_that_fails_is_the_exit_status() {
    let studio = Studio::new().await;
    studio.album("one", true).await;
    let watching = studio.start(&["watch", "one"]);
    studio.world.gate.open(1);
    let (status, _, errors) = finished(watching).await;
    assert_eq!(status, 1, "{errors}");
    assert!(errors.starts_with("error: process `one` ended with exit code Torn (7)"), "{errors}");
    assert!(errors.ends_with("next: procession status one\n"), "{errors}");
}

#[tokio::test]
async fn what_is_not_there_is_not_watched() {
    let studio = Studio::new().await;
    studio.album("one", false).await;
    for arguments in [&["watch", "two"][..], &["watch", "--where", "paused"], &["status", "two"]] {
        let output = studio.run(arguments).await;
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {}", text(&output.stderr));
    }
    assert_eq!(studio.run(&["watch"]).await.status.code(), Some(2));
    assert_eq!(studio.run(&["watch", "one", "--where", "root"]).await.status.code(), Some(2));
    let output = studio.run(&["list", "--watch"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("`--watch` needs a terminal"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn all_that_are_like_this_are_watched() {
    let studio = Studio::new().await;
    studio.album("one", false).await;
    studio.album("two", true).await;
    let mut watching = studio.start(&["watch", "--where", "root"]);
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut seen = lines.next_line().await.unwrap().unwrap();
    while !(seen.contains("Album one: waiting") && seen.contains("Album two: waiting")) {
        seen += &lines.next_line().await.unwrap().unwrap();
    }
    studio.world.gate.open(2);
    while let Some(line) = lines.next_line().await.unwrap() {
        seen += &line;
    }
    assert_eq!(watching.wait().await.unwrap().code(), Some(1));
    for ended in ["live::Album one: finished", "live::Album two: finished with exit code"] {
        assert!(seen.contains(ended), "{seen}");
    }
}

/// The processes are left as they are.
#[tokio::test]
async fn an_interrupt_ends_the_view_alone() {
    let studio = Studio::new().await;
    studio.album("one", false).await;
    let mut watching = studio.start(&["watch", "one"]);
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    lines.next_line().await.unwrap().unwrap();
    let pid = watching.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let status = tokio::time::timeout(Duration::from_secs(20), watching.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(text(&studio.run(&["status", "one"]).await.stdout).contains("live::Album one: waiting"));
}

#[tokio::test]
async fn a_view_that_nobody_reads_ends() {
    let studio = Studio::new().await;
    studio.album("one", false).await;
    let mut watching = studio.start(&["watch", "one"]);
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    lines.next_line().await.unwrap().unwrap();
    drop(lines);
    // The next change finds nobody.
    studio.world.gate.open(1);
    let status = tokio::time::timeout(Duration::from_secs(20), watching.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(1));
}

/// By a binary that has the process, and runs it itself.
#[cfg(feature = "amqp")]
#[tokio::test]
async fn where_a_run_stands_in_its_outline_is_told_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(every());
    command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("PROCESSION_CONFIG").args(["--store", "sqlite:studio.db", "run"]).kill_on_drop(true);
    let mut running = command.args(["procession_examples:WaitChain", "n=1", "delay=600"]).spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let mut line = String::new();
    while !line.contains(": waiting") {
        line = lines.next_line().await.unwrap().unwrap();
    }
    assert!(line.contains(": waiting, after `wait` 1/2, round 1, waits for 2"), "{line}");
    let mut status = Command::new(every());
    status.current_dir(folder.path()).args(["--store", "sqlite:studio.db", "status", "--json"]);
    let id = line.split(' ').nth(2).unwrap().trim_end_matches(':');
    let json: Value = serde_json::from_slice(&status.arg(id).output().await.unwrap().stdout).unwrap();
    let process = &json["processes"][0];
    assert_eq!(
        (&process["step_number"], &process["outline_steps"], &process["round"]),
        (&1.into(), &2.into(), &1.into())
    );
    assert_eq!((&process["owner"]["alive"], &process["progress"]), (&true.into(), &Value::Null));
    running.kill().await.unwrap();
}

#[cfg(target_os = "linux")]
fn on_a_terminal(studio: &Studio, columns: usize, rows: usize, no_color: bool, arguments: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_procession");
    let line = format!("stty cols {columns} rows {rows}; '{program}' --store sqlite:studio.db {arguments}");
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(studio.folder.path()).stdin(Stdio::null());
    command.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("PROCESSION_CONFIG");
    if no_color {
        command.env("NO_COLOR", "1");
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Without what moves the cursor, or colours.
#[cfg(target_os = "linux")]
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            let _ = rest.find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn on_a_terminal_lines_are_drawn_anew_in_their_place() {
    let studio = Studio::new().await;
    studio.album("one", false).await;
    for (columns, no_color) in [(40, true), (120, false)] {
        let mut watching = on_a_terminal(&studio, columns, 10, no_color, "watch one").spawn().unwrap();
        let mut output = watching.stdout.take().unwrap();
        let mut seen = Vec::new();
        while !text_of(&seen).contains("\u{1b}[2A") {
            assert!(output.read_buf(&mut seen).await.unwrap() > 0, "{}", text_of(&seen));
        }
        watching.kill().await.unwrap();
        let seen = text_of(&seen);
        assert_eq!(seen.contains("\u{1b}[1;36m●"), !no_color, "{seen}");
        let plain = plain(&seen);
        let lines: Vec<&str> = plain.lines().map(|line| line.trim_matches('\r')).collect();
        assert!(lines.iter().any(|line| line.starts_with("… live::Album")), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("  ● live::Page")), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= columns), "{lines:?}");
    }
    let output = on_a_terminal(&studio, 40, 10, false, "status one").output().await.unwrap();
    let shown = plain(&text(&output.stdout));
    assert!(shown.lines().count() == 2 && shown.lines().all(|line| line.chars().count() <= 40), "{shown}");
}

/// What is drawn on a terminal of this size until something is, and how the terminal is left on Ctrl-C.
#[cfg(target_os = "linux")]
struct Terminal {
    watching: Running,
    seen: Vec<u8>,
}

#[cfg(target_os = "linux")]
impl Terminal {
    fn start(studio: &Studio, columns: usize, rows: usize, arguments: &str) -> Self {
        // The shell outlives Ctrl-C, and tells how it finds the terminal.
        let program = env!("CARGO_BIN_EXE_procession");
        let line = format!(
            "stty cols {columns} rows {rows}; before=$(stty -g); trap : INT; \
             '{program}' --store sqlite:studio.db {arguments}; status=$?; \
             [ \"$before\" = \"$(stty -g)\" ] && echo \"in order after $status\""
        );
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).current_dir(studio.folder.path()).stdin(Stdio::piped());
        command.env("TERM", "xterm").env_remove("PROCESSION_CONFIG");
        let watching = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        Self { watching, seen: Vec::new() }
    }

    async fn shows(&mut self, what: &str) -> String {
        let output = self.watching.stdout.as_mut().unwrap();
        let read = async {
            while !text_of(&self.seen).contains(what) {
                assert!(output.read_buf(&mut self.seen).await.unwrap() > 0, "no `{what}`: {}", text_of(&self.seen));
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect(what);
        text_of(&self.seen)
    }

    async fn press(&mut self, keys: &[u8]) {
        use tokio::io::AsyncWriteExt;
        self.watching.stdin.as_mut().unwrap().write_all(keys).await.unwrap();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_list_on_a_terminal_is_drawn_anew_and_leaves_the_terminal_in_order() {
    const COLUMNS: usize = 90;
    const ROWS: usize = 7;
    let studio = Studio::new().await;
    for number in 0..6 {
        studio.album(&format!("album-{number}"), false).await;
    }
    let mut terminal = Terminal::start(&studio, COLUMNS, ROWS, "list --watch");
    let drawn = terminal.shows("there are more than fit").await;
    assert!(drawn.contains("running") && !drawn.contains("finished"), "{drawn}");
    studio.world.gate.open(6);
    terminal.shows("finished").await;
    terminal.press(b"\x03").await;
    let all = terminal.shows("in order after ").await;
    assert!(all.contains("in order after 0"), "{all}");
    assert!(all.contains("\r\u{1b}[K"), "it leaves the line of the keys: {all}");
    assert!(!all.contains("\u{1b}[?"), "no mode of the terminal is changed: {all}");
    let frames: Vec<&str> = all.split_inclusive("\u{1b}[J").filter(|frame| frame.ends_with("\u{1b}[J")).collect();
    assert!(frames.len() >= 2, "{all}");
    for (number, frame) in frames.iter().enumerate() {
        let rows = frame.matches("\r\n").count();
        assert!((2..ROWS).contains(&rows), "{rows}: {frame:?}");
        // In the place of the one before it.
        assert_eq!(frame.contains(&format!("\u{1b}[{}A", ROWS - 1)), number > 0, "{frame:?}");
        for line in plain(frame).lines() {
            let line = line.trim_matches('\r');
            assert!(line.chars().count() <= COLUMNS, "{line:?}");
        }
    }
}

#[cfg(target_os = "linux")]
fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const STORE: &str = "PROCESSION_LIVE_STORE";

/// The part of the other OS process: a worker whose step does not end.
fn serve(file: &OsStr) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let gate = Gate::new();
        let worker = WorkerOptions::new().lease(Duration::from_millis(600)).host("studio.example");
        let builder = Runtime::builder().store(SqliteStore::open(file).unwrap()).worker(worker).resource(gate.clone());
        let runtime = builder.register::<Album>().register::<Page>().build().await.unwrap();
        runtime.launch(Album::inputs()).id("one").await.unwrap();
        gate.reached().await;
        println!("at work");
        std::future::pending::<()>().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_is_shown_as_lost() {
    if let Some(file) = std::env::var_os(STORE) {
        return tokio::task::block_in_place(|| std::thread::spawn(move || serve(&file)).join().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("studio.db");
    let mut other = Other::start("live::a_worker_that_is_killed_is_shown_as_lost", &[(STORE, file.as_os_str())]);
    other.hears("at work");
    let status = async || {
        let output = command(folder.path(), &["status", "one", "--json"]).output().await.unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["processes"][1].clone()
    };
    eventually(async || status().await["owner"]["alive"] == true).await;
    assert_eq!(status().await["owner"]["host"], "studio.example");
    let mut watching =
        command(folder.path(), &["watch", "one"]).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().unwrap().contains("live::Album one: waiting"));
    assert!(lines.next_line().await.unwrap().unwrap().contains(": running, at `paint`"));
    other.kill();
    let mut told = lines.next_line().await.unwrap().unwrap();
    while !told.contains("live::Page") || told.contains("30 %") && !told.contains("lost") {
        told = lines.next_line().await.unwrap().unwrap();
    }
    assert!(told.contains(": not running, worker lost, not heard from since 2"), "{told}");
    assert_eq!(status().await["owner"]["alive"], false);
    let shown = command(folder.path(), &["status", "one"]).output().await.unwrap();
    let shown = text(&shown.stdout);
    assert!(shown.contains(": not running, worker lost, last heard from ") && !shown.contains(": running"), "{shown}");
    let listed = command(folder.path(), &["list", "--json", "--name", "live::Page"]).output().await.unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["processes"][0]["worker_lost"], true);
    let listed = text(&command(folder.path(), &["list"]).output().await.unwrap().stdout);
    assert!(listed.contains("not running, worker lost") && !listed.contains("  running"), "{listed}");
    let page = status().await["id"].as_str().unwrap().to_owned();
    let shown = text(&command(folder.path(), &["show", &page]).output().await.unwrap().stdout);
    assert!(shown.contains("state      not running, its worker was last heard from "), "{shown}");
    let drawn = command(folder.path(), &["graph", &page]).output().await.unwrap();
    let drawn = text(&drawn.stdout);
    assert!(drawn.contains("not running: its worker was last heard from ") && drawn.contains("? paint"), "{drawn}");
}
