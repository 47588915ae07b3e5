//! Bounds of time as callers write them: what Python's `datetime.fromisoformat` reads, the peer reads and we read.
//!
//! Basic and extended dates, ISO weeks, hours alone, fractions, any one character before the time. A zone is checked
//! and dropped: `filed_at` is naive local time. The result is one form in which order of text is order of time.

use jiff::civil::{Date, ISOWeekDate, Weekday};

use super::error::InputError;

/// Returns a bound as `YYYY-MM-DDTHH:MM:SS`, with a fraction only when it is not zero.
///
/// # Errors
/// Names the field and shows the usual forms.
pub fn bound(value: &str, field: &str) -> Result<String, InputError> {
    let text = value.trim();
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    canonical(text).ok_or_else(|| {
        InputError(format!(
            "{field} must be an ISO date or time such as 2026-01-31 or 2026-01-31T09:00:00, not {value:?}"
        ))
    })
}

fn canonical(text: &str) -> Option<String> {
    if !text.is_ascii() || text.len() < 7 {
        return None;
    }
    let (date, time) = text.split_at_checked(date_len(text.as_bytes()))?;
    let date = parse_date(date)?;
    let time = match time.get(1..) {
        None => Time::default(),
        Some("") => return None,
        Some(time) => parse_time(time)?,
    };
    if time.hour > 23 || time.minute > 59 || time.second > 59 {
        return None;
    }
    let mut out = format!("{date}T{:02}:{:02}:{:02}", time.hour, time.minute, time.second);
    if time.micros > 0 {
        let fraction = format!(".{:06}", time.micros);
        out.push_str(fraction.trim_end_matches('0'));
    }
    Some(out)
}

/// Returns where the date ends. The week forms are ambiguous; these are Python's guesses.
fn date_len(text: &[u8]) -> usize {
    let at = |index: usize| text.get(index).copied();
    let is_digit = |index: usize| at(index).is_some_and(|byte| byte.is_ascii_digit());
    match (at(4), at(5)) {
        (Some(b'-'), Some(b'W')) if at(8) == Some(b'-') && is_digit(10) => 8,
        (Some(b'-'), Some(b'W')) if at(8) == Some(b'-') => 10,
        (Some(b'-'), Some(b'W')) => 8,
        (Some(b'-'), _) => 10,
        (Some(b'W'), _) => {
            let end = (7..text.len()).find(|index| !is_digit(*index)).unwrap_or(text.len());
            match end {
                ..9 => end,
                _ if end.is_multiple_of(2) => 7,
                _ => 8,
            }
        }
        _ => 8,
    }
}

fn parse_date(text: &str) -> Option<Date> {
    let year = i16::try_from(number(text, 0..4)?).ok().filter(|year| *year > 0)?;
    let small = |from: usize, to: usize| i8::try_from(number(text, from..to)?).ok();
    let week = |from: usize, day: i8| {
        let day = Weekday::from_monday_one_offset(day).ok()?;
        Some(ISOWeekDate::new(year, small(from, from + 2)?, day).ok()?.date())
    };
    let bytes = text.as_bytes();
    let dash = |index: usize| bytes[index] == b'-';
    match text.len() {
        7 if bytes[4] == b'W' => week(5, 1),
        8 if bytes[4] == b'W' => week(5, small(7, 8)?),
        8 if dash(4) && bytes[5] == b'W' => week(6, 1),
        8 => Date::new(year, small(4, 6)?, small(6, 8)?).ok(),
        10 if dash(4) && bytes[5] == b'W' && dash(8) => week(6, small(9, 10)?),
        10 if dash(4) && dash(7) => Date::new(year, small(5, 7)?, small(8, 10)?).ok(),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Time {
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
}

/// Reads a time of day and checks, but does not keep, the zone after it.
fn parse_time(text: &str) -> Option<Time> {
    let zone = text.find('-').or_else(|| text.find('+')).or_else(|| text.find('Z'));
    let Some(at) = zone else { return clock(text) };
    let (time, zone) = (clock(&text[..at])?, &text[at..]);
    if zone == "Z" {
        return Some(time);
    }
    // A zone of one or three digits is cut off.
    let offset = clock(&zone[1..]).filter(|_| !matches!(zone.len(), 2 | 4))?;
    (offset.hour < 24).then_some(time)
}

/// Reads `HH[[:]MM[[:]SS[(.|,)ffffff]]]`.
fn clock(text: &str) -> Option<Time> {
    let mut parts = [0; 3];
    let mut at = 0;
    let colons = text.as_bytes().get(2) == Some(&b':');
    for (index, part) in parts.iter_mut().enumerate() {
        *part = number(text, at..at + 2)?;
        at += 2;
        match text.as_bytes().get(at) {
            None => break,
            Some(_) if index == 2 => break,
            Some(b':') if colons => at += 1,
            Some(b'.' | b',') if !colons => break,
            Some(_) if colons => return None,
            Some(_) => {}
        }
    }
    let micros = match text.get(at..)?.strip_prefix(['.', ',']) {
        Some(fraction) if !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit()) => {
            let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
            digits.parse().ok()?
        }
        Some(_) => return None,
        None if at == text.len() => 0,
        None => return None,
    };
    let [hour, minute, second] = parts;
    Some(Time { hour, minute, second, micros })
}

fn number(text: &str, range: std::ops::Range<usize>) -> Option<u32> {
    let digits = text.get(range)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `datetime.fromisoformat` of Python 3.11 makes of each text.
    #[test]
    fn bounds_are_read_as_python_reads_them() {
        for (given, expect) in [
            ("2026-01-31", "2026-01-31T00:00:00"),
            ("20200101", "2020-01-01T00:00:00"),
            ("2020-W01-1", "2019-12-30T00:00:00"),
            ("2020W011", "2019-12-30T00:00:00"),
            ("2020W01", "2019-12-30T00:00:00"),
            ("2020-W53-7", "2021-01-03T00:00:00"),
            ("2020-W01T10", "2019-12-30T10:00:00"),
            ("2020-W01-1T10", "2019-12-30T10:00:00"),
            ("2020-W01-10", "2019-12-30T10:00:00"),
            ("2020W01110", "2019-12-30T10:00:00"),
            ("2020-01-01T10", "2020-01-01T10:00:00"),
            ("2020-01-01x10", "2020-01-01T10:00:00"),
            ("2020-01-01 10:11", "2020-01-01T10:11:00"),
            ("20200101T101112", "2020-01-01T10:11:12"),
            ("20200101T10.5", "2020-01-01T10:00:00.5"),
            ("2020-01-01T10:11:12,5", "2020-01-01T10:11:12.5"),
            ("2020-01-01T10:11:12.1234567", "2020-01-01T10:11:12.123456"),
            ("2020-01-01T10:11:12.000", "2020-01-01T10:11:12"),
            ("2020-01-01T10+02", "2020-01-01T10:00:00"),
            ("2020-01-01T10-0800", "2020-01-01T10:00:00"),
            ("2020-01-01T1011+0200", "2020-01-01T10:11:00"),
            ("2020-01-01T10:11:12.12+02:00", "2020-01-01T10:11:12.12"),
            (" 2020-01-01T10:11:12Z ", "2020-01-01T10:11:12"),
            ("2024-02-29", "2024-02-29T00:00:00"),
        ] {
            assert_eq!(bound(given, "since").as_deref(), Ok(expect), "{given}");
        }
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for bad in [
            "",
            "yesterday",
            "2023-02-29",
            "2026-13-01",
            "2026-1-1",
            "0000-01-01",
            "2021-W53-1",
            "2020W0110",
            "2020-01-01T",
            "2020-01-01T10:1",
            "2020-01-01T101:12",
            "2020-01-01T24:00",
            "2020-01-01T10:11:60",
            "2020-01-01T10:11:12.",
            "2020-01-01T10+",
            "2020-01-01T10+02:0",
            "2020-01-01T10+25:00",
            "2026-01-31Tx",
            "２０２６-01-01",
        ] {
            assert!(bound(bad, "since").unwrap_err().0.starts_with("since "), "{bad}");
        }
    }
}
