//! Sentences 8 to 11: memos, requests, parking, history and report.

use serde_json::Value;
use tokio::task::JoinSet;

use super::{AT, Subject, boundary, end, launch, load, process};
use crate::clock::Timestamp;
use crate::process::{ErrorInfo, ProcessId, ProcessState, Request};
use crate::store::{Commit, Record, RequestId, Store};

/// A memo is found under its process, step and name, and under nothing else; also after opening again.
pub async fn a_memo_is_found_under_process_step_and_name(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let one = launch(&*store, epoch, process("one")).await;
    let two = launch(&*store, epoch, process("two")).await;
    let memos = [(&one, 1, "a"), (&one, 1, "b"), (&one, 2, "a"), (&two, 1, "a"), (&two, u64::MAX, "")];
    for (index, (pid, step, name)) in memos.into_iter().enumerate() {
        store.put_memo(pid, epoch, step, name, format!("{index}")).await.unwrap();
    }
    let (store, _) = subject.reopen(store).await;
    for (index, (pid, step, name)) in memos.into_iter().enumerate() {
        assert_eq!(store.memo(pid, step, name).await.unwrap(), Some(format!("{index}")));
    }
    assert_eq!(store.memo(&one, 2, "b").await.unwrap(), None);
    assert_eq!(store.memo(&two, 1, "A").await.unwrap(), None);
}

/// A memo that is stored again is replaced.
pub async fn a_memo_that_is_stored_again_is_replaced(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    for value in ["1", "2"] {
        store.put_memo(&pid, epoch, 1, "effect", value.to_owned()).await.unwrap();
    }
    assert_eq!(store.memo(&pid, 1, "effect").await.unwrap().as_deref(), Some("2"));
}

/// A boundary forgets the memos of its process if it says so, and those of no other.
pub async fn a_boundary_forgets_the_memos_of_its_process(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let [one, two] = ["one", "two"].map(ProcessId::from);
    for pid in [&one, &two] {
        launch(&*store, epoch, process(pid.clone())).await;
        store.put_memo(pid, epoch, 1, "effect", "1".to_owned()).await.unwrap();
    }
    store.commit(boundary(&one, epoch, ProcessState::Running)).await.unwrap();
    assert!(store.memo(&one, 1, "effect").await.unwrap().is_some(), "it did not say so");
    let (store, epoch) = subject.reopen(store).await;
    let forgetting = Commit { forget_memos: true, ..boundary(&one, epoch, ProcessState::Running) };
    store.commit(forgetting.clone()).await.unwrap();
    assert_eq!(store.memo(&one, 1, "effect").await.unwrap(), None);
    assert!(store.memo(&two, 1, "effect").await.unwrap().is_some());
    store.put_memo(&one, epoch, 2, "effect", "2".to_owned()).await.unwrap();
    store.commit(forgetting).await.unwrap();
    assert_eq!(store.memo(&one, 2, "effect").await.unwrap(), None, "also those stored since");
}

fn ids(requests: &[crate::store::RequestRow]) -> Vec<RequestId> {
    requests.iter().map(|row| row.id).collect()
}

/// Requests of every kind are kept in the order of their arrival, until a commit has applied them.
pub async fn requests_are_kept_in_order_until_they_are_applied(mut subject: Subject) {
    let (store, first) = subject.own().await;
    let pid = launch(&*store, first, process("one")).await;
    assert_eq!(store.requests(None).await.unwrap(), []);
    let requests = [
        Request::Pause { text: Some("wait".to_owned()) },
        Request::Pause { text: None },
        Request::Play,
        Request::Resume { value: Value::from(vec![1, 2]) },
        Request::Resume { value: Value::Null },
        Request::Fail { error: ErrorInfo::new("broken") },
        Request::Kill { text: "enough".to_owned(), force: true },
    ];
    let mut given = Vec::new();
    for request in &requests {
        given.push(store.request(&pid, request.clone()).await.unwrap());
    }
    assert!(given.is_sorted() && given[0] < given[1]);
    let (store, epoch) = subject.reopen(store).await;
    let rows = store.requests(None).await.unwrap();
    assert_eq!(ids(&rows), given);
    assert!(rows.iter().all(|row| row.pid == pid));
    assert_eq!(rows.into_iter().map(|row| row.request.unwrap()).collect::<Vec<_>>(), requests);
    assert_eq!(ids(&store.requests(Some(given[2])).await.unwrap()), given[3..]);
    let applying = Commit { applied: given[1..3].to_vec(), ..boundary(&pid, epoch, ProcessState::Running) };
    store.commit(applying).await.unwrap();
    assert_eq!(ids(&store.requests(None).await.unwrap()), [&given[..1], &given[3..]].concat());
    assert_eq!(ids(&store.requests(Some(given[5])).await.unwrap()), given[6..]);
    assert_eq!(store.requests(Some(given[6])).await.unwrap(), []);
}

/// A request is found by who looks after the last one, however often nothing was found before.
pub async fn a_request_is_found_after_looks_that_found_nothing(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    let mut after = None;
    for _ in 0..3 {
        for _ in 0..3 {
            assert_eq!(store.requests(after).await.unwrap(), []);
        }
        store.commit(boundary(&pid, epoch, ProcessState::Running)).await.unwrap();
        assert_eq!(store.requests(after).await.unwrap(), []);
        let id = store.request(&pid, Request::Play).await.unwrap();
        assert_eq!(ids(&store.requests(after).await.unwrap()), [id]);
        assert_eq!(ids(&store.requests(after).await.unwrap()), [id], "looking takes nothing away");
        after = Some(id);
    }
}

/// Requests that come at once are all kept, each under its own id.
pub async fn requests_that_come_at_once_are_all_kept(subject: Subject) {
    let store = subject.store();
    let mut tasks = JoinSet::new();
    for index in 0..50_i64 {
        let store = subject.store();
        tasks.spawn(async move { (store.request(&index.into(), Request::Play).await.unwrap(), index.into()) });
    }
    let mut given: Vec<(RequestId, ProcessId)> = tasks.join_all().await;
    given.sort();
    let rows = store.requests(None).await.unwrap();
    assert_eq!(rows.into_iter().map(|row| (row.id, row.pid)).collect::<Vec<_>>(), given);
}

/// Requests to a process that does not exist are kept until they are discarded.
pub async fn requests_to_unknown_processes_are_kept_until_discarded(mut subject: Subject) {
    let store = subject.store();
    let one = store.request(&"nobody".into(), Request::Play).await.unwrap();
    let two = store.request(&"nobody".into(), Request::Play).await.unwrap();
    let (store, epoch) = subject.reopen(store).await;
    store.discard_requests(epoch, vec![one, RequestId(i64::MAX)]).await.unwrap();
    assert_eq!(ids(&store.requests(None).await.unwrap()), [two]);
}

/// The id of a request is never given again, so that "after this one" stays true.
pub async fn ids_of_requests_are_never_given_again(mut subject: Subject) {
    let (mut store, mut epoch) = subject.own().await;
    let mut last = RequestId(i64::MIN);
    for _ in 0..3 {
        let id = store.request(&"one".into(), Request::Play).await.unwrap();
        assert!(id > last);
        last = id;
        store.discard_requests(epoch, vec![id]).await.unwrap();
        (store, epoch) = subject.reopen(store).await;
    }
}

/// A parked process keeps every byte, with the reason, and is not found among the unfinished; also after opening again.
pub async fn a_parked_process_keeps_every_byte(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let odd = "not even JSON \u{1F980}\0";
    let pid = launch(&*store, epoch, process("one")).await;
    let mut commit = boundary(&pid, epoch, ProcessState::Waiting);
    commit.context = Some(odd.to_owned());
    commit.position = Some(odd.to_owned());
    commit.outputs = Some(odd.to_owned());
    commit.report = vec![odd.to_owned()];
    commit.transition = Some("step");
    store.commit(commit).await.unwrap();
    let before = load(&*store, &pid).await;
    store.park(epoch, &pid, "the field `x` is unknown".to_owned()).await.unwrap();
    let parked = Record { parked: Some("the field `x` is unknown".to_owned()), ..before.clone() };
    assert_eq!(load(&*store, &pid).await, parked);
    let (store, epoch) = subject.reopen(store).await;
    assert_eq!(load(&*store, &pid).await, parked);
    assert_eq!(store.unfinished(None, 10).await.unwrap().records, []);
    assert_eq!(store.history(&pid).await.unwrap().len(), 1);
    assert_eq!(store.report(&pid).await.unwrap()[0].text, odd);
    store.park(epoch, &pid, "again".to_owned()).await.unwrap();
    assert_eq!(load(&*store, &pid).await.parked.as_deref(), Some("again"));
}

/// A commit takes a parked process back among the unfinished.
pub async fn a_commit_takes_a_parked_process_back(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    launch(&*store, epoch, process("two")).await;
    store.park(epoch, &pid, "why".to_owned()).await.unwrap();
    let (store, epoch) = subject.reopen(store).await;
    store.commit(boundary(&pid, epoch, ProcessState::Running)).await.unwrap();
    assert_eq!(load(&*store, &pid).await.parked, None);
    let found = store.unfinished(None, 10).await.unwrap().records;
    assert_eq!(found.iter().map(|record| record.pid.to_string()).collect::<Vec<_>>(), ["one", "two"]);
    store.park(epoch, &pid, "why".to_owned()).await.unwrap();
    end(&*store, epoch, &pid).await;
    assert_eq!(load(&*store, &pid).await.parked, None, "an end as well");
}

async fn write_rows(store: &dyn Store, epoch: crate::store::Epoch, pid: &ProcessId, steps: std::ops::Range<u64>) {
    for step in steps {
        let mut commit = boundary(pid, epoch, ProcessState::Running);
        commit.at = Timestamp::from_millis(AT.as_millis() + i64::try_from(step).unwrap());
        commit.steps = step;
        commit.transition = Some("step");
        commit.report = vec![format!("{pid}: {step}"), format!("{pid}: {step}, again")];
        store.commit(commit).await.unwrap();
    }
}

/// History and report are kept in order, the latest ones where there are more than the store keeps, for each process
/// on its own, and also where the store is opened again and again.
pub async fn history_and_report_keep_the_latest_in_order(mut subject: Subject) {
    let (mut store, mut epoch) = subject.own().await;
    let most = subject.retention;
    let [busy, calm] = ["busy", "calm"].map(ProcessId::from);
    for pid in [&busy, &calm] {
        launch(&*store, epoch, process(pid.clone())).await;
    }
    write_rows(&*store, epoch, &calm, 0..1).await;
    for end in 1..=7 * most {
        write_rows(&*store, epoch, &busy, end - 1..end).await;
        if end % (2 * most + 1) == 0 {
            (store, epoch) = subject.reopen(store).await;
        }
        let history = store.history(&busy).await.unwrap();
        let steps: Vec<u64> = history.iter().map(|entry| entry.steps).collect();
        assert_eq!(steps, (end.saturating_sub(most)..end).collect::<Vec<_>>());
        assert!(history.iter().all(|entry| entry.at > AT || entry.steps == 0));
        let texts: Vec<String> = store.report(&busy).await.unwrap().into_iter().map(|line| line.text).collect();
        let written = (0..end).flat_map(|step| [format!("busy: {step}"), format!("busy: {step}, again")]);
        let kept = usize::try_from((2 * end).saturating_sub(most)).unwrap();
        assert_eq!(texts, written.skip(kept).collect::<Vec<_>>());
    }
    assert_eq!(store.history(&calm).await.unwrap().len(), 1);
    assert_eq!(store.report(&calm).await.unwrap().len(), 2);
}
