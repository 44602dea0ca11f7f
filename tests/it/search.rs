//! Filters as texts.

use procession::clock::Timestamp;
use procession::store::{Comparison, Condition, Filter, FilterFault, Scalar, Summary, TextIs};
use procession::{ProcessId, ProcessState, limits};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn parse(text: &str) -> Filter {
    Filter::parse(text, NOW).unwrap_or_else(|error| panic!("{error}\n{}", error.caret()))
}

/// What is near is joined first: `not`, then `and`, then `or`.
#[test]
fn conditions_are_joined_in_their_order() {
    let [paused, parked, failed, root] =
        [Condition::Paused, Condition::Parked, Condition::Failed, Condition::Root].map(Filter::from);
    let not = |filter: &Filter| Filter::Not(Box::new(filter.clone()));
    let cases = [
        ("paused", paused.clone()),
        ("((paused))", paused.clone()),
        (
            "paused or parked and failed",
            Filter::Or(vec![paused.clone(), Filter::And(vec![parked.clone(), failed.clone()])]),
        ),
        (
            "(paused or parked) and failed",
            Filter::And(vec![Filter::Or(vec![paused.clone(), parked.clone()]), failed.clone()]),
        ),
        ("not paused and root", Filter::And(vec![not(&paused), root.clone()])),
        ("not (paused AND root)", not(&Filter::And(vec![paused.clone(), root.clone()]))),
        ("NOT not paused Or root", Filter::Or(vec![not(&not(&paused)), root])),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text), expected, "{text}");
    }
}

#[test]
fn values_are_read_as_what_they_are() {
    let key = |text: TextIs| Filter::from(Condition::Key(text));
    let equal = |text: &str| key(TextIs::Equal(text.to_owned()));
    let prefix = |text: &str| key(TextIs::Prefix(text.to_owned()));
    let input = |path: &[&str], value: Scalar| {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        Filter::from(Condition::Input { path, comparison: Comparison::Equal, value })
    };
    let text = |text: &str| Scalar::Text(text.to_owned());
    let cases = [
        ("key=a", equal("a")),
        ("key = it::Rank/5", equal("it::Rank/5")),
        ("key = \"two words\"", equal("two words")),
        (r#"key = "a\"\u0000*""#, equal("a\"\0*")),
        ("key = a*", prefix("a")),
        ("key = *", prefix("")),
        ("key = \"two wor\"*", prefix("two wor")),
        ("key = and", equal("and")),
        ("input.a = 5", input(&["a"], Scalar::Number(5.into()))),
        ("input.a = -5e0", input(&["a"], Scalar::Number(serde_json::Number::from_f64(-5.0).unwrap()))),
        ("input.a = \"5\"", input(&["a"], text("5"))),
        ("input.a = 05", input(&["a"], text("05"))),
        ("input.a = nulls", input(&["a"], text("nulls"))),
        ("input.a.b = null", input(&["a", "b"], Scalar::Null)),
        ("input.\"a.b\".c = true", input(&["a.b", "c"], Scalar::Bool(true))),
        ("input.a.\"\" = x", input(&["a", ""], text("x"))),
        ("exit >= -3", Condition::Exit(Comparison::AtLeast, -3).into()),
        ("created<-1s", Condition::Created(Comparison::Less, Timestamp::from_millis(NOW.as_millis() - 1_000)).into()),
        ("updated > \"2023-11-14 22:13:20Z\"", Condition::Updated(Comparison::Greater, NOW).into()),
        ("parent = 7", Condition::Parent(ProcessId::from(7)).into()),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text), expected, "{text}");
    }
}

/// What is wrong is told with its place, what was expected, and a near word.
#[test]
fn a_text_that_is_no_filter_is_told_with_the_place() {
    let cases = [
        ("", 0..0, "a condition", None),
        ("   ", 3..3, "a condition", None),
        ("stat = waiting", 0..4, "a condition", Some("state")),
        ("update > now", 0..6, "a condition", Some("updated")),
        ("faild", 0..5, "a condition", Some("failed")),
        ("state = wating", 8..14, "a state", Some("waiting")),
        ("state waiting", 6..13, "`=` or `!=`", None),
        ("state < waiting", 6..7, "`=` or `!=`", None),
        ("state = ", 8..8, "a state", None),
        ("paused an parked", 7..9, "`and`, `or` or the end", Some("and")),
        ("(paused an parked)", 8..10, "`and`, `or` or `)`", Some("and")),
        ("(paused", 7..7, "`and`, `or` or `)`", None),
        ("paused)", 6..7, "`and`, `or` or the end", None),
        ("paused and", 10..10, "a condition", None),
        ("not", 3..3, "a condition", None),
        ("= 5", 0..1, "a condition", None),
        ("ä = 5", 0..2, "a condition", None),
        ("key = a*b", 6..9, "a text with its `*` at the end", None),
        ("key = **", 6..8, "a text with its `*` at the end", None),
        ("key = (", 6..7, "a text", None),
        ("key = \"open", 6..11, "a closing", None),
        (r#"key = "\q""#, 6..10, "a text in quotes", None),
        ("exit = many", 7..11, "an exit code", None),
        ("exit = 99999999999999999999", 7..27, "an exit code", None),
        ("created > yesterday", 10..19, "a time", None),
        ("created > nov", 10..13, "a time", Some("now")),
        ("input = 5", 0..5, "the name of an input", None),
        ("input. = 5", 0..6, "the name of an input", None),
        ("input.a..b = 5", 0..10, "the name of an input", None),
        ("input.a\"b\" = 5", 0..10, "the name of an input", None),
        ("input.\"a\"b = 5", 0..10, "the name of an input", None),
        ("input.a = ", 10..10, "a number", None),
        ("input.a 5", 8..9, "`=`", None),
    ];
    for (text, place, wanted, near) in cases {
        let error = Filter::parse(text, NOW).unwrap_err();
        assert_eq!(error.at(), place, "{text}: {error}");
        let FilterFault::Unexpected { expected, near: told, .. } = error.fault() else { panic!("{text}: {error}") };
        assert!(expected.starts_with(wanted), "{text}: {error}");
        assert_eq!(*told, near, "{text}: {error}");
    }
    let error = Filter::parse("state\n= \u{1b}[1m", NOW).unwrap_err();
    assert_eq!(error.caret().to_string(), "state =  [1m\n        ^^^^", "a terminal is told nothing but text");
    assert!(error.to_string().ends_with("found `\u{fffd}[1m`"), "{error}");
}

#[test]
fn filters_are_bounded() {
    let deep = |levels: usize| format!("{}paused{}", "(".repeat(levels), ")".repeat(levels));
    assert_eq!(parse(&deep(limits::FILTER_DEPTH - 1)), Condition::Paused.into());
    let fault = |text: &str| Filter::parse(text, NOW).unwrap_err().fault().clone();
    assert_eq!(fault(&deep(limits::FILTER_DEPTH)), FilterFault::TooDeep);
    assert_eq!(fault(&format!("{}paused", "not ".repeat(limits::FILTER_DEPTH))), FilterFault::TooDeep);
    assert_eq!(fault(&format!("paused{}", " or paused".repeat(limits::FILTER_CONDITIONS))), FilterFault::TooMany);
    let long = format!("key = {}", "ä".repeat(limits::FILTER_BYTES / 2));
    let error = Filter::parse(&long, NOW).unwrap_err();
    assert_eq!(*error.fault(), FilterFault::TooLong);
    assert!(error.caret().to_string().ends_with('^'));
}

/// A process without what is asked for is found by no comparison; inputs are not read unless they are asked for.
#[test]
fn what_is_not_there_meets_no_condition() {
    let summary = Summary {
        pid: "one".into(),
        process: "it::Rank".to_owned(),
        key: None,
        parent: None,
        state: ProcessState::Running,
        paused: false,
        parked: None,
        status: None,
        steps: 0,
        exit_code: None,
        error: None,
        open_children: 0,
        created_at: NOW,
        updated_at: NOW,
    };
    for text in ["exit = 0", "exit != 0", "key != a", "parent != 1", "input.x != 1", "input.x != null"] {
        assert!(!parse(text).matches(&summary, "{}").unwrap(), "{text}");
    }
    assert!(parse("not exit = 0 and not key = a and not input.x = 1").matches(&summary, "{}").unwrap());
    assert!(parse("paused or root").matches(&summary, "no JSON").unwrap());
    assert!(parse("paused or input.x = 1").matches(&summary, "no JSON").is_err());
    assert!(!parse("paused").asks_for_inputs() && parse("paused or not input.x = 1").asks_for_inputs());
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z*.\"\\\\ ()=!<>-]{0,6}", "[0-9a-f-]{1,8}", Just("and".to_owned())]
}

fn text_is() -> impl Strategy<Value = TextIs> {
    prop_oneof![texts().prop_map(TextIs::Equal), texts().prop_map(TextIs::Prefix)]
}

fn comparisons() -> impl Strategy<Value = Comparison> {
    use Comparison::{AtLeast, AtMost, Equal, Greater, Less, NotEqual};
    prop::sample::select(vec![Equal, NotEqual, Less, AtMost, Greater, AtLeast])
}

fn times() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<i64>(), 0..4_000_000_000_000_i64, -90_000_000_000_000..300_000_000_000_000_i64]
        .prop_map(Timestamp::from_millis)
}

fn scalars() -> impl Strategy<Value = Scalar> {
    // Those floats that JSON reads as it writes them.
    let read = |number: f64| {
        let number = serde_json::Number::from_f64(number)?;
        let again: serde_json::Number = serde_json::from_str(&number.to_string()).ok()?;
        (number == again).then_some(Scalar::Number(number))
    };
    prop_oneof![
        Just(Scalar::Null),
        any::<bool>().prop_map(Scalar::Bool),
        any::<i64>().prop_map(|number| Scalar::Number(number.into())),
        any::<u64>().prop_map(|number| Scalar::Number(number.into())),
        any::<f64>().prop_filter_map("it is no JSON", read),
        texts().prop_map(Scalar::Text),
    ]
}

fn conditions() -> impl Strategy<Value = Condition> {
    let paths = prop::collection::vec(texts(), 1..4);
    prop_oneof![
        prop::sample::select(ProcessState::ALL.to_vec()).prop_map(Condition::State),
        text_is().prop_map(Condition::Name),
        text_is().prop_map(Condition::Id),
        text_is().prop_map(Condition::Key),
        texts().prop_map(|text| Condition::Parent(text.into())),
        prop::sample::select(vec![Condition::Root, Condition::Paused, Condition::Parked, Condition::Failed]),
        (comparisons(), any::<i64>()).prop_map(|(comparison, code)| Condition::Exit(comparison, code)),
        (comparisons(), times()).prop_map(|(comparison, time)| Condition::Created(comparison, time)),
        (comparisons(), times()).prop_map(|(comparison, time)| Condition::Updated(comparison, time)),
        (paths, comparisons(), scalars()).prop_map(|(path, comparison, value)| Condition::Input {
            path,
            comparison,
            value
        }),
    ]
}

fn filters() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![1 => Just(Filter::Every), 9 => conditions().prop_map(Filter::Is)];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|filter| Filter::Not(Box::new(filter))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
            prop::collection::vec(inner, 2..4).prop_map(Filter::Or),
        ]
    })
}

proptest! {
    #[test]
    fn a_filter_is_read_as_it_is_written(filter in filters()) {
        let text = filter.to_string();
        prop_assume!(text.len() <= limits::FILTER_BYTES);
        let read = Filter::parse(&text, NOW).map_err(|error| TestCaseError::fail(format!("{error}\n{}", error.caret())))?;
        prop_assert_eq!(read, filter, "{}", text);
    }

    /// Whatever the text, the answer is a filter or an error within the text.
    #[test]
    fn no_text_is_too_odd(text in prop_oneof![
        any::<String>(),
        prop::collection::vec(prop::sample::select(vec![
            "state", "=", "!=", "(", ")", "and", "or", "not", "input.", "\"a\"", "\"", "*", "created", "-2h", " ", "ä", ".",
        ]), 0..12).prop_map(|words| words.concat()),
    ]) {
        if let Err(error) = Filter::parse(&text, NOW) {
            prop_assert!(text.get(error.at()).is_some());
            prop_assert!(!error.to_string().is_empty());
            prop_assert_eq!(error.caret().to_string().lines().count(), 2);
        }
    }
}
