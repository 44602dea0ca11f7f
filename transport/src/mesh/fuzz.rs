//! Envelopes at random, to runtimes of a mesh.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use super::protocol::read_all;
use super::{Caller, Mesh, MeshBuilder, MeshResult};
use crate::{Envelope, LocalTransport};

/// So many inputs come before it is seen whether all goes on.
const AT_ONCE: u32 = 64;

/// A registry and a runtime that has joined it; for fuzzing alone.
#[derive(Debug)]
pub struct Fuzz {
    runtime: Runtime,
    monitor: Mesh,
    worker: Mesh,
    taken: u32,
}

impl Fuzz {
    /// Starts both.
    ///
    /// # Errors
    ///
    /// The system has no means.
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (monitor, worker) = runtime.block_on(pair()).map_err(io::Error::other)?;
        Ok(Self { runtime, monitor, worker, taken: 0 })
    }

    /// Gives an envelope to both; whether it is one.
    ///
    /// # Panics
    ///
    /// Where they do not go on.
    pub fn take(&mut self, bytes: &[u8]) -> bool {
        read_all(bytes);
        let Ok(envelope) = Envelope::decode(&Bytes::copy_from_slice(bytes)) else { return false };
        read_all(&envelope.body);
        let within = self.runtime.enter();
        self.monitor.core().take(envelope.clone());
        self.worker.core().take(envelope);
        drop(within);
        self.taken += 1;
        if self.taken.is_multiple_of(AT_ONCE) {
            let goes_on = self.runtime.block_on(goes_on(&self.monitor, &self.worker));
            assert!(goes_on.is_ok(), "{goes_on:?}");
        }
        if self.worker.is_stopped()
            && let Ok((monitor, worker)) = self.runtime.block_on(pair())
        {
            (self.monitor, self.worker) = (monitor, worker);
        }
        true
    }
}

async fn goes_on(monitor: &Mesh, worker: &Mesh) -> MeshResult<()> {
    for mesh in [monitor, worker].into_iter().filter(|mesh| !mesh.is_stopped()) {
        mesh.call::<_, ()>(mesh.uid().as_str(), "nothing", &()).await?;
        assert!(mesh.peers().len() <= crate::limits::MESH_PEERS);
    }
    for _ in 0..AT_ONCE {
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn pair() -> MeshResult<(Mesh, Mesh)> {
    let transport = Arc::new(LocalTransport::new());
    let builder = |uid: &str| -> MeshResult<MeshBuilder> {
        let builder = MeshBuilder::new(Arc::<LocalTransport>::clone(&transport), uid.parse()?);
        Ok(builder.with_method("nothing", |_: Caller, (): ()| async { Ok::<_, io::Error>(()) }))
    };
    let monitor = builder("monitor")?.registry().start().await?;
    let worker = builder("worker:0:0")?.join("monitor").await?;
    Ok((monitor, worker))
}

#[cfg(test)]
mod tests {
    use crate::{Content, Kind};

    use super::*;

    #[test]
    fn changed_envelopes_are_taken_or_refused() {
        let who = r#"{"uid":"node:0","address":"node:0","incarnation":7}"#;
        let change = format!(r#"{{"who":{who},"number":9,"lost":true}}"#);
        let shake = format!(r#"{{"registry":{who},"network":[{who}],"change":3}}"#);
        let mut corpus = Vec::new();
        for (subject, body) in [
            ("mesh.hand", who),
            ("mesh.meet", who),
            ("mesh.connect", &change),
            ("mesh.disconnect", &change),
            ("mesh.drop", who),
            ("mesh.bye", ""),
            ("mesh.heart", ""),
            ("mesh.unknown", ""),
            ("mesh.stop", ""),
            ("mesh.other", &shake),
            ("nothing", "null"),
            ("nothing", "{\"unknown_method\":{\"nearest\":null}}"),
        ] {
            for (kind, sender) in [
                (Kind::Call, "node:0"),
                (Kind::Notice, "monitor"),
                (Kind::Notice, "worker:0:0"),
                (Kind::Reply, "monitor"),
                (Kind::Fault, "worker:0:0"),
                (Kind::Lost, "node:0"),
                (Kind::Data, "node:0"),
            ] {
                let body = Bytes::copy_from_slice(body.as_bytes());
                let envelope = Envelope::new(kind, sender.into(), Content::Json, body);
                let headers = vec![("type".to_owned(), "store".to_owned()), ("object".to_owned(), "x".to_owned())];
                let envelope = Envelope { subject: subject.into(), correlation: 5, headers, ..envelope };
                let plain = Envelope { headers: Vec::new(), ..envelope.clone() };
                corpus.extend([envelope, plain].iter().filter_map(|envelope| envelope.encode().ok()).map(Vec::from));
            }
        }
        let mut target = Fuzz::new().expect("the system has means");
        crate::fuzzing::run("mesh", &corpus, |bytes| target.take(bytes));
        // Someone who comes then is let in.
        let address = target.monitor.address().to_owned();
        assert!(!target.monitor.is_stopped() && address == "monitor");
    }
}
