//! What records of a run look like, so that each tells by itself where it belongs.
//!
//! Owns: the text of keys, values and headers, and reading it back. Does not own: who sends how many.
//!
//! A value is one line of text: run, client, number, key, intended partition, time of the wall in milliseconds, time since the
//! run's beginning in nanoseconds, checksum of all the rest as hexadecimal digits, filling. The header `id` repeats run,
//! client and number. A record of another run, of another partition or with bytes of another record gives itself away.

use ottla_testkit::history::{Name, digest};

/// Name of the one header.
pub const HEADER: &str = "id";
/// Keys of one producer; few enough that each comes again and again.
const KEYS: u64 = 50;

/// A record to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    pub key: String,
    pub value: String,
    /// Value of the header [`HEADER`].
    pub header: String,
}

/// Whose record it is, and when it was made.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub run: &'a str,
    pub client: &'a str,
    pub seq: u64,
    pub partition: &'a str,
    pub wall_ms: i64,
    pub since_ns: u64,
}

impl Payload {
    /// Makes the record; `filling` bytes follow its checksum.
    pub fn new(origin: Origin<'_>, filling: usize) -> Payload {
        let Origin { run, client, seq, partition, wall_ms, since_ns } = origin;
        let key = format!("key-{}", seq % KEYS);
        let head = format!("{run} {client} {seq} {key} {partition} {wall_ms} {since_ns}");
        let filling = "x".repeat(filling);
        let checksum = digest(&[head.as_bytes(), filling.as_bytes()]);
        Payload { value: format!("{head} {checksum:016x} {filling}"), header: header(run, client, seq), key }
    }

    /// Stands for the content in a history.
    pub fn digest(&self) -> u64 {
        digest_of(self.key.as_bytes(), self.value.as_bytes(), self.header.as_bytes())
    }
}

/// Stands for the content of a record, as [`Payload::digest`] does.
pub fn digest_of(key: &[u8], value: &[u8], header: &[u8]) -> u64 {
    digest(&[key, value, header])
}

fn header(run: &str, client: &str, seq: u64) -> String {
    format!("{run}/{client}/{seq}")
}

/// Who sent a record and as which one, from its value and header alone; `None`: nobody sends such records in this run.
pub fn identity(run: &str, value: &[u8], header_value: &[u8]) -> Option<(Name, u64)> {
    let text = std::str::from_utf8(value).ok()?;
    let mut words = text.splitn(9, ' ');
    let (of, client) = (words.next()?, words.next()?);
    let seq = words.next()?.parse().ok()?;
    let [_, _, _, _] = [words.next()?, words.next()?, words.next()?, words.next()?];
    let (checksum, filling) = (words.next()?, words.next()?);
    let head = text.get(..text.len() - filling.len() - checksum.len() - 2)?;
    let intact = checksum == format!("{:016x}", digest(&[head.as_bytes(), filling.as_bytes()]));
    // Some clients cannot give each record a header of its own; one that is lost is seen by the digest.
    let has_own = header_value.is_empty() || header_value == header(run, client, seq).as_bytes();
    let belongs = of == run && has_own;
    (intact && belongs).then(|| (Name::from(client), seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Payload {
        let origin = Origin {
            run: "r7",
            client: "producer-1",
            seq: 412,
            partition: "chaos-2",
            wall_ms: 1_800_000_000_000,
            since_ns: 99,
        };
        Payload::new(origin, 5)
    }

    #[test]
    fn a_record_tells_who_sent_it() {
        let record = sample();
        let known = identity("r7", record.value.as_bytes(), record.header.as_bytes());
        assert_eq!(known, Some((Name::from("producer-1"), 412)));
        assert_eq!(record.key, "key-12");
        assert_eq!(record.value.split(' ').next_back(), Some("xxxxx"));
    }

    #[test]
    fn a_record_that_was_touched_or_comes_from_elsewhere_has_no_sender() {
        let record = sample();
        let told = |value: &str, header: &str| identity("r7", value.as_bytes(), header.as_bytes());
        assert_eq!(identity("r8", record.value.as_bytes(), record.header.as_bytes()), None);
        assert_eq!(told(&record.value.replace("chaos-2", "chaos-1"), &record.header), None);
        assert_eq!(told(&record.value.replace("xxxxx", "xxxxy"), &record.header), None);
        assert_eq!(told(&record.value[..20], &record.header), None);
        assert_eq!(told(&record.value, "r7/producer-1/413"), None);
        assert_eq!(told("", ""), None);
    }
}
