//! What only the SQLite store promises: what happens to its file, and between OS processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use procession::clock::Timestamp;
use procession::process::Request;
use procession::store::{
    Commit, Envelope, Epoch, FORMAT, NewProcess, SqliteOptions, SqliteStore, Store, StoreErrorKind,
};
use procession::{ProcessId, ProcessState};
use rusqlite::Connection;
use tempfile::TempDir;

pub(super) fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    (folder, file)
}

pub(super) fn process(pid: impl Into<ProcessId>) -> NewProcess {
    NewProcess {
        pid: pid.into(),
        key: None,
        parent: None,
        envelope: Envelope { format: FORMAT, process: "it::Relax".into(), version: 1, fingerprint: "f00d".into() },
        position: r#"{"at":"setup"}"#.into(),
        context: r#"{"iteration":0}"#.into(),
        inputs: "{}".into(),
        defaulted: None,
        listeners: None,
        owes: None,
        begun: None,
        placement: procession::store::Placement::default(),
        messages: Vec::new(),
        at: Timestamp::from_millis(1),
    }
}

pub(super) fn boundary(pid: &ProcessId, epoch: Epoch, context: String) -> Commit {
    let running = ProcessState::Running;
    let commit = Commit::new(pid.clone(), epoch, Timestamp::from_millis(2), running, running);
    Commit { context: Some(context), transition: Some("step"), ..commit }
}

async fn one(store: &SqliteStore) -> (Epoch, ProcessId) {
    let epoch = store.acquire().await.unwrap();
    store.create(epoch, process("one")).await.unwrap();
    (epoch, "one".into())
}

#[track_caller]
fn refused_to_open(file: &Path, kind: StoreErrorKind) {
    for options in [SqliteOptions::new(), SqliteOptions::new().with_read_only(true)] {
        let error = SqliteStore::open_with(file, options).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("store.db"), "it names the file: {error}");
    }
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_as_it_is() {
    let (_folder, file) = folder();
    let foreign = {
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch("CREATE TABLE mine (x); PRAGMA user_version = 1").unwrap();
        drop(connection);
        std::fs::read(&file).unwrap()
    };
    let text = b"dear diary, this is no database but some text of mine\n".repeat(50);
    for bytes in [foreign, text, b"short".to_vec()] {
        std::fs::write(&file, &bytes).unwrap();
        refused_to_open(&file, StoreErrorKind::Corrupt);
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
}

#[test]
fn a_path_that_cannot_be_opened_names_the_file() {
    let (folder, _) = folder();
    let file = folder.path().join("absent").join("store.db");
    refused_to_open(&file, StoreErrorKind::Io);
    let only_read = SqliteOptions::new().with_read_only(true);
    let error = SqliteStore::open_with(folder.path().join("store.db"), only_read).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Io, "reading makes no file");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (_folder, file) = folder();
    drop(SqliteStore::open(&file).unwrap());
    let connection = Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 1_000).unwrap();
    drop(connection);
    let bytes = std::fs::read(&file).unwrap();
    refused_to_open(&file, StoreErrorKind::NewerFormat);
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

#[tokio::test]
async fn a_damaged_page_is_told_and_closes_the_store_for_writing() {
    let (_folder, file) = folder();
    drop(SqliteStore::open(&file).unwrap());
    let empty = std::fs::metadata(&file).unwrap().len();
    let store = SqliteStore::open(&file).unwrap();
    let epoch = store.acquire().await.unwrap();
    for index in 0..50_i64 {
        let large = NewProcess { context: "x".repeat(3_000), ..process(index) };
        store.create(epoch, large).await.unwrap();
    }
    drop(store);
    let damaged = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    let length = damaged.metadata().unwrap().len();
    // All but the header and the schema.
    for page in empty / 4096..length / 4096 {
        damaged.write_all_at(&[0xA5; 4096], page * 4096).unwrap();
    }
    drop(damaged);
    let store = SqliteStore::open(&file).unwrap();
    let error = store.unfinished(None, 100).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    let epoch = store.acquire().await.unwrap();
    let error = store.commit(boundary(&20.into(), epoch, "{}".into())).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    let error = store.commit(boundary(&20.into(), epoch, "{}".into())).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Closed, "{error}");
    refused_without_schema(&file, length);
}

fn refused_without_schema(file: &Path, length: u64) {
    let damaged = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    damaged.write_all_at(&vec![0xA5; usize::try_from(length - 100).unwrap()], 100).unwrap();
    drop(damaged);
    let error = SqliteStore::open(file).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_is_got_over() {
    let (_folder, file) = folder();
    let small = || SqliteStore::open_with(&file, SqliteOptions::new().with_size_max(400_000)).unwrap();
    let store = small();
    let (epoch, pid) = one(&store).await;
    let mut fillers = Vec::new();
    let full = loop {
        match store.request(&pid, Request::Kill { text: "x".repeat(20_000), force: false }).await {
            Ok(id) => fillers.push(id),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), StoreErrorKind::Full, "{full}");
    assert!(!full.is_retryable(), "not without anyone's help");
    assert!(fillers.len() > 5);
    let large = format!("{{\"iteration\":\"{}\"}}", "y".repeat(60_000));
    let error = store.commit(boundary(&pid, epoch, large.clone())).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full, "{error}");
    let record = store.load(&pid).await.unwrap().unwrap();
    assert_eq!((record.context.as_str(), record.steps), (r#"{"iteration":0}"#, 0), "nothing of it is there");
    assert_eq!(store.history(&pid).await.unwrap(), []);
    assert_eq!(store.requests(None).await.unwrap().len(), fillers.len(), "and nothing is lost");
    // Space is there again: in the same store, and for one that is opened again.
    store.discard_requests(epoch, fillers).await.unwrap();
    store.commit(boundary(&pid, epoch, large.clone())).await.unwrap();
    drop(store);
    let record = small().load(&pid).await.unwrap().unwrap();
    assert_eq!(record.context, large);
}

/// Two jobs of one transaction, of which the second does not fit: the first is undone with it, and forgotten.
#[tokio::test]
async fn a_transaction_that_fails_undoes_all_its_jobs() {
    let (_folder, file) = folder();
    let store = SqliteStore::open_with(&file, SqliteOptions::new().with_size_max(200_000)).unwrap();
    let (epoch, pid) = one(&store).await;
    let two = ProcessId::from("two");
    store.commit(boundary(&pid, epoch, "1".into())).await.unwrap();
    // Held off, so that both are queued when it begins.
    let other = Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (created, small, large, ()) = tokio::join!(
        store.create(epoch, process(two.clone())),
        store.commit(boundary(&pid, epoch, "2".into())),
        store.commit(boundary(&pid, epoch, "x".repeat(500_000))),
        async { other.execute_batch("COMMIT").unwrap() },
    );
    let kinds = [created.unwrap_err().kind(), small.unwrap_err().kind(), large.unwrap_err().kind()];
    assert_eq!(kinds, [StoreErrorKind::Full; 3]);
    let error = store.commit(boundary(&two, epoch, "{}".into())).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotFound, "{error}");
    store.commit(boundary(&pid, epoch, "3".into())).await.unwrap();
    assert_eq!(store.load(&pid).await.unwrap().unwrap().context, "3");
    assert_eq!(store.history(&pid).await.unwrap().len(), 2, "the two that were stored");
}

#[tokio::test]
async fn a_damaged_row_that_is_to_be_restored_is_refused_alone() {
    let cases = [
        "UPDATE checkpoint SET state = 'bogus'",
        "UPDATE snapshot SET state = 'bogus'",
        "UPDATE snapshot SET awaiting = '['",
        "UPDATE process SET inputs = CAST(x'ff' AS TEXT)",
    ];
    for damage in cases {
        let (_folder, file) = folder();
        let store = SqliteStore::open(&file).unwrap();
        let (epoch, pid) = one(&store).await;
        store.save_snapshot(epoch, &pid, "tag", Timestamp::from_millis(5)).await.unwrap();
        Connection::open(&file).unwrap().execute(damage, []).unwrap();
        let error = store.restore(epoch, &pid, "tag", Timestamp::from_millis(6)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{damage}: {error}");
        store.create(epoch, process("two")).await.unwrap();
        assert_eq!(store.history(&pid).await.unwrap(), [], "{damage}");
    }
}

#[tokio::test]
async fn a_store_that_is_only_read_refuses_to_write() {
    let (_folder, file) = folder();
    let owner = SqliteStore::open(&file).unwrap();
    let (epoch, pid) = one(&owner).await;
    owner.commit(boundary(&pid, epoch, "{}".into())).await.unwrap();
    for owned in [true, false] {
        if !owned {
            owner.release(epoch).await.unwrap();
        }
        let store = SqliteStore::open_with(&file, SqliteOptions::new().with_read_only(true)).unwrap();
        assert_eq!(store.load(&pid).await.unwrap().unwrap().context, "{}");
        assert_eq!(store.history(&pid).await.unwrap().len(), 1);
        assert_eq!(store.requests(None).await.unwrap(), []);
        let kinds = [
            store.acquire().await.unwrap_err().kind(),
            store.create(epoch, process("two")).await.unwrap_err().kind(),
            store.commit(boundary(&pid, epoch, "{}".into())).await.unwrap_err().kind(),
            store.request(&pid, Request::Play).await.unwrap_err().kind(),
        ];
        assert_eq!(kinds, [StoreErrorKind::ReadOnly; 4]);
    }
}

#[tokio::test]
async fn a_writer_that_stays_away_too_long_is_told_as_busy_and_the_store_goes_on() {
    let (_folder, file) = folder();
    let options = SqliteOptions::new().with_busy_timeout(std::time::Duration::from_millis(20));
    let store = SqliteStore::open_with(&file, options).unwrap();
    let (epoch, pid) = one(&store).await;
    let other = Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.commit(boundary(&pid, epoch, "{}".into())).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Busy, "{error}");
    assert!(error.is_retryable());
    assert!(store.load(&pid).await.unwrap().is_some(), "who reads does not wait");
    other.execute_batch("COMMIT").unwrap();
    store.commit(boundary(&pid, epoch, "{}".into())).await.unwrap();
    assert_eq!(store.history(&pid).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_owner_whose_lock_file_was_removed_is_refused_by_its_epoch() {
    let (_folder, file) = folder();
    let first = SqliteStore::open(&file).unwrap();
    let (stale, pid) = one(&first).await;
    let second = SqliteStore::open(&file).unwrap();
    let error = second.acquire().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InUse, "{error}");
    assert!(error.to_string().contains("store.db"), "{error}");
    std::fs::remove_file(file.with_extension("db.lock")).unwrap();
    let epoch = second.acquire().await.unwrap();
    assert!(epoch > stale);
    let error = first.commit(boundary(&pid, stale, "{}".into())).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Stale, "{error}");
    let error = first.create(stale, process("two")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Stale, "{error}");
    second.commit(boundary(&pid, epoch, "{}".into())).await.unwrap();
    assert!(first.request(&pid, Request::Play).await.is_ok(), "it may still ask");
    assert_eq!(second.requests(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_released_store_has_no_log_and_another_may_own_it() {
    let (_folder, file) = folder();
    let first = SqliteStore::open(&file).unwrap();
    let (epoch, pid) = one(&first).await;
    first.commit(boundary(&pid, epoch, "{}".into())).await.unwrap();
    first.release(epoch).await.unwrap();
    assert_eq!(std::fs::metadata(file.with_extension("db-wal")).unwrap().len(), 0);
    let second = SqliteStore::open(&file).unwrap();
    assert!(second.acquire().await.unwrap() > epoch);
    assert_eq!(first.acquire().await.unwrap_err().kind(), StoreErrorKind::InUse);
}

#[tokio::test]
async fn checkpoints_are_readable_with_plain_sql() {
    let (_folder, file) = folder();
    let store = SqliteStore::open(&file).unwrap();
    let (epoch, pid) = one(&store).await;
    let awaiting = procession::store::Awaiting { wake_at: Some(Timestamp::from_millis(77)), ..Default::default() };
    let commit = Commit { awaiting: Some(awaiting), ..boundary(&pid, epoch, r#"{"iteration":5}"#.into()) };
    store.commit(commit).await.unwrap();
    let connection = Connection::open(&file).unwrap();
    let row: (String, String, i64, i64) = connection
        .query_row(
            "SELECT pid, state, context ->> '$.iteration', wake_at FROM process JOIN checkpoint USING (id)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(row, ("one".into(), "running".into(), 5, 77));
    let id: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).unwrap();
    assert_eq!(id, 0x5072_6373);
    let check: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
fn many_may_make_the_file_at_the_same_time() {
    let (_folder, file) = folder();
    std::thread::scope(|scope| {
        let opened: Vec<_> = (0..8).map(|_| scope.spawn(|| SqliteStore::open(&file).unwrap())).collect();
        for store in opened {
            drop(store.join().unwrap());
        }
    });
}

#[tokio::test]
async fn the_history_in_the_file_is_bounded() {
    let (_folder, file) = folder();
    let store = SqliteStore::open_with(&file, SqliteOptions::new().with_history(10)).unwrap();
    let (epoch, pid) = one(&store).await;
    let connection = Connection::open(&file).unwrap();
    for step in 0..100 {
        store.commit(boundary(&pid, epoch, format!("{step}"))).await.unwrap();
        let rows: i64 = connection.query_row("SELECT count(*) FROM history", [], |row| row.get(0)).unwrap();
        assert!(rows < 20, "{rows} rows after step {step}");
    }
    let none = SqliteOptions::new().with_history(0).with_reports(0);
    drop(store);
    let store = SqliteStore::open_with(&file, none).unwrap();
    let epoch = store.acquire().await.unwrap();
    let commit = Commit { report: vec!["line".into()], ..boundary(&pid, epoch, "{}".into()) };
    store.commit(commit).await.unwrap();
    assert_eq!((store.history(&pid).await.unwrap().len(), store.report(&pid).await.unwrap().len()), (0, 0));
}

/// Flushes that the device of a folder has done; none where they cannot be read.
fn flushes(folder: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let device = std::fs::metadata(folder).ok()?.dev();
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    let statistics = std::fs::read_to_string("/proc/diskstats").ok()?;
    let fields = statistics.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let (major, minor) = (major.to_string(), minor.to_string());
    let line = fields.into_iter().find(|fields| fields.len() >= 19 && fields[0] == major && fields[1] == minor)?;
    line[18].parse().ok()
}

/// Commits one after the other, and gives how many flushes of the device went with them.
async fn flushes_of(commits: u64, durability: procession::store::Durability) -> Option<u64> {
    let (folder, file) = folder();
    let store = SqliteStore::open_with(&file, SqliteOptions::new().with_durability(durability)).unwrap();
    let (epoch, pid) = one(&store).await;
    let before = flushes(folder.path())?;
    for step in 0..commits {
        store.commit(boundary(&pid, epoch, format!("{{\"step\":{step}}}"))).await.unwrap();
    }
    Some(flushes(folder.path())? - before)
}

/// An end of the OS process cannot show it, only a power failure or the device's own count.
#[tokio::test]
async fn a_commit_of_full_durability_is_flushed_to_the_device() {
    use procession::store::Durability::{Full, Normal};
    const COMMITS: u64 = 100;
    let mut calmest = u64::MAX;
    // Others use the device as well, so one calm round is waited for.
    for _ in 0..40 {
        let Some(normal) = flushes_of(COMMITS, Normal).await else {
            assert!(std::env::var_os("PROCESSION_TEST_ALL").is_none(), "no test may be left out here");
            // Standard error of the OS process, which libtest does not capture: it must not go unseen.
            let _ =
                writeln!(std::io::stderr(), "NOT SHOWN: flushes of this device cannot be counted (/proc/diskstats)");
            return;
        };
        calmest = calmest.min(normal);
        let full = flushes_of(COMMITS, Full).await.unwrap();
        assert!(full >= COMMITS, "{full} flushes for {COMMITS} commits");
        if calmest < COMMITS / 4 {
            break;
        }
    }
    assert!(calmest < COMMITS / 4, "{calmest} flushes for {COMMITS} commits of normal durability");
}

/// Another OS process, on the same file: this test binary, that runs one test only.
struct Other {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

const PART: &str = "PROCESSION_TEST_PART";
const FILE: &str = "PROCESSION_TEST_FILE";

impl Other {
    fn start(part: &str, file: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["sqlite::the_other_os_process", "--exact", "--nocapture"])
            .env(PART, part)
            .env(FILE, file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Waits for a word from it.
    fn hears(&mut self, word: &str) {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            // The test harness writes to the same line.
            if line.trim_end().ends_with(word) {
                return;
            }
            line.clear();
        }
        panic!("the other OS process ended without `{word}`");
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets it end, and sees that all went well there.
    fn finish(mut self) {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
    }
}

fn say(word: &str) {
    println!("{word}");
    std::io::stdout().flush().unwrap();
}

/// The part of another OS process. Alone it shows that opening a file twice in one OS process gives one owner, too.
#[tokio::test]
async fn the_other_os_process() {
    let (Ok(part), Some(file)) = (std::env::var(PART), std::env::var_os(FILE)) else {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [(); 2].map(|()| SqliteStore::open(folder.path().join("twice.db")).unwrap());
        let epoch = first.acquire().await.unwrap();
        assert_eq!(second.acquire().await.unwrap_err().kind(), StoreErrorKind::InUse);
        first.release(epoch).await.unwrap();
        second.acquire().await.unwrap();
        return;
    };
    let store = SqliteStore::open(file).unwrap();
    match part.as_str() {
        "own" => {
            let (_, pid) = one(&store).await;
            store.request(&pid, Request::Play).await.unwrap();
            say("owned");
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
        }
        "ask" => {
            for index in 0..20_i64 {
                assert_eq!(store.acquire().await.unwrap_err().kind(), StoreErrorKind::InUse);
                let record = store.load(&"one".into()).await.unwrap().unwrap();
                let history = store.history(&record.pid).await.unwrap();
                assert!(history.len() as u64 >= record.steps, "a later look sees at least as much");
                store.request(&index.into(), Request::Play).await.unwrap();
            }
            say("asked");
        }
        "commit" => {
            let (epoch, pid) = one(&store).await;
            for step in 1.. {
                let children = vec![process(i64::try_from(step).unwrap())];
                let commit = boundary(&pid, epoch, format!("{{\"step\":{step}}}"));
                store.commit(Commit { steps: step, children, ..commit }).await.unwrap();
                say(&format!("committed {step}"));
            }
        }
        other => panic!("no part `{other}`"),
    }
}

#[tokio::test]
async fn a_second_os_process_is_told_that_the_store_is_in_use_until_the_first_is_killed() {
    let (_folder, file) = folder();
    let mut owner = Other::start("own", &file);
    owner.hears("owned");
    let store = SqliteStore::open(&file).unwrap();
    let error = store.acquire().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InUse);
    assert!(error.to_string().contains("store.db"), "{error}");
    assert!(store.load(&"one".into()).await.unwrap().is_some(), "reading needs no ownership");
    owner.kill();
    let epoch = store.acquire().await.unwrap();
    assert_eq!(epoch, Epoch(2));
    assert_eq!(store.requests(None).await.unwrap().len(), 1, "what it was told as stored is there");
    store.commit(boundary(&"one".into(), epoch, "{}".into())).await.unwrap();
}

/// Killed at full speed: what was answered is there, the last boundary is there as a whole or not at all.
#[tokio::test]
async fn a_killed_owner_leaves_whole_boundaries() {
    for last in [1, 50, 333] {
        let (_folder, file) = folder();
        let mut owner = Other::start("commit", &file);
        owner.hears(&format!("committed {last}"));
        owner.kill();
        let store = SqliteStore::open(&file).unwrap();
        store.acquire().await.unwrap();
        let record = store.load(&"one".into()).await.unwrap().unwrap();
        assert!(record.steps >= last, "{} after {last}", record.steps);
        assert_eq!(record.context, format!("{{\"step\":{}}}", record.steps));
        let history = store.history(&record.pid).await.unwrap();
        assert_eq!(history.iter().map(|entry| entry.steps).max(), Some(record.steps));
        let processes = store.unfinished(None, 100_000).await.unwrap().records.len() as u64;
        assert_eq!(processes, record.steps + 1, "each boundary with its child");
        let check: String =
            Connection::open(&file).unwrap().pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
    }
}

#[tokio::test]
async fn a_second_os_process_reads_and_asks_while_the_owner_commits() {
    let (_folder, file) = folder();
    let store = Arc::new(SqliteStore::open(&file).unwrap());
    let (epoch, pid) = one(&store).await;
    assert_eq!(store.requests(None).await.unwrap(), []);
    let other = Other::start("ask", &file);
    let mut found = Vec::new();
    let mut step = 0;
    while found.len() < 20 {
        step += 1;
        let commit = Commit { steps: step.min(900), ..boundary(&pid, epoch, format!("{step}")) };
        store.commit(commit).await.unwrap();
        let after = found.last().map(|(id, _)| *id);
        found.extend(store.requests(after).await.unwrap().into_iter().map(|row| (row.id, row.pid)));
    }
    other.finish();
    let expected: Vec<ProcessId> = (0..20_i64).map(ProcessId::from).collect();
    assert_eq!(found.into_iter().map(|(_, pid)| pid).collect::<Vec<_>>(), expected);
}
