//! The cluster that `cargo xtask test-ray` starts, once for all tests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use procession_ray::{RayConfig, RayTransport};

/// Where it is.
pub(crate) fn address() -> String {
    std::env::var("PROCESSION_RAY_ADDRESS").expect("PROCESSION_RAY_ADDRESS: run these tests by `cargo xtask test-ray`")
}

/// A namespace that nobody else has.
pub(crate) fn namespace() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("test {} {}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Short, so that who is lost is soon found so; longer than a test's process stands still on a busy machine.
pub(crate) const LEASE: Duration = Duration::from_secs(6);

pub(crate) async fn connect(namespace: &str) -> RayTransport {
    let config = RayConfig::new(address(), namespace).with_lease(LEASE);
    RayTransport::connect(config).await.expect("the cluster is there")
}
