//! The tables: how they are recognised, made and brought up to date.

use super::error::Fault;
use super::options::PostgresOptions;
use super::outcome::SWEEP;
use super::server::{Server, Session};
use crate::limits;
use crate::store::{StoreErrorKind, StoreResult};

/// One script per version of the tables, the first from nothing. Only ever append: a released one is fixed.
const MIGRATIONS: &[&str] = &[
    include_str!("v1.sql"),
    include_str!("v2.sql"),
    include_str!("v3.sql"),
    include_str!("v4.sql"),
    include_str!("v5.sql"),
    include_str!("v6.sql"),
    include_str!("v7.sql"),
];

/// Begins the key of the lock under which tables are changed; the schema's name is the rest. "Prcs".
const LOCK: i32 = 0x5072_6373;

/// Brings the tables up to date where they are not. Where they are, nothing is written.
pub(super) async fn open(server: &Server, options: &PostgresOptions) -> StoreResult<()> {
    let mut patience = server.patience();
    loop {
        match attempt(server, options).await {
            Ok(()) => return Ok(()),
            Err(fault) => patience.with(fault).await.map_err(|fault| server.error("open", fault))?,
        }
    }
}

async fn attempt(server: &Server, options: &PostgresOptions) -> Result<(), Fault> {
    let session = server.session().await?;
    if server.timed(version(&session, &options.schema)).await? < MIGRATIONS.len() {
        migrate(&session, &options.schema).await?;
    }
    match server.timed(session.query(SWEEP, &[])).await {
        Ok(_) => {}
        // Who may only read leaves it to others.
        Err(fault) if fault.kind == StoreErrorKind::ReadOnly => {}
        Err(fault) => return Err(fault),
    }
    session.keep();
    Ok(())
}

/// The version of the tables; 0 where there are none.
async fn version(session: &Session, schema: &str) -> Result<usize, Fault> {
    // As a row of a table: `to_regclass` may answer from what the connection knew before it waited for a lock.
    let sql = "SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'migration'";
    if session.query(sql, &[&schema]).await?.is_empty() {
        return Ok(0);
    }
    let rows = session.query("SELECT coalesce(max(version), 0) FROM migration", &[]).await?;
    let version: i32 = rows.first().ok_or(StoreErrorKind::Corrupt)?.try_get(0)?;
    match usize::try_from(version) {
        Ok(version) if (1..=MIGRATIONS.len()).contains(&version) => Ok(version),
        Ok(0) | Err(_) => Err(StoreErrorKind::Corrupt.into()),
        Ok(_) => Err(StoreErrorKind::NewerFormat.into()),
    }
}

/// All that is missing, in one transaction, under a lock that only others who do the same wait for.
async fn migrate(session: &Session, schema: &str) -> Result<(), Fault> {
    let most = limits::MIGRATION.as_millis();
    let begin = format!(
        "BEGIN; SET LOCAL statement_timeout TO {most}; SELECT pg_advisory_xact_lock({LOCK}, hashtext('{schema}'))"
    );
    session.run(&begin).await?;
    let known = version(session, schema).await?;
    if known < MIGRATIONS.len() {
        if known == 0 {
            let table = "CREATE TABLE migration (version integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())";
            session.run(&make(schema, table)).await?;
        }
        for (index, script) in MIGRATIONS.iter().enumerate().skip(known) {
            session.run(script).await?;
            session.run(&format!("INSERT INTO migration VALUES ({})", index + 1)).await?;
        }
    }
    // Where the answer is lost, the next attempt looks at the version first.
    session.run("COMMIT").await
}

/// `IF NOT EXISTS` asks for the right to create schemas even where it exists.
fn make(schema: &str, table: &str) -> String {
    format!(
        "DO $$ BEGIN
            IF to_regnamespace('\"{schema}\"') IS NULL THEN CREATE SCHEMA \"{schema}\"; END IF;
        END $$;
        {table}"
    )
}
