//! A Python environment of its own, below `target/`, with pinned packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fault;
use crate::debian::{self, run};
use crate::run::root;

/// The interpreter that has plumpy.
///
/// # Errors
/// As [`make`].
pub(crate) fn plumpy() -> Result<PathBuf, Fault> {
    make(&root().join("target/python"), &root().join("tests/python/requirements.txt"), "What is run in plumpy")
}

/// The interpreter that has Ray.
///
/// # Errors
/// As [`make`].
pub(crate) fn ray() -> Result<PathBuf, Fault> {
    make(&root().join("target/ray-python"), &root().join("ray/requirements.txt"), "The transport over Ray")
}

/// Makes the environment in a folder, or finds it made, for `whom`; gives its interpreter.
///
/// # Errors
/// Python, its module `venv` or a package cannot be had; the message says which, and what to do.
fn make(folder: &Path, requirements: &Path, whom: &str) -> Result<PathBuf, Fault> {
    let wanted = std::fs::read_to_string(requirements)?;
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let stamp = folder.join("requirements.txt");
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    let missing =
        |what: &str, fault: &Fault| -> Fault { format!("{fault}\n{whom} needs Python 3.11 or newer, {what}.").into() };
    let venv = || {
        let mut venv = Command::new("python3");
        run(venv.args(["-m", "venv", "--clear"]).arg(folder))
    };
    // Debian keeps the module in a package of its own, which a fresh machine lacks.
    venv()
        .or_else(|fault| debian::install(&["python3", "python3-venv"]).map_err(|_| fault).and_then(|()| venv()))
        .map_err(|fault| missing("as `python3`, with its module `venv` (Debian: package `python3-venv`)", &fault))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(install.arg(requirements)).map_err(|fault| {
        missing(&format!("and the packages in {}, which pip could not install", requirements.display()), &fault)
    })?;
    // Written last: an environment that was made in part is made again.
    std::fs::write(stamp, wanted)?;
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Scratch;

    #[test]
    fn a_package_that_cannot_be_had_is_named() -> Result<(), Fault> {
        let scratch = Scratch::new("venv")?;
        let requirements = scratch.path().join("wanted.txt");
        std::fs::write(&requirements, "./no-such-package\n")?;
        let fault = make(&scratch.path().join("venv"), &requirements, "What is run in plumpy")
            .expect_err("there is no such package");
        assert!(fault.to_string().contains("What is run in plumpy needs Python"), "{fault}");
        assert!(fault.to_string().contains("no-such-package") || fault.to_string().contains("python3-venv"), "{fault}");
        Ok(())
    }
}
