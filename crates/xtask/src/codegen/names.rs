//! Kafka's names in the spellings that Rust, JSON and Kafka's tools have for them.
//!
//! Owns: spelling. Does not own: which names there are.

/// `TimeoutMs`, `timeoutMs` → `timeout_ms`. A digit stays with the letters before it.
pub fn snake(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut text = String::with_capacity(name.len() + 4);
    for (at, character) in characters.iter().enumerate() {
        let after = at.checked_sub(1).map(|before| characters[before]);
        let starts_word = character.is_uppercase()
            && after.is_some_and(|after| {
                !after.is_uppercase() || characters.get(at + 1).is_some_and(|next| next.is_lowercase())
            });
        if starts_word {
            text.push('_');
        }
        text.extend(character.to_lowercase());
    }
    text
}

/// A field's name in Rust: `snake`, escaped where Rust has a keyword.
pub fn field(name: &str) -> String {
    let snake = snake(name);
    match snake.as_str() {
        "type" | "match" | "ref" | "move" | "mod" | "use" | "where" | "loop" | "in" | "fn" | "as" | "dyn" => {
            format!("r#{snake}")
        }
        _ => snake,
    }
}

/// A field's name in JSON: the first letter small.
pub fn json(name: &str) -> String {
    let mut characters = name.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_where_a_word_begins() {
        let cases = [
            ("TimeoutMs", "timeout_ms"),
            ("timeoutMs", "timeout_ms"),
            ("V3AndBelowTopics", "v3_and_below_topics"),
            ("Enable2Pc", "enable2_pc"),
            ("ISRNodes", "isr_nodes"),
        ];
        for (name, snake_name) in cases {
            assert_eq!(snake(name), snake_name);
        }
        assert_eq!(field("Type"), "r#type");
        assert_eq!(json("V3AndBelowTopics"), "v3AndBelowTopics");
    }
}
