//! Which protocol a group uses, and which topics its consumers subscribe to.
//!
//! Owns: the vote, the reading of consumer subscriptions.
//! Does not own: the members.
//!
//! Source: requirements GRP-12, GRP-16; Kafka's embedded consumer protocol (`ConsumerProtocolSubscription`).

use std::collections::BTreeSet;

use bytes::Bytes;
use ottla_model::{ProtocolName, ProtocolType};
use ottla_protocol::messages::ConsumerProtocolSubscription;
use ottla_protocol::{Message, Reader};

use super::member::Member;

/// The type whose subscriptions the coordinator understands; all others are opaque bytes.
pub(super) const CONSUMER: &str = "consumer";

/// All versions of a subscription begin with the fields of this one.
const SUBSCRIPTION_VERSION: i16 = 0;

pub(super) fn is_consumer(protocol_type: Option<&ProtocolType>) -> bool {
    protocol_type.is_some_and(|name| name.as_str() == CONSUMER)
}

/// The protocol with most votes. Each member votes for the first of its own that everybody supports; on a tie the one
/// voted for first wins. `None` without members, or when nothing is common to all.
pub(super) fn elect<'a>(members: impl Iterator<Item = &'a Member> + Clone) -> Option<ProtocolName> {
    let common = common(members.clone());
    let mut votes: Vec<(&ProtocolName, usize)> = Vec::new();
    for member in members {
        let mut names = member.protocols.iter().map(|protocol| &protocol.name);
        let name = names.find(|name| common.contains(*name))?;
        match votes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, votes)) => *votes += 1,
            None => votes.push((name, 1)),
        }
    }
    let most = votes.iter().map(|(_, votes)| *votes).max()?;
    votes.iter().find(|(_, votes)| *votes == most).map(|(name, _)| (*name).clone())
}

/// The protocols that every member supports. A member may name one twice: it counts once.
pub(super) fn common<'a>(members: impl Iterator<Item = &'a Member>) -> BTreeSet<&'a ProtocolName> {
    let mut common: Option<BTreeSet<&ProtocolName>> = None;
    for member in members {
        let names = member.protocols.iter().map(|protocol| &protocol.name).collect();
        common = Some(match common {
            Some(common) => &common & &names,
            None => names,
        });
    }
    common.unwrap_or_default()
}

/// The topics of consumer subscriptions, or `None` as soon as one of them cannot be read.
pub(super) fn subscribed_topics(subscriptions: impl Iterator<Item = Bytes>) -> Option<BTreeSet<String>> {
    let mut topics = BTreeSet::new();
    for subscription in subscriptions {
        topics.extend(read_topics(&subscription)?);
    }
    Some(topics)
}

fn read_topics(subscription: &Bytes) -> Option<Vec<String>> {
    let mut reader = Reader::shared(subscription);
    let version = reader.i16().ok()?;
    if version < SUBSCRIPTION_VERSION {
        return None;
    }
    Some(ConsumerProtocolSubscription::decode(&mut reader, SUBSCRIPTION_VERSION).ok()?.topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(version: u8, topics: &[&str]) -> Bytes {
        let mut bytes = vec![0, version, 0, 0, 0, u8::try_from(topics.len()).unwrap()];
        for topic in topics {
            bytes.extend([0, u8::try_from(topic.len()).unwrap()]);
            bytes.extend(topic.bytes());
        }
        // No user data, then what later versions add.
        bytes.extend([0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
        Bytes::from(bytes)
    }

    /// GRP-16
    #[test]
    fn topics_are_read_from_subscriptions_of_any_version() {
        let both = [subscription(0, &["a", "b"]), subscription(3, &["b", "c"])];
        let expected = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(subscribed_topics(both.into_iter()), Some(BTreeSet::from(expected)));
        assert_eq!(subscribed_topics(std::iter::empty()), Some(BTreeSet::new()));
    }

    /// GRP-16
    #[test]
    fn a_subscription_that_is_none_leaves_the_topics_unknown() {
        for bad in [Bytes::new(), Bytes::from_static(b"x"), Bytes::from_static(&[0, 0, 0x7f, 0, 0, 0])] {
            assert_eq!(subscribed_topics([subscription(0, &["a"]), bad].into_iter()), None);
        }
    }
}
