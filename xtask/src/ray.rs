//! `cargo xtask test-ray`: the transport over Ray, against a cluster that nobody else reaches.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::libtest::Libtest;
use crate::report::{Counts, Report};
use crate::run::{Scratch, cargo, root, shown, stream, succeed, target};
use crate::{Fault, debian, venv};

/// What runs in the namespaces: the cluster, then the command that follows its folder. It is the first process there,
/// and all end with it.
const INSIDE: &str = r#"
ip link set lo up || exit 1
ray start --head --node-ip-address=127.0.0.1 --port=6379 --include-dashboard=false --disable-usage-stats --num-cpus=2 \
    --object-store-memory=200000000 --temp-dir="$1/s" >"$1/start.log" 2>&1 || { cat "$1/start.log"; exit 1; }
shift
exec "$@"
"#;
const ADDRESS: &str = "127.0.0.1:6379";

/// The ways to namespaces of network and processes: as root, and as anybody where the system permits it.
const WAYS: [&[&str]; 2] = [
    &["--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
    &["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
];

/// Checks and tests the crate; with arguments only the tests whose names contain one.
pub(crate) fn test(filters: &[String]) -> Result<bool, Fault> {
    if let Some(option) = filters.iter().find(|filter| filter.starts_with('-')) {
        return Err(format!("there is no option `{option}`").into());
    }
    // First: without them nothing of it runs.
    let way = namespaces("unshare")?;
    let python = Python::new(venv::ray()?)?;
    let mut report = Report::default();
    if filters.is_empty() {
        report.check("format", || succeed(&mut cargo("fmt --manifest-path ray/Cargo.toml --check")));
        report.check("clippy", || {
            let denied = "-- -D warnings -D clippy::incompatible_msrv";
            succeed(&mut python.cargo(&format!("clippy --locked --all-targets {denied}"), None))
        });
        report
            .check("docs", || succeed(python.cargo("doc --locked --no-deps", None).env("RUSTDOCFLAGS", "-D warnings")));
    }
    // Here, as there is no network inside.
    report.check("build", || succeed(&mut python.cargo("test --locked --no-run", None)));
    report.count("tests", || match tests(&python, way, filters) {
        Ok(counts) => counts,
        Err(fault) => Counts { failed: 1, faults: vec![fault.to_string()], ..Counts::default() },
    });
    println!("{report}");
    report.failures().iter().for_each(|failure| eprintln!("FAILED {failure}"));
    Ok(report.is_good())
}

fn tests(python: &Python, way: &[&str], filters: &[String]) -> Result<Counts, Fault> {
    let scratch = Scratch::new("ray")?;
    let mut command = python.cargo("test --locked --offline --no-fail-fast", Some((way, scratch.path())));
    command.arg("--").args(filters).env("PROCESSION_RAY_ADDRESS", ADDRESS);
    println!("{}", shown(&command));
    let mut libtest = Libtest::default();
    let success = stream(&mut command, |line| libtest.line(line))?;
    Ok(libtest.end(success))
}

/// The way to namespaces that goes here, by a program.
///
/// # Errors
/// None does; the message says what they need.
fn namespaces(program: &str) -> Result<&'static [&'static str], Fault> {
    let mut faults = String::new();
    for way in WAYS {
        let mut unshare = Command::new(program);
        match debian::run(unshare.args(way).args(["sh", "-c", "ip link set lo up"])) {
            Ok(()) => return Ok(way),
            Err(fault) => faults = format!("{faults}{fault}\n"),
        }
    }
    Err(format!(
        "{faults}Ray listens on all interfaces, so it is tested only in a network namespace that has nothing but \
         loopback, and none can be made here. That needs Linux, `unshare` (Debian: util-linux), `ip` (Debian: iproute2), \
         and root or a system that permits namespaces of users."
    )
    .into())
}

/// The environment with Ray, and how to build against it.
struct Python {
    program: PathBuf,
    /// The folders of programs, its own first: by these the interpreter that is embedded finds its packages.
    path: std::ffi::OsString,
    /// The folders of libraries, with that of the interpreter.
    libraries: std::ffi::OsString,
}

impl Python {
    fn new(program: PathBuf) -> Result<Self, Fault> {
        let mut asked = Command::new(&program);
        asked.args(["-c", "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"]).stdin(Stdio::null());
        let output = asked.output()?;
        let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let own = program.parent().unwrap_or(root()).to_owned();
        Ok(Self { path: first(own, "PATH")?, libraries: first(folder, "LD_LIBRARY_PATH")?, program })
    }

    /// Cargo on the crate, here or in namespaces beside a cluster with its folder.
    fn cargo(&self, arguments: &str, inside: Option<(&[&str], &Path)>) -> Command {
        let cargo = cargo(arguments);
        let mut command = match inside {
            None => Command::new(cargo.get_program()),
            Some((way, folder)) => {
                let mut unshare = Command::new("unshare");
                unshare.args(way).args(["sh", "-c", INSIDE, "inside"]).arg(folder).arg(cargo.get_program());
                unshare
            }
        };
        let mut words = cargo.get_args();
        command.args(words.next()).args(["--manifest-path", "ray/Cargo.toml", "--target-dir"]);
        command.arg(target().join("ray")).args(words).current_dir(root()).stdin(Stdio::null());
        command.env("PYO3_PYTHON", &self.program).env("PATH", &self.path).env("LD_LIBRARY_PATH", &self.libraries);
        command
    }
}

/// A list of folders from the environment, with one before all others.
fn first(folder: PathBuf, name: &str) -> Result<std::ffi::OsString, Fault> {
    let others = std::env::var_os(name).unwrap_or_default();
    let others = std::env::split_paths(&others).filter(|other| !other.as_os_str().is_empty());
    Ok(std::env::join_paths(std::iter::once(folder).chain(others))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_namespace_can_be_made_it_is_said_why_one_is_needed() {
        let fault = namespaces("no-such-program").expect_err("there is no such program").to_string();
        assert!(fault.contains("no-such-program") && fault.contains("nothing but loopback"), "{fault}");
    }

    #[test]
    fn its_own_folder_comes_first() -> Result<(), Fault> {
        let folders = first(PathBuf::from("/own"), "PATH")?;
        assert_eq!(std::env::split_paths(&folders).next(), Some(PathBuf::from("/own")));
        assert_eq!(first(PathBuf::from("/own"), "PROCESSION_NOT_SET")?, "/own");
        Ok(())
    }
}
