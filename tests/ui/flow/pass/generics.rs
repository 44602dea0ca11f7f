//! Processes with parameters.
#![deny(warnings)]

use procession::prelude::*;
use procession::process::Saved;
use std::fmt::Debug;

#[process(name = "scf")]
#[derive(Debug, Default)]
pub struct Scf<T: Saved + Debug + Default + Clone + Sync, const N: usize = 1>
where
    T: PartialEq,
{
    value: T,
    #[process(skip)]
    cache: Option<[u8; N]>,
}
spec! { <T: Saved + Debug + Default + Clone + Sync, const N: usize> Scf<T, N> where T: PartialEq {
    input start: T;
    output value: T;
    exit 400 Bad "bad";
}}
outline! { <T: Saved + Debug + Default + Clone + Sync, const N: usize> Scf<T, N> where T: PartialEq {
    run;
    while_(same) { again }
    finish => value;
}}
impl<T: Saved + Debug + Default + Clone + Sync + PartialEq, const N: usize> Scf<T, N> {
    async fn run(&mut self, cx: &mut Cx<Self>) {
        self.value = cx.inputs().start.clone();
        self.cache = Some([0; N]);
    }
    fn same(&self, cx: &Cx<Self>) -> bool {
        self.value == cx.inputs().start
    }
    fn again(&mut self) {
        self.value = T::default();
    }
    fn finish(&mut self) -> T {
        self.value.clone()
    }
}

#[process(name = "walk")]
#[derive(Debug, Default)]
pub struct Walk<T: Saved + Clone + Debug + Sync + Default, U: Saved + Default> {
    last: Option<T>,
    other: U,
}
spec! { <T: Saved + Clone + Debug + Sync + Default, U: Saved + Default> Walk<T, U> {} }
steps! { <T: Saved + Clone + Debug + Sync + Default, U: Saved + Default> Walk<T, U> { run; go(to: Vec<T>) } }
impl<T: Saved + Clone + Debug + Sync + Default, U: Saved + Default> Walk<T, U> {
    fn run(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
        self.other = U::default();
        cx.next().go(vec![T::default()])
    }
    async fn go(&mut self, to: Vec<T>) {
        self.last = to.into_iter().next();
    }
}

fn main() {
    fn process<P: Process>() {}
    process::<Scf<String, 2>>();
    process::<Walk<u8, f64>>();
}
