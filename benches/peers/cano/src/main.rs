//! cano, on redb: a row per step with its cursor; all of them are removed when the workflow has ended.
//!
//! A process of three steps is six transactions: its beginning, three cursors, its end, the removal. redb flushes each of them,
//! one after the other, so that no number of processes has more than a sixth of what the disk flushes in a second.

use std::path::Path;
use std::sync::{Arc, Mutex};

use cano::RedbCheckpointStore;
use cano::prelude::*;
use common::{STEPS, State};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Stage {
    Work,
    Done,
}

struct Work {
    process: u64,
    result: Arc<Mutex<State>>,
}

// What a step leaves behind is its cursor; a transition keeps nothing but the name of the state. The last call sees that the
// last cursor is kept, and ends.
#[task::stepped(state = Stage)]
impl Work {
    async fn step(&self, _: &Resources, cursor: Option<State>) -> Result<StepOutcome<State, Stage>, CanoError> {
        let state = cursor.unwrap_or_else(|| State::new(self.process));
        if state.steps < STEPS {
            return Ok(StepOutcome::More(state.step()));
        }
        *self.result.lock().expect("no panic") = state;
        Ok(StepOutcome::Done(TaskResult::Single(Stage::Done)))
    }
}

// Its commits block the thread, and there is one at a time: a second thread only hands over, at half the speed.
#[tokio::main(worker_threads = 1)]
async fn main() {
    let (folder, pace) = common::arguments();
    let store = Arc::new(RedbCheckpointStore::new(Path::new(&folder).join("cano.redb")).expect("a store"));
    let run = move |process: u64| {
        let store = Arc::clone(&store);
        async move {
            let result = Arc::new(Mutex::new(State::default()));
            let workflow = Workflow::bare()
                .register_stepped(Stage::Work, Work { process, result: Arc::clone(&result) })
                .add_exit_state(Stage::Done)
                .with_checkpoint_store(store)
                .with_workflow_id(process.to_string());
            let end = workflow.orchestrate(Stage::Work, CancellationToken::disabled()).await.expect("an end");
            assert_eq!(end, Stage::Done);
            result.lock().expect("no panic").check(process);
        }
    };
    common::tell(&pace.keep(run).await);
}
