//! Where reading begins and ends, in the words of rpk's `--offset`.
//!
//! Owns: the texts. Does not own: finding the offsets they stand for (`ends`).
//!
//! | Text | Begins | Ends |
//! |---|---|---|
//! | `start`, `end` | at the first record; behind the last one | never |
//! | `N` | at offset N | never |
//! | `+N`, `-N` | N behind the first record; N before the end | never |
//! | `A:B` | at A: one of the above | before B: an offset, `+N`, `-N`, or `end` as it is now |
//! | `A:`, `:B` | as `A`; as `start:B` | |
//! | `@T` | at the first record of this time or later (`moment`) | never |
//! | `@T:U` | the same | before time U, or so long behind T (`1h`), or at `end` |
//! | `@T:`, `@:U` | as `@T`; at the first record | as above |
//!
//! Source: the help of `rpk topic consume`. Of a time `-1h` behind the colon it has two readings; here it is an hour ago.

use ottla_model::{Offset, Timestamp};

use super::moment;
use super::refusal::Refusal;

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Start,
    End,
    At(Offset),
    /// So many records behind the start.
    BehindStart(i64),
    /// So many records before the end.
    BeforeEnd(i64),
    Time(Timestamp),
}

/// What is read of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Place,
    /// The first place that is not read any more; `None` waits for records to come.
    pub until: Option<Place>,
}

impl Span {
    /// Reads the text of a flag.
    pub fn parse(text: &str, now: Timestamp) -> Result<Span, Refusal> {
        let span = match text.strip_prefix('@') {
            Some(times) => times_of(times, now),
            None => offsets_of(text),
        };
        span.ok_or_else(|| {
            Refusal::usage(format!("'{text}' is no offset"))
                .detail("Allowed are start, end, N, +N, -N, a range A:B of these, @TIME and @TIME:TIME")
                .hint(format_args!("A time is {}", moment::ALLOWED))
        })
    }
}

fn place_of(text: &str) -> Option<Place> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<i64>().ok()).flatten()
    };
    match text {
        "start" => Some(Place::Start),
        "end" => Some(Place::End),
        _ => match text.split_at_checked(1)? {
            ("+", count) => number(count).map(Place::BehindStart),
            ("-", count) => number(count).map(Place::BeforeEnd),
            _ => Offset::new(number(text)?).map(Place::At),
        },
    }
}

fn offsets_of(text: &str) -> Option<Span> {
    let Some((from, until)) = text.split_once(':') else {
        return Some(Span { from: place_of(text)?, until: None });
    };
    let from = if from.is_empty() { Place::Start } else { place_of(from)? };
    if until.is_empty() {
        return (text != ":").then_some(Span { from, until: None });
    }
    let until = place_of(until).filter(|until| *until != Place::Start)?;
    // A range that ends before it begins is a slip.
    let is_backwards = matches!((from, until), (Place::At(a), Place::At(b)) if b < a);
    (!is_backwards).then_some(Span { from, until: Some(until) })
}

fn times_of(text: &str, now: Timestamp) -> Option<Span> {
    if let Some(from) = moment::parse(text.strip_suffix(':').unwrap_or(text), now) {
        return Some(Span { from: Place::Time(from), until: None });
    }
    if let Some(until) = text.strip_prefix(':') {
        let until = if until == "end" { Place::End } else { Place::Time(moment::parse(until, now)?) };
        return Some(Span { from: Place::Start, until: Some(until) });
    }
    // A time has colons of its own.
    text.match_indices(':').find_map(|(at, _)| {
        let from = moment::parse(&text[..at], now)?;
        let until = match &text[at + 1..] {
            "end" => Place::End,
            until => {
                let time = match moment::duration_ms(until) {
                    Some(length) => from.plus_millis(length),
                    None => moment::parse(until, now)?,
                };
                (time >= from).then_some(Place::Time(time))?
            }
        };
        Some(Span { from: Place::Time(from), until: Some(until) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    fn at(offset: i64) -> Place {
        Place::At(Offset::new(offset).unwrap())
    }

    fn time(millis: i64) -> Place {
        Place::Time(Timestamp::from_millis(millis))
    }

    #[test]
    fn offsets_and_ranges_are_read_as_rpk_reads_them() {
        for (text, from, until) in [
            ("start", Place::Start, None),
            ("end", Place::End, None),
            ("7", at(7), None),
            ("+7", Place::BehindStart(7), None),
            ("-7", Place::BeforeEnd(7), None),
            (":end", Place::Start, Some(Place::End)),
            ("3:9", at(3), Some(at(9))),
            ("-2:end", Place::BeforeEnd(2), Some(Place::End)),
            ("7:", at(7), None),
            (":7", Place::Start, Some(at(7))),
            ("+1:-1", Place::BehindStart(1), Some(Place::BeforeEnd(1))),
            ("@1970-01-02:", time(86_400_000), None),
            ("@:1970-01-02", Place::Start, Some(time(86_400_000))),
            ("@:-1hr", Place::Start, Some(time(1_699_996_400_000))),
            ("@-48h:-24h", time(1_699_827_200_000), Some(time(1_699_913_600_000))),
            ("@1700000000000", time(1_700_000_000_000), None),
            ("@1970-01-02:1h", time(86_400_000), Some(time(90_000_000))),
            ("@-2s:-1s", time(1_699_999_998_000), Some(time(1_699_999_999_000))),
            ("@2023-11-14T22:13:20Z:end", time(1_700_000_000_000), Some(Place::End)),
            (
                "@2023-11-14T22:13:20Z:2023-11-14T22:13:21Z",
                time(1_700_000_000_000),
                Some(time(1_700_000_001_000)),
            ),
        ] {
            assert_eq!(Span::parse(text, now()).unwrap(), Span { from, until }, "{text}");
        }
    }

    #[test]
    fn what_is_no_offset_is_refused_with_what_is_allowed() {
        for text in [
            "",
            "x",
            "-",
            "+",
            ":",
            "9:3",
            "@:",
            "3:start",
            "@",
            "@x",
            "@-1s:-2s",
            "1.5",
            "--1",
            "99999999999999999999",
        ] {
            let refusal = Span::parse(text, now()).unwrap_err().to_string();
            assert!(
                refusal.contains(&format!("'{text}' is no offset\ndetail: Allowed are start")),
                "{refusal}"
            );
        }
    }
}
