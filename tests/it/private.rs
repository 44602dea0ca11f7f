//! What private servers have in common: a user, and ports of their own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How often it is looked whether something has happened.
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// Below those from which the system takes ports by itself: one that is free now stays free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Whom a server runs as where the tests run as root, since it refuses to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// Whom to run as, if what this process makes belongs to root: the server's own user, where there is one.
    pub(crate) fn beside_root(made: &Path, own: &str) -> Option<Self> {
        if fs::metadata(made).expect("it was just made").uid() != 0 {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").expect("there is a list of users");
        let user = |wanted: &str| {
            let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
            let fields = fields.into_iter().find(|fields| fields.first() == Some(&wanted))?;
            Some(Self { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
        };
        Some(user(own).or_else(|| user("nobody")).expect("there is a user that is not root"))
    }
}

pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports = (0..2_000).map(|_| {
        // Other test processes begin elsewhere.
        let next = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        PORTS.start + u16::try_from(next % u32::from(PORTS.end - PORTS.start)).unwrap_or_default()
    });
    ports.into_iter().find(free).expect("a port is free")
}
