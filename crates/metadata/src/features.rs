//! Features of a cluster: which levels this program supports and how levels depend on each other.
//!
//! Owns: the versions of `metadata.version`, the other features, their defaults and dependencies.
//! Does not own: which level is finalized (`image`), how a level is changed (`controller`).
//!
//! Source: KIP-584, KIP-1022; requirements KRF-05 and WIRE-15.

mod registry;
mod version;

pub use registry::{Feature, FeatureLevelError, SupportedFeature, VersionRange, supported_features};
pub use version::{MetadataVersion, Stability, UnknownMetadataVersion};
