//! What the compiler says about `spec!`.

mod compile;

#[test]
fn spec() {
    compile::check("spec");
}
