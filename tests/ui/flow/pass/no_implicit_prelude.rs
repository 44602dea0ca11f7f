//! Nothing is in scope, and names of the standard library mean other things.
#![no_implicit_prelude]
#![deny(warnings)]

#[allow(dead_code)]
mod strange {
    pub struct Option;
    pub struct Result;
    pub struct Box;
    pub struct String;
    pub struct Some;
    pub fn drop() {}
}

mod inner {
    #[allow(unused_imports)]
    use crate::strange::*;
    use ::std::prelude::rust_2024::derive;

    #[::procession::process(needs(u8))]
    #[derive(Default)]
    pub struct Relax {
        pub n: u8,
        #[process(skip)]
        pub cache: u8,
    }
    ::procession::spec! { Relax { output n: u8; exit 400 Bad "bad"; } }
    ::procession::outline! { Relax { if_(p) { a } else_ { b; return_(Bad) } while_(p) { c } blocking d => n } }
    impl Relax {
        fn p(&self) -> bool {
            self.n == 0
        }
        fn a(&mut self) {}
        async fn b(&mut self) {}
        fn c(&mut self, _: &mut ::procession::Cx<Self>) {}
        fn d(&mut self) -> u8 {
            self.cache
        }
    }

    #[::procession::process]
    #[derive(Default)]
    pub struct Greet {}
    ::procession::spec! { Greet {} }
    ::procession::steps! { Greet { run; after(n: u8) } }
    impl Greet {
        fn run(&mut self, cx: &mut ::procession::Cx<Self>) -> ::procession::Next<Self> {
            cx.wait("a number").after()
        }
        async fn after(&mut self, n: u8) {
            let _ = n;
        }
    }
}

fn main() {
    let _ = <inner::Relax as ::std::default::Default>::default().cache;
    let _ = inner::Relax { n: 0, cache: 0 }.n;
    let _ = inner::Greet {};
}
