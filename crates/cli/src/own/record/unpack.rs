//! Binary values as text: the `{unpack[…]}` of the percent language.
//!
//! Owns: its letters. Does not own: the language around it (`format`).
//!
//! | Letter | Takes | Writes |
//! |---|---|---|
//! | `<` `>` | nothing | nothing; numbers behind it are little-endian (as at the beginning) or big-endian |
//! | `b` `h` `i` `q` | 1, 2, 4, 8 bytes | a signed number; the capital letter: an unsigned one |
//! | `c` `.` | a byte | this byte |
//! | `s` | the rest | the rest |
//! | `x` | nothing | a blank |
//! | `$` | nothing | nothing, or what is wrong where something is left |
//!
//! Source: the help of `rpk topic consume`. Where the bytes end too early, the output says so instead of the value.

/// What is unpacked, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacking(Vec<Item>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Number { bytes: usize, is_signed: bool, is_big: bool },
    Byte,
    Rest,
    Blank,
    End,
}

impl Unpacking {
    /// Reads the letters. The error says which one is none.
    pub fn parse(text: &str) -> Result<Unpacking, String> {
        let mut is_big = false;
        let mut items = Vec::new();
        for letter in text.chars() {
            let number = |bytes| Item::Number { bytes, is_signed: letter.is_ascii_lowercase(), is_big };
            items.push(match letter {
                '<' | '>' => {
                    is_big = letter == '>';
                    continue;
                }
                'b' | 'B' => number(1),
                'h' | 'H' => number(2),
                'i' | 'I' => number(4),
                'q' | 'Q' => number(8),
                'c' | '.' => Item::Byte,
                's' => Item::Rest,
                'x' => Item::Blank,
                '$' => Item::End,
                other => return Err(format!("'{other}' is none of < > x b B h H i I q Q c . s $")),
            });
        }
        Ok(Unpacking(items))
    }

    /// Appends what is unpacked of the bytes.
    pub fn write(&self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        for item in &self.0 {
            let needed = match item {
                Item::Number { bytes, .. } => *bytes,
                Item::Byte => 1,
                Item::Rest => rest.len(),
                Item::Blank | Item::End => 0,
            };
            let Some((taken, behind)) = rest.split_at_checked(needed) else {
                let missing = needed - rest.len();
                out.extend_from_slice(format!("(unpack: {missing} bytes too few)").as_bytes());
                return;
            };
            rest = behind;
            match item {
                Item::Number { is_signed, is_big, .. } => {
                    out.extend_from_slice(number(taken, (*is_signed, *is_big)).to_string().as_bytes());
                }
                Item::Byte | Item::Rest => out.extend_from_slice(taken),
                Item::Blank => out.push(b' '),
                Item::End if rest.is_empty() => {}
                Item::End => {
                    out.extend_from_slice(format!("(unpack: {} bytes are left)", rest.len()).as_bytes());
                    return;
                }
            }
        }
    }
}

fn number(bytes: &[u8], (is_signed, is_big): (bool, bool)) -> i128 {
    let append = |number: i128, byte: &u8| number << 8 | i128::from(*byte);
    let number = if is_big { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) };
    let limit = 1i128 << (8 * bytes.len());
    if is_signed && number >= limit / 2 { number - limit } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unpacked_by_their_width_sign_and_order() {
        let unpacked = |letters: &str, bytes: &[u8]| {
            let mut out = Vec::new();
            Unpacking::parse(letters).unwrap().write(bytes, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(unpacked("Ixs$", b"\x01\0\0\0abc"), "1 abc");
        assert_eq!(unpacked(">hxH<xhxH", b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe"), "-2 65534 -257 65279");
        assert_eq!(unpacked("qxQ", &[0xff; 16]), "-1 18446744073709551615");
        assert_eq!(unpacked("bxBxcx.", b"\x80\x80xy"), "-128 128 x y");
        assert_eq!(unpacked(">I", b"\0\0"), "(unpack: 2 bytes too few)");
        assert_eq!(unpacked("b$", b"ab"), "97(unpack: 1 bytes are left)");
        assert!(Unpacking::parse("z").is_err());
    }
}
