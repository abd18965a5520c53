//! Points in time by a pattern of Java's `SimpleDateFormat`, in UTC.
//!
//! Owns: patterns: letters that stand for parts of a time, quoted text.
//! Does not own: the calendar (`ottla_model::calendar`).
//!
//! Weeks, and years counted by them, are not known.
//!
//! Source: behaviour of Java 17, locale "en".

use ottla_model::Timestamp;
use ottla_model::calendar::{DAY_MS, MONTHS, WEEKDAYS, date_of, day_of_year, weekday};

/// A pattern that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFormat(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A letter, and how often it stands in a row.
    Field(char, usize),
}

/// Letters that mean something in a pattern.
const LETTERS: &str = "GyMLdHhKkmsSEuDazZX";

impl DateFormat {
    /// Reads a pattern; the error is Java's message.
    pub fn new(pattern: &str) -> Result<DateFormat, String> {
        let mut pieces = Vec::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let piece = if first == '\'' {
                let (text, behind) = quoted(&rest[1..]).ok_or("Unterminated quote")?;
                rest = behind;
                Piece::Text(text)
            } else if first.is_ascii_alphabetic() {
                if !LETTERS.contains(first) {
                    return Err(format!("Illegal pattern character '{first}'"));
                }
                let count = rest.chars().take_while(|letter| *letter == first).count();
                rest = &rest[count..];
                Piece::Field(first, count)
            } else {
                rest = &rest[first.len_utf8()..];
                Piece::Text(first.to_string())
            };
            pieces.push(piece);
        }
        Ok(DateFormat(pieces))
    }

    /// The time as the pattern shows it.
    pub fn format(&self, at: Timestamp) -> String {
        let parts = Parts::new(at);
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Field(letter, count) => parts.field(*letter, *count),
        };
        self.0.iter().map(piece).collect()
    }
}

/// Text up to the closing quote, and what stands behind it; two quotes stand for one.
fn quoted(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('\'') {
        return Some(("'".to_owned(), rest));
    }
    let mut found = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('\'')?;
        found.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('\'') {
            Some(behind) => {
                found.push('\'');
                rest = behind;
            }
            None => return Some((found, rest)),
        }
    }
}

/// A time in its parts.
struct Parts {
    year: i64,
    month: i64,
    day: i64,
    days: i64,
    day_ms: i64,
}

impl Parts {
    fn new(at: Timestamp) -> Parts {
        let (days, day_ms) = (at.millis().div_euclid(DAY_MS), at.millis().rem_euclid(DAY_MS));
        let (year, month, day) = date_of(days);
        Parts { year, month, day, days, day_ms }
    }

    fn field(&self, letter: char, count: usize) -> String {
        let hour = self.day_ms / 3_600_000;
        let number = |number: i64| format!("{number:0count$}");
        let name = |names: &[&str], index: i64| {
            let name = usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or("");
            if count > 3 { name.to_owned() } else { name.chars().take(3).collect() }
        };
        let one_for_zero = |hour: i64, of: i64| if hour == 0 { of } else { hour };
        match letter {
            'G' => "AD".to_owned(),
            'y' if count == 2 => format!("{:02}", self.year.rem_euclid(100)),
            'y' => number(self.year),
            'M' | 'L' if count > 2 => name(&MONTHS, self.month - 1),
            'M' | 'L' => number(self.month),
            'd' => number(self.day),
            'H' => number(hour),
            'k' => number(one_for_zero(hour, 24)),
            'K' => number(hour % 12),
            'h' => number(one_for_zero(hour % 12, 12)),
            'm' => number(self.day_ms / 60_000 % 60),
            's' => number(self.day_ms / 1000 % 60),
            'S' => number(self.day_ms % 1000),
            'E' => name(&WEEKDAYS, weekday(self.days)),
            'u' => number((weekday(self.days) + 6) % 7 + 1),
            'D' => number(day_of_year(self.days)),
            'a' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'z' if count > 3 => "Coordinated Universal Time".to_owned(),
            'z' => "UTC".to_owned(),
            'Z' => "+0000".to_owned(),
            _ => "Z".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(pattern: &str) -> String {
        DateFormat::new(pattern).unwrap().format(Timestamp::from_millis(1_795_362_193_124))
    }

    /// What Java 17 gave for 1795362193124 in UTC.
    #[test]
    fn parts_have_as_many_digits_as_letters() {
        assert_eq!(formatted("yyyy-MM-dd HH:mm:ss:SSS"), "2026-11-22 15:43:13:124");
        assert_eq!(formatted("yy/M/d h:m:s.SSSS a"), "26/11/22 3:43:13.0124 PM");
        assert_eq!(formatted("EEE, d MMM yyyy 'o''clock' Z X"), "Sun, 22 Nov 2026 o'clock +0000 Z");
        assert_eq!(formatted("EEEE MMMM D u kk KK ''"), "Sunday November 326 7 15 03 '");
    }

    #[test]
    fn a_letter_without_a_meaning_is_refused() {
        assert_eq!(DateFormat::new("Q").unwrap_err(), "Illegal pattern character 'Q'");
        assert_eq!(DateFormat::new("'open").unwrap_err(), "Unterminated quote");
    }
}
