//! Packages of Debian that a fresh machine lacks.

use std::process::{Command, Stdio};

use crate::Fault;
use crate::run::shown;

/// Starts no services meanwhile, and makes no cluster of PostgreSQL: what is installed is for the tests, which start their
/// own. The list of packages is brought up to date only where it does not know them.
const INSTALL: &str = r#"
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT INT TERM
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy || exit 1
fi
clusters=/etc/postgresql-common/createcluster.d/procession.conf
if [ ! -e /etc/postgresql-common ]; then
    mkdir -p ${clusters%/*} && echo 'create_main_cluster = false' >$clusters || exit 1
fi
install() { apt-get -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends "$@"; }
install "$@" || { apt-get update && install "$@"; }
"#;

/// Installs packages, where that is possible: as root, or with `sudo` that asks for no password.
///
/// # Errors
/// What the system said.
pub(crate) fn install(names: &[&str]) -> Result<(), Fault> {
    println!("installing {}", names.join(", "));
    let shell = |program: &str, before: &[&str]| {
        let mut shell = Command::new(program);
        shell.args(before).args(["-c", INSTALL, "install"]).args(names);
        run(shell.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    shell("sh", &[]).or_else(|fault| shell("sudo", &["--non-interactive", "sh"]).map_err(|_| fault))
}

/// Runs a command that says something only when it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), Fault> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("`{}` cannot be started: {error}", shown(command)))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    Err(format!("`{}` failed:\n{said}", shown(command)).into())
}
