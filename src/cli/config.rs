//! Where the processes are, and the broker: from flags, then the environment, then a file.

use std::convert::Infallible;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use procession_runtime::store::{FileOptions, FileStore, Store};
use serde::Deserialize;

use super::arguments::Common;
use super::broker::{Broker, Names};
use super::fault::{Fault, Status};

/// Read where no other is named.
const FILE: &str = "procession.toml";

/// What may stand in it.
const SETTINGS: &str =
    "it takes `store`, `schema`, `amqp`, `message_exchange`, `task_exchange` and `task_queue`, each as a text";

/// Used where none is given, if it is there.
const STORE: &str = "procession.db";

/// How long a server is tried that is away.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was given as an address: shown to nobody, whatever it is, since it may have a password in it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Given(String);

impl Given {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// It is looked at later: the parser of the arguments would show it.
impl FromStr for Given {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The address of a store. A password in it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A folder of JSON documents.
    Files(PathBuf),
    /// A database of PostgreSQL.
    Postgres(String),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        let is_database = |path: &str| Path::new(path).extension().is_some_and(|end| end == "db" || end == "sqlite");
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.trim_start_matches("//").into())),
            Some(("files", path)) if !path.is_empty() => Ok(Self::Files(path.trim_start_matches("//").into())),
            None if is_database(text) => Ok(Self::Sqlite(text.into())),
            // What it is may be a password.
            _ => Err("no `sqlite:PATH`, `files:FOLDER` or `postgres://USER@HOST/DATABASE`".to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Files(path) => write!(f, "files:{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_secrets(url)),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address without what follows the user's name, and without parameters.
pub(super) fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    // A password may have a `@`, a `?` or a `/` in it.
    let (who, place) = rest.rsplit_once('@').map_or((None, rest), |(who, place)| (Some(who), place));
    let (place, _) = place.split_once('?').unwrap_or((place, ""));
    let Some(who) = who else {
        // What follows a name may be a password, whose host was forgotten.
        let (name, after) = place.split_once(':').unwrap_or((place, "0"));
        let port = after.split('/').next().unwrap_or_default();
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        return format!("{scheme}://{}", if is_port { place } else { name });
    };
    format!("{scheme}://{}@{place}", who.split(':').next().unwrap_or_default())
}

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    store: Option<String>,
    schema: Option<String>,
    amqp: Option<String>,
    message_exchange: Option<String>,
    task_exchange: Option<String>,
    task_queue: Option<String>,
}

impl Settings {
    fn read(named: Option<&Path>) -> Result<Self, Fault> {
        let path = named.unwrap_or_else(|| Path::new(FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => return Ok(Self::default()),
            Err(error) => return Err(Fault::io(&format!("`{}` cannot be read", path.display()), &error).usage()),
        };
        toml::from_str(&text).map_err(|error: toml::de::Error| {
            // Not its whole text: that shows the line, which may have a password in it.
            let line =
                error.span().map_or(1, |span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1);
            usage(format!("`{}`, line {line}: {}", path.display(), error.message())).next(SETTINGS)
        })
    }
}

fn usage(what: String) -> Fault {
    Fault::new(Status::Usage, what)
}

/// What was configured.
#[derive(Debug)]
pub(super) struct Config {
    store: Option<Address>,
    schema: Option<String>,
    broker: Option<Broker>,
}

impl Config {
    pub(super) fn of(common: &Common) -> Result<Self, Fault> {
        let Settings { store, schema, amqp, message_exchange, task_exchange, task_queue } =
            Settings::read(common.config.as_deref())?;
        let read = |text: &str, of: &str| {
            let address = text.parse::<Address>();
            address.map_err(|fault| usage(format!("{of}: {fault}")).next("give one of these with `--store`"))
        };
        let store = match (&common.store, &store) {
            (Some(given), _) => Some(read(given.text(), "the address of the store")?),
            (None, Some(text)) => Some(read(text, "`store` in the file")?),
            (None, None) => None,
        };
        let names = common.broker.names.clone().or(Names { message_exchange, task_exchange, task_queue });
        let amqp = common.broker.amqp.clone().or(amqp.map(Given));
        let broker = amqp.map(|url| Broker::new(&url, names)).transpose()?;
        Ok(Self { store, schema: common.schema.clone().or(schema), broker })
    }

    pub(super) fn broker(&self) -> Option<&Broker> {
        self.broker.as_ref()
    }

    /// The broker, where there is no store.
    pub(super) fn broker_alone(&self) -> Option<&Broker> {
        self.broker.as_ref().filter(|_| self.store_or_default().is_none())
    }

    fn store_or_default(&self) -> Option<Address> {
        self.store.clone().or_else(|| Path::new(STORE).is_file().then(|| Address::Sqlite(STORE.into())))
    }

    /// Where the store is.
    pub(super) fn address(&self) -> Result<Address, Fault> {
        let next =
            "give `--store ADDRESS`, set `PROCESSION_STORE`, or write `store = \"ADDRESS\"` into `procession.toml`";
        self.store_or_default().ok_or_else(|| usage("no store is configured".to_owned()).next(next))
    }

    /// Where the store is, or is made by those who launch.
    pub(super) fn address_or_made(&self) -> Result<Address, Fault> {
        match self.address() {
            Err(_) if self.store.is_none() && cfg!(feature = "sqlite") => Ok(Address::Sqlite(STORE.into())),
            found => found,
        }
    }

    /// Opens the store, if there is one.
    pub(super) async fn open_if_there(&self) -> Result<Option<Opened>, Fault> {
        match self.address_or_made()? {
            Address::Sqlite(path) if !path.is_file() => Ok(None),
            Address::Files(path) if !path.is_dir() => Ok(None),
            _ => self.open().await.map(Some),
        }
    }

    /// Opens the store, which has to be there. A server that is away is soon told to whoever waits before a terminal.
    pub(super) async fn open(&self) -> Result<Opened, Fault> {
        self.open_at(self.address_there()?, Some(PATIENCE)).await
    }

    /// The same to run processes: it outlives a restart of the server.
    pub(super) async fn open_to_run(&self) -> Result<Opened, Fault> {
        self.open_at(self.address_there()?, None).await
    }

    fn address_there(&self) -> Result<Address, Fault> {
        match self.address()? {
            Address::Sqlite(path) if !path.is_file() => Err(missing(&path)),
            Address::Files(path) if !path.is_dir() => Err(missing(&path)),
            address => Ok(address),
        }
    }

    /// Opens the store, and makes it where it is not there.
    pub(super) async fn open_or_make(&self) -> Result<Opened, Fault> {
        self.open_at(self.address_or_made()?, None).await
    }

    async fn open_at(&self, address: Address, patience: Option<Duration>) -> Result<Opened, Fault> {
        let store: Arc<dyn Store> = match &address {
            Address::Sqlite(path) if path.is_dir() => return Err(missing(path)),
            Address::Files(path) if path.is_file() => return Err(missing(path)),
            Address::Sqlite(path) => sqlite(path)?,
            Address::Files(path) => Arc::new(FileStore::open_with(path, FileOptions::new())?),
            Address::Postgres(url) => postgres(url, self.schema.as_deref(), patience).await?,
        };
        Ok(Opened { address, store })
    }
}

/// A store, and where it is.
pub(super) struct Opened {
    pub(super) address: Address,
    pub(super) store: Arc<dyn Store>,
}

fn missing(path: &Path) -> Fault {
    if path.exists() {
        let what = if path.is_dir() { "a folder, and no file of SQLite" } else { "a file, and no folder of documents" };
        let other = if path.is_dir() { "files" } else { "sqlite" };
        return Fault::new(Status::Backend, format!("`{}` is {what}", path.display()))
            .next(format!("give its path with `--store`: `{other}:{}`, if it is a store", path.display()));
    }
    Fault::new(Status::Backend, format!("there is no store at `{}`", path.display()))
        .next("`run`, `submit` and `worker start` make it; give its path with `--store`")
}

#[cfg(feature = "sqlite")]
fn sqlite(path: &Path) -> Result<Arc<dyn Store>, Fault> {
    Ok(Arc::new(procession_runtime::store::SqliteStore::open(path)?))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_: &Path) -> Result<Arc<dyn Store>, Fault> {
    Err(usage("this binary was built without the feature `sqlite`".to_owned())
        .next("build it with `--features sqlite`"))
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str, schema: Option<&str>, patience: Option<Duration>) -> Result<Arc<dyn Store>, Fault> {
    use procession_runtime::store::{PostgresOptions, PostgresStore};
    let options = schema.into_iter().fold(PostgresOptions::new(), PostgresOptions::with_schema);
    let options = patience.into_iter().fold(options, PostgresOptions::with_patience);
    Ok(Arc::new(PostgresStore::connect(url, options).await?))
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn postgres(_: &str, _: Option<&str>, _: Option<Duration>) -> Result<Arc<dyn Store>, Fault> {
    Err(usage("this binary was built without the feature `postgres`".to_owned())
        .next("build it with `--features postgres`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let read = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(read("words.db").unwrap(), "sqlite:words.db");
        assert_eq!(read("sqlite:///var/words").unwrap(), "sqlite:/var/words");
        assert_eq!(read("files:words").unwrap(), "files:words");
        assert!(read("words").is_err());
        assert!(read("sqlite:").is_err());
    }

    #[test]
    fn a_password_is_never_shown() {
        for url in ["postgres://me:sec@ret@host:1/base?password=secret", "postgres://me@host:1/base?password=secret"] {
            let address: Address = url.parse().unwrap();
            assert_eq!(address.to_string(), "postgres://me@host:1/base");
            assert_eq!(format!("{address:?}"), "postgres://me@host:1/base");
        }
        for (url, shown) in [
            ("postgres://me:se?cret@host:1/base", "postgres://me@host:1/base"),
            ("postgres://me:se/cret@host:1/base?a=b", "postgres://me@host:1/base"),
            ("postgres://me:secret", "postgres://me"),
            ("postgres://host:1/base", "postgres://host:1/base"),
            ("postgres://host/base", "postgres://host/base"),
        ] {
            assert_eq!(url.parse::<Address>().unwrap().to_string(), shown);
        }
        assert!(!"secret@host".parse::<Address>().unwrap_err().contains("secret"));
    }
}
