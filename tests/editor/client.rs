//! A small client of a language server: just what the checks ask, each answer with a deadline.

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// The time in which the server must have read the package and built the macros; a slow machine takes a minute.
const READY: Duration = Duration::from_secs(240);
/// The time in which a question must be answered.
const ANSWER: Duration = Duration::from_secs(60);
/// The time in which the server must be gone after it was asked to end; then it is killed.
const GONE: Duration = Duration::from_secs(5);
/// The most messages that lie unread.
const QUEUE: usize = 64;
/// The longest message that is taken.
const MESSAGE_MAX: usize = 64 << 20;

/// A language server that is ended with this.
pub(crate) struct Client {
    server: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    last: u64,
    ready: bool,
}

/// What went wrong between the test and the server.
pub(crate) type Fault = Box<dyn std::error::Error>;

impl Client {
    /// Starts the server in a package and waits until it has read everything.
    pub(crate) fn start(package: &Path, options: &Value) -> Result<Self, Fault> {
        let mut server = Command::new("rust-analyzer")
            .current_dir(package)
            .env("CARGO_INCREMENTAL", "0")
            .env_remove("RUSTFLAGS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (to, out) = (server.stdin.take().ok_or("no input")?, server.stdout.take().ok_or("no output")?);
        let (send, from) = sync_channel(QUEUE);
        thread::spawn(move || {
            let mut out = BufReader::new(out);
            // The server has ended, or nobody listens any more.
            while let Ok(Some(message)) = read(&mut out) {
                if send.send(message).is_err() {
                    break;
                }
            }
        });
        let mut client = Self { server, to, from, last: 0, ready: false };
        let capabilities = json!({
            "experimental": { "serverStatusNotification": true },
            "textDocument": {
                "completion": { "completionItem": { "snippetSupport": false } },
                "diagnostic": {},
                "hover": { "contentFormat": ["plaintext"] },
            },
        });
        let root = uri(package);
        client.ask(
            "initialize",
            &json!({
                "processId": std::process::id(),
                "rootUri": root,
                "workspaceFolders": [{ "uri": root, "name": "package" }],
                "capabilities": capabilities,
                "initializationOptions": options,
            }),
        )?;
        client.tell("initialized", &json!({}))?;
        let until = Instant::now() + READY;
        while !client.ready {
            client.next(until, "all is read")?;
        }
        Ok(client)
    }

    /// Asks and waits for the answer; what the server says meanwhile is taken note of.
    pub(crate) fn ask(&mut self, method: &str, parameters: &Value) -> Result<Value, Fault> {
        self.last += 1;
        let id = self.last;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters }))?;
        let until = Instant::now() + ANSWER;
        loop {
            let mut message = self.next(until, method)?;
            if message["id"] != id || !message["method"].is_null() {
                continue;
            }
            if !message["error"].is_null() {
                return Err(format!("`{method}` was refused: {}", message["error"]).into());
            }
            return Ok(message["result"].take());
        }
    }

    /// Tells without an answer.
    pub(crate) fn tell(&mut self, method: &str, parameters: &Value) -> Result<(), Fault> {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": parameters }))
    }

    /// The next message. A question of the server's is answered with nothing: it has to live with its defaults.
    fn next(&mut self, until: Instant, waiting_for: &str) -> Result<Value, Fault> {
        let left = until.saturating_duration_since(Instant::now());
        let message = self.from.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("rust-analyzer did not say in time: {waiting_for}"),
            RecvTimeoutError::Disconnected => format!("rust-analyzer ended before it said: {waiting_for}"),
        })?;
        if message["method"] == "experimental/serverStatus" {
            let status = &message["params"];
            if status["health"] == "error" {
                return Err(format!("rust-analyzer cannot read the package: {}", status["message"]).into());
            }
            self.ready = status["quiescent"] == true;
        } else if !message["method"].is_null() && !message["id"].is_null() {
            let empty = json!({ "jsonrpc": "2.0", "id": message["id"], "result": null });
            self.send(&empty)?;
        }
        Ok(message)
    }

    fn send(&mut self, message: &Value) -> Result<(), Fault> {
        let text = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{text}", text.len())?;
        Ok(self.to.flush()?)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Asked to end, it ends the programs that it has started.
        let _ = self.send(&json!({ "jsonrpc": "2.0", "id": self.last + 1, "method": "shutdown" }));
        let _ = self.send(&json!({ "jsonrpc": "2.0", "method": "exit" }));
        let until = Instant::now() + GONE;
        // Its output ends with it.
        while self.from.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A path as the protocol wants it.
pub(crate) fn uri(path: &Path) -> String {
    let mut uri = String::from("file://");
    for byte in path.to_string_lossy().replace('\\', "/").bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.extend(format!("%{byte:02X}").chars());
        }
    }
    uri
}

/// A message; none at the end.
fn read(from: &mut impl BufRead) -> io::Result<Option<Value>> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length:") {
            length = value.trim().parse::<usize>().ok();
        }
    }
    let length = length.filter(|length| *length <= MESSAGE_MAX);
    let Some(length) = length else { return Err(io::Error::other("a message without a length, or too long")) };
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}
