//! What calls about transactions ask the authorizer, and what they answer when it says no.
//!
//! Owns: what is allowed, asked and expected. Does not own: ACLs.

use ottla_protocol::messages::ListTransactionsRequest;
use ottla_security::{Operation, ResourceType};

use crate::gatekeeper::{CREATE, Gatekeeper, Permit};
use crate::node::{Home, Parts, properties, run, start_with};
use crate::operator::Operator;
use crate::participant::Participant;

const WRITE: Permit = (Operation::Write, ResourceType::TransactionalId, "x");
const DESCRIBE: Permit = (Operation::Describe, ResourceType::TransactionalId, "x");
/// To find the coordinator of an id nothing else is allowed of.
const FIND: Permit = (Operation::Describe, ResourceType::TransactionalId, "y");
const WRITE_T: Permit = (Operation::Write, ResourceType::Topic, "t");
const DESCRIBE_T: Permit = (Operation::Describe, ResourceType::Topic, "t");
const DESCRIBE_U: Permit = (Operation::Describe, ResourceType::Topic, "u");
const DESCRIBE_ANY_GROUP: Permit = (Operation::Describe, ResourceType::Group, "");
const BROKER: Permit = (Operation::ClusterAction, ResourceType::Cluster, "kafka-cluster");
const READ_G: Permit = (Operation::Read, ResourceType::Group, "g");

fn refused(id: &str) -> String {
    format!("{id}-0 TRANSACTIONAL_ID_AUTHORIZATION_FAILED")
}

/// TXN-01, TXN-02, TXN-03, TXN-13: each call needs the transactional id, and each its own of what else it names.
#[test]
fn transactions_are_for_those_who_may_write_them() {
    run(async {
        let home = Home::new();
        let permits =
            [CREATE, WRITE, DESCRIBE, FIND, WRITE_T, DESCRIBE_T, DESCRIBE_U, DESCRIBE_ANY_GROUP, READ_G];
        let parts = Parts { authorizer: Gatekeeper::only(&permits), ..Parts::default() };
        let node = start_with(&properties(home.path(), ""), parts).await.unwrap();
        let mut operator = Operator::connect(&node).await;
        for topic in ["t", "u"] {
            operator.client.create_topic(topic, 1).await;
            operator.learn(topic).await;
        }
        let mut x = Participant::ready(&node, "x").await;
        let mut y = Participant::new(&node, "y").await;
        y.until_coordinated().await;
        let none = "TRANSACTIONAL_ID_AUTHORIZATION_FAILED";
        assert_eq!((y.init(4).await, y.end(5, true).await, y.add_offsets(3, "g").await), (none, none, none));
        assert_eq!(y.add(3, "t-0").await, refused("t"));
        assert_eq!(y.describe().await, "TRANSACTIONAL_ID_NOT_FOUND");
        assert_eq!(Participant::new(&node, "z").await.describe().await, none);
        assert_eq!(x.add(3, "t-0 u-0").await, "t-0 OPERATION_NOT_ATTEMPTED, u-0 TOPIC_AUTHORIZATION_FAILED");
        assert_eq!(x.add_offsets(3, "other").await, "GROUP_AUTHORIZATION_FAILED");
        assert_eq!(x.enrol(5, false, "t-0").await, "CLUSTER_AUTHORIZATION_FAILED");
        assert_eq!(x.add(3, "t-0").await, "t-0 NONE");
        assert_eq!(x.add_offsets(3, "g").await, "NONE");
        // Topics that may not be described are left out, and ids as well.
        assert_eq!(x.describe().await, "Ongoing 0 t-0");
        assert_eq!(x.list(2, &ListTransactionsRequest::default()).await, "NONE [] [x:Ongoing]");
        assert_eq!(x.end(5, false).await, "NONE");
        node.stop().await;
    });
}

/// TXN-06: brokers may add any topic, to any transaction.
#[test]
fn brokers_need_no_permission_but_that_of_brokers() {
    run(async {
        let home = Home::new();
        let permits = [CREATE, WRITE, DESCRIBE, DESCRIBE_U, BROKER];
        let parts = Parts { authorizer: Gatekeeper::only(&permits), ..Parts::default() };
        let node = start_with(&properties(home.path(), ""), parts).await.unwrap();
        let mut operator = Operator::connect(&node).await;
        operator.client.create_topic("u", 1).await;
        operator.learn("u").await;
        let mut x = Participant::ready(&node, "x").await;
        assert_eq!(x.enrol(5, false, "u-0").await, "u-0 NONE");
        node.stop().await;
    });
}
