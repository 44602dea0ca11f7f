//! What goes wrong, and how it is brought about.

use std::fmt;
use std::time::Duration;
use tokio::time::sleep;

use super::run::Run;
use super::scene::LEASE;
use crate::support::Random;

/// How long a worker that was killed stays away at most, in milliseconds.
const AWAY: u64 = 1_500;
/// Longer than calls wait for a connection of their pool.
const BUSY: Duration = Duration::from_millis(5_500);

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// One worker, at times two or all at one instant.
    WorkersKilled,
    /// For longer than its lease, by a signal.
    WorkerStopped,
    ServerRestarted,
    ServerKilled,
    ConnectionsCut,
    /// For longer than a lease, with or without its being said.
    ServerUnreachable,
    /// The server has none left for who connects.
    ConnectionsExhausted,
    /// All that a worker has wait for someone else's lock.
    PoolExhausted,
}

impl Fault {
    pub(crate) const OTHERS: [Self; 7] = [
        Self::WorkerStopped,
        Self::ServerRestarted,
        Self::ServerKilled,
        Self::ConnectionsCut,
        Self::ServerUnreachable,
        Self::ConnectionsExhausted,
        Self::PoolExhausted,
    ];

    /// Whether a step that began in time may end after others have gone on with its process.
    pub(crate) fn makes_late(self) -> bool {
        self != Self::WorkersKilled
    }

    /// Brings it about, and returns when it is over.
    pub(crate) async fn strike(self, run: &mut Run, random: &mut Random) {
        let pause = Duration::from_millis(random.below(1_500));
        let scene = &mut run.scene;
        match self {
            Self::WorkersKilled => kill(run, random).await,
            Self::WorkerStopped => {
                let ready = scene.ready();
                let place = ready[random.index(ready.len())];
                scene.worker(place).signal("STOP");
                sleep(LEASE + pause).await;
                scene.worker(place).signal("CONT");
            }
            Self::ServerRestarted | Self::ServerKilled => {
                scene.server.end(self == Self::ServerKilled).await;
                sleep(pause / 2).await;
                scene.server.restart().await;
            }
            Self::ConnectionsCut => {
                let cut =
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'worker-%'";
                scene.server.client().await.query(cut, &[]).await.expect("it may");
            }
            Self::ServerUnreachable => {
                let silent = random.below(2) == 0;
                if silent {
                    scene.network.freeze();
                } else {
                    scene.network.cut();
                }
                sleep(LEASE + pause).await;
                scene.network.open();
            }
            Self::ConnectionsExhausted => {
                let mut taken = Vec::new();
                scene.network.cut();
                while let Ok(client) = scene.server.try_client().await {
                    taken.push(client);
                }
                scene.network.open();
                sleep(LEASE + pause).await;
            }
            Self::PoolExhausted => {
                let client = scene.server.client().await;
                let lock = format!("BEGIN; LOCK TABLE {}.process IN ACCESS EXCLUSIVE MODE", scene.schema);
                client.batch_execute(&lock).await.expect("it may");
                sleep(BUSY).await;
                // With a client that is gone, its lock is.
                let _ = client.batch_execute("ROLLBACK").await;
            }
        }
    }
}

async fn kill(run: &mut Run, random: &mut Random) {
    let mut ready = run.scene.ready();
    let most = [1, 1, 1, 1, 2, 3][random.index(6)].min(ready.len());
    let mut places = Vec::new();
    while places.len() < most {
        places.push(ready.swap_remove(random.index(ready.len())));
    }
    run.losses.ready(ready.len());
    let losses = run.scene.kill(&places, Duration::from_millis(random.below(AWAY))).await;
    run.losses.add(&run.scene.eye, losses);
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::WorkersKilled => "workers killed",
            Self::WorkerStopped => "worker stopped",
            Self::ServerRestarted => "server restarted",
            Self::ServerKilled => "server killed",
            Self::ConnectionsCut => "connections cut",
            Self::ServerUnreachable => "server unreachable",
            Self::ConnectionsExhausted => "connections exhausted",
            Self::PoolExhausted => "pool exhausted",
        })
    }
}
