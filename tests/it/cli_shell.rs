//! A shell for the command line: runs it on a store of its own, of either kind, as a person would; and programs that have
//! processes, each in an OS process of its own.

use procession::prelude::*;
use procession::store::{SqliteStore, Store};
use procession::{RuntimeBuilder, WorkerOptions};
use serde_json::Value;
use std::path::Path;
use std::process::{ExitCode, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

/// How long a program may take to say something, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a program is told, for the test that is one.
const ARGUMENTS: &str = "PROCESSION_TEST_ARGUMENTS";

/// Reports, and waits for a word that nobody says.
#[process(name = "shell::Hold")]
#[derive(Default)]
pub(crate) struct Hold {
    held: u32,
}

spec! { Hold {
    input name: String = "nobody".to_owned();
    output held: u32;
}}

outline! { Hold {
    hold;
    done => held;
}}

impl Hold {
    fn hold(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        self.held += 1;
        cx.report(format!("holds {}", cx.inputs().name));
        cx.wait("a word")
    }

    fn done(&self) -> u32 {
        self.held
    }
}

/// Waits for two that hold.
#[process(name = "shell::Parent")]
#[derive(Default)]
pub(crate) struct Parent {
    children: Vec<Child<Hold>>,
}

spec! { Parent { input name: String; } }

outline! { Parent {
    launch;
    done;
}}

impl Parent {
    fn launch(&mut self, cx: &mut Cx<Self>) -> Result<(), StepError> {
        for number in 0..2 {
            let name = format!("{}-{number}", cx.inputs().name);
            self.children.push(cx.launch(Hold::inputs().name(name))?);
        }
        Ok(())
    }

    fn done(&self) {}
}

/// Ends at once.
#[process(name = "shell::Quick")]
#[derive(Default)]
pub(crate) struct Quick {}

spec! { Quick { output answer: u32; } }
outline! { Quick { answer => answer; } }

impl Quick {
    fn answer(&self) -> u32 {
        42
    }
}

pub(crate) fn register(builder: RuntimeBuilder) -> RuntimeBuilder {
    builder.register::<Hold>().register::<Parent>().register::<Quick>()
}

/// A folder, and a store that is shared by workers.
pub(crate) struct Shell {
    pub(crate) folder: TempDir,
    /// What names the store: an address and, for PostgreSQL, a schema.
    pub(crate) place: Vec<String>,
    pub(crate) store: Arc<dyn Store>,
}

impl Shell {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shell.db");
        let place = vec!["--store".to_owned(), format!("sqlite:{}", path.display())];
        Self { folder, place, store: Arc::new(SqliteStore::open(path).unwrap()) }
    }

    #[cfg(all(unix, feature = "postgres"))]
    pub(crate) async fn postgres() -> Self {
        use crate::postgres::Postgres;
        let (url, schema) = (Postgres::shared().url(), Postgres::schema());
        let store = super::workers::postgres_at(&url, &schema).await;
        let place = ["--store", &url, "--schema", &schema].map(str::to_owned).to_vec();
        Self { folder: tempfile::tempdir().unwrap(), place, store }
    }

    /// A worker within the test, that others share the store with.
    pub(crate) async fn runtime(&self) -> Runtime {
        let builder = Runtime::builder().shared_store(Arc::clone(&self.store));
        register(builder.worker(WorkerOptions::new().lease(Duration::from_secs(3)))).build().await.unwrap()
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        run(self.folder.path(), &[&self.places()[..], arguments].concat()).await
    }

    pub(crate) fn places(&self) -> Vec<&str> {
        self.place.iter().map(String::as_str).collect()
    }

    /// What a command prints that does what it should.
    pub(crate) async fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.prints(&[arguments, &["--json"]].concat()).await).unwrap()
    }

    /// What a command says that fails, and its exit status.
    pub(crate) async fn fails(&self, arguments: &[&str]) -> (i32, String) {
        failed(&self.run(arguments).await)
    }

    /// Starts the program with these arguments, on this store.
    pub(crate) fn program(&self, arguments: &[&str]) -> Program {
        Program::start(self.folder.path(), &[&self.places()[..], arguments].concat())
    }

    /// The ids of what a command tells of processes.
    pub(crate) async fn listed(&self, arguments: &[&str]) -> Vec<String> {
        let listed = self.json(&[&["list"], arguments].concat()).await;
        let ids = listed["processes"].as_array().unwrap().iter();
        ids.map(|process| process["id"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn failed(output: &Output) -> (i32, String) {
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    (output.status.code().unwrap(), text(&output.stderr))
}

fn without_settings(command: &mut Command, folder: &Path) {
    command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    for name in ["STORE", "SCHEMA", "CONFIG", "AMQP"] {
        command.env_remove(format!("PROCESSION_{name}"));
    }
}

pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procession"));
    without_settings(&mut command, folder);
    command
}

pub(crate) async fn run(folder: &Path, arguments: &[&str]) -> Output {
    tokio::time::timeout(PATIENCE, command(folder).args(arguments).output()).await.expect("it ends").unwrap()
}

/// A program with processes, in an OS process of its own: this test binary, that runs one test only, which is the program.
pub(crate) struct Program {
    child: tokio::process::Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::of("cli_shell::program", folder, arguments)
    }

    fn command(test: &str, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        without_settings(&mut command, folder);
        let arguments = serde_json::to_string(arguments).unwrap();
        command.args([test, "--exact", "--nocapture"]).env(ARGUMENTS, arguments);
        command
    }

    /// The program that another test is, by [`serve`].
    pub(crate) fn of(test: &str, folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Self::command(test, folder, arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// What such a program writes to its standard error, which fails.
    pub(crate) async fn fails(test: &str, folder: &Path, arguments: &[&str]) -> String {
        let output = Self::command(test, folder, arguments).output();
        let output = tokio::time::timeout(PATIENCE, output).await.expect("it ends").unwrap();
        assert!(!output.status.success());
        text(&output.stderr)
    }

    /// The next line that begins like this, or has come to its end.
    pub(crate) async fn says(&mut self, begin: &str) -> String {
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                // The test harness writes to the same line.
                if let Some(at) = line.find(begin) {
                    return line[at..].to_owned();
                }
            }
            panic!("the program ended without `{begin}`");
        };
        tokio::time::timeout(PATIENCE, found).await.expect("it says something")
    }

    /// The line of JSON of an event.
    pub(crate) async fn event(&mut self, event: &str) -> Value {
        loop {
            let told: Value = serde_json::from_str(&self.says("{").await).unwrap();
            if told["event"] == event {
                return told;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end, which is a good one.
    pub(crate) async fn ends(mut self) {
        while self.lines.next_line().await.unwrap().is_some() {}
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends");
        assert!(status.unwrap().success());
    }
}

/// Does nothing, but as a program that another test has started.
#[test]
fn program() {
    serve(register);
}

/// Does what the program was told, which has these processes.
pub(crate) fn serve(register: fn(RuntimeBuilder) -> RuntimeBuilder) {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let mut arguments: Vec<String> = serde_json::from_str(&arguments).unwrap();
    arguments.insert(0, "shell".to_owned());
    assert_eq!(procession::cli::main_with(arguments, register), ExitCode::SUCCESS);
}

/// Makes a test of each function on each store that workers of several OS processes share.
macro_rules! on_each_shared_store {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test]
            async fn sqlite() {
                super::$name($crate::cli_shell::Shell::sqlite()).await;
            }

            #[cfg(all(unix, feature = "postgres"))]
            #[tokio::test]
            #[ignore = "needs PostgreSQL: cargo xtask test"]
            async fn postgres() {
                super::$name($crate::cli_shell::Shell::postgres().await).await;
            }
        }
    )*};
}

pub(crate) use on_each_shared_store;
