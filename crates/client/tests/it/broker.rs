//! The broker under test, and names that no other test has.

use std::future::Future;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use ottla_client::admin::{
    Admin, ConfigChange, ConfigEntry, ConfigResource, DescribeConfigsOptions, Layout, NewTopic,
    PARTITIONS_PER_ANSWER, ResourceKind,
};
use ottla_client::config::AdminConfig;

/// Questions for a topic before it is given up; each takes a round trip.
const QUESTIONS_MAX: u32 = 10_000;

/// Runs `test` against the broker that the environment names, or says that it did not.
pub fn against_broker<F: Future<Output = ()>>(test: impl FnOnce(Broker) -> F) {
    match std::env::var("OTTLA_TEST_BOOTSTRAP") {
        Ok(bootstrap) => ottla_env::task::block_on(test(Broker { bootstrap })).unwrap(),
        // Straight to the descriptor: the test harness hides what goes through the macros.
        Err(_) => {
            let text = "NOT RUN: no broker to test against, set OTTLA_TEST_BOOTSTRAP=host:port\n";
            std::io::stderr().write_all(text.as_bytes()).unwrap();
        }
    }
}

pub struct Broker {
    pub bootstrap: String,
}

impl Broker {
    pub fn admin(&self) -> Admin {
        Admin::new(AdminConfig::new(&self.bootstrap).unwrap()).unwrap()
    }

    /// Creates a topic with a name of its own.
    pub async fn topic(&self, what: &str, partitions: i32) -> String {
        let name = unique(what);
        self.create(&name, partitions).await;
        name
    }

    /// Creates a topic.
    pub async fn create(&self, name: &str, partitions: i32) {
        let layout = Layout::Counts { partitions: Some(partitions), replication_factor: Some(1) };
        let topic = NewTopic { name: name.to_owned(), layout, ..NewTopic::default() };
        let outcomes = self.admin().create_topics(&[topic], false).await.unwrap();
        outcomes[0].1.as_ref().unwrap();
        self.wait_for_topic(name).await;
    }

    /// Sets one key of a topic and waits until its broker follows it.
    pub async fn set_config(&self, topic: &str, key: &str, value: &str) {
        let resource = ConfigResource::new(ResourceKind::Topic, topic);
        let change = vec![(key.to_owned(), ConfigChange::Set(value.to_owned()))];
        let altered = self.admin().alter_configs(&[(resource.clone(), change)], false).await.unwrap();
        assert_eq!(altered[0].1, Ok(()));
        self.config_when(&resource, key, |entry| entry.value.as_deref() == Some(value)).await;
    }

    /// Asks for one key until the broker's answer is as expected: what a controller took reaches brokers later.
    pub async fn config_when(
        &self,
        resource: &ConfigResource,
        key: &str,
        expected: impl Fn(&ConfigEntry) -> bool,
    ) -> ConfigEntry {
        let admin = self.admin();
        let options = DescribeConfigsOptions { synonyms: true, documentation: false };
        for _ in 0..QUESTIONS_MAX {
            let described = admin.describe_configs(std::slice::from_ref(resource), options).await.unwrap();
            let entries = described[0].1.as_ref().unwrap();
            if let Some(entry) = entries.iter().find(|entry| entry.name == key && expected(entry)) {
                return entry.clone();
            }
        }
        panic!("{key} of {resource:?} does not change");
    }

    /// Asks until the broker itself knows the topic that its controller created.
    pub async fn wait_for_topic(&self, name: &str) {
        let admin = self.admin();
        for _ in 0..QUESTIONS_MAX {
            let described = admin.describe_topics(&[name.to_owned()], PARTITIONS_PER_ANSWER).await.unwrap();
            if let Ok(topic) = &described[0].1
                && topic.partitions.iter().all(|partition| partition.leader.is_some())
            {
                return;
            }
        }
        panic!("topic {name} does not appear");
    }
}

/// A name that neither another test nor another run has.
pub fn unique(what: &str) -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("it-{what}-{}-{nanos}", std::process::id())
}
