//! A connection of a worker's own: its lease is renewed on it, whatever commits and the pool are busy with, and it hears
//! what others announce.
//!
//! The channel has the schema's name. What is announced is the epoch of the worker that it is for, or 0 where it is for all.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, Row};

use super::error::Fault;
use super::read::get;
use super::server::Server;
use crate::limits;
use crate::store::{Epoch, Renewed, StoreErrorKind, StoreResult};

const RENEW: &str =
    "UPDATE worker SET lapses_at = clock_timestamp() + lease, heard_at = clock_timestamp(), slots_used = $2
    WHERE epoch = $1 AND clock_timestamp() < lapses_at RETURNING drains";

const ALIVE: &str = "SELECT epoch FROM worker WHERE epoch = $1 AND clock_timestamp() < lapses_at";

type Parameters<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// The connection, made when it is needed, and again when it is lost.
#[derive(Debug)]
pub(super) struct Line {
    server: Arc<Server>,
    client: tokio::sync::Mutex<Option<Arc<Client>>>,
    called: Mutex<HashMap<i64, Arc<Notify>>>,
}

impl Line {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, client: tokio::sync::Mutex::default(), called: Mutex::default() }
    }

    fn called(&self) -> MutexGuard<'_, HashMap<i64, Arc<Notify>>> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What wakes a worker; one that is new is woken at once.
    fn worker(&self, epoch: i64) -> Arc<Notify> {
        let new = || {
            let notify = Notify::new();
            notify.notify_one();
            Arc::new(notify)
        };
        Arc::clone(self.called().entry(epoch).or_insert_with(new))
    }

    pub(super) fn forget(&self, epoch: Epoch) {
        self.called().remove(&epoch.0.cast_signed());
    }

    fn heard(&self, what: &str) {
        let called = self.called();
        match what.parse() {
            Ok(0) | Err(_) => called.values().for_each(|worker| worker.notify_one()),
            Ok(epoch) => called.get(&epoch).into_iter().for_each(|worker| worker.notify_one()),
        }
    }

    fn call_all(&self) {
        self.called().values().for_each(|worker| worker.notify_one());
    }

    /// The connection. Whoever waits for work looks once more after it was made: nothing was heard meanwhile.
    async fn client(self: &Arc<Self>) -> Result<Arc<Client>, Fault> {
        let mut kept = self.client.lock().await;
        if let Some(client) = kept.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        *kept = None;
        let client = Arc::new(self.server.line(Arc::downgrade(self)).await?);
        *kept = Some(Arc::clone(&client));
        self.call_all();
        Ok(client)
    }

    /// One statement. A connection that is silent is given up: within a lease there is time for another.
    async fn query(self: &Arc<Self>, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Fault> {
        let client = self.client().await?;
        if let Ok(rows) = tokio::time::timeout(limits::RENEWAL, client.query_typed(sql, parameters)).await {
            return Ok(rows?);
        }
        let mut kept = self.client.lock().await;
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, &client)) {
            *kept = None;
        }
        Err(Fault::silent())
    }

    pub(super) async fn renew(self: &Arc<Self>, epoch: Epoch, slots_used: u32) -> StoreResult<Renewed> {
        const OPERATION: &str = "renew a lease in";
        let mut patience = self.server.patience();
        let (number, used) = (epoch.0.cast_signed(), i64::from(slots_used));
        let parameters: Parameters<'_> = &[(&number, Type::INT8), (&used, Type::INT8)];
        let rows = loop {
            match self.query(RENEW, parameters).await {
                Ok(rows) => break rows,
                Err(fault) => patience.with(fault).await.map_err(|fault| self.server.error(OPERATION, fault))?,
            }
        };
        let Some(row) = rows.first() else {
            self.forget(epoch);
            return Err(self.server.error(OPERATION, StoreErrorKind::Stale.into()));
        };
        get(row, 0).map(Renewed::new).map_err(|fault| self.server.error(OPERATION, fault))
    }

    /// Waits until something is heard, or it is time to look all the same.
    pub(super) async fn work(self: &Arc<Self>, epoch: Epoch) -> StoreResult<()> {
        let number = epoch.0.cast_signed();
        let called = self.worker(number);
        let connected = self.client().await.map(drop);
        // Without a connection nothing is heard, and what there is to do is looked for: that fails as it must.
        let _ = tokio::time::timeout(limits::WORK, called.notified()).await;
        let alive = match connected {
            Ok(()) => self.query(ALIVE, &[(&number, Type::INT8)]).await,
            Err(fault) => Err(fault),
        };
        match alive {
            Ok(rows) if rows.is_empty() => {
                self.forget(epoch);
                Err(self.server.error("wait for work in", StoreErrorKind::Stale.into()))
            }
            Ok(_) => Ok(()),
            Err(fault) => {
                tracing::debug!(?fault, "nothing is heard from PostgreSQL");
                Ok(())
            }
        }
    }
}

/// Listens until the connection ends, or nobody wants to hear any more.
pub(super) fn listen<S, T>(mut connection: Connection<S, T>, line: Weak<Line>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let (AsyncMessage::Notification(told), Some(line)) = (message, line.upgrade()) {
                line.heard(told.payload());
            }
        }
        if let Some(line) = line.upgrade() {
            line.call_all();
        }
    });
}
