//! Flags of `kafka-storage`.
//!
//! Owns: their declaration, once. Does not own: how they are read (`argparse`), what they do.

use crate::argparse::{Flag, Presence, Program, Subcommand, Takes};

pub const INFO: &str = "info";
pub const FORMAT: &str = "format";
pub const VERSION_MAPPING: &str = "version-mapping";
pub const FEATURE_DEPENDENCIES: &str = "feature-dependencies";

pub const CONFIG: &str = "config";
pub const CLUSTER_ID: &str = "cluster-id";
pub const ADD_SCRAM: &str = "add-scram";
pub const IGNORE_FORMATTED: &str = "ignore-formatted";
pub const RELEASE_VERSION: &str = "release-version";
pub const FEATURE: &str = "feature";
pub const STANDALONE: &str = "standalone";
pub const NO_INITIAL_CONTROLLERS: &str = "no-initial-controllers";
pub const INITIAL_CONTROLLERS: &str = "initial-controllers";

const CONFIG_FLAG: Flag = Flag {
    long: CONFIG,
    short: Some('c'),
    takes: Takes::Value,
    presence: Presence::Required,
    about: "The properties file of the node.",
};

/// The tool's command line.
pub static PROGRAM: Program = Program {
    name: "kafka-storage",
    about: "Formats the data directories of a node and tells what is in them.",
    flags: &[],
    commands: &[
        Subcommand {
            name: INFO,
            about: "Tell which data directories the node has and to which cluster they belong.",
            flags: &[CONFIG_FLAG],
        },
        Subcommand { name: FORMAT, about: "Prepare the data directories of the node.", flags: FORMAT_FLAGS },
        Subcommand {
            name: VERSION_MAPPING,
            about: "Tell the levels of all features that come with a release; without a flag, with the newest one.",
            flags: &[Flag {
                long: RELEASE_VERSION,
                short: Some('r'),
                takes: Takes::Value,
                presence: Presence::Optional,
                about: "The release, from 3.3-IV3 on.",
            }],
        },
        Subcommand {
            name: FEATURE_DEPENDENCIES,
            about: "Tell what levels of features need of others.",
            flags: &[Flag {
                long: FEATURE,
                short: Some('f'),
                takes: Takes::Value,
                presence: Presence::Required,
                about: "A feature and its level, such as metadata.version=30; may be repeated.",
            }],
        },
        Subcommand { name: "random-uuid", about: "Print an id for a new cluster or directory.", flags: &[] },
    ],
};

const FORMAT_FLAGS: &[Flag] = &[
    CONFIG_FLAG,
    Flag {
        long: CLUSTER_ID,
        short: Some('t'),
        takes: Takes::Value,
        presence: Presence::Required,
        about: "Id of the cluster, the same for all its nodes.",
    },
    Flag {
        long: ADD_SCRAM,
        short: Some('S'),
        takes: Takes::Value,
        presence: Presence::Optional,
        about: "A SCRAM credential the cluster begins with, such as SCRAM-SHA-256=[name=alice,password=secret]; may \
                be repeated.",
    },
    Flag {
        long: IGNORE_FORMATTED,
        short: Some('g'),
        takes: Takes::Nothing,
        presence: Presence::Optional,
        about: "Leave directories alone that are formatted, instead of failing.",
    },
    Flag {
        long: RELEASE_VERSION,
        short: Some('r'),
        takes: Takes::Value,
        presence: Presence::Optional,
        about: "The release whose features the cluster begins with, from 3.3-IV3 to 4.3-IV0, the default.",
    },
    Flag {
        long: FEATURE,
        short: Some('f'),
        takes: Takes::Value,
        presence: Presence::Optional,
        about: "A feature and the level it begins with, such as kraft.version=1; may be repeated.",
    },
    Flag {
        long: STANDALONE,
        short: Some('s'),
        takes: Takes::Nothing,
        presence: Presence::AtMostOne,
        about: "This controller is the whole quorum; others may join later. Needs \
                controller.quorum.bootstrap.servers, not controller.quorum.voters.",
    },
    Flag {
        long: NO_INITIAL_CONTROLLERS,
        short: Some('N'),
        takes: Takes::Nothing,
        presence: Presence::AtMostOne,
        about: "The node learns the quorum from the others. Needs controller.quorum.bootstrap.servers, not \
                controller.quorum.voters.",
    },
    Flag {
        long: INITIAL_CONTROLLERS,
        short: Some('I'),
        takes: Takes::Value,
        presence: Presence::AtMostOne,
        about: "The quorum as a list of id@host:port:directory-id, the same for all nodes. Needs \
                controller.quorum.bootstrap.servers, not controller.quorum.voters.",
    },
];
