//! Streams: items go from process to process while both run.

use procession::prelude::*;
use procession::stream::StreamError;

/// Sends the numbers up to a limit, some in each step.
#[process]
#[derive(Debug, Default)]
pub(super) struct Count {
    next: u64,
}
spec! { Count {
    input to: u64;
    input at_once: u64 = 1;
    /// The numbers.
    stream out numbers: u64;
}}
outline! { Count { while_(goes_on) { count; } } }

impl Count {
    fn goes_on(&self, cx: &Cx<Self>) -> bool {
        self.next < cx.inputs().to
    }

    fn count(&mut self, cx: &mut Cx<Self>) -> Result<(), StreamError> {
        for _ in 0..cx.inputs().at_once {
            if self.goes_on(cx) {
                cx.send(Self::numbers, self.next)?;
                self.next += 1;
            }
        }
        Ok(())
    }
}

/// Takes numbers until they end, and keeps them.
#[process]
#[derive(Debug, Default)]
pub(super) struct Collect {
    all: Vec<u64>,
}
spec! { Collect {
    input at_once: usize = 1;
    stream in numbers: u64;
    output all: Vec<u64>;
}}
outline! { Collect { listen; while_(goes_on) { collect; } finish => all; } }

impl Collect {
    fn listen(&mut self, cx: &mut Cx<Self>) {
        cx.receive_up_to(Self::numbers, cx.inputs().at_once);
    }

    fn goes_on(&self, cx: &Cx<Self>) -> bool {
        !cx.has_ended(Self::numbers)
    }

    fn collect(&mut self, cx: &mut Cx<Self>) -> Result<(), StreamError> {
        while let Some(number) = cx.received(Self::numbers)? {
            self.all.push(number);
        }
        self.listen(cx);
        Ok(())
    }

    fn finish(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.all)
    }
}

#[tokio::test]
async fn two_processes_hand_one_another_items_while_they_run() {
    let runtime = Runtime::volatile().register::<Count>().register::<Collect>().build().await.unwrap();
    let wire = Wire::unique();
    let collect = runtime.launch(Collect::inputs().numbers(wire.clone())).await.unwrap();
    let count = runtime.launch(Count::inputs().to(100).numbers(wire)).await.unwrap();
    count.outcome().await.unwrap().finished().unwrap();
    let outputs = collect.outcome().await.unwrap().finished().unwrap();
    assert_eq!(outputs.all, (0..100).collect::<Vec<_>>());
}
