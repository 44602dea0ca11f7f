//! Callers that have processes run, and go on until each has its right answer.

use procession::ProcessId;
use procession::communicator::Deadlines;
use procession::controller::{ControlError, RemoteProcessController};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::account::{Account, End, JobId};
use crate::support::Random;

/// How long a caller may be without his answer, whatever happens meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);
/// How long after an error it is tried again.
const AGAIN: Duration = Duration::from_millis(100);
const NAMES: &str = "procession_examples";

/// What a process does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    Add,
    Chain {
        rounds: i64,
        delay: f64,
    },
    /// Is paused, played and killed, this long after it was launched.
    Forever {
        after: Duration,
    },
}

/// How a caller has it run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// By one task, whose reply is the end.
    Launch,
    /// Created by one task, run by another.
    Execute,
    /// Launched by a task whose reply is the id, which the worker chooses; the end is asked for.
    Nowait,
}

/// Has processes run, and keeps account.
#[derive(Debug)]
pub(crate) struct Callers {
    pub(crate) controller: RemoteProcessController,
    pub(crate) account: Arc<Account>,
    /// What callers met on their way to an answer.
    met: Mutex<BTreeMap<String, u64>>,
    next: AtomicU64,
}

impl Callers {
    pub(crate) fn new(controller: RemoteProcessController, account: Arc<Account>) -> Arc<Self> {
        Arc::new(Self { controller, account, met: Mutex::default(), next: AtomicU64::new(1) })
    }

    /// The errors that callers met, and how often.
    pub(crate) fn met(&self) -> BTreeMap<String, u64> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn meet(&self, call: &str, error: &ControlError) {
        let text = format!("{call}: {}", kind(error));
        *self.met.lock().unwrap_or_else(PoisonError::into_inner).entry(text).or_default() += 1;
    }

    /// Has one process run. Gives its id if it is known; the account has the rest.
    pub(crate) async fn run(&self, work: Work, way: Way) -> Option<ProcessId> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let call = Call::new(self, number, work, way);
        let answer = match timeout(PATIENCE, call.answer()).await {
            Ok(Ok(end)) => Ok(end),
            Ok(Err(error)) => Err(format!("{error}: {error:?}")),
            Err(_) => Err(format!("no answer after {} s", PATIENCE.as_secs())),
        };
        self.account.close(call.job, answer);
        call.pid.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process that waits until the end, to see whether it is reached.
#[derive(Debug)]
pub(crate) struct Lighthouse {
    job: JobId,
    pid: ProcessId,
}

impl Lighthouse {
    pub(crate) async fn light(callers: &Callers) -> Self {
        let job = callers.account.open("the lighthouse".to_owned(), End::Failed(farewell(0)), 1..=1);
        let launch = callers.controller.launch_process(format!("{NAMES}:WaitForever"), json!({}));
        let pid = launch.persist().nowait().await.expect("nothing is wrong yet");
        callers.account.is(job, &pid);
        Self { job, pid }
    }

    pub(crate) async fn put_out(self, callers: &Callers) {
        let killed = callers.controller.kill_process(self.pid.clone(), farewell(0)).await;
        let answer = callers.controller.continue_process(self.pid).await;
        let answer = match answer {
            Err(ControlError::Remote(text)) => Ok(End::Failed(text)),
            answer => Err(format!("killed {killed:?}, answered {answer:?}")),
        };
        callers.account.close(self.job, answer);
    }
}

/// One process, seen by its caller.
struct Call<'a> {
    callers: &'a Callers,
    job: JobId,
    work: Work,
    way: Way,
    /// A repetition of its tasks is known by it.
    id: String,
    process: String,
    inputs: Value,
    pid: Mutex<Option<ProcessId>>,
}

impl<'a> Call<'a> {
    fn new(callers: &'a Callers, number: u64, work: Work, way: Way) -> Self {
        let outputs = |outputs: Value| End::Outputs(outputs.as_object().cloned().unwrap_or_default());
        // Answers differ from one another: an answer to someone else is wrong.
        let (process, inputs, expected, steps) = match work {
            Work::Add => ("AddProcess", json!({ "a": number, "b": 1 }), outputs(json!({ "sum": number + 1 })), 1..=1),
            Work::Chain { rounds, delay } => {
                let steps = u64::try_from(rounds).unwrap_or_default() + 1;
                let steps = steps..=steps;
                ("WaitChain", json!({ "n": rounds, "delay": delay }), outputs(json!({ "rounds": rounds })), steps)
            }
            // The kill may come before the task that has it begin.
            Work::Forever { .. } => ("WaitForever", json!({}), End::Failed(farewell(number)), 0..=1),
        };
        let job = callers.account.open(format!("{number}: {work:?} by {way:?}"), expected, steps);
        let process = format!("{NAMES}:{process}");
        let call =
            Self { callers, job, work, way, id: format!("job-{number}"), process, inputs, pid: Mutex::default() };
        if !matches!(way, Way::Nowait) {
            call.is(ProcessId::new());
        }
        call
    }

    fn is(&self, pid: ProcessId) {
        self.callers.account.is(self.job, &pid);
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner) = Some(pid);
    }

    fn pid(&self) -> Option<ProcessId> {
        self.pid.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn answer(&self) -> Result<End, ControlError> {
        let end = self.end();
        let Work::Forever { after } = self.work else { return end.await };
        tokio::pin!(end);
        tokio::select! {
            end = &mut end => end,
            done = self.disturb(after) => { done?; end.await }
        }
    }

    /// Asks until the end is known: anew where nothing was begun, and otherwise by continuing.
    async fn end(&self) -> Result<End, ControlError> {
        let controller = &self.callers.controller;
        let mut begun = false;
        loop {
            let pid = self.pid();
            let answer = match &pid {
                Some(pid) if begun => controller.continue_process(pid.clone()).await,
                _ => self.begin().await,
            };
            match answer {
                Ok(outputs) => return Ok(End::Outputs(outputs)),
                Err(ControlError::Remote(text)) => {
                    let unknown = pid.is_some_and(|pid| text == format!("there is no process {pid}"));
                    if !begun || !unknown {
                        return Ok(End::Failed(text));
                    }
                    // The task that would have created it was not sent, or has not arrived.
                    begun = false;
                }
                // It had its time; a caller with a longer deadline would still wait.
                Err(error @ ControlError::Timeout { what: "the reply", .. }) => return Err(error),
                Err(error) if error.is_retryable() => {
                    self.callers.meet("a task", &error);
                    begun = self.pid().is_some();
                }
                Err(error) => return Err(error),
            }
            sleep(AGAIN).await;
        }
    }

    async fn begin(&self) -> Result<serde_json::Map<String, Value>, ControlError> {
        let controller = &self.callers.controller;
        let pid = self.pid();
        let launch = || controller.launch_process(&*self.process, self.inputs.clone()).persist().id(&*self.id);
        match (self.way, pid) {
            (Way::Launch, Some(pid)) => launch().pid(pid).await,
            (Way::Execute, Some(pid)) => {
                controller.execute_process(&*self.process, self.inputs.clone()).pid(pid).id(&*self.id).await
            }
            _ => {
                let pid = launch().nowait().await?;
                self.is(pid.clone());
                controller.continue_process(pid).await
            }
        }
    }

    /// Pauses, plays and kills it, each until that was answered.
    async fn disturb(&self, after: Duration) -> Result<(), ControlError> {
        sleep(after).await;
        let controller = &self.callers.controller;
        let pid = loop {
            match self.pid() {
                Some(pid) => break pid,
                None => sleep(AGAIN).await,
            }
        };
        self.until("a pause", || controller.pause_process(pid.clone(), "held")).await?;
        let status = self.until("a status", || controller.get_status(pid.clone())).await?;
        if !status.paused {
            // The caller sees it as what it is: another answer than expected.
            return Err(ControlError::Remote("it was paused, and is not".to_owned()));
        }
        self.until("a play", || controller.play_process(pid.clone())).await?;
        let number = self.id.trim_start_matches("job-").parse().unwrap_or_default();
        self.until("a kill", || controller.kill_process(pid.clone(), farewell(number))).await?;
        Ok(())
    }

    /// Calls until there is an answer.
    async fn until<T, F>(&self, what: &str, call: impl Fn() -> F) -> Result<T, ControlError>
    where
        F: Future<Output = Result<T, ControlError>>,
    {
        loop {
            match call().await {
                Err(error) if error.is_retryable() => self.callers.meet(what, &error),
                answer => return answer,
            }
            sleep(AGAIN).await;
        }
    }
}

fn farewell(number: u64) -> String {
    format!("enough of {number}")
}

/// The kind of an error, without what differs from one to the next.
fn kind(error: &ControlError) -> String {
    match error {
        ControlError::NotAlive(_) => "not alive".to_owned(),
        ControlError::Timeout { what, .. } => format!("{what} took too long"),
        ControlError::Disconnected(_) => "disconnected".to_owned(),
        ControlError::NotContinued { source, .. } => format!("not continued, {}", kind(source)),
        ControlError::Communicator(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// Keeps this many processes in flight, until it is told to stop.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    driving: JoinHandle<()>,
    flying: Arc<Semaphore>,
    most: u32,
}

impl Load {
    pub(crate) fn start(
        callers: &Arc<Callers>,
        most: u32,
        mut random: Random,
        any_work: impl Fn(&mut Random) -> Work + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flying = Arc::new(Semaphore::new(most as usize));
        let (stopped, places, callers) = (Arc::clone(&stop), Arc::clone(&flying), Arc::clone(callers));
        let driving = tokio::spawn(async move {
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (work, way, callers) = (any_work(&mut random), any_way(&mut random), Arc::clone(&callers));
                tokio::spawn(async move {
                    callers.run(work, way).await;
                    drop(place);
                });
            }
        });
        Self { stop, driving, flying, most }
    }

    /// Starts no further process, and waits until every caller has his answer, or has given up.
    pub(crate) async fn land(self) {
        self.stop.store(true, Ordering::Relaxed);
        let landed = timeout(PATIENCE + Duration::from_secs(10), self.flying.acquire_many(self.most)).await;
        landed.expect("callers give up in time").expect("never closed").forget();
        self.flying.add_permits(1);
        self.driving.await.expect("no panic");
    }
}

/// Mostly chains, so that most of them wait: 7 s each on average, at most 12 s.
pub(crate) fn any_work(random: &mut Random) -> Work {
    match random.below(10) {
        0 => Work::Add,
        // Longer than a broker waits for an acknowledgement.
        1 => Work::Chain { rounds: 3, delay: 4.0 },
        2 | 3 => Work::Forever { after: Duration::from_millis(1_000 + random.below(9_000)) },
        _ => {
            let rounds = i64::try_from(2 + random.below(4)).unwrap_or(2);
            Work::Chain { rounds, delay: 1.0 + random.fraction() * 1.5 }
        }
    }
}

fn any_way(random: &mut Random) -> Way {
    match random.below(3) {
        0 => Way::Launch,
        1 => Way::Execute,
        _ => Way::Nowait,
    }
}

/// How long it takes until everything works that a caller wants: a task and its reply, a call to a process that waits, and
/// a broadcast.
pub(crate) async fn resumed(callers: &Arc<Callers>, lighthouse: &Lighthouse, within: Duration) -> Duration {
    let begun = Instant::now();
    // A call that was swallowed with a connection is not what is measured.
    let quick = Deadlines { send: Duration::from_secs(1), reply: Duration::from_secs(1) };
    let impatient = callers.controller.clone().with_call_deadlines(quick);
    let task = async { drop(callers.run(Work::Add, Way::Launch).await) };
    let call = async {
        while impatient.get_status(lighthouse.pid.clone()).await.is_err() {
            sleep(AGAIN / 2).await;
        }
    };
    let broadcast = async {
        loop {
            let Some(pid) = callers.run(Work::Add, Way::Nowait).await else { continue };
            for _ in 0..20 {
                if callers.account.has_heard(&pid) {
                    return;
                }
                sleep(AGAIN / 2).await;
            }
        }
    };
    let parts = async {
        tokio::join!(
            part("a task is answered", within, task),
            part("a process answers a call", within, call),
            part("a broadcast is heard", within, broadcast),
        )
    };
    parts.await;
    begun.elapsed()
}

async fn part(what: &str, within: Duration, part: impl Future<Output = ()>) {
    assert!(timeout(within, part).await.is_ok(), "{} s after the fault it was not so that {what}", within.as_secs());
}
