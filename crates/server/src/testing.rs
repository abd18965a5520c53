//! What the unit tests of this crate share.
//!
//! Owns: the metadata of a small cluster with everything that can be wrong with a partition.
//! Does not own: what the tests expect.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ottla_metadata::image::{MetadataImage, Replay};
use ottla_metadata::records::MetadataRecord;
use ottla_model::{ListenerName, Offset, Uuid};
use ottla_protocol::codec::Listener;
use ottla_protocol::messages::register_broker_record::BrokerEndpoint;
use ottla_protocol::messages::{PartitionRecord, RegisterBrokerRecord, TopicRecord};
use ottla_security::Principal;

use crate::caller::Caller;

/// The id of the topic `t`.
const TOPIC: Uuid = Uuid::from_bytes([1; 16]);
const DIRECTORY: Uuid = Uuid::from_bytes([3; 16]);

/// Broker 1 has the listeners IN and OUT, 2 only IN, 3 has both and is fenced; 4 is not known. Topic `t`:
///
/// | partition | replicas | in sync | leader |
/// |---|---|---|---|
/// | 0 | 1,2 | 1,2 | 1 |
/// | 1 | 2,1 | 2 | 2 |
/// | 2 | 3,1 | 3 | 3 |
/// | 3 | 3,4 | – | none; eligible 3, last known 4 |
pub fn image() -> MetadataImage {
    let mut records: Vec<MetadataRecord> = vec![
        broker(1, &["IN", "OUT"], false),
        broker(2, &["IN"], false),
        broker(3, &["IN", "OUT"], true),
        TopicRecord { name: "t".to_owned(), topic_id: TOPIC }.into(),
    ];
    let row = |partition_id: i32, replicas: [i32; 2], isr: Vec<i32>, leader: i32| PartitionRecord {
        partition_id,
        topic_id: TOPIC,
        replicas: replicas.to_vec(),
        isr,
        leader,
        leader_epoch: 7,
        partition_epoch: 0,
        directories: vec![DIRECTORY; 2],
        ..PartitionRecord::default()
    };
    records.extend([
        row(0, [1, 2], vec![1, 2], 1).into(),
        row(1, [2, 1], vec![2], 2).into(),
        row(2, [3, 1], vec![3], 3).into(),
        PartitionRecord {
            eligible_leader_replicas: Some(vec![3]),
            last_known_elr: Some(vec![4]),
            ..row(3, [3, 4], Vec::new(), -1)
        }
        .into(),
    ]);
    let mut replay = Replay::default();
    for record in &records {
        replay.apply(record, Offset::ZERO).unwrap();
    }
    replay.latest().clone()
}

fn broker(id: i32, listeners: &[&str], fenced: bool) -> MetadataRecord {
    let endpoint = |name: &&str| BrokerEndpoint {
        name: (*name).to_owned(),
        host: format!("{}.{id}", name.to_lowercase()),
        port: 9092,
        security_protocol: 0,
    };
    RegisterBrokerRecord {
        broker_id: id,
        broker_epoch: 5,
        end_points: listeners.iter().map(endpoint).collect(),
        fenced,
        rack: Some(format!("r{id}")),
        log_dirs: vec![DIRECTORY],
        ..RegisterBrokerRecord::default()
    }
    .into()
}

/// Somebody connected to a listener for clients.
pub fn caller(listener: &str) -> Caller {
    Caller {
        principal: Arc::new(Principal::anonymous()),
        host: Ipv4Addr::LOCALHOST.into(),
        listener: Arc::new(ListenerName::new(listener).unwrap()),
        door: Listener::Broker,
        client_id: Arc::from("test"),
    }
}
