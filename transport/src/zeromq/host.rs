//! The host's side of the rendezvous.

use std::collections::HashMap;
use std::future::poll_fn;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use super::plug::{Plug, failed, last_endpoint};
use super::registry::{Member, Registry, Told};
use super::wire::{Asked, Refusal, Tell};
use crate::{TransportResult, limits};

/// Binds the endpoint of a rendezvous; with it, the endpoint as it is now.
pub(super) fn bind(context: &zmq::Context, endpoint: &str) -> TransportResult<(Plug, String)> {
    let socket = context.socket(zmq::ROUTER).map_err(failed("making the host's socket"))?;
    let set = || {
        socket.set_linger(limits::ZMQ_LAST_WORDS_MS)?;
        socket.set_maxmsgsize(limits::ZMQ_REQUEST_BYTES)?;
        socket.set_ipv6(endpoint.contains('['))?;
        // A member that is told nothing any more is to be seen.
        socket.set_router_mandatory(true)?;
        socket.set_sndhwm(limits::ZMQ_TOLD)?;
        socket.set_rcvhwm(limits::ZMQ_TOLD)
    };
    set().map_err(failed("making the host's socket"))?;
    socket.bind(endpoint).map_err(failed("binding the rendezvous"))?;
    let endpoint = last_endpoint(&socket)?;
    Ok((Plug::new(socket)?, endpoint))
}

/// Serves until it is told to stop, or whoever could tell is gone.
pub(super) async fn serve(mut plug: Plug, silence: Duration, mut stop: oneshot::Receiver<()>) {
    let mut registry = Registry::new(u64::try_from(silence.as_millis()).unwrap_or(u64::MAX));
    let mut heard: HashMap<Member, Instant> = HashMap::new();
    let mut tick = tokio::time::interval(silence / 4);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let plug_ref = &mut plug;
        let told = tokio::select! {
            frames = poll_fn(|cx| plug_ref.poll_frames(cx)) => {
                let Ok(frames) = frames else { break };
                let Some(told) = hear(&mut registry, &frames) else { continue };
                if let Some(member) = frames.first().filter(|member| registry.knows(member)) {
                    heard.insert(member.to_vec(), Instant::now());
                }
                told
            }
            _ = tick.tick() => silent(&mut registry, &mut heard, silence),
            _ = &mut stop => break,
        };
        tell(&plug, &mut registry, told);
    }
    let members: Vec<Member> = registry.members().cloned().collect();
    for member in members {
        let _ = say(&plug, &member, &Tell::Closing {});
    }
}

/// Reads a request and deals with it. What is no request is answered once, too (C46 cured); without a place for the
/// answer, which
/// only what is no client of any kind leaves out, it cannot be.
fn hear(registry: &mut Registry, frames: &[zmq::Message]) -> Option<Told> {
    let [member, empty, request] = frames else {
        let member = frames.first()?;
        let reason = format!("a request has two frames, an empty one and JSON, not {}", frames.len() - 1);
        return Some(vec![(member.to_vec(), Tell::Refused { n: 0, refusal: Refusal::Bad { reason } })]);
    };
    let member = member.to_vec();
    let asked = if empty.is_empty() {
        serde_json::from_slice::<Asked>(request).map_err(|error| format!("it cannot be read: {error}"))
    } else {
        Err("its first frame is not empty".to_owned())
    };
    Some(match asked {
        Ok(Asked { n, ask }) => registry.hear(&member, n, ask),
        Err(reason) => vec![(member, Tell::Refused { n: 0, refusal: Refusal::Bad { reason } })],
    })
}

/// Forgets members that were silent for too long.
fn silent(registry: &mut Registry, heard: &mut HashMap<Member, Instant>, silence: Duration) -> Told {
    let mut told = Told::new();
    heard.retain(|member, at| {
        let is_lost = at.elapsed() > silence;
        if is_lost {
            tracing::warn!(
                silence_ms = silence.as_millis(),
                "a member of the ZeroMQ transport is silent, and forgotten"
            );
            registry.forget(member, true, &mut told);
        }
        !is_lost && registry.knows(member)
    });
    told
}

/// Tells; who cannot be told is lost, of which others are told.
fn tell(plug: &Plug, registry: &mut Registry, mut told: Told) {
    while !told.is_empty() {
        for (member, tell) in std::mem::take(&mut told) {
            if !say(plug, &member, &tell) {
                registry.forget(&member, true, &mut told);
            }
        }
    }
}

fn say(plug: &Plug, member: &[u8], tell: &Tell) -> bool {
    let Ok(said) = serde_json::to_vec(tell) else { return false };
    plug.try_send_all(&[member, b"", &said]).unwrap_or(false)
}
