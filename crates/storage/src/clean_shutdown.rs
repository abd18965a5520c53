//! `.kafka_cleanshutdown`: says that a data directory was left in order, and in which broker epoch.
//!
//! Owns: the JSON form. Does not own: when it is written or removed (`log_dir`).
//!
//! `{"version":0,"brokerEpoch":15}`; a file that cannot be read still means a clean stop, without an epoch.
//!
//! Source: requirement 8.1; KIP-966; a file that Kafka 4.3.1 wrote.

use ottla_model::BrokerEpoch;

/// The content of the file; −1 stands for an unknown epoch.
pub(crate) fn text(epoch: Option<BrokerEpoch>) -> String {
    format!("{{\"version\":0,\"brokerEpoch\":{}}}", epoch.map_or(-1, BrokerEpoch::value))
}

/// The broker epoch in the file, if it says one.
pub(crate) fn parse(text: &str) -> Option<BrokerEpoch> {
    let body = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut epoch = None;
    for member in body.split(',') {
        let (key, value) = member.split_once(':')?;
        let value: i64 = value.trim().parse().ok()?;
        match key.trim() {
            "\"version\"" if value == 0 => {}
            "\"brokerEpoch\"" => epoch = BrokerEpoch::new(value),
            _ => return None,
        }
    }
    epoch
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LOG-00
    #[test]
    fn the_file_is_kafkas_byte_for_byte() {
        assert_eq!(text(BrokerEpoch::new(15)), r#"{"version":0,"brokerEpoch":15}"#);
        assert_eq!(parse(r#"{"version":0,"brokerEpoch":15}"#), BrokerEpoch::new(15));
        assert_eq!(text(None), r#"{"version":0,"brokerEpoch":-1}"#);
        for unknown in
            ["", "{}", r#"{"version":1,"brokerEpoch":3}"#, r#"{"brokerEpoch":-1}"#, "{\"version\":0"]
        {
            assert_eq!(parse(unknown), None, "{unknown}");
        }
    }
}
