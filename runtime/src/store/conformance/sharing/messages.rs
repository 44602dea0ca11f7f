//! Sentence 25, where workers share a store.

use std::collections::HashSet;

use super::super::messages::{message, pairs, said, saying, sent, telling};
use super::super::{Subject, launch, process};
use super::{create, join, lapse, worker};
use crate::process::ProcessId;
use crate::store::{NewProcess, OwedReply, StoreErrorKind, Unsent};

fn owing(pid: &str) -> NewProcess {
    NewProcess { owes: Some(reply("task")), ..saying(pid, &[pid]) }
}

fn reply(id: &str) -> OwedReply {
    OwedReply { id: id.to_owned(), address: "there".to_owned() }
}

fn owers(unsent: &Unsent) -> Vec<String> {
    let mut pids: Vec<_> = unsent.replies.iter().map(|(pid, _)| pid.to_string()).collect();
    pids.sort_unstable();
    pids
}

/// A worker that may write sends itself, whoever asks, and is given nothing of its own.
pub async fn what_a_worker_has_to_send_is_its_own(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    create(&*first, one, [owing("a")]).await;
    create(&*second, other, [owing("b")]).await;
    assert_eq!(first.unsent(one, 10).await.unwrap(), Unsent::default());
    assert_eq!(second.unsent(other, 10).await.unwrap(), Unsent::default());
    let third = subject.another().await;
    let new = join(&*third).await;
    assert_eq!(third.unsent(new, 10).await.unwrap(), Unsent::default());
}

/// What a worker has left behind is given to one of those who ask, at the same time or later.
pub async fn what_a_worker_leaves_behind_is_given_to_one(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let third = subject.another().await;
    let left = join(&*third).await;
    let all: Vec<String> = (10..40).map(|number| number.to_string()).collect();
    create(&*third, left, all.iter().map(|pid| owing(pid))).await;
    third.release(left).await.unwrap();
    let (mut messages, mut replies) = (Vec::new(), Vec::new());
    loop {
        let (mine, yours) = tokio::join!(first.unsent(one, 4), second.unsent(other, 4));
        let both = [mine.unwrap(), yours.unwrap()];
        if both == [Unsent::default(), Unsent::default()] {
            break;
        }
        messages.extend(both.iter().flat_map(said).map(|(pid, _)| pid));
        replies.extend(both.iter().flat_map(owers));
    }
    messages.sort_unstable();
    replies.sort_unstable();
    assert_eq!((&messages, &replies), (&all, &all), "each once");
    // Of those that took over, and are lost before they have sent.
    first.release(one).await.unwrap();
    let rest = second.unsent(other, 100).await.unwrap();
    second.release(other).await.unwrap();
    let new = join(&*third).await;
    let again = third.unsent(new, 100).await.unwrap();
    assert_eq!((again.messages.len(), again.replies.len()), (30, 30));
    let again: HashSet<_> = again.messages.into_iter().map(|(_, message)| message.id).collect();
    assert!(rest.messages.iter().all(|(_, message)| again.contains(&message.id)));
}

/// A lease that has lapsed is as good as gone: another sends, also what is written of processes that it has not claimed.
pub async fn what_a_lapsed_worker_had_to_send_is_anothers(mut subject: Subject) {
    let (store, other) = (subject.store(), subject.another().await);
    let epoch = join(&*other).await;
    let stale = loop {
        let stale = store.join(worker(&[""]), super::SHORT).await.unwrap();
        match store.create(stale, owing("one")).await {
            Err(error) if error.kind() == StoreErrorKind::Stale => {}
            created => {
                created.unwrap();
                break stale;
            }
        }
    };
    lapse(&*other, stale).await;
    let taken = other.unsent(epoch, 10).await.unwrap();
    assert_eq!((said(&taken), owers(&taken)), (pairs([("one", "one")]), vec!["one".to_owned()]));
    super::super::refused(store.unsent(stale, 10).await, StoreErrorKind::Stale);
    super::super::refused(store.sent(stale, vec![taken.messages[0].1.id]).await, StoreErrorKind::Stale);
    super::super::refused(store.mend(stale).await, StoreErrorKind::Stale);
    sent(&*other, epoch, &taken).await;
    other.settle(epoch, vec![("one".into(), "task".to_owned())]).await.unwrap();
    other.release(epoch).await.unwrap();
    let new = join(&*store).await;
    assert_eq!(store.unsent(new, 10).await.unwrap(), Unsent::default());
}

/// A reply that is owed again is that worker's to send who had it owed last, whoever has the process.
pub async fn who_has_a_reply_owed_last_sends_it(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    let pid: ProcessId = launch(&*first, one, process("one")).await;
    first.owe(one, &pid, reply("a")).await.unwrap();
    first.owe(one, &pid, reply("b")).await.unwrap();
    second.owe(other, &pid, reply("a")).await.unwrap();
    let known = NewProcess { owes: Some(reply("c")), ..process("one") };
    second.create(other, known).await.unwrap();
    first.release(one).await.unwrap();
    let taken = second.unsent(other, 10).await.unwrap();
    let ids: Vec<_> = taken.replies.iter().map(|(_, reply)| reply.id.as_str()).collect();
    assert_eq!(ids, ["b"]);
}

/// Who acquires the store has all of it to send, and who joins has what that one leaves.
pub async fn who_acquires_sends_what_all_workers_had_to_send(mut subject: Subject) {
    let [(first, one), (second, other)] = subject.two().await;
    create(&*first, one, [owing("a")]).await;
    create(&*second, other, [owing("b")]).await;
    let third = subject.another().await;
    let epoch = third.acquire().await.unwrap();
    let taken = third.unsent(epoch, 10).await.unwrap();
    assert_eq!((said(&taken), owers(&taken)), (pairs([("a", "a"), ("b", "b")]), vec!["a".into(), "b".into()]));
    let mut own = telling(&"a".into(), epoch, &[]);
    own.messages.push(message("own"));
    third.commit(own).await.unwrap();
    let new = join(&*first).await;
    let all = first.unsent(new, 10).await.unwrap();
    assert_eq!(said(&all), pairs([("a", "a"), ("b", "b"), ("a", "own")]));
}
