//! Panics of user code, caught at the edge.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use crate::process::ErrorInfo;

/// Calls user code; a panic becomes an error.
///
/// The caller drops what the code may have left half changed, or knows that the code only reads.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, ErrorInfo> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| ErrorInfo::from_panic(&*payload))
}

/// Awaits user code; a panic becomes an error.
pub(crate) async fn caught_async<T>(future: impl Future<Output = T>) -> Result<T, ErrorInfo> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let mut future: Pin<&mut _> = future.as_mut();
        match caught(|| future.as_mut().poll(context)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}
