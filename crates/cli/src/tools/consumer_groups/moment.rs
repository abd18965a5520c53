//! Points in time as `--to-datetime` and `--by-duration` name them.
//!
//! Owns: reading them as Java does. Does not own: the clock, durations themselves (`ottla_client`).
//!
//! A date and time is `yyyy-MM-ddTHH:mm:ss.SSS` and a zone: `Z`, `+hh:mm` or `+hh`; without one it is in UTC. Numbers may
//! have fewer digits. What stands behind the zone is passed over.

use ottla_client::config::parse_signed_iso_duration;
use ottla_model::Timestamp;
use ottla_model::calendar::days_before;

use super::super::failure::Failure;
use super::topic_list::split;

/// Reads a date and time.
pub(super) fn parse_datetime(text: &str) -> Result<Timestamp, Failure> {
    let class = "java.text.ParseException";
    let parts = split(text, 'T');
    let Some(second) = parts.get(1) else {
        let message = "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format";
        return Err(Failure::new(class, message));
    };
    let zoned = if second.contains(['+', '-', 'Z']) { text.to_owned() } else { format!("{text}Z") };
    let millis = millis_of(&zoned);
    let refused = || Failure::new(class, format!("Unparseable date: \"{zoned}\""));
    millis.map(Timestamp::from_millis).ok_or_else(refused)
}

/// The time so long before `now`.
pub(super) fn before(now: Timestamp, duration: &str) -> Result<Timestamp, Failure> {
    match parse_signed_iso_duration(duration) {
        Some(duration) => {
            let length = i64::try_from(duration.length.as_millis()).unwrap_or(i64::MAX);
            let length = if duration.is_negative { -length } else { length };
            Ok(Timestamp::from_millis(now.millis().saturating_sub(length)))
        }
        None => Err(Failure::new(
            "java.time.format.DateTimeParseException",
            "Text cannot be parsed to a Duration",
        )),
    }
}

const MINUTE_MS: i64 = 60 * 1000;

fn millis_of(text: &str) -> Option<i64> {
    let mut rest = text;
    let year = number(&mut rest, '-', 1..=292_278_993)?;
    let month = number(&mut rest, '-', 1..=12)?;
    let day = number(&mut rest, 'T', 1..=days_of_month(year, month))?;
    let hour = number(&mut rest, ':', 0..=23)?;
    let minute = number(&mut rest, ':', 0..=59)?;
    let second = number(&mut rest, '.', 0..=59)?;
    let (millis, zone) = digits(rest)?;
    let millis = Some(millis).filter(|millis| *millis <= 999)?;
    let hours = days_before(year, month, day) * 24 + hour;
    let local = (hours * 60 + minute) * MINUTE_MS + second * 1000 + millis;
    Some(local - zone_minutes(zone)? * MINUTE_MS)
}

/// A number in a range, and the separator behind it.
fn number(rest: &mut &str, separator: char, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let (number, behind) = digits(rest)?;
    *rest = behind.strip_prefix(separator)?;
    Some(number).filter(|number| range.contains(number))
}

fn digits(text: &str) -> Option<(i64, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let end = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (digits, behind) = text.split_at(end);
    Some((digits.parse().ok()?, behind))
}

/// How far a zone is ahead of UTC.
fn zone_minutes(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t']);
    if text.starts_with('Z') {
        return Some(0);
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let two_digits = |text: Option<&str>, max: i64| -> Option<i64> {
        let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        text.parse().ok().filter(|number| *number <= max)
    };
    let hours = two_digits(text.get(1..3), 23)?;
    let minutes = match text.get(3..4) {
        Some(":") => two_digits(text.get(4..6), 59),
        Some(_) | None => None,
    };
    Some(sign * (hours * 60 + minutes.unwrap_or(0)))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Result<i64, String> {
        let read = parse_datetime(text).map(Timestamp::millis);
        read.map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn a_date_and_time_is_read_as_java_reads_it() {
        assert_eq!(millis("1970-01-01T00:00:00.000"), Ok(0));
        assert_eq!(millis("2026-11-22T15:08:49.872Z"), Ok(1_795_360_129_872));
        assert_eq!(millis("2000-02-29T12:00:00.1"), Ok(951_825_600_001));
        assert_eq!(millis("2020-1-1T0:0:0.000Zxyz"), Ok(1_577_836_800_000));
        assert_eq!(millis("2020-01-01T00:00:00.000+01"), Ok(1_577_833_200_000));
        assert_eq!(millis("2020-01-01T00:00:00.000+0130"), Ok(1_577_833_200_000));
        assert_eq!(millis("2020-01-01T00:00:00.000-01:30"), Ok(1_577_842_200_000));
    }

    #[test]
    fn another_text_is_refused_in_java_s_words() {
        let no_time = "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format";
        assert_eq!(millis("yesterday"), Err(no_time.to_owned()));
        assert_eq!(millis("2020-01-01T"), Err(no_time.to_owned()));
        for refused in [
            "2020-13-01T00:00:00.000Z",
            "2019-02-29T00:00:00.000Z",
            "2020-01-01T24:00:00.000Z",
            "2020-01-01T00:00:00Z",
            "2020-01-01T00:00:00.1000Z",
            "2020-01-01T00:00:00.000+1",
        ] {
            assert_eq!(millis(refused), Err(format!("Unparseable date: \"{refused}\"")));
        }
    }

    #[test]
    fn a_duration_reaches_back_or_ahead() {
        let at = |text: &str| before(Timestamp::from_millis(10_000), text).map(Timestamp::millis);
        assert_eq!(at("PT4S"), Ok(6_000));
        assert_eq!(at("-PT4S"), Ok(14_000));
        assert_eq!(at("P1Y").unwrap_err().message(), "Text cannot be parsed to a Duration");
    }
}
