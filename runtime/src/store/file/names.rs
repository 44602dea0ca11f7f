//! File names for ids, keys and tags, whatever they contain.

use uuid::Uuid;

/// The longest name: two of them and what stands round them are a file name on every file system.
const NAME_MAX: usize = 100;
/// Of a text whose name would be longer, so much is kept for people to recognise it by.
const HEAD_MAX: usize = 60;

/// Names that some systems keep for devices.
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// The file name of a text: small letters, digits, `-` and `_` stand for themselves, and every other byte is `%` and
/// two hexadecimal digits. So no two texts have one name, also where the system does not tell `A` from `a`, and none
/// is `.`, a device or hidden. Of a long text the name is its beginning, `~` and a hash.
pub(super) fn encode(text: &str) -> String {
    if text.is_empty() {
        return "%".to_owned();
    }
    let mut name = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let plain = byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || (byte == b'-' && at > 0);
        if plain && !(at == 0 && is_reserved(text)) {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
        }
        if name.len() > NAME_MAX {
            return shorten(&name, text);
        }
    }
    name
}

fn is_reserved(text: &str) -> bool {
    let stem = text.trim_end_matches(|c: char| c.is_ascii_digit());
    RESERVED.contains(&stem)
}

fn shorten(name: &str, text: &str) -> String {
    // Not in the middle of an escape.
    let cut = name[..HEAD_MAX].rfind('%').filter(|at| at + 3 > HEAD_MAX).unwrap_or(HEAD_MAX);
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple();
    format!("{}~{hash}", &name[..cut])
}

/// Whether it is the name of a long text, of which it does not hold all.
pub(super) fn is_short(name: &str) -> bool {
    name.split_once('~').is_some_and(|(head, hash)| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"%-_".contains(&byte);
        hash.len() == 32 && !head.is_empty() && head.bytes().chain(hash.bytes()).all(plain)
    })
}

/// The text of a name; none of a long text, whose name does not hold all of it, or of a name that is not ours.
pub(super) fn decode(name: &str) -> Option<String> {
    if name == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match first {
            b'%' => {
                let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &tail[2..];
            }
            b'~' => return None,
            byte => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok().filter(|text| encode(text) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_one_safe_name() {
        let long = "x".repeat(10_000);
        let odd = [
            "",
            ".",
            "..",
            "/",
            "a/b",
            "a\\b",
            "relax-1",
            "Relax-1",
            "RELAX-1",
            "con",
            "CON",
            "nul",
            "com1",
            "lpt9",
            "-rf",
            "a b",
            "a%41",
            "%",
            "~",
            "@",
            "ä€😀",
            "a\0b",
            "a\nb",
            "x.json",
            "journal",
            ".tmp",
            "*?<>|\":",
            "0190163d-8694-739b-aea5-966c26f8ad91",
            &long,
            &long[..101],
            &long[..100],
            &"ä".repeat(40),
        ];
        let mut names = Vec::new();
        for text in odd {
            let name = encode(text);
            assert!(!name.is_empty() && name.len() <= NAME_MAX, "{text:?}: {name}");
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"%~-_".contains(&byte))
            );
            assert!(!is_reserved(&name) && !name.starts_with('-'), "{name}");
            assert_eq!(is_short(&name), name.contains('~'), "{name}");
            if name.contains('~') {
                assert_eq!(decode(&name), None);
            } else {
                assert_eq!(decode(&name).as_deref(), Some(text), "{name}");
            }
            names.push(name.to_ascii_lowercase());
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), odd.len());
    }

    #[test]
    fn a_name_that_is_not_ours_has_no_text() {
        let hash = "0".repeat(32);
        for name in ["%4", "%zz", "A", "a.b", "%61", "%ff", "~", "a~b", &format!("../a~{hash}"), &format!("~{hash}")] {
            assert_eq!(decode(name), None, "{name}");
            assert!(!is_short(name), "{name}");
        }
    }

    #[test]
    fn a_shortened_name_is_cut_between_bytes() {
        for shift in 0..4 {
            let name = encode(&format!("{}{}", "a".repeat(shift), "ä".repeat(100)));
            let (head, hash) = name.split_once('~').unwrap();
            assert!(decode(head).is_some() || head.ends_with("%c3"), "{name}");
            assert_eq!(hash.len(), 32);
        }
    }
}
