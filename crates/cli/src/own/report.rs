//! What Ottla's own commands print: tables for people, and the same as JSON, YAML or CSV for programs.
//!
//! Owns: the five forms (`--output`), alignment, escaping.
//! Does not own: which columns there are (the commands).
//!
//! | Form | What it is |
//! |---|---|
//! | `table` | aligned columns under upper-case heads; numbers to the right, `-` for nothing |
//! | `wide` | the same with all columns |
//! | `json` | one document: a list of objects, or one object; all fields, always, `null` for nothing |
//! | `yaml` | the same document as YAML |
//! | `csv` | RFC 4180: a line of field names, then a line for each row; lists divided by blanks, nothing for nothing |
//!
//! Names of fields are part of what users may rely on: new ones may come, those that are there stay.

use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::terminal::Terminal;

/// A form of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Aligned columns
    #[default]
    Table,
    /// All columns
    Wide,
    /// One JSON document
    Json,
    /// One YAML document
    Yaml,
    /// Comma-separated values with a line of names
    Csv,
}

/// A column of a table and a field of an object.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name of the field; its upper case is the head of the column.
    pub field: &'static str,
    /// Whether it is shown in the wide table only.
    pub is_wide: bool,
}

/// A column that is always shown.
pub const fn column(field: &'static str) -> Column {
    Column { field, is_wide: false }
}

/// A column of the wide table.
pub const fn wide(field: &'static str) -> Column {
    Column { field, is_wide: true }
}

/// Rows of cells, one cell for each column.
#[derive(Clone, Debug)]
pub struct Table {
    columns: &'static [Column],
    rows: Vec<Vec<Value>>,
}

impl Table {
    pub fn new(columns: &'static [Column]) -> Table {
        Table { columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn push<const N: usize>(&mut self, cells: [Value; N]) {
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells.into());
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows as objects.
    pub fn objects(&self) -> Vec<Value> {
        let object = |row: &Vec<Value>| {
            let fields = self.columns.iter().zip(row);
            let fields = fields.map(|(column, cell)| (column.field.to_owned(), cell.clone()));
            Value::Object(fields.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    fn aligned(&self, with_wide: bool) -> String {
        let shown: Vec<usize> =
            (0..self.columns.len()).filter(|at| with_wide || !self.columns[*at].is_wide).collect();
        let heads = shown.iter().map(|at| self.columns[*at].field.replace('_', "-").to_uppercase());
        let mut lines: Vec<Vec<String>> = vec![heads.collect()];
        lines.extend(self.rows.iter().map(|row| shown.iter().map(|at| cell_text(&row[*at])).collect()));
        let is_number = |at: &usize| {
            let mut cells = self.rows.iter().map(|row| &row[*at]);
            cells.clone().any(Value::is_number) && cells.all(|cell| cell.is_number() || cell.is_null())
        };
        let to_the_right: Vec<bool> = shown.iter().map(is_number).collect();
        align(&lines, &to_the_right)
    }

    fn csv(&self) -> String {
        let line = |cells: Vec<String>| cells.join(",") + "\r\n";
        let names = self.columns.iter().map(|column| column.field.to_owned()).collect();
        let rows = self.rows.iter().map(|row| line(row.iter().map(csv_cell).collect()));
        std::iter::once(line(names)).chain(rows).collect()
    }
}

/// What a command answers, in all forms.
#[derive(Clone, Debug)]
pub struct Report {
    document: Value,
    sections: Vec<(Option<String>, Table)>,
    csv: Option<Table>,
}

impl Report {
    /// A list of things.
    pub fn list(table: Table) -> Report {
        Report { document: Value::Array(table.objects()), csv: None, sections: vec![(None, table)] }
    }

    /// Several tables for people, and a document of its own for programs. `csv` is what CSV has of it.
    pub fn of_sections(document: Value, sections: Vec<(Option<String>, Table)>, csv: Table) -> Report {
        Report { document, sections, csv: Some(csv) }
    }

    /// Writes it to standard output.
    pub fn print(&self, output: Output, terminal: &mut Terminal<'_>) {
        match output {
            Output::Table => terminal.out(self.text(false)),
            Output::Wide => terminal.out(self.text(true)),
            Output::Json => terminal.out_line(format_args!("{:#}", self.document)),
            Output::Yaml => terminal.out(yaml(&self.document)),
            Output::Csv => {
                let table = self.csv.as_ref().or(self.sections.first().map(|(_, table)| table));
                terminal.out(table.map(Table::csv).unwrap_or_default());
            }
        }
    }

    fn text(&self, with_wide: bool) -> String {
        let section = |(title, table): &(Option<String>, Table)| {
            let title = title.as_ref().map(|title| format!("{title}\n")).unwrap_or_default();
            title + &table.aligned(with_wide)
        };
        self.sections.iter().map(section).collect::<Vec<_>>().join("\n")
    }
}

/// Lines of cells with two blanks between columns and none at the end of a line.
fn align(lines: &[Vec<String>], to_the_right: &[bool]) -> String {
    let columns = to_the_right.len();
    let width_of = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width_of).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().enumerate().map(|(at, cell)| {
            let fill = " ".repeat(widths[at] - cell.chars().count());
            if to_the_right[at] { fill + cell } else { cell.clone() + &fill }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A cell for people. Control characters would break the lines of a table.
fn cell_text(cell: &Value) -> String {
    let text = match cell {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell_text).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => cell.to_string(),
    };
    let visible = |it: char| if it.is_control() { it.escape_default().to_string() } else { it.to_string() };
    text.chars().map(visible).collect()
}

fn csv_cell(cell: &Value) -> String {
    let text = match cell {
        Value::Null => return String::new(),
        // An empty text is told from nothing by its quotes.
        Value::String(text) if text.is_empty() => return "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let text = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            items.iter().map(text).collect::<Vec<_>>().join(" ")
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => cell.to_string(),
    };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// The document as YAML: blocks of maps and lists; texts as JSON writes them, which YAML reads, unless they are plain.
fn yaml(document: &Value) -> String {
    let mut text = String::new();
    yaml_block(document, 0, &mut text);
    text
}

fn yaml_block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                text.push_str(&" ".repeat(indent));
                text.push_str("- ");
                // The first field of an item stands on the line of its dash.
                let mut inner = String::new();
                yaml_block(item, indent + 2, &mut inner);
                text.push_str(inner.trim_start_matches(' '));
            }
        }
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                text.push_str(&format!(
                    "{}{}:",
                    " ".repeat(indent),
                    yaml_scalar(&Value::String(name.clone()))
                ));
                if is_block(field) {
                    text.push('\n');
                    yaml_block(field, indent + 2, text);
                } else {
                    text.push_str(&format!(" {}\n", yaml_scalar(field)));
                }
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            text.push_str(&format!("{}{}\n", " ".repeat(indent), yaml_scalar(value)));
        }
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn yaml_scalar(value: &Value) -> String {
    let plain = value.as_str().filter(|text| is_plain(text));
    plain.map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether YAML reads the text, unquoted, as this text and nothing else. Rather too strict than too lax.
fn is_plain(text: &str) -> bool {
    let is_word = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.' | '/');
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|it: char| it.is_ascii_alphabetic())
        && text.chars().all(is_word)
        && !words.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[column("name"), column("end_offset"), wide("replicas")];

    fn printed(output: Output) -> String {
        let mut table = Table::new(COLUMNS);
        table.push([json!("orders"), json!(1200), json!([1, 2])]);
        table.push([json!("a,\"b\"\n"), Value::Null, json!([])]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        Report::list(table).print(output, &mut Terminal::new(&mut out, &mut err));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_table_is_aligned_and_has_its_wide_columns_on_demand() {
        assert_eq!(
            printed(Output::Table),
            "NAME     END-OFFSET\norders         1200\na,\"b\"\\n           -\n"
        );
        assert_eq!(
            printed(Output::Wide),
            "NAME     END-OFFSET  REPLICAS\norders         1200  1,2\na,\"b\"\\n           -  -\n"
        );
    }

    #[test]
    fn programs_get_all_fields_whatever_their_value() {
        assert_eq!(
            printed(Output::Csv),
            "name,end_offset,replicas\r\norders,1200,1 2\r\n\"a,\"\"b\"\"\n\",,\r\n"
        );
        let read: Value = serde_json::from_str(&printed(Output::Json)).unwrap();
        assert_eq!(read[0], json!({"name": "orders", "end_offset": 1200, "replicas": [1, 2]}));
        assert_eq!(read[1]["end_offset"], Value::Null);
        assert_eq!(
            printed(Output::Yaml),
            "- name: orders\n  end_offset: 1200\n  replicas:\n    - 1\n    - 2\n\
             - name: \"a,\\\"b\\\"\\n\"\n  end_offset: null\n  replicas: []\n"
        );
    }

    #[test]
    fn yaml_quotes_what_it_would_read_as_something_else() {
        for text in ["yes", "NULL", "12", "1.5", "a: b", "", "-x", "# c", "é"] {
            assert_eq!(yaml(&json!({"k": text})), format!("k: {}\n", json!(text)));
        }
        assert_eq!(yaml(&json!([])), "[]\n");
    }
}
