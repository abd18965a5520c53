//! Rust code of one field: its type, its default, how it is read and how it is shown.
//!
//! Owns: the fragments. Does not own: the struct around them (`struct_code`).
//!
//! Invariants
//! - I1 a fragment calls one function of the codec's runtime, so that the generated code stays small.

use super::names;
use super::schema::{Field, Plain, Type};
use super::versions::Versions;

/// A field in the versions in which its struct is used.
pub struct FieldCode<'a> {
    pub field: &'a Field,
    /// Versions in which the struct is used.
    pub context: Versions,
}

impl FieldCode<'_> {
    /// Name in Rust.
    pub fn name(&self) -> String {
        names::field(&self.field.name)
    }

    /// Versions in which the field is there.
    pub fn versions(&self) -> Versions {
        self.field.versions.and(self.context)
    }

    /// Whether the field is an `Option`. Records always are, as in Kafka.
    fn is_option(&self) -> bool {
        let nullable = !self.field.nullable.and(self.versions()).is_empty();
        nullable || self.has_null_default() || self.field.ty == Type::Plain(Plain::Records)
    }

    fn has_null_default(&self) -> bool {
        self.field.default.as_deref() == Some("null") || self.field.ty == Type::Plain(Plain::Records)
    }

    /// Type in Rust.
    pub fn rust_type(&self) -> String {
        let bare = match &self.field.ty {
            Type::Plain(plain) => plain_type(*plain).to_owned(),
            Type::Struct(name) => name.clone(),
            Type::PlainArray(plain) => format!("Vec<{}>", plain_type(*plain)),
            Type::StructArray(name) => format!("Vec<{name}>"),
        };
        if self.is_option() { format!("Option<{bare}>") } else { bare }
    }

    /// The default as a Rust expression; `None` where it is the default of the Rust type.
    pub fn explicit_default(&self) -> Option<String> {
        if self.is_option() {
            return match self.field.default.as_deref() {
                Some("null") => None,
                None if self.has_null_default() => None,
                // A nullable field without a default is empty, not null.
                _ => Some("Some(Default::default())".to_owned()),
            };
        }
        match (self.field.default.as_deref()?, &self.field.ty) {
            ("0" | "false" | "\"\"", _) => None,
            (text, Type::Plain(Plain::String)) => Some(format!("{text:?}.to_owned()")),
            (text, _) => Some(text.to_owned()),
        }
    }

    /// Rust condition that the field holds another value than its default.
    pub fn non_default(&self) -> String {
        let name = self.name();
        if self.has_null_default() {
            return format!("self.{name}.is_some()");
        }
        if self.is_option() {
            return match &self.field.ty {
                Type::Struct(struct_name) => format!("self.{name} != Some({struct_name}::default())"),
                Type::Plain(_) | Type::PlainArray(_) | Type::StructArray(_) => {
                    format!("self.{name}.as_ref().is_none_or(|value| !value.is_empty())")
                }
            };
        }
        let explicit = self.explicit_default();
        match &self.field.ty {
            Type::Plain(Plain::Bool) if explicit.is_some() => format!("!self.{name}"),
            Type::Plain(Plain::Bool) => format!("self.{name}"),
            Type::Plain(Plain::Uuid) => format!("!self.{name}.is_zero()"),
            Type::Plain(Plain::Float64) => format!("self.{name} != 0.0"),
            Type::Plain(Plain::String | Plain::Bytes) | Type::PlainArray(_) | Type::StructArray(_) => {
                format!("!self.{name}.is_empty()")
            }
            Type::Struct(struct_name) => format!("self.{name} != {struct_name}::default()"),
            Type::Plain(_) => format!("self.{name} != {}", explicit.unwrap_or_else(|| "0".to_owned())),
        }
    }

    /// Expression that reads the field from `r` in a version that has it.
    pub fn read(&self) -> String {
        if !self.is_option() {
            return self.read_value();
        }
        match self.field.nullable.condition(self.versions()) {
            None => self.read_nullable(),
            Some(never) if never == "false" => format!("Some({})", self.read_value()),
            Some(condition) => {
                format!(
                    "if {condition} {{ {} }} else {{ Some({}) }}",
                    self.read_nullable(),
                    self.read_value()
                )
            }
        }
    }

    fn read_value(&self) -> String {
        match &self.field.ty {
            Type::Plain(plain) => format!("r.{}()?", self.reader(*plain)),
            Type::Struct(name) => format!("{name}::read(r, v)?"),
            Type::PlainArray(_) | Type::StructArray(_) => "r.array(v)?".to_owned(),
        }
    }

    fn read_nullable(&self) -> String {
        match &self.field.ty {
            Type::Plain(plain) => format!("r.nullable_{}()?", self.reader(*plain)),
            Type::Struct(_) if self.field.tag.is_some() => "r.nullable_tagged_struct(v)?".to_owned(),
            Type::Struct(_) => "r.nullable_struct(v)?".to_owned(),
            Type::PlainArray(_) | Type::StructArray(_) => "r.nullable_array(v)?".to_owned(),
        }
    }

    fn reader(&self, plain: Plain) -> &'static str {
        match plain {
            Plain::Bool => "bool",
            Plain::Int8 => "i8",
            Plain::Int16 => "i16",
            Plain::Uint16 => "u16",
            Plain::Int32 => "i32",
            Plain::Uint32 => "u32",
            Plain::Int64 => "i64",
            Plain::Float64 => "f64",
            Plain::Uuid => "uuid",
            Plain::String => "string",
            Plain::Bytes if !self.field.zero_copy => "bytes",
            Plain::Bytes | Plain::Records => "shared_bytes",
        }
    }

    /// Statements that show the field to `w` in a version that has it.
    pub fn walk(&self) -> String {
        let (name, json) = (self.name(), names::json(&self.field.name));
        let option = self.is_option();
        let call = match &self.field.ty {
            Type::Plain(Plain::String) if option => format!("w.string(\"{json}\", self.{name}.as_deref());"),
            Type::Plain(Plain::String) => format!("w.string(\"{json}\", Some(&self.{name}));"),
            Type::Plain(Plain::Bytes | Plain::Records) if option => {
                format!("w.bytes(\"{json}\", self.{name}.as_ref());")
            }
            Type::Plain(Plain::Bytes | Plain::Records) => format!("w.bytes(\"{json}\", Some(&self.{name}));"),
            Type::Plain(plain) => format!("w.{}(\"{json}\", self.{name});", shower(*plain)),
            Type::Struct(_) if option && self.field.tag.is_some() => {
                format!("w.nullable_tagged_struct(\"{json}\", self.{name}.as_ref(), v);")
            }
            Type::Struct(_) if option => format!("w.nullable_struct(\"{json}\", self.{name}.as_ref(), v);"),
            Type::Struct(_) => format!("self.{name}.walk(w, \"{json}\", v);"),
            Type::PlainArray(_) | Type::StructArray(_) if option => {
                format!("w.nullable_array(\"{json}\", self.{name}.as_deref(), v);")
            }
            Type::PlainArray(_) | Type::StructArray(_) => format!("w.array(\"{json}\", &self.{name}, v);"),
        };
        let call = if self.field.flexible {
            call
        } else {
            format!("let flexible = w.set_flexible(false); {call} w.set_flexible(flexible);")
        };
        match self.field.nullable.outside(self.versions()) {
            Some(outside) if option => {
                let refused = if outside == "true" { String::new() } else { format!("{outside} && ") };
                format!("w.not_null(\"{json}\", {refused}self.{name}.is_none(), v); {call}")
            }
            _ => call,
        }
    }

    /// Statement for a version that lacks the field, if its loss must not go unnoticed.
    pub fn absent(&self) -> String {
        format!("w.absent(\"{}\", {}, v);", names::json(&self.field.name), self.non_default())
    }

    /// One line for the reader of the struct.
    pub fn doc(&self) -> String {
        let mut doc = format!("Versions {}", self.field.versions);
        if let Some(tag) = self.field.tag {
            doc.push_str(&format!(", tag {tag}"));
        }
        if !self.field.nullable.is_empty() && self.field.nullable != self.field.versions {
            doc.push_str(&format!(", nullable {}", self.field.nullable));
        }
        if let Some(default) = &self.field.default
            && default != "null"
        {
            doc.push_str(&format!(", default {default}"));
        }
        doc.push('.');
        doc
    }
}

fn plain_type(plain: Plain) -> &'static str {
    match plain {
        Plain::Bool => "bool",
        Plain::Int8 => "i8",
        Plain::Int16 => "i16",
        Plain::Uint16 => "u16",
        Plain::Int32 => "i32",
        Plain::Uint32 => "u32",
        Plain::Int64 => "i64",
        Plain::Float64 => "f64",
        Plain::Uuid => "Uuid",
        Plain::String => "String",
        Plain::Bytes | Plain::Records => "Bytes",
    }
}

fn shower(plain: Plain) -> &'static str {
    match plain {
        Plain::Bool => "boolean",
        Plain::Int8 => "int8",
        Plain::Int16 => "int16",
        Plain::Uint16 => "uint16",
        Plain::Int32 => "int32",
        Plain::Uint32 => "uint32",
        Plain::Int64 => "int64",
        Plain::Float64 => "float64",
        Plain::Uuid => "uuid",
        Plain::String => "string",
        Plain::Bytes | Plain::Records => "bytes",
    }
}
