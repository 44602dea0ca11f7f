//! Where stores are tested.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use procession::process::BoxFuture;
use procession::store::{Epoch, FileOptions, FileStore};
use tempfile::TempDir;

use super::KEPT;
use super::side::Side;

/// Longer than any sequence takes.
const LONG: Duration = Duration::from_secs(3_600);

pub(super) trait Place {
    /// A store with nothing in it.
    fn empty(&mut self) -> BoxFuture<'_, Side>;

    /// Whether workers share it.
    fn is_shared(&self) -> bool {
        false
    }

    /// The lease of a worker lapses.
    fn lapse(&mut self, epoch: Epoch) -> BoxFuture<'_, ()> {
        unreachable!("there are no workers, and so no lease of {epoch:?}")
    }
}

/// A new folder, in memory where that can be had: nothing here asks what survives.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// In files, each sequence in a folder of its own.
#[derive(Default)]
pub(super) struct Files {
    folder: Option<TempDir>,
}

impl Place for Files {
    fn empty(&mut self) -> BoxFuture<'_, Side> {
        Box::pin(async {
            let folder = self.folder.insert(folder());
            let options = FileOptions::new().with_history(KEPT).with_reports(KEPT);
            let store = FileStore::open_with(folder.path().join("store"), options).unwrap();
            Side::new(vec![Arc::new(store)], LONG)
        })
    }
}

#[cfg(feature = "sqlite")]
pub(super) use sqlite::Sqlite;

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::{Arc, BoxFuture, KEPT, LONG, Place, Side, TempDir, folder};
    use procession::store::{Durability, SqliteOptions, SqliteStore};

    /// In SQLite, each sequence in a file of its own.
    #[derive(Default)]
    pub(crate) struct Sqlite {
        folder: Option<TempDir>,
    }

    impl Place for Sqlite {
        fn empty(&mut self) -> BoxFuture<'_, Side> {
            Box::pin(async {
                let folder = self.folder.insert(folder());
                let options = SqliteOptions::new().with_history(KEPT).with_reports(KEPT);
                let options = options.with_durability(Durability::Normal);
                let store = SqliteStore::open_with(folder.path().join("store.db"), options).unwrap();
                Side::new(vec![Arc::new(store)], LONG)
            })
        }
    }
}

#[cfg(all(unix, feature = "postgres"))]
pub(super) use postgres::Server;

#[cfg(all(unix, feature = "postgres"))]
mod postgres {
    use std::sync::Arc;

    use procession::process::BoxFuture;
    use procession::store::{Epoch, PostgresOptions, PostgresStore, Store};
    use tokio_postgres::Client;

    use super::{KEPT, LONG, Place, Side};
    use crate::postgres::Postgres;

    /// On a server of its own, in one schema, as two workers open it; what they remember of one sequence is out of date in
    /// the next.
    #[derive(Default)]
    pub(crate) struct Server {
        opened: Option<Opened>,
    }

    struct Opened {
        handles: Vec<Arc<dyn Store>>,
        client: Client,
        /// Empties all tables but those with one row.
        clear: String,
        _server: Postgres,
    }

    impl Opened {
        async fn new() -> Self {
            let server = Postgres::start(&["fsync = off", "synchronous_commit = off"]);
            let schema = Postgres::schema();
            let options = || {
                let options = PostgresOptions::new().with_schema(&*schema).with_connections(2);
                options.with_history(KEPT).with_reports(KEPT)
            };
            let mut handles: Vec<Arc<dyn Store>> = Vec::new();
            for _ in 0..2 {
                handles.push(Arc::new(PostgresStore::connect(&server.url(), options()).await.unwrap()));
            }
            let client = server.client().await;
            client.batch_execute(&format!("SET search_path TO {schema}")).await.unwrap();
            let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1
                AND tablename NOT IN ('store', 'request_order', 'migration')";
            let tables = client.query(tables, &[&schema]).await.unwrap();
            let clear = tables.iter().map(|row| format!("DELETE FROM {};", row.get::<_, String>(0)));
            let clear = clear.chain(["UPDATE store SET owned = false".to_owned()]).collect();
            Self { handles, client, clear, _server: server }
        }
    }

    impl Place for Server {
        fn empty(&mut self) -> BoxFuture<'_, Side> {
            Box::pin(async {
                let opened = match &mut self.opened {
                    Some(opened) => opened,
                    none => none.insert(Opened::new().await),
                };
                opened.client.batch_execute(&opened.clear).await.unwrap();
                Side::new(opened.handles.clone(), LONG)
            })
        }

        fn is_shared(&self) -> bool {
            true
        }

        fn lapse(&mut self, epoch: Epoch) -> BoxFuture<'_, ()> {
            let sql = "UPDATE worker SET lapses_at = clock_timestamp()
                WHERE epoch = $1 AND clock_timestamp() < lapses_at";
            Box::pin(async move {
                let opened = self.opened.as_ref().expect("it is opened");
                opened.client.execute(sql, &[&epoch.0.cast_signed()]).await.unwrap();
            })
        }
    }
}
