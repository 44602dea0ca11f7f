//! The rules of serde pass through.
#![deny(warnings)]

use procession::prelude::*;
use std::collections::BTreeMap;

#[process(hooks)]
#[derive(Debug, Default)]
pub struct Renamed {
    #[serde(rename = "n")]
    number: u8,
    #[serde(default)]
    added: Option<String>,
    #[process(skip)]
    cache: Cache,
}
#[derive(Debug, Default)]
struct Cache;
spec! { Renamed {} }
outline! { Renamed { run } }
impl procession::process::Hooks for Renamed {}
impl Renamed {
    fn run(&mut self) {
        let _ = (&self.number, &self.added, &self.cache);
    }
}

#[process]
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Derived {
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}
spec! { Derived {} }
outline! { Derived { run } }
impl Derived {
    fn run(&mut self) {
        self.rest.clear();
    }
}

fn main() {}
