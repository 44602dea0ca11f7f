//! What the compiler says about `#[process]`, `outline!` and `steps!`.

mod compile;

#[test]
fn flow() {
    compile::check("flow");
}
