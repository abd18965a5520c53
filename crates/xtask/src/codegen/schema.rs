//! Schema text of messages: what a file in `crates/protocol/messages/` says.
//!
//! Owns: the shape of a schema and the parser of its text.
//! Does not own: the Rust code made of it.
//!
//! Invariants
//! - I1 struct names are unique in a schema, and every struct type a field names is in `structs`;
//! - I2 a tagged field is tagged in all of its versions.
//!
//! Source: docs/formats/schema-text.md.

use super::versions::Versions;

/// What kind of message a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Request,
    Response,
    Header,
    Data,
    Metadata,
    CoordinatorKey,
    CoordinatorValue,
}

/// Types of plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
}

/// Type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Plain(Plain),
    Struct(String),
    PlainArray(Plain),
    StructArray(String),
}

/// One field of a message or struct.
#[derive(Clone, Debug)]
pub struct Field {
    /// Kafka's name as the schema spells it.
    pub name: String,
    pub ty: Type,
    pub versions: Versions,
    pub tag: Option<u32>,
    pub nullable: Versions,
    /// False if the field has classic form even in flexible versions.
    pub flexible: bool,
    /// The default as written; `None` is the empty value of the type.
    pub default: Option<String>,
    pub ignorable: bool,
    pub zero_copy: bool,
}

/// A struct within a message.
#[derive(Clone, Debug)]
pub struct Struct {
    pub name: String,
    pub fields: Vec<Field>,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Schema {
    /// The folder its file lies in, which tells the part of Kafka it belongs to. The parser leaves it empty.
    pub folder: String,
    pub kind: Kind,
    pub name: String,
    pub key: Option<i16>,
    pub valid: Versions,
    pub flexible: Versions,
    pub listeners: Vec<String>,
    pub latest_unstable: bool,
    pub fields: Vec<Field>,
    pub structs: Vec<Struct>,
}

/// Parses the text of one schema. Errors name the line.
pub fn parse(text: &str) -> Result<Schema, String> {
    let lines: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.is_empty())
        .collect();
    let Some((_, head)) = lines.first() else { return Err("the file is empty".to_owned()) };
    let mut schema = parse_head(head).map_err(|error| format!("line 1: {error}"))?;
    let mut parser = Parser { lines: &lines[1..], at: 0, structs: Vec::new() };
    schema.fields = parser.fields(2)?;
    if let Some((number, line)) = parser.lines.get(parser.at) {
        return Err(format!("line {number}: unexpected indentation in '{line}'"));
    }
    schema.structs = parser.structs;
    check(&schema)?;
    Ok(schema)
}

fn parse_head(line: &str) -> Result<Schema, String> {
    let mut words = line.split(' ');
    let kind = match words.next() {
        Some("request") => Kind::Request,
        Some("response") => Kind::Response,
        Some("header") => Kind::Header,
        Some("data") => Kind::Data,
        Some("metadata") => Kind::Metadata,
        Some("coordinator-key") => Kind::CoordinatorKey,
        Some("coordinator-value") => Kind::CoordinatorValue,
        other => return Err(format!("'{}' is no kind of message", other.unwrap_or_default())),
    };
    let name = words.next().ok_or("the message has no name")?.to_owned();
    let mut schema = Schema {
        folder: String::new(),
        kind,
        name,
        key: None,
        valid: Versions::NONE,
        flexible: Versions::NONE,
        listeners: Vec::new(),
        latest_unstable: false,
        fields: Vec::new(),
        structs: Vec::new(),
    };
    while let Some(word) = words.next() {
        match word {
            "key" => {
                let key = value(&mut words, word)?;
                schema.key = Some(key.parse().map_err(|_| format!("'{key}' is no key"))?);
            }
            "valid" => schema.valid = value(&mut words, word)?.parse()?,
            "flexible" => schema.flexible = value(&mut words, word)?.parse()?,
            "listeners" => {
                schema.listeners = value(&mut words, word)?.split(',').map(str::to_owned).collect();
            }
            "latest-unstable" => schema.latest_unstable = true,
            other => return Err(format!("'{other}' means nothing on the line of a message")),
        }
    }
    Ok(schema)
}

fn value<'a>(words: &mut impl Iterator<Item = &'a str>, word: &str) -> Result<&'a str, String> {
    words.next().ok_or_else(|| format!("'{word}' needs a value"))
}

struct Parser<'a> {
    lines: &'a [(usize, &'a str)],
    at: usize,
    structs: Vec<Struct>,
}

impl<'a> Parser<'a> {
    /// Fields indented by `indent` blanks, and in them the structs they define.
    fn fields(&mut self, indent: usize) -> Result<Vec<Field>, String> {
        let mut fields = Vec::new();
        while let Some((number, line)) = self.line_at(indent) {
            self.at += 1;
            if line == "structs" {
                self.shared_structs(indent + 2)?;
                continue;
            }
            let field = parse_field(line).map_err(|error| format!("line {number}: {error}"))?;
            if self.line_at(indent + 2).is_some() {
                let Some(name) = field.ty.struct_name() else {
                    return Err(format!("line {number}: {} is no struct but has fields", field.name));
                };
                self.define(name.to_owned(), indent + 2)?;
            }
            fields.push(field);
        }
        Ok(fields)
    }

    fn shared_structs(&mut self, indent: usize) -> Result<(), String> {
        while let Some((_, line)) = self.line_at(indent) {
            self.at += 1;
            // The versions behind the name follow from where the struct is used.
            let name = line.split(' ').next().unwrap_or_default().to_owned();
            self.define(name, indent + 2)?;
        }
        Ok(())
    }

    fn define(&mut self, name: String, indent: usize) -> Result<(), String> {
        let place = self.structs.len();
        let fields = self.fields(indent)?;
        self.structs.insert(place, Struct { name, fields });
        Ok(())
    }

    fn line_at(&self, indent: usize) -> Option<(usize, &'a str)> {
        let (number, line) = self.lines.get(self.at)?;
        let body = line.trim_start_matches(' ');
        (line.len() - body.len() == indent).then_some((*number, body))
    }
}

fn parse_field(line: &str) -> Result<Field, String> {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default().to_owned();
    let ty = parse_type(value(&mut words, &name)?)?;
    let versions = value(&mut words, &name)?.parse()?;
    let mut field = Field {
        name,
        ty,
        versions,
        tag: None,
        nullable: Versions::NONE,
        flexible: true,
        default: None,
        ignorable: false,
        zero_copy: false,
    };
    while let Some(word) = words.next() {
        match word {
            "tag" => {
                let tag = value(&mut words, word)?;
                field.tag = Some(tag.parse().map_err(|_| format!("'{tag}' is no tag"))?);
                let tagged: Versions = value(&mut words, "tag")?.parse()?;
                if tagged != field.versions {
                    return Err(format!("{} must be tagged in all of its versions", field.name));
                }
            }
            "nullable" => field.nullable = value(&mut words, word)?.parse()?,
            "flexible" => field.flexible = value(&mut words, word)? != "none",
            "default" => field.default = Some(value(&mut words, word)?.to_owned()),
            "ignorable" => field.ignorable = true,
            "zerocopy" => field.zero_copy = true,
            // Whether a field is the key of a map, and what it names, is of no consequence for its bytes.
            "key" => {}
            "entity" => {
                value(&mut words, word)?;
            }
            other => return Err(format!("'{other}' means nothing on the line of a field")),
        }
    }
    Ok(field)
}

fn parse_type(word: &str) -> Result<Type, String> {
    let (name, array) = match word.strip_prefix("[]") {
        Some(element) => (element, true),
        None => (word, false),
    };
    let plain = match name {
        "bool" => Plain::Bool,
        "int8" => Plain::Int8,
        "int16" => Plain::Int16,
        "uint16" => Plain::Uint16,
        "int32" => Plain::Int32,
        "uint32" => Plain::Uint32,
        "int64" => Plain::Int64,
        "float64" => Plain::Float64,
        "uuid" => Plain::Uuid,
        "string" => Plain::String,
        "bytes" => Plain::Bytes,
        "records" => Plain::Records,
        other if other.starts_with(char::is_uppercase) => {
            let name = other.to_owned();
            return Ok(if array { Type::StructArray(name) } else { Type::Struct(name) });
        }
        other => return Err(format!("'{other}' is no type")),
    };
    Ok(if array { Type::PlainArray(plain) } else { Type::Plain(plain) })
}

impl Type {
    /// Name of the struct this type is, or is an array of.
    pub fn struct_name(&self) -> Option<&str> {
        match self {
            Type::Struct(name) | Type::StructArray(name) => Some(name),
            Type::Plain(_) | Type::PlainArray(_) => None,
        }
    }
}

impl Schema {
    /// The struct of this name.
    pub fn find(&self, name: &str) -> Option<&Struct> {
        self.structs.iter().find(|known| known.name == name)
    }
}

fn check(schema: &Schema) -> Result<(), String> {
    for (at, known) in schema.structs.iter().enumerate() {
        if known.name == schema.name || schema.structs[..at].iter().any(|other| other.name == known.name) {
            return Err(format!("struct {} is defined twice", known.name));
        }
    }
    let all = schema.structs.iter().flat_map(|known| &known.fields).chain(&schema.fields);
    for field in all {
        if let Some(name) = field.ty.struct_name()
            && schema.find(name).is_none()
        {
            return Err(format!("{} is of struct {name}, which is not defined", field.name));
        }
    }
    Ok(())
}
