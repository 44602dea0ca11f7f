//! What keeps a stale owner from writing: the one place that says who may.

/// Begins a statement: locks the store's row until the transaction ends, so that nobody takes over in between, and gives
/// the epoch under which may be written, as it is once the lock is had. None where nobody owns the store.
macro_rules! fence {
    () => {
        "WITH fence AS MATERIALIZED (SELECT epoch FROM store WHERE owned FOR SHARE)"
    };
}

/// Within such a statement: whether this epoch may write.
macro_rules! holds {
    ($epoch:literal) => {
        concat!("(", $epoch, " = (SELECT epoch FROM fence))")
    };
}

pub(super) use {fence, holds};
