//! Creates a topic, changes its configuration, looks at it and at the groups that read it.
//!
//! ```text
//! cargo run -p ottla-client --example admin -- localhost:9092 greetings
//! ```

use std::collections::BTreeMap;
use std::error::Error;

use ottla_client::Admin;
use ottla_client::admin::{
    ConfigChange, ConfigResource, CreateTopicError, Layout, NewTopic, OffsetSpec, PARTITIONS_PER_ANSWER,
    ResourceKind,
};
use ottla_client::config::{AdminConfig, IsolationLevel};
use ottla_client::model::{TopicName, TopicPartition};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments.next().unwrap_or_else(|| "localhost:9092".to_owned());
    let topic = arguments.next().unwrap_or_else(|| "greetings".to_owned());
    run(&bootstrap, &topic).await
}

/// The example itself.
pub async fn run(bootstrap: &str, topic: &str) -> Result<(), Box<dyn Error>> {
    let admin = Admin::new(AdminConfig::new(bootstrap)?)?;

    // An operation on several things answers for each of them; refusals that one reacts to have names.
    let layout = Layout::Counts { partitions: Some(3), replication_factor: None };
    let new = NewTopic { name: topic.to_owned(), layout, ..NewTopic::default() };
    for (name, outcome) in admin.create_topics(&[new], false).await? {
        match outcome {
            Ok(created) => println!("{name} has {:?} partitions", created.partitions),
            Err(CreateTopicError::AlreadyExists(_)) => println!("{name} is there already"),
            Err(error) => return Err(error.into()),
        }
    }

    let resource = ConfigResource::new(ResourceKind::Topic, topic);
    let changes = vec![("retention.ms".to_owned(), ConfigChange::Set("86400000".to_owned()))];
    for (_, outcome) in admin.alter_configs(&[(resource, changes)], false).await? {
        outcome?;
    }

    for (name, described) in admin.describe_topics(&[topic.to_owned()], PARTITIONS_PER_ANSWER).await? {
        let Ok(described) = described else { continue };
        let name = TopicName::new(&name)?;
        let wanted: BTreeMap<TopicPartition, OffsetSpec> = described
            .partitions
            .iter()
            .map(|one| (TopicPartition::new(name.clone(), one.index), OffsetSpec::Latest))
            .collect();
        for (partition, end) in admin.list_offsets(&wanted, IsolationLevel::ReadUncommitted).await? {
            println!("{partition} ends at {:?}", end?.map(|end| end.offset));
        }
    }

    for group in admin.list_groups(&[], &[]).await? {
        println!("group {} is {}", group.id, group.state);
        for (partition, committed) in admin.list_group_offsets(&group.id, None, false).await? {
            println!("  {partition}: {}", committed?.offset);
        }
    }
    Ok(())
}
