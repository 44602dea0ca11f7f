//! Several workers on one store: what the server, its locks and its clock have to do with it.

use procession::clock::Timestamp;
use procession::process::Request;
use procession::store::{
    AwaitedChild, Awaiting, Commit, Creation, Epoch, Filter, NewProcess, Placement, PostgresStore, Search, Store,
    StoreErrorKind, Worker,
};
use procession::{ProcessId, ProcessState};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tokio_postgres::Client;

use super::{Place, child, ending, history, join_all, process, refused, step};
use crate::postgres::Postgres;
use crate::support::eventually;

/// Joins with a lease that does not lapse by itself while a test runs.
pub(super) async fn join(store: &PostgresStore) -> Epoch {
    let (host, version, queues) = ("here".to_owned(), "1".to_owned(), vec![String::new()]);
    let worker = Worker { host, os_process: 1, version, queues, slots: 4 };
    store.join(worker, Duration::from_secs(600)).await.unwrap()
}

pub(super) fn unowned(pid: impl Into<ProcessId>, priority: i32) -> NewProcess {
    NewProcess { placement: Placement { priority, unowned: true, ..Placement::default() }, ..process(pid) }
}

async fn pids(store: &PostgresStore, epoch: Epoch, most: usize) -> Vec<ProcessId> {
    store
        .claim(epoch, most, procession::limits::ATTEMPTS)
        .await
        .unwrap()
        .records
        .into_iter()
        .map(|record| record.pid)
        .collect()
}

/// What a worker meets that was stopped for longer than its lease.
async fn lapse(client: &Client, place: &Place, epoch: Epoch) {
    let sql = format!("UPDATE {}.worker SET lapses_at = clock_timestamp() WHERE epoch = {}", place.schema, epoch.0);
    client.batch_execute(&sql).await.unwrap();
}

const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'";

/// Waits until someone waits for a lock in this schema.
async fn waits(client: &Client, place: &Place) {
    eventually(|| async { client.query_one(WAITING, &[&place.schema]).await.unwrap().get::<_, i64>(0) > 0 }).await;
}

/// A place whose connections have its name.
fn named() -> Place {
    let place = Place::shared();
    Place { url: format!("{}?application_name={}", place.url, place.schema), ..place }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn workers_that_race_for_processes_share_them() {
    let place = Place::shared();
    let (one, other) = (place.open().await, place.open().await);
    let epochs = [join(&one).await, join(&other).await];
    let creations = (0..1_000_i64).map(|pid| one.create(epochs[0], unowned(pid, 0)));
    assert!(join_all(creations).await.into_iter().all(|created| created.is_ok()));
    let race = [(&one, epochs[0]), (&other, epochs[1])].map(|(store, epoch)| async move {
        let mut all = Vec::new();
        loop {
            let some = pids(store, epoch, 37).await;
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    });
    let claimed = join_all(race.into_iter()).await.concat();
    assert_eq!(claimed.len(), 1_000);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>().len(), 1_000, "each once");
    let owned: u64 = one.workers().await.unwrap().iter().map(|worker| worker.owned).sum();
    assert_eq!(owned, 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_worker_whose_lease_has_lapsed_writes_nothing_of_a_thousand() {
    let place = Place::shared();
    let (store, client) = (place.open().await, Postgres::shared().client().await);
    let epoch = join(&store).await;
    let all: Vec<ProcessId> = (0..1_000_i64).map(ProcessId::from).collect();
    for result in join_all(all.iter().map(|pid| store.create(epoch, process(pid.clone())))).await {
        assert_eq!(result.unwrap(), Creation::Created);
    }
    for result in join_all(all.iter().map(|pid| store.commit(step(pid, epoch, 1)))).await {
        result.unwrap();
    }
    lapse(&client, &place, epoch).await;
    let commits = all.iter().map(|pid| {
        let forget_memos = pid.as_integer().is_some_and(|number| number > 500);
        store.commit(Commit { forget_memos, ..step(pid, epoch, 2) })
    });
    for result in join_all(commits).await {
        refused(result, StoreErrorKind::Stale);
    }
    refused(store.put_memo(&all[0], epoch, 1, "effect", "1".into()).await, StoreErrorKind::Stale);
    refused(store.park(epoch, &all[0], "why".into()).await, StoreErrorKind::Stale);
    refused(store.create(epoch, process("late")).await, StoreErrorKind::Stale);
    refused(store.renew(epoch, 0).await, StoreErrorKind::Stale);
    refused(
        store.claim(epoch, 1, procession::limits::ATTEMPTS).await.map(|claimed| claimed.records),
        StoreErrorKind::Stale,
    );
    refused(store.hand_over(epoch, all.clone()).await, StoreErrorKind::Stale);
    let steps = format!("SELECT count(*) FROM {}.checkpoint WHERE steps <> 1", place.schema);
    assert_eq!(client.query_one(&steps, &[]).await.unwrap().get::<_, i64>(0), 0);
    let other = place.open().await;
    let later = join(&other).await;
    assert_eq!(pids(&other, later, 2_000).await.len(), 1_000);
    refused(store.commit(step(&all[0], epoch, 2)).await, StoreErrorKind::Stale);
    for result in join_all(all.iter().map(|pid| other.commit(step(pid, later, 2)))).await {
        result.unwrap();
    }
    assert_eq!(history(&other, &all[0]).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_lease_that_lapses_within_a_transaction_ends_it() {
    let place = named();
    let (store, client) = (place.open().await, Postgres::shared().client().await);
    let (epoch, pid) = (join(&store).await, ProcessId::from("one"));
    store.create(epoch, process("one")).await.unwrap();
    // The first statement is done, and the second is to come.
    client.batch_execute(&format!("BEGIN; LOCK TABLE {}.report", place.schema)).await.unwrap();
    let rich = Commit { report: vec!["line".to_owned()], ..step(&pid, epoch, 1) };
    let (committed, ()) = tokio::join!(store.commit(rich), async {
        waits(&client, &place).await;
        lapse(&client, &place, epoch).await;
        client.batch_execute("COMMIT").await.unwrap();
    });
    refused(committed, StoreErrorKind::Stale);
    assert_eq!(history(&store, &pid).await, [0_u64; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_lease_that_lapses_within_a_claim_ends_it() {
    let place = named();
    let (store, client) = (place.open().await, Postgres::shared().client().await);
    let (other, epoch) = (join(&store).await, join(&store).await);
    store.create(other, unowned("one", 0)).await.unwrap();
    // Whoever takes it comes to the end of its lease by doing so.
    let slow = format!(
        "CREATE FUNCTION {0}.slow() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN UPDATE {0}.worker SET lapses_at = clock_timestamp() WHERE epoch = {1}; RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE UPDATE ON {0}.checkpoint FOR EACH ROW EXECUTE FUNCTION {0}.slow()",
        place.schema, epoch.0
    );
    client.batch_execute(&slow).await.unwrap();
    // The end of the lease is undone with the claim, so that it is tried again until patience is over.
    let options = place.options().with_patience(Duration::from_millis(100));
    let claiming = PostgresStore::connect(&place.url, options).await.unwrap();
    refused(claiming.claim(epoch, 10, 10).await, StoreErrorKind::Busy);
    client.batch_execute(&format!("DROP TRIGGER slow ON {}.checkpoint", place.schema)).await.unwrap();
    assert_eq!(pids(&store, other, 10).await, [ProcessId::from("one")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_boundary_that_waits_for_a_claim_is_refused_when_that_is_committed() {
    let place = named();
    let (store, client) = (place.open().await, Postgres::shared().client().await);
    let (epoch, pid) = (join(&store).await, ProcessId::from("one"));
    store.create(epoch, process("one")).await.unwrap();
    client.batch_execute(&format!("BEGIN; UPDATE {}.checkpoint SET owner = 77", place.schema)).await.unwrap();
    let (committed, ()) = tokio::join!(store.commit(step(&pid, epoch, 1)), async {
        waits(&client, &place).await;
        client.batch_execute("COMMIT").await.unwrap();
    });
    refused(committed, StoreErrorKind::Stale);
    assert_eq!(history(&store, &pid).await, [0_u64; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_renewal_waits_neither_for_what_commits_nor_for_the_pool() {
    let place = named();
    let store = PostgresStore::connect(&place.url, place.options().with_connections(1)).await.unwrap();
    let client = Postgres::shared().client().await;
    let (epoch, pid) = (join(&store).await, ProcessId::from("one"));
    store.create(epoch, process("one")).await.unwrap();
    client.batch_execute(&format!("BEGIN; LOCK TABLE {}.history, {0}.report", place.schema)).await.unwrap();
    let (committed, read, ()) = tokio::join!(store.commit(step(&pid, epoch, 1)), store.history(&pid), async {
        waits(&client, &place).await;
        for used in 1..=3 {
            store.renew(epoch, used).await.unwrap();
        }
        client.batch_execute("COMMIT").await.unwrap();
    });
    committed.unwrap();
    read.unwrap();
    assert_eq!(store.workers().await.unwrap()[0].slots_used, 3);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn what_a_workers_clock_says_does_not_matter() {
    let place = Place::shared();
    let store = place.open().await;
    let (epoch, pid) = (join(&store).await, ProcessId::from("one"));
    for at in [i64::MIN, -1, 0, 4_000_000_000_000].map(Timestamp::from_millis) {
        let pid = ProcessId::from(format!("at {}", at.as_millis()));
        store.create(epoch, NewProcess { at, ..unowned(pid, 0) }).await.unwrap();
    }
    assert_eq!(pids(&store, epoch, 10).await.len(), 4);
    store.create(epoch, process("one")).await.unwrap();
    // A time is over when it is over here.
    let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let now: i64 = Postgres::shared().client().await.query_one(now, &[]).await.unwrap().get(0);
    for (offset, had) in [(60_000, 0), (-1, 1)] {
        let wake_at = Some(Timestamp::from_millis(now + offset));
        let awaiting = Some(Awaiting { wake_at, ..Awaiting::default() });
        let at = Timestamp::from_millis(now - 2 * offset);
        let to = procession::ProcessState::Waiting;
        store.commit(Commit { at, to, awaiting, ..step(&pid, epoch, 1) }).await.unwrap();
        store.hand_over(epoch, vec![pid.clone()]).await.unwrap();
        assert_eq!(pids(&store, epoch, 10).await.len(), had, "{offset}");
        if had == 0 {
            let asked = store.request(&pid, Request::Play).await.unwrap();
            assert_eq!(pids(&store, epoch, 10).await, std::slice::from_ref(&pid));
            store.discard_requests(epoch, vec![asked]).await.unwrap();
        }
    }
}

/// Whether waiting for work ends sooner than it would by itself, because of this.
async fn wakes<T>(store: &PostgresStore, epoch: Epoch, work: impl Future<Output = T>) -> bool {
    let begun = Instant::now();
    let (ended, _) = tokio::join!(store.work(epoch), work);
    ended.unwrap();
    begun.elapsed() < procession::limits::WORK / 2
}

/// Waits until nothing more is to be heard.
async fn calm(store: &PostgresStore, epoch: Epoch) {
    while wakes(store, epoch, std::future::ready(())).await {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn what_there_is_to_do_is_announced() {
    let place = Place::shared();
    let (one, other) = (place.open().await, place.open().await);
    let (here, there) = (join(&one).await, join(&other).await);
    let parent = ProcessId::from("parent");
    one.create(here, process(parent.clone())).await.unwrap();
    other.create(there, child("child", &parent)).await.unwrap();
    other.create(there, process("theirs")).await.unwrap();
    calm(&one, here).await;
    assert!(wakes(&one, here, other.create(there, unowned("new", 0))).await, "a creation");
    calm(&one, here).await;
    assert!(wakes(&one, here, other.request(&parent, Request::Play)).await, "a request");
    calm(&one, here).await;
    assert!(!wakes(&one, here, other.request(&"theirs".into(), Request::Play)).await, "a request to another's");
    calm(&one, here).await;
    assert!(wakes(&one, here, other.commit(ending(&"child".into(), there, 1))).await, "the end of a child");
    calm(&one, here).await;
    assert!(wakes(&one, here, other.hand_over(there, vec!["theirs".into()])).await, "what is handed over");
    calm(&one, here).await;
    assert!(wakes(&one, here, other.release(there)).await, "a release");
    // What came while nobody waited is not lost.
    let third = place.open().await;
    let epoch = join(&third).await;
    calm(&one, here).await;
    third.create(epoch, unowned("later", 0)).await.unwrap();
    assert!(wakes(&one, here, std::future::ready(())).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_worker_that_is_cut_off_listens_again() {
    let place = named();
    let store = place.open().await;
    let epoch = join(&store).await;
    calm(&store, epoch).await;
    let server = Postgres::shared();
    assert!(wakes(&store, epoch, server.cut(&place.schema)).await, "it looks what it has missed");
    store.renew(epoch, 1).await.unwrap();
    assert!(wakes(&store, epoch, std::future::ready(())).await, "and once more when it hears again");
    calm(&store, epoch).await;
    assert!(wakes(&store, epoch, store.create(epoch, unowned("new", 0))).await);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn who_acquires_waits_for_what_a_worker_is_writing() {
    let place = named();
    let (store, client) = (place.open().await, Postgres::shared().client().await);
    let (epoch, pid) = (join(&store).await, ProcessId::from("one"));
    store.create(epoch, process("one")).await.unwrap();
    client.batch_execute(&format!("BEGIN; LOCK TABLE {}.report", place.schema)).await.unwrap();
    let rich = Commit { report: vec!["line".to_owned()], ..step(&pid, epoch, 1) };
    let owner = place.open().await;
    let (committed, acquired, ()) = tokio::join!(
        store.commit(rich),
        async {
            waits(&client, &place).await;
            let acquired = owner.acquire().await.unwrap();
            (acquired, owner.load(&pid).await.unwrap().unwrap().steps)
        },
        async {
            eventually(|| async { client.query_one(WAITING, &[&place.schema]).await.unwrap().get::<_, i64>(0) == 2 })
                .await;
            client.batch_execute("COMMIT").await.unwrap();
        }
    );
    committed.unwrap();
    assert_eq!(acquired.1, 1, "it sees what was written before it");
    refused(store.commit(step(&pid, epoch, 2)).await, StoreErrorKind::Stale);
    owner.commit(step(&pid, acquired.0, 2)).await.unwrap();
    assert_eq!(owner.workers().await.unwrap(), []);
}

/// Both change the row of the parent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_boundary_that_is_written_with_the_end_of_the_last_child_leaves_its_process_to_be_claimed() {
    let place = Place::shared();
    let (store, other) = (place.open().await, place.open().await);
    let (epoch, there) = (join(&store).await, join(&other).await);
    store.create(epoch, process("first")).await.unwrap();
    for round in 1..=20 {
        let (parent, only) = (ProcessId::from(format!("{round}")), ProcessId::from(format!("{round}/child")));
        store.create(epoch, process(parent.clone())).await.unwrap();
        let awaited = vec![AwaitedChild { pid: only.clone(), allow_failure: false }];
        let awaiting = Some(Awaiting { children: awaited, ..Awaiting::default() });
        let waits = Commit { to: ProcessState::Waiting, paused: true, ..step(&parent, epoch, 1) };
        let plays =
            Commit { from: ProcessState::Waiting, paused: false, report: vec!["plays".into()], ..waits.clone() };
        let children = vec![child(only.clone(), &parent)];
        store.commit(Commit { awaiting, children, ..waits }).await.unwrap();
        // While this one is written the others come together.
        let before = Commit { report: vec!["before".into()], ..step(&"first".into(), epoch, round) };
        let all = [before, plays, ending(&only, epoch, 1)].map(|commit| store.commit(commit));
        assert!(join_all(all.into_iter()).await.into_iter().all(|committed| committed.is_ok()));
        store.hand_over(epoch, vec![parent.clone()]).await.unwrap();
        assert_eq!(pids(&other, there, 10).await, [parent]);
    }
}

/// What [`Store::mend`] puts right lets a parent be claimed, unless it waits for another child.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_parent_that_waited_in_vain_can_be_claimed_when_that_is_mended() {
    let (place, client) = (Place::shared(), Postgres::shared().client().await);
    let store = place.open().await;
    let epoch = join(&store).await;
    store.create(epoch, unowned("parent", 0)).await.unwrap();
    store.create(epoch, unowned("other", 0)).await.unwrap();
    store.create(epoch, child("child", &"other".into())).await.unwrap();
    let vain = format!(
        "SET search_path TO {}; INSERT INTO open_child SELECT id, 1000000 + id FROM process WHERE parent IS NULL;
        UPDATE checkpoint SET state = 'waiting', has_open = true WHERE owner = 0",
        place.schema
    );
    client.batch_execute(&vain).await.unwrap();
    assert_eq!(pids(&store, epoch, 10).await, []);
    assert_eq!(store.mend(epoch).await.unwrap().children, 2);
    assert_eq!(pids(&store, epoch, 10).await, ["parent".into()]);
    store.commit(ending(&"child".into(), epoch, 1)).await.unwrap();
    assert_eq!(pids(&store, epoch, 10).await, ["other".into()]);
}

/// Tables as the first version made them, with rows of all kinds.
const BEFORE: &str = concat!(
    "CREATE SCHEMA s; SET search_path TO s;
    CREATE TABLE migration (version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
    INSERT INTO migration VALUES (1);",
    include_str!("../../../runtime/src/store/postgres/v1.sql"),
    "INSERT INTO process (id, pid, follows, created_at, inputs)
        SELECT n, convert_to(name, 'UTF8'), false, 1, '{}' FROM unnest(ARRAY['running', 'over', 'later', 'resume',
            'parent', 'child', 'damaged', 'ended', 'paused', 'nothing']) WITH ORDINALITY AS j(name, n);
    INSERT INTO checkpoint
        (id, state, awaiting, ended, paused, updated_at, version, format, process, fingerprint, position, context)
        SELECT n, state, convert_to(awaiting, 'UTF8'), ended, paused, 1, 1, 1, 'p', 'f', '{}', '{}' FROM (VALUES
            (1, 'running', '', NULL::bytea, false), (2, 'waiting', '{\"wake_at\":77}', NULL, false),
            (3, 'waiting', '{\"wake_at\":9000000000000}', NULL, false),
            (4, 'waiting', '{\"resume\":\"a \\u0000\"}', NULL, false),
            (5, 'waiting', '{\"children\":[{\"pid\":\"child\"}]}', NULL, false), (6, 'running', '', NULL, true),
            (7, 'waiting', '{', NULL, false), (8, 'finished', '', '{}', false), (9, 'running', '', NULL, true),
            (10, 'waiting', '{}', NULL, false)
        ) AS j(n, state, awaiting, ended, paused);
    UPDATE process SET parent = 5 WHERE id = 6;
    INSERT INTO open_child VALUES (5, 6);
    SELECT setval('process_id', 10)"
);

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn tables_of_the_first_version_are_brought_up_to_date_with_their_rows() {
    let (place, client) = (Place::shared(), Postgres::shared().client().await);
    let before = BEFORE.replace("SCHEMA s;", &format!("SCHEMA {};", place.schema));
    client.batch_execute(&before.replace("TO s;", &format!("TO {};", place.schema))).await.unwrap();
    let store = place.open().await;
    let epoch = join(&store).await;
    let claimed = store.claim(epoch, 100, procession::limits::ATTEMPTS).await.unwrap();
    let had: Vec<String> = claimed.records.iter().map(|record| record.pid.to_string()).collect();
    assert_eq!(had, ["running", "over", "nothing"]);
    assert_eq!(claimed.unreadable.iter().map(|(pid, _)| pid.to_string()).collect::<Vec<_>>(), ["damaged"]);
    // Its last child is another's, and ends.
    store.request(&"child".into(), Request::Play).await.unwrap();
    assert_eq!(pids(&store, epoch, 10).await, ["child".into()]);
    store.commit(ending(&"child".into(), epoch, 1)).await.unwrap();
    assert_eq!(pids(&store, epoch, 10).await, ["parent".into()]);
    store.commit(step(&"parent".into(), epoch, 1)).await.unwrap();
    store.request(&"resume".into(), Request::Play).await.unwrap();
    assert_eq!(pids(&store, epoch, 10).await, ["resume".into()]);
}

/// What a worker remembers of its row is out of date then: it looks again.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_process_that_another_worker_has_deleted_and_created_anew_is_found() {
    let place = Place::shared();
    let (one, epoch) = place.own().await;
    let other = place.open().await;
    let anew = async |pid: &str, again: NewProcess| {
        one.create(epoch, process(pid)).await.unwrap();
        other.commit(ending(&pid.into(), epoch, 1)).await.unwrap();
        assert!(other.delete(epoch, &pid.into()).await.unwrap());
        other.create(epoch, again).await.unwrap();
    };
    anew("committed", process("committed")).await;
    let report = vec!["it is there".to_owned()];
    one.commit(Commit { report, ..step(&"committed".into(), epoch, 1) }).await.unwrap();

    anew("known", process("known")).await;
    assert_ne!(one.create(epoch, process("known")).await.unwrap(), Creation::Created);

    let parent = ProcessId::from("parent");
    anew("parent", process("parent")).await;
    one.create(epoch, child("child", &parent)).await.unwrap();

    anew("awaited", child("awaited", &parent)).await;
    let children = vec![AwaitedChild { pid: "awaited".into(), allow_failure: false }];
    let awaiting = Some(Awaiting { children, ..Awaiting::default() });
    one.commit(Commit { awaiting, ..step(&parent, epoch, 1) }).await.unwrap();
    assert_eq!(one.load(&parent).await.unwrap().unwrap().open_children, 1);
}

/// By what they are, processes of tables are found that were written before it was asked for.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn processes_of_old_tables_are_found_by_what_they_are() {
    const ENDS: &str = "INSERT INTO process (id, pid, follows, created_at, inputs)
            SELECT n, convert_to(name, 'UTF8'), false, n, '{}' FROM unnest(ARRAY['three', 'zero', 'broken', 'killed', 'odd',
                'nul']) WITH ORDINALITY AS j(name, n);
        INSERT INTO checkpoint
            (id, state, ended, paused, parked, updated_at, version, format, process, fingerprint, position, context)
            SELECT n, state, convert_to(ended, 'UTF8'), false, NULL, 1, 1, 1, 'p', 'f', '{}', '{}' FROM (VALUES
                (1, 'finished', '{\"state\":\"exited\",\"exit\":{\"number\":3,\"name\":\"BAD\",\"message\":\"bad\"}}'),
                (2, 'finished', '{\"state\":\"finished\",\"result\":{\"exit\":7}}'),
                (3, 'excepted', '{\"state\":\"excepted\",\"error\":{\"message\":\"no\"}}'),
                (4, 'killed', '{\"state\":\"killed\",\"text\":\"\"}'), (5, 'finished', 'no JSON'),
                (6, 'finished', '{\"state\":\"finished\",\"result\":\"\\u0000\"}')
            ) AS j(n, state, ended)";
    let (place, client) = (Place::shared(), Postgres::shared().client().await);
    let (before, _) = BEFORE.split_once("INSERT INTO process").expect("the tables come first");
    let before = before.replace("SCHEMA s;", &format!("SCHEMA {};", place.schema));
    let before = before.replace("TO s;", &format!("TO {};", place.schema));
    client.batch_execute(&format!("{before} {ENDS}")).await.unwrap();
    let store = place.open().await;
    let cases = [
        ("failed", "three broken"),
        ("exit = 3", "three"),
        ("exit = 0", "zero nul"),
        ("state = killed and name = p", "killed"),
        ("created <= @3 and id = b*", "broken"),
    ];
    for (text, expected) in cases {
        let filter = Filter::parse(text, Timestamp::from_millis(0)).unwrap();
        let search = Search { oldest_first: true, ..Search::new(filter, 100) };
        let found = store.search(search).await.unwrap().processes;
        let pids: Vec<_> = found.iter().map(|summary| summary.pid.to_string()).collect();
        assert_eq!(pids.join(" "), expected, "{text}");
    }
}
