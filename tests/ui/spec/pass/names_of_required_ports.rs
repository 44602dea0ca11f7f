#![deny(warnings)]

use procession::spec;

#[derive(Default)]
struct Scf;

spec! { Scf {
    input _1: u32;
    input set: u32;
    input unset: u32;
    input self_: u32;
    input __: u32;
    input a_is_free: u32;
    input a.is_free: u32;
    input a.self_: u32;
    input _2 { _1: u32; set: u32; };
    output _1: u32;
    output set: u32;
    output self_: u32;
    output _2.self_: u32;
    exit 410 Set "a";
    exit 411 _1 "b";
}}
hand::process!(Scf);

#[derive(Default)]
struct Relax;

spec! { Relax {
    expose inputs of Scf { exclude: _1, set, a.self_ };
    expose inputs of Scf as _2.self_;
    expose outputs of Scf as self_;
}}
hand::process!(Relax);

fn main() {
    let scf = Scf::inputs()._1(1).set(2).unset(3).self_(4).__(5).a_is_free(6);
    hand::launch(scf.a(|a| a.is_free(7).self_(8))._2(|two| two._1(9).set(10)));
    let _ = (ScfExit::Set, ScfExit::_1);
    let _ = Relax::inputs().unset(1).a(|a| a.is_free(1));
}
