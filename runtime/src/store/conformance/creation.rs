//! Sentence 5, and that a process is read as it was given.

use tokio::task::JoinSet;

use super::{AT, Subject, child, ending, launch, load, process, refused};
use crate::process::{ProcessId, ProcessState};
use crate::store::{Awaiting, Commit, Creation, Envelope, NewProcess, Record, StatusText, StoreErrorKind};

/// A created process is read as it was given, in state created.
pub async fn a_created_process_is_read_as_it_was_given(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let parent = launch(&*store, epoch, process("parent")).await;
    let new = NewProcess {
        key: Some("key".to_owned()),
        defaulted: Some(r#"["options","options.queue"]"#.to_owned()),
        listeners: Some(r#"[{"name":"suite::Log","state":{"lines":0}}]"#.to_owned()),
        ..child("child", &parent, false)
    };
    let pid = launch(&*store, epoch, new.clone()).await;
    let expected = Record {
        pid: pid.clone(),
        envelope: new.envelope,
        key: new.key,
        parent: Some(parent),
        follows: true,
        state: ProcessState::Created,
        paused: false,
        status: StatusText::default(),
        position: new.position,
        context: new.context,
        inputs: new.inputs,
        defaulted: new.defaulted,
        outputs: "{}".to_owned(),
        awaiting: Awaiting::default(),
        listeners: new.listeners,
        open_children: 0,
        steps: 0,
        ended: None,
        parked: None,
        created_at: AT,
        updated_at: AT,
    };
    assert_eq!(load(&*store, &pid).await, expected);
    assert_eq!(store.termination(&pid).await.unwrap(), None);
    let (store, _) = subject.reopen(store).await;
    assert_eq!(load(&*store, &pid).await, expected);
    assert_eq!(store.find("key").await.unwrap(), Some(pid));
}

/// A process that begins with its creation is running, with that transition in its history, and is gone on with as any other.
pub async fn a_process_may_begin_with_its_creation(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let begun = |new| NewProcess { begun: Some("setup"), ..new };
    let pid = launch(&*store, epoch, begun(process("one"))).await;
    let repeated = store.create(epoch, NewProcess { begun: Some("other"), ..process("one") }).await.unwrap();
    assert!(matches!(repeated, Creation::Exists { .. }));
    let (store, epoch) = subject.reopen(store).await;
    let record = load(&*store, &pid).await;
    assert_eq!((record.state, record.steps, record.ended), (ProcessState::Running, 0, None));
    let page = store.unfinished(None, 10).await.unwrap();
    assert_eq!(page.records.iter().map(|record| &record.pid).collect::<Vec<_>>(), [&pid]);
    store.commit(Commit { transition: Some("end"), ..ending(&pid, epoch) }).await.unwrap();
    let history = store.history(&pid).await.unwrap();
    let seen: Vec<_> = history.iter().map(|entry| (entry.from, entry.to, entry.steps, entry.point.as_str())).collect();
    assert_eq!(seen.first(), Some(&(ProcessState::Created, ProcessState::Running, 0, "setup")));
    assert_eq!((seen.len(), history[0].at), (2, AT));
}

/// Nothing is found of a process that does not exist, and it cannot be written.
pub async fn an_unknown_process_is_not_found(subject: Subject) {
    let (store, epoch) = subject.own().await;
    launch(&*store, epoch, process("known")).await;
    let pid = ProcessId::from("unknown");
    assert_eq!(store.load(&pid).await.unwrap(), None);
    assert_eq!(store.find("unknown").await.unwrap(), None);
    assert_eq!(store.termination(&pid).await.unwrap(), None);
    assert_eq!(store.children(&pid).await.unwrap(), []);
    assert_eq!(store.history(&pid).await.unwrap(), []);
    assert_eq!(store.report(&pid).await.unwrap(), []);
    assert_eq!(store.memo(&pid, 0, "effect").await.unwrap(), None);
    refused(store.commit(ending(&pid, epoch)).await, StoreErrorKind::NotFound);
    refused(store.park(epoch, &pid, "why".to_owned()).await, StoreErrorKind::NotFound);
    refused(store.put_memo(&pid, epoch, 0, "effect", "1".to_owned()).await, StoreErrorKind::NotFound);
    assert_eq!(store.load(&pid).await.unwrap(), None);
}

fn other_name(new: NewProcess) -> NewProcess {
    let envelope = Envelope { process: "suite::Other".to_owned(), ..new.envelope };
    NewProcess { envelope, context: "{}".to_owned(), ..new }
}

/// A known id gives the process that has it, and changes nothing of it.
pub async fn a_known_id_gives_the_process_that_has_it(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let pid = launch(&*store, epoch, process("one")).await;
    let exists = Creation::Exists { pid: pid.clone(), process: "suite::Relax".to_owned() };
    let before = load(&*store, &pid).await;
    assert_eq!(store.create(epoch, other_name(process("one"))).await.unwrap(), exists);
    let (store, epoch) = subject.reopen(store).await;
    let with_key = NewProcess { key: Some("key".to_owned()), ..other_name(process("one")) };
    assert_eq!(store.create(epoch, with_key).await.unwrap(), exists);
    assert_eq!(load(&*store, &pid).await, before);
    assert_eq!(store.find("key").await.unwrap(), None);
    store.commit(ending(&pid, epoch)).await.unwrap();
    assert_eq!(store.create(epoch, process("one")).await.unwrap(), exists, "also when it has ended");
}

/// A known key gives the process that has it; the new id stays unknown.
pub async fn a_known_key_gives_the_process_that_has_it(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let keyed = |pid: &str, key: &str| NewProcess { key: Some(key.to_owned()), ..process(pid) };
    let one = launch(&*store, epoch, keyed("one", "key")).await;
    let two = launch(&*store, epoch, keyed("two", "Key")).await;
    let exists = |pid: &ProcessId| Creation::Exists { pid: pid.clone(), process: "suite::Relax".to_owned() };
    assert_eq!(store.create(epoch, other_name(keyed("three", "key"))).await.unwrap(), exists(&one));
    assert_eq!(store.create(epoch, keyed("one", "Key")).await.unwrap(), exists(&two), "the key counts before the id");
    let (store, epoch) = subject.reopen(store).await;
    assert_eq!(store.create(epoch, keyed("three", "key")).await.unwrap(), exists(&one));
    assert_eq!(store.load(&"three".into()).await.unwrap(), None);
    assert_eq!(store.find("key").await.unwrap(), Some(one));
    assert_eq!(store.find("Key").await.unwrap(), Some(two));
    launch(&*store, epoch, process("no key")).await;
    launch(&*store, epoch, process("no key either")).await;
}

/// Of many that create under one key at once, one creates and the others get its process.
pub async fn concurrent_creations_of_one_key_make_one_process(subject: Subject) {
    let (store, epoch) = subject.own().await;
    let mut tasks = JoinSet::new();
    for index in 0..50_i64 {
        let store = subject.store();
        let new = NewProcess { key: Some("key".to_owned()), ..process(index) };
        tasks.spawn(async move { (ProcessId::from(index), store.create(epoch, new).await.unwrap()) });
    }
    let results = tasks.join_all().await;
    let winner = store.find("key").await.unwrap().unwrap();
    for (pid, creation) in results {
        let there = store.load(&pid).await.unwrap().is_some();
        assert_eq!(there, pid == winner, "{pid}");
        match creation {
            Creation::Created => assert_eq!(pid, winner),
            Creation::Exists { pid, .. } => assert_eq!(pid, winner),
        }
    }
}

/// Ids and keys of every script, form and length are kept, and none is taken for another.
pub async fn odd_ids_and_keys_are_kept(mut subject: Subject) {
    let (mut store, mut epoch) = subject.own().await;
    let long = "x".repeat(3_000);
    let uuid = ProcessId::new().to_string();
    let odd = [
        "",
        " ",
        "5",
        "007",
        "-5",
        "5.0",
        "a",
        "A",
        "a ",
        "Ä",
        "A\u{308}",
        "日本語",
        "👩‍🚀",
        "'; DROP TABLE process; --",
        "a\0b",
        "a\0c",
        "\\n\n\t",
        "NULL",
        "%",
        "{\"at\":1}",
        &uuid,
        &long,
    ];
    for text in odd {
        launch(&*store, epoch, NewProcess { key: Some(text.to_owned()), ..process(text) }).await;
    }
    for _ in 0..2 {
        for text in odd {
            let record = load(&*store, &text.into()).await;
            assert_eq!((record.pid.to_string().as_str(), record.key.as_deref()), (text, Some(text)));
            assert_eq!(store.find(text).await.unwrap(), Some(text.into()));
        }
        (store, epoch) = subject.reopen(store).await;
    }
    for text in odd {
        store.commit(ending(&text.into(), epoch)).await.unwrap();
    }
    assert_eq!(store.unfinished(None, 100).await.unwrap().records, []);
}

/// A child of a parent that does not exist is refused.
pub async fn a_child_of_an_unknown_parent_is_refused(subject: Subject) {
    let (store, epoch) = subject.own().await;
    refused(store.create(epoch, child("child", &"nobody".into(), true)).await, StoreErrorKind::NotFound);
    assert_eq!(store.load(&"child".into()).await.unwrap(), None);
}

/// Texts may be empty, large, and of any characters.
pub async fn empty_and_large_texts_are_kept(mut subject: Subject) {
    let (store, epoch) = subject.own().await;
    let large = "0123456789abcde\u{e9}".repeat(300_000);
    assert!(large.len() > 5_000_000);
    let texts = ["", "\0", "a\0b", "\u{10ffff}\r\n\"'", &large];
    for (index, text) in texts.into_iter().enumerate() {
        let pid = launch(
            &*store,
            epoch,
            NewProcess {
                context: text.to_owned(),
                position: text.to_owned(),
                inputs: text.into(),
                ..process(i64::try_from(index).unwrap())
            },
        )
        .await;
        let mut commit = super::boundary(&pid, epoch, ProcessState::Running);
        commit.outputs = Some(text.to_owned());
        commit.report = vec![text.to_owned()];
        store.commit(commit).await.unwrap();
        store.put_memo(&pid, epoch, 1, text, text.to_owned()).await.unwrap();
    }
    let (store, _) = subject.reopen(store).await;
    for (index, text) in texts.into_iter().enumerate() {
        let pid = ProcessId::from(i64::try_from(index).unwrap());
        let record = load(&*store, &pid).await;
        let kept = [&*record.context, &*record.position, &*record.inputs, &*record.outputs];
        assert!(kept.iter().all(|kept| *kept == text), "text {index}");
        assert_eq!(store.report(&pid).await.unwrap()[0].text, text);
        assert_eq!(store.memo(&pid, 1, text).await.unwrap().as_deref(), Some(text));
    }
}
