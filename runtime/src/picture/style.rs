//! Colours: one table for SVG in light and dark, and for Mermaid.

use std::fmt::Write as _;

use super::run::Mark;

/// The fill of a shape, its line, and the text in it.
struct Paint {
    fill: &'static str,
    line: &'static str,
    text: &'static str,
}

/// What has a colour, by class: light, then dark.
struct Colour {
    class: &'static str,
    light: Paint,
    dark: Paint,
}

const fn paint(fill: &'static str, line: &'static str, text: &'static str) -> Paint {
    Paint { fill, line, text }
}

/// The classes of shapes; first those of a picture without a run.
const COLOURS: [Colour; 13] = [
    Colour {
        class: "plain",
        light: paint("#ffffff", "#8c959f", "#1f2328"),
        dark: paint("#21262d", "#6e7681", "#e6edf3"),
    },
    Colour {
        class: "question",
        light: paint("#f5efff", "#a475f9", "#512a97"),
        dark: paint("#271f3d", "#8957e5", "#dabfff"),
    },
    Colour {
        class: "ends",
        light: paint("#eaeef2", "#6e7781", "#24292f"),
        dark: paint("#30363d", "#8b949e", "#e6edf3"),
    },
    Colour {
        class: "exits",
        light: paint("#fff5eb", "#e16f24", "#762c00"),
        dark: paint("#36220f", "#db6d28", "#ffc680"),
    },
    Colour {
        class: "ahead",
        light: paint("#ffffff", "#afb8c1", "#57606a"),
        dark: paint("#161b22", "#484f58", "#9198a1"),
    },
    Colour {
        class: "done",
        light: paint("#e6f9eb", "#1a7f37", "#0a3d1a"),
        dark: paint("#12301d", "#2ea043", "#c4f5d0"),
    },
    Colour {
        class: "running",
        light: paint("#ddf4ff", "#0969da", "#032f62"),
        dark: paint("#0c2d4d", "#388bfd", "#cae8ff"),
    },
    Colour {
        class: "waiting",
        light: paint("#fff8c5", "#9a6700", "#3b2300"),
        dark: paint("#3a2c05", "#d29922", "#f8e3a1"),
    },
    Colour {
        class: "paused",
        light: paint("#fff8c5", "#9a6700", "#3b2300"),
        dark: paint("#3a2c05", "#d29922", "#f8e3a1"),
    },
    Colour {
        class: "stalled",
        light: paint("#ffeff7", "#bf3989", "#4d0336"),
        dark: paint("#42062a", "#db61a2", "#ffc9e3"),
    },
    Colour {
        class: "exited",
        light: paint("#ffe7d1", "#bc4c00", "#471700"),
        dark: paint("#4a2305", "#f0883e", "#ffdfb6"),
    },
    Colour {
        class: "failed",
        light: paint("#ffebe9", "#cf222e", "#4c0014"),
        dark: paint("#490f12", "#f85149", "#ffdcd7"),
    },
    Colour {
        class: "killed",
        light: paint("#e7e2ea", "#57435f", "#2b1f30"),
        dark: paint("#2f2933", "#a597ad", "#e9e2ed"),
    },
];

/// What is not a shape with a text in it: selector, light, dark.
const OTHERS: [(&str, &str, &str); 10] = [
    (".ground", "fill:#ffffff", "fill:#0d1117"),
    (".zone", "fill:#f6f8fa;stroke:#d0d7de", "fill:#151b23;stroke:#30363d"),
    (".zone.odd", "fill:#ffffff", "fill:#0d1117"),
    (".flow", "stroke:#6e7781", "stroke:#8b949e"),
    (".head", "fill:#6e7781", "fill:#8b949e"),
    (".title", "fill:#1f2328", "fill:#e6edf3"),
    (".note,.answer", "fill:#57606a", "fill:#9198a1"),
    ("text.out", "fill:#0550ae", "fill:#79c0ff"),
    (".sign", "stroke:#ffffff", "stroke:#0d1117"),
    (".dot", "fill:#ffffff", "fill:#0d1117"),
];

/// What is the same in light and in dark.
const FIXED: &str = "\
text{font-family:ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif;\
font-size:12px}
.name,.out,.word,.tag{font-family:ui-monospace,SFMono-Regular,'SF Mono',Menlo,Consolas,'Liberation Mono','DejaVu Sans Mono',monospace}
.name{font-size:13px;font-weight:600}
.word{font-size:12px;font-style:italic}
.told,.tag,.answer{font-size:11px}
.tag{font-style:italic;opacity:.8}
.doc,.told{opacity:.85}
.title{font-size:18px;font-weight:700}
.state{font-weight:600}
.middle{text-anchor:middle}
.flow{fill:none;stroke-width:1.5}
.zone{stroke-width:1}
.box{stroke-width:1.5}
.ahead .box{stroke-dasharray:4 3}
.running .box,.waiting .box,.paused .box,.stalled .box,.failed .box,.killed .box,.exited .box{stroke-width:2.5}
.bar{stroke-width:1.5}
.sign{fill:none;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}
";

/// The style sheet of an SVG. All of it is within one class, so that it changes nothing else of a page.
pub(super) fn sheet() -> String {
    let mut sheet = String::new();
    for rule in FIXED.lines() {
        let (selectors, rest) = rule.split_once('{').unwrap_or_default();
        let _ = writeln!(sheet, "{}{{{rest}", scoped(selectors));
    }
    colours(&mut sheet, false);
    sheet.push_str("@media (prefers-color-scheme:dark){\n");
    colours(&mut sheet, true);
    sheet.push_str("}\n");
    sheet
}

fn colours(sheet: &mut String, dark: bool) {
    for colour in &COLOURS {
        let (class, Paint { fill, line, text }) = (colour.class, if dark { &colour.dark } else { &colour.light });
        let _ = writeln!(sheet, "{}{{fill:{fill};stroke:{line}}}", scoped(&format!(".{class} .box")));
        let _ = writeln!(sheet, "{}{{stroke:{line}}}", scoped(&format!(".{class} .bar")));
        let _ = writeln!(sheet, "{}{{fill:{line}}}", scoped(&format!(".{class} .badge")));
        let _ = writeln!(sheet, "{}{{fill:{text}}}", scoped(&format!(".{class} text")));
    }
    // Last, so that they count where a text has a colour of its own within a shape.
    for (selectors, light, night) in OTHERS {
        let _ = writeln!(sheet, "{}{{{}}}", scoped(selectors), if dark { night } else { light });
    }
}

fn scoped(selectors: &str) -> String {
    selectors.split(',').map(|selector| format!(".procession {selector}")).collect::<Vec<_>>().join(",")
}

/// The classes of Mermaid, each with its style.
pub(super) fn mermaid() -> impl Iterator<Item = (&'static str, String)> {
    COLOURS.iter().map(|colour| {
        let Paint { fill, line, text } = &colour.light;
        let dashed = if colour.class == Mark::Ahead.word() { ",stroke-dasharray:4 3" } else { "" };
        (colour.class, format!("fill:{fill},stroke:{line},color:{text}{dashed}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_has_its_colours() {
        for mark in Mark::ALL {
            assert!(COLOURS.iter().any(|colour| colour.class == mark.word()), "{mark:?}");
        }
    }
}
