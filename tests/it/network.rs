//! A network between a client and the broker that fails when it is told to.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::support::eventually;

/// A port of its own, behind which the broker is reached. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Network {
    port: u16,
    state: watch::Sender<State>,
    listening: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    mode: Mode,
    /// How often all connections were cut.
    cuts: u64,
    /// How often all connections were lost.
    losses: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Open,
    /// Nothing is carried.
    Frozen,
    /// What the server says is not carried.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    Deaf,
    /// Nobody can connect.
    Refusing,
}

impl Network {
    /// Carries connections to this port of the machine.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let own = listener.local_addr().expect("it is bound").port();
        let state = watch::Sender::new(State::default());
        let listening =
            tokio::spawn(listen(listener, SocketAddr::from((Ipv4Addr::LOCALHOST, port)), state.subscribe()));
        Self { port: own, state, listening }
    }

    /// The port to connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends every connection at once, and refuses new ones.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| (state.mode, state.cuts) = (Mode::Refusing, state.cuts + 1));
    }

    /// Carries nothing any more, and says so to nobody: who connects waits.
    pub(crate) fn freeze(&self) {
        self.state.send_modify(|state| state.mode = Mode::Frozen);
    }

    /// Carries nothing back any more, and says so to nobody.
    #[cfg(feature = "postgres")]
    pub(crate) fn deafen(&self) {
        self.state.send_modify(|state| state.mode = Mode::Deaf);
    }

    /// Carries what comes, also what waited.
    pub(crate) fn open(&self) {
        self.state.send_modify(|state| state.mode = Mode::Open);
    }

    /// Never again carries anything for the connections that there are, and says so to nobody; new ones are carried.
    pub(crate) fn lose(&self) {
        self.state.send_modify(|state| state.losses += 1);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(first: TcpListener, broker: SocketAddr, mut state: watch::Receiver<State>) {
    let own = first.local_addr().expect("it is bound");
    let mut listener = Some(first);
    let mut carried = JoinSet::new();
    loop {
        let refusing = state.borrow_and_update().mode == Mode::Refusing;
        match &mut listener {
            Some(_) if refusing => listener = None,
            None if !refusing => match TcpListener::bind(own).await {
                Ok(bound) => listener = Some(bound),
                // What ended a moment ago may still hold it.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(listening) => tokio::select! {
                Ok((client, _)) = listening.accept() => drop(carried.spawn(carry(client, broker, state.clone()))),
                changed = state.changed() => if changed.is_err() { return },
                Some(_) = carried.join_next() => {}
            },
            None => {
                if state.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Carries one connection until it ends or is cut.
async fn carry(client: TcpStream, broker: SocketAddr, mut state: watch::Receiver<State>) {
    let born = *state.borrow();
    let Ok(server) = TcpStream::connect(broker).await else { return };
    for stream in [&client, &server] {
        // Delays would be no fault that anyone asked for.
        let _ = stream.set_nodelay(true);
    }
    let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
    let (there, back) = (state.clone(), state.clone());
    tokio::select! {
        // Looked at first: what was held back is not carried in the same moment.
        biased;
        _ = state.wait_for(|state| state.cuts > born.cuts) => {}
        () = both(
            pump(client_in, server_out, there, born, &[Mode::Frozen]),
            pump(server_in, client_out, back, born, &[Mode::Frozen, Mode::Deaf]),
        ) => {}
    }
}

async fn both(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    tokio::join!(one, other);
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    born: State,
    held: &[Mode],
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        // Also an end is carried only where something is; and nothing once it was cut, whoever sees that first.
        let is_cut = |state: &State| state.cuts > born.cuts;
        let opens = |state: &State| !held.contains(&state.mode) && state.losses == born.losses;
        let carried = state.wait_for(|state| is_cut(state) || opens(state)).await.is_ok_and(|state| !is_cut(&state));
        if !carried || read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            // The other direction may have something left.
            let _ = to.shutdown().await;
            return;
        }
    }
}

/// A server that says what it hears, and a client at the end of a network.
async fn echo() -> (Network, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let network = Network::to(listener.local_addr().unwrap().port()).await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, network.port())).await.unwrap();
    (network, client)
}

async fn says(client: &mut TcpStream) -> Result<Result<usize, std::io::Error>, tokio::time::error::Elapsed> {
    if let Err(error) = client.write_all(b"x").await {
        return Ok(Err(error));
    }
    tokio::time::timeout(Duration::from_millis(200), client.read(&mut [0; 1])).await
}

#[tokio::test]
async fn a_frozen_network_carries_what_waited_when_it_thaws() {
    let (network, mut client) = echo().await;
    assert_eq!(says(&mut client).await.unwrap().unwrap(), 1);
    network.freeze();
    assert!(says(&mut client).await.is_err());
    network.open();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_network_that_is_cut_ends_connections_and_refuses_new_ones_until_it_is_open() {
    let (network, mut client) = echo().await;
    assert_eq!(says(&mut client).await.unwrap().unwrap(), 1);
    network.cut();
    assert!(matches!(client.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    eventually(|| async { TcpStream::connect((Ipv4Addr::LOCALHOST, network.port())).await.is_err() }).await;
    network.open();
    eventually(|| async { TcpStream::connect((Ipv4Addr::LOCALHOST, network.port())).await.is_ok() }).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn what_a_server_said_is_not_carried_when_the_network_is_cut() {
    for _ in 0..20 {
        let (network, mut client) = echo().await;
        network.deafen();
        assert!(tokio::time::timeout(Duration::from_millis(20), says(&mut client)).await.is_err());
        network.cut();
        assert!(matches!(client.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn a_lost_connection_stays_silent_while_a_new_one_is_carried() {
    let (network, mut client) = echo().await;
    assert_eq!(says(&mut client).await.unwrap().unwrap(), 1);
    network.lose();
    assert!(says(&mut client).await.is_err(), "silent, and not closed");
    let mut new = TcpStream::connect((Ipv4Addr::LOCALHOST, network.port())).await.unwrap();
    assert_eq!(says(&mut new).await.unwrap().unwrap(), 1);
}
