//! The words in which a story repeats what the coordinator answered.
//!
//! Owns: the printing; it also notes which id and generation a member was told.
//! Does not own: any expectation.

use ottla_coordinator::group::{
    DescribedGroup, FetchedTopic, GroupAnswer, JoinError, JoinRefused, Joined, LeftMember, Synced,
};
use ottla_coordinator::runtime::Reply;
use ottla_model::MemberId;

use super::Story;

impl Story {
    pub fn hear(&mut self, replies: Vec<Reply<GroupAnswer>>) {
        for reply in &replies {
            if let GroupAnswer::Join(Ok(joined)) = &reply.answer {
                let name = self.asked[&reply.request].clone();
                self.ids.insert(name.clone(), joined.member.clone());
                self.generations.insert(name, joined.generation);
            }
        }
        for reply in replies {
            let name = self.asked.remove(&reply.request).unwrap();
            let said = match reply.answer {
                GroupAnswer::Join(Ok(joined)) => self.joined(&name, &joined),
                GroupAnswer::Join(Err(refused)) => self.join_refused(&name, &refused),
                GroupAnswer::Sync(Ok(synced)) => format!("{name} has {}", Self::part(&synced)),
                GroupAnswer::Sync(Err(error)) => format!("{name} sync: {error}"),
                GroupAnswer::Heartbeat(Ok(())) => format!("{name} lives"),
                GroupAnswer::Heartbeat(Err(error)) => format!("{name} beat: {error}"),
                GroupAnswer::Leave(Ok(left)) => self.left(&left),
                GroupAnswer::Leave(Err(error)) => format!("leave: {error}"),
                GroupAnswer::CommitOffsets(Ok(topics)) => {
                    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
                    let results = partitions.map(|partition| match &partition.result {
                        Ok(()) => "committed".to_owned(),
                        Err(error) => error.to_string(),
                    });
                    format!("{name} {}", results.collect::<Vec<_>>().join(" + "))
                }
                GroupAnswer::CommitOffsets(Err(error)) => format!("{name} commit: {error}"),
                GroupAnswer::FetchOffsets(Ok(topics)) => Self::fetched(&topics),
                GroupAnswer::FetchOffsets(Err(error)) => format!("fetch: {error}"),
                GroupAnswer::DeleteOffsets(Ok(topics)) => {
                    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
                    let kept = partitions.filter_map(|partition| partition.result.as_ref().err());
                    format!("dropped{}", kept.map(|error| format!(" but {error}")).collect::<String>())
                }
                GroupAnswer::DeleteOffsets(Err(error)) => format!("drop: {error}"),
                GroupAnswer::DeleteGroup(Ok(())) => "group dropped".to_owned(),
                GroupAnswer::DeleteGroup(Err(error)) => format!("drop: {error}"),
                GroupAnswer::Describe(Ok(group)) => self.described(&group),
                GroupAnswer::Describe(Err(error)) => format!("describe: {error}"),
                GroupAnswer::List(Ok(groups)) => {
                    let groups = groups.iter().map(|listed| {
                        let protocol_type = listed.protocol_type.as_ref().map_or("-", |name| name.as_str());
                        format!("{}:{protocol_type}:{}:{}", listed.group, listed.state, listed.group_type)
                    });
                    format!("[{}]", groups.collect::<Vec<_>>().join(" "))
                }
                GroupAnswer::List(Err(error)) => format!("list: {error}"),
                GroupAnswer::ForgetPartitions(Ok(())) => "forgotten".to_owned(),
                GroupAnswer::ForgetPartitions(Err(error)) => format!("forget: {error}"),
                GroupAnswer::ConsumerHeartbeat(Ok(beaten)) => self.beaten(&name, beaten),
                GroupAnswer::ConsumerHeartbeat(Err(error)) => format!("{name}: {error}"),
                GroupAnswer::DescribeConsumers(Ok(group)) => self.consumers_described(&group),
                GroupAnswer::DescribeConsumers(Err(error)) => format!("describe: {error}"),
                GroupAnswer::Noted(Ok(())) => continue,
                GroupAnswer::Noted(Err(error)) => format!("noted: {error}"),
            };
            self.say(said);
        }
    }

    /// The name that stands for an id, or the id itself.
    pub(super) fn name_of(&self, id: &MemberId) -> String {
        let known = self.ids.iter().find(|(_, known)| *known == id);
        known.map_or_else(|| format!("{:?}", id.as_str()), |(name, _)| name.clone())
    }

    fn joined(&self, name: &str, joined: &Joined) -> String {
        let leader = joined.leader.as_ref().map_or_else(|| "nobody".to_owned(), |id| self.name_of(id));
        let protocol = joined.protocol.as_ref().map_or("none", |name| name.as_str());
        let mut said = format!("{name} in {} by {protocol} under {leader}", joined.generation);
        if !joined.members.is_empty() {
            let members: Vec<String> =
                joined.members.iter().map(|member| self.name_of(&member.member)).collect();
            said += &format!(" of {}", members.join("+"));
        }
        if joined.skip_assignment {
            said += " skipping";
        }
        said
    }

    fn join_refused(&mut self, name: &str, refused: &JoinRefused) -> String {
        if refused.error == JoinError::MemberIdRequired {
            self.ids.insert(name.to_owned(), refused.member.clone());
        }
        format!("{name} join: {}", refused.error)
    }

    fn part(synced: &Synced) -> String {
        if synced.assignment.is_empty() {
            return "nothing".to_owned();
        }
        String::from_utf8_lossy(&synced.assignment).into_owned()
    }

    fn left(&self, left: &[LeftMember]) -> String {
        let each = left.iter().map(|left| match &left.result {
            Ok(()) => "left".to_owned(),
            Err(error) => error.to_string(),
        });
        each.collect::<Vec<_>>().join(" + ")
    }

    fn fetched(topics: &[FetchedTopic]) -> String {
        let each = topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|fetched| {
                let place = format!("{}-{}", topic.topic, fetched.partition);
                match &fetched.result {
                    Ok(Some(entry)) => {
                        let epoch = entry.leader_epoch.map(|epoch| format!("e{epoch}")).unwrap_or_default();
                        format!("{place}={}{epoch}{}", entry.position.0, entry.metadata)
                    }
                    Ok(None) => format!("{place}=none"),
                    Err(error) => format!("{place}: {error}"),
                }
            })
        });
        let all: Vec<String> = each.collect();
        if all.is_empty() { "no offsets".to_owned() } else { all.join(" ") }
    }

    fn described(&self, group: &DescribedGroup) -> String {
        let protocol_type = group.protocol_type.as_ref().map_or("-", |name| name.as_str());
        let protocol = group.protocol.as_ref().map_or("-", |name| name.as_str());
        let members = group.members.iter().map(|member| {
            let assignment = String::from_utf8_lossy(&member.assignment).into_owned();
            format!(" {}({}:{assignment})", self.name_of(&member.member), member.metadata.len())
        });
        format!("{} {protocol_type} {protocol}{}", group.state, members.collect::<String>())
    }
}
