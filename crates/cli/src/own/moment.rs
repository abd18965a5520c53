//! Points in time as people write them.
//!
//! Owns: reading them. Does not own: the clock, the calendar (`ottla_model::calendar`), printing dates (`record::date`).
//!
//! | Text | Means |
//! |---|---|
//! | `1700000000000` | milliseconds since 1970, 13 digits |
//! | `1700000000` | seconds since 1970, 9 or 10 digits |
//! | `2026-02-14` | the beginning of that day in UTC |
//! | `2026-02-14T01:02:03Z`, `…:03.5+02:00` | RFC 3339 |
//! | `-1h30m` | so long ago; units `d`, `h` (or `hr`), `m`, `s`, `ms` |

use ottla_model::Timestamp;
use ottla_model::calendar::{DAY_MS, date_of, days_before};

/// What is allowed, for messages.
pub const ALLOWED: &str = "milliseconds (13 digits), seconds (9 or 10 digits), a day (2026-02-14), RFC 3339 \
                           (2026-02-14T01:02:03Z), or how long ago (-1h30m)";

/// Reads a point in time.
pub fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(ago) = text.strip_prefix('-') {
        return Some(now.plus_millis(-duration_ms(ago)?));
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match (is_number, text.len()) {
        (true, 13) => text.parse().ok().map(Timestamp::from_millis),
        (true, 9 | 10) => text.parse::<i64>().ok().map(|seconds| Timestamp::from_millis(seconds * 1000)),
        _ => parse_date(text).map(Timestamp::from_millis),
    }
}

/// Milliseconds of a length such as `1h30m`.
pub fn duration_ms(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut sum = 0i64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let unit = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at(unit);
        let unit_ms = match unit {
            "d" => DAY_MS,
            "h" | "hr" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(unit_ms)?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}

fn parse_date(text: &str) -> Option<i64> {
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let midnight = days_of(day)? * DAY_MS;
    let Some(time) = time else { return Some(midnight) };
    let zone_at = time.find(['Z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    Some(midnight + clock_ms(clock)? - zone_minutes(zone)? * 60_000)
}

/// A number of exactly so many digits, in a range.
fn digits(text: &str, count: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().filter(|number| range.contains(number))
}

fn days_of(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let year = digits(parts.next()?, 4, 1970..=9999)?;
    let month = digits(parts.next()?, 2, 1..=12)?;
    let day = digits(parts.next()?, 2, 1..=31)?;
    let days = days_before(year, month, day);
    // The 31st of a month with 30 days would be a day of the next one.
    (parts.next().is_none() && date_of(days) == (year, month, day)).then_some(days)
}

fn clock_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = whole.split(':');
    let hour = digits(parts.next()?, 2, 0..=23)?;
    let minute = digits(parts.next()?, 2, 0..=59)?;
    let second = digits(parts.next()?, 2, 0..=59)?;
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let padded: String = fraction.chars().chain("000".chars()).take(3).collect();
    let millis = is_fraction.then(|| padded.parse::<i64>().ok()).flatten()?;
    parts.next().is_none().then_some(((hour * 60 + minute) * 60 + second) * 1000 + millis)
}

/// Minutes by which a zone is ahead of UTC.
fn zone_minutes(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    Some(sign * (digits(hours, 2, 0..=23)? * 60 + digits(minutes, 2, 0..=59)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_forms() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        for (text, millis) in [
            ("1700000000123", 1_700_000_000_123),
            ("1700000000", 1_700_000_000_000),
            ("1970-01-02", 86_400_000),
            ("2000-02-29", 951_782_400_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-15T00:13:20.5+02:00", 1_700_000_000_500),
            ("-1h30m", 1_700_000_000_000 - 5_400_000),
            ("-500ms", 1_699_999_999_500),
        ] {
            assert_eq!(parse(text, now), Some(Timestamp::from_millis(millis)), "{text}");
        }
        for text in
            ["", "-", "12", "yesterday", "2023-02-29", "2023-13-01", "2023-11-14T22:13", "-1x", "-h", "1h"]
        {
            assert_eq!(parse(text, now), None, "{text}");
        }
    }
}
