//! A PostgreSQL server for tests: private, on a port of its own, gone when the tests are.
//!
//! As with the broker's, a shell stands between the tests and the server, at a pipe whose other end only the test process
//! holds.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use crate::private::{POLL, User, free_port};

/// How long the server may take to start: a second on a machine that does nothing else.
const START: Duration = Duration::from_secs(120);
/// How many lines of its log are shown.
const SHOWN: usize = 40;

/// Starts the server, waits for the end of the pipe, and cleans up. At the end of the pipe the server ends at once, by
/// itself, so that nothing of it is left in the system's tables.
const GUARD: &str = r#"
exec 3<&0 </dev/null 2>/dev/null
"$@" >>printed 2>&1 3<&- &
server=$!
echo $server >server
{ cat <&3 >/dev/null; kill -QUIT $server; } 2>/dev/null &
wait $server
echo $? >ended
cat <&3 >/dev/null
[ -e keep ] || { folder=$PWD; cd /; rm -rf "$folder"; }
"#;

/// Full durability, as a server has it that nobody has set up otherwise; and room for the connections of many tests.
const SETTINGS: &str = "listen_addresses = '127.0.0.1'\nmax_connections = 400\nfsync = on\nsynchronous_commit = on\n\
    shared_buffers = '128MB'\nlogging_collector = off\nautovacuum_naptime = '10s'\n";

/// A server, and what is needed to disturb it. Ends when it is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Postgres(Arc<Server>);

#[derive(Debug)]
struct Server {
    folder: PathBuf,
    programs: PathBuf,
    user: Option<User>,
    port: u16,
    guard: Mutex<Option<Guard>>,
}

#[derive(Debug)]
struct Guard {
    shell: Child,
    /// The end of it is the end of the server.
    pipe: ChildStdin,
}

impl Postgres {
    /// The server for all tests that disturb nobody; each has a schema of its own.
    pub(crate) fn shared() -> Self {
        static SHARED: LazyLock<Postgres> = LazyLock::new(|| Postgres::start(&[]));
        SHARED.clone()
    }

    /// A server of one's own, with these lines in its configuration.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_with(settings, &[])
    }

    /// The same with files in the folder of its data, which it alone may read.
    pub(crate) fn start_with(settings: &[&str], files: &[(&str, &str)]) -> Self {
        let programs = programs().expect(
            "PostgreSQL is not installed: `cargo xtask test` installs it, on Debian `apt-get install postgresql`",
        );
        let folder = tempfile::Builder::new().prefix("procession-postgres-").tempdir().expect("room for a folder");
        let folder = folder.keep();
        let user = User::beside_root(&folder, "postgres");
        if let Some(User { uid, gid }) = user {
            chown(&folder, Some(uid), Some(gid)).expect("root gives its folders away");
        }
        let server = Server { folder, programs, user, port: free_port(), guard: Mutex::new(None) };
        server.initialise(settings);
        for (name, text) in files {
            server.give(name, text);
        }
        server.start();
        Self(Arc::new(server))
    }

    /// Where it is, as a user who may do all.
    pub(crate) fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Where it is, as another user.
    pub(crate) fn url_of(&self, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/postgres", self.0.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }

    /// The name of a schema that no other test has.
    pub(crate) fn schema() -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        format!("s{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// A connection that knows nothing of this library.
    pub(crate) async fn client(&self) -> Client {
        self.try_client().await.expect("the server is there")
    }

    /// The same while it may be away.
    pub(crate) async fn try_client(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Ends every connection of this name, as an operator would; gives how many there were.
    pub(crate) async fn cut(&self, application: &str) -> usize {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
        self.client().await.query(sql, &[&application]).await.expect("it may").len()
    }

    /// Ends the server, and all its processes, as a failure of power would; or stops it in order: who is connected is cut.
    pub(crate) async fn end(&self, kill: bool) {
        let signal = if kill { "-KILL" } else { "-INT" };
        self.blocking(move |server| server.end(signal, kill)).await;
    }

    /// Starts it again after that, in the same folder and on the same port.
    pub(crate) async fn restart(&self) {
        self.blocking(Server::start).await;
    }

    /// What it has written to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.0.folder.join("printed")).unwrap_or_default()
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Server) -> T + Send + 'static) -> T {
        let server = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&server)).await;
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

impl Server {
    fn initialise(&self, settings: &[&str]) {
        let mut command = self.command(&self.programs.join("initdb"));
        command.args(["--pgdata", "data", "--username", "postgres", "--auth", "trust", "--encoding", "UTF8"]);
        let output = command.args(["--no-locale", "--no-sync"]).output().expect("`initdb` starts");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let folder = self.folder.display();
        let mut lines = format!("{SETTINGS}port = {}\nunix_socket_directories = '{folder}'\n", self.port);
        for line in settings {
            lines.extend([line, "\n"]);
        }
        let file = self.folder.join("data/postgresql.auto.conf");
        fs::write(file, lines).expect("room for a file");
    }

    fn give(&self, name: &str, text: &str) {
        let path = self.folder.join("data").join(name);
        fs::write(&path, text).expect("room for a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it was just made");
        if let Some(User { uid, gid }) = self.user {
            chown(&path, Some(uid), Some(gid)).expect("root gives its files away");
        }
    }

    fn start(&self) {
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(guard.is_none(), "the server runs already");
        for left in ["keep", "ended", "server"] {
            let _ = fs::remove_file(self.folder.join(left));
        }
        let mut shell = self.command(Path::new("sh"));
        // In a group of its own, it outlives a Ctrl-C by as long as it takes to clean up.
        shell.args(["-c", GUARD, "guard"]).arg(self.programs.join("postgres")).args(["-D", "data"]).process_group(0);
        let mut shell = shell.stdin(Stdio::piped()).spawn().expect("`sh` starts");
        let pipe = shell.stdin.take().expect("it has a pipe");
        *guard = Some(Guard { shell, pipe });
        let until = Instant::now() + START;
        while !self.answers() {
            let ended = self.folder.join("ended").exists();
            if ended || Instant::now() > until {
                let why = if ended { "ended by itself" } else { "does not answer" };
                panic!("PostgreSQL {why}; its log says\n{}", self.last_lines());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Sends a signal to the server, or to all its processes, and keeps its folder.
    fn end(&self, signal: &str, all: bool) {
        fs::write(self.folder.join("keep"), "").expect("room for a file");
        let server = fs::read_to_string(self.folder.join("server")).expect("it runs").trim().to_owned();
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter(|_| all);
        // Some may be gone before their turn: what counts is the end of the server.
        let _ = Command::new("kill").arg(signal).arg(&server).args(children).stderr(Stdio::null()).status();
        let until = Instant::now() + START;
        while !self.folder.join("ended").exists() {
            assert!(Instant::now() < until, "PostgreSQL does not end");
            std::thread::sleep(POLL);
        }
        self.leave();
    }

    fn leave(&self) {
        let guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Guard { mut shell, pipe }) = guard {
            drop(pipe);
            let _ = shell.wait();
        }
    }

    fn answers(&self) -> bool {
        let mut command = self.command(&self.programs.join("pg_isready"));
        command.args(["--quiet", "--host", "127.0.0.1", "--username", "postgres", "--port", &self.port.to_string()]);
        command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// A program as the server's user.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command.current_dir(&self.folder).env_clear().env("PATH", format!("{path}:/usr/bin:/bin"));
        command.env("HOME", &self.folder).env("LC_ALL", "C");
        if let Some(User { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn last_lines(&self) -> String {
        let text = fs::read_to_string(self.folder.join("printed")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.join("keep"));
        self.leave();
        // The guard has removed it, unless the server was down.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of the server's own programs, of the newest version: Debian has only some of them in the path.
pub(crate) fn programs() -> Option<PathBuf> {
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut debian: Vec<PathBuf> = debian.filter(|folder| version(folder).is_some()).collect();
    debian.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = debian.into_iter().map(|folder| folder.join("bin")).chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_is_stopped_and_killed_and_comes_back_with_what_is_committed() {
    let server = Postgres::start(&["log_min_duration_statement = 0"]);
    server.client().await.batch_execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)").await.unwrap();
    assert!(server.log().contains("INSERT INTO kept"));
    for kill in [true, false, true] {
        server.end(kill).await;
        assert!(!server.0.answers());
        server.restart().await;
        let rows = server.client().await.query("UPDATE kept SET n = n + 1 RETURNING n", &[]).await.unwrap();
        assert_eq!(rows.len(), 1);
    }
    let folder = server.0.folder.clone();
    assert!(folder.exists());
    drop(server);
    assert!(!folder.exists(), "nothing is left");
}
