//! A producer of transactions as the coordinator knows it: what it asks in any version, and the answers as text.
//!
//! Owns: requests about identities and transactions. Does not own: what the tests expect, records.
//!
//! Partitions are written `t-0`. A producer goes on with what it was told last, unless a test says otherwise.

use ottla_protocol::ApiKey;
use ottla_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnTopicResult;
use ottla_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    DescribeTransactionsRequest, DescribeTransactionsResponse, EndTxnRequest, EndTxnResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, InitProducerIdRequest, InitProducerIdResponse,
    ListTransactionsRequest, ListTransactionsResponse,
};
use ottla_server::RunningNode;

use crate::node::Client;
use crate::operator::name_of;

/// Topics and the partitions named of each, in order.
fn topics(partitions: &str) -> Vec<AddPartitionsToTxnTopic> {
    let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
    for (name, index) in partitions.split_whitespace().map(|text| text.rsplit_once('-').unwrap()) {
        let index = index.parse().unwrap();
        match topics.iter_mut().find(|topic| topic.name == name) {
            Some(topic) => topic.partitions.push(index),
            None => topics.push(AddPartitionsToTxnTopic { name: name.to_owned(), partitions: vec![index] }),
        }
    }
    topics
}

fn rows(topics: &[AddPartitionsToTxnTopicResult]) -> String {
    let rows = topics.iter().flat_map(|topic| {
        let row = move |row: &_| -> String {
            let row: &ottla_protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnPartitionResult = row;
            format!("{}-{} {}", topic.name, row.partition_index, name_of(row.partition_error_code))
        };
        topic.results_by_partition.iter().map(row)
    });
    rows.collect::<Vec<_>>().join(", ")
}

pub struct Participant {
    pub client: Client,
    pub id: String,
    pub producer: i64,
    pub epoch: i16,
}

impl Participant {
    pub async fn new(node: &RunningNode, id: &str) -> Participant {
        Participant { client: Client::connect(node).await, id: id.to_owned(), producer: -1, epoch: -1 }
    }

    /// On a node whose coordinators answer, with an identity.
    pub async fn ready(node: &RunningNode, id: &str) -> Participant {
        let mut producer = Participant::new(node, id).await;
        producer.until_coordinated().await;
        assert_eq!(producer.init(4).await, "NONE");
        producer
    }

    /// Another producer that believes to be the same.
    pub async fn twin(&self, node: &RunningNode) -> Participant {
        Participant { producer: self.producer, epoch: self.epoch, ..Participant::new(node, &self.id).await }
    }

    /// Has the topic of transactions created and waits until its coordinators answer.
    pub async fn until_coordinated(&mut self) {
        let request = FindCoordinatorRequest {
            key_type: 1,
            coordinator_keys: vec![self.id.clone()],
            ..Default::default()
        };
        let found = |answer: &FindCoordinatorResponse| answer.coordinators[0].error_code == 0;
        self.client.ask_until((ApiKey::FindCoordinator, 4), &request, found).await;
        let request = DescribeTransactionsRequest { transactional_ids: vec![self.id.clone()] };
        let loaded = |answer: &DescribeTransactionsResponse| {
            !["NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS"]
                .contains(&name_of(answer.transaction_states[0].error_code))
        };
        self.client.ask_until((ApiKey::DescribeTransactions, 0), &request, loaded).await;
    }

    /// A new identity.
    pub async fn init(&mut self, version: i16) -> &'static str {
        self.ask_init(version, (60_000, -1, -1)).await
    }

    /// The next identity of a producer that says who it was (version 3 on).
    pub async fn go_on(&mut self, version: i16, producer: i64, epoch: i16) -> &'static str {
        self.ask_init(version, (60_000, producer, epoch)).await
    }

    pub async fn ask_init(
        &mut self,
        version: i16,
        (timeout, producer, epoch): (i32, i64, i16),
    ) -> &'static str {
        let request = InitProducerIdRequest {
            transactional_id: Some(self.id.clone()),
            transaction_timeout_ms: timeout,
            producer_id: producer,
            producer_epoch: epoch,
            ..Default::default()
        };
        let answer: InitProducerIdResponse = self.client.ask(ApiKey::InitProducerId, version, &request).await;
        if answer.error_code == 0 {
            (self.producer, self.epoch) = (answer.producer_id, answer.producer_epoch);
        } else {
            assert_eq!((answer.producer_id, answer.producer_epoch), (-1, -1));
        }
        name_of(answer.error_code)
    }

    /// As a client, up to version 3.
    pub async fn add(&mut self, version: i16, partitions: &str) -> String {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.id.clone(),
            v3_and_below_producer_id: self.producer,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: topics(partitions),
            ..Default::default()
        };
        let answer: AddPartitionsToTxnResponse =
            self.client.ask(ApiKey::AddPartitionsToTxn, version, &request).await;
        rows(&answer.results_by_topic_v3_and_below)
    }

    /// As a broker does, from version 4 on.
    pub async fn enrol(&mut self, version: i16, verify_only: bool, partitions: &str) -> String {
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: self.id.clone(),
            producer_id: self.producer,
            producer_epoch: self.epoch,
            verify_only,
            topics: topics(partitions),
        };
        let request = AddPartitionsToTxnRequest { transactions: vec![transaction], ..Default::default() };
        let answer: AddPartitionsToTxnResponse =
            self.client.ask(ApiKey::AddPartitionsToTxn, version, &request).await;
        if answer.error_code != 0 {
            assert!(answer.results_by_transaction.is_empty());
            return name_of(answer.error_code).to_owned();
        }
        assert_eq!(answer.results_by_transaction[0].transactional_id, self.id);
        rows(&answer.results_by_transaction[0].topic_results)
    }

    pub async fn add_offsets(&mut self, version: i16, group: &str) -> &'static str {
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.id.clone(),
            producer_id: self.producer,
            producer_epoch: self.epoch,
            group_id: group.to_owned(),
        };
        let answer: AddOffsetsToTxnResponse =
            self.client.ask(ApiKey::AddOffsetsToTxn, version, &request).await;
        name_of(answer.error_code)
    }

    /// From version 5 on the producer goes on in the epoch it is told.
    pub async fn end(&mut self, version: i16, committed: bool) -> &'static str {
        let answer = self.ask_end(version, committed).await;
        let is_told = version >= 5 && answer.error_code == 0;
        if is_told {
            (self.producer, self.epoch) = (answer.producer_id, answer.producer_epoch);
        } else {
            assert_eq!((answer.producer_id, answer.producer_epoch), (-1, -1));
        }
        name_of(answer.error_code)
    }

    /// The same for as long as the end before goes on.
    pub async fn end_patiently(&mut self, version: i16, committed: bool) -> &'static str {
        loop {
            match self.end(version, committed).await {
                "CONCURRENT_TRANSACTIONS" => ottla_env::task::yield_now().await,
                answer => return answer,
            }
        }
    }

    pub async fn ask_end(&mut self, version: i16, committed: bool) -> EndTxnResponse {
        let request = EndTxnRequest {
            transactional_id: self.id.clone(),
            producer_id: self.producer,
            producer_epoch: self.epoch,
            committed,
        };
        self.client.ask(ApiKey::EndTxn, version, &request).await
    }

    /// State, epoch and partitions, or why not.
    pub async fn describe(&mut self) -> String {
        let request = DescribeTransactionsRequest { transactional_ids: vec![self.id.clone()] };
        let answer: DescribeTransactionsResponse =
            self.client.ask(ApiKey::DescribeTransactions, 0, &request).await;
        let [row] = &answer.transaction_states[..] else { panic!("{answer:?}") };
        assert_eq!(row.transactional_id, self.id);
        if row.error_code != 0 {
            return name_of(row.error_code).to_owned();
        }
        let topics = row
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(move |index| format!(" {}-{index}", topic.topic)));
        format!("{} {}{}", row.transaction_state, row.producer_epoch, topics.collect::<String>())
    }

    /// Waits until the transaction is described so.
    pub async fn until(&mut self, state: &str) {
        let request = DescribeTransactionsRequest { transactional_ids: vec![self.id.clone()] };
        let wanted = |answer: &DescribeTransactionsResponse| {
            let row = &answer.transaction_states[0];
            row.transaction_state == state || name_of(row.error_code) == state
        };
        self.client.ask_until((ApiKey::DescribeTransactions, 0), &request, wanted).await;
    }

    /// Error, unknown names and ids with their states.
    pub async fn list(&mut self, version: i16, request: &ListTransactionsRequest) -> String {
        let answer: ListTransactionsResponse =
            self.client.ask(ApiKey::ListTransactions, version, request).await;
        let mut rows: Vec<String> = answer
            .transaction_states
            .iter()
            .map(|row| format!("{}:{}", row.transactional_id, row.transaction_state))
            .collect();
        rows.sort();
        format!("{} {:?} [{}]", name_of(answer.error_code), answer.unknown_state_filters, rows.join(" "))
    }
}
