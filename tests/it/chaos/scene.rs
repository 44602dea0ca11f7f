//! A server, workers on it, and all that can be disturbed.

use procession::store::{PostgresOptions, PostgresStore};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::eye::Eye;
use super::loss::{Loss, now};
use super::workers::{Start, Worker};
use crate::network::Network;
use crate::postgres::Postgres;

/// Short enough for a test to wait for its end many times, long enough that a busy machine does not lose it.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// How many workers there are.
pub(crate) const WORKERS: usize = 3;
/// More than there are processes in flight for each: who takes over has room.
pub(crate) const SLOTS: usize = 64;
/// How long it may take until all workers have joined.
const READY: Duration = Duration::from_secs(120);

pub(crate) struct Scene {
    pub(crate) server: Postgres,
    pub(crate) schema: String,
    pub(crate) eye: Eye,
    /// Between the workers and the server.
    pub(crate) network: Network,
    pub(crate) start: Start,
    places: Vec<Place>,
    started: usize,
    /// Writes that were refused to workers that are gone.
    refused: u64,
    _folder: tempfile::TempDir,
}

/// Where a worker runs, if one does.
struct Place {
    worker: Option<Worker>,
    /// When another one is to be started.
    due: Instant,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let settings = ["max_connections = 100"];
        let server = tokio::task::spawn_blocking(move || Postgres::start(&settings)).await.expect("a server starts");
        let schema = Postgres::schema();
        let folder = tempfile::tempdir().expect("room for a folder");
        let network = Network::to(server.port()).await;
        let start = Start {
            url: server.url().replace(&format!(":{}/", server.port()), &format!(":{}/", network.port())),
            schema: schema.clone(),
            effects: folder.path().join("effects"),
            folder: folder.path().to_owned(),
            lease: LEASE,
            slots: SLOTS,
            more: Vec::new(),
        };
        let eye = Eye::new(&server, &schema);
        let places = (0..WORKERS).map(|_| Place { worker: None, due: Instant::now() }).collect();
        Self { server, schema, eye, network, start, places, started: 0, refused: 0, _folder: folder }
    }

    /// A store for whoever launches and looks: its way to the server is not disturbed.
    pub(crate) async fn store(&self) -> Arc<PostgresStore> {
        let options = PostgresOptions::new().with_schema(&*self.schema);
        Arc::new(PostgresStore::connect(&self.server.url(), options).await.expect("the server is there"))
    }

    pub(crate) fn effects(&self) -> PathBuf {
        self.start.effects.clone()
    }

    /// Starts what is due; fails where a worker has ended by itself.
    pub(crate) fn tend(&mut self) {
        for place in &mut self.places {
            if let Some(worker) = &mut place.worker {
                assert!(!worker.has_ended(), "`{}` has ended by itself: {}", worker.name, worker.complaints());
            } else if place.due <= Instant::now() {
                self.started += 1;
                place.worker = Some(Worker::start(&self.start, self.started));
            }
        }
    }

    /// Starts all that are missing, and waits until all have joined.
    pub(crate) async fn all_ready(&mut self) {
        let until = Instant::now() + READY;
        self.places.iter_mut().for_each(|place| place.due = Instant::now());
        loop {
            self.tend();
            if self.ready().len() == WORKERS {
                return;
            }
            assert!(Instant::now() < until, "workers do not join");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until all that is to be told is told, also what workers have left that were killed.
    pub(crate) async fn all_sent(&self) {
        let until = Instant::now() + READY;
        while self.unsent().await > 0 {
            assert!(Instant::now() < until, "what lost workers had to tell is not told");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn unsent(&self) -> i64 {
        self.eye.number("SELECT count(*) FROM message", &[]).await
    }

    /// The places of workers that have joined.
    pub(crate) fn ready(&mut self) -> Vec<usize> {
        let places = self.places.iter_mut().enumerate();
        let ready = places.filter_map(|(index, place)| place.worker.as_mut()?.is_ready().then_some(index));
        ready.collect()
    }

    pub(crate) fn worker(&mut self, place: usize) -> &mut Worker {
        self.places[place].worker.as_mut().expect("it runs")
    }

    /// Kills workers at one instant; each is started again after a while. Gives what each of them had.
    pub(crate) async fn kill(&mut self, places: &[usize], again: Duration) -> Vec<Loss> {
        let at = now();
        for &place in places {
            self.worker(place).signal("KILL");
        }
        let mut losses = Vec::new();
        for &place in places {
            let mut worker = self.places[place].worker.take().expect("it runs");
            assert!(!worker.ended().await);
            self.places[place].due = Instant::now() + again;
            self.refused += worker.refused();
            let effects = self.start.effects.clone();
            let length = || std::fs::metadata(&effects).map_or(0, |file| file.len());
            losses.push(Loss::of(&self.eye, worker.id(), &worker.name, at, length).await);
        }
        losses
    }

    /// How many writes of all workers so far were refused as stale.
    pub(crate) fn refused(&self) -> u64 {
        let running = self.places.iter().filter_map(|place| Some(place.worker.as_ref()?.refused()));
        self.refused + running.sum::<u64>()
    }

    /// Lets all workers end their work.
    pub(crate) async fn stop(&mut self) {
        for place in &mut self.places {
            let Some(mut worker) = place.worker.take() else { continue };
            worker.signal("TERM");
            assert!(worker.ended().await, "`{}` does not stop well: {}", worker.name, worker.complaints());
            self.refused += worker.refused();
        }
    }
}
