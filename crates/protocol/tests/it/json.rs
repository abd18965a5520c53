//! A JSON value of the tests: parsed, and compared up to tagged fields that hold their default.
//!
//! Owns: a parser that keeps numbers as text, so that no int64 loses digits.

/// A JSON value. Object fields keep their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses a whole text.
    pub fn parse(text: &str) -> Option<Json> {
        let mut rest = text;
        let value = value(&mut rest)?;
        rest.trim().is_empty().then_some(value)
    }

    fn field(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(fields) => fields.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Array(_) => None,
        }
    }

    /// Whether this value has every field of `least` and no other than those of `most`, in the order of `most`, all
    /// with equal values. The error tells where it has not.
    pub fn lies_between(&self, least: &Json, most: &Json) -> Result<(), String> {
        match (self, least, most) {
            (Json::Array(mine), Json::Array(least), Json::Array(most))
                if mine.len() == least.len() && mine.len() == most.len() =>
            {
                for (at, mine) in mine.iter().enumerate() {
                    mine.lies_between(&least[at], &most[at]).map_err(|error| format!("[{at}]{error}"))?;
                }
                Ok(())
            }
            (Json::Object(mine), Json::Object(fields), Json::Object(most_fields)) => {
                if let Some((missing, _)) = fields.iter().find(|(name, _)| self.field(name).is_none()) {
                    return Err(format!(".{missing} is shown only by us"));
                }
                let mut order = most_fields.iter();
                for (name, mine) in mine {
                    let Some((_, most)) = order.find(|(known, _)| known == name) else {
                        return Err(format!(".{name} is not shown by us, or elsewhere"));
                    };
                    let least = least.field(name).unwrap_or(most);
                    mine.lies_between(least, most).map_err(|error| format!(".{name}{error}"))?;
                }
                Ok(())
            }
            (Json::Number(mine), Json::Number(least), Json::Number(_)) if same_number(mine, least) => Ok(()),
            _ if self == most && self == least => Ok(()),
            _ => Err(format!(" is {self:?}, ours is {least:?}")),
        }
    }
}

/// Whether two texts are the same number. Doubles may be written with more digits than they need, as older Java does.
fn same_number(one: &str, other: &str) -> bool {
    let double = |text: &str| text.contains(['.', 'E']).then(|| text.parse::<f64>().ok()).flatten();
    one == other || double(one).is_some_and(|one| double(other) == Some(one))
}

fn value(rest: &mut &str) -> Option<Json> {
    *rest = rest.trim_start();
    match rest.chars().next()? {
        'n' => literal(rest, "null", Json::Null),
        't' => literal(rest, "true", Json::Bool(true)),
        'f' => literal(rest, "false", Json::Bool(false)),
        '"' => text(rest).map(Json::Text),
        '[' => sequence(rest, ']', value).map(Json::Array),
        '{' => sequence(rest, '}', pair).map(Json::Object),
        _ => {
            let end = rest.find([',', ']', '}', ' ', '\n']).unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            number.parse::<f64>().ok()?;
            *rest = after;
            Some(Json::Number(number.to_owned()))
        }
    }
}

fn literal(rest: &mut &str, word: &str, value: Json) -> Option<Json> {
    *rest = rest.strip_prefix(word)?;
    Some(value)
}

fn pair(rest: &mut &str) -> Option<(String, Json)> {
    let name = text(rest)?;
    *rest = rest.trim_start().strip_prefix(':')?;
    Some((name, value(rest)?))
}

fn sequence<T>(rest: &mut &str, end: char, item: fn(&mut &str) -> Option<T>) -> Option<Vec<T>> {
    *rest = rest[1..].trim_start();
    let mut items = Vec::new();
    if let Some(after) = rest.strip_prefix(end) {
        *rest = after;
        return Some(items);
    }
    loop {
        items.push(item(rest)?);
        *rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(end) {
            *rest = after;
            return Some(items);
        }
        *rest = rest.strip_prefix(',')?.trim_start();
    }
}

fn text(rest: &mut &str) -> Option<String> {
    let mut found = String::new();
    let mut characters = rest.strip_prefix('"')?.chars();
    loop {
        match characters.next()? {
            '"' => {
                *rest = characters.as_str();
                return Some(found);
            }
            '\\' => found.push(match characters.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'u' => escaped(&mut characters)?,
                other => other,
            }),
            other => found.push(other),
        }
    }
}

/// The character behind `\u`: four hex digits, or two such units of UTF-16.
fn escaped(characters: &mut std::str::Chars<'_>) -> Option<char> {
    let first = unit(characters)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(u32::from(first));
    }
    *characters = characters.as_str().strip_prefix("\\u")?.chars();
    char::decode_utf16([first, unit(characters)?]).next()?.ok()
}

fn unit(characters: &mut std::str::Chars<'_>) -> Option<u16> {
    u16::from_str_radix(&characters.by_ref().take(4).collect::<String>(), 16).ok()
}

#[test]
fn escapes_of_one_and_of_two_units_are_read() {
    let read = |text| Json::parse(text);
    assert_eq!(read(r#""\u00e9\n\ud83d\ude00""#), Some(Json::Text("é\n😀".to_owned())));
    assert_eq!(read(r#""\ud83d""#), None);
}
