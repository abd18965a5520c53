//! Schema text of messages: what a file in `crates/protocol/messages/` says.
//!
//! Owns: the shape of a schema and the parser of its text.
//! Does not own: the Rust code made of it.
//!
//! Invariants
//! - I1 struct names are unique in a schema, and every struct type a field names is in `structs`;
//! - I2 a tagged field is tagged in all of its versions;
//! - I3 structs nest at most `NESTING_MAX` deep, so none contains itself.
//!
//! Source: docs/formats/schema-text.md.

use super::versions::Versions;

/// Deepest nesting of structs. Kafka's schemas reach five; a struct within itself has no end.
const NESTING_MAX: usize = 8;

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
    check_nesting(schema, &schema.fields, 0)
}

/// Follows the structs of the fields, so that what is decoded from a schema has an end.
fn check_nesting(schema: &Schema, fields: &[Field], depth: usize) -> Result<(), String> {
    for field in fields {
        let Some(name) = field.ty.struct_name() else { continue };
        let Some(known) = schema.find(name) else {
            return Err(format!("{} is of struct {name}, which is not defined", field.name));
        };
        if depth == NESTING_MAX {
            return Err(format!("{} nests structs deeper than {NESTING_MAX}", field.name));
        }
        check_nesting(schema, &known.fields, depth + 1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Schema {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_schema_says_what_its_text_says() {
        let schema = parsed(
            "request ARequest key 7 valid 1-5 flexible 3+ listeners broker,controller latest-unstable\n\
             \x20 structs\n    Shared 2+\n      Id uuid 2+\n\
             \x20 Names []string 0+ nullable 2+ ignorable\n\
             \x20 Outer []Outer 1-4\n    Inner Shared 2-4 nullable 2-4 default null\n    Max int32 3+ tag 0 3+ default -1\n",
        );
        assert_eq!((schema.kind, schema.name.as_str(), schema.key), (Kind::Request, "ARequest", Some(7)));
        assert_eq!(
            (schema.valid.to_string(), schema.flexible.to_string()),
            ("1-5".to_owned(), "3+".to_owned())
        );
        assert_eq!((schema.listeners.len(), schema.latest_unstable), (2, true));
        let structs: Vec<&str> = schema.structs.iter().map(|known| known.name.as_str()).collect();
        assert_eq!(structs, ["Shared", "Outer"]);
        assert_eq!(schema.fields[0].ty, Type::PlainArray(Plain::String));
        assert!(schema.fields[0].ignorable);
        let outer = &schema.structs[1].fields;
        assert_eq!(outer[0].default.as_deref(), Some("null"));
        assert_eq!((outer[1].tag, outer[1].default.as_deref()), (Some(0), Some("-1")));
    }

    #[test]
    fn a_text_that_is_no_schema_is_refused_with_its_place() {
        let head = "data D valid 0 flexible 0+\n";
        let cases = [
            ("", "the file is empty"),
            ("thing T valid 0", "line 1: 'thing' is no kind of message"),
            ("data T valid x", "line 1: 'x' is no version"),
            ("data T valid", "line 1: 'valid' needs a value"),
            ("  A int32 0+", "line 2: A must be tagged"),
            ("  A int33 0+", "line 2: 'int33' is no type"),
            ("  A int32", "line 2: 'A' needs a value"),
            ("  A int32 0+ rare", "line 2: 'rare' means nothing"),
            ("      A int32 0+", "line 2: unexpected indentation"),
            ("  A int32 0+\n    B int8 0+", "line 2: A is no struct"),
            ("  A Gone 0+", "A is of struct Gone, which is not defined"),
            ("  A D 0+\n    B int8 0+", "struct D is defined twice"),
            ("  A S 0+\n    B []S 0+", "B nests structs deeper than"),
        ];
        for (body, expected) in cases {
            let text = match body {
                "  A int32 0+" => format!("{head}  A int32 0+ tag 0 1+"),
                body if body.starts_with(' ') => format!("{head}{body}"),
                body => body.to_owned(),
            };
            let refused = parse(&text).err().unwrap_or_default();
            assert!(refused.starts_with(expected), "{text}: {refused}");
        }
    }
}
