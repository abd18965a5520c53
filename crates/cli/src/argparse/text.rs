//! The layout of usage, help and errors.
//!
//! Owns: where lines are broken, how they are stretched.
//! Does not own: the words.
//!
//! Source: behaviour of argparse4j 0.7 in `kafka-storage` of Kafka 4.3.1.

/// Columns of a line.
pub(super) const WIDTH: usize = 75;

/// Column at which the explanation of a flag begins.
const HELP_INDENT: usize = 25;

/// Longest title with its explanation on the same line.
const TITLE_WIDTH_MAX: usize = 21;

/// Longest `usage: program` with parts on the same line; behind a longer one they begin on the next.
const USAGE_WIDTH_MAX: usize = 30;

/// Column at which parts begin that stand below the program.
const USAGE_INDENT: usize = 6;

/// `usage: program part part …`, broken between parts.
pub(super) fn usage_lines(program: &str, parts: impl IntoIterator<Item = String>) -> String {
    let mut text = format!("usage: {program}");
    let mut indent = text.len();
    if indent > USAGE_WIDTH_MAX {
        indent = USAGE_INDENT;
        text.push('\n');
        text.push_str(&" ".repeat(indent));
    }
    let mut column = indent;
    for part in parts {
        if column + 1 + part.len() > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        }
        column += 1 + part.len();
        text.push(' ');
        text.push_str(&part);
    }
    text
}

/// An entry of help, with the line end.
pub(super) fn help_entry(title: &str, about: &str) -> String {
    let width = title.len();
    if about.is_empty() {
        return format!("  {title}\n");
    }
    let gap = if width <= TITLE_WIDTH_MAX {
        " ".repeat(HELP_INDENT - width - 2)
    } else {
        format!("\n{}", " ".repeat(HELP_INDENT))
    };
    format!("  {title}{gap}{}\n", wrapped(about, HELP_INDENT, HELP_INDENT))
}

/// Breaks a text that begins at column `start` into lines; all but the first begin at column `indent`.
pub(super) fn wrapped(text: &str, start: usize, indent: usize) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    let mut column = start;
    for piece in pieces(text) {
        let width = piece.chars().count();
        if column + width > WIDTH && !line.is_empty() {
            lines.push_str(&stretched(&line, WIDTH.saturating_sub(column - line.chars().count())));
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            line.clear();
            column = indent;
        }
        line.push_str(piece);
        column += width;
    }
    lines + &line
}

/// The text in pieces between which a line may be broken: behind white space, and behind a dash before a letter.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut before = None;
        let end = rest.char_indices().find_map(|(at, character)| {
            let breaks = match before {
                Some(' ') => character != ' ',
                Some('-') => character.is_alphabetic(),
                _ => false,
            };
            before = Some(character);
            (breaks && at > 0).then_some(at)
        });
        let (piece, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The line with its gaps widened to fill `width` columns; what does not divide goes to the gaps in the middle.
fn stretched(line: &str, width: usize) -> String {
    let line = line.trim_matches(' ');
    let gaps = pieces_between_gaps(line).count().saturating_sub(1);
    let missing = width.saturating_sub(line.chars().count());
    if gaps == 0 {
        return line.to_owned();
    }
    let (each, more) = (missing / gaps, missing % gaps);
    let first_wider = (gaps - more).div_ceil(2);
    let wider = first_wider..first_wider + more;
    let mut text = String::with_capacity(width);
    let mut gap = 0;
    let mut inside = false;
    for character in line.chars() {
        if character == ' ' && !inside {
            text.push_str(&" ".repeat(each + usize::from(wider.contains(&gap))));
            gap += 1;
        }
        inside = character == ' ';
        text.push(character);
    }
    text
}

fn pieces_between_gaps(line: &str) -> impl Iterator<Item = &str> {
    line.split(' ').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// STG-01: a refusal of Kafka 4.3.1, whose last gaps are the narrow ones.
    #[test]
    fn a_line_that_is_wrapped_is_stretched_from_its_middle() {
        let text = "kafka-storage: error: invalid choice: 'bogus' (choose from 'info', 'format', 'version-mapping', \
                    'feature-dependencies', 'random-uuid')";
        let expected = "kafka-storage:  error:  invalid  choice:   'bogus'   (choose  from  'info',\n\
                        'format', 'version-mapping', 'feature-dependencies', 'random-uuid')";
        assert_eq!(wrapped(text, 0, 0), expected);
    }

    #[test]
    fn a_line_may_be_broken_behind_a_dash() {
        let text = "kafka-storage: error: ambiguous command: f could match feature-dependencies, format";
        let expected = "kafka-storage:  error:   ambiguous   command:   f   could   match  feature-\n\
                        dependencies, format";
        assert_eq!(wrapped(text, 0, 0), expected);
    }

    #[test]
    fn a_long_title_stands_on_a_line_of_its_own() {
        assert_eq!(help_entry("-h, --help", "show it"), "  -h, --help             show it\n");
        let expected = "  --config CONFIG, -c CONFIG\n                         the file\n";
        assert_eq!(help_entry("--config CONFIG, -c CONFIG", "the file"), expected);
    }
}
