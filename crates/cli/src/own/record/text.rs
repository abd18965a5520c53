//! Records written by a format of the percent language.
//!
//! Owns: the bytes of each part. Does not own: the language (`format`).

use ottla_client::consumer::{ConsumerRecord, TimestampKind};
use ottla_protocol::codec::base64;

use super::format::{Format, Number, NumberForm, Part, Text, TextForm};

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends a record. `count` is its number in the output.
pub fn write(format: &Format, (record, count): (&ConsumerRecord, u64), out: &mut Vec<u8>) {
    for part in format {
        match part {
            Part::Literal(bytes) => out.extend_from_slice(bytes),
            Part::Text(text, form) => write_text(text_of(record, *text), form, out),
            Part::Number(number, form) => write_number(number_of(record, *number, count), *form, out),
            Part::Date(pattern) => out.extend_from_slice(pattern.text(record.timestamp).as_bytes()),
            Part::Headers(inner) => {
                for header in &record.headers {
                    write_header(inner, (&header.key, header.value.as_deref()), out);
                }
            }
        }
    }
}

fn write_header(format: &Format, (key, value): (&[u8], Option<&[u8]>), out: &mut Vec<u8>) {
    let bytes_of = |text: Text| match text {
        Text::Key => key,
        Text::Value | Text::Topic => value.unwrap_or_default(),
    };
    for part in format {
        match part {
            Part::Literal(bytes) => out.extend_from_slice(bytes),
            Part::Text(text, form) => write_text(bytes_of(*text), form, out),
            Part::Number(Number::Size(text), form) => write_number(size(bytes_of(*text)), *form, out),
            // The language has none of these inside of a header.
            Part::Number(
                Number::Headers
                | Number::Partition
                | Number::Offset
                | Number::Epoch
                | Number::Count
                | Number::Timestamp
                | Number::TimestampKind,
                _,
            )
            | Part::Date(_)
            | Part::Headers(_) => {}
        }
    }
}

fn text_of(record: &ConsumerRecord, text: Text) -> &[u8] {
    match text {
        Text::Topic => record.topic.as_str().as_bytes(),
        Text::Key => record.key.as_deref().unwrap_or_default(),
        Text::Value => record.value.as_deref().unwrap_or_default(),
    }
}

fn number_of(record: &ConsumerRecord, number: Number, count: u64) -> i64 {
    match number {
        Number::Size(text) => size(text_of(record, text)),
        Number::Headers => i64::try_from(record.headers.len()).unwrap_or(i64::MAX),
        Number::Partition => record.partition.value().into(),
        Number::Offset => record.offset.value(),
        Number::Epoch => record.leader_epoch.map_or(-1, |epoch| epoch.value().into()),
        Number::Count => i64::try_from(count).unwrap_or(i64::MAX),
        Number::Timestamp => record.timestamp.millis(),
        Number::TimestampKind => match record.timestamp_kind {
            TimestampKind::None => -1,
            TimestampKind::CreateTime => 0,
            TimestampKind::LogAppendTime => 1,
        },
    }
}

fn size(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

fn write_text(bytes: &[u8], form: &TextForm, out: &mut Vec<u8>) {
    match form {
        // A form that is for reading only does not get here.
        TextForm::Plain | TextForm::Json => out.extend_from_slice(bytes),
        TextForm::Hex => bytes.iter().for_each(|byte| {
            out.push(HEX_DIGITS[usize::from(byte >> 4)]);
            out.push(HEX_DIGITS[usize::from(byte & 15)]);
        }),
        TextForm::Base64 => out.extend_from_slice(base64::encode(bytes).as_bytes()),
        TextForm::Base64Raw => {
            out.extend_from_slice(base64::encode(bytes).trim_end_matches('=').as_bytes());
        }
        TextForm::Unpack(unpacking) => unpacking.write(bytes, out),
    }
}

fn write_number(number: i64, form: NumberForm, out: &mut Vec<u8>) {
    match form {
        NumberForm::Ascii | NumberForm::Exact(_) => out.extend_from_slice(number.to_string().as_bytes()),
        NumberForm::Hex(digits) => {
            let text = format!("{number:016x}");
            out.extend_from_slice(&text.as_bytes()[16 - digits..]);
        }
        NumberForm::Big(width) => out.extend_from_slice(&number.to_be_bytes()[8 - width..]),
        NumberForm::Little(width) => out.extend_from_slice(&number.to_le_bytes()[..width]),
        NumberForm::Bool => out.extend_from_slice((number != 0).to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use ottla_client::consumer::RecordHeader;
    use ottla_model::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicName};

    use super::super::format;
    use super::*;

    fn written(format: &str) -> Vec<u8> {
        let header = |key: &'static [u8], value: Option<&'static [u8]>| RecordHeader {
            key: key.into(),
            value: value.map(Into::into),
        };
        let record = ConsumerRecord {
            topic: TopicName::new("orders").unwrap(),
            partition: PartitionIndex::new(2).unwrap(),
            offset: Offset::new(258).unwrap(),
            leader_epoch: LeaderEpoch::new(4),
            timestamp: Timestamp::from_millis(1_700_000_000_123),
            timestamp_kind: TimestampKind::CreateTime,
            key: None,
            value: Some(b"v\xff".as_slice().into()),
            headers: vec![header(b"a", Some(b"1")), header(b"b", None)],
        };
        let mut out = Vec::new();
        write(&format::for_writing(format).unwrap(), (&record, 9), &mut out);
        out
    }

    #[test]
    fn each_part_is_written_in_each_form() {
        for (format, expected) in [
            ("%t-%p/%o %e #%i\\n", b"orders-2/258 4 #9\n".as_slice()),
            ("[%k|%v]", b"[|v\xff]"),
            ("%v{hex} %v{base64} %v{base64raw} %t{hex}", b"76ff dv8= dv8 6f7264657273"),
            ("%v{unpack[.xB$]}", b"v 255"),
            ("%T,%K,%V,%H", b"6,0,2,2"),
            ("%h{%k=%v(%V) }", b"a=1(1) b=(0) "),
            ("%d %d{iso}", b"1700000000123 2023-11-14T22:13:20.123Z"),
            ("%d{strftime[%Y %s]} %d{go[2006]}", b"2023 1700000000 2023"),
            ("%a{timestamp-type} %a{timestamp-type;hex8}", b"0 00"),
            ("%o{hex16}%o{big32}%o{little16}%o{byte}%o{hex8}", b"0102\0\0\x01\x02\x02\x01\x0202"),
            ("%o{hex4}%o{hex64}%o{bool}%K{bool}", b"20000000000000102truefalse"),
            ("%%%{%}\\\\\\x41", b"%{}\\A"),
        ] {
            assert_eq!(written(format), expected, "{format}");
        }
    }
}
