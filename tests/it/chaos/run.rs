//! Faults under load, and what came of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::time::sleep;

use super::account::{Balance, balance};
use super::fault::Fault;
use super::load::{Client, Order};
use super::loss::{Losses, now};
use super::report::{keep, number, say, seed};
use super::scene::{LEASE, SLOTS, Scene};
use crate::support::Random;

/// How many processes are in flight, beside their children.
const FLYING: usize = 30;
/// How often the other faults come in a long run, beside kills: every so manieth.
const OTHERS: u64 = 6;
/// How long a worker may take to join again.
const REJOINED: Duration = Duration::from_secs(60);

/// A scene under load.
pub(crate) struct Run {
    pub(crate) scene: Scene,
    pub(crate) losses: Losses,
    client: Client,
    random: Random,
    struck: BTreeMap<Fault, u64>,
    begun: Instant,
}

impl Run {
    async fn new(seed: u64) -> Self {
        Self::of(Scene::new().await, seed).await
    }

    pub(crate) async fn of(mut scene: Scene, seed: u64) -> Self {
        scene.all_ready().await;
        let client = Client::new(&scene).await;
        let (losses, struck) = (Losses::default(), BTreeMap::new());
        Self { scene, losses, client, random: Random::new(seed), struck, begun: Instant::now() }
    }

    pub(crate) fn load(&mut self) {
        let random = self.random.fork();
        self.client.load(FLYING, random);
    }

    /// Lets it work for some time, and then until a worker is there that can be struck.
    async fn work(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            self.scene.tend();
            let ready = self.scene.ready().len();
            self.losses.ready(ready);
            if ready > 0 && Instant::now() >= until {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn work_for_some_time(&mut self) {
        let time = Duration::from_millis(self.random.below(2_200));
        self.work(time).await;
    }

    pub(crate) async fn strike(&mut self, fault: Fault) {
        let mut random = self.random.fork();
        let from = now();
        fault.strike(self, &mut random).await;
        if fault.makes_late() {
            self.losses.disturbed_since(from);
        }
        *self.struck.entry(fault).or_default() += 1;
    }

    /// Waits until all has ended, tells the figures, and gives them.
    pub(crate) async fn end(mut self) -> (Balance, u64) {
        let (kills, took) = (self.losses.count(), self.begun.elapsed());
        self.scene.all_ready().await;
        self.losses.ready(1);
        let losses = self.losses.settle().await;
        self.client.land().await;
        self.scene.all_sent().await;
        let balance = balance(&self.scene.eye, &self.client.book.orders(), &self.scene.effects(), &losses).await;
        self.client.leave().await;
        self.scene.stop().await;
        assert_eq!(self.scene.unsent().await, 0, "workers that end leave nothing to be sent");
        let ((calm, disturbed), refused) = (self.losses.times(&losses, LEASE), self.scene.refused());
        let others: u64 = self.struck.iter().filter(|(fault, _)| fault.makes_late()).map(|(_, count)| count).sum();
        let struck: Vec<_> = self.struck.iter().map(|(fault, count)| format!("{fault} {count} times")).collect();
        let (took, lease, struck) = (took.as_secs_f64(), LEASE.as_secs_f64(), struck.join(", "));
        say(&format!(
            "chaos: {kills} kills in {took:.0} s: {struck}\nchaos: lease {lease:.1} s, taken over {calm}; amid other faults \
             {disturbed}\nchaos: {refused} stale writes refused; {balance}",
        ));
        keep(kills, others, refused, (&calm, &disturbed), &balance);
        assert!(balance.is_even(), "{balance}");
        // Each step that ran when its worker was cut off may end late, once.
        assert!(balance.late.len() as u64 <= others * SLOTS as u64, "{balance}");
        (balance, refused)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn sixty_kills_lose_nothing_and_nothing_ends_twice() {
    let (minutes, kills, seed) = (number("MINUTES"), number("KILLS").unwrap_or(60), seed());
    say(&format!("chaos: seed {seed}"));
    let mut run = Run::new(seed).await;
    run.load();
    let until = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let (mut strikes, mut others) = (0, Vec::new());
    while until.map_or_else(|| run.losses.count() < kills, |until| Instant::now() < until) {
        run.work_for_some_time().await;
        strikes += 1;
        if minutes.is_none() || strikes % OTHERS != 0 {
            run.strike(Fault::WorkersKilled).await;
            continue;
        }
        if others.is_empty() {
            others = Fault::OTHERS.to_vec();
        }
        let next = others.swap_remove(run.random.index(others.len()));
        run.strike(next).await;
    }
    run.end().await;
}

/// The same fault some times, under load.
async fn again_and_again(fault: Fault, times: u64) -> u64 {
    let seed = seed();
    say(&format!("chaos: {fault}, seed {seed}"));
    let mut run = Run::new(seed).await;
    run.load();
    for _ in 0..times {
        let time = Duration::from_millis(500 + run.random.below(2_000));
        run.work(time).await;
        run.strike(fault).await;
    }
    let time = Duration::from_secs(1);
    run.work(time).await;
    run.end().await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_that_is_restarted_again_and_again_loses_nothing() {
    again_and_again(Fault::ServerRestarted, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_that_is_killed_loses_nothing() {
    again_and_again(Fault::ServerKilled, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn connections_that_are_cut_lose_nothing() {
    again_and_again(Fault::ConnectionsCut, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_that_is_away_for_longer_than_the_lease_loses_nothing() {
    again_and_again(Fault::ServerUnreachable, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn who_gets_no_connection_loses_nothing() {
    again_and_again(Fault::ConnectionsExhausted, 2).await;
    again_and_again(Fault::PoolExhausted, 1).await;
}

/// More than a thousand.
const MANY: usize = 1_200;
/// How many milliseconds each of them waits: longer than it takes to launch all.
const WAITS: u64 = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_worker_that_is_stopped_with_a_thousand_leases_writes_nothing_and_joins_again() {
    let seed = seed();
    say(&format!("chaos: a thousand leases, seed {seed}"));
    let mut run = Run::new(seed).await;
    // The others are away while the first one claims all.
    for place in 1..3 {
        run.scene.worker(place).signal("STOP");
    }
    run.client.order((0..MANY).map(|index| Order::waiting(index, 8, WAITS)));
    let owned = "SELECT count(*) FROM checkpoint WHERE ended IS NULL AND state = 'waiting'
        AND owner IN (SELECT epoch FROM worker WHERE os_process = $1 AND lapses_at > clock_timestamp())";
    let first = i64::from(run.scene.worker(0).id());
    let until = Instant::now() + REJOINED;
    while run.scene.eye.number(owned, &[&first]).await < 1_001 {
        assert!(Instant::now() < until, "nobody claims a thousand");
        sleep(Duration::from_millis(20)).await;
    }
    run.scene.worker(0).signal("STOP");
    for place in 1..3 {
        run.scene.worker(place).signal("CONT");
    }
    let left = "SELECT count(*) FROM checkpoint WHERE ended IS NULL
        AND owner IN (SELECT epoch FROM worker WHERE os_process = $1)";
    let had = run.scene.eye.number(left, &[&first]).await;
    assert!(had > 1_000, "it owns {had}");
    // Stopped until others have taken most of it over.
    let until = Instant::now() + REJOINED;
    while run.scene.eye.number(left, &[&first]).await > had / 2 {
        assert!(Instant::now() < until, "nobody takes them over");
        sleep(Duration::from_millis(20)).await;
    }
    let epoch = run.scene.eye.number("SELECT max(epoch) FROM worker WHERE os_process = $1", &[&first]).await;
    run.scene.worker(0).signal("CONT");
    let again = "SELECT count(*) FROM worker WHERE os_process = $1 AND epoch > $2 AND lapses_at > clock_timestamp()";
    let until = Instant::now() + REJOINED;
    while run.scene.eye.number(again, &[&first, &epoch]).await == 0 {
        assert!(Instant::now() < until, "it does not join again");
        sleep(Duration::from_millis(20)).await;
    }
    *run.struck.entry(Fault::WorkerStopped).or_default() += 3;
    run.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_worker_that_is_stopped_at_work_is_refused_what_it_writes_then() {
    let refused = again_and_again(Fault::WorkerStopped, 4).await;
    assert!(refused > 0, "it was stopped while it had nothing to write");
}
