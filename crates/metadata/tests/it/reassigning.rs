//! Leaders are elected on demand, and partitions get other replicas.

use ottla_metadata::controller::{
    AlterPartition, Answer, Command, ElectLeaders, ElectionType, InSyncReplica, InSyncRequest, Reassign,
    Reassignments,
};
use ottla_metadata::image::LeaderRecovery;

use crate::script::{brokers, check, check_on, run};
use crate::world::{Plan, World};

/// `a/0,1`: a topic and some of its partitions.
fn partitions(word: &str) -> (String, Vec<i32>) {
    let (topic, numbers) = word.split_once('/').unwrap();
    (topic.to_owned(), brokers(numbers))
}

pub fn elect(world: &mut World, words: &[&str]) -> String {
    let kind = if words[0] == "unclean" { ElectionType::Unclean } else { ElectionType::Preferred };
    let all = words[1] == "all";
    let named = (!all).then(|| words[1..].iter().map(|word| partitions(word)).collect());
    let Answer::ElectLeaders(topics) =
        world.ask(Command::ElectLeaders(ElectLeaders { kind, partitions: named }))
    else {
        panic!("another answer is due")
    };
    let mut said = Vec::new();
    for topic in topics {
        if topic.partitions.is_empty() {
            said.push(format!("{}: nothing", topic.topic));
        }
        for (number, elected) in topic.partitions {
            let outcome = elected.map_or_else(|error| error.to_string(), |()| "elected".to_owned());
            said.push(format!("{}-{number}: {outcome}", topic.topic));
        }
    }
    said.join("\n")
}

pub fn reassign(world: &mut World, words: &[&str]) -> String {
    let same = words[0] == "same";
    let topics = words[usize::from(same)..].iter().map(|word| {
        let (at, replicas) = word.split_once('=').unwrap();
        let (topic, numbers) = partitions(at);
        let replicas = (replicas != "-").then(|| brokers(replicas));
        let wanted = numbers.into_iter().map(|partition| Reassign { partition, replicas: replicas.clone() });
        (topic, wanted.collect())
    });
    let request = Reassignments { topics: topics.collect(), allow_replication_factor_change: !same };
    match answered!(world.ask(Command::Reassign(request)), Reassign) {
        Ok(topics) => {
            let rows = topics.into_iter().flat_map(|topic| {
                topic.partitions.into_iter().map(move |(number, done)| {
                    let outcome = done.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
                    format!("{}-{number}: {outcome}", topic.topic)
                })
            });
            rows.collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.to_string(),
    }
}

/// The leader of partition 0 of the topic `a` says who is in sync.
fn in_sync(world: &mut World, numbers: &[i32]) {
    let image = world.image();
    let topic = image.topics.by_name("a").unwrap();
    let partition = topic.partitions().next().unwrap().1;
    let leader = partition.leader.unwrap();
    let wanted = InSyncRequest {
        topic: topic.id,
        partition: 0,
        leader_epoch: partition.leader_epoch.value(),
        partition_epoch: partition.partition_epoch.value(),
        in_sync: numbers.iter().map(|id| InSyncReplica { broker: *id, epoch: None }).collect(),
        leader_recovery: LeaderRecovery::Recovered,
    };
    let broker_epoch = image.cluster.broker(leader).unwrap().epoch.value();
    let request = AlterPartition { broker: leader, broker_epoch, partitions: vec![wanted] };
    answered!(world.ask(Command::AlterPartition(request)), AlterPartition).unwrap();
}

/// ELE-03
#[test]
fn the_first_replica_leads_again_when_it_is_asked_for() {
    check(
        "broker 1
         broker 2
         create a 0=1,2;1=2,1
         beat 1 fence
         show a
         elect preferred a/0,1
         elect preferred all",
        "1 alive
         2 alive
         a 2x2
         1 fenced
         a-0 [1,2] leader 2 isr [2] epochs 1/1
         a-1 [2,1] leader 2 isr [2] epochs 0/1
         a-0: The preferred leader was not available.
         a-1: Leader election not needed for topic partition.
         a-0: The preferred leader was not available.",
    );
    let mut world = World::new(Plan::default());
    run(&mut world, "broker 1\nbroker 2\ncreate a 0=1,2;1=2,1\nbeat 1 fence\nbeat 1");
    in_sync(&mut world, &[2, 1]);
    check_on(
        &mut world,
        "show a
         elect preferred all
         show a
         elect preferred all",
        "a-0 [1,2] leader 2 isr [2,1] epochs 1/2
         a-1 [2,1] leader 2 isr [2] epochs 0/1
         a-0: elected
         a-0 [1,2] leader 1 isr [2,1] epochs 2/3
         a-1 [2,1] leader 2 isr [2] epochs 0/1
         a: nothing",
    );
}

/// ELE-03
#[test]
fn an_unclean_election_is_for_partitions_that_nobody_leads() {
    check(
        "broker 1
         broker 2
         create a 0=1,2
         beat 2 fence
         elect unclean a/0
         beat 1 fence
         beat 2
         show a
         elect unclean all
         show a
         elect unclean a/0
         elect unclean a/7 b/0",
        "1 alive
         2 alive
         a 1x2
         2 fenced
         a-0: Leader election not needed for topic partition.
         1 fenced
         2 alive
         a-0 [1,2] leader none isr [] elr [1] last [1] epochs 1/2
         a-0: elected
         a-0 [1,2] leader 2 isr [2] recovering epochs 2/3
         a-0: Leader election not needed for topic partition.
         a-7: No such partition as a-7
         b-0: No such topic as b",
    );
}

/// RSG-01
#[test]
fn new_replicas_join_and_the_old_ones_leave_once_they_are_in_sync() {
    let mut world = World::new(Plan::default());
    check_on(
        &mut world,
        "broker 1
         broker 2
         broker 3
         create a 0=1,2
         reassign a/0=3,2
         show a",
        "1 alive
         2 alive
         3 alive
         a 1x2
         a-0: ok
         a-0 [3,2,1] leader 1 isr [1,2] adding [3] removing [1] epochs 0/1",
    );
    in_sync(&mut world, &[1, 2, 3]);
    check_on(&mut world, "show a", "a-0 [3,2] leader 3 isr [2,3] epochs 1/2");
}

/// RSG-01
#[test]
fn a_reassignment_is_replaced_or_taken_back() {
    check(
        "broker 1
         broker 2
         broker 3
         broker 4
         create a 0=1,2
         reassign a/0=-
         reassign a/0=3,4
         show a
         reassign a/0=2,4
         show a
         reassign a/0=-
         show a
         reassign a/0=2,1
         show a",
        "1 alive
         2 alive
         3 alive
         4 alive
         a 1x2
         a-0: No partition reassignment is in progress.
         a-0: ok
         a-0 [3,4,1,2] leader 1 isr [1,2] adding [3,4] removing [1,2] epochs 0/1
         a-0: ok
         a-0 [2,4,1,3] leader 1 isr [1,2] adding [3,4] removing [1,3] epochs 0/2
         a-0: ok
         a-0 [2,1] leader 1 isr [1,2] epochs 1/3
         a-0: ok
         a-0 [2,1] leader 1 isr [1,2] epochs 1/3",
    );
}

/// RSG-01
#[test]
fn a_reassignment_that_cannot_be_is_refused_in_kafka_s_words() {
    check(
        "broker 1
         broker 2
         create a 0=1
         reassign a/0=
         reassign a/0=9
         reassign a/0=1,1
         reassign a/3=1 b/0=1
         reassign same a/0=1,2
         show a
         reassign a/0=1,2
         show a",
        "1 alive
         2 alive
         a 1x1
         a-0: The manual partition assignment includes an empty replica list.
         a-0: The manual partition assignment includes broker 9, but no such broker is registered.
         a-0: The manual partition assignment includes the broker 1 more than once.
         a-3: Unable to find partition a:3.
         b-0: Unable to find a topic named b.
         a-0: The replication factor is changed from 1 to 2
         a-0 [1] leader 1 isr [1] epochs 0/0
         a-0: ok
         a-0 [1,2] leader 1 isr [1] adding [2] epochs 0/1",
    );
}
