//! Posting to mailboxes.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;

use tokio::sync::Mutex;

use super::core::Core;
use super::wire::{Answer, Ask};
use super::{Shared, unexpected};
use crate::{Envelope, Mode, TransportError, TransportResult, limits};

/// Connections to mailboxes, by their addresses.
#[derive(Default)]
pub(super) struct Posts(Mutex<HashMap<String, Core>>);

impl fmt::Debug for Posts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posts").finish_non_exhaustive()
    }
}

impl Posts {
    pub(super) async fn clear(&self) {
        self.0.lock().await.clear();
    }

    /// The connection to an address: one that is there, or else a new one, if anyone is.
    async fn of(&self, shared: &Shared, address: &str) -> TransportResult<Core> {
        let mut posts = self.0.lock().await;
        if let Some(core) = posts.get(address) {
            match core.check() {
                Ok(()) => return Ok(core.clone()),
                // Another may have the address by now.
                Err(TransportError::NoSuchAddress { .. }) => drop(posts.remove(address)),
                Err(error) => return Err(error),
            }
        }
        let (answer, news) = shared.ask(Ask::Find { address: address.to_owned() }).await?;
        let Answer::Found { .. } = answer else { return Err(unexpected()) };
        let core = shared.core(news, address, Mode::Pipeline, limits::MAILBOX);
        core.check()?;
        if posts.len() >= limits::ZMQ_POSTS {
            let idle = posts.iter().find(|(_, core)| !core.is_used() && !core.holds()).map(|(name, _)| name.clone());
            if let Some(idle) = idle {
                posts.remove(&idle);
                shared.known.lock().posts.remove(&idle);
            }
        }
        posts.insert(address.to_owned(), core.clone());
        Ok(core)
    }

    async fn forget(&self, address: &str, core: &Core) {
        let mut posts = self.0.lock().await;
        if posts.get(address).is_some_and(|known| known.is(core)) {
            posts.remove(address);
        }
    }
}

pub(super) async fn post(shared: &Shared, address: &str, envelope: &Envelope) -> TransportResult<()> {
    let core = shared.posts.of(shared, address).await?;
    let posted = poll_fn(|cx| core.poll_send(envelope, cx)).await;
    if matches!(posted, Err(TransportError::NoSuchAddress { .. })) {
        shared.posts.forget(address, &core).await;
    }
    posted
}
