//! How a folder is opened.

use std::time::Duration;

use crate::limits;

/// How a folder is opened.
#[derive(Debug, Clone, Copy)]
pub struct FileOptions {
    pub(super) history: u64,
    pub(super) reports: u64,
    pub(super) busy: Duration,
    pub(super) read_only: bool,
}

impl Default for FileOptions {
    fn default() -> Self {
        let (history, reports) = (limits::FILE_HISTORY, limits::FILE_REPORTS);
        Self { history, reports, busy: limits::BUSY, read_only: false }
    }
}

impl FileOptions {
    /// The retention of [`limits`].
    pub fn new() -> Self {
        Self::default()
    }

    /// How many transitions of each process are kept. Each boundary writes all of them.
    pub fn with_history(self, history: u64) -> Self {
        Self { history, ..self }
    }

    /// How many lines of report of each process are kept. Each boundary writes all of them.
    pub fn with_reports(self, reports: u64) -> Self {
        Self { reports, ..self }
    }

    /// How long others who read or write are waited for before a call fails as [busy](crate::store::StoreErrorKind::Busy).
    pub fn with_busy_timeout(self, busy: Duration) -> Self {
        Self { busy, ..self }
    }

    /// Only reads: what would write is refused as [read-only](crate::store::StoreErrorKind::ReadOnly). The folder must be there.
    pub fn with_read_only(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }
}
