//! A worker is killed between the commit of a boundary and what follows from it, at one point exactly: another sends what it has
//! not sent, and goes on where it has not gone on.
//!
//! The workers are OS processes. What the first one says to the broker, or what the broker says to it, does not arrive any more
//! when the boundary is committed, and the tables show that it is; then it is killed by SIGKILL.

mod part;
mod wire;

use procession::WorkerOptions;
use procession::prelude::*;
use procession::store::Store;
use std::io::Write;

use self::part::{Family, Start, Stays, builder};
use self::wire::{Asked, Line};
use crate::support::{Gate, eventually};
use crate::workers::{Place, Team};

/// What does not arrive any more when the worker is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Withheld {
    /// What it says: nothing of the boundary is sent.
    Words,
    /// What it hears: all is sent, and it does not know.
    Answers,
}

macro_rules! on_each_shared_store {
    ($($(#[$attribute:meta])* $name:ident, $needs:literal;)+) => {
        mod sqlite_store {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::workers::Team::on_sqlite()).await;
            })+
        }
        mod postgres_store {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = $needs]
            async fn $name() {
                super::$name($crate::workers::Team::on_postgres().await).await;
            })+
        }
    };
}

on_each_shared_store! {
    #[ignore = "needs RabbitMQ: cargo xtask test"]
    what_a_killed_worker_had_committed_and_not_sent_is_sent_by_another,
    "needs PostgreSQL and RabbitMQ: cargo xtask test";
    #[ignore = "needs RabbitMQ: cargo xtask test"]
    what_a_killed_worker_had_sent_and_not_forgotten_is_heard_once,
    "needs PostgreSQL and RabbitMQ: cargo xtask test";
    a_child_that_a_killed_worker_had_not_begun_is_begun_by_another, "needs PostgreSQL: cargo xtask test";
    a_parent_that_a_killed_worker_had_not_gone_on_with_goes_on_in_another, "needs PostgreSQL: cargo xtask test";
}

async fn what_a_killed_worker_had_committed_and_not_sent_is_sent_by_another(team: Team) {
    for asked in [Asked::Launch, Asked::Continue] {
        is_sent_by_another(&team, asked, Withheld::Words).await;
    }
}

async fn what_a_killed_worker_had_sent_and_not_forgotten_is_heard_once(team: Team) {
    for asked in [Asked::Launch, Asked::Continue] {
        is_sent_by_another(&team, asked, Withheld::Answers).await;
    }
}

/// The end of a process: its broadcast, and the reply that it owes.
async fn is_sent_by_another(team: &Team, asked: Asked, withheld: Withheld) {
    const END: &str = "state_changed.running.finished";
    let line = Line::new().await;
    let mut killed = line.worker(&team.place, true);
    let (pid, reply) = line.ask(team, asked).await;
    // What was before is sent, and forgotten.
    eventually(|| async { line.heard(&pid).last().is_some_and(|(_, subject)| subject.ends_with(".running")) }).await;
    eventually(|| async { messages(&team.place).await.is_empty() }).await;
    match withheld {
        Withheld::Words => line.network.freeze(),
        Withheld::Answers => line.network.deafen(),
    }
    killed.input().write_all(b"open\n").unwrap();
    let store = &team.world.store;
    eventually(|| async { store.termination(&pid).await.unwrap().is_some() }).await;
    if withheld == Withheld::Answers {
        line.came(END, 1).await;
        line.replied(1).await;
    }
    let stored = messages(&team.place).await;
    assert_eq!(stored.len(), 1, "the boundary's, and no other: {stored:?}");
    assert_eq!(store.owed(None, 10).await.unwrap().len(), 1);
    killed.kill();
    // Nothing of what was on its way arrives later.
    line.network.lose();
    line.network.cut();
    let before = usize::from(withheld == Withheld::Answers);
    assert_eq!((line.wire(END).await.len(), line.replies().await), (before, before));

    let other = line.worker(&team.place, false);
    let outputs = line.result(reply).await;
    assert_eq!(outputs.get("square").cloned(), Some(9.into()), "{withheld:?}");
    eventually(|| async { messages(&team.place).await.is_empty() }).await;
    eventually(|| async { store.owed(None, 10).await.unwrap().is_empty() }).await;
    other.finish();
    let sent: Vec<_> = line.wire(END).await;
    assert_eq!(sent, vec![stored[0].clone(); before + 1], "under the id that was stored with the boundary");
    assert_eq!(line.replies().await, before + 1);
    line.all_is_heard().await;
    let heard = line.heard(&pid);
    let ends: Vec<_> = heard.iter().filter(|(_, subject)| subject == END).collect();
    assert_eq!(ends, [&(stored[0].clone(), END.to_owned())], "{heard:?}");
    let all = heard.iter().map(|(id, _)| id).collect::<std::collections::HashSet<_>>().len();
    assert_eq!(all, heard.len(), "each is heard once: {heard:?}");
    line.close().await;
}

/// The ids of the messages in the table, as they are on the wire.
async fn messages(place: &Place) -> Vec<String> {
    let ids: Vec<Vec<u8>> = match place {
        Place::Memory => panic!("nobody else sees it"),
        Place::Sqlite(folder) => {
            let connection = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
            let mut rows = connection.prepare("SELECT id FROM message ORDER BY ordinal").unwrap();
            rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        }
        Place::Postgres(schema) => {
            let client = crate::postgres::Postgres::shared().client().await;
            let rows = client.query(&format!("SELECT id FROM {schema}.message ORDER BY ordinal"), &[]).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        }
    };
    ids.iter().map(|id| uuid::Uuid::from_slice(id).unwrap().simple().to_string()).collect()
}

/// Launches a family, and kills the worker that has it at this point; gives the family, and its one child, as they are then.
async fn killed_at(team: &Team, point: &str) -> (ProcessId, ProcessId) {
    let mut killed = Start { place: &team.place, stays_at: point, broker: None }.start();
    let client = builder(team.worker().await, &Stays::default(), &Gate::new());
    let client = client.worker(WorkerOptions::new().queues(["of nobody"])).build().await.unwrap();
    let pid = client.launch(Family::inputs()).anywhere().await.unwrap().pid().clone();
    killed.hears(point);
    killed.kill();
    client.shutdown().await.unwrap();
    let children = team.world.store.children(&pid).await.unwrap();
    let [kid] = &children[..] else { panic!("{children:?}") };
    (pid, kid.clone())
}

/// Lets another worker go on with a family; each is to end once, and to have run each step once.
async fn goes_on(team: &Team, pid: &ProcessId, kid: &ProcessId) {
    let store = &team.world.store;
    let other = Start { place: &team.place, stays_at: "", broker: None }.start();
    eventually(|| async { store.termination(pid).await.unwrap().is_some() }).await;
    other.finish();
    assert_eq!(store.termination(pid).await.unwrap().unwrap().outputs["n"], 7);
    assert_eq!(store.children(pid).await.unwrap(), std::slice::from_ref(kid));
    for (pid, steps) in [(pid, 2), (kid, 1)] {
        let history = store.history(pid).await.unwrap();
        assert_eq!(history.iter().filter(|entry| entry.to.is_terminal()).count(), 1, "{history:?}");
        assert_eq!(store.load(pid).await.unwrap().unwrap().steps, steps, "{history:?}");
    }
}

async fn state(store: &dyn Store, pid: &ProcessId) -> ProcessState {
    store.load(pid).await.unwrap().unwrap().state
}

async fn a_child_that_a_killed_worker_had_not_begun_is_begun_by_another(team: Team) {
    let (pid, kid) = killed_at(&team, "begins").await;
    let store = &*team.world.store;
    assert_eq!((state(store, &pid).await, state(store, &kid).await), (ProcessState::Waiting, ProcessState::Created));
    goes_on(&team, &pid, &kid).await;
}

async fn a_parent_that_a_killed_worker_had_not_gone_on_with_goes_on_in_another(team: Team) {
    let (pid, kid) = killed_at(&team, "goes on").await;
    let store = &*team.world.store;
    assert_eq!((state(store, &pid).await, state(store, &kid).await), (ProcessState::Waiting, ProcessState::Finished));
    goes_on(&team, &pid, &kid).await;
}
