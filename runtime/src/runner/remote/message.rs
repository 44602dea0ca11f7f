//! A transition as it is stored with its boundary, until it is told (wire.md 7).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::outbox::News;
use crate::process::{ProcessId, ProcessState, Transition};
use crate::store::Message;

/// The version of the body.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Body<P> {
    v: u32,
    pid: P,
    from: Option<ProcessState>,
    to: ProcessState,
}

/// None where it cannot be written, which no state and no id can bring about.
pub(super) fn write(Transition { pid, from, to, .. }: Transition<'_>) -> Option<Message> {
    let body = serde_json::to_string(&Body { v: VERSION, pid, from, to }).ok()?;
    Some(Message { id: Uuid::now_v7(), body })
}

/// Another version of this library may have written it.
pub(super) fn read(message: &Message) -> Result<News, String> {
    let Body { v, pid, from, to } =
        serde_json::from_str::<Body<ProcessId>>(&message.body).map_err(|error| error.to_string())?;
    if v != VERSION {
        return Err(format!("version {v} is not known"));
    }
    Ok(News { pid, from, to, message: Some(message.id) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_is_read_as_it_was_written_and_no_other_version_is() {
        for (pid, from) in [(ProcessId::from(7), None), (ProcessId::new(), Some(ProcessState::Running))] {
            let message = write(Transition { pid: &pid, from, to: ProcessState::Waiting }).unwrap();
            let news = News { pid, from, to: ProcessState::Waiting, message: Some(message.id) };
            assert_eq!(read(&message), Ok(news));
            let body = message.body.replace("\"v\":1", "\"v\":2");
            assert_eq!(read(&Message { body, ..message }), Err("version 2 is not known".to_owned()));
        }
        assert!(read(&Message { id: Uuid::nil(), body: String::new() }).is_err());
    }
}
