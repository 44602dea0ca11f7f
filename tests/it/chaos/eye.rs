//! Looks at the tables as someone else does, also while the server comes and goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::postgres::Postgres;

/// How long the server may be away.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub(crate) struct Eye {
    server: Postgres,
    schema: String,
    client: Arc<Mutex<Option<Client>>>,
}

impl Eye {
    pub(crate) fn new(server: &Postgres, schema: &str) -> Self {
        Self { server: server.clone(), schema: schema.to_owned(), client: Arc::default() }
    }

    /// The rows of a statement that changes nothing.
    pub(crate) async fn rows(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.attempt(sql, parameters).await {
                Ok(rows) => return rows,
                Err(error) if error.as_db_error().is_some_and(|told| told.severity() == "ERROR") => {
                    panic!("{sql}: {error:?}")
                }
                Err(error) => assert!(Instant::now() < until, "the server stays away: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn attempt(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, tokio_postgres::Error> {
        let mut kept = self.client.lock().await;
        if kept.as_ref().is_none_or(Client::is_closed) {
            let client = self.server.try_client().await?;
            client.batch_execute(&format!("SET search_path TO {}", self.schema)).await?;
            *kept = Some(client);
        }
        let Some(client) = kept.as_ref() else { return Ok(Vec::new()) };
        client.query(sql, parameters).await
    }

    pub(crate) async fn number(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> i64 {
        self.rows(sql, parameters).await[0].get(0)
    }
}
