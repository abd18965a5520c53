//! A Kafka client: producer, consumer and administration, for any cluster that speaks Kafka's protocol.
//!
//! Owns: what a client knows of a cluster and says to it, under Kafka's configuration keys.
//! Does not own: the form of bytes (`protocol`), brokers.
//!
//! In reading order:
//! - [`config`] – Kafka's property names, checked and typed;
//! - [`Producer`] – records in, deliveries out;
//! - [`Consumer`] – records of partitions, alone or in a group;
//! - [`Admin`] – topics, configurations, groups, offsets, the cluster itself;
//! - [`error`] – what can go wrong whatever is asked;
//! - [`model`] – the nouns: topics, partitions, offsets, times.
//!
//! Clients are made and used on a tokio runtime with its network and time enabled. `docs/coming-from-rdkafka-and-java.md`
//! puts the calls of other clients and of this one side by side; `examples/` has a program for each client.
//!
//! Inside, everything that decides is a machine without sockets and clocks: `connection::pipeline`, `cluster::refresh`,
//! `producer::machine`, `consumer::machine` and their parts. Tasks around them do what they ask for.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ottla_client::config::ProducerConfig;
//! use ottla_client::producer::{Producer, ProducerRecord};
//! use ottla_client::model::TopicName;
//!
//! let producer = Producer::new(ProducerConfig::new("localhost:9092")?)?;
//! let topic = TopicName::new("greetings")?;
//! let delivery = producer.send(ProducerRecord::to(&topic).key(b"en").value(b"hello")).await?;
//! println!("stored at {:?}", delivery.await?.offset);
//! # Ok(())
//! # }
//! ```

pub mod config;
pub mod error;

pub mod admin;
pub mod consumer;
pub mod producer;

mod backoff;
mod cluster;
mod connection;

pub use admin::Admin;
pub use ottla_model as model;

pub use cluster::{Node, PartitionInfo, TopicInfo};
pub use connection::{ApiVersions, FeatureRange};
pub use consumer::Consumer;
pub use producer::Producer;
