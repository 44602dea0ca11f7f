//! How two transports get to know one another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::TcpOptions;
use super::cipher::Handshake;
use super::connection::{Made, Unread};
use super::frame::{self, Message};
use crate::{TransportError, TransportResult, limits};

fn refused(reason: impl Into<String>) -> TransportError {
    TransportError::Refused { what: "a connection", reason: reason.into() }
}

/// Where `host:port` is. Without a key it must be this machine.
pub(super) async fn resolve(address: &str, options: &TcpOptions) -> TransportResult<Vec<SocketAddr>> {
    let found = lookup_host(address).await.map_err(|source| TransportError::failed("looking up an address", source))?;
    let found: Vec<SocketAddr> = found.collect();
    if options.key.is_none()
        && let Some(far) = found.iter().find(|at| !at.ip().is_loopback())
    {
        return Err(refused(format!("`{address}` is {}, beyond this machine, and there is no key", far.ip())));
    }
    if found.is_empty() { Err(TransportError::NoSuchAddress { address: address.to_owned() }) } else { Ok(found) }
}

/// Whether this can be where a transport is reached: `host:port`.
pub(super) fn check_address(address: &str) -> TransportResult<()> {
    crate::transport::check_name("an address", address)?;
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    if !address.contains('/') && port.is_some_and(|port| port.is_ok_and(|port| port != 0)) {
        return Ok(());
    }
    let reason = "it is not `host:port`".to_owned();
    Err(TransportError::Name { name: address.chars().take(100).collect(), what: "an address", reason })
}

/// What every connection is set to.
fn set_up(stream: &TcpStream, options: &TcpOptions) -> TransportResult<()> {
    let keepalive = TcpKeepalive::new().with_time(options.keepalive).with_interval(options.keepalive).with_retries(3);
    let set = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive));
    set.map_err(|source| TransportError::failed("setting up a connection", source))
}

/// Connects to `address`, and says that `own` is where this side is reached.
pub(super) async fn dial(address: &str, own: &str, options: &TcpOptions) -> TransportResult<Made> {
    let found = resolve(address, options).await?;
    let stream = timeout(options.connect_deadline, TcpStream::connect(&found[..])).await;
    let stream = stream.map_err(|error| TransportError::failed("connecting", error))?;
    let stream = stream.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => TransportError::NoSuchAddress { address: address.to_owned() },
        _ => TransportError::failed("connecting", error),
    })?;
    within(options.handshake_deadline, async {
        set_up(&stream, options)?;
        let (mut handshake, mut stream, mut buffer) = (Handshake::dial(options.key.as_ref())?, stream, BytesMut::new());
        send(&mut stream, &handshake.write(own.as_bytes())?).await?;
        let part = receive(&mut stream, &mut buffer).await?;
        let peer = peer(&handshake.read(&part)?)?;
        Ok(Made { stream, cipher: handshake.finish()?, peer, reader: Unread { buffer, number: 0 } })
    })
    .await
}

/// Takes a connection of someone who has dialled.
pub(super) async fn listen(stream: TcpStream, own: &str, options: &TcpOptions) -> TransportResult<Made> {
    within(options.handshake_deadline, async {
        set_up(&stream, options)?;
        let (mut handshake, mut stream, mut buffer) =
            (Handshake::listen(options.key.as_ref())?, stream, BytesMut::new());
        let part = receive(&mut stream, &mut buffer).await?;
        let peer = peer(&handshake.read(&part)?)?;
        send(&mut stream, &handshake.write(own.as_bytes())?).await?;
        let (cipher, mut reader) = (handshake.finish()?, Unread { buffer, number: 0 });
        // Only who has the key, and not a copy of what another once sent, can say this.
        loop {
            match reader.next(cipher.as_ref())? {
                Some(Message::Ready) => return Ok(Made { stream, cipher, peer, reader }),
                Some(_) => return Err(refused("the other side sent something else before it was ready")),
                None => fill(&mut stream, &mut reader.buffer).await?,
            }
        }
    })
    .await
}

async fn within<T>(deadline: Duration, part: impl Future<Output = TransportResult<T>>) -> TransportResult<T> {
    let late = || refused(format!("the handshake took more than {deadline:?}"));
    timeout(deadline, part).await.unwrap_or_else(|_| Err(late()))
}

fn peer(says: &[u8]) -> TransportResult<Arc<str>> {
    let address = std::str::from_utf8(says).map_err(|_| refused("the other side's address is not UTF-8"))?;
    check_address(address)?;
    Ok(address.into())
}

async fn send(stream: &mut TcpStream, part: &[u8]) -> TransportResult<()> {
    let frame = [&frame::head(part.len())[..], part].concat();
    stream.write_all(&frame).await.map_err(|error| TransportError::Disconnected(Some(Arc::new(error))))
}

async fn receive(stream: &mut TcpStream, buffer: &mut BytesMut) -> TransportResult<BytesMut> {
    loop {
        if let Some(part) = frame::next(buffer, limits::HANDSHAKE_BYTES)? {
            return Ok(part);
        }
        fill(stream, buffer).await?;
    }
}

async fn fill(stream: &mut TcpStream, buffer: &mut BytesMut) -> TransportResult<()> {
    buffer.reserve(limits::HANDSHAKE_BYTES);
    match stream.read_buf(buffer).await {
        Ok(0) => Err(refused("the other side closed it within the handshake; its key may be another")),
        Ok(_) => Ok(()),
        Err(error) => Err(TransportError::Disconnected(Some(Arc::new(error)))),
    }
}
