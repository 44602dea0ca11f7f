//! What is asked of the editor. `$0` marks the cursor.

/// A correct program.
pub(crate) const PROGRAM: &str = include_str!("program.rs");

/// A question and what must be the answer.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) ask: Ask,
}

pub(crate) enum Ask {
    /// Something is offered where a part of the program was replaced by what is being typed.
    Completion { instead_of: &'static str, typed: &'static str, offers: &'static str },
    /// A name leads to these places, each in the line with the text.
    Definition { of: &'static str, lines: &'static [&'static str] },
    /// The text about a name.
    Hover { over: &'static str, says: &'static str },
    /// The program as it is has no errors.
    Errors,
}

/// All checks. The errors come first: a program that is not understood is the reason for all that follows.
pub(crate) fn all() -> Vec<Check> {
    let mut all = vec![Check { name: "editor::errors::none_in_a_correct_program", ask: Ask::Errors }];
    all.extend(
        COMPLETIONS.iter().map(|&(name, instead_of, typed, offers)| Check {
            name,
            ask: Ask::Completion { instead_of, typed, offers },
        }),
    );
    all.extend(DEFINITIONS.iter().map(|&(name, of, lines)| Check { name, ask: Ask::Definition { of, lines } }));
    all.extend(HOVERS.iter().map(|&(name, over, says)| Check { name, ask: Ask::Hover { over, says } }));
    all
}

/// Name of the check, what is replaced, what is typed there, what must be offered.
const COMPLETIONS: [(&str, &str, &str, &str); 30] = [
    ("editor::completion::outline_step", "    prepare;", "    prep$0;", "prepare"),
    ("editor::completion::outline_step_without_semicolon", "    prepare;", "    prep$0", "prepare"),
    ("editor::completion::outline_step_in_a_loop", "        run_scf;", "        run$0;", "run_scf"),
    ("editor::completion::outline_predicate", "while_(unconverged)", "while_(unc$0)", "unconverged"),
    ("editor::completion::outline_predicate_empty", "if_(stalled)", "if_($0)", "stalled"),
    ("editor::completion::outline_exit", "return_(NotConverged)", "return_(Not$0)", "NotConverged"),
    ("editor::completion::outline_output", "=> relaxed", "=> rel$0", "relaxed"),
    ("editor::completion::outline_output_empty", "=> relaxed, last from scf", "=> $0", "relaxed"),
    ("editor::completion::outline_namespace", "last from scf", "la$0 from scf", "last"),
    ("editor::completion::outline_child_field", "last from scf", "last from sc$0", "scf"),
    ("editor::completion::outline_child_field_empty", "last from scf", "last from $0", "scf"),
    ("editor::completion::steps_step", "    start;", "    sta$0;", "start"),
    ("editor::completion::steps_type_of_argument", "greet(name: String)", "greet(name: Str$0)", "String"),
    ("editor::completion::steps_hand_over", "cx.next().greet(\"world\".to_owned())", "cx.next().gr$0", "greet"),
    ("editor::completion::spec_type_of_port", "relaxed: Structure", "relaxed: Struc$0", "Structure"),
    ("editor::completion::spec_default", "u32 = 10", "u32 = u32::MA$0", "MAX"),
    ("editor::completion::spec_default_broken", "u32 = 10", "u32 = u32::$0", "MAX"),
    ("editor::completion::spec_field_in_check", "structure.atoms > 0", "structure.at$0", "atoms"),
    ("editor::completion::spec_field_in_check_broken", "structure.atoms > 0", "structure.$0", "atoms"),
    ("editor::completion::spec_field_in_check_of_all", "inputs.steps < 1000", "inputs.st$0", "steps"),
    ("editor::completion::spec_field_in_check_of_namespace", "limits.hours > 0", "limits.$0", "hours"),
    ("editor::completion::spec_exposed_process", "inputs of Scf", "inputs of Sc$0", "Scf"),
    ("editor::completion::spec_excluded_port", "exclude: structure", "exclude: st$0", "structure"),
    ("editor::completion::spec_excluded_port_empty", "exclude: structure", "exclude: $0", "structure"),
    ("editor::completion::input_in_a_step", "cx.inputs().steps", "cx.inputs().st$0", "steps"),
    ("editor::completion::exposed_input_in_a_step", "cx.inputs().steps", "cx.inputs().scf.cu$0", "cutoff"),
    ("editor::completion::builder", ".steps(3)", ".st$0", "steps"),
    ("editor::completion::builder_of_namespace", "scf.cutoff(20.0)", "scf.cu$0", "cutoff"),
    ("editor::completion::field_in_a_predicate", "self.iteration > 99", "self.it$0", "iteration"),
    ("editor::completion::child_in_a_predicate", "self.iteration > 99", "self.scf.out$0", "outcome"),
];

/// Name of the check, where it starts, the lines of all its definitions.
///
/// What `steps!` names is the step and the method that hands over to it, and that method stands there itself.
const DEFINITIONS: [(&str, &str, &[&str]); 12] = [
    ("editor::definition::outline_step", "        run_$0scf;", &["async fn run_scf"]),
    ("editor::definition::outline_step_with_outputs", "fini$0sh => relaxed", &["fn finish"]),
    ("editor::definition::outline_predicate", "while_(uncon$0verged)", &["fn unconverged"]),
    ("editor::definition::outline_exit", "return_(Not$0Converged)", &["exit 410 NotConverged"]),
    ("editor::definition::outline_output", "=> rel$0axed", &["output relaxed"]),
    ("editor::definition::outline_child_field", "from sc$0f;", &["scf: Child<Scf>"]),
    ("editor::definition::steps_step", "    st$0art;", &["    start;", "fn start"]),
    ("editor::definition::spec_type_of_port", "relaxed: Struc$0ture", &["pub struct Structure"]),
    ("editor::definition::spec_excluded_port", "exclude: struc$0ture", &["input structure: Structure;"]),
    ("editor::definition::input_in_a_step", "cx.inputs().ste$0ps", &["input steps"]),
    ("editor::definition::builder", ".ste$0ps(3)", &["input steps"]),
    ("editor::definition::hand_over", "cx.next().gre$0et(", &["greet(name: String);"]),
];

/// Name of the check, over what, what must be said.
const HOVERS: [(&str, &str, &str); 5] = [
    ("editor::hover::outline_step", "        run_$0scf;", "async fn run_scf"),
    ("editor::hover::outline_predicate", "while_(uncon$0verged)", "Whether to go on."),
    ("editor::hover::spec_parameter_of_check", "check(|struc$0ture|", "Structure"),
    ("editor::hover::input_in_a_step", "cx.inputs().struc$0ture.clone()", "The starting structure."),
    ("editor::hover::builder", ".ste$0ps(3)", "Default: 10"),
];
