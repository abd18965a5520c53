//! Records of parts that nothing acts on yet, kept so that no snapshot loses them.
//!
//! Owns: access control entries, client quotas, SCRAM credentials and delegation tokens as they were recorded.
//! Does not own: what they mean (`security`, once it asks for them).
//!
//! A snapshot takes the place of the log before it. A node that opens the directory of another must therefore carry
//! everything on, also what it makes no use of.
//!
//! Source: KIP-631, KIP-801, KIP-900; Kafka 4.3.1's snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_model::Uuid;
use ottla_protocol::messages::{
    AccessControlEntryRecord, ClientQuotaRecord, DelegationTokenRecord, RemoveUserScramCredentialRecord,
    UserScramCredentialRecord,
};

use crate::records::MetadataRecord;

/// Whom a quota is for: entity types and names, sorted. No name means the default.
type QuotaEntity = Vec<(String, Option<String>)>;

/// All retained records. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retained {
    acls: Arc<BTreeMap<Uuid, AccessControlEntryRecord>>,
    quotas: Arc<BTreeMap<(QuotaEntity, String), ClientQuotaRecord>>,
    /// By mechanism and user.
    scram: Arc<BTreeMap<(i8, String), UserScramCredentialRecord>>,
    tokens: Arc<BTreeMap<String, DelegationTokenRecord>>,
}

impl Retained {
    pub(super) fn put_acl(&mut self, record: &AccessControlEntryRecord) {
        Arc::make_mut(&mut self.acls).insert(record.id, record.clone());
    }

    pub(super) fn remove_acl(&mut self, id: Uuid) {
        Arc::make_mut(&mut self.acls).remove(&id);
    }

    pub(super) fn put_quota(&mut self, record: &ClientQuotaRecord) {
        let named = record.entity.iter().map(|part| (part.entity_type.clone(), part.entity_name.clone()));
        let mut entity: QuotaEntity = named.collect();
        entity.sort();
        let quotas = Arc::make_mut(&mut self.quotas);
        let key = (entity, record.key.clone());
        if record.remove {
            quotas.remove(&key);
        } else {
            quotas.insert(key, record.clone());
        }
    }

    pub(super) fn put_scram(&mut self, record: &UserScramCredentialRecord) {
        Arc::make_mut(&mut self.scram).insert((record.mechanism, record.name.clone()), record.clone());
    }

    pub(super) fn remove_scram(&mut self, record: &RemoveUserScramCredentialRecord) {
        Arc::make_mut(&mut self.scram).remove(&(record.mechanism, record.name.clone()));
    }

    pub(super) fn put_token(&mut self, record: &DelegationTokenRecord) {
        Arc::make_mut(&mut self.tokens).insert(record.token_id.clone(), record.clone());
    }

    pub(super) fn remove_token(&mut self, id: &str) {
        Arc::make_mut(&mut self.tokens).remove(id);
    }

    /// Client quotas in the order of a snapshot.
    pub fn quota_records(&self) -> impl Iterator<Item = MetadataRecord> {
        self.quotas.values().cloned().map(MetadataRecord::from)
    }

    /// Access control entries, SCRAM credentials and delegation tokens in the order of a snapshot.
    pub fn credential_records(&self) -> impl Iterator<Item = MetadataRecord> {
        let acls = self.acls.values().cloned().map(MetadataRecord::from);
        let scram = self.scram.values().cloned().map(MetadataRecord::from);
        let tokens = self.tokens.values().cloned().map(MetadataRecord::from);
        acls.chain(scram).chain(tokens)
    }
}
