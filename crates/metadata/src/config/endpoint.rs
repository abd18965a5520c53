//! Addresses in configuration: `host:port`, `id@host:port`, `NAME://host:port`.
//!
//! Owns: their parsing and Kafka's words where they are malformed.
//! Does not own: which of them may stand together (`listeners`), name resolution (`env`).
//!
//! Source: requirements LSN-01; behaviour of Kafka 4.3.1.

use ottla_model::{BrokerId, ListenerName};

use super::ConfigError;

/// A host and its port. IPv6 addresses stand without brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

/// One entry of `controller.quorum.voters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    pub id: BrokerId,
    pub address: HostPort,
}

/// One entry of `listeners` or `advertised.listeners`. An empty host means "the default interface", or, where it
/// is advertised, "this machine's name".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerAddress {
    pub listener: ListenerName,
    pub host: Option<String>,
    pub port: u16,
}

/// Reads `host:port`, also `anything://host:port` and `[v6]:port`.
pub(crate) fn parse_host_port(text: &str) -> Option<Result<HostPort, ConfigError>> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let plain = scheme.bytes().all(|byte| is_host_byte(byte) && byte != b':');
    let (host, port) = rest.rsplit_once(':')?;
    let host = strip_brackets(host);
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || !digits || !host.bytes().all(is_host_byte) {
        return None;
    }
    Some(parse_port(port).map(|port| HostPort { host: host.to_owned(), port }))
}

/// Reads an entry of a list of servers, such as `controller.quorum.bootstrap.servers`.
pub(crate) fn parse_server(key: &str, text: &str) -> Result<HostPort, ConfigError> {
    parse_host_port(text).unwrap_or_else(|| {
        Err(ConfigError::Rule(format!(
            "Failed to parse host name from {text} for the configuration {key}. \
             Each entry should be in the form \"{{host}}:{{port}}\""
        )))
    })
}

/// Reads an entry of `controller.quorum.voters`. `None` in place of a voter stands for a negative id.
pub(crate) fn parse_voter(key: &str, text: &str) -> Result<Option<Voter>, ConfigError> {
    let form = "Each entry should be in the form `{id}@{host}:{port}`.";
    let malformed = || ConfigError::Rule(format!("Invalid configuration value for {key}. {form}"));
    let (id, address) = text.split_once('@').ok_or_else(malformed)?;
    if address.contains('@') {
        return Err(malformed());
    }
    let id: i32 = id
        .parse()
        .map_err(|_| ConfigError::Rule(format!("Failed to parse voter ID as an integer from {id}")))?;
    let address = parse_host_port(address).unwrap_or_else(|| {
        let text = format!("Failed to parse host name from entry {text} for the configuration {key}. {form}");
        Err(ConfigError::Rule(text))
    })?;
    Ok(BrokerId::new(id).map(|id| Voter { id, address }))
}

/// Reads `NAME://host:port`; the name is upper-cased.
pub(crate) fn parse_listener(text: &str) -> Result<ListenerAddress, ConfigError> {
    let unparsable = || ConfigError::Rule(format!("Unable to parse {text} to a broker endpoint"));
    let (name, rest) = text.rsplit_once("://").ok_or_else(unparsable)?;
    let (host, port) = rest.rsplit_once(':').ok_or_else(unparsable)?;
    let host = strip_brackets(host);
    let digits = port.strip_prefix('-').unwrap_or(port);
    if digits.is_empty()
        || !digits.bytes().all(|byte| byte.is_ascii_digit())
        || !host.bytes().all(is_host_byte)
    {
        return Err(unparsable());
    }
    let listener = ListenerName::new(name)
        .ok_or_else(|| ConfigError::Rule("The provided listener name is null or empty string".to_owned()))?;
    let host = if host.is_empty() { None } else { Some(host.to_owned()) };
    Ok(ListenerAddress { listener, host, port: parse_port(port)? })
}

fn parse_port(text: &str) -> Result<u16, ConfigError> {
    text.parse().map_err(|_| ConfigError::Rule(format!("port out of range:{text}")))
}

fn strip_brackets(host: &str) -> &str {
    let host = host.strip_prefix('[').unwrap_or(host);
    host.strip_suffix(']').unwrap_or(host)
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'%' | b'.' | b'_' | b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(text: &str) -> String {
        match parse_listener(text) {
            Ok(ListenerAddress { listener, host, port }) => {
                format!("{listener} {} {port}", host.as_deref().unwrap_or("-"))
            }
            Err(error) => error.to_string(),
        }
    }

    /// LSN-01
    #[test]
    fn a_listener_is_a_name_a_host_and_a_port() {
        assert_eq!(listener("PLAINTEXT://localhost:9092"), "PLAINTEXT localhost 9092");
        assert_eq!(listener("internal://:0"), "INTERNAL - 0");
        assert_eq!(listener("SSL://[::1]:9092"), "SSL ::1 9092");
        assert_eq!(listener("SSL://ho_st:1"), "SSL ho_st 1");
    }

    /// LSN-01
    #[test]
    fn a_malformed_listener_is_refused_in_kafka_s_words() {
        for text in ["foo", "PLAINTEXT://localhost", "PLAINTEXT://localhost:x", "PLAINTEXT://ho st:1"] {
            assert_eq!(listener(text), format!("Unable to parse {text} to a broker endpoint"));
        }
        assert_eq!(listener("://h:1"), "The provided listener name is null or empty string");
        assert_eq!(listener("PLAINTEXT://h:99999"), "port out of range:99999");
        assert_eq!(listener("PLAINTEXT://h:-1"), "port out of range:-1");
    }

    #[test]
    fn a_server_may_have_a_scheme_and_brackets() {
        let server = |text| parse_server("k", text).map(|got| format!("{} {}", got.host, got.port));
        assert_eq!(server("h:9093"), Ok("h 9093".to_owned()));
        assert_eq!(server("PLAINTEXT://h:9093"), Ok("h 9093".to_owned()));
        assert_eq!(server("[::1]:9093"), Ok("::1 9093".to_owned()));
        assert_eq!(server("h:99999").unwrap_err().to_string(), "port out of range:99999");
        assert_eq!(
            server("h h:1").unwrap_err().to_string(),
            "Failed to parse host name from h h:1 for the configuration k. \
             Each entry should be in the form \"{host}:{port}\""
        );
    }

    #[test]
    fn a_voter_has_an_id() {
        let voter = |text| parse_voter("k", text).map_err(|error| error.to_string());
        let one =
            Voter { id: BrokerId::new(1).unwrap(), address: HostPort { host: "::1".to_owned(), port: 9093 } };
        assert_eq!(voter("1@[::1]:9093"), Ok(Some(one)));
        assert_eq!(voter("-1@h:1"), Ok(None));
        let cases = [
            (
                "h:1",
                "Invalid configuration value for k. Each entry should be in the form `{id}@{host}:{port}`.",
            ),
            (
                "1@@h:1",
                "Invalid configuration value for k. Each entry should be in the form `{id}@{host}:{port}`.",
            ),
            ("a@b:1", "Failed to parse voter ID as an integer from a"),
            (
                "1@b",
                "Failed to parse host name from entry 1@b for the configuration k. \
                 Each entry should be in the form `{id}@{host}:{port}`.",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(voter(text), Err(message.to_owned()));
        }
    }
}
