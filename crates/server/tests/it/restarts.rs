//! What stays and what grows when a node stops and starts again, and what its clients see meanwhile.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use ottla_env::net::{SocketOptions, Stream};
use ottla_env::{task, time};
use ottla_metadata::records::{BatchContent, MetadataRecord, read_batches};
use ottla_model::Uuid;
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    MetadataRequest, MetadataResponse,
};
use ottla_server::RunningNode;

use crate::node::{Client, Home, address, run, start};
use crate::script::Script;

async fn everything(client: &mut Client) -> MetadataResponse {
    client.ask(ApiKey::Metadata, 12, &MetadataRequest { topics: None, ..Default::default() }).await
}

fn address_of(node: &RunningNode, listener: &str) -> SocketAddr {
    node.addresses().iter().find(|(name, _)| name.as_str() == listener).unwrap().1
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// MD-04, MD-11, TRAP-30: the numbers are those of Kafka 4.3.1. A stop in order moves the leaders away, which
/// costs an epoch, as the next start does; after a crash the start alone makes two of them.
#[test]
fn ids_stay_and_epochs_grow_over_stops_and_crashes() {
    run(async {
        let (home, image) = (Home::new(), Home::new());
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        client.create_topic("t", 2).await;
        let first = everything(&mut client).await;
        assert!(first.topics[0].partitions.iter().all(|row| row.leader_epoch == 0));
        node.stop().await;
        assert!(home.path().join(".kafka_cleanshutdown").exists());

        let node = start(&home, "").await.unwrap();
        assert!(!home.path().join(".kafka_cleanshutdown").exists());
        let mut client = Client::connect(&node).await;
        let second = everything(&mut client).await;
        copy(home.path(), image.path());
        node.stop().await;

        let node = start(&image, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        let third = everything(&mut client).await;
        node.stop().await;
        for (answer, epoch) in [(&second, 2), (&third, 4)] {
            assert_eq!(answer.cluster_id, first.cluster_id);
            assert!(first.cluster_id.as_ref().unwrap().parse::<Uuid>().is_ok());
            assert_eq!(answer.topics[0].topic_id, first.topics[0].topic_id);
            let rows = &answer.topics[0].partitions;
            let seen: Vec<_> =
                rows.iter().map(|row| (row.partition_index, row.leader_id, row.leader_epoch)).collect();
            assert_eq!(seen, [(0, 1, epoch), (1, 1, epoch)]);
        }
    });
}

/// What the metadata log of a stopped node says of leaders and of the broker: −1 is fenced no more.
fn changes(home: &Home) -> Vec<String> {
    let log = fs::read(home.path().join("__cluster_metadata-0/00000000000000000000.log")).unwrap();
    let mut told = Vec::new();
    for batch in read_batches(&log).unwrap() {
        let BatchContent::Records(records) = batch.content else { continue };
        for (_, record) in records {
            if let MetadataRecord::PartitionChange(change) = &record.record {
                let (isr, eligible) = (&change.isr, &change.eligible_leader_replicas);
                told.push(format!("leader {} isr {isr:?} eligible {eligible:?}", change.leader));
            }
            if let MetadataRecord::BrokerRegistrationChange(change) = &record.record {
                told.push(format!("fenced {} going {}", change.fenced, change.in_controlled_shutdown));
            }
        }
    }
    told
}

/// SHD-01: before the node goes, the controller has moved its leaders and fenced it; a crash leaves no such trace.
#[test]
fn a_stop_in_order_is_in_the_metadata_log_and_a_crash_is_not() {
    run(async {
        let (home, image) = (Home::new(), Home::new());
        let node = start(&home, "").await.unwrap();
        Client::connect(&node).await.create_topic("t", 1).await;
        copy(home.path(), image.path());
        node.stop().await;
        assert_eq!(changes(&image), ["fenced -1 going 0"]);
        assert_eq!(
            changes(&home),
            [
                "fenced -1 going 0",
                "fenced 0 going 1",
                "leader -1 isr Some([]) eligible Some([1])",
                "fenced 1 going 0"
            ]
        );
    });
}

/// REG-04: a client that comes before the node serves waits, and its first answer is a whole one.
#[test]
fn a_client_that_comes_early_is_told_of_the_broker_and_its_leaders() {
    run(async {
        let home = Home::new();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listeners = format!("listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:0\n");
        let node = start(&home, &listeners).await.unwrap();
        Client::connect(&node).await.create_topic("t", 5).await;
        node.stop().await;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let early = task::spawn(async move {
            let deadline = time::now() + Duration::from_secs(10);
            while Stream::connect(address, SocketOptions::default()).await.is_err() {
                assert!(time::now() < deadline, "nobody listens");
                task::yield_now().await;
            }
            everything(&mut Client::connect_to(address).await).await
        });
        let node = start(&home, &listeners).await.unwrap();
        let answer = early.await.unwrap();
        let brokers: Vec<_> = answer.brokers.iter().map(|broker| (broker.node_id, broker.port)).collect();
        assert_eq!(brokers, [(1, i32::from(port))]);
        let leaders: Vec<i32> = answer.topics[0].partitions.iter().map(|row| row.leader_id).collect();
        assert_eq!(leaders, [1; 5]);
        node.stop().await;
    });
}

/// MD-02, LSN-01, LSN-04, TOP-09: who came by a listener is told the addresses of that listener.
#[test]
fn each_listener_tells_its_own_addresses() {
    run(async {
        let home = Home::new();
        let node = start(
            &home,
            "listeners=IN://127.0.0.1:0,OUT://127.0.0.1:0,CONTROLLER://127.0.0.1:0\n\
             advertised.listeners=IN://in.example:1111,OUT://out.example:2222\n\
             inter.broker.listener.name=IN\nbroker.rack=r1\n\
             listener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT,CONTROLLER:PLAINTEXT\n",
        )
        .await
        .unwrap();
        for (listener, host, port) in [("IN", "in.example", 1111), ("OUT", "out.example", 2222)] {
            let mut client = Client::connect_to(address_of(&node, listener)).await;
            let answer = everything(&mut client).await;
            let broker = &answer.brokers[0];
            assert_eq!((broker.host.as_str(), broker.port, broker.rack.as_deref()), (host, port, Some("r1")));
            assert_eq!((answer.brokers.len(), answer.controller_id), (1, 1));
            let request = DescribeClusterRequest { endpoint_type: 1, ..Default::default() };
            let answer: DescribeClusterResponse = client.ask(ApiKey::DescribeCluster, 2, &request).await;
            assert_eq!((answer.brokers[0].host.as_str(), answer.brokers[0].port), (host, port));
            let request =
                FindCoordinatorRequest { coordinator_keys: vec!["g".to_owned()], ..Default::default() };
            let found = |answer: &FindCoordinatorResponse| answer.coordinators[0].error_code == 0;
            let answer: FindCoordinatorResponse =
                client.ask_until((ApiKey::FindCoordinator, 4), &request, found).await;
            assert_eq!((answer.coordinators[0].host.as_str(), answer.coordinators[0].port), (host, port));
        }
        node.stop().await;
    });
}

/// TRAP-21: the topics of the cluster itself have sizes of their own; those of other topics would not be possible here.
#[test]
fn internal_topics_do_not_take_the_defaults_of_other_topics() {
    run(async {
        let home = Home::new();
        let node = start(&home, "default.replication.factor=2\nnum.partitions=7\n").await.unwrap();
        let mut client = Client::connect(&node).await;
        let request = FindCoordinatorRequest { coordinator_keys: vec!["g".to_owned()], ..Default::default() };
        let found = |answer: &FindCoordinatorResponse| answer.coordinators[0].error_code == 0;
        let _: FindCoordinatorResponse =
            client.ask_until((ApiKey::FindCoordinator, 4), &request, found).await;
        let answer = everything(&mut client).await;
        let offsets = &answer.topics[0];
        assert_eq!((offsets.name.as_deref(), offsets.is_internal), (Some("__consumer_offsets"), true));
        assert_eq!(offsets.partitions.len(), 2);
        assert!(offsets.partitions.iter().all(|row| row.replica_nodes == [1]));
        let mut script = Script::at(address(&node)).await;
        script
            .check(
                "> describe 4 2 __consumer_offsets\n2 '__consumer_offsets' 0 ''\n  33 configs\n  \
                 cleanup.policy=compact(1) type=7 doc [cleanup.policy=compact(1) log.cleanup.policy=delete(5)]\n  \
                 compression.type=producer(1) type=2 doc [compression.type=producer(1) compression.type=producer(5)]\n  \
                 min.insync.replicas=1(3) type=3 doc [min.insync.replicas=1(3) min.insync.replicas=1(5)]\n  \
                 segment.bytes=104857600(1) type=3 doc [segment.bytes=104857600(1) log.segment.bytes=1073741824(5)]\n\
                 > create 7 t|-1|-1\n\
                 t 38 'Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be \
                 reached because only 1 broker(s) are registered or some brokers have all their log directories \
                 cordoned.'",
            )
            .await;
        node.stop().await;
    });
}

/// KRF-07: snapshots are taken as the log grows, older ones and the log before them go, and a start finds everything.
#[test]
fn the_metadata_log_is_kept_short_by_snapshots() {
    run(async {
        let home = Home::new();
        let small = "metadata.log.max.record.bytes.between.snapshots=1\nmetadata.max.retention.bytes=1\n";
        let node = start(&home, small).await.unwrap();
        let mut client = Client::connect(&node).await;
        let metadata = home.path().join("__cluster_metadata-0");
        let snapshots = || -> Vec<String> {
            let names = fs::read_dir(&metadata).unwrap().map(|entry| entry.unwrap().file_name());
            let names = names.map(|name| name.into_string().unwrap());
            names.filter(|name| name.ends_with(".checkpoint")).collect()
        };
        let mut topics = 0;
        for _ in 0..20 {
            client.create_topic(&format!("t{topics}"), 1).await;
            topics += 1;
        }
        let deadline = time::now() + Duration::from_secs(10);
        while snapshots().iter().any(|name| name.starts_with("00000000000000000000-")) {
            assert!(time::now() < deadline, "still {:?}", snapshots());
            task::yield_now().await;
        }
        node.stop().await;
        assert!(!snapshots().is_empty());
        let node = start(&home, small).await.unwrap();
        let answer = everything(&mut Client::connect(&node).await).await;
        assert_eq!(answer.topics.len(), topics);
        node.stop().await;
    });
}
