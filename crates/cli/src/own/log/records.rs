//! `ottla log records`: the records in files of batches.
//!
//! Owns: how keys and values are shown.
//! Does not own: the records of internal topics (`tools::dump_log::decoder`).
//!
//! Bytes that are no UTF-8 are shown in hexadecimal behind `0x`. Records of the brokers' own topics become objects.

use std::path::PathBuf;

use clap::ValueEnum;
use ottla_protocol::compression::UnpackLimits;
use ottla_protocol::record::{Batch, Record, RecordBuffer};
use serde_json::{Value, json};

use super::super::refusal::Refusal;
use super::super::report::{Column, column, wide};
use super::files::{LogFile, Walk, log_files};
use super::{Facts, Part, Shown, time};
use crate::tools::dump_log::decoder::Decoder;
use crate::tools::dump_log::log::{UNPACKED_BYTES_MAX, control};

/// How keys and values are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// By the name of the directory
    #[default]
    Auto,
    /// Text, and hexadecimal what is none
    Text,
    /// Hexadecimal
    Hex,
    /// Records of __consumer_offsets
    Offsets,
    /// Records of __transaction_state
    Transactions,
    /// Records of __share_group_state
    Shares,
    /// Records of __cluster_metadata
    Metadata,
}

impl Form {
    /// The form for a file; `auto` looks at the name of its directory.
    fn of(self, file: &LogFile) -> Form {
        if self != Form::Auto {
            return self;
        }
        let directory = file.directory();
        match directory.rsplit_once('-').map_or("", |(topic, _)| topic) {
            "__consumer_offsets" => Form::Offsets,
            "__transaction_state" => Form::Transactions,
            "__share_group_state" => Form::Shares,
            "__cluster_metadata" => Form::Metadata,
            _ => Form::Text,
        }
    }

    fn decoder(self) -> Option<Decoder> {
        match self {
            Form::Auto | Form::Text | Form::Hex => None,
            Form::Offsets => Some(Decoder::Offsets),
            Form::Transactions => Some(Decoder::Transactions),
            Form::Shares => Some(Decoder::ShareState),
            Form::Metadata => Some(Decoder::ClusterMetadata),
        }
    }

    fn bytes(self, bytes: &[u8]) -> Value {
        let text = std::str::from_utf8(bytes).ok().filter(|_| self != Form::Hex);
        let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        json!(text.map_or_else(|| format!("0x{}", hex()), str::to_owned))
    }
}

const RECORDS: &[Column] = &[
    wide("file"),
    column("offset"),
    column("time"),
    wide("kind"),
    column("key"),
    column("value"),
    column("headers"),
];

/// Shows records, as many as are wanted.
pub(super) fn run(paths: &[PathBuf], (part, form): (Part, Form)) -> Result<Shown, Refusal> {
    let mut shown = Shown::new(RECORDS);
    for file in log_files(paths)? {
        let form = form.of(&file);
        let ended = file.walk(|walk| {
            let batch = walk.batch()?;
            if batch.last_offset().value() < part.from {
                return Ok(true);
            }
            if part.is_full(shown.table.len()) {
                shown.is_cut = true;
                return Ok(false);
            }
            batch.check_crc().map_err(|error| walk.damage(error))?;
            let mut buffer = RecordBuffer::new(UnpackLimits::bytes(UNPACKED_BYTES_MAX));
            for record in batch.records(&mut buffer).map_err(|error| walk.damage(error))? {
                let record = record.map_err(|error| walk.damage(error))?;
                if record.offset.value() < part.from {
                    continue;
                }
                if part.is_full(shown.table.len()) {
                    shown.is_cut = true;
                    return Ok(false);
                }
                shown.table.push(cells((&file, walk), (&batch, &record), form)?);
            }
            Ok(true)
        });
        shown.damages.extend(ended.err());
        if shown.is_cut {
            break;
        }
    }
    Ok(shown)
}

fn cells(
    (file, walk): (&LogFile, &Walk<'_>),
    (batch, record): (&Batch<'_>, &Record<'_>),
    form: Form,
) -> Result<[Value; 7], Refusal> {
    let kind = Facts::of(batch).kind();
    let (key, value) = match (kind, form.decoder()) {
        ("control", _) => {
            let text = control(record).map_err(|failure| walk.damage(failure.message()))?;
            (Value::Null, json!(text.trim_start()))
        }
        (_, Some(decoder)) => {
            let decoded = decoder.show(record).map_err(|failure| walk.damage(failure.message()))?;
            (document(decoded.key), document(decoded.value))
        }
        (_, None) => {
            let shown = |bytes: Option<&[u8]>| bytes.map_or(Value::Null, |bytes| form.bytes(bytes));
            (shown(record.key), shown(record.value))
        }
    };
    let header = |header: ottla_protocol::record::Header<'_>| {
        let value = header.value.map_or(Value::Null, |value| form.bytes(value));
        let value = value.as_str().map(str::to_owned).unwrap_or_default();
        format!("{}={value}", String::from_utf8_lossy(header.key))
    };
    let headers: Vec<String> = record.headers.iter().map(header).collect();
    Ok([
        json!(file.shown()),
        json!(record.offset.value()),
        time(Some(record.timestamp)),
        json!(kind),
        key,
        value,
        json!(headers),
    ])
}

/// JSON as what it is, anything else as text.
fn document(text: Option<String>) -> Value {
    text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap_or(json!(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_where_they_can_be() {
        assert_eq!(Form::Text.bytes("é".as_bytes()), json!("é"));
        assert_eq!(Form::Text.bytes(&[0xff, 0]), json!("0xff00"));
        assert_eq!(Form::Hex.bytes(b"ab"), json!("0x6162"));
        assert_eq!(document(Some("{\"a\": 1}".to_owned())), json!({"a": 1}));
        assert_eq!(document(Some("<DELETE>".to_owned())), json!("<DELETE>"));
    }
}
