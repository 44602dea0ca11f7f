//! What became of a transaction whose end was not heard.

use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use super::error::Fault;
use super::read::get;
use super::server::{Patience, Server};
use crate::limits;

/// Within the first statement of a transaction, after its other parts: names it, and forgets names that nobody will ask for
/// any more.
macro_rules! marks {
    ($token:literal, $spent:literal) => {
        concat!(
            "marked AS (INSERT INTO outcome (token, committed) VALUES (",
            $token,
            "::bytea, true)), unmarked AS (DELETE FROM outcome WHERE token = ANY (",
            $spent,
            "::bytea[]))"
        )
    };
}

pub(super) use marks;

/// The name of a transaction.
pub(super) type Token = Vec<u8>;

/// A new one.
pub(super) fn token() -> Token {
    Uuid::now_v7().into_bytes().to_vec()
}

/// Names of transactions of which it is known what became of them.
#[derive(Debug, Default)]
pub(super) struct Spent(Mutex<Vec<Token>>);

impl Spent {
    /// A name for a transaction, and those that it shall forget. Where it fails they are left to the next who connects.
    pub(super) fn take(&self) -> (Token, Vec<Token>) {
        (token(), self.all())
    }

    /// Those that the next transaction shall forget.
    pub(super) fn all(&self) -> Vec<Token> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&self, token: Token) {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.len() < limits::COMMIT_QUEUE {
            spent.push(token);
        }
    }
}

/// Left behind by those who are gone.
pub(super) const SWEEP: &str = "DELETE FROM outcome WHERE at < now() - interval '1 day'";

impl Server {
    /// What became of a transaction: if it was committed, the places of the processes that it created, where it has told them;
    /// else the fault, by which it is known not to be, and not to be any more.
    pub(super) async fn outcome(&self, token: Token, fault: Fault, patience: &mut Patience) -> Result<Vec<i64>, Fault> {
        let mut fault = fault.unknown();
        loop {
            patience.with(fault).await?;
            match self.was_committed(&token).await {
                Ok(created) => {
                    self.spent.add(token);
                    return created.ok_or_else(Fault::again);
                }
                // Still nobody knows, whatever keeps from asking.
                Err(asking) => fault = asking.unknown(),
            }
        }
    }

    /// None if it was not.
    async fn was_committed(&self, token: &Token) -> Result<Option<Vec<i64>>, Fault> {
        // Waits for the transaction, where its connection is not given up yet by the server.
        const ASK: &str = "INSERT INTO outcome (token, committed) VALUES ($1, false) ON CONFLICT DO NOTHING";
        let session = self.session().await?;
        self.timed(session.query(ASK, &[token])).await?;
        let sql = "SELECT committed, coalesce(created, '{}') FROM outcome WHERE token = $1";
        let rows = self.timed(session.query(sql, &[token])).await?;
        session.keep();
        let row = rows.first().ok_or_else(Fault::again)?;
        if get(row, 0)? { get(row, 1).map(Some) } else { Ok(None) }
    }
}
