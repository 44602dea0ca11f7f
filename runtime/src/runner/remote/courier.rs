//! The thread that talks to the communicator: makes and removes subscriptions, and tells of transitions.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::Remote;
use super::answers::{Answers, Orders};
use super::outbox::{News, Round};
use crate::communicator::{
    BroadcastFilter, BroadcastSubscriber, CommunicatorError, CommunicatorResult, Confirmed, RpcSubscriber,
};
use crate::limits;
use crate::message::{Broadcast, Node};
use crate::process::ProcessId;
use crate::runner::shared::Shared;

/// Starts the thread. It ends when the runtime has closed and no step runs any more.
pub(super) fn start(remote: Arc<Remote>, shared: &Arc<Shared>) -> std::io::Result<()> {
    let answers: Arc<dyn RpcSubscriber> = Arc::new(Answers(Arc::downgrade(shared)));
    let orders = Arc::new(Orders(Arc::downgrade(shared)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shared = Arc::clone(shared);
    let work = async move {
        let gone = Gone(remote);
        let (closing, closed) = watch::channel(false);
        let until = async {
            shared.closed().await;
            shared.drained().await;
            closing.send_replace(true);
            // A communicator that hangs must not keep this thread.
            tokio::time::sleep(limits::FAREWELL).await;
        };
        tokio::select! {
            () = serve(&gone.0, &shared, answers, orders, closed) => {}
            () = until => tracing::warn!("a communicator hangs: subscriptions of a closed runtime may be left behind"),
        }
    };
    std::thread::Builder::new().name("procession-remote".to_owned()).spawn(move || runtime.block_on(work))?;
    Ok(())
}

/// Makes subscriptions and tells of transitions until the runtime has closed, then removes all subscriptions.
async fn serve(
    remote: &Arc<Remote>,
    shared: &Arc<Shared>,
    answers: Arc<dyn RpcSubscriber>,
    orders: Arc<Orders>,
    closed: watch::Receiver<bool>,
) {
    let mut subscriptions =
        Subscriptions { remote, answers, reached: HashSet::new(), again: HashSet::new(), retries: VecDeque::new() };
    let subscribed = subscriptions.run(closed.clone());
    let (handed, confirmed) = mpsc::channel(limits::BROADCASTS_UNSENT);
    let told = tell(remote, handed, closed.clone());
    let forgotten = forget(remote, shared, confirmed, closed.clone());
    let (orders, (), (), ()) = tokio::join!(listen(remote, orders, closed), told, forgotten, subscribed);
    subscriptions.remove_all().await;
    if let Some(identifier) = orders {
        logged("the removal of a subscription", remote.communicator.remove_broadcast_subscriber(&identifier).await);
    }
}

/// Lets nobody wait for this thread any more, however it ends.
struct Gone(Arc<Remote>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.outbox.give_up();
        self.0.gone.send_replace(true);
    }
}

/// Hears what is asked of all processes; gives the identifier of the subscription.
async fn listen(remote: &Remote, orders: Arc<Orders>, mut closed: watch::Receiver<bool>) -> Option<String> {
    let filter = BroadcastFilter::all().subject("pause").subject("play").subject("kill");
    loop {
        let orders: Arc<dyn BroadcastSubscriber> = orders.clone();
        match remote.communicator.add_broadcast_subscriber(orders, filter.clone(), None).await {
            Ok(identifier) => return Some(identifier),
            Err(error) => {
                let again = error.is_retryable() && !*closed.borrow();
                logged("a subscription to broadcasts", Err(error));
                if !again {
                    return None;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(limits::RESUBSCRIBE) => {}
            _ = closed.wait_for(|closed| *closed) => return None,
        }
    }
}

/// Tells of transitions, in their order, until the runtime has closed and all are told.
async fn tell(remote: &Remote, handed: mpsc::Sender<Handed>, mut closed: watch::Receiver<bool>) {
    loop {
        // Looked at before: what was told until then is in the batch.
        let last = *closed.borrow();
        let batch = remote.outbox.take_news();
        if batch.dropped > 0 {
            tracing::warn!(
                dropped = batch.dropped,
                "transitions are not told now, as too many wait to be: those that are stored are when another takes over"
            );
        }
        if batch.news.is_empty() {
            if last {
                return;
            }
            tokio::select! {
                () = remote.outbox.told.notified() => {}
                // The sender lives as long as this.
                _ = closed.changed() => {}
            }
            continue;
        }
        remote.outbox.arrived(batch.arrived).await;
        let mut failed = None;
        for news in &batch.news {
            match news.message {
                Some(_) => match hand_over(remote, news, &mut closed).await {
                    // Whoever forgets ends after this.
                    Ok(confirmed) => drop(handed.send((news.clone(), confirmed)).await),
                    Err(error) => failed = Some(error),
                },
                None => failed = remote.communicator.broadcast_send(broadcast(news)).await.err().or(failed),
            }
        }
        if let Some(error) = failed {
            logged("a transition", Err(error));
        }
        remote.outbox.finish_batch(&batch);
    }
}

/// Tells what is stored as soon as the communicator takes it. What it does not take at all is left to whoever takes over.
async fn hand_over(
    remote: &Remote,
    news: &News,
    closed: &mut watch::Receiver<bool>,
) -> Result<Confirmed, CommunicatorError> {
    loop {
        match remote.communicator.broadcast_hand_over(broadcast(news)).await {
            Err(error) if error.is_retryable() && !*closed.borrow() => tokio::select! {
                () = tokio::time::sleep(limits::RESUBSCRIBE) => {}
                _ = closed.wait_for(|closed| *closed) => {}
            },
            handed => return handed,
        }
    }
}

/// A stored message that is on its way, and what ends when it is confirmed.
type Handed = (News, Confirmed);

/// Forgets messages in the store that are confirmed, some at a time: one that is not forgotten yet when the worker is lost is
/// sent once more, which who hears it tells by its id. So is one whose confirmation failed.
async fn forget(
    remote: &Remote,
    shared: &Arc<Shared>,
    mut handed: mpsc::Receiver<Handed>,
    mut closed: watch::Receiver<bool>,
) {
    let (mut over, mut sent) = (false, Vec::new());
    while !over && let Some(first) = next_of(&mut handed, !sent.is_empty()).await {
        tokio::select! {
            () = tokio::time::sleep(limits::FORGET) => {}
            _ = closed.wait_for(|closed| *closed) => {}
        }
        let mut batch: Vec<_> = first.into_iter().collect();
        while batch.len() < limits::FORGET_BATCH
            && let Ok(next) = handed.try_recv()
        {
            batch.push(next);
        }
        for (news, confirmed) in batch {
            match before_the_end(confirmed, &mut closed).await {
                Some(Ok(())) => sent.extend(news.message),
                Some(Err(error)) => {
                    // What cannot arrive stays where it is, for whoever comes next.
                    if error.is_retryable() {
                        remote.outbox.tell_again(news);
                    }
                    logged("a transition", Err(error));
                }
                // The broker is away: whoever comes next sends them.
                None => {
                    over = true;
                    break;
                }
            }
        }
        if !forget_in_store(remote, shared, &mut sent).await {
            return;
        }
    }
    if !sent.is_empty() {
        forget_in_store(remote, shared, &mut sent).await;
    }
}

/// Forgets what it can; whether the runtime on which the store was built is there.
async fn forget_in_store(remote: &Remote, shared: &Arc<Shared>, sent: &mut Vec<Uuid>) -> bool {
    let Some(store) = shared.store().cloned() else { return true };
    // They wait for a store that fails, and others are not kept for that.
    sent.truncate(limits::TRANSITIONS);
    let (epoch, messages) = (shared.env.epoch(), sent.clone());
    // Where the store's connections live.
    match shared.tokio.spawn(async move { store.sent(epoch, messages).await }).await {
        Ok(Ok(())) => {
            remote.outbox.forget(sent.len());
            sent.clear();
        }
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "messages that were sent cannot be forgotten yet");
        }
        Err(_) => return false,
    }
    true
}

/// The next of those that are on their way, or nothing after a pause where others wait to be forgotten; none at the end.
async fn next_of(handed: &mut mpsc::Receiver<Handed>, others: bool) -> Option<Option<Handed>> {
    tokio::select! {
        next = handed.recv() => next.map(Some),
        () = tokio::time::sleep(limits::RECONCILE), if others => Some(None),
    }
}

/// What becomes of a message; none if the runtime has closed and does not hear of it soon.
async fn before_the_end(confirmed: Confirmed, closed: &mut watch::Receiver<bool>) -> Option<CommunicatorResult<()>> {
    let end = async {
        let _ = closed.wait_for(|closed| *closed).await;
        tokio::time::sleep(limits::ANNOUNCED).await;
    };
    tokio::select! {
        biased;
        confirmed = confirmed => Some(confirmed),
        () = end => None,
    }
}

/// The broadcast of a transition (wire.md 7).
fn broadcast(News { pid, from, to, message }: &News) -> Broadcast {
    let from = from.map_or("None", |from| from.as_str());
    Broadcast {
        sender: Node::from(pid),
        subject: Some(format!("state_changed.{from}.{to}")),
        // As kiwipy writes them.
        id: message.map(|message| message.simple().to_string()),
        ..Broadcast::default()
    }
}

struct Subscriptions<'a> {
    remote: &'a Arc<Remote>,
    /// One for all: a process that waits is to cost little.
    answers: Arc<dyn RpcSubscriber>,
    reached: HashSet<ProcessId>,
    /// Those whose subscription failed, and is tried again.
    again: HashSet<ProcessId>,
    /// When, the earliest first; one that is no more among them has left.
    retries: VecDeque<(Instant, ProcessId)>,
}

impl Subscriptions<'_> {
    /// Makes and removes subscriptions, until the runtime has closed and all is told.
    async fn run(&mut self, mut closed: watch::Receiver<bool>) {
        loop {
            // Before those that come: however many do, the others are not forgotten.
            let retried = self.retry().await;
            let round = self.remote.outbox.take_round();
            let turned = !round.is_empty();
            if turned {
                self.turn(&round).await;
                self.remote.moved();
            }
            self.remote.outbox.finish_round(&round);
            if turned {
                continue;
            }
            if *closed.borrow() {
                return self.remote.outbox.give_up_arrivals();
            }
            if retried {
                continue;
            }
            let next = self.retries.front().map(|(at, _)| *at);
            tokio::select! {
                () = self.remote.outbox.changed.notified() => {}
                _ = closed.changed() => {}
                () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            }
        }
    }

    /// Tries some of those again whose time has come; whether there were any.
    async fn retry(&mut self) -> bool {
        let now = Instant::now();
        let mut pids = Vec::new();
        while pids.len() < limits::SUBSCRIBING
            && self.retries.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, pid)) = self.retries.pop_front()
        {
            if self.again.remove(&pid) {
                pids.push(pid);
            }
        }
        let any = !pids.is_empty();
        self.add(pids).await;
        any
    }

    async fn turn(&mut self, round: &Round) {
        let gone: Vec<_> =
            round.leaving.iter().filter(|pid| !self.again.remove(*pid) && self.reached.remove(*pid)).collect();
        // Removed first: one that is back in the same round has left before it came.
        self.remove(gone.into_iter().cloned().collect()).await;
        self.add(round.arriving.clone()).await;
    }

    async fn add(&mut self, pids: Vec<ProcessId>) {
        let mut adding = JoinSet::new();
        for pid in pids {
            let (remote, answers) = (Arc::clone(self.remote), Arc::clone(&self.answers));
            adding.spawn(async move {
                let added = remote.communicator.add_rpc_subscriber(answers, Some(pid.to_string())).await;
                (pid, added)
            });
        }
        while let Some(added) = adding.join_next().await {
            match added {
                Ok((pid, Ok(_))) => drop(self.reached.insert(pid)),
                Ok((pid, Err(error))) if may_pass(&error) => {
                    tracing::debug!(%pid, error = &error as &dyn std::error::Error, "a subscription is tried again");
                    self.retries.push_back((Instant::now() + limits::RESUBSCRIBE, pid.clone()));
                    self.again.insert(pid);
                }
                Ok((pid, Err(error))) => {
                    tracing::warn!(%pid, error = &error as &dyn std::error::Error, "a process cannot be reached");
                }
                Err(panic) => tracing::error!(%panic, "a communicator panicked"),
            }
        }
    }

    async fn remove(&self, pids: Vec<ProcessId>) {
        let mut removing = JoinSet::new();
        for pid in pids {
            let remote = Arc::clone(self.remote);
            removing.spawn(async move { remote.communicator.remove_rpc_subscriber(&pid.to_string()).await });
        }
        while let Some(removed) = removing.join_next().await {
            match removed {
                Ok(removed) => logged("the removal of a subscription", removed),
                Err(panic) => tracing::error!(%panic, "a communicator panicked"),
            }
        }
    }

    async fn remove_all(&mut self) {
        let mut rest = std::mem::take(&mut self.reached).into_iter();
        loop {
            let some: Vec<_> = rest.by_ref().take(limits::SUBSCRIBING).collect();
            if some.is_empty() {
                return;
            }
            self.remove(some).await;
        }
    }
}

/// Whether a subscription may succeed later. One that has its identifier may be of an earlier runtime of this program
/// with the same store and communicator, which was dropped and has yet to remove it.
fn may_pass(error: &CommunicatorError) -> bool {
    error.is_retryable() || matches!(error, CommunicatorError::Duplicate(_))
}

/// A communicator that fails changes nothing for processes (P11).
fn logged(what: &str, result: Result<(), CommunicatorError>) {
    match result {
        // It was closed on purpose, and with it all subscriptions are gone.
        Ok(()) | Err(CommunicatorError::Closed) => {}
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "{what} failed"),
    }
}

#[cfg(test)]
mod tests;
