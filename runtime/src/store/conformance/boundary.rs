//! Sentences 1, 2 and 7.

use serde_json::{Map, Value};
use tokio::task::JoinSet;

use super::{AT, PROGRESS, Subject, boundary, child, end, ending, launch, load, process, refused};
use crate::clock::Timestamp;
use crate::process::{Ended, ProcessId, ProcessState, Request, Termination};
use crate::store::{
    AwaitedChild, Awaiting, Commit, End, Ends, Envelope, HistoryEntry, NewProcess, Record, ReportLine, StatusText,
    Store, StoreErrorKind,
};

fn full(pid: &ProcessId, epoch: crate::store::Epoch) -> Commit {
    Commit {
        at: Timestamp::from_millis(1_800_000_000_001),
        paused: true,
        steps: 7,
        transition: Some("run_scf"),
        envelope: Some(Envelope {
            format: 1,
            process: "suite::Renamed".to_owned(),
            version: 4,
            fingerprint: "beef".to_owned(),
        }),
        position: Some(r#"{"at":"run_scf"}"#.to_owned()),
        context: Some(r#"{"iteration":1}"#.to_owned()),
        outputs: Some(r#"{"energy":1.5}"#.to_owned()),
        status: Some(StatusText {
            text: Some("now".to_owned()),
            before_pause: Some(Some("before".to_owned())),
            progress: Some(PROGRESS),
        }),
        awaiting: Some(Awaiting {
            children: Vec::new(),
            wake_at: Some(Timestamp::from_millis(5)),
            resume: Some("a word".to_owned()),
            streams: vec!["lines".to_owned()],
        }),
        listeners: Some(r#"[{"name":"suite::Log","state":{"lines":7}}]"#.to_owned()),
        report: vec!["line".to_owned()],
        ..boundary(pid, epoch, ProcessState::Waiting)
    }
}

/// All that a commit names is changed, together.
pub async fn a_commit_changes_all_that_it_names(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    let before = load(&*store, &pid).await;
    let commit = full(&pid, epoch);
    let expected = Record {
        envelope: commit.envelope.clone().unwrap(),
        state: ProcessState::Waiting,
        paused: true,
        status: commit.status.clone().unwrap(),
        position: commit.position.clone().unwrap(),
        context: commit.context.clone().unwrap(),
        outputs: commit.outputs.clone().unwrap(),
        awaiting: commit.awaiting.clone().unwrap(),
        listeners: commit.listeners.clone(),
        steps: 7,
        updated_at: commit.at,
        ..before
    };
    let at = commit.at;
    store.commit(commit).await.unwrap();
    assert_eq!(load(&*store, &pid).await, expected);
    let (store, _) = subject.reopen(store).await;
    assert_eq!(load(&*store, &pid).await, expected);
    let (from, to) = (ProcessState::Running, ProcessState::Waiting);
    let entry = HistoryEntry { at, from, to, steps: 7, point: "run_scf".to_owned() };
    assert_eq!(store.history(&pid).await.unwrap(), [entry]);
    assert_eq!(store.report(&pid).await.unwrap(), [ReportLine { at, text: "line".to_owned() }]);
}

/// What a commit does not name stays as it is: each column alone, and none.
pub async fn a_commit_leaves_what_it_does_not_name(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    store.commit(full(&pid, epoch)).await.unwrap();
    let mut expected = load(&*store, &pid).await;
    for bits in 0..128_u32 {
        let chosen = |bit: u32| bits & (1 << bit) != 0;
        let text = format!("{{\"bits\":{bits}}}");
        let mut commit = boundary(&pid, epoch, ProcessState::Waiting);
        commit.paused = true;
        commit.steps = 7;
        commit.envelope = chosen(0).then(|| Envelope { version: bits, ..expected.envelope.clone() });
        commit.position = chosen(1).then(|| text.clone());
        commit.context = chosen(2).then(|| text.clone());
        commit.outputs = chosen(3).then(|| text.clone());
        commit.status = chosen(4).then(|| StatusText { text: Some(text.clone()), ..StatusText::default() });
        let awaiting = Awaiting { resume: Some(text.clone()), ..Awaiting::default() };
        commit.awaiting = chosen(5).then_some(awaiting);
        commit.listeners = chosen(6).then(|| format!("[{text}]"));
        let Commit { envelope, position, context, outputs, status, awaiting, listeners, .. } = commit.clone();
        expected.envelope = envelope.unwrap_or(expected.envelope);
        expected.position = position.unwrap_or(expected.position);
        expected.context = context.unwrap_or(expected.context);
        expected.outputs = outputs.unwrap_or(expected.outputs);
        expected.status = status.unwrap_or(expected.status);
        expected.awaiting = awaiting.unwrap_or(expected.awaiting);
        expected.listeners = listeners.or(expected.listeners);
        expected.updated_at = AT;
        store.commit(commit).await.unwrap();
        assert_eq!(load(&*store, &pid).await, expected, "{bits:07b}");
    }
    let transitions = store.history(&pid).await.unwrap();
    assert_eq!(transitions.len(), 1, "no row without a transition");
}

/// Saved listeners are kept by commits that do not name them, and are none after an empty array; what a default filled
/// in is kept always.
pub async fn saved_listeners_are_kept_until_they_are_cleared(mut subject: Subject) {
    let (mut store, mut epoch) = subject.own().await;
    let text = |text: &str| Some(text.to_owned());
    let new = NewProcess { defaulted: text(r#"["steps"]"#), listeners: text("[]"), ..process("one") };
    let pid = launch(&*store, epoch, new).await;
    let mut kept = None;
    for listeners in [None, text(r#"[{"name":"log","state":"ä\n"}]"#), None, text("[]"), None, text("[1]")] {
        kept = listeners.clone().or(kept).filter(|listeners| listeners != "[]");
        let commit = Commit { listeners, ..boundary(&pid, epoch, ProcessState::Running) };
        store.commit(commit).await.unwrap();
        (store, epoch) = subject.reopen(store).await;
        let record = load(&*store, &pid).await;
        assert_eq!((record.listeners, record.defaulted), (kept.clone(), text(r#"["steps"]"#)));
    }
}

/// A status that a pause has covered is kept, also where there was none, and an empty wait is none.
pub async fn a_covered_status_and_an_empty_wait_are_kept(mut subject: Subject) {
    let (mut store, mut epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    let some = |text: &str| Some(text.to_owned());
    let statuses = [
        StatusText { text: some("paused"), before_pause: Some(None), progress: None },
        StatusText { text: some("paused"), before_pause: Some(some("")), progress: None },
        StatusText { text: some(""), ..StatusText::default() },
        StatusText::default(),
    ];
    for status in statuses {
        let mut commit = boundary(&pid, epoch, ProcessState::Running);
        commit.status = Some(status.clone());
        commit.awaiting = Some(Awaiting::default());
        store.commit(commit).await.unwrap();
        (store, epoch) = subject.reopen(store).await;
        let record = load(&*store, &pid).await;
        assert_eq!((record.status, record.awaiting), (status, Awaiting::default()));
    }
}

/// The commit that ends a process stores how, with its outputs.
pub async fn an_end_is_read_with_the_outputs(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let ends = [
        (ProcessState::Finished, Ended::Finished { result: Value::from(5) }),
        (ProcessState::Excepted, Ended::Excepted { error: crate::process::ErrorInfo::new("no") }),
        (ProcessState::Killed, Ended::Killed { text: "why".to_owned() }),
    ];
    for (state, ended) in &ends {
        let pid = launch(&*store, epoch, process(state.as_str())).await;
        assert_eq!(store.termination(&pid).await.unwrap(), None);
        let mut commit = boundary(&pid, epoch, *state);
        commit.ended = Some(serde_json::to_string(ended).unwrap());
        commit.outputs = Some(r#"{"energy":1.5}"#.to_owned());
        store.commit(commit).await.unwrap();
    }
    let (store, _) = subject.reopen(store).await;
    let outputs = Map::from_iter([("energy".to_owned(), Value::from(1.5))]);
    for (state, ended) in ends {
        let termination = store.termination(&state.as_str().into()).await.unwrap();
        assert_eq!(termination, Some(Termination::new(ended, outputs.clone())));
    }
}

/// Of many at once, with their parents: those that have ended, each once, and no others.
pub async fn ends_of_many_are_read_at_once(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let mut pids: Vec<ProcessId> = (0..300_i64).map(ProcessId::from).collect();
    for pid in &pids {
        launch(&*store, epoch, child(pid.clone(), &parent, pid.as_integer() == Some(7))).await;
    }
    for pid in pids.iter().step_by(2) {
        end(&*store, epoch, pid).await;
    }
    pids.extend([parent.clone(), "unknown".into()]);
    let (store, _) = subject.reopen(store).await;
    let mut ends = store.ends(pids.clone()).await.unwrap();
    assert_eq!(ends.unreadable, []);
    ends.ended.sort_by_key(|end| end.pid.as_integer());
    assert_eq!(ends.ended.len(), 150);
    for (end, pid) in ends.ended.into_iter().zip(pids.into_iter().step_by(2)) {
        let termination = store.termination(&pid).await.unwrap().unwrap();
        assert_eq!(end, End { pid, parent: Some(parent.clone()), termination });
    }
    assert_eq!(store.ends(vec![parent, "unknown".into()]).await.unwrap(), Ends::default());
    assert_eq!(store.ends(Vec::new()).await.unwrap(), Ends::default());
}

/// A process that has ended is not changed any more, under any epoch, also after opening again.
pub async fn an_ended_process_cannot_be_committed_again(mut subject: Subject) {
    let (mut store, mut epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    end(&*store, epoch, &pid).await;
    let before = load(&*store, &pid).await;
    for _ in 0..2 {
        refused(store.commit(full(&pid, epoch)).await, StoreErrorKind::Ended);
        refused(store.commit(ending(&pid, epoch)).await, StoreErrorKind::Ended);
        refused(store.park(epoch, &pid, "why".to_owned()).await, StoreErrorKind::Ended);
        refused(store.put_memo(&pid, epoch, 1, "effect", "1".to_owned()).await, StoreErrorKind::Ended);
        assert_eq!(load(&*store, &pid).await, before);
        assert_eq!(store.report(&pid).await.unwrap(), []);
        (store, epoch) = subject.reopen(store).await;
    }
}

/// An end without a terminal state, and the reverse, are refused.
pub async fn an_end_goes_with_a_terminal_state(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    let before = load(&*store, &pid).await;
    refused(store.commit(boundary(&pid, epoch, ProcessState::Killed)).await, StoreErrorKind::Other);
    let running = Commit { to: ProcessState::Running, ..ending(&pid, epoch) };
    refused(store.commit(running).await, StoreErrorKind::Other);
    assert_eq!(load(&*store, &pid).await, before);
}

/// All that there is of a process and around it, to see that nothing changed.
async fn all(store: &dyn Store, pid: &ProcessId) -> (Option<Record>, [usize; 4], Option<String>) {
    let counts = [
        store.children(pid).await.unwrap().len(),
        store.history(pid).await.unwrap().len(),
        store.report(pid).await.unwrap().len(),
        store.requests(None).await.unwrap().len(),
    ];
    (store.load(pid).await.unwrap(), counts, store.memo(pid, 1, "effect").await.unwrap())
}

/// A commit that is refused leaves nothing: no child, no applied request, no report, no history, no change.
pub async fn a_refused_commit_leaves_nothing(mut subject: Subject) {
    let (store, stale) = subject.own().await;
    let pid = launch(&*store, stale, process("one")).await;
    let (mut store, mut epoch) = subject.reopen(store).await;
    store.put_memo(&pid, epoch, 1, "effect", "1".to_owned()).await.unwrap();
    let request = store.request(&pid, Request::Play).await.unwrap();
    let before = all(&*store, &pid).await;
    let rich = |epoch| Commit {
        children: vec![child("child", &pid, true)],
        awaiting: Some(Awaiting {
            children: vec![AwaitedChild { pid: "child".into(), allow_failure: false }],
            ..Awaiting::default()
        }),
        applied: vec![request],
        forget_memos: true,
        ..full(&pid, epoch)
    };
    for _ in 0..2 {
        refused(store.commit(rich(stale)).await, StoreErrorKind::Stale);
        let unknown = Commit { pid: "unknown".into(), ..rich(epoch) };
        refused(store.commit(unknown).await, StoreErrorKind::NotFound);
        let mut orphan = rich(epoch);
        orphan.children.push(child("orphan", &"nobody".into(), true));
        refused(store.commit(orphan).await, StoreErrorKind::NotFound);
        assert_eq!(all(&*store, &pid).await, before);
        for absent in ["child", "orphan", "unknown"] {
            assert_eq!(store.load(&absent.into()).await.unwrap(), None, "{absent}");
        }
        (store, epoch) = subject.reopen(store).await;
    }
    store.commit(rich(epoch)).await.unwrap();
    let (record, counts, memo) = all(&*store, &pid).await;
    assert_eq!((record.unwrap().open_children, counts, memo), (1, [1, 1, 1, 0], None), "the same one is not refused");
}

/// Commits that come at once are each done or refused on their own.
pub async fn a_refused_commit_does_not_harm_others_at_the_same_time(subject: Subject) {
    let (store, stale) = subject.own().await;
    let epoch = store.acquire().await.unwrap();
    let mut pids = Vec::new();
    for index in 0..60_i64 {
        pids.push(launch(&*store, epoch, process(index)).await);
    }
    let mut tasks = JoinSet::new();
    for (index, pid) in pids.iter().cloned().enumerate() {
        let store = subject.store();
        tasks.spawn(async move {
            let commit = match index % 3 {
                0 => full(&pid, epoch),
                1 => full(&pid, stale),
                _ => full(&"unknown".into(), epoch),
            };
            let kind = store.commit(commit).await.err().map(|error| error.kind());
            let expected = [None, Some(StoreErrorKind::Stale), Some(StoreErrorKind::NotFound)];
            assert_eq!(kind, expected[index % 3], "{index}");
        });
    }
    tasks.join_all().await;
    for (index, pid) in pids.iter().enumerate() {
        assert_eq!(load(&*store, pid).await.steps, if index % 3 == 0 { 7 } else { 0 }, "{index}");
    }
}

/// Many processes that commit at once, each step after step, lose nothing and see their own writes.
pub async fn commits_of_many_processes_at_once_are_all_kept(mut subject: Subject) {
    const PROCESSES: i64 = 40;
    const STEPS: u64 = 25;
    let (store, epoch) = subject.own().await;
    let mut tasks = JoinSet::new();
    for index in 0..PROCESSES {
        let store = subject.store();
        tasks.spawn(async move {
            let pid = launch(&*store, epoch, process(index)).await;
            for step in 1..=STEPS {
                let mut commit = boundary(&pid, epoch, ProcessState::Running);
                commit.steps = step;
                commit.context = Some(format!("{{\"n\":{step},\"of\":{index}}}"));
                commit.transition = Some("step");
                store.commit(commit).await.unwrap();
                assert_eq!(load(&*store, &pid).await.steps, step);
            }
        });
    }
    tasks.join_all().await;
    let kept = subject.retention.min(STEPS);
    let (store, _) = subject.reopen(store).await;
    for index in 0..PROCESSES {
        let record = load(&*store, &index.into()).await;
        assert_eq!(record.context, format!("{{\"n\":{STEPS},\"of\":{index}}}"));
        let steps: Vec<u64> = store.history(&index.into()).await.unwrap().iter().map(|entry| entry.steps).collect();
        assert_eq!(steps, (STEPS - kept + 1..=STEPS).collect::<Vec<_>>());
    }
}
