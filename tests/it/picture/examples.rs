//! The pictures in the documentation: of the examples, and of a run of one.

use procession::picture::Picture;
use std::path::Path;

use super::{Story, at, check};
use crate::by_hand::{hand, quickstart};
use crate::chains::{convergence, restart, stages};
use crate::points::ledger;

#[cfg(feature = "sqlite")]
#[allow(dead_code, unreachable_pub)] // Its `main` is not run here.
#[path = "../../../examples/pipeline.rs"]
mod pipeline;

pub(super) const FOLDER: &str = "docs/pictures";

/// What is no outline of an example: a run of one, and the screens.
const OTHERS: [&str; 2] = ["run.svg", "status.svg"];

/// Each example with an outline, and the picture of its greatest process.
fn pictures() -> Vec<(&'static str, Picture)> {
    vec![
        ("quickstart", Picture::of::<quickstart::CountWords>().named("CountWords")),
        ("convergence", Picture::of::<convergence::Converge>().named("Converge")),
        ("stages", Picture::of::<stages::Pipeline>().named("Pipeline")),
        #[cfg(feature = "sqlite")]
        ("pipeline", Picture::of::<pipeline::Adds>().named("Adds")),
        ("restart", Picture::of::<restart::Restart>().named("Restart")),
        ("ledger", Picture::of::<ledger::Ledger>().named("Ledger")),
        #[cfg(all(unix, feature = "amqp"))]
        ("worker", Picture::of::<crate::interop::worker::WaitChain>().named("WaitChain")),
    ]
}

#[test]
fn the_pictures_of_the_examples_are_true() {
    for (name, picture) in pictures() {
        check(FOLDER, &format!("{name}.svg"), &picture.svg());
    }
}

/// A run of the quickstart, some lines before the end of its file.
#[test]
fn the_picture_of_a_run_is_true() {
    let mut story = Story::new().runs(0, "open").runs(12, "count");
    for round in 1..=18 {
        story = story.runs(210 + round % 7, if round % 5 == 0 { "report" } else { "count" });
        if round % 5 == 0 {
            story = story.runs(3, "count");
        }
    }
    let run = story.run().as_of(at(4_050));
    check(FOLDER, "run.svg", &Picture::of::<quickstart::CountWords>().named("CountWords").with_run(&run).svg());
}

#[test]
fn what_is_written_by_hand_is_drawn_alike() {
    let svg = |picture: Picture| picture.named("CountWords").svg();
    assert_eq!(svg(Picture::of::<hand::CountWords>()), svg(Picture::of::<quickstart::CountWords>()));
}

#[test]
fn every_example_with_an_outline_has_its_picture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let pictures = kept(FOLDER);
    for example in kept("examples") {
        let source = std::fs::read_to_string(folder.join(&example)).unwrap();
        // What is written by hand is drawn like the quickstart, whose processes it has.
        let has_outline = source.contains("outline! {") && example != "by_hand.rs";
        let picture = example.replace(".rs", ".svg");
        assert!(!has_outline || pictures.contains(&picture), "{FOLDER}/{picture}: `cargo xtask pictures` draws it");
    }
    for picture in pictures.iter().filter(|picture| !OTHERS.contains(&picture.as_str())) {
        assert!(folder.join(picture.replace(".svg", ".rs")).exists(), "{FOLDER}/{picture} is of no example");
    }
}

/// The files that are kept in a folder.
fn kept(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).expect("the folder can be read");
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}
