//! The values of the records.
//!
//! Owns: which value comes next: letters by chance, a value of a file by chance, or numbers.
//! Does not own: sending them.
//!
//! Chance begins with the same seed each time and draws as Java's `SplittableRandom`, so that a run sends the same bytes
//! as Kafka's tool, and two runs compress alike.
//!
//! Source: `java.util.SplittableRandom` of Java 17.

use std::io::ErrorKind;
use std::path::Path;

use regex::Regex;

use super::super::failure::Failure;
use crate::settings::read_file;
use crate::terminal::Terminal;

/// Gives values, one after the other.
#[derive(Debug)]
pub(super) struct Payloads {
    kind: PayloadKind,
    random: SplitRandom,
    value: Vec<u8>,
}

#[derive(Debug)]
enum PayloadKind {
    /// So many capital letters, drawn anew for each record.
    Letters,
    /// One of these.
    OneOf(Vec<String>),
    /// The number of the record.
    Number,
}

impl Payloads {
    fn new(kind: PayloadKind, value: Vec<u8>) -> Payloads {
        Payloads { kind, random: SplitRandom { state: 0 }, value }
    }

    pub(super) fn random(bytes: u32) -> Payloads {
        Payloads::new(PayloadKind::Letters, vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)])
    }

    pub(super) fn monotonic() -> Payloads {
        Payloads::new(PayloadKind::Number, Vec::new())
    }

    /// Values of a file, and what the tool says of it.
    pub(super) fn from_file(
        path: &str,
        delimiter: &str,
        terminal: &mut Terminal<'_>,
    ) -> Result<Payloads, Failure> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
        terminal.out_line(format_args!("Reading payloads from: {}", absolute.display()));
        let content = match read_file(Path::new(path)) {
            // There is something by that name, but no value in it.
            Err(error) if error.kind() == ErrorKind::IsADirectory => Vec::new(),
            Ok(content) if !content.is_empty() => content,
            Ok(_) | Err(_) => {
                return Err(Failure::illegal_argument("File does not exist or empty file provided."));
            }
        };
        let syntax =
            |error: regex::Error| Failure::new("java.util.regex.PatternSyntaxException", error.to_string());
        let delimiter = Regex::new(delimiter).map_err(syntax)?;
        let values = values_of(&String::from_utf8_lossy(&content), &delimiter);
        terminal.out_line(format_args!("Number of records read: {}", values.len()));
        match values.is_empty() {
            false => Ok(Payloads::new(PayloadKind::OneOf(values), Vec::new())),
            true => Err(Failure::illegal_argument(
                "No payload file, record size or payload-monotonic option provided.",
            )),
        }
    }

    /// The value of the record with this number.
    pub(super) fn next(&mut self, number: u64) -> &[u8] {
        match &self.kind {
            PayloadKind::Letters => {
                for byte in &mut self.value {
                    *byte = self.random.letter();
                }
            }
            PayloadKind::OneOf(values) => {
                let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
                let index = usize::try_from(self.random.below(count)).unwrap_or(0);
                return values[index].as_bytes();
            }
            PayloadKind::Number => {
                self.value.clear();
                self.value.extend_from_slice(number.to_string().as_bytes());
            }
        }
        &self.value
    }
}

/// The values between delimiters. One delimiter before a value is passed over, so none begins the list with an empty value.
fn values_of(text: &str, delimiter: &Regex) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(first) = delimiter.find(rest).filter(|found| found.start() == 0 && found.end() > 0) {
            rest = &rest[first.end()..];
            if rest.is_empty() {
                break;
            }
        }
        let end =
            delimiter.find_iter(rest).find(|found| found.end() > 0).map_or(rest.len(), |found| found.start());
        values.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    values
}

/// Numbers as Java's `SplittableRandom` draws them.
#[derive(Debug)]
struct SplitRandom {
    state: u64,
}

impl SplitRandom {
    fn next(&mut self) -> u32 {
        const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        let mixed = (self.state ^ (self.state >> 33)).wrapping_mul(0x62a9_d9ed_7997_05f5);
        let mixed = (mixed ^ (mixed >> 28)).wrapping_mul(0xcb24_d0a5_c88c_35b3);
        // The upper half, which always fits.
        u32::try_from(mixed >> 32).unwrap_or(u32::MAX)
    }

    /// A number below `bound`, which is not zero.
    fn below(&mut self, bound: u32) -> u32 {
        if bound.is_power_of_two() {
            return self.next() & (bound - 1);
        }
        // Numbers of the last, incomplete round of `bound` are drawn again: they would be likelier than others.
        loop {
            let drawn = self.next() >> 1;
            let number = drawn % bound;
            if i32::try_from(drawn - number + (bound - 1)).is_ok() {
                return number;
            }
        }
    }

    fn letter(&mut self) -> u8 {
        const LETTERS: u32 = 26;
        b'A' + u8::try_from(self.below(LETTERS)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Kafka's tool sent with `--record-size 10`.
    #[test]
    fn letters_are_those_of_kafka_s_tool() {
        let mut payloads = Payloads::random(10);
        let sent: Vec<String> =
            (0..3).map(|number| String::from_utf8(payloads.next(number).to_vec()).unwrap()).collect();
        assert_eq!(sent.concat(), "YQHHNEBSEPDNSEIFGAMSUJXKOLTXSP");
    }

    #[test]
    fn numbers_count_from_nothing() {
        let mut payloads = Payloads::monotonic();
        assert_eq!(payloads.next(0), b"0");
        assert_eq!(payloads.next(12), b"12");
    }

    #[test]
    fn values_of_a_file_are_cut_as_java_s_scanner_cuts_them() {
        let cut = |text: &str, delimiter: &str| values_of(text, &Regex::new(delimiter).unwrap());
        assert_eq!(cut("a\nb\n", "\n"), ["a", "b"]);
        assert_eq!(cut("\na\n\nb", "\n"), ["a", "", "b"]);
        assert_eq!(cut("a,b;c", "[,;]"), ["a", "b", "c"]);
        assert_eq!(cut("\n", "\n"), [""; 0]);
    }
}
