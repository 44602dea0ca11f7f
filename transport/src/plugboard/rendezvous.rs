//! Where a sender and its receivers meet (C40).

use std::fmt;
use std::future::{pending, poll_fn};

use serde::Deserialize;
use tokio::task::JoinHandle;

use crate::zeromq::plug::{Plug, failed, last_endpoint};
use crate::{TransportResult, limits};

/// What the maker of a connector binds: a socket at which its sender says where it is, and one at which receivers ask
/// for that.
///
/// There is one sender; a second one is refused, as plugboard does. Both sockets are on the loopback interface.
/// Dropped, it serves no more; who
/// has met goes on without it.
pub struct PlugboardRendezvous {
    senders: String,
    receivers: String,
    task: JoinHandle<()>,
}

impl fmt::Debug for PlugboardRendezvous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlugboardRendezvous")
            .field("senders", &self.senders)
            .field("receivers", &self.receivers)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Request {
    sender_address: String,
}

impl PlugboardRendezvous {
    /// Binds both sockets, and serves them.
    ///
    /// # Errors
    ///
    /// They cannot be bound.
    pub fn bind() -> TransportResult<Self> {
        let context = zmq::Context::new();
        let (sender, senders) = reply_socket(&context)?;
        let (receiver, receivers) = reply_socket(&context)?;
        Ok(Self { senders, receivers, task: tokio::spawn(serve(sender, receiver)) })
    }

    /// Where a sender connects.
    pub fn sender_address(&self) -> &str {
        &self.senders
    }

    /// Where receivers connect.
    pub fn receiver_address(&self) -> &str {
        &self.receivers
    }
}

impl Drop for PlugboardRendezvous {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn reply_socket(context: &zmq::Context) -> TransportResult<(Plug, String)> {
    let socket = context.socket(zmq::REP).map_err(failed("making a socket"))?;
    let set = || {
        socket.set_linger(0)?;
        socket.set_maxmsgsize(limits::ZMQ_REQUEST_BYTES)?;
        socket.bind("tcp://127.0.0.1:*")
    };
    set().map_err(failed("binding a rendezvous"))?;
    let at = last_endpoint(&socket)?;
    Ok((Plug::new(socket)?, at))
}

async fn serve(mut senders: Plug, mut receivers: Plug) {
    let mut sender: Option<String> = None;
    loop {
        let (asked_by_sender, asked_by_receiver) = (&mut senders, &mut receivers);
        let is_known = sender.is_some();
        tokio::select! {
            request = poll_fn(|cx| asked_by_sender.poll_frames(cx)) => {
                let Ok(request) = request else { return };
                // Whatever it is, it is answered once (C46 cured).
                let address = request.first().and_then(|request| serde_json::from_slice::<Request>(request).ok());
                let is_taken = sender.is_none() && address.is_some();
                if is_taken {
                    sender = address.map(|request| request.sender_address);
                }
                let answer: &[u8] = if is_taken { br#"{"success": true}"# } else { br#"{"success": false}"# };
                if senders.try_send_all(&[answer]).is_err() {
                    return;
                }
            }
            // Who asks before there is a sender waits for it.
            request = async {
                if is_known { poll_fn(|cx| asked_by_receiver.poll_frames(cx)).await } else { pending().await }
            } => {
                let (Ok(_), Some(sender)) = (request, &sender) else { return };
                if receivers.try_send_all(&[sender.as_bytes()]).is_err() {
                    return;
                }
            }
        }
    }
}
