//! Runs the commands of a page, as its reader would.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, TempDir};

use super::book::Block;
use super::fits::{Ids, fits, with_ids};

/// How long a command may take, and how long what it shows may be another thing than what the page shows.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Commands that only look: what they print becomes what the page shows, sooner or later.
const LOOKING: [&str; 12] = [
    "list",
    "show",
    "status",
    "report",
    "events",
    "graph",
    "spec",
    "worker list",
    "checkpoint",
    "doctor",
    "help",
    "--version",
];

/// Runs a program, says its id in a file, and ends it when the pipe ends that only the test process holds.
const GUARD: &str = r#"
exec 3<&0 </dev/null
sh -c "echo \$\$ >$0; exec $1" 3<&- &
child=$!
{ cat <&3 >/dev/null; kill -KILL $child; } 2>/dev/null &
wait $child
"#;

/// The reader's terminals, in one folder.
pub(super) struct Shell {
    folder: PathBuf,
    /// What stands in for programs that would reach beyond this test.
    programs: TempDir,
    path: String,
    environment: Vec<(String, String)>,
    ids: Ids,
    /// In the first terminal, while the page goes on in the second one.
    background: Vec<Background>,
}

struct Background {
    guard: Child,
    /// The end of it is the end of the program.
    pipe: Option<ChildStdin>,
    id: NamedTempFile,
    output: NamedTempFile,
    command: String,
}

impl Background {
    fn printed(&self) -> String {
        printed(&self.output)
    }

    fn id(&self) -> String {
        printed(&self.id).trim().to_owned()
    }

    fn has_ended(&mut self) -> bool {
        self.guard.try_wait().expect("it can be waited for").is_some()
    }
}

impl Shell {
    /// In this folder, with these folders of programs before all others.
    pub(super) fn new(folder: &Path, programs: &[PathBuf]) -> Self {
        let own = tempfile::tempdir().expect("room for a folder");
        let mut path: Vec<PathBuf> = vec![own.path().to_owned()];
        path.extend_from_slice(programs);
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let path = std::env::join_paths(path).expect("a path").into_string().expect("a text");
        let (folder, environment, background) = (folder.to_owned(), Vec::new(), Vec::new());
        let shell = Self { folder, programs: own, path, environment, ids: Ids::new(), background };
        // It ends what runs here, and nothing else of that name.
        shell.stands_for("pkill", "kill \"$1\" $GUIDE_RUNNING");
        shell
    }

    /// A command of this name is this program.
    #[cfg(feature = "amqp")]
    pub(super) fn means(&self, name: &str, program: &str) {
        self.stands_for(name, &format!("exec '{program}' \"$@\""));
    }

    /// A command of this name is this program, which then goes by that name.
    #[cfg(feature = "amqp")]
    pub(super) fn has(&self, name: &str, program: &Path) {
        std::os::unix::fs::symlink(program, self.programs.path().join(name)).expect("it can be written");
    }

    fn stands_for(&self, name: &str, script: &str) {
        let path = self.programs.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Runs what a block shows, and compares.
    pub(super) fn run(&mut self, block: &Block) {
        let commands = commands(block);
        let last = commands.len().saturating_sub(1);
        for (index, (command, shown)) in commands.into_iter().enumerate() {
            let command = with_ids(&command, &self.ids);
            if block.has("background") && index == last {
                self.begin(&command, &shown, &block.place);
            } else {
                self.finish(&command, &shown, &block.place);
            }
        }
    }

    fn command(&mut self, line: &str, output: &File) -> Command {
        self.background.retain_mut(|running| !running.has_ended());
        let running: Vec<_> = self.background.iter().map(Background::id).collect();
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(&self.folder).stdin(Stdio::null());
        for name in
            ["PROCESSION_STORE", "PROCESSION_SCHEMA", "PROCESSION_CONFIG", "PROCESSION_AMQP", "CARGO_TARGET_DIR"]
        {
            command.env_remove(name);
        }
        command.env("PATH", &self.path).env("GUIDE_RUNNING", running.join(" ")).env("COLUMNS", "120");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let clone = || output.try_clone().expect("a file has two names");
        command.stdout(clone()).stderr(clone());
        command
    }

    fn begin(&mut self, line: &str, shown: &str, place: &str) {
        let [id, output] = [(); 2].map(|()| NamedTempFile::new().expect("room for a file"));
        let mut guarded = self.command(GUARD, output.as_file());
        let mut guard = guarded.arg(id.path()).arg(line).stdin(Stdio::piped()).spawn().expect("a shell");
        let mut running = Background { pipe: guard.stdin.take(), guard, id, output, command: line.to_owned() };
        let until = Instant::now() + PATIENCE;
        loop {
            let printed = running.printed();
            if let Some(ids) = fits(shown, &printed, &self.ids).filter(|_| !running.id().is_empty()) {
                self.ids = ids;
                break;
            }
            let ended = running.has_ended();
            assert!(!ended && Instant::now() < until, "{place}: `{line}` shows\n{printed}\nand not\n{shown}");
            std::thread::sleep(POLL);
        }
        self.background.push(running);
    }

    fn finish(&mut self, line: &str, shown: &str, place: &str) {
        let looks = LOOKING.iter().any(|word| line.contains(&format!(" {word}")));
        let fails = shown.lines().any(|line| line.starts_with("error"));
        let until = Instant::now() + PATIENCE;
        loop {
            let (printed, succeeded) = self.output(line, place);
            if let Some(ids) = fits(shown, &printed, &self.ids).filter(|_| succeeded != fails) {
                self.ids = ids;
                return;
            }
            let told = if succeeded { "succeeded" } else { "failed" };
            assert!(looks && Instant::now() < until, "{place}: `{line}` {told}, and printed\n{printed}\nnot\n{shown}");
            std::thread::sleep(POLL);
        }
    }

    /// What a command printed, and whether it succeeded.
    fn output(&mut self, line: &str, place: &str) -> (String, bool) {
        let output = NamedTempFile::new().expect("room for a file");
        let mut child = self.command(line, output.as_file()).spawn().expect("a shell");
        let until = Instant::now() + 5 * PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().expect("it can be waited for") {
                break status;
            }
            if Instant::now() > until {
                let _ = child.kill();
                panic!("{place}: `{line}` does not end");
            }
            std::thread::sleep(POLL / 5);
        };
        (printed(&output), status.success())
    }

    /// What the reader leaves behind has ended by itself, or was ended by a command of the page.
    pub(super) fn close(mut self) {
        let until = Instant::now() + PATIENCE;
        while let Some(running) = self.background.first_mut() {
            if running.has_ended() {
                self.background.remove(0);
                continue;
            }
            assert!(Instant::now() < until, "`{}` still runs:\n{}", running.command, running.printed());
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for running in &mut self.background {
            // Where a test has failed, nothing is left behind.
            drop(running.pipe.take());
            let _ = running.guard.wait();
        }
    }
}

fn printed(output: &NamedTempFile) -> String {
    String::from_utf8_lossy(&fs::read(output.path()).expect("it can be read")).into_owned()
}

/// Each command with what it prints.
fn commands(block: &Block) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, shown))) => {
                shown.push_str(line);
                shown.push('\n');
            }
            (None, None) => panic!("{}: it begins without `$ `", block.place),
        }
    }
    assert!(!commands.is_empty(), "{}: no command", block.place);
    commands
}
