//! A commit whose answer is lost: what becomes of it is found out, and told.

use std::time::Duration;

use procession::ProcessId;
use procession::clock::Timestamp;
use procession::process::Request;
use procession::store::{
    Claimed, Commit, Committed, Creation, Epoch, Message, NewProcess, PostgresOptions, PostgresStore, Store,
    StoreErrorKind,
};
use tokio_postgres::Client;

use super::sharing::{join, unowned};
use super::{Place, child, ending, history, process, refused, step};
use crate::network::Network;
use crate::postgres::Postgres;
use crate::support::eventually;

/// Stands at the end of every transaction that changes a process or a request, as long as the lock is held.
const GATE: &str = "
    CREATE FUNCTION s.gate() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(hashtext('s')); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER gate AFTER INSERT OR UPDATE OR DELETE ON s.checkpoint
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION s.gate();
    CREATE CONSTRAINT TRIGGER gate AFTER INSERT OR UPDATE OR DELETE ON s.snapshot
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION s.gate();
    CREATE CONSTRAINT TRIGGER gate AFTER INSERT OR UPDATE OR DELETE ON s.request
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION s.gate();";

/// When the way between the store and the server fails.
#[derive(Debug, Clone, Copy)]
enum Fails {
    /// After the commit, before its answer.
    After,
    /// Before the commit, which never comes: the server has ended the connection.
    Never,
    /// Before the commit, which comes while the store is asking for it.
    Meanwhile,
    /// After the commit, and what it wrote is deleted before it can be asked for.
    Deleted,
    /// After the commit, and from then on nobody can ask what became of it.
    Unasked,
    /// After the commit, and from then on nobody can read processes.
    Unread,
}

const ALL: [Fails; 3] = [Fails::After, Fails::Never, Fails::Meanwhile];

struct Scene {
    network: Network,
    schema: String,
    store: PostgresStore,
    epoch: Epoch,
    client: Client,
}

impl Scene {
    async fn new() -> Self {
        Self::with(|options| options).await
    }

    async fn with(options: impl FnOnce(PostgresOptions) -> PostgresOptions) -> Self {
        let server = Postgres::shared();
        let Place { url, schema } = Place::new(&server);
        let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()).unwrap();
        let network = Network::to(port.parse().unwrap()).await;
        let through = url.replace(port, &network.port().to_string());
        let through = format!("{through}?application_name={schema}");
        let place = Place { url: through, schema: schema.clone() };
        let store = PostgresStore::connect(&place.url, options(place.options())).await.unwrap();
        let epoch = store.acquire().await.unwrap();
        let client = server.client().await;
        client
            .batch_execute(&GATE.replace("s.", &format!("{schema}.")).replace("'s'", &format!("'{schema}'")))
            .await
            .unwrap();
        Self { network, schema, store, epoch, client }
    }

    async fn count(&self, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND {condition}");
        self.client.query_one(&sql, &[&self.schema]).await.unwrap().get(0)
    }

    /// Does something whose commit fails so.
    async fn during<T>(&self, fails: Fails, work: impl Future<Output = T>) -> T {
        let lock = |what: &str| format!("SELECT {what}(hashtext('{}'))", self.schema);
        self.client.batch_execute(&lock("pg_advisory_lock")).await.unwrap();
        let fault = async {
            eventually(|| async { self.count("wait_event = 'advisory'").await == 1 }).await;
            match fails {
                Fails::After | Fails::Deleted | Fails::Unasked | Fails::Unread => {
                    self.network.deafen();
                    self.client.batch_execute(&lock("pg_advisory_unlock")).await.unwrap();
                    eventually(|| async { self.count("backend_xid IS NOT NULL").await == 0 }).await;
                    match fails {
                        Fails::Unasked => self.rename("outcome", "away").await,
                        Fails::Unread => self.rename("process", "away").await,
                        Fails::Deleted => {
                            let table = |table: &str| format!("{}.{table}", self.schema);
                            let tables = ["checkpoint", "process", "history"].map(table).join(", ");
                            self.client.batch_execute(&format!("TRUNCATE {tables}")).await.unwrap();
                        }
                        _ => {}
                    }
                    self.network.cut();
                }
                Fails::Never => {
                    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE application_name = $1 AND wait_event = 'advisory'";
                    self.client.query(end, &[&self.schema]).await.unwrap();
                    self.client.batch_execute(&lock("pg_advisory_unlock")).await.unwrap();
                }
                Fails::Meanwhile => {
                    let before = self.asked().await;
                    self.network.cut();
                    self.network.open();
                    eventually(|| async { self.asked().await > before }).await;
                    self.client.batch_execute(&lock("pg_advisory_unlock")).await.unwrap();
                }
            }
            self.network.open();
        };
        tokio::join!(work, fault).0
    }

    async fn rename(&self, table: &str, name: &str) {
        let sql = format!("ALTER TABLE {}.{table} RENAME TO {name}", self.schema);
        self.client.batch_execute(&sql).await.unwrap();
    }

    /// Connections that were made so far, by the time of the latest.
    async fn asked(&self) -> i64 {
        let sql = "SELECT coalesce(max(extract(epoch FROM backend_start) * 1000000), 0)::bigint
            FROM pg_stat_activity WHERE application_name = $1";
        self.client.query_one(sql, &[&self.schema]).await.unwrap().get(0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_boundary_whose_answer_is_lost_is_written_once() {
    for fails in ALL {
        let scene = Scene::new().await;
        let (store, epoch, pid) = (&scene.store, scene.epoch, ProcessId::from("one"));
        store.create(epoch, process("one")).await.unwrap();
        let committed = scene.during(fails, store.commit(step(&pid, epoch, 1))).await.unwrap();
        assert_eq!(committed, Committed::default(), "{fails:?}");
        let report = vec!["line".to_owned()];
        let rich = Commit { report, ..step(&pid, epoch, 2) };
        scene.during(fails, store.commit(rich)).await.unwrap();
        store.commit(step(&pid, epoch, 3)).await.unwrap();
        assert_eq!(history(store, &pid).await, [1, 2, 3], "{fails:?}");
        assert_eq!(store.report(&pid).await.unwrap().len(), 1, "{fails:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_creation_and_an_end_whose_answers_are_lost_are_told_as_they_are() {
    for fails in ALL {
        let scene = Scene::new().await;
        let (store, epoch, parent) = (&scene.store, scene.epoch, ProcessId::from("parent"));
        let created = scene.during(fails, store.create(epoch, process("parent"))).await.unwrap();
        assert_eq!(created, Creation::Created, "{fails:?}");
        let created = store.create(epoch, process("parent")).await.unwrap();
        assert!(matches!(created, Creation::Exists { .. }));
        store.create(epoch, child("child", &parent)).await.unwrap();
        let ended = scene.during(fails, store.commit(ending(&"child".into(), epoch, 1))).await.unwrap();
        assert_eq!(ended.ready_parent, Some(parent), "{fails:?}");
        assert_eq!(history(store, &"child".into()).await, [1], "{fails:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn what_was_written_and_is_deleted_since_is_told_as_written() {
    let scene = Scene::new().await;
    let (store, epoch, pid) = (&scene.store, scene.epoch, ProcessId::from("one"));
    store.create(epoch, process("one")).await.unwrap();
    let ended = scene.during(Fails::Deleted, store.commit(ending(&pid, epoch, 1))).await.unwrap();
    assert_eq!(ended, Committed::default());
    let created = scene.during(Fails::Deleted, store.create(epoch, process("one"))).await.unwrap();
    assert_eq!(created, Creation::Created);
    assert!(store.load(&pid).await.unwrap().is_none(), "it was created twice");
    // A boundary after which it would go on was not the last.
    store.create(epoch, process("two")).await.unwrap();
    let lost = scene.during(Fails::Deleted, store.commit(step(&"two".into(), epoch, 1))).await;
    assert_eq!(lost.unwrap_err().kind(), StoreErrorKind::NotFound);
}

/// On one thread, so that all of it is one batch.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn of_a_batch_whose_answer_is_lost_each_is_told_what_became_of_it() {
    for fails in ALL {
        let scene = Scene::new().await;
        let (store, epoch) = (&scene.store, scene.epoch);
        let (goes, ends) = (ProcessId::from("goes"), ProcessId::from("ends"));
        for pid in ["there", "goes", "ends"] {
            let key = (pid == "there").then(|| "key".to_owned());
            store.create(epoch, NewProcess { key, ..process(pid) }).await.unwrap();
        }
        let says = || vec![Message { id: uuid::Uuid::now_v7(), body: "body".to_owned() }];
        let work = async {
            tokio::join!(
                store.create(epoch, NewProcess { messages: says(), ..process("new") }),
                store.create(epoch, NewProcess { messages: says(), ..process("there") }),
                store.create(epoch, NewProcess { key: Some("key".to_owned()), messages: says(), ..process("other") }),
                store.commit(Commit { messages: says(), ..step(&goes, epoch, 1) }),
                store.commit(Commit { messages: says(), ..ending(&ends, epoch, 1) }),
            )
        };
        let (new, there, other, step_of, end) = scene.during(fails, work).await;
        assert_eq!(new.unwrap(), Creation::Created, "{fails:?}");
        let exists = Creation::Exists { pid: "there".into(), process: process("there").envelope.process };
        assert_eq!(there.unwrap(), exists, "{fails:?}");
        assert_eq!(other.unwrap(), exists, "{fails:?}");
        assert_eq!((step_of.unwrap(), end.unwrap()), (Committed::default(), Committed::default()), "{fails:?}");
        assert!(store.load(&"other".into()).await.unwrap().is_none());
        assert_eq!(store.load(&goes).await.unwrap().unwrap().steps, 1, "{fails:?}");
        // What is remembered is right, too.
        store.commit(step(&goes, epoch, 2)).await.unwrap();
        store.commit(step(&"new".into(), epoch, 1)).await.unwrap();
        assert_eq!(store.commit(step(&ends, epoch, 2)).await.unwrap_err().kind(), StoreErrorKind::Ended);
        let sql = format!("SELECT convert_from(pid, 'UTF8') FROM {}.message ORDER BY 1", scene.schema);
        let rows = scene.client.query(&sql, &[]).await.unwrap();
        let told: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(told, ["ends", "goes", "new"], "{fails:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_request_whose_answer_is_lost_is_stored_once() {
    for fails in ALL {
        let scene = Scene::new().await;
        let (store, pid) = (&scene.store, ProcessId::from("one"));
        let id = scene.during(fails, store.request(&pid, Request::Play)).await.unwrap();
        let rows = store.requests(None).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [id], "{fails:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_restore_and_a_deletion_whose_answers_are_lost_are_done_once() {
    let at = Timestamp::from_millis(5);
    for fails in ALL {
        let scene = Scene::new().await;
        let (store, epoch, pid) = (&scene.store, scene.epoch, ProcessId::from("one"));
        store.create(epoch, process("one")).await.unwrap();
        for tag in ["a", "b"] {
            store.save_snapshot(epoch, &pid, tag, at).await.unwrap();
        }
        let restored = scene.during(fails, store.restore(epoch, &pid, "a", at)).await.unwrap();
        assert_eq!(restored.steps, 1, "{fails:?}");
        assert_eq!(history(store, &pid).await, [1], "{fails:?}");
        assert_eq!(scene.during(fails, store.delete_snapshots(epoch, &pid)).await.unwrap(), 2, "{fails:?}");
        store.commit(ending(&pid, epoch, 2)).await.unwrap();
        assert!(scene.during(fails, store.delete(epoch, &pid)).await.unwrap(), "{fails:?}");
        assert_eq!(store.load(&pid).await.unwrap(), None);
    }
}

/// Whatever keeps from learning what became of it: nobody may take it for undone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn what_cannot_be_asked_for_is_not_told_as_undone() {
    let scene = Scene::with(|options| options.with_patience(Duration::from_secs(2))).await;
    let (store, epoch, pid) = (&scene.store, scene.epoch, ProcessId::from("one"));
    store.create(epoch, process("one")).await.unwrap();
    let rich = Commit { report: vec!["line".to_owned()], ..step(&pid, epoch, 1) };
    refused(scene.during(Fails::Unasked, store.commit(rich)).await, StoreErrorKind::Unreachable);
    scene.rename("away", "outcome").await;
    refused(scene.during(Fails::Unasked, store.request(&pid, Request::Play)).await, StoreErrorKind::Unreachable);
    scene.rename("away", "outcome").await;
    assert_eq!(history(store, &pid).await, [1]);
    assert_eq!(store.requests(None).await.unwrap().len(), 1);
}

/// Who has claimed is told all that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_claim_whose_answer_is_lost_is_told_as_it_is() {
    for fails in ALL {
        let scene = Scene::new().await;
        let store = &scene.store;
        let (one, other) = (join(store).await, join(store).await);
        for pid in ["one", "two"] {
            store.create(one, unowned(pid, 0)).await.unwrap();
        }
        let claimed = scene.during(fails, store.claim(one, 1, 5)).await.unwrap();
        let pids = |claimed: &Claimed| claimed.records.iter().map(|record| record.pid.to_string()).collect::<Vec<_>>();
        assert_eq!(pids(&claimed), ["one"], "{fails:?}");
        let owned: Vec<_> = store.workers().await.unwrap().iter().map(|row| (row.epoch, row.owned)).collect();
        assert_eq!(owned, [(one, 1), (other, 0)], "{fails:?}");
        store.commit(step(&"one".into(), one, 1)).await.unwrap();
        assert_eq!(pids(&store.claim(other, 10, 5).await.unwrap()), ["two"], "{fails:?}");
    }
}

/// Who claims and does not know what it has gives its epoch up: others have it then, without an attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_claim_of_which_nobody_can_tell_is_told_so_and_can_be_given_up() {
    for (fails, table) in [(Fails::Unasked, "outcome"), (Fails::Unread, "process")] {
        let scene = Scene::with(|options| options.with_patience(Duration::from_secs(2))).await;
        let store = &scene.store;
        let (one, other) = (join(store).await, join(store).await);
        store.create(one, unowned("one", 0)).await.unwrap();
        let told = scene.during(fails, store.claim(one, 1, 5)).await;
        scene.rename("away", table).await;
        refused(told, StoreErrorKind::Unreachable);
        assert_eq!(store.claim(other, 1, 5).await.unwrap().records.len(), 0, "{fails:?}: it is the first one's");
        store.release(one).await.unwrap();
        let claimed = store.claim(other, 1, 5).await.unwrap();
        assert_eq!((claimed.records.len(), claimed.attempts.len()), (1, 0), "{fails:?}");
    }
}
