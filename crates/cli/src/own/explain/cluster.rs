//! What errors of the cluster itself mean: brokers, controllers, security, requests of any kind.
//!
//! Owns: their texts. Does not own: how they are shown (`explain`).

use ottla_protocol::ErrorCode as Code;

use super::{Text, text};

pub const TEXTS: &[(Code, Text)] = &[
    (
        Code::UnknownServerError,
        text(
            "The broker failed in a way that it has no code for; or it sent a code that this program does not know.",
            "A bug of the broker, or a broker that is newer than the client.",
            "The broker's log has the reason, at the time of the request.",
        ),
    ),
    (Code::None, text("All is well: there is no error.", "What was asked for was done.", "Nothing.")),
    (
        Code::BrokerNotAvailable,
        text(
            "The broker that is needed is not there.",
            "It is down or was taken out of the cluster.",
            "`ottla cluster nodes` shows who is there; start it again.",
        ),
    ),
    (
        Code::StaleControllerEpoch,
        text(
            "A request speaks for a controller that is none any more.",
            "Another controller was elected.",
            "Nothing: the new one goes on.",
        ),
    ),
    (
        Code::NetworkException,
        text(
            "The connection broke before the answer came. What was asked may have happened.",
            "The broker stopped, a firewall or load balancer cut the connection, or TLS meets a listener without it.",
            "Clients try again. If every request ends so, compare security.protocol with the listener of the broker.",
        ),
    ),
    (
        Code::UnsupportedVersion,
        text(
            "The broker does not have this request, or not in this version.",
            "A client that is newer than the broker and needs something new, or a feature that is switched off.",
            "`ottla cluster apis` and `ottla cluster features` show what the broker has; update it or use another way.",
        ),
    ),
    (
        Code::InvalidConfig,
        text(
            "A setting has a value that is not allowed, or there is no such setting.",
            "A misspelt name, a wrong unit, a number out of its range, settings that contradict each other.",
            "The message says which; `ottla explain KEY` says what is allowed.",
        ),
    ),
    (
        Code::NotController,
        text(
            "The request went to a node that is not the active controller.",
            "Another one was elected a moment ago.",
            "Nothing: clients ask who it is. If it stays, `ottla cluster quorum` shows whether there is a leader.",
        ),
    ),
    (
        Code::InvalidRequest,
        text(
            "The broker can read the request and finds it senseless.",
            "A client library with a bug, or values that exclude each other.",
            "The message and the broker's log say what is wrong; update the client library.",
        ),
    ),
    (
        Code::PolicyViolation,
        text(
            "A rule of this cluster forbids it.",
            "A policy for creating topics or changing settings, or records to be deleted from a topic whose cleanup.policy is compact only.",
            "The message names the rule; ask who runs the cluster.",
        ),
    ),
    (
        Code::OperationNotAttempted,
        text(
            "This part of a request was not tried, because another part failed.",
            "Several things in one request, one of which was refused.",
            "Look for the part with another error and correct that.",
        ),
    ),
    (
        Code::ListenerNotFound,
        text(
            "The leader of the partition has no listener of the name through which the client came.",
            "Brokers with different listeners, or a change of them that has not reached all.",
            "Give all brokers listeners of the same names.",
        ),
    ),
    (
        Code::ThrottlingQuotaExceeded,
        text(
            "Topics or partitions are created and deleted faster than a quota allows.",
            "controller_mutation_rate of the user or client.",
            "Clients wait and try again. Do less at once, or raise the quota.",
        ),
    ),
    (
        Code::ResourceNotFound,
        text(
            "What is named does not exist.",
            "A misspelt name of a user, a setting's owner or another thing.",
            "Correct the name.",
        ),
    ),
    (
        Code::DuplicateResource,
        text("A request names the same thing twice.", "A list with a repetition.", "Name each thing once."),
    ),
    (
        Code::StaleBrokerEpoch,
        text(
            "A broker speaks for an earlier life of itself.",
            "It started again, or two processes run with one node.id.",
            "Nothing after a start; otherwise stop the second process.",
        ),
    ),
    (
        Code::DuplicateBrokerRegistration,
        text(
            "A broker with this id is registered already.",
            "Two brokers with the same node.id, or the one before died a moment ago and is still taken for living.",
            "Give every broker an id of its own, or wait until broker.session.timeout.ms is over.",
        ),
    ),
    (
        Code::BrokerIdNotRegistered,
        text(
            "No broker with this id is registered.",
            "The id is misspelt, or the broker was unregistered or never started.",
            "`ottla cluster nodes` shows the ids.",
        ),
    ),
    (
        Code::InconsistentClusterId,
        text(
            "A node belongs to another cluster.",
            "A data directory of another cluster, or an address that leads to one.",
            "Compare cluster.id in meta.properties of its data directories with `ottla cluster info`, and its addresses.",
        ),
    ),
    (
        Code::IneligibleReplica,
        text(
            "A leader wants to call a broker in sync that may not be so now.",
            "That broker is fenced or about to stop.",
            "Nothing: the leader tries again once it is back.",
        ),
    ),
    (
        Code::NewLeaderElected,
        text(
            "A change of in-sync copies was made and has led to another leader.",
            "Brokers are going and coming.",
            "Nothing: brokers follow the new state.",
        ),
    ),
    (
        Code::MismatchedEndpointType,
        text(
            "The address is that of a controller where a broker was meant, or the other way round.",
            "--bootstrap-server with the port of a controller, or --bootstrap-controller with that of a broker.",
            "Use the other address or the other flag.",
        ),
    ),
    (
        Code::UnsupportedEndpointType,
        text(
            "The node does not know this kind of address.",
            "A client that is newer than the node.",
            "Update the node.",
        ),
    ),
    (
        Code::UnknownControllerId,
        text(
            "There is no controller with this id.",
            "It is misspelt, or the controller is not registered yet.",
            "`ottla cluster quorum` shows the ids.",
        ),
    ),
    (
        Code::UnknownSubscriptionId,
        text(
            "A client sends metrics for a subscription that has changed.",
            "The metrics that the cluster wants were changed.",
            "Nothing: the client asks what is wanted now.",
        ),
    ),
    (
        Code::TelemetryTooLarge,
        text(
            "A client sends more metrics at once than the broker takes.",
            "Very many metrics, and telemetry.max.bytes of the broker.",
            "Ask for fewer metrics, or raise that setting.",
        ),
    ),
    (
        Code::InvalidRegistration,
        text(
            "The controller does not accept a broker as it presents itself.",
            "It lacks a listener, does not support the cluster's features, or its directories are not those it had.",
            "The logs of the broker and the controller name the reason.",
        ),
    ),
    (
        Code::InconsistentVoterSet,
        text(
            "Two controllers have different ideas of who votes.",
            "controller.quorum.voters differs between nodes.",
            "Make it the same everywhere, or use controller.quorum.bootstrap.servers.",
        ),
    ),
    (
        Code::InvalidVoterKey,
        text(
            "A controller is addressed under an id or a directory that is not its own.",
            "Its disk was replaced, or an address leads to another one.",
            "`ottla cluster quorum -o wide` shows ids and directories; remove the old voter and add the new one.",
        ),
    ),
    (
        Code::DuplicateVoter,
        text(
            "This controller votes already.",
            "It was added before.",
            "Nothing; `ottla cluster quorum` shows the voters.",
        ),
    ),
    (
        Code::VoterNotFound,
        text(
            "This controller does not vote.",
            "The id or the directory id is misspelt, or it was removed before.",
            "`ottla cluster quorum -o wide` shows both.",
        ),
    ),
    (
        Code::InvalidUpdateVersion,
        text(
            "A change of a partition's or broker's state is based on an old one.",
            "Two changes crossed.",
            "Nothing: it is tried again with the new state.",
        ),
    ),
    (
        Code::FeatureUpdateFailed,
        text(
            "The levels of features were not changed.",
            "A broker that does not support the level, a level that needs another feature first, or a lower one that would lose metadata.",
            "The message says which; `ottla cluster features` shows the levels.",
        ),
    ),
    (
        Code::SnapshotNotFound,
        text(
            "A node asks for a snapshot of the metadata that is no more there.",
            "A newer one has taken its place.",
            "Nothing: the node asks for the newer one.",
        ),
    ),
    (
        Code::PositionOutOfRange,
        text(
            "A node asks for a part of a snapshot that lies outside of it.",
            "The snapshot changed between two requests.",
            "Nothing: the node begins again.",
        ),
    ),
    (
        Code::RebootstrapRequired,
        text(
            "The client has old knowledge of the cluster and shall begin again with its first addresses.",
            "All brokers that it knew are gone or belong to another cluster now.",
            "Nothing, if bootstrap.servers still leads to the cluster.",
        ),
    ),
    (
        Code::TopicAuthorizationFailed,
        text(
            "You may not do this with the topic.",
            "There is no ACL that allows it to this user, or one that forbids it.",
            "Ask for the right: Read to consume, Write to produce, Describe to see it. kafka-acls shows and grants rights.",
        ),
    ),
    (
        Code::GroupAuthorizationFailed,
        text(
            "You may not use this group.",
            "Consumers need the right Read on their group as well as on their topics.",
            "Have the right granted, or use a group.id that you may use.",
        ),
    ),
    (
        Code::ClusterAuthorizationFailed,
        text(
            "You may not do this with the cluster.",
            "A right on the whole cluster is missing: Alter, AlterConfigs, Create, Describe, ClusterAction or IdempotentWrite.",
            "Ask who runs the cluster.",
        ),
    ),
    (
        Code::TransactionalIdAuthorizationFailed,
        text(
            "You may not use this transactional.id.",
            "The right Write on the transactional id is missing.",
            "Have it granted, or use an id that you may use.",
        ),
    ),
    (
        Code::UnsupportedSaslMechanism,
        text(
            "The broker does not offer this way to log in.",
            "sasl.mechanism of the client is not in sasl.enabled.mechanisms of the listener.",
            "Use one of those that the message lists.",
        ),
    ),
    (
        Code::IllegalSaslState,
        text(
            "A request came at a time when the connection expects something else for the login.",
            "security.protocol differs between client and listener (SASL or not), or a client library with a bug.",
            "Compare security.protocol with the listener.",
        ),
    ),
    (
        Code::SaslAuthenticationFailed,
        text(
            "The login was refused.",
            "A wrong user or password, an expired token, a mechanism for which the user has no credentials.",
            "Check sasl.jaas.config; the broker says no more on purpose, its log may.",
        ),
    ),
    (
        Code::SecurityDisabled,
        text(
            "The cluster has no rules about who may do what, so none can be shown or changed.",
            "authorizer.class.name is not set.",
            "Set an authorizer on brokers and controllers, if you want ACLs.",
        ),
    ),
    (
        Code::PrincipalDeserializationFailure,
        text(
            "The controller cannot read who a forwarded request comes from.",
            "Brokers and controllers have a different principal.builder.class.",
            "Make it the same everywhere.",
        ),
    ),
    (
        Code::UnacceptableCredential,
        text(
            "A password is not accepted as it shall be stored.",
            "Too few or too many iterations for SCRAM, or an empty name or password.",
            "Use 4096 to 16384 iterations and a password that is not empty.",
        ),
    ),
    (
        Code::InvalidPrincipalType,
        text(
            "This kind of user is not supported.",
            "Something other than User: as the owner of a token or in a rule.",
            "Write it as User:NAME.",
        ),
    ),
    (
        Code::DelegationTokenAuthDisabled,
        text(
            "The cluster does not give out delegation tokens.",
            "delegation.token.secret.key is not set.",
            "Set it on all brokers and controllers.",
        ),
    ),
    (
        Code::DelegationTokenNotFound,
        text(
            "There is no such token.",
            "It expired and was removed, or its HMAC is misspelt.",
            "Ask for a new one.",
        ),
    ),
    (
        Code::DelegationTokenOwnerMismatch,
        text(
            "The token belongs to somebody else.",
            "Only its owner and its renewers may renew or end it.",
            "Do it as one of them.",
        ),
    ),
    (
        Code::DelegationTokenRequestNotAllowed,
        text(
            "On this connection no tokens can be asked for.",
            "It is not authenticated, or by a token itself.",
            "Log in with a password or certificate of your own.",
        ),
    ),
    (
        Code::DelegationTokenAuthorizationFailed,
        text(
            "You may not see or handle this token.",
            "The right Describe on the token or on its owner is missing.",
            "Have it granted.",
        ),
    ),
    (
        Code::DelegationTokenExpired,
        text(
            "The token is over.",
            "It was not renewed in time, or has reached its largest age (delegation.token.max.lifetime.ms).",
            "Ask for a new one.",
        ),
    ),
];
