//! The connections to the server, and the patience with it.

use std::future::Future;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{Hook, HookError, Object, Pool, Runtime};
use tokio_postgres::config::Host;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Row};

use super::error::Fault;
use super::line::Line;
use super::options::PostgresOptions;
use super::outcome::Spent;
use super::way::Way;
use crate::limits;
use crate::store::{StoreError, StoreErrorKind, StoreResult};

pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The connections that commit take turns.
pub(super) const COMMITTERS: usize = 2;

/// Their statements find rows by their ids, whatever the planner knows of the tables: of a table that is still empty it
/// would remember to read the whole.
const PLAIN_PLANS: &str = "; SET plan_cache_mode TO force_generic_plan; SET enable_seqscan TO off;
    SET enable_hashjoin TO off; SET enable_mergejoin TO off; SET enable_bitmapscan TO off; SET jit TO off";

/// Begins a transaction that looks for few rows among many: tables that have just been filled are not known to the planner
/// yet.
pub(super) const PLAIN: &str = "BEGIN; SET LOCAL enable_seqscan TO off; SET LOCAL enable_bitmapscan TO off;
    SET LOCAL enable_hashjoin TO off; SET LOCAL enable_mergejoin TO off; SET LOCAL jit TO off";

#[derive(Debug)]
pub(super) struct Server {
    committers: Pool,
    others: Pool,
    config: Config,
    way: Way,
    /// Sets up a connection that hears what others announce.
    listening: String,
    connect: Duration,
    /// Where it is, for people.
    name: String,
    statement: Duration,
    patience: Duration,
    pub(super) spent: Spent,
    /// Writes that were refused as stale.
    refused: AtomicU64,
}

impl Server {
    /// Reads the address; nothing is connected yet.
    pub(super) fn new(url: &str, options: &PostgresOptions) -> StoreResult<Self> {
        options.check()?;
        let refuse = |fault: Box<dyn std::error::Error + Send + Sync>| {
            StoreError::new(StoreErrorKind::Other, "open", "a store on PostgreSQL").with_source(fault)
        };
        let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| refuse(error.into()))?;
        config.connect_timeout(options.connect).tcp_user_timeout(options.statement);
        config.keepalives_idle(limits::HEARTBEAT).keepalives_interval(limits::HEARTBEAT).keepalives_retries(3);
        if config.get_application_name().is_none() {
            config.application_name("procession");
        }
        let way = Way::of(&mut config, options).map_err(refuse)?;
        let pool = |size: usize, session: String| {
            let manager = way.manager(config.clone());
            let hook = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
                let session = session.clone();
                Box::pin(async move { client.batch_execute(&session).await.map_err(HookError::Backend) })
            });
            let pool = Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1).post_create(hook);
            let pool = pool.wait_timeout(Some(options.busy)).create_timeout(Some(options.connect));
            pool.recycle_timeout(Some(options.connect)).build().map_err(|error| refuse(error.into()))
        };
        let session = options.session();
        Ok(Self {
            committers: pool(COMMITTERS, format!("{session}{PLAIN_PLANS}"))?,
            others: pool(options.connections, session.clone())?,
            listening: format!("{session}; LISTEN \"{}\"", options.schema),
            connect: options.connect,
            name: name(&config, &options.schema),
            statement: options.statement,
            patience: options.patience,
            way,
            config,
            spent: Spent::default(),
            refused: AtomicU64::new(0),
        })
    }

    /// Where it is, for people: without a password.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A connection that commits.
    pub(super) async fn committer(&self) -> Result<Session, Fault> {
        Ok(Session(Some(self.committers.get().await?)))
    }

    /// Any other connection.
    pub(super) async fn session(&self) -> Result<Session, Fault> {
        Ok(Session(Some(self.others.get().await?)))
    }

    /// A connection for a worker alone.
    pub(super) async fn line(&self, line: Weak<Line>) -> Result<Client, Fault> {
        let connect = async {
            let client = self.way.connect(&self.config, line).await?;
            client.batch_execute(&self.listening).await?;
            Ok(client)
        };
        let client: Result<_, tokio_postgres::Error> =
            tokio::time::timeout(self.connect, connect).await.map_err(|_| Fault::silent().before_sending())?;
        client.map_err(|error| Fault::from(error).before_sending())
    }

    /// Gives up on what takes longer than the server should have let it: then the way to it is cut.
    pub(super) async fn timed<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let most = self.statement + limits::CONNECT;
        tokio::time::timeout(most, work).await.unwrap_or_else(|_| Err(Fault::silent()))
    }

    /// One statement that may be done twice.
    pub(super) async fn query(&self, operation: &'static str, sql: &str, params: Params<'_>) -> StoreResult<Vec<Row>> {
        let mut patience = self.patience();
        loop {
            match self.attempt(sql, params).await {
                Ok(rows) => return Ok(rows),
                Err(fault) => patience.with(fault).await.map_err(|fault| self.error(operation, fault))?,
            }
        }
    }

    async fn attempt(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let session = self.session().await?;
        let rows = self.timed(session.query(sql, params)).await?;
        session.keep();
        Ok(rows)
    }

    /// One statement that gives at most one row, and may be done twice.
    pub(super) async fn row(&self, operation: &'static str, sql: &str, params: Params<'_>) -> StoreResult<Option<Row>> {
        Ok(self.query(operation, sql, params).await?.pop())
    }

    pub(super) fn patience(&self) -> Patience {
        Patience { until: Instant::now() + self.patience, pause: limits::SERVER_AGAIN }
    }

    /// Counts a write that is refused as stale.
    pub(super) fn count(&self, kind: StoreErrorKind) {
        if kind == StoreErrorKind::Stale {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn error(&self, operation: &'static str, fault: Fault) -> StoreError {
        fault.into_error(operation, &self.name)
    }
}

/// A connection. It goes back to the pool where it is said to be as it was; else it is closed, which ends a transaction.
#[derive(Debug)]
pub(super) struct Session(Option<Object>);

impl Session {
    fn client(&self) -> Result<&Object, Fault> {
        self.0.as_ref().ok_or_else(|| Fault::refused(StoreErrorKind::Closed))
    }

    pub(super) async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await.map_err(|error| Fault::from(error).before_sending())?;
        Ok(client.query(&statement, params).await?)
    }

    /// Statements without parameters and rows.
    pub(super) async fn run(&self, sql: &str) -> Result<(), Fault> {
        Ok(self.client()?.batch_execute(sql).await?)
    }

    /// Begins a transaction with a statement, in one round trip.
    pub(super) async fn begin(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        self.begin_with("BEGIN", sql, params).await
    }

    /// The same with settings.
    pub(super) async fn begin_with(&self, first: &str, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await.map_err(|error| Fault::from(error).before_sending())?;
        let (begun, rows) = tokio::join!(biased; client.batch_execute(first), client.query(&statement, params));
        // Whatever becomes of it, nothing is committed.
        begun.map_err(|error| Fault::from(error).before_sending())?;
        rows.map_err(|error| Fault::from(error).before_sending())
    }

    /// Ends a transaction with a statement, in one round trip.
    pub(super) async fn finish(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await.map_err(|error| Fault::from(error).before_sending())?;
        let (rows, ended) = tokio::join!(biased; client.query(&statement, params), client.batch_execute("COMMIT"));
        // Where the statement failed, its error is the reason, and the end is a rollback.
        let rows = rows?;
        ended?;
        Ok(rows)
    }

    /// Back to the pool.
    pub(super) fn keep(mut self) {
        self.0.take();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// How long a call goes on trying.
#[derive(Debug)]
pub(super) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    /// Waits a little after a fault that passes; gives back one that does not, or that has lasted too long.
    pub(super) async fn with(&mut self, fault: Fault) -> Result<(), Fault> {
        if !fault.passing || Instant::now() >= self.until {
            return Err(fault);
        }
        tracing::debug!(?fault, "a call to PostgreSQL is tried again");
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(limits::SERVER_AGAIN_MOST);
        Ok(())
    }
}

fn name(config: &Config, schema: &str) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("schema `{schema}` at {host}:{port}")
}
