//! Times as they are printed: RFC 3339 in UTC, with milliseconds.
//!
//! Owns: the form. Does not own: reading times, the calendar (`moment`).

use ottla_model::Timestamp;

use super::moment::date_of;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// `2026-02-14T01:02:03.004Z`; nothing for a time that is none.
pub fn iso(time: Timestamp) -> Option<String> {
    let millis = time.millis();
    if millis < 0 {
        return None;
    }
    let (year, month, day) = date_of(millis / DAY_MS);
    let of_day = millis % DAY_MS;
    let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", of_day % 1000))
}

#[cfg(test)]
mod tests {
    use super::super::moment;
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        for millis in [0, 951_782_399_999, 1_700_000_000_123, 4_102_444_800_000] {
            let time = Timestamp::from_millis(millis);
            let text = iso(time).unwrap();
            assert_eq!(moment::parse(&text, Timestamp::from_millis(0)), Some(time), "{text}");
        }
        assert_eq!(iso(Timestamp::from_millis(1_700_000_000_123)).unwrap(), "2023-11-14T22:13:20.123Z");
        assert_eq!(iso(Timestamp::from_millis(-1)), None);
    }
}
