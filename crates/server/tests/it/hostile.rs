//! Input that no client sends: each gets what Kafka gives, and the node serves on.

use std::fs;
use std::time::Duration;

use ottla_env::time;
use ottla_model::Uuid;
use ottla_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse, RegisterBrokerRecord,
};
use ottla_protocol::{ApiKey, Message, Reader};

use crate::node::{Client, Home, Parts, run, start, start_with};
use crate::planted::plant_records;

/// WIRE-01, WIRE-05: frames of impossible size, unknown APIs and versions end the connection, and only that.
#[test]
fn what_is_no_request_ends_its_connection_and_nothing_else() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let header = |key: i16, version: i16| {
            let mut frame = 12_i32.to_be_bytes().to_vec();
            frame.extend(key.to_be_bytes());
            frame.extend(version.to_be_bytes());
            frame.extend(7_i32.to_be_bytes());
            frame.extend((-1_i16).to_be_bytes());
            frame.extend([0, 0]);
            frame
        };
        let hostile: Vec<Vec<u8>> = vec![
            (-1_i32).to_be_bytes().to_vec(),
            0_i32.to_be_bytes().to_vec(),
            i32::MAX.to_be_bytes().to_vec(),
            header(1234, 0),
            header(-7, 0),
            header(0, 2),
            header(3, 99),
            header(52, 0),
        ];
        for bytes in hostile {
            let client = Client::connect(&node).await;
            client.send_raw(&bytes).await;
            assert_eq!(client.receive().await, None, "{bytes:?}");
        }
        let mut client = Client::connect(&node).await;
        let answer: MetadataResponse = client.ask(ApiKey::Metadata, 12, &MetadataRequest::default()).await;
        assert_eq!(answer.brokers.len(), 1);
        node.stop().await;
    });
}

/// WIRE-06: a version of ApiVersions that is not known is answered in version 0, and the connection stays.
#[test]
fn a_newer_api_versions_is_answered_in_version_0() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        let mut frame = client.frame(ApiKey::ApiVersions, 4, &software());
        frame[7] = 99;
        client.send_raw(&frame).await;
        let answer = client.receive().await.unwrap();
        let answer = ApiVersionsResponse::decode(&mut Reader::new(&answer[4..]), 0).unwrap();
        assert_eq!(answer.error_code, 35);
        assert!(answer.api_keys.iter().any(|key| key.api_key == 18 && key.max_version == 4));
        let answer: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 4, &software()).await;
        assert_eq!((answer.error_code, answer.finalized_features.len()), (0, 7));
        node.stop().await;
    });
}

fn software() -> ApiVersionsRequest {
    ApiVersionsRequest { client_software_name: "test".to_owned(), client_software_version: "1.0".to_owned() }
}

/// STG-01: a directory of another cluster is refused with both names, and stays as it was.
#[test]
fn a_directory_of_another_node_is_refused() {
    run(async {
        let home = Home::new();
        start(&home, "").await.unwrap().stop().await;
        let error = start(&home, "node.id=2\n").await.err().unwrap().to_string();
        assert!(error.contains("it belongs to node 1, this is node 2"), "{error}");
        start(&home, "").await.unwrap().stop().await;
    });
}

/// STG-01: a first start that was cut short is repeated: the mark of a formatted directory is written last.
#[test]
fn a_formatting_that_was_cut_short_is_repeated() {
    run(async {
        let home = Home::new();
        let in_the_way = home.path().join("bootstrap.checkpoint");
        fs::create_dir_all(&in_the_way).unwrap();
        let error = start(&home, "").await.err().unwrap().to_string();
        assert!(error.contains("cannot format"), "{error}");
        assert!(!home.path().join("meta.properties").exists());
        fs::remove_dir(&in_the_way).unwrap();
        start(&home, "").await.unwrap().stop().await;
        start(&home, "").await.unwrap().stop().await;
    });
}

/// LOG-00: a directory that is in use is refused.
#[test]
fn a_directory_in_use_is_refused() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let error = start(&home, "").await.err().unwrap().to_string();
        assert!(error.contains("Failed to acquire lock"), "{error}");
        node.stop().await;
    });
}

/// STG-01: a cluster that cannot begin with what it was given is a failed start with the reason, at once.
#[test]
fn a_controller_that_cannot_begin_ends_the_start() {
    run(async {
        let home = Home::new();
        // The first records are written in their oldest versions, and this one has no log directories there.
        let record = RegisterBrokerRecord { log_dirs: vec![Uuid::ZERO], ..RegisterBrokerRecord::default() };
        let properties = plant_records(&home, &[record.into()], "");
        let begun = time::now();
        let error = start_with(&properties, Parts::default()).await.err().unwrap().to_string();
        assert!(error.starts_with("the controller cannot begin: "), "{error}");
        assert!(error.contains("logDirs"), "{error}");
        assert!(time::now() - begun < Duration::from_secs(30), "waited for a controller that was gone");
    });
}
