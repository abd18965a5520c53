//! What the schema texts say of requests: enough to write any request from JSON, and to make one up.
//!
//! Owns: reading `crates/protocol/messages/clients/*Request.txt`. Does not own: whether a text is right (`cargo xtask codegen`
//! refuses wrong ones), bytes, answers: those are read by `ottla_protocol`, so that two codecs meet.
//!
//! Source: docs/formats/schema-text.md.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::rc::Rc;

use ottla_env::disk::{Disk, OpenMode, RealDisk};

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub first: i16,
    pub last: i16,
}

impl Versions {
    const NONE: Versions = Versions { first: 0, last: -1 };

    pub fn contains(self, version: i16) -> bool {
        (self.first..=self.last).contains(&version)
    }

    fn parse(text: &str) -> Versions {
        let number = |text: &str| text.parse().unwrap_or(i16::MAX);
        if text == "none" {
            Versions::NONE
        } else if let Some(first) = text.strip_suffix('+') {
            Versions { first: number(first), last: i16::MAX }
        } else if let Some((first, last)) = text.split_once('-') {
            Versions { first: number(first), last: number(last) }
        } else {
            Versions { first: number(text), last: number(text) }
        }
    }
}

/// What one value of a field is; an array has many.
#[derive(Clone, Debug)]
pub enum Type {
    Plain(Plain),
    Struct(Rc<[Field]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    Bool,
    Int { bytes: usize },
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
}

/// One field of a request.
#[derive(Clone, Debug)]
pub struct Field {
    /// Kafka's name in JSON.
    pub name: String,
    pub ty: Type,
    pub is_array: bool,
    pub versions: Versions,
    pub tag: Option<u32>,
    pub nullable: Versions,
    pub default: Option<String>,
}

/// A request of one API.
#[derive(Clone, Debug)]
pub struct Request {
    pub name: String,
    pub key: i16,
    pub flexible: Versions,
    pub fields: Rc<[Field]>,
}

/// All requests, by the number of their API.
pub fn read_all(directory: &Path) -> Result<BTreeMap<i16, Request>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", directory.display());
    let mut requests = BTreeMap::new();
    for entry in RealDisk.read_dir(directory).map_err(failed)? {
        if entry.name.ends_with("Request.txt") {
            let text = text_of(&directory.join(&entry.name)).map_err(failed)?;
            let request = parse(&text).ok_or_else(|| format!("{} is no request", entry.name))?;
            requests.insert(request.key, request);
        }
    }
    Ok(requests)
}

fn text_of(path: &Path) -> io::Result<String> {
    let file = RealDisk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(0)];
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, u64::try_from(read).unwrap_or(u64::MAX))? {
            0 => break,
            count => read += count,
        }
    }
    bytes.truncate(read);
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn parse(text: &str) -> Option<Request> {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let head: Vec<&str> = lines.next()?.split(' ').collect();
    let behind = |word: &str| head.iter().position(|it| *it == word).and_then(|at| head.get(at + 1));
    let lines: Vec<(usize, &str)> =
        lines.map(|line| (line.len() - line.trim_start().len(), line.trim_start())).collect();
    let mut parser = Parser { shared: BTreeMap::new() };
    parser.share(&lines);
    Some(Request {
        name: head.get(1)?.strip_suffix("Request")?.to_owned(),
        key: behind("key")?.parse().ok()?,
        flexible: behind("flexible").map_or(Versions::NONE, |text| Versions::parse(text)),
        fields: parser.fields(&lines, 2).into(),
    })
}

/// Lines with their indentation become fields.
struct Parser {
    /// Structs that stand below a line `structs`.
    shared: BTreeMap<String, Rc<[Field]>>,
}

impl Parser {
    fn share(&mut self, lines: &[(usize, &str)]) {
        let Some(at) = lines.iter().position(|(_, line)| *line == "structs") else { return };
        for (begin, line) in children(lines, at) {
            let name = line.split(' ').next().unwrap_or_default().to_owned();
            let fields = self.fields(below(lines, begin), lines[begin].0 + 2);
            self.shared.insert(name, fields.into());
        }
    }

    fn fields(&self, lines: &[(usize, &str)], indent: usize) -> Vec<Field> {
        let own = lines.iter().enumerate().filter(|(_, (deep, line))| *deep == indent && *line != "structs");
        own.filter_map(|(at, (_, line))| self.field(line, below(lines, at))).collect()
    }

    fn field(&self, line: &str, inner: &[(usize, &str)]) -> Option<Field> {
        let words: Vec<&str> = line.split(' ').collect();
        let behind = |word: &str| words.iter().skip(3).position(|it| *it == word).map(|at| words[at + 4]);
        let (name, ty) = (words.first()?, words.get(1)?);
        let element = ty.strip_prefix("[]").unwrap_or(ty);
        let kind = match plain(element) {
            Some(plain) => Type::Plain(plain),
            None if inner.is_empty() => Type::Struct(self.shared.get(element)?.clone()),
            None => Type::Struct(self.fields(inner, inner[0].0).into()),
        };
        let (first, rest) = name.split_at(1);
        Some(Field {
            name: first.to_lowercase() + rest,
            ty: kind,
            is_array: ty.starts_with("[]"),
            versions: Versions::parse(words.get(2)?),
            tag: behind("tag").and_then(|tag| tag.parse().ok()),
            nullable: behind("nullable").map_or(Versions::NONE, Versions::parse),
            default: behind("default").map(|text| text.trim_matches('"').to_owned()),
        })
    }
}

/// The lines that are indented deeper than line `at` and follow it.
fn below<'a, 'b>(lines: &'a [(usize, &'b str)], at: usize) -> &'a [(usize, &'b str)] {
    let rest = &lines[at + 1..];
    let end = rest.iter().position(|(deep, _)| *deep <= lines[at].0).unwrap_or(rest.len());
    &rest[..end]
}

/// The lines that are indented by one step more than line `at` and follow it, with their places.
fn children<'b>(lines: &[(usize, &'b str)], at: usize) -> Vec<(usize, &'b str)> {
    let inner = below(lines, at);
    let found = inner.iter().enumerate().filter(|(_, (deep, _))| *deep == lines[at].0 + 2);
    found.map(|(place, (_, line))| (at + 1 + place, *line)).collect()
}

fn plain(name: &str) -> Option<Plain> {
    Some(match name {
        "bool" => Plain::Bool,
        "int8" => Plain::Int { bytes: 1 },
        "int16" | "uint16" => Plain::Int { bytes: 2 },
        "int32" | "uint32" => Plain::Int { bytes: 4 },
        "int64" => Plain::Int { bytes: 8 },
        "float64" => Plain::Float64,
        "uuid" => Plain::Uuid,
        "string" => Plain::String,
        "bytes" => Plain::Bytes,
        "records" => Plain::Records,
        _ => return None,
    })
}

/// Where the schemas lie.
pub fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/messages/clients"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_with_its_structs() {
        let request = parse(
            "request ARequest key 7 valid 1-5 flexible 3+ listeners broker\n  structs\n    Shared 2+\n      Id uuid 2+\n\
             \x20 Names []string 0+ nullable 2+\n  Outer []Outer 1-4\n    Inner Shared 2-4 nullable 2-4 default null\n\
             \x20   Max int32 3+ tag 0 3+ default -1\n  Last int8 0+ default 3\n",
        )
        .unwrap();
        assert_eq!((request.name.as_str(), request.key, request.flexible.first), ("A", 7, 3));
        let names: Vec<&str> = request.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["names", "outer", "last"]);
        assert!(request.fields[0].is_array && request.fields[0].nullable.contains(2));
        let Type::Struct(outer) = &request.fields[1].ty else { panic!("outer is a struct") };
        assert_eq!((outer[1].tag, outer[1].default.as_deref()), (Some(0), Some("-1")));
        assert!(matches!(&outer[0].ty, Type::Struct(inner) if inner[0].name == "id"));
    }

    #[test]
    fn all_requests_of_the_repository_are_read() {
        let all = read_all(directory()).unwrap();
        assert!(all.len() > 60);
        assert_eq!(all[&1].name, "Fetch");
        assert!(all.values().all(|request| request.name == "ApiVersions" || request.key >= 0));
    }
}
