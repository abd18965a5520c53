//! Timestamps as dates: patterns of `strftime` and of Go, in UTC.
//!
//! Owns: the patterns and their fields. Does not own: reading times (`moment`), the calendar (`ottla_model::calendar`).
//!
//! Names of days and months are English; what depends on a locale is as in the locale of C.

use ottla_model::Timestamp;
use ottla_model::calendar::{DAY_MS, MONTHS, WEEKDAYS, date_of, day_of_year, weekday};

/// A pattern for dates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Field(Field),
}

/// A field of a date. The number is the least count of digits; where that is 2 and the fill is a blank, the name ends
/// in `Blank`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Year,
    YearOfCentury,
    Century,
    Month(usize),
    MonthName,
    MonthShort,
    Day(usize),
    DayBlank,
    DayOfYear(usize),
    Hour(usize),
    HourBlank,
    HalfDayHour(usize),
    HalfDayHourBlank,
    Minute(usize),
    Second(usize),
    /// So many digits behind the point, without it.
    Fraction(usize),
    /// The point and at most so many digits, without zeros at the end.
    FractionTrimmed(usize),
    HalfDayUpper,
    HalfDayLower,
    WeekdayName,
    WeekdayShort,
    /// Monday is 1, Sunday 7.
    WeekdayFromMonday,
    /// Sunday is 0.
    WeekdayFromSunday,
    EpochSeconds,
}

/// Go's way: a pattern is the time of 2 January 2006, 15:04:05, in zone MST (-0700). Longer ones first.
const GO: &[(&str, Field)] = &[
    ("January", Field::MonthName),
    ("Jan", Field::MonthShort),
    ("Monday", Field::WeekdayName),
    ("Mon", Field::WeekdayShort),
    ("2006", Field::Year),
    ("002", Field::DayOfYear(3)),
    ("01", Field::Month(2)),
    ("02", Field::Day(2)),
    ("03", Field::HalfDayHour(2)),
    ("04", Field::Minute(2)),
    ("05", Field::Second(2)),
    ("06", Field::YearOfCentury),
    ("15", Field::Hour(2)),
    ("_2", Field::DayBlank),
    ("PM", Field::HalfDayUpper),
    ("pm", Field::HalfDayLower),
    ("1", Field::Month(1)),
    ("2", Field::Day(1)),
    ("3", Field::HalfDayHour(1)),
    ("4", Field::Minute(1)),
    ("5", Field::Second(1)),
];

/// Zones of a pattern of Go, and what they are in UTC.
const GO_ZONES: &[(&str, &str)] = &[
    ("MST", "UTC"),
    ("Z07:00", "Z"),
    ("Z0700", "Z"),
    ("Z07", "Z"),
    ("-07:00", "+00:00"),
    ("-0700", "+0000"),
    ("-07", "+00"),
];

impl Pattern {
    /// RFC 3339 with milliseconds.
    pub fn iso() -> Pattern {
        Pattern::of_go("2006-01-02T15:04:05.000Z07:00")
    }

    /// Reads a pattern of `strftime`. The error names the field that is none.
    pub fn of_strftime(text: &str) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                pieces.push(Piece::Literal(character.to_string()));
                continue;
            }
            let letter = characters.next().ok_or("a % stands at the end of the pattern")?;
            match (strftime_field(letter), strftime_shorthand(letter)) {
                (Some(field), _) => pieces.push(Piece::Field(field)),
                (None, Some(long)) => pieces.extend(Pattern::of_strftime(long)?.0),
                (None, None) => match strftime_literal(letter) {
                    Some(literal) => pieces.push(Piece::Literal(literal.to_owned())),
                    None => return Err(format!("%{letter} is no field of strftime that is known here")),
                },
            }
        }
        Ok(Pattern(pieces))
    }

    /// Reads a pattern of Go, in which everything that is no field stands for itself.
    pub fn of_go(text: &str) -> Pattern {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (piece, length) =
                go_piece(rest).unwrap_or_else(|| (Piece::Literal(first.to_string()), first.len_utf8()));
            pieces.push(piece);
            rest = rest.get(length..).unwrap_or_default();
        }
        Pattern(pieces)
    }

    /// The time as text.
    pub fn text(&self, time: Timestamp) -> String {
        let clock = Clock::of(time);
        let piece = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Field(field) => clock.field(*field),
        };
        self.0.iter().map(piece).collect()
    }
}

/// The field, zone or fraction that a pattern of Go begins with, and its length.
fn go_piece(text: &str) -> Option<(Piece, usize)> {
    if let Some((name, utc)) = GO_ZONES.iter().find(|(name, _)| text.starts_with(name)) {
        return Some((Piece::Literal((*utc).to_owned()), name.len()));
    }
    if let Some((name, field)) = GO.iter().find(|(name, _)| text.starts_with(name)) {
        return Some((Piece::Field(*field), name.len()));
    }
    let behind = text.strip_prefix('.')?;
    let run = |digit: char| behind.len() - behind.trim_start_matches(digit).len();
    let (zeros, nines) = (run('0'), run('9'));
    let digits = zeros.max(nines);
    let ends = !behind.chars().nth(digits).is_some_and(|next| next.is_ascii_digit());
    match (zeros, nines) {
        (0, 0) => None,
        _ if !ends => None,
        // The point stays a literal of its own.
        (_, 0) => Some((Piece::Field(Field::Fraction(zeros)), zeros + 1)),
        _ => Some((Piece::Field(Field::FractionTrimmed(nines)), nines + 1)),
    }
}

fn strftime_field(letter: char) -> Option<Field> {
    Some(match letter {
        'Y' | 'G' => Field::Year,
        'y' => Field::YearOfCentury,
        'C' => Field::Century,
        'm' => Field::Month(2),
        'B' => Field::MonthName,
        'b' | 'h' => Field::MonthShort,
        'd' => Field::Day(2),
        'e' => Field::DayBlank,
        'j' => Field::DayOfYear(3),
        'H' => Field::Hour(2),
        'k' => Field::HourBlank,
        'I' => Field::HalfDayHour(2),
        'l' => Field::HalfDayHourBlank,
        'M' => Field::Minute(2),
        'S' => Field::Second(2),
        'p' => Field::HalfDayUpper,
        'P' => Field::HalfDayLower,
        'A' => Field::WeekdayName,
        'a' => Field::WeekdayShort,
        'u' => Field::WeekdayFromMonday,
        'w' => Field::WeekdayFromSunday,
        's' => Field::EpochSeconds,
        _ => return None,
    })
}

fn strftime_shorthand(letter: char) -> Option<&'static str> {
    Some(match letter {
        'F' => "%Y-%m-%d",
        'T' | 'X' => "%H:%M:%S",
        'R' => "%H:%M",
        'r' => "%I:%M:%S %p",
        'D' | 'x' => "%m/%d/%y",
        'c' => "%a %b %e %H:%M:%S %Y",
        'v' => "%e-%b-%Y",
        _ => return None,
    })
}

fn strftime_literal(letter: char) -> Option<&'static str> {
    Some(match letter {
        '%' => "%",
        'n' => "\n",
        't' => "\t",
        'z' => "+0000",
        'Z' => "UTC",
        _ => return None,
    })
}

/// The parts of a time.
struct Clock {
    millis: i64,
    days: i64,
    of_day: i64,
    date: (i64, i64, i64),
}

impl Clock {
    fn of(time: Timestamp) -> Clock {
        let millis = time.millis();
        let (days, of_day) = (millis.div_euclid(DAY_MS), millis.rem_euclid(DAY_MS));
        Clock { millis, days, of_day, date: date_of(days) }
    }

    fn field(&self, field: Field) -> String {
        let (year, month, day) = self.date;
        let hour = self.of_day / 3_600_000;
        let half_day_hour = (hour + 11) % 12 + 1;
        let weekday = weekday(self.days);
        let name = |names: &[&'static str], at: i64| {
            usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default()
        };
        let short = |name: &str| name.chars().take(3).collect();
        let padded = |number: i64, width: usize| format!("{number:0width$}");
        match field {
            Field::Year => padded(year, 4),
            Field::YearOfCentury => padded(year.rem_euclid(100), 2),
            Field::Century => padded(year.div_euclid(100), 2),
            Field::Month(width) => padded(month, width),
            Field::MonthName => name(&MONTHS, month - 1).to_owned(),
            Field::MonthShort => short(name(&MONTHS, month - 1)),
            Field::Day(width) => padded(day, width),
            Field::DayBlank => format!("{day:2}"),
            Field::DayOfYear(width) => padded(day_of_year(self.days), width),
            Field::Hour(width) => padded(hour, width),
            Field::HourBlank => format!("{hour:2}"),
            Field::HalfDayHour(width) => padded(half_day_hour, width),
            Field::HalfDayHourBlank => format!("{half_day_hour:2}"),
            Field::Minute(width) => padded(self.of_day / 60_000 % 60, width),
            Field::Second(width) => padded(self.of_day / 1000 % 60, width),
            Field::Fraction(digits) => format!(".{}", self.fraction(digits)),
            Field::FractionTrimmed(digits) => {
                let fraction = self.fraction(digits);
                let trimmed = fraction.trim_end_matches('0');
                if trimmed.is_empty() { String::new() } else { format!(".{trimmed}") }
            }
            Field::HalfDayUpper => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
            Field::HalfDayLower => (if hour < 12 { "am" } else { "pm" }).to_owned(),
            Field::WeekdayName => name(&WEEKDAYS, weekday).to_owned(),
            Field::WeekdayShort => short(name(&WEEKDAYS, weekday)),
            Field::WeekdayFromMonday => ((weekday + 6) % 7 + 1).to_string(),
            Field::WeekdayFromSunday => weekday.to_string(),
            Field::EpochSeconds => self.millis.div_euclid(1000).to_string(),
        }
    }

    fn fraction(&self, digits: usize) -> String {
        let millis = format!("{:03}", self.of_day % 1000);
        millis.chars().chain(std::iter::repeat('0')).take(digits).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tuesday, 14 November 2023, 22:13:20.120 UTC.
    const TIME: Timestamp = Timestamp::from_millis(1_700_000_000_120);

    /// The expected texts are those of `date -u -d @1700000000 +…`.
    #[test]
    fn patterns_of_strftime_are_written_as_date_writes_them() {
        for (pattern, expected) in [
            ("%F %T", "2023-11-14 22:13:20"),
            ("%a %A %b %B %h", "Tue Tuesday Nov November Nov"),
            ("%C %y %j %u %w %s", "20 23 318 2 2 1700000000"),
            ("%I:%M %p %P|%l|%k|%e|%R|%r", "10:13 PM pm|10|22|14|22:13|10:13:20 PM"),
            ("%D %x %X %z %Z", "11/14/23 11/14/23 22:13:20 +0000 UTC"),
            ("%c", "Tue Nov 14 22:13:20 2023"),
            ("100%%%n%t", "100%\n\t"),
        ] {
            assert_eq!(Pattern::of_strftime(pattern).unwrap().text(TIME), expected, "{pattern}");
        }
        assert_eq!(Pattern::of_strftime("%e %j").unwrap().text(Timestamp::from_millis(0)), " 1 001");
        assert!(Pattern::of_strftime("%Q").is_err() && Pattern::of_strftime("%").is_err());
    }

    #[test]
    fn patterns_of_go_are_written_as_go_writes_them() {
        for (pattern, expected) in [
            ("2006-01-02T15:04:05Z07:00", "2023-11-14T22:13:20Z"),
            ("Mon Jan _2 15:04:05 MST 2006", "Tue Nov 14 22:13:20 UTC 2023"),
            ("Monday, January 2 06, 3:04PM -0700", "Tuesday, November 14 23, 10:13PM +0000"),
            ("05.000 05.999 05.000000", "20.120 20.12 20.120000"),
            ("1/2 4m 5s 002", "11/14 13m 20s 318"),
        ] {
            assert_eq!(Pattern::of_go(pattern).text(TIME), expected, "{pattern}");
        }
        assert_eq!(Pattern::iso().text(TIME), "2023-11-14T22:13:20.120Z");
        assert_eq!(Pattern::of_go("05.999").text(Timestamp::from_millis(0)), "00");
    }
}
