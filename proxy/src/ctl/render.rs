//! Numbers, sizes, ages and columns as people read them. Pure: the present moment is an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns UTC seconds since 1970.
pub fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Returns a span in its two leading units at most: `8 s`, `3 min`, `2 h 5 min`, `4 d 1 h`.
pub fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Returns how long ago a time in RFC 3339 was, or the time itself when it is not understood.
pub fn age(time: &str, now: i64) -> String {
    seconds(time).map_or_else(|| time.to_owned(), |then| span(u64::try_from(now - then).unwrap_or(0)))
}

/// Returns a size in bytes with a decimal unit.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if unit == 0 || value >= 9.95 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// Returns a count with its noun, in the plural where it belongs: `1 wing`, `1,204 drawers`.
pub fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Returns a number with its thousands set apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns rows with every column but the last as wide as its widest cell.
pub fn columns(rows: &[Vec<String>]) -> String {
    let column_count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..column_count).map(|column| width(column).unwrap_or(0)).collect();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let padded: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            padded.join("  ").trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
}

/// Reads `YYYY-MM-DDTHH:MM:SS` with `Z` or a fraction and `Z` behind it: the only form the daemon writes.
fn seconds(time: &str) -> Option<i64> {
    let bytes = time.as_bytes();
    if bytes.len() < 20 || bytes.last() != Some(&b'Z') {
        return None;
    }
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    Some(days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Counts days in years that begin in March, so that a leap day is the last of its year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_two_units_at_most() {
        let cases = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_600, "1 h"),
            (7_500, "2 h 5 min"),
            (86_400, "1 d"),
            (349_200, "4 d 1 h"),
        ];
        for (seconds, expect) in cases {
            assert_eq!(span(seconds), expect);
        }
    }

    #[test]
    fn ages_count_from_the_daemons_own_form_of_time() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T12:00:00Z"), Some(951_825_600));
        assert_eq!(seconds("2026-10-01T00:00:01.5Z"), Some(1_790_812_801));
        assert_eq!(age("1970-01-01T00:01:00Z", 90), "30 s");
        assert_eq!(age("1970-01-01T00:01:00Z", 0), "0 s");
        assert_eq!(age("yesterday", 0), "yesterday");
    }

    #[test]
    fn sizes_and_counts() {
        let sizes =
            [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (12_345_678, "12 MB"), (999_999, "1.0 MB")];
        for (bytes, expect) in sizes {
            assert_eq!(size(bytes), expect);
        }
        assert_eq!(count(1, "wing"), "1 wing");
        assert_eq!(count(1_234_567, "drawer"), "1,234,567 drawers");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".into(), "b".into()], vec!["long".into(), "c".into()], vec!["é".into()]];
        assert_eq!(columns(&rows), "a     b\nlong  c\né");
    }
}
