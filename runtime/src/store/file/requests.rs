//! Requests: documents that anyone may add, numbered in the order of their arrival.

use super::document::{CounterDocument, RequestDocument, Text, write};
use super::journal::View;
use super::{Inner, failed, kind_of, names, of_process, table};
use crate::process::ProcessId;
use crate::store::{RequestId, RequestRow, StoreErrorKind, StoreResult};

const COUNTER: &str = "requests.json";

impl Inner {
    pub(super) fn request(&self, pid: &ProcessId, request: String) -> StoreResult<RequestId> {
        const OPERATION: &str = "store a request to";
        let failed = |error| failed(OPERATION, of_process(pid, self.disk.root()), error);
        self.write(OPERATION, |view, state| {
            let counter: Option<CounterDocument> = view.document(COUNTER).map_err(failed)?;
            // Also those that are there, should the counter be lost.
            let there = view.requests()?.iter().filter_map(|name| Some(table::request_of(name)?.0.0)).max();
            let last = there.unwrap_or(0).max(counter.unwrap_or_default().last) + 1;
            let counter = write(&CounterDocument { last }).map_err(|error| failed(error.into()))?;
            let document = RequestDocument { pid: pid.clone(), request: Text(request) };
            let document = write(&document).map_err(|error| failed(error.into()))?;
            // The number first: one that is not used does no harm, one that is used twice would.
            let written = self.disk.replace(COUNTER, &counter);
            self.settle(OPERATION, state, written)?;
            let path = format!("requests/{}.json", table::request_name(RequestId(last), pid));
            let written = self.disk.replace(&path, &document);
            self.settle(OPERATION, state, written)?;
            Ok(RequestId(last))
        })
    }
}

/// Requests after one, in their order.
pub(super) fn requests(view: &View<'_>, after: Option<RequestId>) -> StoreResult<Vec<RequestRow>> {
    let mut rows = Vec::new();
    for name in view.requests()? {
        let Some((id, pid)) = table::request_of(&name) else { continue };
        if after.is_some_and(|after| id <= after) {
            continue;
        }
        let row = match view.document::<RequestDocument>(&format!("requests/{name}.json")) {
            Ok(None) => continue,
            Ok(Some(RequestDocument { pid, request })) => {
                let request = serde_json::from_str(&request.0).map_err(|error| error.to_string());
                RequestRow { id, pid, request }
            }
            Err(error) if kind_of(&error) == StoreErrorKind::Corrupt => {
                let pid = names::decode(pid).unwrap_or_else(|| pid.to_owned()).into();
                RequestRow { id, pid, request: Err(error.to_string()) }
            }
            Err(error) => return Err(failed("read requests in", view.disk().root().display(), error)),
        };
        rows.push(row);
    }
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}
