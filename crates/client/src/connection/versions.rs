//! What a node speaks: the ranges of its APIs and its features.
//!
//! Owns: the choice of the version of every request.
//! Does not own: asking for the ranges (`handshake`).
//!
//! Source: KIP-35, KIP-511, KIP-584; requirement WIRE-16.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ottla_protocol::ApiKey;
use ottla_protocol::messages::ApiVersionsResponse;

/// The level range of one feature of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureRange {
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
}

/// What one node offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiVersions {
    ranges: BTreeMap<i16, RangeInclusive<i16>>,
    /// Levels the node can have.
    pub supported_features: BTreeMap<String, FeatureRange>,
    /// Levels the cluster has agreed on, and the epoch of that decision.
    pub finalized_features: BTreeMap<String, FeatureRange>,
    /// Counts changes of the finalized levels; `None` from nodes that do not say.
    pub finalized_epoch: Option<i64>,
}

impl ApiVersions {
    pub(crate) fn of(response: &ApiVersionsResponse) -> ApiVersions {
        let ranges = response.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version));
        let supported = response.supported_features.iter().map(|feature| {
            (feature.name.clone(), FeatureRange { min: feature.min_version, max: feature.max_version })
        });
        let finalized = response.finalized_features.iter().map(|feature| {
            let range = FeatureRange { min: feature.min_version_level, max: feature.max_version_level };
            (feature.name.clone(), range)
        });
        ApiVersions {
            ranges: ranges.collect(),
            supported_features: supported.collect(),
            finalized_features: finalized.collect(),
            finalized_epoch: Some(response.finalized_features_epoch).filter(|epoch| *epoch >= 0),
        }
    }

    /// The range the node offers for an API, or `None` when it does not have it.
    pub fn range(&self, api: ApiKey) -> Option<RangeInclusive<i16>> {
        self.ranges.get(&api.number()).cloned()
    }

    /// All APIs the node offers, by number.
    pub fn all(&self) -> impl Iterator<Item = (i16, RangeInclusive<i16>)> + '_ {
        self.ranges.iter().map(|(key, range)| (*key, range.clone()))
    }

    /// The highest version that both sides speak, at most `cap`.
    pub(crate) fn choose(&self, api: ApiKey, cap: i16) -> Option<i16> {
        let theirs = self.ranges.get(&api.number())?;
        let ours = api.stable_versions();
        let highest = (*theirs.end()).min(*ours.end()).min(cap);
        let lowest = (*theirs.start()).max(*ours.start());
        (highest >= lowest).then_some(highest)
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::messages::api_versions_response::ApiVersion;

    use super::*;

    fn offering(min: i16, max: i16) -> ApiVersions {
        let fetch = ApiVersion { api_key: 1, min_version: min, max_version: max };
        ApiVersions::of(&ApiVersionsResponse { api_keys: vec![fetch], ..Default::default() })
    }

    /// WIRE-16
    #[test]
    fn the_highest_common_version_is_chosen() {
        assert_eq!(offering(0, 11).choose(ApiKey::Fetch, i16::MAX), Some(11));
        assert_eq!(
            offering(0, 99).choose(ApiKey::Fetch, i16::MAX),
            Some(*ApiKey::Fetch.stable_versions().end())
        );
        assert_eq!(offering(4, 18).choose(ApiKey::Fetch, 12), Some(12));
    }

    /// WIRE-16
    #[test]
    fn ranges_without_a_common_version_give_none() {
        assert_eq!(offering(0, 3).choose(ApiKey::Fetch, i16::MAX), None);
        assert_eq!(offering(50, 60).choose(ApiKey::Fetch, i16::MAX), None);
        assert_eq!(offering(13, 18).choose(ApiKey::Fetch, 12), None);
        assert_eq!(offering(0, 11).choose(ApiKey::Produce, i16::MAX), None);
    }
}
