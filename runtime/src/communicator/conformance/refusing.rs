//! What a communicator says that carries no tasks.

use std::fmt::Debug;
use std::sync::Arc;

use super::{CommunicatorError, CommunicatorResult, Incoming, Subject, Task, answers, call, last, soon, value};
use crate::communicator::{IncomingRpc, ReplyAddress};
use crate::message::Node;

/// All that is about tasks is refused at once, and would be again; what is not goes on.
pub async fn tasks_are_refused_where_nothing_keeps_them(subject: Subject) {
    let (sender, worker) = subject.pair().await;
    answers(&worker, "asked", |call: IncomingRpc| async move { value(call.body) }).await;
    let does = || Arc::new(|_: Incoming| async { value("done") });
    for communicator in [&sender, &worker] {
        refused(soon("the refusal", communicator.task_send(Task::new(Node::Null))).await);
        refused(soon("the refusal", communicator.task_send(Task::new(Node::Null).no_reply())).await);
        refused(soon("the refusal", communicator.task_send(Task::new(Node::Null).queue("own"))).await);
        refused(soon("the refusal", communicator.add_task_subscriber(does(), None)).await);
        refused(soon("the refusal", communicator.add_task_subscriber(does(), Some("mine".to_owned()))).await);
        refused(soon("the refusal", communicator.task_queue("own")).await);
        let [exchange, queue, correlation_id] = ["exchange", "queue", "id"].map(str::to_owned);
        let address = ReplyAddress { exchange, queue, correlation_id };
        refused(soon("the refusal", communicator.reply(&address, Ok(Node::Null))).await);
        let removed = soon("the refusal", communicator.remove_task_subscriber("mine")).await;
        assert!(matches!(&removed, Err(CommunicatorError::Unknown(unknown)) if unknown == "mine"), "{removed:?}");
        assert!(!communicator.is_closed());
    }
    assert_eq!(last(call(&sender, "asked", 1_i64).await).await.unwrap(), Node::from(1));
}

#[track_caller]
fn refused<T: Debug>(result: CommunicatorResult<T>) {
    let expected =
        |error: &CommunicatorError| matches!(error, CommunicatorError::Unsupported { .. }) && !error.is_retryable();
    assert!(result.as_ref().is_err_and(expected), "{result:?}");
}
