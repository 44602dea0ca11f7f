//! Texts in pictures: without what could break out of one, broken into lines, and times as people say them.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits;

/// A text on one line, of at most [`limits::PICTURE_TEXT`] characters, without any that a terminal or a reader of XML
/// would not take as text, or that would turn round what stands beside them.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::new();
    for (count, word) in text.split_whitespace().enumerate() {
        if count > 0 {
            clean.push(' ');
        }
        clean.extend(word.chars().map(|c| if is_text(c) { c } else { char::REPLACEMENT_CHARACTER }));
        if clean.len() > 4 * limits::PICTURE_TEXT {
            break;
        }
    }
    if clean.chars().nth(limits::PICTURE_TEXT).is_some() {
        clean = clean.chars().take(limits::PICTURE_TEXT - 1).chain(['…']).collect();
    }
    clean
}

fn is_text(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns && !matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// So many of something.
pub(super) fn counted(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// A span of time in its two greatest units.
pub(super) fn span(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0 => format!("{millis} ms"),
        1..10 => format!("{seconds}.{} s", millis / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min {} s", seconds % 60),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A point in time, to the second.
pub(super) fn instant(time: Timestamp) -> String {
    let seconds = time.as_millis().div_euclid(1_000);
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(day);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar. Years are counted from March, so that the
/// day that not every year has is the last one; 146,097 days are 400 years.
fn date(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

/// How many columns a text takes in a terminal.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// How many columns a character takes: the blocks that matter. A table of all characters is not worth a dependency that
/// each user would build.
pub(super) fn columns_of(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{591}'..='\u{5bd}'
        | '\u{64b}'..='\u{65f}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{200b}'..='\u{200d}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// The text, or as much of it as is no wider than this, with an ellipsis.
pub(super) fn shortened(text: &str, most: usize, width: impl Fn(&str) -> usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        short.push('…');
        let wide = width(&short) > most;
        short.pop();
        if wide {
            short.pop();
            break;
        }
    }
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// The text in lines that are no wider than this, broken behind a space or a sign where there is one; the last line is
/// shortened where there are more.
pub(super) fn lines(text: &str, most: usize, count: usize, width: impl Fn(&str) -> usize) -> Vec<String> {
    let (mut lines, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        if lines.len() + 1 >= count {
            lines.push(shortened(rest, most, &width));
            break;
        }
        let (line, after) = rest.split_at(line_end(rest, most, &width));
        lines.push(line.trim_end().to_owned());
        rest = after.trim_start();
    }
    lines
}

/// Where the first line ends; not before its first character.
fn line_end(text: &str, most: usize, width: impl Fn(&str) -> usize) -> usize {
    let (mut sum, mut end, mut before) = (0, 0, None);
    let mut letter = [0; 4];
    for (at, c) in text.char_indices() {
        sum += width(c.encode_utf8(&mut letter));
        if sum > most && at > 0 {
            // A space at the end of a line takes no room.
            return if c == ' ' { end } else { before.unwrap_or(end) };
        }
        end = at + c.len_utf8();
        if matches!(c, ' ' | '_' | '-' | '/' | '.' | ':' | ',') {
            before = Some(end);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_told_in_two_units() {
        let told = [(0, "0 ms"), (999, "999 ms"), (1_250, "1.2 s"), (59_999, "59 s"), (200_000, "3 min 20 s")];
        let longer = [(3_900_000, "1 h 5 min"), (86_400_000 * 2 + 3_600_000 * 3, "2 d 3 h")];
        for (millis, expected) in told.into_iter().chain(longer) {
            assert_eq!(span(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn points_in_time_are_dates_of_the_calendar() {
        for (millis, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_700_000_000_999, "2023-11-14 22:13:20 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(instant(Timestamp::from_millis(millis)), expected);
        }
        // No time is too far away to be told.
        assert!(instant(Timestamp::from_millis(i64::MAX)).ends_with("UTC"));
        assert!(instant(Timestamp::from_millis(i64::MIN)).ends_with("UTC"));
    }

    #[test]
    fn lines_break_at_signs_and_the_last_one_is_shortened() {
        assert_eq!(lines("run_the_long_calculation", 9, 9, columns), ["run_the_", "long_", "calculati", "on"]);
        assert_eq!(lines("a b c d", 3, 2, columns), ["a b", "c d"]);
        assert_eq!(lines("a b c d e", 3, 2, columns), ["a b", "c…"]);
        assert_eq!(lines("計算する", 4, 9, columns), ["計算", "する"]);
        assert_eq!(lines("計", 1, 9, columns), ["計"], "it goes on where nothing fits");
        assert!(lines("", 4, 9, columns).is_empty());
    }

    #[test]
    fn nothing_but_text_is_left_of_a_text() {
        assert_eq!(clean("a\u{1b}[31m\n b\t\u{202e}c\0"), "a\u{fffd}[31m b \u{fffd}c\u{fffd}");
        let long = clean(&"é".repeat(1_000_000));
        assert_eq!((long.chars().count(), long.chars().last()), (limits::PICTURE_TEXT, Some('…')));
    }
}
