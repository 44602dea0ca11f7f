//! The server that the tests of the communicator start.

use std::path::PathBuf;

use crate::{Fault, debian};

/// Where Debian has the server's own programs.
const DEBIAN: &str = "/usr/lib/rabbitmq/bin";

/// Makes sure that RabbitMQ is installed; it need not run.
///
/// # Errors
/// It is not, and cannot be; the message says what to do.
pub(crate) fn ensure() -> Result<(), Fault> {
    if is_installed() {
        return Ok(());
    }
    let installed = debian::install(&["rabbitmq-server"]);
    let installed = installed.and_then(|()| if is_installed() { Ok(()) } else { Err("it is still not there".into()) });
    installed.map_err(|fault| {
        format!(
            "RabbitMQ is missing and cannot be installed: {fault}\n\
             Install version 3.10 or newer by hand (Debian: `apt-get install rabbitmq-server`; elsewhere \
             `rabbitmq-server` and `rabbitmqctl` in the path). Its service need not run: the tests start servers of \
             their own."
        )
        .into()
    })
}

fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::iter::once(PathBuf::from(DEBIAN)).chain(std::env::split_paths(&path));
    folders.any(|folder| folder.join("rabbitmq-server").exists())
}
