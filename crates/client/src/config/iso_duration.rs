//! Durations in ISO-8601 text, as `java.time.Duration` reads them: `P1DT2H3M4.5S`.
//!
//! Owns: the parser. Does not own: which keys and flags take such a text.
//!
//! Source: the answers of `Duration.parse` of Java 17 in the tests.

use std::time::Duration;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// A duration that may point back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedDuration {
    /// Whether it goes back.
    pub is_negative: bool,
    /// How long it is, either way.
    pub length: Duration,
}

/// Reads an ISO-8601 duration of days, hours, minutes and seconds, in any case of letters.
/// Answers `None` for another form, years, months and weeks, and for a negative sum.
pub fn parse_iso_duration(text: &str) -> Option<Duration> {
    let duration = parse_signed_iso_duration(text)?;
    (!duration.is_negative).then_some(duration.length)
}

/// Reads the same with a sum that may be negative.
pub fn parse_signed_iso_duration(text: &str) -> Option<SignedDuration> {
    let upper = text.to_ascii_uppercase();
    let (negative, body) = match upper.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, upper.strip_prefix('+').unwrap_or(&upper)),
    };
    let body = body.strip_prefix('P')?;
    let (days, time) = match body.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (body, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let sum =
        sum_of(days, &[('D', 86_400)])?.checked_add(sum_of(time, &[('H', 3_600), ('M', 60), ('S', 1)])?)?;
    let sum = if negative { -sum } else { sum };
    let nanos = sum.unsigned_abs();
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let length = Duration::new(seconds, u32::try_from(nanos % 1_000_000_000).ok()?);
    Some(SignedDuration { is_negative: sum < 0, length })
}

/// Nanoseconds of numbers followed by the units, each at most once and in this order.
fn sum_of(text: &str, units: &[(char, i128)]) -> Option<i128> {
    let mut rest = text;
    let mut sum = 0_i128;
    for (unit, seconds) in units {
        let Some((number, behind)) = rest.split_once(*unit) else { continue };
        let nanos =
            if *unit == 'S' { nanos_of(number)? } else { whole(number)?.checked_mul(NANOS_PER_SECOND)? };
        sum = sum.checked_add(nanos.checked_mul(*seconds)?)?;
        rest = behind;
    }
    rest.is_empty().then_some(sum)
}

fn whole(text: &str) -> Option<i128> {
    text.parse::<i64>().ok().map(i128::from)
}

/// Nanoseconds of seconds with up to nine digits behind the point.
fn nanos_of(text: &str) -> Option<i128> {
    let (seconds, fraction) = match text.split_once(['.', ',']) {
        Some((seconds, fraction)) => (seconds, fraction),
        None => (text, ""),
    };
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction_nanos = format!("{fraction:0<9}").parse::<i64>().ok()?;
    let signed = if seconds.starts_with('-') { -fraction_nanos } else { fraction_nanos };
    Some(whole(seconds)? * NANOS_PER_SECOND + i128::from(signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_java_reads_them() {
        let millis = |text| parse_iso_duration(text).map(|duration| duration.as_millis());
        assert_eq!(millis("PT1H"), Some(3_600_000));
        assert_eq!(millis("P1D"), Some(86_400_000));
        assert_eq!(millis("P1DT2H3M4.5S"), Some(93_784_500));
        assert_eq!(millis("pt1h"), Some(3_600_000));
        assert_eq!(millis("PT0S"), Some(0));
        assert_eq!(millis("PT36H90M"), Some(135_000_000));
        assert_eq!(millis("P-1DT25H"), Some(3_600_000));
        assert_eq!(millis("PT+1H"), Some(3_600_000));
        for refused in ["", "P", "PT", "-PT1S", "PT-1S", "P1Y", "P1W", "PT1.5H", "PT1M1H", "1H"] {
            assert_eq!(millis(refused), None, "{refused}");
        }
        let back = parse_signed_iso_duration("-PT1S").unwrap();
        assert_eq!((back.is_negative, back.length), (true, Duration::from_secs(1)));
        assert!(!parse_signed_iso_duration("-PT-1S").unwrap().is_negative);
    }
}
