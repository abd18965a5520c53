//! ListTransactions (API key 66): the transactional ids this broker coordinates.
//!
//! Source: requirement TXN-13; KIP-664, KIP-994, KIP-1152.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_coordinator::expression;
use ottla_coordinator::transaction::{self, TransactionFilter};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_transactions_response::TransactionState;
use ottla_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};
use ottla_security::Operation;
use regex::Regex;

use crate::caller::Caller;
use crate::error_code;
use crate::node::Node;

/// Most bytes a pattern may take in memory. A pattern of a client must not cost more than its connection may.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Serves one request. Whoever asks sees the ids they may describe.
pub async fn handle(
    node: &Node,
    caller: &Caller,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let (filter, unknown_state_filters) = filter_of(&request);
    let pattern = match pattern_of(request.transactional_id_pattern.as_deref()) {
        Ok(pattern) => pattern,
        Err(code) => return refused(code),
    };
    let listed = match node.transactions.list(&filter).await {
        Ok(listed) => listed,
        Err(error) => return refused(error_code::of_list_transactions(&error)),
    };
    let is_wanted = |id: &str| {
        pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
            && node.access.may_transactional_id(caller, Operation::Describe, id)
    };
    let wanted = listed.into_iter().filter(|transaction| is_wanted(transaction.id.as_str()));
    let transaction_states = wanted
        .map(|transaction| TransactionState {
            transactional_id: transaction.id.as_str().to_owned(),
            producer_id: transaction.producer.value(),
            transaction_state: transaction.state.name().to_owned(),
        })
        .collect();
    ListTransactionsResponse {
        unknown_state_filters,
        transaction_states,
        ..ListTransactionsResponse::default()
    }
}

/// The filter, and the names in it that no state has. Where all are of that kind, nothing passes.
fn filter_of(request: &ListTransactionsRequest) -> (TransactionFilter, Vec<String>) {
    let (mut states, mut unknown) = (BTreeSet::new(), Vec::new());
    for name in &request.state_filters {
        match transaction::TransactionState::from_name(name) {
            Some(state) => drop(states.insert(state)),
            None if unknown.contains(name) => {}
            None => unknown.push(name.clone()),
        }
    }
    let filter = TransactionFilter {
        states: (!request.state_filters.is_empty()).then_some(states),
        producers: request.producer_id_filters.iter().copied().collect(),
        longer_than: u64::try_from(request.duration_filter).ok().map(Duration::from_millis),
    };
    (filter, unknown)
}

/// The whole id must match. An empty pattern is none.
fn pattern_of(pattern: Option<&str>) -> Result<Option<Regex>, ErrorCode> {
    let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else { return Ok(None) };
    let pattern = expression::compile(pattern, PATTERN_BYTES_MAX).map(Some);
    pattern.map_err(|_| ErrorCode::InvalidRegularExpression)
}

fn refused(error: ErrorCode) -> ListTransactionsResponse {
    ListTransactionsResponse { error_code: error.number(), ..ListTransactionsResponse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TXN-13
    #[test]
    fn a_pattern_is_for_the_whole_id() {
        let matches = |pattern: &str, id: &str| pattern_of(Some(pattern)).unwrap().unwrap().is_match(id);
        assert!(matches("tx-.*", "tx-1"));
        assert!(!matches("tx", "tx-1"));
        assert!(!matches("a|b", "ab"));
        assert!(matches(r"\Qa.b\E+", "a.bb") && !matches(r"\Qa.b\E", "axb"));
        assert!(matches(r"a\\Qb", r"a\Qb") && matches(r"\Q(", "("));
        assert!(pattern_of(Some("")).unwrap().is_none());
        for wrong in ["(", "a)(b", "[", "(?<=a)b"] {
            assert_eq!(pattern_of(Some(wrong)).unwrap_err(), ErrorCode::InvalidRegularExpression, "{wrong}");
        }
    }

    /// TXN-13
    #[test]
    fn names_that_no_state_has_are_told_and_let_nothing_through() {
        let request = ListTransactionsRequest {
            state_filters: ["Ongoing", "ongoing", "", "ongoing"].map(str::to_owned).to_vec(),
            ..ListTransactionsRequest::default()
        };
        let (filter, unknown) = filter_of(&request);
        assert_eq!(filter.states, Some(BTreeSet::from([transaction::TransactionState::Ongoing])));
        assert_eq!(unknown, ["ongoing", ""]);
        let unknown_alone = ListTransactionsRequest {
            state_filters: vec!["x".to_owned()],
            ..ListTransactionsRequest::default()
        };
        assert_eq!(filter_of(&unknown_alone).0.states, Some(BTreeSet::new()));
        assert_eq!(filter_of(&ListTransactionsRequest::default()).0, TransactionFilter::default());
    }
}
