//! What authenticates and encrypts a connection: Noise `NNpsk0`, or nothing on the loopback interface.

use bytes::{Bytes, BytesMut};
use snow::{Builder, HandshakeState, StatelessTransportState};

use super::Key;
use crate::{TransportError, TransportResult, limits};

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
/// Both sides mix it in: nobody takes a handshake of something else for one of these.
const PROLOGUE: &[u8] = b"procession tcp 1";
/// Bytes of a Noise message.
const WHOLE: usize = 65_535;
/// Bytes by which a sealed message is longer.
const TAG: usize = 16;
/// The first byte of a handshake without and with a key.
const PLAIN: u8 = 0;
const SEALED: u8 = 1;

fn failed(source: snow::Error) -> TransportError {
    TransportError::failed("a handshake", source)
}

fn refused(reason: impl Into<String>) -> TransportError {
    TransportError::Refused { what: "a handshake", reason: reason.into() }
}

fn builder(key: &Key) -> TransportResult<Builder<'_>> {
    let parameters = PATTERN.parse().map_err(failed)?;
    Builder::new(parameters).prologue(PROLOGUE).and_then(|builder| builder.psk(0, key.bytes())).map_err(failed)
}

/// A handshake, of which each side sends one part: first who dials, then who listens.
pub(super) enum Handshake {
    Plain,
    Sealed(Box<HandshakeState>),
}

impl Handshake {
    /// Of who dials.
    pub(super) fn dial(key: Option<&Key>) -> TransportResult<Self> {
        let Some(key) = key else { return Ok(Self::Plain) };
        Ok(Self::Sealed(Box::new(builder(key)?.build_initiator().map_err(failed)?)))
    }

    /// Of who listens.
    pub(super) fn listen(key: Option<&Key>) -> TransportResult<Self> {
        let Some(key) = key else { return Ok(Self::Plain) };
        Ok(Self::Sealed(Box::new(builder(key)?.build_responder().map_err(failed)?)))
    }

    /// This side's part, with what it says of itself.
    pub(super) fn write(&mut self, says: &[u8]) -> TransportResult<Vec<u8>> {
        match self {
            Self::Plain => Ok([&[PLAIN], says].concat()),
            Self::Sealed(state) => {
                let mut part = vec![0; limits::HANDSHAKE_BYTES];
                part[0] = SEALED;
                let length = state.write_message(says, &mut part[1..]).map_err(failed)?;
                part.truncate(1 + length);
                Ok(part)
            }
        }
    }

    /// The other side's part: what it says of itself.
    pub(super) fn read(&mut self, part: &[u8]) -> TransportResult<Vec<u8>> {
        let (kind, part) = part.split_first().ok_or_else(|| refused("it is empty"))?;
        match (self, *kind) {
            (Self::Plain, PLAIN) => Ok(part.to_vec()),
            (Self::Sealed(state), SEALED) => {
                let mut says = vec![0; part.len()];
                let length = state.read_message(part, &mut says).map_err(|_| refused("the keys are not the same"))?;
                says.truncate(length);
                Ok(says)
            }
            (Self::Plain, SEALED) => Err(refused("the other side has a key")),
            (Self::Sealed(_), PLAIN) => Err(refused("the other side has no key")),
            (_, other) => Err(refused(format!("there is no handshake {other}"))),
        }
    }

    /// What the connection goes on with, after both parts.
    pub(super) fn finish(self) -> TransportResult<Option<StatelessTransportState>> {
        match self {
            Self::Plain => Ok(None),
            Self::Sealed(state) => state.into_stateless_transport_mode().map(Some).map_err(failed),
        }
    }
}

/// How many bytes a message has when it is sealed: it is cut into Noise messages.
pub(super) fn sealed_length(length: usize) -> usize {
    length + length.div_ceil(WHOLE - TAG).max(1) * TAG
}

/// Seals a message at the end of `bytes`; `number` is that of the next Noise message.
pub(super) fn seal(
    state: &StatelessTransportState,
    number: &mut u64,
    message: &[u8],
    bytes: &mut BytesMut,
) -> TransportResult<()> {
    let mut at = bytes.len();
    bytes.resize(at + sealed_length(message.len()), 0);
    for piece in message.chunks(WHOLE - TAG) {
        at += state.write_message(*number, piece, &mut bytes[at..]).map_err(failed)?;
        *number += 1;
    }
    bytes.truncate(at);
    Ok(())
}

/// Opens what [`seal`] has sealed.
pub(super) fn open(state: &StatelessTransportState, number: &mut u64, sealed: &[u8]) -> TransportResult<Bytes> {
    let mut message = BytesMut::zeroed(sealed.len());
    let mut at = 0;
    for piece in sealed.chunks(WHOLE) {
        let opened = state.read_message(*number, piece, &mut message[at..]);
        at += opened.map_err(|_| TransportError::Malformed { reason: "a frame is not what was sealed".to_owned() })?;
        *number += 1;
    }
    message.truncate(at);
    Ok(message.freeze())
}
