//! Times in the text of a filter.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;

/// A point in time, or how long before the present one it was.
pub(super) fn parse(word: &str, now: Timestamp) -> Option<Timestamp> {
    if word == "now" {
        return Some(now);
    }
    if let Some(millis) = word.strip_prefix('@') {
        return millis.parse().ok().map(Timestamp::from_millis);
    }
    if let Some(ago) = word.strip_prefix('-') {
        return before(now, ago);
    }
    let time = word.parse::<jiff::Timestamp>().ok();
    // Of a time without an offset, it would be the day.
    let is_day = !word.contains(['T', 't', ' ', ':']);
    let day = || word.parse::<jiff::civil::Date>().ok().filter(|_| is_day)?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let time = time.or_else(|| day().map(|day| day.timestamp()))?;
    Some(Timestamp::from_millis(time.as_millisecond()))
}

fn before(now: Timestamp, ago: &str) -> Option<Timestamp> {
    let unit = ago.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 24 * 3_600,
        'w' => 7 * 24 * 3_600,
        _ => return None,
    };
    let digits = &ago[..ago.len() - unit.len_utf8()];
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let ago = Duration::from_secs(digits.parse::<u64>().ok()?.checked_mul(seconds)?);
    let millis = now.as_millis().checked_sub(i64::try_from(ago.as_millis()).ok()?)?;
    Some(Timestamp::from_millis(millis))
}

/// As it is read again: RFC 3339, or the milliseconds where that has no such year.
pub(super) fn write(f: &mut fmt::Formatter<'_>, time: Timestamp) -> fmt::Result {
    match jiff::Timestamp::from_millisecond(time.as_millis()) {
        // Before the year 0 it needs a sign, which would be a word of another kind.
        Ok(known) if !known.to_string().starts_with('-') => write!(f, "{known}"),
        _ => write!(f, "@{}", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let cases = [
            ("now", Some(1_700_000_000_000)),
            ("-90s", Some(1_699_999_910_000)),
            ("-5m", Some(1_699_999_700_000)),
            ("-2h", Some(1_699_992_800_000)),
            ("-7d", Some(1_699_395_200_000)),
            ("-1w", Some(1_699_395_200_000)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000_000)),
            ("2023-11-14T23:13:20.5+01:00", Some(1_700_000_000_500)),
            ("2023-11-14", Some(1_699_920_000_000)),
            ("@-5", Some(-5)),
            ("-2", None),
            ("-h", None),
            ("-+2h", None),
            ("-2y", None),
            ("-99999999999999999999d", None),
            ("2023-11-14T22:13:20", None),
            ("yesterday", None),
            ("-ä", None),
        ];
        for (word, expected) in cases {
            assert_eq!(parse(word, now), expected.map(Timestamp::from_millis), "{word}");
        }
    }
}
