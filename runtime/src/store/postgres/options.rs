//! How a store on PostgreSQL is opened.

use std::time::Duration;

use crate::limits;
use crate::store::{StoreError, StoreErrorKind, StoreResult};

/// How a store on PostgreSQL is opened.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    pub(super) schema: String,
    pub(super) connections: usize,
    pub(super) history: u64,
    pub(super) reports: u64,
    pub(super) connect: Duration,
    pub(super) busy: Duration,
    pub(super) statement: Duration,
    pub(super) patience: Duration,
    #[cfg(feature = "postgres-tls")]
    pub(super) ca_certificates: Option<String>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: "procession".to_owned(),
            connections: limits::POSTGRES_CONNECTIONS,
            history: limits::HISTORY,
            reports: limits::REPORTS,
            connect: limits::CONNECT,
            busy: limits::BUSY,
            statement: limits::STATEMENT,
            patience: limits::PATIENCE,
            #[cfg(feature = "postgres-tls")]
            ca_certificates: None,
        }
    }
}

impl PostgresOptions {
    /// The schema `procession`, and the bounds of [`limits`].
    pub fn new() -> Self {
        Self::default()
    }

    /// The schema in which the tables are: letters, digits and underscores, at most 63, the first no digit. Each schema
    /// is a store of its own.
    pub fn with_schema(self, schema: impl Into<String>) -> Self {
        Self { schema: schema.into(), ..self }
    }

    /// How many connections there are at most, beside the two that commit.
    pub fn with_connections(self, connections: usize) -> Self {
        Self { connections: connections.max(1), ..self }
    }

    /// How many transitions of each process are kept.
    pub fn with_history(self, history: u64) -> Self {
        Self { history, ..self }
    }

    /// How many lines of report of each process are kept.
    pub fn with_reports(self, reports: u64) -> Self {
        Self { reports, ..self }
    }

    /// How long one attempt to connect may take.
    pub fn with_connect_timeout(self, connect: Duration) -> Self {
        Self { connect, ..self }
    }

    /// How long a connection of the pool is waited for before a call fails as [busy](StoreErrorKind::Busy).
    pub fn with_busy_timeout(self, busy: Duration) -> Self {
        Self { busy, ..self }
    }

    /// How long one statement may take before the server cancels it.
    pub fn with_statement_timeout(self, statement: Duration) -> Self {
        Self { statement, ..self }
    }

    /// How long a call goes on trying while the server is away, before it fails as
    /// [unreachable](StoreErrorKind::Unreachable).
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Trusts these certificates of authorities, too, beside those that the system trusts: in PEM form, one or several. A server
    /// behind an address with `sslmode=require` needs one that such an authority vouches for, for the host of the address.
    #[cfg(feature = "postgres-tls")]
    pub fn with_ca_certificates(self, pem: impl Into<String>) -> Self {
        Self { ca_certificates: Some(pem.into()), ..self }
    }

    /// Refuses a name that would have to be quoted, or that PostgreSQL keeps for itself.
    pub(super) fn check(&self) -> StoreResult<()> {
        let schema = &self.schema;
        let first = schema.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
        let rest = schema.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if first && rest && schema.len() <= limits::SCHEMA_BYTES && !schema.to_ascii_lowercase().starts_with("pg_") {
            return Ok(());
        }
        let fault =
            "a schema's name has letters, digits and underscores, at most 63, and begins with no digit or `pg_`";
        Err(StoreError::new(StoreErrorKind::Other, "open", format_args!("schema `{schema}`")).with_source(fault))
    }

    /// Runs on every connection before anything else.
    pub(super) fn session(&self) -> String {
        let (statement, idle) = (self.statement.as_millis().max(1), limits::IDLE_IN_TRANSACTION.as_millis());
        // Names are found in the schema and nowhere else. What is not durable is never called committed. A lock that is
        // held by someone who is gone is free again after the third setting.
        format!(
            "SET search_path TO \"{schema}\", pg_temp;
            SET statement_timeout TO {statement};
            SET idle_in_transaction_session_timeout TO {idle};
            SET default_transaction_isolation TO 'read committed';
            SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
            schema = self.schema
        )
    }
}
