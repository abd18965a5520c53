//! Changes of finalized feature levels.
//!
//! Owns: the checks of UpdateFeatures, in Kafka's order and words.
//! Does not own: supported levels and dependencies (`crate::features`), the voters' own record of `kraft.version`.
//!
//! A request changes all its features or none.
//!
//! Source: KIP-584, KIP-778, KIP-853, KIP-966, KIP-1022; Kafka 4.3.1's `kafka-features`; requirement KRF-06.

use ottla_model::BrokerId;
use ottla_protocol::messages::{FeatureLevelRecord, NoOpRecord};

use super::configs;
use super::view::{Decision, View};
use crate::features::{Feature, MetadataVersion, VersionRange, supported_features};
use crate::image::NodeFeatures;
use crate::records::MetadataRecord;

/// The way a level may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeType {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
    /// A number that means none of these.
    Unknown,
}

/// The wanted level of a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureUpdate {
    pub feature: String,
    /// 0 switches the feature off.
    pub level: i16,
    pub upgrade_type: UpgradeType,
}

/// Features to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateFeatures {
    pub updates: Vec<FeatureUpdate>,
    /// Decide as if, but record nothing.
    pub validate_only: bool,
}

/// What the quorum has to do once the records are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeaturesUpdated {
    /// The level that `kraft.version` is to be raised to.
    pub kraft_version: Option<i16>,
}

/// Why features stay as they are: INVALID_UPDATE_VERSION. The messages are Kafka's, since tools print them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateFeaturesError {
    #[error("Invalid update version {level} for feature {feature}. {reason}")]
    Update { feature: String, level: i16, reason: String },
    #[error("Unsupported metadata.version downgrade from {from} to {to}. {reason}")]
    Downgrade { from: i16, to: i16, reason: &'static str },
}

impl UpdateFeaturesError {
    /// The message of the response: one feature's error is that of all.
    pub fn response_message(&self) -> String {
        format!("The update failed for all features since the following feature had an error: {self}")
    }
}

impl UpgradeType {
    /// The type with this number on the wire.
    pub const fn from_code(code: i8) -> UpgradeType {
        match code {
            1 => UpgradeType::Upgrade,
            2 => UpgradeType::SafeDowngrade,
            3 => UpgradeType::UnsafeDowngrade,
            _ => UpgradeType::Unknown,
        }
    }
}

/// Changes levels, all or none.
pub fn update(
    view: &View<'_>,
    request: &UpdateFeatures,
) -> Result<Decision<FeaturesUpdated>, UpdateFeaturesError> {
    let mut records = Vec::new();
    let mut answer = FeaturesUpdated { kraft_version: None };
    for update in &request.updates {
        check_support(view, update)?;
        match Feature::from_name(&update.feature) {
            Ok(Feature::Kraft) => {
                if let Some(level) = raise_kraft_version(view, update)? {
                    answer.kraft_version = Some(level);
                    // The answer waits for something of this request to be committed.
                    records.push(NoOpRecord {}.into());
                }
            }
            Ok(feature) => {
                let version = proposed_metadata_version(view, request);
                feature
                    .check_level(update.level, version)
                    .map_err(|error| refuse(update, error.to_string()))?;
                records.push(level_record(feature.name(), update.level));
            }
            Err(_) if update.feature == MetadataVersion::FEATURE => {
                records.push(metadata_version_record(view, update)?);
            }
            Err(unknown) => return Err(refuse(update, unknown.to_string())),
        }
    }
    let wanted = |feature: Feature| request.updates.iter().find(|update| update.feature == feature.name());
    if wanted(Feature::EligibleLeaderReplicas).is_some_and(|update| update.level > 0) {
        let mut safety = configs::records_of_eligible_leaders(view);
        safety.append(&mut records);
        records = safety;
    }
    if request.validate_only {
        records.clear();
        answer.kraft_version = None;
    }
    Ok(Decision { records, answer })
}

fn refuse(update: &FeatureUpdate, reason: impl Into<String>) -> UpdateFeaturesError {
    UpdateFeaturesError::Update {
        feature: update.feature.clone(),
        level: update.level,
        reason: reason.into(),
    }
}

fn check_support(view: &View<'_>, update: &FeatureUpdate) -> Result<(), UpdateFeaturesError> {
    if update.upgrade_type == UpgradeType::Unknown {
        return Err(refuse(update, "The controller does not support the given upgrade type."));
    }
    if update.level < 0 {
        return Err(refuse(update, "A feature version cannot be less than 0."));
    }
    if let Some(reason) = reason_not_supported(view, update) {
        return Err(refuse(update, reason));
    }
    let present = present_level(view, &update.feature);
    if update.level < present && update.upgrade_type == UpgradeType::Upgrade {
        return Err(refuse(
            update,
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        ));
    }
    if update.level > present && update.upgrade_type != UpgradeType::Upgrade {
        return Err(refuse(update, "Can't downgrade to a newer version."));
    }
    Ok(())
}

fn present_level(view: &View<'_>, feature: &str) -> i16 {
    match Feature::from_name(feature) {
        Ok(feature) => view.finalized_level(feature),
        Err(_) if feature == MetadataVersion::FEATURE => view.image.features.metadata_version().level(),
        Err(_) => 0,
    }
}

/// Which node cannot have the feature at this level, if one cannot.
fn reason_not_supported(view: &View<'_>, update: &FeatureUpdate) -> Option<String> {
    let own = supported_features().into_iter().find(|supported| supported.name == update.feature);
    let own = own.map_or(VersionRange::DISABLED, |supported| supported.range);
    let of_node =
        |features: &NodeFeatures| features.get(&update.feature).copied().unwrap_or(VersionRange::DISABLED);
    let local = std::iter::once((format!("Local controller {}", view.setup.node), own));
    let cluster = &view.image.cluster;
    let brokers =
        cluster.brokers().map(|broker| (format!("Broker {}", broker.id), of_node(&broker.features)));
    let others = cluster.controllers().filter(|controller| controller.id != view.setup.node);
    let controllers = others.map(|node| (format!("Controller {}", node.id), of_node(&node.features)));
    let registers = view.image.features.metadata_version().has_controller_registration();
    let refused = local.chain(brokers).chain(controllers.filter(|_| registers)).find_map(|(node, range)| {
        if range.contains(update.level) {
            None
        } else if range.max == 0 {
            Some(format!("{node} does not support this feature."))
        } else {
            Some(format!("{node} only supports versions {range}"))
        }
    });
    refused.or_else(|| {
        unregistered_voter(view)
            .filter(|_| registers)
            .map(|voter| format!("controller {voter} has not registered, and may not support this feature"))
    })
}

fn unregistered_voter(view: &View<'_>) -> Option<BrokerId> {
    let known =
        |voter: &BrokerId| *voter == view.setup.node || view.image.cluster.controller(*voter).is_some();
    view.setup.voters.iter().copied().find(|voter| !known(voter))
}

fn raise_kraft_version(view: &View<'_>, update: &FeatureUpdate) -> Result<Option<i16>, UpdateFeaturesError> {
    if update.upgrade_type == UpgradeType::Upgrade {
        return Ok((update.level > view.kraft_version).then_some(update.level));
    }
    if update.level == view.kraft_version {
        return Ok(None);
    }
    Err(refuse(update, "Can't downgrade the version of this feature."))
}

/// What `metadata.version` will be after the request: other features may depend on it.
fn proposed_metadata_version(view: &View<'_>, request: &UpdateFeatures) -> MetadataVersion {
    let own = request.updates.iter().find(|update| update.feature == MetadataVersion::FEATURE);
    let proposed = own.and_then(|update| MetadataVersion::from_level(update.level));
    proposed.unwrap_or_else(|| view.image.features.metadata_version())
}

fn metadata_version_record(
    view: &View<'_>,
    update: &FeatureUpdate,
) -> Result<MetadataRecord, UpdateFeaturesError> {
    let present = view.image.features.metadata_version();
    let wanted = MetadataVersion::from_level(update.level).expect("supported levels are known ones");
    if wanted < present && present.metadata_changed_since(wanted) {
        let reason = if update.upgrade_type == UpgradeType::UnsafeDowngrade {
            "Unsafe metadata downgrade is not supported in this version."
        } else {
            "Refusing to perform the requested downgrade because it might delete metadata information."
        };
        return Err(UpdateFeaturesError::Downgrade { from: present.level(), to: wanted.level(), reason });
    }
    Ok(level_record(MetadataVersion::FEATURE, wanted.level()))
}

fn level_record(feature: &str, level: i16) -> MetadataRecord {
    FeatureLevelRecord { name: feature.to_owned(), feature_level: level }.into()
}
