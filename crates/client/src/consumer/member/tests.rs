//! Scripts for one member of a group.

use super::*;
use crate::config::BackoffConfig;
use crate::error::ErrorCode;

const RETRY: BackoffConfig =
    BackoffConfig { first: Duration::from_millis(100), max: Duration::from_millis(1000) };

fn partition(index: i32) -> TopicPartition {
    let topic = TopicName::new("t").unwrap();
    TopicPartition::new(topic, ottla_model::PartitionIndex::new(index).unwrap())
}

fn partitions(indexes: &str) -> Vec<TopicPartition> {
    indexes
        .chars()
        .filter_map(|digit| digit.to_digit(10))
        .map(|digit| partition(digit.cast_signed()))
        .collect()
}

/// A member of topic `t`, and the coordinator it talks to.
struct World {
    member: Member,
    now: Instant,
    said: Vec<String>,
}

impl World {
    fn new(assignor: AssignorKind, instance: Option<&str>) -> World {
        let now = Instant::now();
        let config = GroupConfig {
            id: ottla_model::GroupId::new("g"),
            instance_id: instance.map(GroupInstanceId::new),
            rack: None,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            poll_interval_max: Duration::from_secs(10),
            assignors: vec![assignor],
            auto_commit: None,
        };
        let mut member = Member::new(config, RETRY, now);
        member.on_subscribed([TopicName::new("t").unwrap()].into());
        World { member, now, said: vec![] }
    }

    fn act(&mut self) {
        let text = match self.member.poll_action(self.now) {
            None => "-".to_owned(),
            Some(Action::FindCoordinator) => "find".to_owned(),
            Some(Action::Join { member, .. }) => match member {
                Some(id) => format!("join as {id}"),
                None => "join".to_owned(),
            },
            Some(Action::CountPartitions { .. }) => "count".to_owned(),
            Some(Action::Sync { assignments, who, .. }) => {
                format!("sync {} in {}", assignments.len(), who.generation)
            }
            Some(Action::Heartbeat { who, .. }) => format!("beat in {}", who.generation),
            Some(Action::Leave { .. }) => "leave".to_owned(),
        };
        self.said.push(text);
    }

    fn event(&mut self) {
        let list = |partitions: &[TopicPartition]| {
            partitions.iter().map(|one| one.partition.to_string()).collect::<Vec<_>>().join("")
        };
        let text = match self.member.event() {
            None => "nothing".to_owned(),
            Some(Event::GiveUp(partitions)) => format!("give up {}", list(partitions)),
            Some(Event::Lost(partitions)) => format!("lost {}", list(partitions)),
            Some(Event::Assigned(partitions)) => format!("got {}", list(partitions)),
            Some(Event::Failed(error)) => format!("failed {}", error.code.name()),
        };
        self.said.push(text);
        self.member.on_event_done();
    }

    fn joined(&mut self, generation: i32, is_leader: bool) {
        let subscription = protocol::write_subscription(&self.member.as_peer(), None).unwrap();
        let joined = Joined {
            member: MemberId::new("m"),
            generation: GenerationId::new(generation),
            protocol: self.member.config.assignors[0].protocol_name().to_owned(),
            is_leader,
            skip_assignment: false,
            members: if is_leader { vec![(MemberId::new("m"), None, subscription)] } else { vec![] },
        };
        self.member.on_joined(Ok(joined), self.now, 200);
    }

    /// Commands: `act` (the next action), `event` (do what is asked), `found`, `lost-coordinator`, `id` (a member id is
    /// required), `joined GENERATION`, `leads GENERATION`, `counted N`, `synced DIGITS`, `beaten`, `left`, `poll`,
    /// `wait SECONDS`, `join-CODE`, `sync-CODE`, `beat-CODE`, `unsubscribe`, `rebalance`.
    fn run(&mut self, command: &str) {
        let (verb, object) = command.split_once(' ').unwrap_or((command, ""));
        let now = self.now;
        let number = || object.parse::<i32>().unwrap();
        match verb {
            "act" => self.act(),
            "event" => self.event(),
            "found" => self.member.on_coordinator(Ok(BrokerId::new(1).unwrap()), now, 200),
            "id" => {
                let failure = refusal("MEMBER_ID_REQUIRED");
                self.member.on_joined(Err((failure, Some(MemberId::new("m")))), now, 200);
            }
            "joined" => self.joined(number(), false),
            "leads" => self.joined(number(), true),
            "counted" => {
                self.member.on_counts(topics(object));
            }
            "synced" => {
                let bytes = protocol::write_assignment(&partitions(object)).unwrap();
                self.member.on_synced(Ok(bytes), now, 200);
            }
            "beaten" => self.member.on_heartbeat(Ok(()), now, 200),
            "silent" => self.member.on_heartbeat(Err(Failure::NoAnswer), now, 200),
            "left" => self.member.on_left(),
            "poll" => self.member.on_poll(now),
            "wait" => self.now += Duration::from_secs(u64::from(number().unsigned_abs())),
            "unsubscribe" => self.member.on_unsubscribed(),
            "rebalance" => self.member.on_rebalance_wanted(),
            "grown" => {
                self.member.on_metadata(&topics(object));
            }
            verb => match verb.split_once('-').unwrap() {
                ("join", code) => self.member.on_joined(Err((refusal(code), None)), now, 200),
                ("sync", code) => self.member.on_synced(Err(refusal(code)), now, 200),
                ("beat", code) => self.member.on_heartbeat(Err(refusal(code)), now, 200),
                _ => panic!("no such command: {command}"),
            },
        }
    }
}

/// Reads `count[/rack,…]`: topic `t`, whose partitions all have replicas in these racks.
fn topics(text: &str) -> Topics {
    let (count, racks) = text.split_once('/').map_or((text, None), |(count, racks)| (count, Some(racks)));
    let (topic, count) = (TopicName::new("t").unwrap(), count.parse().unwrap());
    let mut topics = Topics { counts: [(topic.clone(), count)].into(), ..Topics::default() };
    if let Some(racks) = racks {
        let racks = racks.split(',').map(str::to_owned).collect();
        topics.racks.insert(topic, vec![racks; usize::try_from(count).unwrap()]);
    }
    topics
}

fn refusal(code: &str) -> Failure {
    Failure::Refused(ErrorCode::from_name(code).unwrap().into())
}

#[track_caller]
fn check_with(mut world: World, script: &str, expected: &str) {
    script.split('|').for_each(|command| world.run(command.trim()));
    assert_eq!(world.said.join(", "), expected, "{script}");
}

#[track_caller]
fn check(script: &str, expected: &str) {
    check_with(World::new(AssignorKind::Range, None), script, expected);
}

/// A member that has joined generation 1 and owns partitions 0 and 1.
const JOINED: &str = "act | found | act | joined 1 | act | synced 01 | event";
const JOINED_SAYS: &str = "find, join, sync 0 in 1, got 01";

#[track_caller]
fn check_joined(script: &str, expected: &str) {
    check(&format!("{JOINED} | {script}"), &format!("{JOINED_SAYS}, {expected}"));
}

/// KIP-394
#[test]
fn a_new_member_gets_its_id_first_and_joins_with_it() {
    check("act | found | act | id | act | joined 1 | act | act", "find, join, join as m, sync 0 in 1, -");
}

#[test]
fn the_leader_counts_partitions_and_sends_every_member_its_share() {
    check(
        "act | found | act | leads 1 | act | act | counted 4 | act | synced 0123 | event",
        "find, join, count, -, sync 1 in 1, got 0123",
    );
}

#[test]
fn heartbeats_follow_each_other_at_their_interval() {
    check_joined("act | wait 3 | act | act | beaten | act | wait 3 | act", "-, beat in 1, -, -, beat in 1");
}

#[test]
fn a_rebalance_waits_until_the_user_has_given_up_its_partitions() {
    check_joined(
        "wait 3 | act | beat-REBALANCE_IN_PROGRESS | act | event | act | joined 2 | act | synced 0 | event",
        "beat in 1, -, give up 01, join as m, sync 0 in 2, got 0",
    );
}

/// While the user takes its time, the coordinator must not think that the member is dead.
#[test]
fn heartbeats_go_on_while_partitions_are_being_given_up() {
    check_joined(
        "wait 3 | act | beat-REBALANCE_IN_PROGRESS | act | wait 3 | act | event | act",
        "beat in 1, -, beat in 1, give up 01, join as m",
    );
}

/// KIP-429
#[test]
fn a_cooperative_member_keeps_what_it_may_and_joins_again_to_hand_over_the_rest() {
    let joined = format!("{JOINED} | wait 3 | act | beat-REBALANCE_IN_PROGRESS | act | joined 2 | act");
    check_with(
        World::new(AssignorKind::CooperativeSticky, None),
        &format!("{joined} | synced 0 | event | event | act | joined 3 | act | synced 0 | event"),
        "find, join, sync 0 in 1, got 01, beat in 1, join as m, sync 0 in 2, give up 1, got , join as m, \
         sync 0 in 3, got ",
    );
}

#[test]
fn a_member_the_coordinator_does_not_know_has_lost_its_partitions_and_joins_as_a_new_one() {
    check_joined("wait 3 | act | beat-UNKNOWN_MEMBER_ID | act | event | act", "beat in 1, -, lost 01, join");
    check_joined("wait 3 | act | beat-ILLEGAL_GENERATION | event | act", "beat in 1, lost 01, join as m");
}

#[test]
fn a_refusal_that_may_pass_is_followed_by_another_attempt_after_a_pause() {
    check(
        "act | found | act | join-COORDINATOR_LOAD_IN_PROGRESS | act | wait 1 | act",
        "find, join, -, join",
    );
    check(
        "act | found | act | joined 1 | act | sync-REBALANCE_IN_PROGRESS | wait 1 | act",
        "find, join, sync 0 in 1, join as m",
    );
}

#[test]
fn a_coordinator_that_moved_is_looked_for_again() {
    check("act | found | act | join-NOT_COORDINATOR | act | found | wait 1 | act", "find, join, find, join");
    check_joined("wait 3 | act | silent | wait 1 | act", "beat in 1, find");
}

#[test]
fn a_refusal_for_good_is_told_and_ends_the_attempts() {
    check(
        "act | found | act | join-GROUP_AUTHORIZATION_FAILED | event | act",
        "find, join, failed GROUP_AUTHORIZATION_FAILED, -",
    );
    check_joined(
        "wait 3 | act | beat-FENCED_INSTANCE_ID | event | act",
        "beat in 1, failed FENCED_INSTANCE_ID, -",
    );
}

#[test]
fn a_member_that_does_not_poll_leaves_and_comes_back_with_the_next_poll() {
    check_joined("wait 10 | act | left | event | act | poll | act", "leave, lost 01, -, join");
}

/// KIP-345
#[test]
fn a_static_member_never_leaves_by_itself() {
    let script = format!("{JOINED} | unsubscribe | act");
    check_with(World::new(AssignorKind::Range, Some("one")), &script, &format!("{JOINED_SAYS}, -"));
}

/// KIP-568
#[test]
fn a_rebalance_that_the_user_wants_begins_unless_one_is_under_way() {
    check_joined(
        "rebalance | act | event | rebalance | act | rebalance | act",
        "-, give up 01, join as m, -",
    );
}

#[test]
fn unsubscribing_leaves_the_group() {
    check_joined("unsubscribe | act | left | act", "leave, -");
}

#[test]
fn a_session_without_an_answer_makes_the_member_look_for_the_coordinator() {
    check_joined("wait 3 | act | wait 42 | poll | act", "beat in 1, find");
}

#[test]
fn a_leader_begins_a_rebalance_when_a_topic_has_grown() {
    check(
        "act | found | act | leads 1 | act | counted 2 | act | synced 01 | event | grown 2 | act | grown 3 | act | event | act",
        "find, join, count, sync 1 in 1, got 01, -, -, give up 01, join as m",
    );
}

/// KIP-881
#[test]
fn a_leader_with_a_rack_begins_a_rebalance_when_replicas_have_moved_to_other_racks() {
    let script = "act | found | act | leads 1 | act | counted 2/a | act | synced 01 | event | grown 2/a | act | grown 2/b | act";
    let says = "find, join, count, sync 1 in 1, got 01, -, -";
    check(script, says);
    let mut world = World::new(AssignorKind::Range, None);
    world.member.config.rack = Some("a".to_owned());
    check_with(world, &format!("{script} | event"), &format!("{says}, give up 01"));
}
