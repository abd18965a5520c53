//! Bytes made to hurt: whatever they are, decoding ends without a panic and within its memory.
//!
//! Owns: how messages are spoiled. Does not own: what must hold true (`targets`).

use std::fs;

use ottla_protocol::codec::{DecodeError, MessageInfo};
use ottla_protocol::messages::{DeleteGroupsRequest, MESSAGES, MetadataRequest};
use ottla_protocol::{Message, Reader, Writer};
use proptest::prelude::*;

use super::targets::{limit, message};
use super::vectors::{OWN, Row, rows};

#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Cut(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let byte = || prop_oneof![Just(0), Just(1), Just(2), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()];
    prop_oneof![
        4 => (any::<prop::sample::Index>(), byte()).prop_map(|(at, byte)| Change::Set(at, byte)),
        2 => (any::<prop::sample::Index>(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        1 => any::<prop::sample::Index>().prop_map(Change::Cut),
    ]
}

fn spoiled(row: &Row<'_>, changes: &[Change]) -> Vec<u8> {
    let mut bytes = row.bytes.clone();
    for change in changes {
        match change {
            Change::Set(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Change::Set(_, byte) => bytes.push(*byte),
            Change::Insert(at, byte) => bytes.insert(at.index(bytes.len() + 1), *byte),
            Change::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
        }
    }
    bytes
}

/// WIRE-09, WIRE-11: changed and cut messages.
#[test]
fn spoiled_messages_neither_panic_nor_take_more_memory_than_allowed() {
    let text = fs::read_to_string(OWN).unwrap();
    let rows = rows(&text).unwrap();
    let cases = (any::<prop::sample::Index>(), prop::collection::vec(change(), 1..6));
    proptest!(ProptestConfig::with_cases(20_000), |((row, changes) in cases)| {
        let row = &rows[row.index(rows.len())];
        message(MessageInfo::by_name(row.name).unwrap(), row.version, &spoiled(row, &changes));
    });
}

/// Every message is fed with long runs of the bytes that a decoder amplifies most, empty strings and lists, behind
/// large counts at every place where its first list may begin.
#[test]
fn runs_of_empty_elements_take_no_more_memory_than_allowed() {
    const RUN: usize = 12_000;
    let counts: [&[u8]; 3] = [&[], &[0, 0, 0x2e, 0xe0], &[0xe1, 0x5d]];
    for info in MESSAGES {
        for version in [info.first, info.last] {
            for (byte, count) in [(0x00, counts[1]), (0x01, counts[2]), (0xff, counts[0]), (0x7f, counts[0])]
            {
                for at in 0..if count.is_empty() { 1 } else { 24 } {
                    let mut bytes = vec![byte; RUN];
                    bytes.splice(at..at, count.iter().copied());
                    message(info, version, &bytes);
                }
            }
        }
    }
}

/// A list whose count is honest but whose elements are empty takes 24 bytes of memory for one of input.
#[test]
fn a_list_that_amplifies_is_refused_before_it_is_allocated() {
    // Count 200 001 in compact form, then as many empty names and no tags.
    let mut bytes = vec![0xc2, 0x9a, 0x0c];
    bytes.extend(std::iter::repeat_n(1, 200_001));
    bytes.push(0);
    let mut reader = Reader::new(&bytes);
    let used = allocation_counter::measure(|| {
        let refused = DeleteGroupsRequest::decode(&mut reader, 2);
        assert!(matches!(refused, Err(DecodeError::TooManyValues { .. })), "{refused:?}");
    });
    assert!(used.bytes_total <= limit(bytes.len()));
}

/// The account must never be in the way of an honest message: a request for 100 000 topics.
#[test]
fn a_large_honest_message_passes() {
    use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
    let topics = (0..100_000)
        .map(|number| MetadataRequestTopic { name: Some(format!("t{number}")), ..Default::default() })
        .collect();
    let request = MetadataRequest { topics: Some(topics), ..MetadataRequest::default() };
    for version in [1, 9, 13] {
        let mut writer = Writer::new();
        request.encode(&mut writer, version).unwrap();
        let read = MetadataRequest::decode(&mut Reader::new(writer.as_slice()), version);
        assert_eq!(read.as_ref(), Ok(&request), "version {version}");
    }
}
