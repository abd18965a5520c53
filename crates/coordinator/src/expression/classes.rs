//! Classes of characters by name, as far as RE2J knows them.
//!
//! Owns: which names there are, and the class in the other syntax. Does not own: where in an expression they may stand.
//!
//! Source: the syntax page of RE2; behaviour of Kafka 4.3.1's tool on each name.

/// The classes behind a backslash, as ranges of a class.
pub(super) fn perl_class(name: char) -> Option<&'static str> {
    match name {
        'd' => Some("0-9"),
        'D' => Some("[^0-9]"),
        's' => Some(r"\t\n\x0C\r "),
        'S' => Some(r"[^\t\n\x0C\r ]"),
        'w' => Some("0-9A-Za-z_"),
        'W' => Some("[^0-9A-Za-z_]"),
        _ => None,
    }
}

/// Between `[:` and `:]`.
pub(super) const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// General categories.
const CATEGORIES: [&str; 37] = [
    "Any", "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd",
    "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp",
    "Zs",
];

/// Scripts of Unicode as far as RE2/J knows them.
const SCRIPTS: &str = "\
    Arabic Armenian Avestan Balinese Bamum Batak Bengali Bopomofo Brahmi Braille Buginese Buhid \
    Canadian_Aboriginal Carian Cham Cherokee Common Coptic Cuneiform Cypriot Cyrillic Deseret Devanagari \
    Egyptian_Hieroglyphs Ethiopic Georgian Glagolitic Gothic Greek Gujarati Gurmukhi Han Hangul Hanunoo Hebrew \
    Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada \
    Katakana Kayah_Li Kharoshthi Khmer Lao Latin Lepcha Limbu Linear_B Lisu Lycian Lydian Malayalam Mandaic \
    Meetei_Mayek Mongolian Myanmar New_Tai_Lue Nko Ogham Ol_Chiki Old_Italic Old_Persian Old_South_Arabian \
    Old_Turkic Oriya Osmanya Phags_Pa Phoenician Rejang Runic Samaritan Saurashtra Shavian Sinhala Sundanese \
    Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Tamil Telugu Thaana Thai Tibetan Tifinagh \
    Ugaritic Unknown Vai Yi";

/// The class of a category or a script; `None`: there is none of this name. A name that the other syntax does not have is
/// that of characters no text here has.
pub(super) fn unicode(name: &str, negated: bool) -> Option<String> {
    let is_category = CATEGORIES.contains(&name);
    if !is_category && !SCRIPTS.split(' ').any(|script| script == name) {
        return None;
    }
    let property = if name == "Any" {
        ""
    } else if is_category {
        "gc="
    } else {
        "sc="
    };
    let class = format!(r"\{}{{{property}{name}}}", if negated { 'P' } else { 'p' });
    let (nothing, everything) = (r"[^\s\S]", r"[\s\S]");
    Some(match regex::Regex::new(&class) {
        Ok(_) => class,
        Err(_) => if negated { everything } else { nothing }.to_owned(),
    })
}
