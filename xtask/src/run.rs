//! Starting other programs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Fault;

/// How often it is asked whether a command has ended.
const POLL: Duration = Duration::from_millis(50);

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The folder of what is built.
pub(crate) fn target() -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(folder)
}

/// `cargo` with arguments separated by spaces, in the folder of the workspace and without an input.
pub(crate) fn cargo(arguments: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments.split_whitespace()).current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs a command that prints what it has to say.
pub(crate) fn succeed(command: &mut Command) -> Result<(), Fault> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", shown(command)).into()) }
}

/// The same with a limit of time, after which the command is ended.
pub(crate) fn succeed_within(command: &mut Command, limit: Duration) -> Result<(), Fault> {
    let mut child = command.spawn().map_err(|error| cannot_start(command, &error))?;
    let until = Instant::now() + limit;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("`{}` failed: {status}", shown(command)).into()),
            None if Instant::now() < until => std::thread::sleep(POLL),
            None => {
                child.kill()?;
                child.wait()?;
                return Err(format!("`{}` took more than {} s", shown(command), limit.as_secs()).into());
            }
        }
    }
}

/// Runs a command, prints each line that it prints and hands it on; gives whether the command succeeded.
///
/// Both outputs go through one pipe, so that the lines are in the order in which they were written.
pub(crate) fn stream(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool, Fault> {
    let (reader, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().map_err(|error| cannot_start(command, &error))?;
    // The command holds the writing end, and the pipe would not end while it does.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut reader = BufReader::new(reader);
    let mut out = std::io::stdout().lock();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        out.flush()?;
        each(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(child.wait()?.success())
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Fault {
    format!("`{}` cannot be started: {error}", shown(command)).into()
}

/// The command as it would be typed.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words: Vec<_> = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

/// A folder for a while.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(purpose: &str) -> Result<Self, Fault> {
        let path = std::env::temp_dir().join(format!("procession-{purpose}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
