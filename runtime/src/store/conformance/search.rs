//! Sentence 31.

use super::{AT, Subject, boundary, child, end, launch, load, process, refused};
use crate::clock::Timestamp;
use crate::limits;
use crate::process::{ProcessId, ProcessState};
use crate::store::{
    Commit, Condition, Envelope, Epoch, Filter, NewProcess, Search, StatusText, Store, StoreErrorKind, Summary, TextIs,
};

fn filter(text: &str) -> Filter {
    Filter::parse(text, AT).unwrap_or_else(|error| panic!("{}\n{error}", error.caret()))
}

/// All that meet a filter, in pages.
async fn summaries(store: &dyn Store, filter: &Filter, oldest_first: bool, most: usize) -> Vec<Summary> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let search = Search { oldest_first, after, ..Search::new(filter.clone(), most) };
        let page = store.search(search).await.unwrap();
        assert!(page.processes.len() <= most.max(1), "no more than asked for");
        assert_eq!(page.unreadable, []);
        found.extend(page.processes);
        let Some(next) = page.next else { return found };
        let leads_on = after.is_none_or(|after| if oldest_first { next > after } else { next < after });
        assert!(leads_on, "a page must lead on");
        after = Some(next);
    }
}

fn ids(summaries: &[Summary]) -> Vec<String> {
    summaries.iter().map(|summary| summary.pid.to_string()).collect()
}

/// Their ids, in the order of their creation; in every order and in pages of any size they are the same.
async fn found_by(store: &dyn Store, filter: &Filter) -> Vec<String> {
    let mut found = ids(&summaries(store, filter, true, 100).await);
    for most in [1, 2, 3] {
        assert_eq!(ids(&summaries(store, filter, true, most).await), found, "in pages of {most}: {filter}");
    }
    found.reverse();
    for most in [1, 3, 100] {
        assert_eq!(ids(&summaries(store, filter, false, most).await), found, "in pages of {most}: {filter}");
    }
    found.reverse();
    assert_eq!(store.count(filter.clone(), u64::MAX).await.unwrap(), found.len() as u64, "{filter}");
    found
}

async fn found(store: &dyn Store, text: &str) -> Vec<String> {
    found_by(store, &filter(text)).await
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(AT.as_millis() + 1_000 * seconds)
}

fn named(pid: &str, name: &str) -> NewProcess {
    let new = process(pid);
    NewProcess { envelope: Envelope { process: name.to_owned(), ..new.envelope }, ..new }
}

async fn end_as(store: &dyn Store, epoch: Epoch, pid: &str, state: ProcessState, ended: &str) {
    let ended = Some(ended.to_owned());
    store.commit(Commit { ended, ..boundary(&pid.into(), epoch, state) }).await.unwrap();
}

/// One of each kind.
async fn crowd(store: &dyn Store, epoch: Epoch) {
    launch(store, epoch, named("new", "Rank")).await;
    launch(store, epoch, NewProcess { begun: Some("step"), ..named("runs", "Ranking") }).await;
    launch(store, epoch, NewProcess { key: Some("batch-1".to_owned()), ..named("waits", "Ran") }).await;
    store.commit(boundary(&"waits".into(), epoch, ProcessState::Waiting)).await.unwrap();
    launch(store, epoch, NewProcess { at: at(5), ..process("paused") }).await;
    let paused = boundary(&"paused".into(), epoch, ProcessState::Running);
    store.commit(Commit { paused: true, at: at(7), ..paused }).await.unwrap();
    launch(store, epoch, NewProcess { at: at(-5), ..process("parked") }).await;
    store.park(epoch, &"parked".into(), "why".to_owned()).await.unwrap();
    launch(store, epoch, NewProcess { key: Some("batch-2".to_owned()), ..child("child", &"runs".into(), true) }).await;
    let ends = [
        ("done", ProcessState::Finished, r#"{"state":"finished"}"#),
        ("three", ProcessState::Finished, r#"{"state":"exited","exit":{"number":3,"name":"BAD","message":"bad"}}"#),
        ("minus", ProcessState::Finished, r#"{"state":"exited","exit":{"number":-1,"name":"BAD","message":"bad"}}"#),
        ("broken", ProcessState::Excepted, r#"{"state":"excepted","error":{"message":"one\ntwo"}}"#),
        ("killed", ProcessState::Killed, r#"{"state":"killed","text":"enough"}"#),
    ];
    for (pid, state, ended) in ends {
        launch(store, epoch, process(pid)).await;
        end_as(store, epoch, pid, state, ended).await;
    }
}

/// Processes are found by each condition, and by what is made of conditions, also after opening again.
pub async fn processes_are_found_by_what_they_are(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    crowd(&*store, epoch).await;
    let (store, _) = subject.reopen(store).await;
    let all = "new runs waits paused parked child done three minus broken killed";
    let cases = [
        ("all", all),
        ("not all", ""),
        ("state = created", "new parked child"),
        ("state = running", "runs paused"),
        ("state = waiting", "waits"),
        ("state = finished", "done three minus"),
        ("state = excepted or state = killed", "broken killed"),
        ("state != finished and not failed and state != killed", "new runs waits paused parked child"),
        ("name = Rank", "new"),
        ("name = Rank*", "new runs"),
        ("name = Ran* and name != Ran", "new runs"),
        ("name = suite::*", "paused parked child done three minus broken killed"),
        ("id = done", "done"),
        ("id = p*", "paused parked"),
        ("id = do or id = dones", ""),
        ("key = batch-1", "waits"),
        ("key = batch-*", "waits child"),
        ("key = *", "waits child"),
        ("key != batch-1", "child"),
        ("not key = batch-1 and key = b*", "child"),
        ("parent = runs", "child"),
        ("parent != waits", "child"),
        ("parent = nobody", ""),
        ("root and key = *", "waits"),
        ("paused", "paused"),
        ("parked", "parked"),
        ("not (parked or paused) and id = p*", ""),
        ("failed", "three minus broken"),
        ("failed and not state = excepted", "three minus"),
        ("exit = 0", "done"),
        ("exit = 3", "three"),
        ("exit != 3", "done minus"),
        ("exit < 0", "minus"),
        ("exit >= 0", "done three"),
        ("exit > 100000000000", ""),
        ("created = -5s", "parked"),
        ("created < now", "parked"),
        ("created <= now and created >= now and key = *", "waits child"),
        ("created > now", "paused"),
        ("created != now", "paused parked"),
        ("created > -5s and created < now", ""),
        ("updated > now", "paused"),
        ("input.steps = 10 and state = waiting", "waits"),
        ("exit = 3 or key = batch-* or parked", "waits parked child three"),
        ("exit = 3 or updated > now", "paused three"),
    ];
    for (text, expected) in cases {
        assert_eq!(found(&*store, text).await.join(" "), expected, "{text}");
    }
}

/// A filter finds what a process has become, and no more what it was.
pub async fn processes_are_found_by_what_they_have_become(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, named("one", "Old")).await;
    let is = async |text: &str| found(&*store, text).await.len() == 1;
    let envelope = Envelope { process: "New".to_owned(), ..load(&*store, &pid).await.envelope };
    let change = Commit { envelope: Some(envelope), ..boundary(&pid, epoch, ProcessState::Waiting) };
    store.commit(change.clone()).await.unwrap();
    assert!(is("state = waiting").await && is("name = New").await && !is("name = Old").await);
    store.save_snapshot(epoch, &pid, "tag", AT).await.unwrap();
    store.commit(Commit { paused: true, ..boundary(&pid, epoch, ProcessState::Waiting) }).await.unwrap();
    assert!(is("paused").await && is("state = waiting").await);
    store.commit(boundary(&pid, epoch, ProcessState::Running)).await.unwrap();
    assert!(!is("paused").await && is("state = running").await && !is("state = waiting").await);
    store.park(epoch, &pid, "why".to_owned()).await.unwrap();
    assert!(is("parked").await);
    assert!(store.unpark(epoch, &pid).await.unwrap());
    assert!(!is("parked").await);
    end_as(&*store, epoch, "one", ProcessState::Excepted, r#"{"state":"excepted","error":{"message":"no"}}"#).await;
    assert!(is("failed").await && is("state = excepted").await && !is("state = running").await);
    store.restore(epoch, &pid, "tag", AT).await.unwrap();
    assert!(!is("failed").await && is("state = waiting").await && !is("state = excepted").await);
    let exited = r#"{"state":"exited","exit":{"number":7,"name":"BAD","message":"bad"}}"#;
    end_as(&*store, epoch, "one", ProcessState::Finished, exited).await;
    assert!(is("failed").await && is("exit = 7").await);
    store.restore(epoch, &pid, "tag", AT).await.unwrap();
    assert!(!is("failed").await && !is("exit = 7").await);
    end(&*store, epoch, &pid).await;
    assert!(is("exit = 0 and not failed").await);
    assert!(store.delete(epoch, &pid).await.unwrap());
    assert!(!is("all").await);
}

/// A summary tells all of a process but what is in it.
pub async fn a_summary_tells_what_a_process_is(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, NewProcess { key: Some("key".to_owned()), ..process("parent") }).await;
    let status = StatusText { text: Some("half way".to_owned()), ..StatusText::default() };
    let children = vec![child("child", &parent, true), child("second", &parent, true)];
    let change = Commit {
        paused: true,
        steps: 7,
        at: at(3),
        status: Some(status),
        children,
        ..boundary(&parent, epoch, ProcessState::Waiting)
    };
    store.commit(change).await.unwrap();
    store.park(epoch, &parent, "why".to_owned()).await.unwrap();
    launch(&*store, epoch, process("other")).await;
    let text = format!("{}\u{e9}\nmore", "x".repeat(limits::SUMMARY_ERROR_BYTES - 1));
    let ended = serde_json::json!({"state": "killed", "text": text}).to_string();
    end_as(&*store, epoch, "other", ProcessState::Killed, &ended).await;
    let long = "x".repeat(limits::SUMMARY_ENDED_BYTES);
    let ended = serde_json::json!({"state": "killed", "text": long}).to_string();
    end_as(&*store, epoch, "second", ProcessState::Killed, &ended).await;
    let (store, _) = subject.reopen(store).await;
    let found = summaries(&*store, &Filter::Every, true, 10).await;
    let expected = Summary {
        pid: parent.clone(),
        process: "suite::Relax".to_owned(),
        key: Some("key".to_owned()),
        parent: None,
        state: ProcessState::Waiting,
        paused: true,
        parked: Some("why".to_owned()),
        status: Some("half way".to_owned()),
        steps: 7,
        exit_code: None,
        error: None,
        open_children: 1,
        created_at: AT,
        updated_at: at(3),
    };
    assert_eq!(found[0], expected);
    assert_eq!((found[1].parent.clone(), found[1].error.clone()), (Some(parent), None));
    assert_eq!(found[2].error, None, "what is too long is not read");
    assert_eq!(found[3].error, Some("x".repeat(limits::SUMMARY_ERROR_BYTES - 1)), "a line, and no half of a letter");
    for summary in found {
        assert_eq!(summary, Summary::of(&load(&*store, &summary.pid).await).unwrap());
    }
}

/// Whatever is in them, ids, keys and names are found as they are, and by how they begin.
pub async fn odd_texts_are_found(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let long = "x".repeat(200);
    let texts = [
        "a",
        "a%",
        "a_b",
        "ab",
        "a*",
        "a\\",
        "a'b",
        "a\"b",
        "a\0",
        "a\0b",
        "A",
        "a\u{10ffff}",
        "a\u{10ffff}b",
        "\u{e4}",
        "",
        &long,
        &format!("{long}y"),
        "b",
    ];
    for (index, text) in texts.iter().enumerate() {
        let new = NewProcess { key: Some((*text).to_owned()), ..named(&format!("{text}{index}"), text) };
        launch(&*store, epoch, new).await;
    }
    launch(&*store, epoch, process("keyless")).await;
    for of in [Condition::Key, Condition::Name] {
        for text in texts {
            let equal = found_by(&*store, &of(TextIs::Equal(text.to_owned())).into()).await;
            assert_eq!(equal.len(), 1, "{text:?}");
            let beginning = found_by(&*store, &of(TextIs::Prefix(text.to_owned())).into()).await;
            let expected = texts.iter().filter(|other| other.starts_with(text)).count();
            let others = usize::from(text.is_empty() && matches!(of(TextIs::Equal(String::new())), Condition::Name(_)));
            assert_eq!(beginning.len(), expected + others, "{text:?}");
        }
    }
    for (index, text) in texts.iter().enumerate() {
        let pid = format!("{text}{index}");
        let equal = found_by(&*store, &Condition::Id(TextIs::Equal(pid.clone())).into()).await;
        assert_eq!(equal, [&*pid]);
        let beginning = found_by(&*store, &Condition::Id(TextIs::Prefix(pid.clone())).into()).await;
        assert!(beginning.contains(&pid), "{pid:?}");
    }
}

/// Inputs are compared by their values, whatever their form; one that is not there is found by no comparison.
pub async fn inputs_are_compared_by_their_values(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let inputs = [
        ("int", r#"{"x":{"y":10},"name":"two words"}"#),
        ("float", r#"{"x":{"y":10.0},"name":"two  words"}"#),
        ("half", r#"{"x":{"y":10.5}}"#),
        ("great", r#"{"x":{"y":18446744073709551615}}"#),
        ("text", r#"{"x":{"y":"10"},"a.b":true}"#),
        ("null", r#"{"x":{"y":null}}"#),
        ("true", r#"{"x":{"y":true}}"#),
        ("list", r#"{"x":{"y":[10]}}"#),
        ("flat", r#"{"x":10}"#),
        ("none", "{}"),
    ];
    for (pid, inputs) in inputs {
        launch(&*store, epoch, NewProcess { inputs: inputs.into(), ..process(pid) }).await;
    }
    let cases = [
        ("input.x.y = 10", "int float"),
        ("input.x.y = 1e1", "int float"),
        ("input.x.y != 10", "half great text null true list"),
        ("not input.x.y = 10 and id != none", "half great text null true list flat"),
        ("input.x.y > 10", "half great"),
        ("input.x.y >= 10 and input.x.y < 11", "int float half"),
        ("input.x.y = 18446744073709551615", "great"),
        ("input.x.y > 18446744073709551614", "great"),
        ("input.x.y = \"10\"", "text"),
        ("input.x.y > \"1\"", "text"),
        ("input.x.y = null", "null"),
        ("input.x.y = true", "true"),
        ("input.x.y != true and id = t*", "text"),
        ("input.x = 10", "flat"),
        ("input.x.y.z = 10 or input.z != 1", ""),
        ("input.name = \"two words\"", "int"),
        ("input.name < \"two words\"", "float"),
        ("input.\"a.b\" = true", "text"),
    ];
    for (text, expected) in cases {
        assert_eq!(found(&*store, text).await.join(" "), expected, "{text}");
    }
}

/// While processes are created and end between the pages, none that meets the filter all the time is left out, or given
/// twice.
pub async fn pages_of_a_search_are_right_while_rows_change(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let all: Vec<ProcessId> = (0..12_i64).map(ProcessId::from).collect();
    for pid in &all {
        launch(&*store, epoch, process(pid.clone())).await;
    }
    for oldest_first in [true, false] {
        let from = if oldest_first { 0 } else { 6 };
        let search = |after| Search { oldest_first, after, ..Search::new(filter("state = created"), 2) };
        let first = store.search(search(None)).await.unwrap();
        let given = ids(&first.processes);
        // One that was given, the one at which the page ends, the next one, and a new one.
        let ends: [i64; 3] = if oldest_first { [0, 1, 2] } else { [100, 11, 10] };
        for pid in ends {
            end(&*store, epoch, &pid.into()).await;
        }
        launch(&*store, epoch, process(100 + from)).await;
        let second = store.search(search(first.next)).await.unwrap();
        let expected = if oldest_first { (["0", "1"], ["3", "4"]) } else { (["100", "11"], ["9", "8"]) };
        assert_eq!(
            (given, ids(&second.processes)),
            (expected.0.map(String::from).to_vec(), expected.1.map(String::from).to_vec())
        );
        let mut rest = store.search(Search { most: 100, ..search(second.next) }).await.unwrap();
        while let Some(next) = rest.next {
            let more = store.search(Search { most: 100, ..search(Some(next)) }).await.unwrap();
            rest.processes.extend(more.processes);
            rest.next = more.next;
        }
        let expected = if oldest_first { "5 6 7 8 9 10 11 100" } else { "7 6 5 4 3" };
        assert_eq!(ids(&rest.processes).join(" "), expected);
    }
}

/// No more are counted than asked for.
pub async fn processes_that_meet_a_filter_are_counted(subject: Subject) {
    let (store, epoch) = subject.own().await;
    assert_eq!(store.count(Filter::Every, 10).await.unwrap(), 0);
    for pid in 0..5_i64 {
        launch(&*store, epoch, process(pid)).await;
    }
    end(&*store, epoch, &3.into()).await;
    for (text, most, expected) in [("all", 10, 5), ("all", 3, 3), ("all", 0, 0), ("exit = 0", 10, 1), ("parked", 10, 0)]
    {
        assert_eq!(store.count(filter(text), most).await.unwrap(), expected, "{text}");
    }
}

/// A filter that is beyond the limits is refused, and harms nothing.
pub async fn a_filter_beyond_the_limits_is_refused(subject: Subject) {
    let store = subject.store();
    let paused = || Filter::from(Condition::Paused);
    let deep = (0..limits::FILTER_DEPTH).fold(paused(), |filter, _| Filter::Not(Box::new(filter)));
    let many = Filter::Or((0..=limits::FILTER_CONDITIONS).map(|_| paused()).collect());
    let long = Filter::from(Condition::Key(TextIs::Equal("x".repeat(limits::FILTER_BYTES + 1))));
    for beyond in [deep, many, long] {
        refused(store.search(Search::new(beyond.clone(), 10)).await, StoreErrorKind::Limit);
        refused(store.count(beyond, 10).await, StoreErrorKind::Limit);
    }
    let many = Filter::Or((0..limits::FILTER_CONDITIONS).map(|_| paused()).collect());
    assert_eq!(found_by(&*store, &many).await, [""; 0]);
    assert_eq!(found_by(&*store, &Filter::And(Vec::new())).await, [""; 0]);
}
