//! Records as `ottla consume` writes them and `ottla produce` reads them.
//!
//! Owns: the forms of records: the percent language, lines of JSON.
//! Does not own: which records (`consume`), where they go (`produce`).
//!
//! In reading order:
//! - `format`: the percent language, with `date` and `unpack`;
//! - `text`: records written by it; `input`: records read by it;
//! - `json`: records as lines of JSON.

pub mod date;
pub mod format;
pub mod input;
pub mod json;
pub mod text;
mod unpack;

/// A record as it is read from input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    pub topic: Option<String>,
    pub partition: Option<i32>,
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<NewHeader>,
}

/// Key and value of a header.
pub type NewHeader = (Vec<u8>, Option<Vec<u8>>);

/// `1 record was`, `2 records were`.
pub fn records_were(count: u64) -> String {
    if count == 1 { "1 record was".to_owned() } else { format!("{count} records were") }
}
