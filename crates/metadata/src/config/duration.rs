//! Durations of ISO 8601 as `java.time.Duration` reads them.
//!
//! Owns: whether a text is one. Does not own: its length, which nobody below the share groups asks for.
//!
//! Source: `by_duration:` values of `share.auto.offset.reset` (KIP-932), recorded in
//! `tests/data/config-verdicts.tsv`.

/// Whether the text is a duration that is not negative: `P1D`, `PT36H`, `pt0.5s`, `P2DT3H4M`.
///
/// Days stand before the `T`, hours, minutes and seconds behind it, at least one of them anywhere.
pub(crate) fn is_iso_duration(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let Some(body) = text.strip_prefix('P').or_else(|| text.strip_prefix("+P")) else { return false };
    let (days, time) = match body.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None => (body, None),
    };
    let days_are_legal = days.is_empty() || days.strip_suffix('D').is_some_and(is_whole);
    let time_is_legal = match time {
        Some(time) => is_time(time),
        None => !days.is_empty(),
    };
    days_are_legal && time_is_legal
}

/// Hours, minutes and seconds in this order, at least one of them.
fn is_time(text: &str) -> bool {
    let mut rest = text;
    for unit in ['H', 'M'] {
        if let Some((number, behind)) = rest.split_once(unit) {
            if !is_whole(number) {
                return false;
            }
            rest = behind;
        }
    }
    let seconds_are_legal = rest.is_empty() || rest.strip_suffix('S').is_some_and(is_seconds);
    !text.is_empty() && seconds_are_legal
}

fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Seconds may have up to nine digits behind the point or comma.
fn is_seconds(text: &str) -> bool {
    match text.split_once(['.', ',']) {
        None => is_whole(text),
        Some((whole, fraction)) => {
            is_whole(whole) && fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_in_order_and_are_not_negative() {
        for legal in ["P1D", "PT36H", "pt0.5s", "P2DT3H4M", "PT1H2M3.000000001S", "+PT1S", "PT0S"] {
            assert!(is_iso_duration(legal), "{legal}");
        }
        for illegal in ["", "P", "PT", "1D", "PD", "P1", "PT1M2H", "-PT1H", "PT-1H", "P1DT", "P1W", "PT1.5H"]
        {
            assert!(!is_iso_duration(illegal), "{illegal}");
        }
    }
}
