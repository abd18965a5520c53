//! Values of command lines, read and refused as Java does it.
//!
//! Owns: ids and numbers. Does not own: what they stand for.

use ottla_model::Uuid;

use super::failure::Failure;

/// Reads a whole number of 32 bits.
pub fn integer(text: &str) -> Result<i32, Failure> {
    let refused =
        |_| Failure::new("java.lang.NumberFormatException", format!("For input string: \"{text}\""));
    text.parse().map_err(refused)
}

/// Reads an id with the refusals of Java's base64 decoder.
pub fn uuid(text: &str) -> Result<Uuid, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let body = text.trim_end_matches('=');
    let legal = |character: &char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    let illegal = body.chars().find(|character| !legal(character));
    let message = if text.len() < 2 {
        "Input byte[] should at least have 2 bytes for base64 bytes".to_owned()
    } else if text.len() > 24 {
        let prefix: String = text.chars().take(24).collect();
        format!("Input string with prefix `{prefix}` is too long to be decoded as a base64 UUID")
    } else if let Some(illegal) = illegal {
        format!("Illegal base64 character {:x}", u32::from(illegal))
    } else if body.len() % 4 == 1 {
        "Last unit does not have enough valid bits".to_owned()
    } else {
        let bytes = body.len() * 3 / 4;
        format!(
            "Input string `{text}` decoded as {bytes} bytes, which is not equal to the expected 16 bytes of a \
             base64-encoded UUID"
        )
    };
    Err(Failure::illegal_argument(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_id_is_refused_in_java_s_words() {
        let refusal = |text| uuid(text).unwrap_err().message().to_owned();
        assert_eq!(refusal("x"), "Input byte[] should at least have 2 bytes for base64 bytes");
        assert_eq!(refusal("notid"), "Last unit does not have enough valid bits");
        assert_eq!(refusal("a b"), "Illegal base64 character 20");
        assert!(refusal("abcd").starts_with("Input string `abcd` decoded as 3 bytes"));
        assert!(refusal(&"a".repeat(30)).starts_with("Input string with prefix"));
        assert!(uuid("AAAAAAAAAAAAAAAAAAAAAQ").is_ok());
    }
}
