//! Messages that are not known to be sent: a document each, named after its id.

use uuid::Uuid;

use super::document::MessageDocument;
use super::journal::View;
use super::table::{self, Rows};
use super::{failed, kind_of};
use crate::process::ProcessId;
use crate::store::{Epoch, Message, StoreErrorKind, StoreResult};

const FOLDER: &str = "messages";

/// Takes over messages that were another owner's to send, in the order in which they were written.
pub(super) fn take_over(rows: &mut Rows<'_>, epoch: Epoch, most: usize) -> StoreResult<Vec<(ProcessId, Message)>> {
    let view = rows.view();
    let names = view.list(FOLDER).map_err(|error| failed("list messages in", view.disk().root().display(), error))?;
    let mut left = Vec::new();
    for name in names {
        left.extend(read(view, &name)?.filter(|document| document.sender != epoch));
    }
    left.sort_by_key(|document| document.written);
    left.truncate(most);
    let mut messages = Vec::new();
    for document in left {
        let document = MessageDocument { sender: epoch, ..document };
        rows.put(table::message_path(document.message.id), &document)?;
        messages.push((document.pid, document.message));
    }
    Ok(messages)
}

/// A message; none where its document is damaged, which keeps no other from being sent.
fn read(view: &View<'_>, name: &str) -> StoreResult<Option<MessageDocument>> {
    match view.document(&format!("{FOLDER}/{name}.json")) {
        Ok(document) => Ok(document),
        Err(error) if kind_of(&error) == StoreErrorKind::Corrupt => {
            tracing::warn!(name, error = &error as &dyn std::error::Error, "a message cannot be read");
            Ok(None)
        }
        Err(error) => Err(failed("read a message in", view.disk().root().display(), error)),
    }
}

pub(super) fn forget(rows: &mut Rows<'_>, messages: &[Uuid]) -> StoreResult<()> {
    for id in messages {
        let path = table::message_path(*id);
        if rows.is_there(&path)? {
            rows.drop_document(path);
        }
    }
    Ok(())
}
