//! Resources and the operations on them, in Kafka's codes.
//!
//! Owns: the enums and which operations a type of resource has.
//! Does not own: which of them somebody may perform (`authorizer`).
//!
//! Source: requirements SEC-30, MD-09.

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($variant,)* }

        impl $name {
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// The number on the wire.
            pub const fn code(self) -> i8 {
                match self { $($name::$variant => $code,)* }
            }

            /// Kafka's name, such as `ALTER_CONFIGS`.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The value of this number; `None` for codes that stand for filters or nothing.
            pub fn from_code(code: i8) -> Option<$name> {
                $name::ALL.iter().copied().find(|known| known.code() == code)
            }
        }
    };
}

coded! {
    /// What is done to a resource.
    Operation {
        All = 2, "ALL";
        Read = 3, "READ";
        Write = 4, "WRITE";
        Create = 5, "CREATE";
        Delete = 6, "DELETE";
        Alter = 7, "ALTER";
        Describe = 8, "DESCRIBE";
        ClusterAction = 9, "CLUSTER_ACTION";
        DescribeConfigs = 10, "DESCRIBE_CONFIGS";
        AlterConfigs = 11, "ALTER_CONFIGS";
        IdempotentWrite = 12, "IDEMPOTENT_WRITE";
        CreateTokens = 13, "CREATE_TOKENS";
        DescribeTokens = 14, "DESCRIBE_TOKENS";
        TwoPhaseCommit = 15, "TWO_PHASE_COMMIT";
    }
}

coded! {
    /// A kind of thing that has permissions.
    ResourceType {
        Topic = 2, "TOPIC";
        Group = 3, "GROUP";
        Cluster = 4, "CLUSTER";
        TransactionalId = 5, "TRANSACTIONAL_ID";
        DelegationToken = 6, "DELEGATION_TOKEN";
        User = 7, "USER";
    }
}

coded! {
    /// How the name in a permission is meant.
    PatternType {
        Literal = 3, "LITERAL";
        Prefixed = 4, "PREFIXED";
    }
}

coded! {
    /// What a permission does.
    PermissionType {
        Deny = 2, "DENY";
        Allow = 3, "ALLOW";
    }
}

impl ResourceType {
    /// The operations that exist on such a resource, `ALL` not among them.
    pub const fn operations(self) -> &'static [Operation] {
        use Operation::{
            Alter, AlterConfigs, ClusterAction, Create, CreateTokens, Delete, Describe, DescribeConfigs,
            DescribeTokens, IdempotentWrite, Read, TwoPhaseCommit, Write,
        };
        match self {
            ResourceType::Topic => {
                &[Read, Write, Create, Describe, Delete, Alter, DescribeConfigs, AlterConfigs]
            }
            ResourceType::Group => &[Read, Describe, Delete, DescribeConfigs, AlterConfigs],
            ResourceType::Cluster => {
                &[Create, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite, Alter, Describe]
            }
            ResourceType::TransactionalId => &[Describe, Write, TwoPhaseCommit],
            ResourceType::DelegationToken => &[Describe],
            ResourceType::User => &[CreateTokens, DescribeTokens],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEC-30, as Kafka 4.3.1 numbers them.
    #[test]
    fn codes_and_names_are_kafka_s() {
        let operations: Vec<_> = Operation::ALL.iter().map(|one| (one.code(), one.name())).collect();
        let names = "ALL READ WRITE CREATE DELETE ALTER DESCRIBE CLUSTER_ACTION DESCRIBE_CONFIGS ALTER_CONFIGS \
                     IDEMPOTENT_WRITE CREATE_TOKENS DESCRIBE_TOKENS TWO_PHASE_COMMIT";
        assert_eq!(operations, (2..).zip(names.split(' ')).collect::<Vec<_>>());
        let kinds: Vec<_> = ResourceType::ALL.iter().map(|one| (one.code(), one.name())).collect();
        let names = "TOPIC GROUP CLUSTER TRANSACTIONAL_ID DELEGATION_TOKEN USER";
        assert_eq!(kinds, (2..).zip(names.split(' ')).collect::<Vec<_>>());
        assert_eq!((PatternType::Literal.code(), PatternType::Prefixed.code()), (3, 4));
        assert_eq!((PermissionType::Deny.code(), PermissionType::Allow.code()), (2, 3));
    }

    /// SEC-30
    #[test]
    fn a_code_of_a_filter_or_of_nothing_is_no_value() {
        for operation in Operation::ALL {
            assert_eq!(Operation::from_code(operation.code()), Some(*operation));
        }
        for nothing in [i8::MIN, -1, 0, 1, 16, i8::MAX] {
            assert_eq!(Operation::from_code(nothing), None);
            assert_eq!(ResourceType::from_code(nothing), None);
            assert_eq!(PatternType::from_code(nothing), None);
        }
        assert_eq!(PatternType::from_code(2), None, "2 is a filter's MATCH");
    }

    /// MD-09. The bit fields that Kafka 4.3.1 answers where everything is allowed: Metadata and
    /// DescribeTopicPartitions for a topic, DescribeGroups for a group, DescribeCluster for the cluster.
    #[test]
    fn the_operations_of_a_resource_are_those_kafka_lists() {
        let bits = |kind: ResourceType| kind.operations().iter().fold(0, |bits, one| bits | 1 << one.code());
        assert_eq!(bits(ResourceType::Topic), 3576);
        assert_eq!(bits(ResourceType::Group), 3400);
        assert_eq!(bits(ResourceType::Cluster), 8096);
        // From Kafka's own table; no answer shows these.
        assert_eq!(bits(ResourceType::TransactionalId), (1 << 4) | (1 << 8) | (1 << 15));
        assert_eq!(bits(ResourceType::DelegationToken), 1 << 8);
        assert_eq!(bits(ResourceType::User), (1 << 13) | (1 << 14));
    }
}
