//! What a node says it can do.

use ottla_protocol::ApiKey;
use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use crate::node::{Client, Home, run, start};

/// TRAP-41: what is not there is not advertised: clients take telemetry that answers nothing for an error.
#[test]
fn telemetry_is_not_advertised() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut client = Client::connect(&node).await;
        let request = ApiVersionsRequest {
            client_software_name: "test".to_owned(),
            client_software_version: "1.0".to_owned(),
        };
        let answer: ApiVersionsResponse = client.ask(ApiKey::ApiVersions, 4, &request).await;
        let keys: Vec<i16> = answer.api_keys.iter().map(|key| key.api_key).collect();
        assert!(keys.contains(&1) && !keys.contains(&71) && !keys.contains(&72), "{keys:?}");
        node.stop().await;
    });
}
