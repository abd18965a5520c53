//! Error codes of the protocol as a client sees them.
//!
//! Owns: name, default message, Java class and retry rules of every code, read from `codes.tsv`.
//! Does not own: when a broker sends which code.
//!
//! A code is a number and not an enum here: a newer broker may send one that this client does not know.
//!
//! Source: `Errors` of Kafka 4.3.1.

use std::fmt;
use std::sync::LazyLock;

/// An error code other than 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(i16);

/// What Kafka's clients know of one code.
#[derive(Clone, Copy, Debug)]
struct Known {
    code: i16,
    name: &'static str,
    class: &'static str,
    retriable: bool,
    refresh: bool,
    message: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal;)*) => {
        impl ErrorCode {
            $(#[allow(missing_docs, reason = "the table codes.tsv has the meaning of each code")]
            pub const $name: ErrorCode = ErrorCode($code);)*
        }
    };
}

codes! {
    UNKNOWN_SERVER_ERROR = -1;
    OFFSET_OUT_OF_RANGE = 1;
    CORRUPT_MESSAGE = 2;
    UNKNOWN_TOPIC_OR_PARTITION = 3;
    LEADER_NOT_AVAILABLE = 5;
    NOT_LEADER_OR_FOLLOWER = 6;
    REQUEST_TIMED_OUT = 7;
    MESSAGE_TOO_LARGE = 10;
    NETWORK_EXCEPTION = 13;
    COORDINATOR_LOAD_IN_PROGRESS = 14;
    COORDINATOR_NOT_AVAILABLE = 15;
    NOT_COORDINATOR = 16;
    INVALID_TOPIC_EXCEPTION = 17;
    RECORD_LIST_TOO_LARGE = 18;
    ILLEGAL_GENERATION = 22;
    UNKNOWN_MEMBER_ID = 25;
    REBALANCE_IN_PROGRESS = 27;
    GROUP_AUTHORIZATION_FAILED = 30;
    TOPIC_AUTHORIZATION_FAILED = 29;
    UNSUPPORTED_VERSION = 35;
    TOPIC_ALREADY_EXISTS = 36;
    NOT_CONTROLLER = 41;
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45;
    DUPLICATE_SEQUENCE_NUMBER = 46;
    INVALID_PRODUCER_EPOCH = 47;
    KAFKA_STORAGE_ERROR = 56;
    UNKNOWN_PRODUCER_ID = 59;
    NON_EMPTY_GROUP = 68;
    GROUP_ID_NOT_FOUND = 69;
    FETCH_SESSION_ID_NOT_FOUND = 70;
    INVALID_FETCH_SESSION_EPOCH = 71;
    FENCED_LEADER_EPOCH = 74;
    UNKNOWN_LEADER_EPOCH = 75;
    OFFSET_NOT_AVAILABLE = 78;
    MEMBER_ID_REQUIRED = 79;
    ELECTION_NOT_NEEDED = 84;
    GROUP_SUBSCRIBED_TO_TOPIC = 86;
    FENCED_INSTANCE_ID = 82;
    UNSTABLE_OFFSET_COMMIT = 88;
    INVALID_UPDATE_VERSION = 95;
    UNKNOWN_TOPIC_ID = 100;
    INCONSISTENT_TOPIC_ID = 103;
    FETCH_SESSION_TOPIC_ID_ERROR = 106;
    REBOOTSTRAP_REQUIRED = 129;
}

impl ErrorCode {
    /// The error with this number, or `None` for 0, which means success.
    pub const fn new(code: i16) -> Option<ErrorCode> {
        if code == 0 { None } else { Some(ErrorCode(code)) }
    }

    /// The number on the wire.
    pub const fn number(self) -> i16 {
        self.0
    }

    /// Kafka's name, such as `UNKNOWN_TOPIC_OR_PARTITION`; of an unknown number that of −1.
    pub fn name(self) -> &'static str {
        self.known().name
    }

    /// The sentence that Java clients show where the broker sends none.
    pub fn message(self) -> &'static str {
        self.known().message
    }

    /// Full name of the exception class that the Java client throws.
    pub fn java_class(self) -> String {
        format!("org.apache.kafka.common.{}", self.known().class)
    }

    /// Whether the same request may succeed later.
    pub fn is_retriable(self) -> bool {
        self.known().retriable
    }

    /// Whether what the client knows of the cluster (topics, leaders, coordinators) is out of date.
    pub fn needs_refresh(self) -> bool {
        self.known().refresh
    }

    fn known(self) -> &'static Known {
        let table = table();
        match table.binary_search_by_key(&self.0, |known| known.code) {
            Ok(at) => &table[at],
            // The first row is −1, which is also what Java clients take an unknown code for.
            Err(_) => &table[0],
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

fn table() -> &'static [Known] {
    static TABLE: LazyLock<Vec<Known>> = LazyLock::new(|| {
        let rows = include_str!("codes.tsv").lines().filter(|line| !line.starts_with('#')).skip(1);
        rows.map(|row| known_of(row).unwrap_or_else(|| panic!("codes.tsv has a malformed row: {row}")))
            .collect()
    });
    &TABLE
}

fn known_of(row: &'static str) -> Option<Known> {
    let fields: Vec<&'static str> = row.split('\t').collect();
    let [code, name, class, retriable, refresh, message] = fields[..] else { return None };
    let code = code.parse().ok()?;
    Some(Known { code, name, class, retriable: retriable == "true", refresh: refresh == "true", message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_begins_with_the_unknown_error() {
        assert!(table().windows(2).all(|pair| pair[0].code < pair[1].code));
        assert_eq!(table()[0].code, -1);
        assert_eq!(table().len(), 134);
    }

    #[test]
    fn a_code_has_kafka_s_name_and_message() {
        let code = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        assert_eq!(code.name(), "UNKNOWN_TOPIC_OR_PARTITION");
        assert_eq!(code.message(), "This server does not host this topic-partition.");
        assert_eq!(code.java_class(), "org.apache.kafka.common.errors.UnknownTopicOrPartitionException");
        assert!(code.is_retriable() && code.needs_refresh());
        assert!(!ErrorCode::TOPIC_ALREADY_EXISTS.is_retriable());
    }

    #[test]
    fn an_unknown_code_reads_as_an_unknown_error() {
        assert_eq!(ErrorCode::new(0), None);
        assert_eq!(ErrorCode::new(9999).unwrap().name(), "UNKNOWN_SERVER_ERROR");
    }

    #[test]
    fn the_named_codes_have_the_names_of_the_table() {
        assert_eq!(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.name(), "OUT_OF_ORDER_SEQUENCE_NUMBER");
        assert_eq!(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR.name(), "FETCH_SESSION_TOPIC_ID_ERROR");
        assert_eq!(ErrorCode::UNKNOWN_TOPIC_ID.name(), "UNKNOWN_TOPIC_ID");
        assert_eq!(ErrorCode::REBOOTSTRAP_REQUIRED.name(), "REBOOTSTRAP_REQUIRED");
    }
}
