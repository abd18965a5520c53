//! Offsets of groups as lines of CSV: what `--export` prints and `--from-file` reads.
//!
//! Owns: writing and reading lines, the words of refusals.
//! Does not own: which offsets.
//!
//! A line has `topic,partition,offset`, or the group before them. Missing and empty numbers are 0. A value stands in
//! quotes if it holds one of a few characters or is long, whether it needs them or not.
//!
//! Source: behaviour of Kafka 4.3.1's tool (`tests/data/consumer-groups-reset.txt`).

use super::super::failure::Failure;
use super::super::partition::Partition;
use super::topic_list::split;

/// Longest value that is looked through for characters that need quotes; longer ones get them in any case.
const UNQUOTED_CHARS_MAX: usize = 24;

/// Writes one line.
pub(super) fn write(group: Option<&str>, partition: &Partition, offset: i64) -> String {
    let group = group.map(|group| format!("{},", quoted(group))).unwrap_or_default();
    format!("{group}{},{},{offset}\n", quoted(&partition.topic), partition.index)
}

fn quoted(value: &str) -> String {
    // The comma and what comes before it in the character set.
    let needs_quotes = value.chars().count() > UNQUOTED_CHARS_MAX || value.chars().any(|it| it <= ',');
    if needs_quotes { format!("\"{}\"", value.replace('"', "\"\"")) } else { value.to_owned() }
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub group: Option<String>,
    pub partition: Partition,
    pub offset: i64,
}

/// What a file says. The first line shows which form it has; where it is not the one of a single group, that is told
/// with the returned failure, and the other one is read.
pub(super) fn read(text: &str, single_group: bool) -> (Option<Failure>, Result<Vec<Line>, Failure>) {
    let lines = split(text, '\n');
    let first = lines.first().map(|line| read_line(line, Form::WithoutGroup));
    let refused = first.as_ref().and_then(|first| first.as_ref().err().cloned());
    let form = match first {
        Some(Ok(_)) if single_group => Form::WithoutGroup,
        Some(Ok(_) | Err(_)) | None => Form::WithGroup,
    };
    (refused, lines.into_iter().map(|line| read_line(line, form)).collect())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    WithoutGroup,
    WithGroup,
}

impl Form {
    fn class(self) -> &'static str {
        match self {
            Form::WithoutGroup => "CsvRecordNoGroup",
            Form::WithGroup => "CsvRecordWithGroup",
        }
    }

    fn columns(self) -> usize {
        match self {
            Form::WithoutGroup => 3,
            Form::WithGroup => 4,
        }
    }
}

fn read_line(line: &str, form: Form) -> Result<Line, Failure> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        let class = "com.fasterxml.jackson.databind.exc.MismatchedInputException";
        let place = "line: UNKNOWN, column: UNKNOWN";
        return Err(Failure::new(class, format!("No content to map due to end-of-input\n {}", at(place))));
    }
    let mut cells = cells_of(line).into_iter();
    let mut text = || cells.next().map(|cell| cell.text).unwrap_or_default();
    let group = match form {
        Form::WithoutGroup => None,
        Form::WithGroup => Some(text()),
    };
    let topic = text();
    let mut number = |field: &str, kind: &str| match cells.next() {
        None => Ok(0),
        Some(cell) => cell.number(form, (field, kind)),
    };
    let index = number("partition", "int")?;
    let offset = number("offset", "long")?;
    if let Some(more) = cells.next() {
        let columns = form.columns();
        let (length, value) = (more.text.chars().count(), &more.text);
        let place = at(&format!("line: 1, column: {}", more.column));
        return Err(Failure::new(
            "com.fasterxml.jackson.dataformat.csv.CsvReadException",
            format!(
                "Too many entries: expected at most {columns} (value #{columns} ({length} chars) \"{value}\")\n {place}"
            ),
        ));
    }
    let index = i32::try_from(index).unwrap_or(i32::MAX);
    Ok(Line { group, partition: Partition { topic, index }, offset })
}

fn at(place: &str) -> String {
    format!("at [Source: (StringReader); {place}]")
}

/// One value and where it begins, counted from 1.
struct Cell {
    text: String,
    column: usize,
}

impl Cell {
    /// The value as a number of Java's `int` or `long`.
    fn number(&self, form: Form, (field, kind): (&str, &str)) -> Result<i64, Failure> {
        let text = self.text.trim();
        if text.is_empty() || text == "null" {
            return Ok(0);
        }
        let fits = |number: &i64| kind == "long" || i32::try_from(*number).is_ok();
        text.parse::<i64>().ok().filter(fits).ok_or_else(|| {
            let class = format!("org.apache.kafka.tools.consumer.group.CsvUtils${}", form.class());
            let place = at(&format!("line: 1, column: {}", self.column));
            Failure::new(
                "com.fasterxml.jackson.databind.exc.InvalidFormatException",
                format!(
                    "Cannot deserialize value of type `{kind}` from String \"{}\": not a valid `{kind}` value\n \
                     {place} (through reference chain: {class}[\"{field}\"])",
                    self.text
                ),
            )
        })
    }
}

fn cells_of(line: &str) -> Vec<Cell> {
    let mut cells = vec![Cell { text: String::new(), column: 1 }];
    let mut in_quotes = false;
    let mut characters = line.chars().enumerate().peekable();
    while let Some((at, character)) = characters.next() {
        let begins = cells.last().is_some_and(|cell| cell.column == at + 1);
        match character {
            '"' if begins => in_quotes = true,
            '"' if in_quotes => {
                // Two in a row stand for one.
                match characters.next_if(|(_, next)| *next == '"') {
                    Some(_) => push(&mut cells, '"'),
                    None => in_quotes = false,
                }
            }
            ',' if !in_quotes => cells.push(Cell { text: String::new(), column: at + 2 }),
            _ => push(&mut cells, character),
        }
    }
    cells
}

fn push(cells: &mut [Cell], character: char) {
    if let Some(cell) = cells.last_mut() {
        cell.text.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, single_group: bool) -> String {
        let shown = |line: &Line| {
            let group = line.group.as_deref().unwrap_or("-");
            format!("{group} {} {}", line.partition, line.offset)
        };
        match read(text, single_group).1 {
            Ok(lines) => lines.iter().map(shown).collect::<Vec<_>>().join(" | "),
            Err(failure) => failure.message().lines().next().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn the_first_line_shows_the_form_of_a_file() {
        assert_eq!(told("a,0,1\nb,2,3\n", true), "- a-0 1 | - b-2 3");
        assert_eq!(told("g,a,0,1\n", true), "g a-0 1");
        assert_eq!(told("g,a,0,1\n", false), "g a-0 1");
        assert_eq!(told("\n", true), "");
    }

    #[test]
    fn what_is_missing_is_zero_and_what_is_no_number_is_refused() {
        assert_eq!(told("a\nb,,\n c, 1 ,null\r\n", true), "- a-0 0 | - b-0 0 | -  c-1 0");
        assert_eq!(told("\"a\"\"b\",\"1\",2", true), "- a\"b-1 2");
        let refused = "Cannot deserialize value of type `long` from String \"x\": not a valid `long` value";
        assert_eq!(told("a,0,1\na,0,x", true), refused);
        assert_eq!(told("a,0,1\n\na,1,1", true), "No content to map due to end-of-input");
        let overflow = told("a,0,1\na,99999999999,1", true);
        assert!(overflow.starts_with("Cannot deserialize value of type `int`"), "{overflow}");
    }

    #[test]
    fn long_values_and_some_characters_are_quoted() {
        let partition = Partition::new("a-topic-with-a-rather-long-name.x", 8);
        assert_eq!(write(None, &partition, 0), "\"a-topic-with-a-rather-long-name.x\",8,0\n");
        assert_eq!(write(Some("a \"b\""), &Partition::new("t-.", 1), 2), "\"a \"\"b\"\"\",t-.,1,2\n");
    }
}
