//! Nothing that a process, a step or an error is called can break out of a picture.

use procession::outline::{Branch, Node, Outline, Step};
use procession::picture::Picture;
use procession::process::{Ended, ErrorInfo};
use procession::spec::ExitCode;
use roxmltree::Document;

use super::Story;
use super::constructs::{all, keep};

const NAMES: [&str; 12] = [
    "<script>alert(1)</script>",
    "</text></svg><img src=x onerror=alert(1)>",
    "\"]; click n0 href \"javascript:alert(1)\"",
    "a\"onload=\"alert(1)",
    "it's & &lt; &#60; #quot; #60;",
    "]]>--><![CDATA[<!--",
    "line\nbreak\r\n    n0 --> n1\u{2028}%%{init: {}}%%",
    "\u{1b}[2J\u{7}\u{0}\u{9b}31m",
    "\u{202e}desrever\u{2066}\u{feff}\u{ffff}",
    "`markdown` **bold** _it_ ~~no~~ \\ 1. - x",
    "end subgraph classDef default :::x @{ shape: x } |yes|",
    "",
];

/// A picture in which everything is called so, with a run that failed with it.
fn picture(name: &'static str) -> Picture {
    let step = Step::new(name, name).doc(name).outputs(keep([name]));
    let exit = Node::Return { exit: Some(name), line: 1 };
    let branches = keep([Branch::new(name, keep([exit]), 1)]);
    let choice = Node::If { branches, otherwise: &[] };
    let body = keep([Node::While(Branch::new(name, keep([Node::Step(step), choice]), 1))]);
    let mut error = ErrorInfo::new(name);
    (error.step, error.causes) = (Some(name.to_owned()), vec![name.to_owned()]);
    let story = Story::new().runs(1, name).runs(1, "stranger").runs(1, name);
    let story = story.ends(5, name, &Ended::Excepted { error }).with(|record| name.clone_into(&mut record.position));
    let exits = [ExitCode::new(1, name, name)];
    Picture::new(name, &Outline { body }).with_exits(&exits).with_run(&story.run())
}

/// Elements and attributes that we draw with.
const DRAWN: [&str; 11] = ["svg", "title", "desc", "style", "g", "rect", "path", "circle", "text", "tspan", "line"];
const TOLD: [&str; 20] = [
    "class",
    "width",
    "height",
    "viewBox",
    "role",
    "aria-label",
    "x",
    "y",
    "rx",
    "r",
    "cx",
    "cy",
    "d",
    "fill",
    "transform",
    "x1",
    "x2",
    "y1",
    "y2",
    "id",
];

/// The picture as a document; nothing in it but what we draw, and nothing that does something.
fn read(svg: &str) -> Document<'_> {
    let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}:\n{svg}"));
    for node in document.descendants() {
        assert!(!node.is_pi() && !node.is_comment(), "{svg}");
        if node.is_element() {
            assert!(DRAWN.contains(&node.tag_name().name()), "<{}>", node.tag_name().name());
            for attribute in node.attributes() {
                assert!(TOLD.contains(&attribute.name()), "{} in\n{svg}", attribute.name());
            }
        }
    }
    document
}

#[test]
fn an_svg_is_a_document_with_nothing_in_it_but_the_picture() {
    for name in NAMES {
        let svg = picture(name).svg();
        let document = read(&svg);
        assert!(svg.lines().all(|line| !line.trim().is_empty()), "no blank lines: {svg}");
        // What can be written is there, as text.
        if name.contains("script") || name.contains('&') {
            let title = |node: &roxmltree::Node<'_, '_>| node.tag_name().name() == "title";
            let titles: Vec<_> = document.descendants().filter(title).filter_map(|node| node.text()).collect();
            assert!(titles.contains(&name), "{titles:?}");
        }
    }
    for (_, picture) in all() {
        let svg = picture.svg();
        let root = read(&svg);
        let root = root.root_element();
        assert_eq!(root.attribute("role"), Some("img"));
        assert!(root.children().any(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title"))));
        assert!(svg.contains("prefers-color-scheme:dark") && !svg.contains("url(") && !svg.contains("href"));
    }
}

/// A line of a flowchart as we write it: a label ends at the second quote, and has nothing of Mermaid's own in it.
fn is_ours(line: &str) -> bool {
    let id = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    let label = |text: &str| !text.replace("<br/>", " ").contains(['<', '>', '"', '`', '%', '{', '}', '[', ']', '|']);
    let Some(line) = line.strip_prefix("    ") else { return line == "flowchart TD" };
    if let Some(text) = line.strip_prefix("accTitle: ").or_else(|| line.strip_prefix("accDescr: ")) {
        return label(text);
    }
    if let Some((class, style)) = line.strip_prefix("classDef ").and_then(|rest| rest.split_once(' ')) {
        return id(class) && label(style);
    }
    if let Some((from, to)) = line.split_once(" -->").or_else(|| line.split_once(" -.->")) {
        let to = to.rsplit(' ').next().unwrap_or_default();
        return id(from) && id(to);
    }
    let parts: Vec<_> = line.split('"').collect();
    let [node, text, class] = parts.as_slice() else { return false };
    let (name, open) = node.split_at(node.find(['[', '(', '{']).unwrap_or(node.len()));
    let Some((close, class)) = class.split_once(":::") else { return false };
    let forms = [("[", "]"), ("[[", "]]"), ("([", "])"), ("{{", "}}")];
    id(name) && forms.contains(&(open, close)) && id(class) && label(text)
}

#[test]
fn a_flowchart_has_no_line_that_is_not_ours() {
    let hostile = NAMES.map(|name| (name, picture(name)));
    for (name, picture) in hostile.into_iter().chain(all()) {
        let chart = picture.mermaid();
        for line in chart.lines() {
            assert!(is_ours(line), "{name:?}: `{line}`");
        }
    }
}

#[test]
fn a_text_has_no_character_that_moves_the_cursor() {
    for name in NAMES {
        let text = picture(name).text(60, false);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains(['\u{202e}', '\u{2066}', '\u{feff}']), "{text:?}");
    }
}
