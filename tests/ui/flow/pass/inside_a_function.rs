//! All items are local.
#![deny(warnings)]

fn main() {
    use procession::prelude::*;

    #[process]
    #[derive(Default)]
    struct Local {
        n: u8,
    }
    spec! { Local { output n: u8; } }
    outline! { Local { run => n } }
    impl Local {
        fn run(&self) -> u8 {
            self.n
        }
    }

    #[process]
    #[derive(Default)]
    struct Other;
    spec! { Other {} }
    steps! { Other { run; after(n: u8) } }
    impl Other {
        fn run(&mut self, cx: &mut Cx<Self>) -> Next<Self> {
            cx.next().after(1)
        }
        async fn after(&mut self, _n: u8) {}
    }

    assert_eq!(LocalPoint::ALL, [LocalPoint::Run]);
    assert!(OtherPoint::Run.clone().name_is_not_needed());

    trait Points {
        fn name_is_not_needed(&self) -> bool;
    }
    impl Points for OtherPoint {
        fn name_is_not_needed(&self) -> bool {
            true
        }
    }
}
