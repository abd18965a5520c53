//! Requests that are wrong inside: one field of every API in every version at its edge, and lists of millions.
//!
//! Owns: sending them and what is owed to them. Does not own: the requests (`ottla_testkit::spoiled`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use ottla_protocol::codec::Kind;
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, FetchResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, MESSAGES, MetadataRequest, MetadataResponse,
};
use ottla_protocol::{Message, Reader};
use ottla_testkit::schema::{self, Request};
use ottla_testkit::spoiled::{self, Spoiled, Subject};

use super::Stage;
use crate::Fallible;
use crate::honest::{batch, create_topics, fetch_frame, produce_code, produce_frame};
use crate::report::Found;
use crate::wire::{Connection, Reply, framed};

/// How long an answer is waited for that has to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// A topic that nobody attacks, and one that requests are about.
const CONTROL: &str = "control";
const TOPIC: &str = "attacked";

/// Requests with these edges get an answer that can be read, or end their connection if they cannot be read.
pub async fn edges(stage: &Stage<'_>, edges: &[&str]) -> Fallible<Found> {
    let mut tried = Tried::prepare(stage).await?;
    tried.every_api(&|spoiled| edges.iter().any(|edge| of_edge(spoiled, edge))).await?;
    tried.end().await
}

/// Numbers at the ends of their types, in requests and in batches.
pub async fn limits(stage: &Stage<'_>) -> Fallible<Found> {
    let mut tried = Tried::prepare(stage).await?;
    tried.every_api(&|spoiled| ["Number", "Flag", "Id"].iter().any(|edge| of_edge(spoiled, edge))).await?;
    let mut client = Connection::open(stage.node.port).await?;
    for spoiled in spoiled::batches(&tried.subject.records) {
        client.send(&produce_frame((TOPIC, -1), spoiled.body)?).await?;
        let reply = client.receive(PATIENCE).await;
        let is_answered = matches!(&reply, Reply::Answer(answer) if produce_code(answer).is_ok());
        tried.found.must(is_answered, || format!("a batch with {} got {reply:?}", spoiled.what));
        tried.count += 1;
    }
    tried.end().await
}

/// Names that are none, or that mean something elsewhere: nothing appears on the disk that is no partition.
pub async fn names(stage: &Stage<'_>) -> Fallible<Found> {
    let mut tried = Tried::prepare(stage).await?;
    tried.every_api(&|spoiled| of_edge(spoiled, "Text") || spoiled.what.contains("characters")).await?;
    let is_of_kafka = |name: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        name.bytes().all(plain) && name.len() <= 255 && !name.starts_with("..")
    };
    let mut count = 0;
    for entry in fs::read_dir(stage.node.directory.join("data"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        tried.found.must(is_of_kafka(&name), || format!("the data directory has an entry {name:?}"));
        count += 1;
    }
    let outside: BTreeSet<String> = fs::read_dir(&stage.node.directory)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Fallible<_>>()?;
    let only = ["data", "server.properties"].map(str::to_owned).into();
    tried.found.must(outside == only, || format!("beside the data directory lie {outside:?}"));
    tried.found.fact(format!("{count} entries in the data directory"));
    tried.end().await
}

/// Lists of as many elements as fit into 3 MiB, which are answered, and into 20 MiB, for which a node with so little memory has
/// no room, and ten million tagged fields: in the last version of each API.
pub async fn large_lists(stage: &Stage<'_>) -> Fallible<Found> {
    const LIST_BYTES: [usize; 2] = [3 << 20, 20 << 20];
    const TAGS: u32 = 10_000_000;
    const TAGGED: [ApiKey; 3] = [ApiKey::ApiVersions, ApiKey::Metadata, ApiKey::Fetch];
    let mut tried = Tried::prepare(stage).await?;
    let (mut most, mut slowest) = (Worst::default(), Worst::default());
    for (api, _, last) in offered(stage.node.port).await? {
        let request = tried.schema(api)?;
        let crowded = |bytes| spoiled::crowded(&request, last, (&tried.subject, bytes));
        let mut all: Vec<Spoiled> = LIST_BYTES.into_iter().flat_map(crowded).collect();
        if TAGGED.contains(&api) {
            all.extend(spoiled::tagged(&request, last, (&tried.subject, TAGS)));
        }
        for spoiled in all {
            let about = format!("{} {last} with {}", api.name(), spoiled.what);
            let (before, refused) = (stage.node.forget_peak()?, tried.refused);
            let begun = Instant::now();
            let failed = |error| format!("{about}: {error}");
            tried.large((api, last), &spoiled).await.map_err(failed)?;
            slowest.note(begun.elapsed().as_secs_f64(), &about);
            let grown = stage.node.peak_bytes()?.saturating_sub(before);
            let times = f64_of(grown) / f64_of(u64::try_from(spoiled.body.len())?);
            most.note(times, &about);
            if tried.refused > refused {
                tried
                    .found
                    .must(times <= 8.0, || format!("{about} is refused with {times:.1} times its size"));
            }
        }
    }
    tried.found.fact(format!("at most {:.1} times the request's size: {}", most.figure, most.about));
    tried.found.fact(format!("at most {:.1} s: {}", slowest.figure, slowest.about));
    tried.end().await
}

/// The largest figure, and of what it is.
#[derive(Default)]
struct Worst {
    figure: f64,
    about: String,
}

impl Worst {
    fn note(&mut self, figure: f64, about: &str) {
        if figure > self.figure {
            (self.figure, self.about) = (figure, about.to_owned());
        }
    }
}

fn f64_of(number: u64) -> f64 {
    u32::try_from(number / 1024).map_or(f64::MAX, f64::from)
}

fn of_edge(spoiled: &Spoiled, edge: &str) -> bool {
    spoiled.what.rsplit_once(": ").is_some_and(|(_, what)| what.starts_with(edge))
}

/// The APIs of a listener with their first and last versions.
pub async fn offered(port: u16) -> Fallible<Vec<(ApiKey, i16, i16)>> {
    let mut client = Connection::open(port).await?;
    let answer: ApiVersionsResponse =
        client.ask((ApiKey::ApiVersions, 2), &ApiVersionsRequest::default()).await?;
    let known = answer.api_keys.iter().filter_map(|key| {
        let api = ApiKey::from_number(key.api_key)?;
        Some((api, if api == ApiKey::Produce { 3 } else { key.min_version }, key.max_version))
    });
    Ok(known.collect())
}

/// The records of a topic, as the node has them.
pub async fn content(port: u16, topic: &str) -> Fallible<FetchResponse> {
    let mut client = Connection::open(port).await?;
    client.send(&fetch_frame(topic, 0, (0, 1 << 20))?).await?;
    match client.receive(PATIENCE).await {
        Reply::Answer(answer) => crate::wire::answer_of((ApiKey::Fetch, 11), &answer),
        other @ (Reply::Closed | Reply::Silent) => Err(format!("a fetch of {topic} got {other:?}").into()),
    }
}

/// Where what [`content`] brought ends; -1 where it brought no partition.
pub fn end_of(content: &FetchResponse) -> i64 {
    let partition = content.responses.iter().flat_map(|topic| &topic.partitions).next();
    partition.map_or(-1, |partition| partition.high_watermark)
}

/// Makes a topic with one batch in it.
pub async fn write_topic(port: u16, topic: &str) -> Fallible<()> {
    create_topics(port, &[topic]).await?;
    let mut client = Connection::open(port).await?;
    client.send(&produce_frame((topic, -1), batch(3, 100)?)?).await?;
    match client.receive(PATIENCE).await {
        Reply::Answer(answer) if produce_code(&answer)? == 0 => Ok(()),
        other @ (Reply::Answer(_) | Reply::Closed | Reply::Silent) => {
            Err(format!("records for {topic} got {other:?}").into())
        }
    }
}

/// Requests that were tried, and what became of them.
struct Tried<'a> {
    stage: &'a Stage<'a>,
    schemas: BTreeMap<i16, Request>,
    subject: Subject,
    before: FetchResponse,
    client: Connection,
    port: u16,
    count: usize,
    refused: usize,
    found: Found,
}

impl<'a> Tried<'a> {
    async fn prepare(stage: &'a Stage<'a>) -> Fallible<Tried<'a>> {
        let port = stage.node.port;
        for topic in [CONTROL, TOPIC] {
            write_topic(port, topic).await?;
        }
        let mut client = Connection::open(port).await?;
        let topic = MetadataRequestTopic { name: Some(TOPIC.to_owned()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
        let answer: MetadataResponse = client.ask((ApiKey::Metadata, 10), &request).await?;
        let topic_id = answer.topics.first().ok_or("an answer without a topic")?.topic_id.bytes();
        Ok(Tried {
            stage,
            schemas: schema::read_all(schema::directory())?,
            subject: Subject { topic: TOPIC.to_owned(), topic_id, records: batch(1, 10)? },
            before: content(port, CONTROL).await?,
            client,
            port,
            count: 0,
            refused: 0,
            found: Found::default(),
        })
    }

    fn schema(&self, api: ApiKey) -> Fallible<Request> {
        let schema = self.schemas.get(&api.number()).cloned();
        schema.ok_or_else(|| format!("{} has no schema", api.name()).into())
    }

    /// The chosen requests of every API in every version, on both listeners.
    async fn every_api(&mut self, chosen: &dyn Fn(&Spoiled) -> bool) -> Fallible<()> {
        for port in [self.stage.node.port, self.stage.node.controller_port] {
            self.port = port;
            self.client = Connection::open(port).await?;
            for (api, first, last) in offered(port).await? {
                let request = self.schema(api)?;
                for version in first..=last {
                    let all = spoiled::requests(&request, version, &self.subject);
                    // Who wants no answer gets none.
                    let silent =
                        |spoiled: &Spoiled| api == ApiKey::Produce && spoiled.what == "acks: Number(0)";
                    for spoiled in all.iter().filter(|spoiled| chosen(spoiled) && !silent(spoiled)) {
                        self.one((api, version), spoiled).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends a request that the node may refuse for its size.
    async fn large(&mut self, (api, version): (ApiKey, i16), spoiled: &Spoiled) -> Fallible<()> {
        let sent = self.client.send(&framed(api, version, &spoiled.body)?).await;
        let reply = if sent.is_ok() { self.client.receive(PATIENCE).await } else { Reply::Closed };
        self.count += 1;
        let is_silent = reply == Reply::Silent;
        self.found
            .must(!is_silent, || format!("{} {version} with {} is not answered", api.name(), spoiled.what));
        if !matches!(reply, Reply::Answer(_)) {
            self.refused += 1;
            self.client = Connection::open(self.port).await?;
        }
        Ok(())
    }

    /// Sends one request, and holds what comes against what is owed.
    async fn one(&mut self, (api, version): (ApiKey, i16), spoiled: &Spoiled) -> Fallible<()> {
        let message = |kind| MESSAGES.iter().find(|info| info.kind == kind && info.key == Some(api.number()));
        let request = message(Kind::Request).ok_or("an API without a request")?;
        let readable = (request.decode)(&mut Reader::new(&spoiled.body), version).is_ok();
        // The node may end the connection before it has read everything.
        let sent = self.client.send(&framed(api, version, &spoiled.body)?).await;
        let reply = if sent.is_ok() { self.client.receive(PATIENCE).await } else { Reply::Closed };
        self.count += 1;
        let about = || format!("{} {version} with {}", api.name(), spoiled.what);
        match &reply {
            Reply::Answer(answer) => {
                let header = usize::from(api.response_header_version(version) == 1) + 4;
                let mut reader = Reader::new(answer.get(header..).unwrap_or_default());
                let response = message(Kind::Response).ok_or("an API without a response")?;
                let read = (response.decode)(&mut reader, version).is_ok() && reader.remaining() == 0;
                self.found.must(read, || format!("the answer to {} cannot be read", about()));
                if api == ApiKey::JoinGroup {
                    self.leave_again((version, &spoiled.body), answer.get(header..).unwrap_or_default())
                        .await?;
                }
            }
            Reply::Closed => {
                self.refused += 1;
                self.found.must(!readable, || format!("{} ends the connection", about()));
            }
            Reply::Silent => self.found.misses.push(format!("{} is not answered", about())),
        }
        if !matches!(reply, Reply::Answer(_)) {
            self.client = Connection::open(self.port).await?;
        }
        Ok(())
    }

    /// Whoever was taken into a group leaves it: the next one to join would be kept waiting until its session ends.
    async fn leave_again(&mut self, (version, body): (i16, &[u8]), answer: &[u8]) -> Fallible<()> {
        let joined = JoinGroupResponse::decode(&mut Reader::new(answer), version)?;
        if joined.error_code != 0 {
            return Ok(());
        }
        let JoinGroupRequest { group_id, .. } = JoinGroupRequest::decode(&mut Reader::new(body), version)?;
        let member_id = joined.member_id;
        let request = LeaveGroupRequest { group_id, member_id, ..LeaveGroupRequest::default() };
        let left: LeaveGroupResponse = self.client.ask((ApiKey::LeaveGroup, 2), &request).await?;
        let code = left.error_code;
        self.found.must(code == 0, || format!("a member that leaves {:?} got {code}", request.group_id));
        Ok(())
    }

    /// What nobody attacked is as it was.
    async fn end(mut self) -> Fallible<Found> {
        let after = content(self.stage.node.port, CONTROL).await?;
        self.found.must(after == self.before, || format!("{CONTROL} was {:?} and is {after:?}", self.before));
        self.found.fact(format!("{} requests, {} of them ended their connection", self.count, self.refused));
        Ok(self.found)
    }
}
