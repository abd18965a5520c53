//! A cluster whose metadata say more than this node did: a second broker that is never there, and partitions with it.
//!
//! Owns: the files that a controller begins with.
//! Does not own: what the tests expect.

use std::fs;

use ottla_env::time::wall_now;
use ottla_metadata::bootstrap::{BOOTSTRAP_FILE, FormatRequest, NewCluster};
use ottla_metadata::records::MetadataRecord;
use ottla_model::Uuid;
use ottla_protocol::messages::{
    PartitionRecord, RegisterBrokerRecord, TopicRecord, register_broker_record::BrokerEndpoint,
};

use crate::node::{Home, properties};

/// The broker that is never there.
pub const ABSENT: i32 = 2;
/// Where that broker says it listens.
pub const ABSENT_AT: (&str, i32) = ("elsewhere", 9392);
/// The epoch of every planted leader.
pub const LEADER_EPOCH: i32 = 4;

/// A topic of one partition.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    pub name: &'static str,
    /// Number in the topic's id.
    pub number: u8,
    pub replicas: &'static [i32],
    pub in_sync: &'static [i32],
    pub leader: i32,
}

impl Planted {
    pub fn id(&self) -> Uuid {
        Uuid::from_bytes([self.number; 16])
    }

    fn records(&self) -> [MetadataRecord; 2] {
        let topic = TopicRecord { name: self.name.to_owned(), topic_id: self.id() };
        let partition = PartitionRecord {
            partition_id: 0,
            topic_id: self.id(),
            replicas: self.replicas.to_vec(),
            isr: self.in_sync.to_vec(),
            leader: self.leader,
            leader_epoch: LEADER_EPOCH,
            partition_epoch: 6,
            ..PartitionRecord::default()
        };
        [topic.into(), partition.into()]
    }
}

/// Writes the files of a node that begins with these topics, and gives its properties. No broker is missed for an hour.
pub fn plant(home: &Home, topics: &[Planted], more: &str) -> String {
    let absent = RegisterBrokerRecord {
        broker_id: ABSENT,
        incarnation_id: Uuid::from_bytes([200; 16]),
        broker_epoch: 1,
        end_points: vec![BrokerEndpoint {
            name: "PLAINTEXT".to_owned(),
            host: ABSENT_AT.0.to_owned(),
            port: u16::try_from(ABSENT_AT.1).unwrap(),
            security_protocol: 0,
        }],
        rack: Some("r2".to_owned()),
        fenced: false,
        ..RegisterBrokerRecord::default()
    };
    let records: Vec<MetadataRecord> =
        std::iter::once(absent.into()).chain(topics.iter().flat_map(Planted::records)).collect();
    plant_records(home, &records, more)
}

/// Writes the files of a node that begins with these records, and gives its properties.
pub fn plant_records(home: &Home, records: &[MetadataRecord], more: &str) -> String {
    let cluster = NewCluster::new(&FormatRequest::default()).unwrap();
    fs::create_dir_all(home.path()).unwrap();
    fs::write(home.path().join(BOOTSTRAP_FILE), cluster.bootstrap_file(records, wall_now()).unwrap())
        .unwrap();
    fs::write(home.path().join("meta.properties"), "version=1\ncluster.id=planted\nnode.id=1\n").unwrap();
    let quorum = "controller.quorum.voters=1@127.0.0.1:9093\nbroker.session.timeout.ms=3600000\n";
    let properties = properties(home.path(), &format!("{quorum}{more}"));
    properties
        .lines()
        .filter(|line| !line.starts_with("controller.quorum.bootstrap"))
        .fold(String::new(), |text, line| text + line + "\n")
}
