//! Owed replies: a document each, named after the process and the reply's id.

use super::document::OwedDocument;
use super::journal::View;
use super::table::{self, Rows};
use super::{failed, kind_of, names};
use crate::process::ProcessId;
use crate::store::{Epoch, OwedReply, StoreErrorKind, StoreResult};

pub(super) fn owed(
    view: &View<'_>,
    after: Option<&(ProcessId, String)>,
    most: usize,
) -> StoreResult<Vec<(ProcessId, OwedReply)>> {
    let after = after.map(|(pid, id)| (pid.to_string(), id.clone()));
    let failed = |error| failed("list owed replies in", view.disk().root().display(), error);
    let mut found = Vec::new();
    for name in view.list("owed").map_err(failed)? {
        let of_name = name.split_once('@').and_then(|(pid, id)| Some((names::decode(pid)?, names::decode(id)?)));
        let key = match of_name {
            Some(key) => key,
            // A long text: only the document has all of it.
            None => match read(view, &name)? {
                Some(document) => (document.pid.to_string(), document.id),
                None => continue,
            },
        };
        if after.as_ref().is_none_or(|after| key > *after) {
            found.push((key, name));
        }
    }
    found.sort();
    let mut replies = Vec::new();
    for (_, name) in found {
        if replies.len() == most.max(1) {
            break;
        }
        replies.extend(read(view, &name)?.map(reply));
    }
    Ok(replies)
}

fn reply(OwedDocument { pid, id, address, .. }: OwedDocument) -> (ProcessId, OwedReply) {
    (pid, OwedReply { id, address })
}

/// Takes over replies that were another owner's to send.
pub(super) fn take_over(rows: &mut Rows<'_>, epoch: Epoch, most: usize) -> StoreResult<Vec<(ProcessId, OwedReply)>> {
    const OPERATION: &str = "take over replies in";
    let view = rows.view();
    let mut names = view.list("owed").map_err(|error| failed(OPERATION, view.disk().root().display(), error))?;
    names.sort();
    let mut replies = Vec::new();
    for name in names {
        if replies.len() == most {
            break;
        }
        let Some(document) = read(view, &name)?.filter(|document| document.sender != epoch) else { continue };
        let document = OwedDocument { sender: epoch, ..document };
        rows.put(format!("owed/{name}.json"), &document)?;
        replies.push(reply(document));
    }
    Ok(replies)
}

/// A reply; none where its document is damaged, which keeps no other from being sent.
fn read(view: &View<'_>, name: &str) -> StoreResult<Option<OwedDocument>> {
    match view.document(&format!("owed/{name}.json")) {
        Ok(document) => Ok(document),
        Err(error) if kind_of(&error) == StoreErrorKind::Corrupt => {
            tracing::warn!(name, error = &error as &dyn std::error::Error, "an owed reply cannot be read");
            Ok(None)
        }
        Err(error) => Err(failed("read an owed reply in", view.disk().root().display(), error)),
    }
}

pub(super) fn settle(rows: &mut Rows<'_>, replies: &[(ProcessId, String)]) -> StoreResult<()> {
    const OPERATION: &str = "settle replies in";
    for (pid, id) in replies {
        let path = table::owed_path(pid, id);
        let there = rows.view().read(&path);
        let root = rows.view().disk().root();
        if there.map_err(|error| failed(OPERATION, root.display(), error))?.is_some() {
            rows.drop_document(path);
        }
    }
    Ok(())
}
