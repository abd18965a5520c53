//! Creation and deletion of topics.
//!
//! Owns: every check of a new topic, in Kafka's order and words; its first records.
//! Does not own: the choice of brokers (`placement`), the values of configs (`configs`), permissions (`server`).
//!
//! Source: KIP-4, KIP-464, KIP-516; Kafka 4.3.1's `kafka-topics`; requirements TOP-01 to TOP-05, MD-10.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ottla_model::{
    BrokerId, LeaderEpoch, PartitionEpoch, PartitionIndex, TopicId, TopicName, TopicNameError, Uuid,
};
use ottla_mutant::mutant;
use ottla_protocol::messages::{RemoveTopicRecord, TopicRecord};

use super::assignment::{self, AssignmentError};
use super::configs::{self, AlterConfigError};
use super::placement;
use super::view::{Decision, RECORDS_PER_REQUEST_MAX, View};
use crate::config::{ConfigError, Settings};
use crate::image::{ConfigResource, LeaderRecovery, Partition, Replica, Topic};
use crate::records::MetadataRecord;

/// How many partitions and replicas a new topic gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Counted; `None` is the default of the controller (−1 on the wire).
    Counts { partitions: Option<i32>, replicas: Option<i16> },
    /// The brokers of every partition, by partition number.
    Manual(Vec<(i32, Vec<i32>)>),
    /// Brokers and a replication factor at once, which is refused.
    ManualAndReplicas,
    /// Brokers and a partition count at once, which is refused.
    ManualAndPartitions,
}

impl Layout {
    /// The layout that a request asks for: counts where −1 means the default, and assignments if there are any.
    pub fn new(partitions: i32, replicas: i16, assignments: Vec<(i32, Vec<i32>)>) -> Layout {
        let given = |count: i32| (count != -1).then_some(count);
        match (assignments.is_empty(), given(replicas.into()), given(partitions)) {
            (true, replicas, partitions) => {
                Layout::Counts { partitions, replicas: replicas.and_then(|count| i16::try_from(count).ok()) }
            }
            (false, Some(_), _) => Layout::ManualAndReplicas,
            (false, None, Some(_)) => Layout::ManualAndPartitions,
            (false, None, None) => Layout::Manual(assignments),
        }
    }
}

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    pub name: String,
    pub layout: Layout,
    /// Configs of the topic; a value may be missing on the wire, which is refused.
    pub configs: Vec<(String, Option<String>)>,
}

/// Topics to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopics {
    pub topics: Vec<NewTopic>,
    /// Decide as if, but record nothing.
    pub validate_only: bool,
}

/// A topic that was, or would be, created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    pub id: TopicId,
    pub partitions: usize,
    pub replicas: usize,
    /// The configs it has by itself; together with the node's layers they give the effective ones (TOP-02).
    pub configs: Settings,
}

/// The outcome for one topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicOutcome<T, E> {
    pub name: String,
    pub result: Result<T, E>,
}

/// Why a topic is not created. The messages are Kafka's, since clients print them.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CreateTopicError {
    #[error("Duplicate topic name.")]
    DuplicateName,
    #[error("Creation of internal topic __cluster_metadata is prohibited.")]
    MetadataTopic,
    #[error(transparent)]
    Name(#[from] TopicNameError),
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collision { name: String, existing: TopicName },
    #[error("Topic '{0}' already exists.")]
    Exists(String),
    #[error("Null value not supported for topic configs: {0}")]
    NullConfigs(String),
    #[error(transparent)]
    Config(#[from] AlterConfigError),
    #[error("A manual partition assignment was specified, but replication factor was not set to -1.")]
    ManualAndReplicas,
    #[error("A manual partition assignment was specified, but numPartitions was not set to -1.")]
    ManualAndPartitions,
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    ReplicationFactor,
    #[error("Number of partitions was set to an invalid non-positive value.")]
    PartitionCount,
    #[error("Unable to replicate the partition {replicas} time(s): {reason}")]
    Placement { replicas: usize, reason: String },
    #[error(transparent)]
    Default(#[from] ConfigError),
}

/// A request asks for more than one request may bring about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    #[error("Excessively large number of partitions per request.")]
    Partitions,
    #[error("Unable to perform excessively large batch operation.")]
    Records,
}

type Outcomes<T, E> = Vec<TopicOutcome<T, E>>;

/// Creates topics; each succeeds or fails by itself.
pub fn create(
    view: &View<'_>,
    request: &CreateTopics,
) -> Result<Decision<Outcomes<CreatedTopic, CreateTopicError>>, TooMuch> {
    let mut occurrences: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in &request.topics {
        *occurrences.entry(&topic.name).or_default() += 1;
    }
    let single = |topic: &&NewTopic| occurrences.get(topic.name.as_str()) == Some(&1);
    check_total(view, request.topics.iter().filter(single))?;
    let mut records = Vec::new();
    let mut outcomes = Vec::new();
    for topic in request.topics.iter().filter(single) {
        let result = create_one(view, topic).map(|(created, of_topic)| {
            records.extend(of_topic);
            created
        });
        outcomes.push(TopicOutcome { name: topic.name.clone(), result });
    }
    if records.len() > RECORDS_PER_REQUEST_MAX {
        return Err(TooMuch::Records);
    }
    for (name, _) in occurrences.into_iter().filter(|(_, count)| *count > 1) {
        outcomes.push(TopicOutcome { name: name.to_owned(), result: Err(CreateTopicError::DuplicateName) });
    }
    if request.validate_only {
        records.clear();
    }
    Ok(Decision { records, answer: outcomes })
}

/// One request may create so many partitions, whatever comes of them.
fn check_total<'t>(view: &View<'_>, topics: impl Iterator<Item = &'t NewTopic>) -> Result<(), TooMuch> {
    let default = view.broker_number("num.partitions").unwrap_or(1);
    let count = |topic: &NewTopic| match &topic.layout {
        Layout::Manual(assignments) => i64::try_from(assignments.len()).unwrap_or(i64::MAX),
        Layout::Counts { partitions: None, .. } => default,
        Layout::Counts { partitions: Some(count), .. } => i64::from(*count).max(0),
        Layout::ManualAndReplicas | Layout::ManualAndPartitions => 0,
    };
    let total = topics.map(count).fold(0, i64::saturating_add);
    let max = i64::try_from(RECORDS_PER_REQUEST_MAX).unwrap_or(i64::MAX);
    if total > max { Err(TooMuch::Partitions) } else { Ok(()) }
}

fn create_one(
    view: &View<'_>,
    topic: &NewTopic,
) -> Result<(CreatedTopic, Vec<MetadataRecord>), CreateTopicError> {
    if topic.name == METADATA_TOPIC {
        return Err(CreateTopicError::MetadataTopic);
    }
    let name = check_name(view, &topic.name)?;
    let configs = own_configs(topic)?;
    let resource = ConfigResource::Topic(topic.name.clone());
    let config_records = configs::records_of_new_topic(view, &resource, &configs)?;
    let partitions = match &topic.layout {
        Layout::Manual(assignments) => assigned(view, assignments)?,
        Layout::ManualAndReplicas => return Err(CreateTopicError::ManualAndReplicas),
        Layout::ManualAndPartitions => return Err(CreateTopicError::ManualAndPartitions),
        Layout::Counts { partitions, replicas } => placed(view, *partitions, *replicas)?,
    };
    let id = new_topic_id(view, &name);
    let replicas = partitions.first().map_or(0, |partition| partition.replicas.len());
    let created = CreatedTopic { id, partitions: partitions.len(), replicas, configs };
    let mut records: Vec<MetadataRecord> =
        vec![TopicRecord { name: name.as_str().to_owned(), topic_id: id.uuid() }.into()];
    records.extend(config_records);
    let version = view.image.features.metadata_version();
    let numbered = (0..).map_while(PartitionIndex::new).zip(&partitions);
    records.extend(numbered.map(|(index, partition)| partition.to_record(id, index, version).into()));
    Ok((created, records))
}

const METADATA_TOPIC: &str = "__cluster_metadata";

fn check_name(view: &View<'_>, text: &str) -> Result<TopicName, CreateTopicError> {
    let name = TopicName::new(text)?;
    if view.image.topics.by_name(text).is_some() {
        return Err(CreateTopicError::Exists(text.to_owned()));
    }
    if name.has_collision_characters() {
        let mut topics = view.image.topics.iter();
        if let Some(existing) = topics.find(|existing| existing.name.collides_with(&name)) {
            let existing = existing.name.clone();
            return Err(CreateTopicError::Collision { name: text.to_owned(), existing });
        }
    }
    Ok(name)
}

fn own_configs(topic: &NewTopic) -> Result<Settings, CreateTopicError> {
    let null: Vec<_> =
        topic.configs.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key.as_str()).collect();
    if !null.is_empty() {
        return Err(CreateTopicError::NullConfigs(null.join(",")));
    }
    Ok(topic.configs.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect())
}

fn assigned(view: &View<'_>, assignments: &[(i32, Vec<i32>)]) -> Result<Vec<Partition>, CreateTopicError> {
    let mut numbers = BTreeSet::new();
    let mut partitions = BTreeMap::new();
    let mut replication_factor = None;
    for (number, brokers) in assignments {
        if !numbers.insert(*number) {
            return Err(AssignmentError::DuplicatePartition(*number).into());
        }
        let brokers = assignment::check(view, brokers, replication_factor)?;
        replication_factor = Some(brokers.len());
        let in_sync = assignment::active(view, &brokers);
        if in_sync.is_empty() {
            return Err(AssignmentError::AllFenced(*number).into());
        }
        partitions.insert(*number, new_partition(view, &brokers, in_sync));
    }
    if !numbers.iter().copied().eq(0..i32::try_from(numbers.len()).unwrap_or(i32::MAX)) {
        return Err(AssignmentError::NotConsecutive.into());
    }
    Ok(partitions.into_values().collect())
}

fn placed(
    view: &View<'_>,
    partitions: Option<i32>,
    replicas: Option<i16>,
) -> Result<Vec<Partition>, CreateTopicError> {
    let given = |count: i64| usize::try_from(count).ok().filter(|count| *count > 0);
    let replicas = match replicas {
        Some(count) => given(count.into()).ok_or(CreateTopicError::ReplicationFactor)?,
        None => given(view.broker_number("default.replication.factor")?).unwrap_or(1),
    };
    let partitions = match partitions {
        Some(count) => given(count.into()).ok_or(CreateTopicError::PartitionCount)?,
        None => given(view.broker_number("num.partitions")?).unwrap_or(1),
    };
    let refused = |reason: String| CreateTopicError::Placement { replicas, reason };
    let placed = placement::place(&assignment::usable_brokers(view), partitions, replicas, view.random);
    let mut all = Vec::with_capacity(partitions);
    for brokers in placed.map_err(|error| refused(error.to_string()))? {
        let in_sync = assignment::active(view, &brokers);
        if in_sync.is_empty() {
            let text = "All brokers are currently fenced or in controlled shutdown.";
            return Err(refused(text.to_owned()));
        }
        all.push(new_partition(view, &brokers, in_sync));
    }
    Ok(all)
}

/// A partition that nobody wrote to yet. `in_sync` is not empty.
pub fn new_partition(view: &View<'_>, brokers: &[BrokerId], in_sync: Vec<BrokerId>) -> Partition {
    let replica =
        |broker: &BrokerId| Replica { broker: *broker, directory: assignment::directory(view, *broker) };
    Partition {
        replicas: brokers.iter().map(replica).collect(),
        leader: in_sync.first().copied(),
        in_sync,
        removing: Vec::new(),
        adding: Vec::new(),
        leader_recovery: LeaderRecovery::Recovered,
        leader_epoch: LeaderEpoch::ZERO,
        partition_epoch: PartitionEpoch::ZERO,
        eligible_leaders: Vec::new(),
        last_known_leaders: Vec::new(),
    }
}

fn new_topic_id(view: &View<'_>, name: &TopicName) -> TopicId {
    loop {
        let uuid = if mutant!(reuse_topic_id) { id_of(name) } else { view.random.kafka_uuid() };
        let id = TopicId::new(uuid).filter(|id| *id != TopicId::METADATA);
        if let Some(id) = id.filter(|id| view.image.topics.by_id(*id).is_none()) {
            return id;
        }
    }
}

/// What a topic id must never be: the same for every topic of a name. Only a mutant makes such.
fn id_of(name: &TopicName) -> Uuid {
    let mut bytes = [b'.'; 16];
    bytes.iter_mut().zip(name.as_str().bytes().rev()).for_each(|(byte, letter)| *byte = letter);
    Uuid::from_bytes(bytes)
}

/// How a request names a topic to be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicRef {
    Name(String),
    Id(TopicId),
}

/// A topic that is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    pub name: TopicName,
    pub id: TopicId,
}

/// Why a topic is not deleted. The messages are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteTopicError {
    #[error("Duplicate topic name.")]
    DuplicateName,
    #[error("Duplicate topic id.")]
    DuplicateId,
    #[error("The provided topic name maps to an ID that was already supplied.")]
    DuplicateOfId(TopicId),
    #[error("This server does not host this topic-partition.")]
    UnknownName,
    #[error("This server does not host this topic ID.")]
    UnknownId,
}

/// Deletion is switched off (`delete.topic.enable`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Topic deletion is disabled.")]
pub struct DeletionDisabled;

/// The outcome for one topic of a request.
pub type DeleteOutcome = (TopicRef, Result<DeletedTopic, DeleteTopicError>);

/// Deletes topics by name or id; each succeeds or fails by itself.
pub fn delete(
    view: &View<'_>,
    topics: &[TopicRef],
) -> Result<Decision<Vec<DeleteOutcome>>, DeletionDisabled> {
    let enabled = view.setup.settings.value("delete.topic.enable").ok().flatten();
    if enabled.is_some_and(|value| value.to_string() == "false") {
        return Err(DeletionDisabled);
    }
    let mut records = Vec::new();
    let mut outcomes: Vec<DeleteOutcome> = Vec::new();
    let mut occurrences: HashMap<&TopicRef, usize> = HashMap::new();
    for topic in topics {
        *occurrences.entry(topic).or_default() += 1;
    }
    let mut told: HashSet<&TopicRef> = HashSet::new();
    for topic in topics {
        if occurrences.get(topic).is_some_and(|count| *count > 1) {
            if told.insert(topic) {
                outcomes.push((topic.clone(), Err(duplicate(topic))));
            }
            continue;
        }
        let found = find(view, topic).and_then(|found| {
            let by_id = TopicRef::Id(found.id);
            if *topic != by_id && occurrences.contains_key(&by_id) {
                return Err(DeleteTopicError::DuplicateOfId(found.id));
            }
            Ok(DeletedTopic { name: found.name.clone(), id: found.id })
        });
        outcomes.push((topic.clone(), found));
    }
    reject_twice_named(&mut outcomes);
    for deleted in outcomes.iter().filter_map(|(_, result)| result.as_ref().ok()) {
        records.push(RemoveTopicRecord { topic_id: deleted.id.uuid() }.into());
    }
    Ok(Decision { records, answer: outcomes })
}

/// A topic given both by name and by id is deleted by neither: only the name's answer tells why.
fn reject_twice_named(outcomes: &mut Vec<DeleteOutcome>) {
    let twice: HashSet<_> = outcomes
        .iter()
        .filter_map(|(_, result)| match result {
            Err(DeleteTopicError::DuplicateOfId(id)) => Some(*id),
            Ok(_) | Err(_) => None,
        })
        .collect();
    outcomes.retain(|(topic, _)| !matches!(topic, TopicRef::Id(id) if twice.contains(id)));
}

fn duplicate(topic: &TopicRef) -> DeleteTopicError {
    match topic {
        TopicRef::Name(_) => DeleteTopicError::DuplicateName,
        TopicRef::Id(_) => DeleteTopicError::DuplicateId,
    }
}

fn find<'a>(view: &View<'a>, topic: &TopicRef) -> Result<&'a Topic, DeleteTopicError> {
    let topics = &view.image.topics;
    let found = match topic {
        TopicRef::Name(name) => topics.by_name(name).ok_or(DeleteTopicError::UnknownName),
        TopicRef::Id(id) => topics.by_id(*id).ok_or(DeleteTopicError::UnknownId),
    };
    found.map(AsRef::as_ref)
}
