//! The codec against messages that Apache Kafka 4.3.1's own classes encoded.
//!
//! Owns: the file of vectors and how a row is judged.
//! Does not own: refusals (`refusals`), which need bytes that no encoder makes.
//!
//! Source: `tests/data/codec.tsv`, observations of Kafka 4.3.1: message, version, bytes, JSON.

use std::fs;

use ottla_protocol::codec::json::Tags;
use ottla_protocol::codec::{AnyMessage, MessageInfo};
use ottla_protocol::{Reader, Writer};

use super::json::Json;

/// The vectors kept in the repository.
pub const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/codec.tsv");

/// Vectors of `SubscriptionInfoData`, which only the Java Streams library writes: it is not in the other file.
const SUBSCRIPTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/subscription.tsv");

/// One row of a file of vectors.
pub struct Row<'a> {
    pub line: usize,
    pub name: &'a str,
    pub version: i16,
    pub bytes: Vec<u8>,
    pub json: &'a str,
}

/// Reads the rows of a file's text; comments begin with `#`.
pub fn rows(text: &str) -> Result<Vec<Row<'_>>, String> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let rows: Vec<Row<'_>> = lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| parse(at, line).ok_or_else(|| format!("line {at} is no vector: {line}")))
        .collect::<Result<_, _>>()?;
    if rows.is_empty() { Err("the file has no vectors".to_owned()) } else { Ok(rows) }
}

fn parse(line: usize, text: &str) -> Option<Row<'_>> {
    let mut columns = text.split('\t');
    let row = Row {
        line,
        name: columns.next()?,
        version: columns.next()?.parse().ok()?,
        bytes: unhex(columns.next()?)?,
        json: columns.next()?,
    };
    columns.next().is_none().then_some(row)
}

/// The bytes of an even number of hex digits.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// What is wrong with a row, if anything.
fn judge(row: &Row<'_>) -> Result<(), String> {
    let info = MessageInfo::by_name(row.name).ok_or("there is no message of this name")?;
    let mut reader = Reader::new(&row.bytes);
    let message = (info.decode)(&mut reader, row.version).map_err(|error| error.to_string())?;
    if reader.remaining() != 0 {
        return Err(format!("{} bytes are left", reader.remaining()));
    }
    let mut writer = Writer::new();
    message.encode(&mut writer, row.version).map_err(|error| error.to_string())?;
    if writer.as_slice() != row.bytes {
        return Err(format!("encoded as {:02x?}, not {:02x?}", writer.as_slice(), row.bytes));
    }
    agrees_with_json(&*message, row)
}

/// The vectors show some tagged fields that hold their default, which Kafka's converters leave out: every field that
/// is shown must agree, and what we show beyond must be such a field.
fn agrees_with_json(message: &dyn AnyMessage, row: &Row<'_>) -> Result<(), String> {
    let view = |tags| {
        let text = message.to_json(row.version, tags).map_err(|error| error.to_string())?;
        Json::parse(&text).ok_or(format!("our JSON does not parse: {text}"))
    };
    let expected = Json::parse(row.json).ok_or("the vector's JSON does not parse")?;
    expected.lies_between(&view(Tags::NonDefault)?, &view(Tags::All)?)
}

/// Judges all rows; the answer lists every one that fails.
fn failures(text: &str) -> Result<Vec<String>, String> {
    let failed = rows(text)?.into_iter().filter_map(|row| {
        let error = judge(&row).err()?;
        Some(format!("row {} {} v{}: {error}", row.line, row.name, row.version))
    });
    Ok(failed.collect())
}

/// WIRE-02, WIRE-03, WIRE-09, WIRE-10, API-01, API-04. `OTTLA_CODEC_VECTORS` names another file of the same form.
#[test]
fn codec_vectors() {
    let other = std::env::var("OTTLA_CODEC_VECTORS");
    let paths = other.as_deref().map_or_else(|_| vec![OWN, SUBSCRIPTION], |path| vec![path]);
    for path in paths {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
        let failed = failures(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(failed.is_empty(), "{path}: {} rows fail\n{}", failed.len(), failed.join("\n"));
    }
}

/// A test that cannot fail proves nothing: each of these must be found.
#[test]
fn wrong_vectors_are_found() {
    let cases = [
        ("NoSuchMessage\t0\t00\t{}", "no message"),
        ("HeartbeatResponse\t9\t0000\t{}", "no version 9"),
        ("HeartbeatResponse\t0\t00\t{}", "2 bytes are needed"),
        ("HeartbeatResponse\t0\t000100\t{\"errorCode\":1}", "1 bytes are left"),
        ("HeartbeatResponse\t0\t0001\t{\"errorCode\":2}", "errorCode"),
        ("HeartbeatResponse\t0\t0001\t{}", "errorCode"),
        ("HeartbeatResponse\t0\t0001\t{\"errorCode\":1,\"more\":0}", "more"),
        ("AddOffsetsToTxnResponse\t0\t0000000200010000\t{}", "2 bytes are left"),
        // A boolean of two encodes as one.
        (
            "DescribeGroupsRequest\t3\t0000000002\t{\"groups\":[],\"includeAuthorizedOperations\":true}",
            "encoded as",
        ),
    ];
    for (row, expected) in cases {
        let found = failures(row).unwrap();
        assert!(found.len() == 1 && found[0].contains(expected), "{row}: {found:?}");
    }
    assert_eq!(failures("# nothing\n"), Err("the file has no vectors".to_owned()));
    assert!(failures("HeartbeatResponse\t0\t0001").is_err());
}

/// API-01: every message that has a version appears in the vectors kept here, in every version.
#[test]
fn the_vectors_kept_here_reach_every_version_of_every_message() {
    let texts = [OWN, SUBSCRIPTION].map(|path| fs::read_to_string(path).unwrap());
    let rows: Vec<Row<'_>> = texts.iter().flat_map(|text| rows(text).unwrap()).collect();
    let mut missing = Vec::new();
    for info in ottla_protocol::messages::MESSAGES {
        for version in info.versions() {
            if !rows.iter().any(|row| row.name == info.name && row.version == version) {
                missing.push(format!("{} v{version}", info.name));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}
