//! The language of the tests: one line per thing that happens, one line per answer.
//!
//! Owns: `check`, `run` and the words. Does not own: the node (`world`).
//!
//! ```text
//! broker 2 rack=b dirs=2     registers broker 2 and lets it come alive
//! register 2 …               only registers it (again, as a new process); `same` as the same process, `clean` with
//!                            the epoch of its clean end
//! beat 2 [shutdown|fence|behind|offline=1|cordoned=1,2]
//! unregister 2               wait 9000
//! create a 3/2 k=v …         create a 0=1,2;1=2,1     create? … only validates
//! delete a …                 grow a 5 [=1,2;2,1]
//! alter topic a set k=v del k append k=v subtract k=v      replace topic a k=v
//! elect preferred|unclean all|a/0,1 …                      reassign [same] a/0=2,3 a/1=- …  `-` takes back, `same`: no other number of replicas
//! feature group.version 0 [up|safe|unsafe]                 ids 2          restart
//! show a                     leader, in-sync set, eligible and last known leaders, epochs of each partition
//! ```

use ottla_metadata::controller::{
    AlterConfigs, AlterResource, Command, ConfigChange, CreatePartitions, CreateTopics, FeatureUpdate,
    GrowTopic, Heartbeat, Layout, NewTopic, RegisterBroker, ResourceChange, TopicRef, UpdateFeatures,
    UpgradeType,
};
use ottla_metadata::features::{VersionRange, supported_features};
use ottla_metadata::image::{Endpoint, LeaderRecovery, Partition};
use ottla_model::{BrokerId, DirectoryId, IncarnationId, SecurityProtocol, Uuid};

use crate::reassigning;
use crate::world::{Plan, World};

/// Runs a script on a new node and compares what it says.
pub fn check(script: &str, expected: &str) {
    check_on(&mut World::new(Plan::default()), script, expected);
}

/// The same on a node that exists already.
pub fn check_on(world: &mut World, script: &str, expected: &str) {
    let said = run(world, script);
    let lines = |text: &str| {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(lines(&said), lines(expected), "\nscript:\n{script}");
}

/// Runs a script and gives everything it says.
pub fn run(world: &mut World, script: &str) -> String {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| step(world, line)).filter(|said| !said.is_empty()).collect::<Vec<_>>().join("\n")
}

fn step(world: &mut World, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let rest = &words[1..];
    match words[0] {
        "broker" => {
            let registered = register(world, rest);
            let beat = beat(world, &rest[..1]);
            if registered.contains("registered") { beat } else { registered }
        }
        "register" => register(world, rest),
        "beat" => beat(world, rest),
        "unregister" => {
            match answered!(world.ask(Command::UnregisterBroker(broker(rest[0]))), UnregisterBroker) {
                Ok(()) => format!("{} unregistered", rest[0]),
                Err(error) => error.to_string(),
            }
        }
        "wait" => {
            world.pass(rest[0].parse().unwrap());
            String::new()
        }
        "create" => create(world, rest, false),
        "create?" => create(world, rest, true),
        "delete" => delete(world, rest),
        "grow" => grow(world, rest, false),
        "grow?" => grow(world, rest, true),
        "alter" => alter(world, rest, false),
        "alter?" => alter(world, rest, true),
        "replace" => replace(world, rest),
        "feature" => feature(world, rest, false),
        "feature?" => feature(world, rest, true),
        "elect" => reassigning::elect(world, rest),
        "reassign" => reassigning::reassign(world, rest),
        "ids" => ids(world, rest),
        "restart" => {
            world.restart(true);
            String::new()
        }
        "show" => show(world, rest[0]),
        "configs" => configs(world, rest),
        other => panic!("unknown word {other}"),
    }
}

pub fn broker(text: &str) -> BrokerId {
    BrokerId::new(text.parse().unwrap()).unwrap()
}

fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// The directories of broker 2 are 2·16+1, 2·16+2, …
pub fn directory(broker: BrokerId, number: u8) -> DirectoryId {
    let mut bytes = [0xd0; 16];
    bytes[15] = u8::try_from(broker.value()).unwrap() * 16 + number;
    DirectoryId(Uuid::from_bytes(bytes))
}

fn directories(broker: BrokerId, numbers: &str) -> Vec<DirectoryId> {
    numbers.split(',').map(|number| directory(broker, number.parse().unwrap())).collect()
}

fn register(world: &mut World, words: &[&str]) -> String {
    let id = broker(words[0]);
    let known = world.image().cluster.broker(id).cloned();
    let same = words.contains(&"same");
    // Every registration is that of a new process unless it says otherwise.
    let incarnation = match &known {
        Some(known) if same => known.incarnation,
        _ => IncarnationId(Uuid::from_bytes([u8::try_from(world.log_end().value() % 251).unwrap(); 16])),
    };
    let clean = words.contains(&"clean");
    let count = option(words, "dirs").map_or(1, |count| count.parse().unwrap());
    let request = RegisterBroker {
        broker: id,
        cluster: option(words, "cluster").unwrap_or("cluster").to_owned(),
        incarnation,
        endpoints: vec![Endpoint {
            listener: "PLAINTEXT".to_owned(),
            host: format!("host{id}"),
            port: 9092,
            security_protocol: SecurityProtocol::Plaintext,
        }],
        features: features(words),
        rack: option(words, "rack").map(str::to_owned),
        cordoned: Vec::new(),
        directories: (1..=count).map(|number| directory(id, number)).collect(),
        previous_epoch: known.filter(|_| clean).map(|known| known.epoch),
        tells_clean_shutdown: true,
        migrating: words.contains(&"migrating"),
    };
    match answered!(world.ask(Command::RegisterBroker(request)), RegisterBroker) {
        Ok(_) => format!("{id} registered"),
        Err(error) => error.to_string(),
    }
}

fn features(words: &[&str]) -> Vec<(String, VersionRange)> {
    let mut all: Vec<_> =
        supported_features().into_iter().map(|feature| (feature.name.to_owned(), feature.range)).collect();
    for word in words {
        if let Some(name) = word.strip_prefix("without=") {
            all.retain(|(feature, _)| feature != name);
        }
    }
    all
}

fn beat(world: &mut World, words: &[&str]) -> String {
    let id = broker(words[0]);
    let image = world.image();
    let Some(known) = image.cluster.broker(id) else { return format!("{id} is unknown") };
    let behind = words.contains(&"behind");
    let beat = Heartbeat {
        broker: id,
        epoch: known.epoch,
        metadata_offset: image.provenance.map(|last| last.offset).filter(|_| !behind),
        want_fence: words.contains(&"fence"),
        want_shut_down: words.contains(&"shutdown"),
        offline: option(words, "offline").map(|numbers| directories(id, numbers)).unwrap_or_default(),
        cordoned: option(words, "cordoned").map(|numbers| directories(id, numbers)),
    };
    match answered!(world.ask(Command::Heartbeat(beat)), Heartbeat) {
        Ok(reply) => {
            let mut said = format!("{id} {}", if reply.is_fenced { "fenced" } else { "alive" });
            said.push_str(if reply.is_shutting_down { " going" } else { "" });
            said.push_str(if reply.should_shut_down { " may go" } else { "" });
            said
        }
        Err(error) => error.to_string(),
    }
}

fn pairs(words: &[&str]) -> Vec<(String, Option<String>)> {
    let pair = |word: &&str| match word.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => ((*word).to_owned(), None),
    };
    words.iter().map(pair).collect()
}

pub fn brokers(text: &str) -> Vec<i32> {
    text.split(',').filter(|number| !number.is_empty()).map(|number| number.parse().unwrap()).collect()
}

fn create(world: &mut World, words: &[&str], validate_only: bool) -> String {
    // `a+b` creates two topics in one request.
    let count = |text: &str| if text == "-" { -1 } else { text.parse().unwrap() };
    let assignment = |one: &str| {
        let (number, replicas) = one.split_once('=').unwrap();
        (number.parse().unwrap(), brokers(replicas))
    };
    let layout = |text: &str| {
        let (counts, manual) = text.split_once('+').unwrap_or((text, ""));
        let assignments = if manual.is_empty() && counts.contains('=') { counts } else { manual };
        let assignments: Vec<_> =
            assignments.split(';').filter(|one| !one.is_empty()).map(assignment).collect();
        let (partitions, replicas) = counts.split_once('/').unwrap_or(("-", "-"));
        Layout::new(count(partitions), i16::try_from(count(replicas)).unwrap(), assignments)
    };
    let layout = words.get(1).map_or(Layout::new(-1, -1, Vec::new()), |text| layout(text));
    let configs = pairs(words.get(2..).unwrap_or_default());
    let topic =
        |name: &str| NewTopic { name: name.to_owned(), layout: layout.clone(), configs: configs.clone() };
    let topics = words[0].split('+').map(topic).collect();
    match answered!(world.ask(Command::CreateTopics(CreateTopics { topics, validate_only })), CreateTopics) {
        Ok(outcomes) => {
            let said = outcomes.into_iter().map(|outcome| match outcome.result {
                Ok(topic) => format!("{} {}x{}", outcome.name, topic.partitions, topic.replicas),
                Err(error) => error.to_string(),
            });
            said.collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.to_string(),
    }
}

fn delete(world: &mut World, words: &[&str]) -> String {
    let image = world.image();
    let topic = |word: &&str| match word.strip_prefix("id:") {
        Some(name) => {
            let unknown = ottla_model::TopicId::new(Uuid::from_bytes([9; 16])).unwrap();
            TopicRef::Id(image.topics.by_name(name).map_or(unknown, |topic| topic.id))
        }
        None => TopicRef::Name((*word).to_owned()),
    };
    match answered!(world.ask(Command::DeleteTopics(words.iter().map(topic).collect())), DeleteTopics) {
        Ok(outcomes) => {
            let said = outcomes.into_iter().map(|(_, result)| match result {
                Ok(deleted) => format!("{} deleted", deleted.name),
                Err(error) => error.to_string(),
            });
            said.collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.to_string(),
    }
}

fn grow(world: &mut World, words: &[&str], validate_only: bool) -> String {
    let assignments =
        words.get(2).map(|text| text.trim_start_matches('=').split(';').map(brokers).collect::<Vec<_>>());
    let count = words[1].parse().unwrap();
    let topic = |name: &str| GrowTopic { name: name.to_owned(), count, assignments: assignments.clone() };
    let topics = words[0].split('+').map(topic).collect();
    match answered!(
        world.ask(Command::CreatePartitions(CreatePartitions { topics, validate_only })),
        CreatePartitions
    ) {
        Ok(outcomes) => {
            let said = outcomes.into_iter().map(|outcome| match outcome.result {
                Ok(()) => format!("{} grown", outcome.name),
                Err(error) => error.to_string(),
            });
            said.collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.to_string(),
    }
}

fn kind(word: &str) -> i8 {
    match word {
        "topic" => 2,
        "broker" => 4,
        "logger" => 8,
        "metrics" => 16,
        "group" => 32,
        number => number.parse().unwrap(),
    }
}

/// `-` stands for the empty name.
fn resource_name(word: &str) -> String {
    word.trim_matches('-').to_owned()
}

fn alter(world: &mut World, words: &[&str], validate_only: bool) -> String {
    let changes = words[2..].chunks(2).map(|pair| {
        let operation = match pair[0] {
            "set" => 0,
            "del" => 1,
            "append" => 2,
            "subtract" => 3,
            number => number.parse().unwrap(),
        };
        let (key, value) = pairs(&pair[1..]).remove(0);
        ConfigChange { key, operation, value }
    });
    let change = ResourceChange::Some(changes.collect());
    alter_resources(world, words, (change, validate_only))
}

fn replace(world: &mut World, words: &[&str]) -> String {
    let change = ResourceChange::All(pairs(&words[2..]));
    alter_resources(world, words, (change, false))
}

fn alter_resources(
    world: &mut World,
    words: &[&str],
    (change, validate_only): (ResourceChange, bool),
) -> String {
    let resource = |name: &str| AlterResource {
        kind: kind(words[0]),
        name: resource_name(name),
        change: change.clone(),
    };
    let resources = words[1].split('+').map(resource).collect();
    match answered!(world.ask(Command::AlterConfigs(AlterConfigs { resources, validate_only })), AlterConfigs)
    {
        Ok(outcomes) => {
            let said = outcomes
                .into_iter()
                .map(|outcome| outcome.map_or_else(|error| error.to_string(), |()| "ok".to_owned()));
            said.collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.to_string(),
    }
}

fn feature(world: &mut World, words: &[&str], validate_only: bool) -> String {
    let updates = words.chunks(3).map(|update| FeatureUpdate {
        feature: update[0].to_owned(),
        level: update[1].parse().unwrap(),
        upgrade_type: match update.get(2) {
            Some(&"safe") => UpgradeType::SafeDowngrade,
            Some(&"unsafe") => UpgradeType::UnsafeDowngrade,
            Some(&"unknown") => UpgradeType::Unknown,
            _ => UpgradeType::Upgrade,
        },
    });
    let request = UpdateFeatures { updates: updates.collect(), validate_only };
    match answered!(world.ask(Command::UpdateFeatures(request)), UpdateFeatures) {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn ids(world: &mut World, words: &[&str]) -> String {
    let id = broker(words[0]);
    let epoch = world.image().cluster.broker(id).map_or(0, |broker| broker.epoch.value());
    let stale = if words.contains(&"stale") { 1 } else { 0 };
    match answered!(
        world.ask(Command::AllocateProducerIds { broker: id, epoch: epoch + stale }),
        AllocateProducerIds
    ) {
        Ok(block) => format!("ids from {} on, {}", block.first, block.length),
        Err(error) => error.to_string().replace(&epoch.to_string(), "E"),
    }
}

/// The state of a topic's partitions, one per line.
pub fn show(world: &World, name: &str) -> String {
    let image = world.image();
    let Some(topic) = image.topics.by_name(name) else { return format!("{name} does not exist") };
    topic
        .partitions()
        .map(|(index, partition)| format!("{name}-{index} {}", describe(partition)))
        .collect::<Vec<_>>()
        .join("\n")
}

fn describe(partition: &Partition) -> String {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(BrokerId::to_string).collect::<Vec<_>>().join(",");
    let replicas: Vec<_> = partition.brokers().collect();
    let leader = partition.leader.map_or("none".to_owned(), |leader| leader.to_string());
    let mut said = format!("[{}] leader {leader} isr [{}]", ids(&replicas), ids(&partition.in_sync));
    if !partition.eligible_leaders.is_empty() {
        said.push_str(&format!(" elr [{}]", ids(&partition.eligible_leaders)));
    }
    if !partition.last_known_leaders.is_empty() {
        said.push_str(&format!(" last [{}]", ids(&partition.last_known_leaders)));
    }
    for (what, brokers) in [("adding", &partition.adding), ("removing", &partition.removing)] {
        if !brokers.is_empty() {
            said.push_str(&format!(" {what} [{}]", ids(brokers)));
        }
    }
    if partition.leader_recovery == LeaderRecovery::Recovering {
        said.push_str(" recovering");
    }
    format!("{said} epochs {}/{}", partition.leader_epoch, partition.partition_epoch)
}

fn configs(world: &World, words: &[&str]) -> String {
    let resource =
        ottla_metadata::image::ConfigResource::new(kind(words[0]), &resource_name(words[1])).unwrap();
    let image = world.image();
    let values = image.configs.of(&resource);
    let said =
        values.into_iter().flat_map(|values| values.iter()).map(|(key, value)| format!("{key}={value}"));
    said.collect::<Vec<_>>().join(" ")
}
