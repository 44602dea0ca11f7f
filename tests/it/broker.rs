//! A RabbitMQ server for tests: private, on ports of its own, gone when the tests are.
//!
//! A shell stands between the tests and the server. It waits at a pipe whose other end only the test process holds, so
//! that it ends the server, and removes its folder, however the tests end: well, by a panic, or by SIGKILL.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::private::{POLL, User, free_port};

/// How long the server may take to start: seconds on a machine that does nothing else.
const START: Duration = Duration::from_secs(120);
/// How long a command to it may take.
const COMMAND: Duration = Duration::from_secs(60);
/// How many lines of its log are shown.
const SHOWN: usize = 40;
/// Starts the name server of Erlang and the server, waits for the end of the pipe, and cleans up.
const GUARD: &str = r#"
exec 3<&0 </dev/null 2>/dev/null
epmd >/dev/null 2>&1 3<&- &
epmd=$!
"$@" >>printed 2>&1 3<&- &
server=$!
{ cat <&3 >/dev/null; kill -KILL $server; } 2>/dev/null &
wait $server
echo $? >ended
kill -KILL $epmd
cat <&3 >/dev/null
[ -e keep ] || { folder=$PWD; cd /; rm -rf "$folder"; }
"#;

/// A server, and what is needed to disturb it. Ends when it is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Broker(Arc<Server>);

#[derive(Debug)]
struct Server {
    folder: PathBuf,
    programs: PathBuf,
    user: Option<User>,
    node: String,
    /// Of AMQP, of Erlang's connections between nodes, of Erlang's name server.
    ports: [u16; 3],
    guard: Mutex<Option<Guard>>,
}

#[derive(Debug)]
struct Guard {
    shell: Child,
    /// The end of it is the end of the server.
    pipe: ChildStdin,
}

/// A queue as the server sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) ready: u64,
    pub(crate) unacknowledged: u64,
    pub(crate) consumers: u64,
}

impl Broker {
    /// The server for all tests that disturb nobody; their exchanges and queues have names of their own.
    pub(crate) fn shared() -> Self {
        static SHARED: LazyLock<Broker> = LazyLock::new(|| Broker::start(&[]));
        SHARED.clone()
    }

    /// A server of one's own, with these lines in its configuration; those in braces are Erlang terms, for settings that
    /// have no other form: `{channel_tick_interval, 1000}`.
    pub(crate) fn start(config: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let programs = programs().expect(
            "RabbitMQ is not installed: `cargo xtask test` installs it, on Debian `apt-get install rabbitmq-server`",
        );
        let folder = tempfile::Builder::new().prefix("procession-broker-").tempdir().expect("room for a folder").keep();
        let user = User::beside_root(&folder, "rabbitmq");
        if let Some(User { uid, gid }) = user {
            chown(&folder, Some(uid), Some(gid)).expect("root gives its folders away");
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let node = format!("procession-{}-{count}@localhost", std::process::id());
        let ports = [(); 3].map(|()| free_port());
        let mut lines = format!("listeners.tcp.1 = 127.0.0.1:{}\ndisk_free_limit.absolute = 50MB\n", ports[0]);
        let (terms, settings): (Vec<&str>, Vec<&str>) = config.iter().partition(|line| line.starts_with('{'));
        for line in settings {
            writeln!(lines, "{line}").expect("a text can be written");
        }
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("room for a file");
        write("rabbitmq.conf", &lines);
        write("advanced.config", &format!("[{{rabbit, [{}]}}].\n", terms.join(", ")));
        write("plugins", "[].\n");
        let broker = Self(Arc::new(Server { folder, programs, user, node, ports, guard: Mutex::new(None) }));
        broker.0.start();
        broker
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.0.ports[0])
    }

    /// The port of AMQP.
    pub(crate) fn port(&self) -> u16 {
        self.0.ports[0]
    }

    /// Runs `rabbitmqctl`, and gives what it prints.
    pub(crate) async fn ctl(&self, arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        self.blocking(move |server| server.ctl(&arguments)).await
    }

    /// Stops AMQP, not the server: connections are closed, what is durable is kept.
    pub(crate) async fn stop_app(&self) {
        self.ctl(&["stop_app"]).await;
    }

    /// The opposite.
    pub(crate) async fn start_app(&self) {
        self.ctl(&["start_app"]).await;
    }

    /// Ends the server as a failure of power would.
    pub(crate) async fn kill(&self) {
        self.blocking(Server::kill).await;
    }

    /// Starts it again after that, in the same folder and on the same ports.
    pub(crate) async fn restart(&self) {
        self.blocking(Server::start).await;
    }

    /// Closes every connection, as an operator would.
    pub(crate) async fn close_all_connections(&self) {
        self.ctl(&["close_all_connections", "a test"]).await;
    }

    /// All queues by name.
    pub(crate) async fn queues(&self) -> BTreeMap<String, Queue> {
        let columns = ["name", "messages_ready", "messages_unacknowledged", "consumers"];
        let rows = self.list("list_queues", &columns).await;
        let number = |row: &[String], at: usize| row[at].parse().expect("a number");
        let queue =
            |row: &[String]| Queue { ready: number(row, 1), unacknowledged: number(row, 2), consumers: number(row, 3) };
        rows.iter().map(|row| (row[0].clone(), queue(row))).collect()
    }

    /// A listing: `list_queues`, `list_bindings`, `list_connections`, … with these columns.
    pub(crate) async fn list(&self, command: &str, columns: &[&str]) -> Vec<Vec<String>> {
        let text = self.ctl(&[&["--quiet", "--no-table-headers", command], columns].concat()).await;
        text.lines().map(|line| line.split('\t').map(ToOwned::to_owned).collect()).collect()
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Server) -> T + Send + 'static) -> T {
        let server = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&server)).await;
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

impl Server {
    fn start(&self) {
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(guard.is_none(), "the server runs already");
        for left in ["keep", "ended"] {
            let _ = fs::remove_file(self.folder.join(left));
        }
        let mut shell = self.command(Path::new("sh"));
        // In a group of its own, it outlives a Ctrl-C by as long as it takes to clean up.
        shell.args(["-c", GUARD, "guard"]).arg(self.programs.join("rabbitmq-server")).process_group(0);
        let mut shell = shell.stdin(Stdio::piped()).spawn().expect("`sh` starts");
        let pipe = shell.stdin.take().expect("it has a pipe");
        *guard = Some(Guard { shell, pipe });
        let until = Instant::now() + START;
        while !self.answers() {
            let ended = self.folder.join("ended").exists();
            if ended || Instant::now() > until {
                let why = if ended { "ended by itself" } else { "does not answer" };
                panic!("RabbitMQ {why}; its log says\n{}", self.log());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Ends it at once, and keeps its folder.
    fn kill(&self) {
        fs::write(self.folder.join("keep"), "").expect("room for a file");
        self.end();
    }

    fn end(&self) {
        let guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Guard { mut shell, pipe }) = guard {
            drop(pipe);
            let _ = shell.wait();
        }
    }

    /// Whether AMQP is spoken at its port.
    fn answers(&self) -> bool {
        let speaks = || {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[0]));
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"AMQP\x00\x00\x09\x01")?;
            stream.read_exact(&mut [0; 1])
        };
        std::io::Result::is_ok(&speaks())
    }

    fn ctl(&self, arguments: &[String]) -> String {
        let mut command = self.command(&self.programs.join("rabbitmqctl"));
        command.args(["--node", &self.node]).args(arguments).stdin(Stdio::null());
        // By files: a command that hangs would hold a pipe open beyond its own end.
        let output = tempfile::tempfile().expect("room for a file");
        let clone = || output.try_clone().expect("a file can be shared");
        let mut child = command.stdout(clone()).stderr(clone()).spawn().expect("`rabbitmqctl` starts");
        let until = Instant::now() + COMMAND;
        let status = loop {
            match child.try_wait().expect("a child can be waited for") {
                Some(status) => break Some(status),
                None if Instant::now() < until => std::thread::sleep(POLL),
                None => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break None;
                }
            }
        };
        let text = read_all(output);
        assert!(status.is_some_and(|status| status.success()), "rabbitmqctl {arguments:?}: {status:?}\n{text}");
        text
    }

    /// A program as the server's user, which sees this server and no other.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let [amqp, distribution, names] = self.ports.map(|port| port.to_string());
        let inside = |name: &str| self.folder.join(name);
        let path = std::env::var("PATH").unwrap_or_default();
        command.current_dir(&self.folder).env_clear().env("PATH", format!("{path}:/usr/sbin:/usr/bin:/sbin:/bin"));
        command.env("HOME", &self.folder).env("LANG", "C.UTF-8").env("LC_ALL", "C.UTF-8");
        command.env("RABBITMQ_NODENAME", &self.node).env("RABBITMQ_NODE_PORT", amqp);
        command.env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1").env("RABBITMQ_DIST_PORT", distribution);
        command.env("ERL_EPMD_PORT", names).env("ERL_EPMD_ADDRESS", "127.0.0.1");
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        // Else it would run below a shell of its own, which a kill does not reach.
        command.env("RUNNING_UNDER_SYSTEMD", "true");
        command.env("RABBITMQ_MNESIA_BASE", inside("data")).env("RABBITMQ_LOG_BASE", inside("log"));
        command.env("RABBITMQ_LOGS", inside("log.txt")).env("RABBITMQ_PID_FILE", inside("pid"));
        command.env("RABBITMQ_CONFIG_FILE", inside("rabbitmq.conf")).env("RABBITMQ_CONF_ENV_FILE", inside("none"));
        command.env("RABBITMQ_ADVANCED_CONFIG_FILE", inside("advanced.config"));
        command.env("RABBITMQ_ENABLED_PLUGINS_FILE", inside("plugins")).env("ERL_CRASH_DUMP", "/dev/null");
        if let Some(User { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn log(&self) -> String {
        let text = ["printed", "log.txt"].map(|name| fs::read_to_string(self.folder.join(name)).unwrap_or_default());
        let lines: Vec<&str> = text.iter().flat_map(|text| text.lines()).collect();
        let first = lines.iter().position(|line| line.contains("[error]")).unwrap_or(lines.len().saturating_sub(SHOWN));
        lines[first..].iter().take(SHOWN).copied().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.join("keep"));
        self.end();
        // The guard has removed it, unless the server was down.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of the server's own programs: those in Debian's path insist on a user.
pub(crate) fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = [PathBuf::from("/usr/lib/rabbitmq/bin")].into_iter().chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("rabbitmq-server").exists())
}

fn read_all(mut file: fs::File) -> String {
    use std::io::Seek;
    let mut text = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut text));
    read.expect("a file can be read");
    String::from_utf8_lossy(&text).into_owned()
}

/// Says beside the results what `cargo test` leaves out; `cargo xtask test` leaves out nothing.
#[test]
fn what_is_left_out_is_said() {
    if std::env::args().any(|argument| argument.ends_with("ignored")) {
        return;
    }
    let own = std::env::current_exe().expect("a test knows where it is");
    let listed = Command::new(own).args(["--list", "--ignored"]).output().expect("this program starts");
    let listed = String::from_utf8_lossy(&listed.stdout).lines().filter(|line| line.ends_with(": test")).count();
    assert!(listed > 0, "nothing is left out: this test is of no use any more");
    let said = format!(
        "\nLEFT OUT: {listed} tests that need RabbitMQ, PostgreSQL or Python; `cargo xtask test` runs them.\n\n"
    );
    // Not by a macro, which prints only where a test fails.
    let _ = std::io::stderr().write_all(said.as_bytes());
}

#[tokio::test]
#[ignore = "needs RabbitMQ: cargo xtask test"]
async fn a_server_is_killed_and_comes_back_with_what_is_durable() {
    let broker = Broker::start(&["consumer_timeout = 5000", "{channel_tick_interval, 1000}"]);
    let declare = "rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"kept\">>), true, false, [], none, \
                   <<\"test\">>).";
    broker.ctl(&["eval", declare]).await;
    let empty = Queue { ready: 0, unacknowledged: 0, consumers: 0 };
    assert_eq!(broker.queues().await, BTreeMap::from([("kept".to_owned(), empty)]));
    for setting in ["consumer_timeout", "channel_tick_interval"] {
        let told = broker.ctl(&["eval", &format!("application:get_env(rabbit, {setting}).")]).await;
        assert!(told.starts_with("{ok,"), "{setting}: {told}");
    }
    broker.kill().await;
    assert!(!broker.0.answers());
    broker.restart().await;
    assert_eq!(broker.queues().await.len(), 1);
    broker.stop_app().await;
    assert!(!broker.0.answers());
    broker.start_app().await;
    assert!(broker.0.answers());
    let folder = broker.0.folder.clone();
    assert!(folder.exists());
    drop(broker);
    assert!(!folder.exists(), "nothing is left");
}
