//! Numbers as Java prints them.
//!
//! Owns: `%.2f` of `String.format`.
//! Does not own: `Double.toString` (`ottla_protocol`), which numbers are printed (each tool).
//!
//! It begins with the shortest decimal number that is read back as the same `double`, and rounds those digits half up:
//! 1.005 becomes 1.01 although the number itself lies below.
//!
//! Source: behaviour of Java 17.

pub use ottla_protocol::codec::json::java_double as double;

/// A number with so many digits behind the point.
pub fn decimal(number: f64, digits: usize) -> String {
    if !number.is_finite() {
        return not_finite(number);
    }
    let shortest = without_exponent(number.abs());
    let (whole, fraction) = shortest.split_once('.').unwrap_or((&shortest, ""));
    let mut all: Vec<u8> =
        whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(digits)).collect();
    if fraction.as_bytes().get(digits).is_some_and(|next| *next >= b'5') {
        round_up(&mut all);
    }
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let all: String = all.into_iter().map(char::from).collect();
    let (whole, fraction) = all.split_at(all.len() - digits);
    if digits == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn not_finite(number: f64) -> String {
    match (number.is_nan(), number > 0.0) {
        (true, _) => "NaN".to_owned(),
        (false, true) => "Infinity".to_owned(),
        (false, false) => "-Infinity".to_owned(),
    }
}

/// The shortest digits that are read back as the number, with at least one behind the point.
fn without_exponent(number: f64) -> String {
    let text = number.to_string();
    let point = if text.contains('.') { "" } else { ".0" };
    format!("{text}{point}")
}

/// Adds one to the last of these decimal digits.
fn round_up(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `String.format` of Java 17 gave for these.
    #[test]
    fn a_half_is_rounded_up_as_it_is_written() {
        for (number, digits, expected) in [
            (1.005, 2, "1.01"),
            (0.125, 2, "0.13"),
            (2_923.976_608_187_134_6, 6, "2923.976608"),
            (9.995, 2, "10.00"),
            (0.0, 4, "0.0000"),
            (-0.006, 2, "-0.01"),
            (1e21, 1, "1000000000000000000000.0"),
            (1e-7, 4, "0.0000"),
            (2.5, 0, "3"),
            (f64::NAN, 2, "NaN"),
            (f64::INFINITY, 6, "Infinity"),
        ] {
            assert_eq!(decimal(number, digits), expected, "{number}");
        }
    }

    #[test]
    fn a_double_has_an_exponent_where_java_writes_one() {
        for (number, expected) in [
            (0.0, "0.0"),
            (7.207_207_207_207_207, "7.207207207207207"),
            (714.0, "714.0"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (0.001, "0.001"),
            (0.000_98, "9.8E-4"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(double(number), expected);
        }
    }
}
