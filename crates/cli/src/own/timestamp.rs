//! Times as tables show them: RFC 3339 in UTC, with milliseconds.
//!
//! Owns: the form. Does not own: patterns of dates (`record::date`), reading times (`moment`).

use std::sync::LazyLock;

use ottla_model::Timestamp;

use super::record::date::Pattern;

/// `2026-02-14T01:02:03.004Z`; nothing for a time that is none.
pub fn iso(time: Timestamp) -> Option<String> {
    static PATTERN: LazyLock<Pattern> = LazyLock::new(Pattern::iso);
    (time.millis() >= 0).then(|| PATTERN.text(time))
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
