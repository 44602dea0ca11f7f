//! A file of the version before there were workers.

use std::io::Write;

use procession::clock::Timestamp;
use procession::store::{Filter, Search};

use super::os_processes::other;
use super::*;

const BEFORE: [&str; 3] = [
    include_str!("../../../runtime/src/store/sqlite/v1.sql"),
    include_str!("../../../runtime/src/store/sqlite/v2.sql"),
    include_str!("../../../runtime/src/store/sqlite/v3.sql"),
];

/// Processes of every kind, as that version has written them.
fn write_old(file: &Path) {
    let connection = Connection::open(file).unwrap();
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
    connection.execute_batch(&BEFORE.concat()).unwrap();
    connection.execute_batch("PRAGMA application_id = 0x50726373; PRAGMA user_version = 3").unwrap();
    let rows = [
        ("running", "running", 0, None),
        ("rests", "waiting", 0, Some(r#"{"resume":"a word"}"#)),
        ("past", "waiting", 0, Some(r#"{"wake_at":5}"#)),
        ("later", "waiting", 0, Some(r#"{"wake_at":9000000000000000}"#)),
        ("paused", "running", 1, None),
        ("parent", "waiting", 0, Some(r#"{"children":[{"pid":"child"}]}"#)),
        ("child", "created", 0, None),
        ("damaged", "bogus", 0, None),
        ("parked", "running", 0, None),
        ("ended", "finished", 0, None),
    ];
    for (pid, state, paused, awaiting) in rows {
        let sql = "INSERT INTO process (pid, process, version, format, fingerprint, created_at, inputs)
            VALUES (?1, 'it::Relax', 1, 1, 'f00d', 1, '{}')";
        connection.execute(sql, [pid]).unwrap();
        let sql = "INSERT INTO checkpoint (id, state, paused, updated_at, awaiting, position, context)
            VALUES (last_insert_rowid(), ?1, ?2, 1, ?3, '{}', '{}')";
        connection.execute(sql, (state, paused, awaiting)).unwrap();
    }
    connection
        .execute_batch(
            "UPDATE process SET ended = '{\"state\":\"finished\"}' WHERE pid = 'ended';
            UPDATE process SET parked = 'why' WHERE pid = 'parked';
            UPDATE process SET parent = 6 WHERE pid = 'child';
            INSERT INTO open_child VALUES (6, 7);
            UPDATE checkpoint SET open_children = 1 WHERE id = 6;
            UPDATE store SET epoch = 41",
        )
        .unwrap();
}

#[tokio::test]
async fn what_a_file_of_the_version_before_has_goes_on_with_workers() {
    let (_folder, file) = folder();
    write_old(&file);
    let store = SqliteStore::open(&file).unwrap();
    let epoch = join(&store).await;
    assert_eq!(epoch, Epoch(42));
    let claimed = store.claim(epoch, 100, 5).await.unwrap();
    let pids: Vec<_> = claimed.records.iter().map(|record| record.pid.to_string()).collect();
    assert_eq!(pids, ["running", "past", "child"]);
    assert_eq!(claimed.unreadable.iter().map(|(pid, _)| pid.to_string()).collect::<Vec<_>>(), ["damaged"]);
    let ended = Some(r#"{"state":"finished"}"#.to_owned());
    let end = Commit { ended, to: ProcessState::Finished, ..boundary(&"child".into(), epoch, "{}".to_owned()) };
    assert_eq!(store.commit(end).await.unwrap().ready_parent, Some("parent".into()));
    assert_eq!(store.claim(epoch, 100, 5).await.unwrap().records[0].pid, "parent".into());
}

#[test]
fn os_processes_that_open_an_old_file_at_the_same_time_bring_it_up_to_date_once() {
    let (_folder, file) = folder();
    write_old(&file);
    let mut others = [(); 3].map(|()| other("open", &file));
    for other in &mut others {
        other.hears("ready");
    }
    for other in &mut others {
        other.input().write_all(b"go\n").unwrap();
    }
    for mut other in others {
        other.hears("unfinished: 7");
        other.finish();
    }
    let connection = Connection::open(&file).unwrap();
    let check: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
    assert_eq!((check.as_str(), count(&file, "process")), ("ok", 10));
}

/// By what they are, processes of a file are found that was written before it was asked for.
#[tokio::test]
async fn processes_of_an_old_file_are_found_by_what_they_are() {
    let (_folder, file) = folder();
    write_old(&file);
    let ends = [
        ("three", "finished", r#"{"state":"exited","exit":{"number":3,"name":"BAD","message":"bad"}}"#),
        ("zero", "finished", r#"{"state":"finished","result":{"exit":7}}"#),
        ("broken", "excepted", r#"{"state":"excepted","error":{"message":"no"}}"#),
        ("killed", "killed", r#"{"state":"killed","text":""}"#),
        ("odd", "finished", "no JSON"),
    ];
    let connection = Connection::open(&file).unwrap();
    for (pid, state, ended) in ends {
        let sql = "INSERT INTO process (pid, process, version, format, fingerprint, created_at, inputs, ended)
            VALUES (?1, 'it::Relax', 1, 1, 'f00d', 1, '{}', ?2)";
        connection.execute(sql, [pid, ended]).unwrap();
        let sql = "INSERT INTO checkpoint (id, state, updated_at, position, context)
            VALUES (last_insert_rowid(), ?1, 1, '{}', '{}')";
        connection.execute(sql, [state]).unwrap();
    }
    drop(connection);
    let store = SqliteStore::open(&file).unwrap();
    let cases = [
        ("failed", "three broken"),
        ("exit = 3", "three"),
        ("exit = 0", "ended zero"),
        ("state = waiting and name = it::*", "rests past later parent"),
        ("paused", "paused"),
        ("parked", "parked"),
        ("created = @1 and id = p*", "past paused parent parked"),
    ];
    for (text, expected) in cases {
        let filter = Filter::parse(text, Timestamp::from_millis(0)).unwrap();
        let search = Search { oldest_first: true, ..Search::new(filter, 100) };
        let found = store.search(search).await.unwrap().processes;
        let pids: Vec<_> = found.iter().map(|summary| summary.pid.to_string()).collect();
        assert_eq!(pids.join(" "), expected, "{text}");
    }
}
