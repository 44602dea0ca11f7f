//! What plain texts, tags, anchors and merges are read as, and where reading stops.

use procession::limits::{BODY_BYTES, BODY_DEPTH, BODY_NODES};
use procession::message::{MessageError, Node, decode, encode};
use serde_json::{Value, json};

use super::values::shown;

#[track_caller]
fn check(text: &str, expected: &Node) {
    let read = decode(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(shown(&read), shown(expected), "{text:?}");
}

#[track_caller]
fn refused(text: impl AsRef<[u8]>, reason: &str) {
    let error = decode(text.as_ref()).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

/// All that PyYAML 6 reads by YAML 1.1, where newer versions of YAML differ.
#[test]
fn plain_texts_have_the_types_of_yaml_1_1() {
    for (text, value) in [
        ("yes", true),
        ("Yes", true),
        ("YES", true),
        ("on", true),
        ("True", true),
        ("no", false),
        ("Off", false),
        ("FALSE", false),
    ] {
        check(text, &value.into());
    }
    for (text, value) in [
        ("0", 0),
        ("-0", 0),
        ("+12", 12),
        ("017", 15),
        ("-017", -15),
        ("00", 0),
        ("0_", 0),
        ("0b101", 5),
        ("-0b1_0", -2),
        ("0x1F", 31),
        ("+0x_a", 10),
        ("1_000", 1000),
        ("1__0_", 10),
        ("1:30", 90),
        ("-1:00:01", -3601),
        ("190:20:30", 685_230),
        ("!!int '12'", 12),
        ("!!python/long 5", 5),
        ("! 7", 7),
    ] {
        check(text, &Node::from(value));
    }
    for (text, value) in [
        ("1.", 1.0),
        ("1.5", 1.5),
        ("-1_0.2_5", -10.25),
        (".5", 0.5),
        ("1.0e+16", 1e16),
        ("1.5E-3", 1.5e-3),
        ("190:20:30.15", 685_230.15),
        (".inf", f64::INFINITY),
        ("-.INF", f64::NEG_INFINITY),
        ("+.Inf", f64::INFINITY),
        (".nan", f64::NAN),
        (".NaN", f64::NAN),
        ("!!float 1", 1.0),
        ("!!float 1e3", 1000.0),
        ("!!python/float '.5'", 0.5),
    ] {
        check(text, &Node::Float(value));
    }
    for text in ["null", "Null", "NULL", "~", "", "!!null x", "--- ", "# nothing", "!!python/none ''"] {
        check(text, &Node::Null);
    }
    for text in [
        "y",
        "n",
        "yEs",
        "nULL",
        "1e16",
        "1.5e3",
        "5e-324",
        "1:60",
        "08",
        "09",
        "0o17",
        "0b2",
        "0xg",
        "-.5",
        "-.nan",
        "1.e5",
        "+",
        "-a",
        "_1",
        "1-2",
        "2026-1-2",
        "2026-01-02 3:4:5",
        ".",
        "..",
        "1.2.3",
        "a:b",
    ] {
        check(text, &text.trim().into());
    }
    for text in [
        "2026-01-02",
        "2026-1-2 3:04:05",
        "2026-01-02T03:04:05.5Z",
        "2026-01-02t03:04:05 -5:30",
        "2026-01-02 03:04:05+01",
    ] {
        check(text, &Node::tagged("tag:yaml.org,2002:timestamp", text.into()));
    }
}

#[test]
fn integers_of_any_size_are_read_in_every_base() {
    let check = |text: &str, digits: &str| {
        check(text, &digits.parse().map_or_else(|_| Node::Huge(digits.into()), Node::Integer));
    };
    check("170141183460469231731687303715884105727", "170141183460469231731687303715884105727");
    check("-170141183460469231731687303715884105728", "-170141183460469231731687303715884105728");
    check("-170141183460469231731687303715884105729", "-170141183460469231731687303715884105729");
    check("0x1_0000_0000_0000_0000_0000_0000_0000_0000", "340282366920938463463374607431768211456");
    check("-01000000000000000000000000000000000000000000", "-85070591730234615865843651857942052864");
    check("1000000000000000000000000000000000000:00:01", "3600000000000000000000000000000000000001");
    check(&format!("1{}", "0".repeat(4_299)), &format!("1{}", "0".repeat(4_299)));
    refused(format!("1{}", "0".repeat(4_300)), "4300 digits");
    refused(format!("0x1{}", "0".repeat(1_000)), "1000 digits");
}

#[test]
fn texts_are_folded_and_escaped_as_in_yaml_1_1() {
    for (text, value) in [
        ("a\n  b\n\n  c", "a b\nc"),
        ("'bad\n\n  line two'", "bad\nline two"),
        ("'it''s \"'", "it's \""),
        ("\"a \\\n  \\ b\"", "a  b"),
        ("\"a\n  b\"", "a b"),
        ("\"\\x41\\u00e9\\U0001F600\\0\\e\\N\\L\\/\\_\"", "A\u{e9}\u{1f600}\0\u{1b}\u{85}\u{2028}/\u{a0}"),
        ("\"\\ud83d\\ude00 \\ud83d!\"", "\u{1f600} \u{fffd}!"),
        ("|\n  a\n   b\n\n", "a\n b\n"),
        ("|-\n  a\n", "a"),
        ("|+\n  a\n\n", "a\n\n"),
        (">\n  a\n  b\n\n  c\n   d\n", "a b\nc\n d\n"),
        ("|2\n    a\n", "  a\n"),
        ("a\u{85}b", "a b"),
        ("a\u{2028}b", "a\u{2028}b"),
        ("a\r\nb", "a b"),
        ("\u{feff}a", "a"),
    ] {
        check(text, &value.into());
    }
    let utf16 =
        |bytes: fn(u16) -> [u8; 2]| "\u{feff}{a: \u{1f600}}".encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    for message in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
        assert_eq!(Value::from(decode(&message).unwrap()), json!({"a": "\u{1f600}"}));
    }
}

/// How many keys are left of each is what `len(yaml.load(…))` says: Python compares a float and an integer by their exact values.
#[test]
fn keys_that_are_equal_numbers_are_one_key_as_in_python() {
    for (text, keys) in [
        ("{1.0e+23: a, 99999999999999991611392: b}", 1),
        ("{1.0e+23: a, 100000000000000000000000: b}", 2),
        ("{-1.0e+23: a, -99999999999999991611392: b}", 1),
        ("{123456789012345678901234567890.0: a, 123456789012345677877719597056: b}", 1),
        ("{123456789012345678901234567890.0: a, 123456789012345678901234567890: b}", 2),
        ("{9007199254740993.0: a, 9007199254740992: b}", 1),
        ("{9007199254740993: a, 9007199254740992.0: b}", 2),
        ("{0.1: a, 0.10000000000000001: b}", 1),
        ("{0.1: a, 0.10000000000000002: b}", 2),
        ("{1.5: a, 1.50: b}", 1),
        ("{190:20:30.15: a, 685230.15: b}", 1),
        ("{-0.0: a, 0: b}", 1),
        ("{1.0: a, true: b}", 1),
        ("{.nan: a, .nan: b}", 1),
        ("{-.inf: a, .inf: b}", 2),
        ("{.inf: a, 1.7976931348623157e+308: b}", 2),
    ] {
        let read = decode(text.as_bytes()).unwrap();
        assert_eq!(read.as_mapping().unwrap().len(), keys, "{text}");
    }
    let most = format!("{{1.7976931348623157e+308: a, {:.0}: b}}", f64::MAX);
    assert_eq!(decode(most.as_bytes()).unwrap().as_mapping().unwrap().len(), 1);
}

#[test]
fn anchors_merges_and_repeated_keys_are_as_in_pyyaml() {
    for (text, value) in [
        ("a: &x {b: 1}\nc: *x", json!({"a": {"b": 1}, "c": {"b": 1}})),
        ("&x a: *x", json!({"a": "a"})),
        ("a: &x 1\nb: &x 2\nc: *x", json!({"a": 1, "b": 2, "c": 2})),
        ("a: 1\nb: 2\na: 3", json!({"a": 3, "b": 2})),
        ("- {1: a, 1.0: b, yes: c}", json!([{"1": "c"}])),
        ("- &x {a: 1, b: 2}\n- <<: *x\n  b: 3", json!([{"a": 1, "b": 2}, {"a": 1, "b": 3}])),
        (
            "- &x {a: 1}\n- &y {a: 2, b: 2}\n- {b: 3, <<: [*x, *y]}",
            json!([{"a": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 3}]),
        ),
        ("- {<<: {a: 1}, <<: {a: 2}}", json!([{"a": 2}])),
        ("{=: 1, a}", json!({"=": 1, "a": null})),
        ("? a\n? b\n: - c\n  - d", json!({"a": null, "b": ["c", "d"]})),
        ("a:\n- 1\n-\nb:", json!({"a": [1, null], "b": null})),
        ("[a: 1, ? b, [c]: d]", json!(null)),
        ("[a: 1, ? b, {c}, ]", json!([{"a": 1}, {"b": null}, {"c": null}])),
        ("{\"a\":1,'b':[]}", json!({"a": 1, "b": []})),
    ] {
        match decode(text.as_bytes()) {
            Ok(node) => assert_eq!(Value::from(node), value, "{text:?}"),
            Err(error) => assert_eq!(
                (value, error.to_string().contains("cannot be a key")),
                (json!(null), true),
                "{text:?}: {error}"
            ),
        }
    }
    let twenty = (0..20).map(|number| format!("k{number}: {number}")).collect::<Vec<_>>().join("\n");
    let read = decode(format!("{twenty}\nk3: again").as_bytes()).unwrap();
    assert_eq!((read.as_mapping().unwrap().len(), read.get("k3")), (20, Some(&"again".into())));
}

#[test]
fn tags_are_kept_unless_they_say_nothing() {
    let tagged = |tag: &str, node| Node::tagged(tag, node);
    let standard = |tag: &str, node| Node::tagged(format!("tag:yaml.org,2002:{tag}"), node);
    let one = || Node::Sequence(vec![Node::from(1)]);
    for (text, value) in [
        ("!!python/tuple [1]", standard("python/tuple", one())),
        ("!!python/list [1]", one()),
        ("!!seq [1]", one()),
        ("! [1]", one()),
        ("!!str 5", "5".into()),
        ("!!python/unicode yes", "yes".into()),
        ("!!python/dict {}", Node::Mapping(vec![])),
        ("!!set {a}", standard("set", Node::mapping([("a", Node::Null)]))),
        ("!!omap [a: 1]", standard("omap", Node::Sequence(vec![Node::mapping([("a", Node::from(1))])]))),
        ("!!binary |\n  YW\n  Jj\n", standard("binary", "YWJj".into())),
        ("!!python/bytes 'YW Jj'", standard("binary", "YWJj".into())),
        ("!!bool YES", true.into()),
        ("!foo bar", tagged("!foo", "bar".into())),
        ("!foo", tagged("!foo", "".into())),
        ("!<tag:example.org,2000:x%20y%C3%A9> []", tagged("tag:example.org,2000:x y\u{e9}", Node::Sequence(vec![]))),
        ("!!python/name:os.getcwd ''", standard("python/name:os.getcwd", "".into())),
        (
            "!!python/object/apply:os.system [ls]",
            standard("python/object/apply:os.system", Node::Sequence(vec!["ls".into()])),
        ),
        ("%TAG !e! tag:example.org,2000:\n--- !e!x a", tagged("tag:example.org,2000:x", "a".into())),
        ("%YAML 1.1\n---\na", "a".into()),
        ("!!python/object:uuid.UUID {int: 1}", tagged("!uuid", "00000000-0000-0000-0000-000000000001".into())),
    ] {
        check(text, &value);
        assert_eq!(shown(&decode(&encode(&value).unwrap()).unwrap()), shown(&value), "{text:?}, written");
    }
}

#[test]
fn what_pyyaml_refuses_is_refused_with_a_place() {
    for (text, reason) in [
        ("a: b: c", "line 1, column 5: a value of a mapping cannot stand here"),
        ("a\nb: c", "line 2, column 2: a value"),
        ("- a\nb", "line 2, column 1: a `:` is missing after this key"),
        ("- a\nb:", "line 2, column 1: here the sequence should go on with `-`, or end"),
        ("[a", "a `,` or `]` is missing"),
        ("{a: 1]", "a `,` or `}` is missing"),
        ("]", "nothing that this could close"),
        ("'a", "ends within a quoted text"),
        ("\"\\q\"", "no such escape"),
        ("\"\\u12\"", "4 hexadecimal digits"),
        ("\"\\U00110000\"", "no such character"),
        ("'a\n--- b'", "cannot begin a line"),
        ("@a", "nothing can begin with `@`"),
        ("a:\n\t- b", "nothing can begin with `\\t`"),
        ("*x", "no value before this has the anchor `x`"),
        ("&x [*x]", "no value before this has the anchor `x`"),
        ("& a", "the name of an anchor"),
        ("--- a\n--- b", "a second one begins"),
        ("a\n...\nb", "a second one begins"),
        ("!x!y a", "handle `!x!` of a tag is not defined"),
        ("!<a b", "a `>` is missing"),
        ("!%zz a", "hexadecimal"),
        ("!!int a", "no integer"),
        ("0b_", "no integer"),
        ("!!float a", "no number"),
        ("!!bool a", "neither true nor false"),
        ("!!int [1]", "no tag of a collection"),
        ("!!seq a", "tag of collections"),
        ("!!seq {}", "tag of sequences"),
        ("!!set []", "tag of mappings"),
        ("a: =", "`=` can only be a key"),
        ("- <<", "`<<` can only be a key"),
        ("<<: 1", "only a mapping, or a list of mappings, can be merged"),
        ("<<: [1]", "only mappings can be merged"),
        ("{[a]: 1}", "cannot be a key"),
        ("? {a: 1}", "cannot be a key"),
        ("? !!python/tuple [[]]", "cannot be a key"),
        ("|0\n a", "a digit from 1"),
        ("%YAML 2.0\n--- a", "the version of YAML"),
        ("%YAML 1.1\na", "`---` must follow"),
        ("a\u{7}", "U+0007 must be escaped"),
        ("a: \u{fffe}", "line 1, column 4: the character U+FFFE must be escaped"),
    ] {
        refused(text, reason);
    }
    refused(b"a: \xff", "line 1, column 4: this is not UTF-8");
    refused(b"\xff\xfea", "this is not UTF-16");
    refused(b"\xfe\xff\xd8\x00\x00a", "this is not UTF-16");
}

#[test]
fn a_message_beyond_a_limit_is_refused_in_both_directions() {
    let limit = |text: &[u8], reason: &'static str| assert_eq!(decode(text), Err(MessageError::Limit(reason)));
    let (larger, deeper) =
        ("the message is larger than a message may be", "the message is nested deeper than a message may be");
    limit(&vec![b' '; BODY_BYTES + 1], larger);

    // In flow style, in blocks, in a mapping, as pairs; open only, which is where a parser that recurses would end.
    let deep = |open: &str, close: &str, depth: usize| [open.repeat(depth), close.repeat(depth)].concat();
    assert!(decode(deep("[", "]", BODY_DEPTH).as_bytes()).is_ok());
    limit(deep("[", "]", BODY_DEPTH + 1).as_bytes(), deeper);
    assert!(decode(deep("- ", "", BODY_DEPTH).as_bytes()).is_ok());
    limit(deep("- ", "", BODY_DEPTH + 1).as_bytes(), deeper);
    limit(deep("{a: ", "}", BODY_DEPTH + 1).as_bytes(), deeper);
    limit(deep("? ", "", BODY_DEPTH + 1).as_bytes(), deeper);
    limit(deep("[a: ", "]", BODY_DEPTH).as_bytes(), deeper);
    for open in ["[", "{", "- ", "? ", "[a: ", "{? ", "!!seq [", "&a [", "{a: ", "[? "] {
        limit(open.repeat(100_000).as_bytes(), deeper);
    }

    // A billion laughs: nine mappings, each ten times the one before.
    let mut laughs = "- &a0 lol\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        laughs = format!("{laughs}- &a{level} [{before}]\n");
    }
    limit(laughs.as_bytes(), "the message has more values than a message may have");
    let long = format!("- &a {}\n{}", "x".repeat(1 << 20), "- *a\n".repeat(BODY_BYTES >> 20));
    limit(long.as_bytes(), "the message is larger than a message may be, its aliases expanded");
    // An alias below others is as deep as what it stands for.
    let nested =
        format!("- &a {}\n- {}\n", deep("[", "]", 60), ["[".repeat(60), "*a".to_owned(), "]".repeat(60)].concat());
    limit(nested.as_bytes(), deeper);
    // Most of them by aliases, the rest one by one.
    let thousand = format!("- &a [{}]\n", "~,".repeat(1_000));
    let aliases = "- *a\n".repeat(BODY_NODES / 1_002 - 2);
    assert!(decode([&thousand, &*aliases].concat().as_bytes()).is_ok());
    let plain = "- ~\n".repeat(2_000);
    limit([&thousand, &*aliases, &plain].concat().as_bytes(), "the message has more values than a message may have");

    let unwritable =
        |node: &Node, reason: &str| assert_eq!(encode(node), Err(MessageError::Unwritable(reason.to_owned())));
    let mut node = Node::Null;
    for _ in 0..=BODY_DEPTH {
        node = Node::Sequence(vec![node]);
    }
    unwritable(&node, "the value is nested deeper than a message may be");
    unwritable(&Node::Sequence(vec![Node::Null; BODY_NODES]), "the value has more values than a message may have");
    unwritable(&Node::text("x".repeat(BODY_BYTES)), "the value is larger than a message may be");
}

#[test]
fn what_python_has_no_value_for_is_not_written() {
    let refused = |node: &Node, reason: &str| {
        let error = encode(node).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    refused(&Node::Mapping(vec![(Node::Sequence(vec![]), Node::Null)]), "cannot be a key");
    refused(&Node::Huge("12a".into()), "no decimal digits");
    refused(&Node::Huge("0".into()), "no decimal digits");
    refused(&Node::Huge("9".repeat(4_301).into()), "more than 4300");
    refused(&Node::tagged("", "a".into()), "a tag must have a name");
    refused(&Node::tagged("!", "a".into()), "a tag must have a name");
    refused(&Node::tagged("!a", Node::Null), "must be a text, a sequence or a mapping");
}

/// wire.md 4.3, row by row.
#[test]
fn what_is_written_is_json_where_python_reads_json() {
    let uuid = "5ce11889-4c3c-4070-b141-6a751fc498b9";
    for (node, expected) in [
        (json!({"a": [1, true, null, "x"], "b": {}}).into(), r#"{"a": [1, true, null, "x"], "b": {}}"#),
        (Node::Float(1e16), "1.0e+16"),
        (Node::Float(5e-324), "5.0e-324"),
        (Node::Float(1.5e300), "1.5e+300"),
        (Node::Float(1.0), "1.0"),
        (Node::Float(f64::INFINITY), ".inf"),
        (Node::Float(f64::NEG_INFINITY), "-.inf"),
        (Node::Float(f64::NAN), ".nan"),
        ("\u{1f600}\u{e9}".into(), "\"\u{1f600}\u{e9}\""),
        ("\u{7f}\u{80}\u{85}\u{9f}\u{a0}".into(), "\"\\x7f\\x80\\x85\\x9f\u{a0}\""),
        ("\u{fffe}\u{ffff}\u{2028}\u{2029}\u{feff}".into(), r#""\ufffe\uffff\u2028\u2029\ufeff""#),
        ("\"\\/\n\t\r\0".into(), r#""\"\\/\n\t\r\x00""#),
        (
            Node::mapping([("a", Node::tagged("!uuid", uuid.into()))]),
            r#"{"a": !uuid "5ce11889-4c3c-4070-b141-6a751fc498b9"}"#,
        ),
        (Node::tagged("tag:yaml.org,2002:python/tuple", json!([1]).into()), "!!python/tuple [1]"),
        (Node::Mapping(vec![(Node::from(1), Node::Null)]), "{1: null}"),
    ] {
        assert_eq!(String::from_utf8(encode(&node).unwrap()).unwrap(), expected);
    }
    let long = "k".repeat(1_000);
    let written = encode(&Node::mapping([(&*long, Node::Null)])).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), format!("{{? \"{long}\" : null}}"));
}
