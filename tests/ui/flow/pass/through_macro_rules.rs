//! Processes that a macro of the user's makes.
#![deny(warnings)]

use procession::prelude::*;

macro_rules! counter {
    ($name:ident, $step:ident, $output:ident: $ty:ty) => {
        #[process]
        #[derive(Default)]
        pub struct $name {
            count: $ty,
        }
        spec! { $name {
            output $output: $ty;
            exit 400 TooMany "too many";
        }}
        outline! { $name {
            while_(below) { $step; if_(too_many) { return_(TooMany) } }
            finish => $output;
        }}
        impl $name {
            fn below(&self) -> bool {
                self.count < 3
            }
            fn too_many(&self) -> bool {
                self.count > 5
            }
            fn $step(&mut self) {
                self.count += 1;
            }
            fn finish(&mut self) -> $ty {
                self.count
            }
        }
    };
}

macro_rules! asks {
    ($name:ident { $($argument:ident: $ty:ty),* }) => {
        #[process]
        #[derive(Default)]
        pub struct $name;
        spec! { $name {} }
        steps! { $name { run; answered($($argument: $ty),*); } }
        impl $name {
            fn run(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
                cx.wait("an answer").answered(1)
            }
            async fn answered(&mut self, $($argument: $ty),*) {
                let _ = ($($argument),*);
            }
        }
    };
}

counter!(Small, one_more, count: u8);
counter!(Large, one_more, total: u64);
asks!(Question { cx: u8, value: Option<String> });

fn main() {}
