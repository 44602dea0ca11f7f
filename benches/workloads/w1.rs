//! W1: an outline in memory. The limit is what an interpreter of outlines can do at best: boxed async steps that are
//! looked up in a map by their names.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use procession::prelude::*;

use crate::measure::{Bench, Sample, per_second, tokio};
use crate::report::Row;

/// Counts in two async steps per round.
#[process]
#[derive(Default)]
pub(crate) struct Count {
    n: u64,
}

spec! { Count {
    input to: u64;
    output n: u64;
}}

outline! { Count {
    while_(more) {
        odd;
        even;
    }
    end => n;
}}

#[allow(clippy::unused_async)] // Async steps are what is measured.
impl Count {
    fn more(&self, cx: &Cx<Self>) -> bool {
        self.n < cx.inputs().to
    }

    async fn odd(&mut self) {
        self.n += 1;
    }

    async fn even(&mut self) {
        self.n += 1;
    }

    fn end(&self) -> u64 {
        self.n
    }
}

pub(crate) fn outline(bench: &Bench) -> Vec<Row> {
    let steps = bench.count(20_000_000, 2_000_000) as u64;
    let case = bench.case(|| ours(steps), || limit(steps));
    vec![Row::new("W1", "outline in memory", "steps/s", "10 M steps/s; ≥ 0.35", case)]
}

fn ours(steps: u64) -> Sample {
    let time = tokio().block_on(async {
        let runtime = Runtime::volatile().register::<Count>().build().await.expect("a runtime");
        let start = Instant::now();
        let run = runtime.launch(Count::inputs().to(steps)).await.expect("launched");
        let outcome = run.outcome().await.expect("ended");
        let time = start.elapsed();
        let Outcome::Finished(outputs) = outcome else { panic!("{outcome:?}") };
        assert_eq!(outputs.n, steps);
        time
    });
    Sample::new(per_second(steps, time))
}

struct State {
    n: u64,
    to: u64,
}

type Step = for<'a> fn(&'a mut State) -> Pin<Box<dyn Future<Output = &'static str> + Send + 'a>>;

fn limit(steps: u64) -> Sample {
    let odd: Step = |state| {
        Box::pin(async {
            state.n += 1;
            "even"
        })
    };
    let even: Step = |state| {
        Box::pin(async {
            state.n += 1;
            if state.n < state.to { "odd" } else { "end" }
        })
    };
    let steps_by_name: HashMap<String, Step> = [("odd".to_owned(), odd), ("even".to_owned(), even)].into();
    let time: Duration = tokio().block_on(async {
        let run = tokio::spawn(async move {
            let mut state = State { n: 0, to: steps };
            let start = Instant::now();
            let mut next = "odd";
            while let Some(step) = steps_by_name.get(next) {
                next = step(&mut state).await;
            }
            assert_eq!(state.n, steps);
            start.elapsed()
        });
        run.await.expect("ended")
    });
    Sample::new(per_second(steps, time))
}
