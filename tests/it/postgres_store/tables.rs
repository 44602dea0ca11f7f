//! How tables are made, recognised and read, and what a role needs.

use procession::clock::Timestamp;
use procession::process::Request;
use procession::store::{
    Awaiting, Commit, Epoch, Filter, Mended, OwedReply, PostgresStore, Search, Store, StoreErrorKind,
};

use super::sharing::join;
use super::{Place, child, ending, join_all, process, refused, step};
use crate::postgres::Postgres;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn many_may_make_the_tables_at_the_same_time() {
    let place = Place::shared();
    for result in join_all((0..8).map(|_| PostgresStore::connect(&place.url, place.options()))).await {
        result.unwrap();
    }
    let sql = format!("SELECT version FROM {}.migration ORDER BY version", place.schema);
    let rows = Postgres::shared().client().await.query(&sql, &[]).await.unwrap();
    let versions: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(versions, (1..=i32::try_from(versions.len()).unwrap()).collect::<Vec<_>>(), "each once");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn tables_of_a_newer_version_or_of_someone_else_are_refused_and_left_as_they_are() {
    let client = Postgres::shared().client().await;
    let place = Place::shared();
    let (store, epoch) = place.own().await;
    store.create(epoch, process("one")).await.unwrap();
    drop(store);
    let newer = format!("INSERT INTO {}.migration VALUES (1000)", place.schema);
    client.batch_execute(&newer).await.unwrap();
    refused(PostgresStore::connect(&place.url, place.options()).await, StoreErrorKind::NewerFormat);
    client.batch_execute(&format!("DELETE FROM {}.migration", place.schema)).await.unwrap();
    refused(PostgresStore::connect(&place.url, place.options()).await, StoreErrorKind::Corrupt);

    let place = Place::shared();
    let mine = format!("CREATE SCHEMA {0}; CREATE TABLE {0}.process (mine int)", place.schema);
    client.batch_execute(&mine).await.unwrap();
    refused(PostgresStore::connect(&place.url, place.options()).await, StoreErrorKind::Corrupt);
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = $1";
    let tables: i64 = client.query_one(tables, &[&place.schema]).await.unwrap().get(0);
    assert_eq!(tables, 1, "all or nothing");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn an_attempt_that_was_cut_off_leaves_nothing_and_the_next_one_makes_the_tables() {
    let server = Postgres::shared();
    let place = Place::new(&server);
    let client = server.client().await;
    // Holds what the attempt waits for.
    let lock = format!("BEGIN; SELECT pg_advisory_xact_lock({}, hashtext('{}'))", 0x5072_6373, place.schema);
    client.batch_execute(&lock).await.unwrap();
    let options = place.options().with_patience(std::time::Duration::ZERO);
    let url = format!("{}?application_name={}", place.url, place.schema);
    let (attempt, ()) = tokio::join!(PostgresStore::connect(&url, options), async {
        crate::support::eventually(|| async { server.cut(&place.schema).await > 0 }).await;
    });
    refused(attempt, StoreErrorKind::Unreachable);
    client.batch_execute("COMMIT").await.unwrap();
    place.own().await;
}

/// What no call leaves behind: a child that has ended, or is not there, and is open all the same.
#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_parent_does_not_wait_in_vain() {
    let place = Place::shared();
    let (store, epoch) = place.own().await;
    store.create(epoch, process("parent")).await.unwrap();
    let children = ["ended", "runs"].map(|pid| child(pid, &"parent".into())).into();
    store.commit(Commit { children, ..step(&"parent".into(), epoch, 1) }).await.unwrap();
    store.commit(ending(&"ended".into(), epoch, 1)).await.unwrap();
    assert_eq!(store.mend(epoch).await.unwrap(), Mended::default());
    let damage = format!(
        "INSERT INTO {0}.open_child SELECT p.parent, p.id FROM {0}.process AS p WHERE pid = 'ended';
        INSERT INTO {0}.open_child SELECT p.id, 1000000 FROM {0}.process AS p WHERE pid = 'parent'",
        place.schema
    );
    Postgres::shared().client().await.batch_execute(&damage).await.unwrap();
    refused(store.mend(Epoch(epoch.0 + 1)).await, StoreErrorKind::Stale);
    assert_eq!(store.load(&"parent".into()).await.unwrap().unwrap().open_children, 3);
    assert_eq!(store.mend(epoch).await.unwrap(), Mended { children: 2 });
    assert_eq!(store.load(&"parent".into()).await.unwrap().unwrap().open_children, 1);
    assert_eq!(store.mend(epoch).await.unwrap(), Mended::default());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn checkpoints_are_readable_with_plain_sql() {
    let place = Place::shared();
    let (store, epoch) = place.own().await;
    store.create(epoch, process("one")).await.unwrap();
    let awaiting = Awaiting { wake_at: Some(Timestamp::from_millis(77)), ..Awaiting::default() };
    store.commit(Commit { awaiting: Some(awaiting), ..step(&"one".into(), epoch, 5) }).await.unwrap();
    let sql = format!(
        "SELECT convert_from(pid, 'UTF8'), state, convert_from(context, 'UTF8')::jsonb ->> 'steps',
        convert_from(awaiting, 'UTF8')::jsonb ->> 'wake_at' FROM {0}.process JOIN {0}.checkpoint USING (id)",
        place.schema
    );
    let row = Postgres::shared().client().await.query_one(&sql, &[]).await.unwrap();
    let columns: [String; 4] = std::array::from_fn(|column| row.get(column));
    assert_eq!(columns, ["one", "running", "5", "77"]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn one_row_that_is_damaged_does_not_keep_the_others_from_being_read() {
    let place = Place::shared();
    let (store, epoch) = place.own().await;
    for pid in 0..3_i64 {
        store.create(epoch, process(pid)).await.unwrap();
    }
    let client = Postgres::shared().client().await;
    for damage in ["state = 'bogus'", "context = '\\xff'", "awaiting = '['", "version = -1"] {
        let sql = format!(
            "UPDATE {0}.checkpoint SET {damage} WHERE id = (SELECT id FROM {0}.process WHERE pid = '1')",
            place.schema
        );
        client.batch_execute(&sql).await.unwrap();
        let page = store.unfinished(None, 10).await.unwrap();
        assert_eq!((page.records.len(), page.unreadable.len()), (2, 1), "{damage}");
        assert_eq!(page.unreadable[0].0, 1.into());
        let page = store.search(Search::new(Filter::Every, 10)).await.unwrap();
        assert_eq!((page.processes.len(), page.unreadable.len()), (2, 1), "{damage}");
        refused(store.load(&1.into()).await, StoreErrorKind::Corrupt);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn one_message_that_is_damaged_does_not_keep_the_others_from_being_sent() {
    let place = Place::shared();
    let (store, epoch) = place.own().await;
    let damage = format!(
        "INSERT INTO {}.message (id, pid, body, sender) VALUES ('\\x00', 'short', '', 0),
            (decode(repeat('00', 16), 'hex'), 'one', 'said', 0), (decode(repeat('01', 16), 'hex'), '\\xff', '', 0)",
        place.schema
    );
    let client = Postgres::shared().client().await;
    client.batch_execute(&damage).await.unwrap();
    assert_eq!(store.unsent(epoch, 10).await.unwrap().messages.len(), 1);
    let kept = client.query_one(&format!("SELECT count(*) FROM {}.message", place.schema), &[]).await.unwrap();
    assert_eq!(kept.get::<_, i64>(0), 3);
}

/// The grants are those of the documentation.
fn grants(role: &str, schema: &str) -> String {
    let text = include_str!("../../../docs/stores.md");
    let mut blocks = text.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let grants = blocks.find(|block| block.contains("GRANT")).expect("they are there");
    grants.replace("worker", role).replace("procession", schema)
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_role_without_the_right_to_change_tables_does_all_but_make_them() {
    let server = Postgres::shared();
    let place = Place::new(&server);
    let role = format!("worker_{}", place.schema);
    let client = server.client().await;
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN")).await.unwrap();
    let url = server.url_of(&role);
    refused(PostgresStore::connect(&url, place.options()).await, StoreErrorKind::ReadOnly);
    drop(place.open().await);
    client.batch_execute(&grants(&role, &place.schema)).await.unwrap();
    let changed = client.batch_execute(&format!("SET ROLE {role}; CREATE TABLE {}.mine (x int)", place.schema)).await;
    assert!(changed.is_err(), "the role may not");

    let store = PostgresStore::connect(&url, place.options()).await.unwrap();
    let epoch = store.acquire().await.unwrap();
    let (at, pid) = (Timestamp::from_millis(5), "one".into());
    store.create(epoch, process("one")).await.unwrap();
    store.create(epoch, child("two", &pid)).await.unwrap();
    store.put_memo(&pid, epoch, 0, "effect", "1".to_owned()).await.unwrap();
    let request = store.request(&pid, Request::Play).await.unwrap();
    store.owe(epoch, &pid, OwedReply { id: "task".into(), address: "there".into() }).await.unwrap();
    store.save_snapshot(epoch, &pid, "tag", at).await.unwrap();
    store.commit(step(&pid, epoch, 1)).await.unwrap();
    let report = vec!["line".to_owned()];
    store.commit(Commit { report, applied: vec![request], forget_memos: true, ..step(&pid, epoch, 2) }).await.unwrap();
    store.park(epoch, &pid, "why".into()).await.unwrap();
    store.restore(epoch, &pid, "tag", at).await.unwrap();
    store.settle(epoch, vec![(pid.clone(), "task".into())]).await.unwrap();
    store.discard_requests(epoch, vec![request]).await.unwrap();
    store.commit(ending(&"two".into(), epoch, 1)).await.unwrap();
    store.commit(ending(&pid, epoch, 3)).await.unwrap();
    assert!(store.delete_snapshot(epoch, &pid, "tag").await.unwrap());
    assert!(store.delete(epoch, &pid).await.unwrap());
    store.release(epoch).await.unwrap();
    assert_eq!(store.unfinished(None, 10).await.unwrap().records, []);

    let worker = join(&store).await;
    store.create(worker, process("one")).await.unwrap();
    store.hand_over(worker, vec![pid]).await.unwrap();
    assert_eq!(store.claim(worker, 1, procession::limits::ATTEMPTS).await.unwrap().records.len(), 1);
    store.renew(worker, 1).await.unwrap();
    store.work(worker).await.unwrap();
    assert_eq!(store.workers().await.unwrap().len(), 1);
    store.release(worker).await.unwrap();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_role_that_may_only_look_reads_and_writes_nothing() {
    let server = Postgres::shared();
    let place = Place::new(&server);
    let (owner, epoch) = place.own().await;
    owner.create(epoch, process("one")).await.unwrap();
    let (role, schema) = (format!("looker_{}", place.schema), &place.schema);
    let sql = format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role};
        GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"
    );
    server.client().await.batch_execute(&sql).await.unwrap();
    let store = PostgresStore::connect(&server.url_of(&role), place.options()).await.unwrap();
    assert_eq!(store.unfinished(None, 10).await.unwrap().records.len(), 1);
    refused(store.acquire().await, StoreErrorKind::ReadOnly);
    refused(store.commit(step(&"one".into(), epoch, 1)).await, StoreErrorKind::ReadOnly);
    refused(store.create(epoch, process("two")).await, StoreErrorKind::ReadOnly);
    refused(store.request(&"one".into(), Request::Play).await, StoreErrorKind::ReadOnly);
    refused(store.delete(epoch, &"one".into()).await, StoreErrorKind::ReadOnly);
}
