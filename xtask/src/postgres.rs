//! The server that the tests of the store on PostgreSQL start.

use std::path::PathBuf;

use crate::{Fault, debian};

/// Where Debian has the server's own programs, by version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Makes sure that PostgreSQL is installed; it need not run.
///
/// # Errors
/// It is not, and cannot be; the message says what to do.
pub(crate) fn ensure() -> Result<(), Fault> {
    if is_installed() {
        return Ok(());
    }
    let installed = debian::install(&["postgresql"]);
    let installed = installed.and_then(|()| if is_installed() { Ok(()) } else { Err("it is still not there".into()) });
    installed.map_err(|fault| {
        format!(
            "PostgreSQL is missing and cannot be installed: {fault}\n\
             Install version 14 or newer by hand (Debian: `apt-get install postgresql`; elsewhere `initdb`, `postgres` \
             and `pg_isready` in the path). Its service need not run: the tests start servers of their own."
        )
        .into()
    })
}

fn is_installed() -> bool {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = versions.map(|version| version.path().join("bin"));
    let mut folders: Vec<PathBuf> = folders.chain(std::env::split_paths(&path)).collect();
    folders.retain(|folder| folder.join("initdb").exists() && folder.join("postgres").exists());
    !folders.is_empty()
}
