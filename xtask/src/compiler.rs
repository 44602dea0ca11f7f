//! The C++ compiler that builds libzmq.

use std::process::{Command, Stdio};

use crate::{Fault, debian};

/// Makes sure that there is one.
///
/// # Errors
/// There is none, and it cannot be installed; the message says what to do.
pub(crate) fn ensure() -> Result<(), Fault> {
    if is_installed() {
        return Ok(());
    }
    let installed = debian::install(&["g++"]);
    let installed = installed.and_then(|()| if is_installed() { Ok(()) } else { Err("it is still not there".into()) });
    installed.map_err(|fault| {
        format!(
            "A C++ compiler is missing and cannot be installed: {fault}\n\
             Install one by hand (Debian: `apt-get install g++`; elsewhere `c++` in the path, or its name in CXX): the \
             feature `zmq` builds libzmq with it."
        )
        .into()
    })
}

/// What the build of libzmq looks for.
fn is_installed() -> bool {
    let named = std::env::var("CXX").ok();
    named.as_deref().into_iter().chain(["c++", "g++"]).any(|name| {
        let mut version = Command::new(name);
        version.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    })
}
