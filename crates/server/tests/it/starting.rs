//! What keeps a node from starting: each is told in one line with its value, and nothing half-done stays behind.

use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use ottla_metadata::config::{Default as KeyDefault, Effect, broker_keys};

use crate::node::{Home, run, start};

/// What a start says that fails, with its causes, in one line.
async fn refusal(home: &Home, more: &str) -> String {
    let error = match start(home, more).await {
        Err(error) => error,
        Ok(node) => {
            node.stop().await;
            return "started".to_owned();
        }
    };
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    assert!(!text.contains('\n'), "{text}");
    text
}

/// A value of the key that is legal and not its default.
fn other_value(name: &str) -> Option<&'static str> {
    let key = broker_keys()[name];
    let default = match key.default {
        KeyDefault::Required | KeyDefault::Null => None,
        KeyDefault::Text(text) => key.parse(text).ok(),
    };
    let candidates = ["x", "1", "0.6", "true", "false", "required", "TLSv1.2", "[a,b]", "/tmp", "1000000"];
    candidates.into_iter().find(|text| key.parse(text).is_ok_and(|value| Some(value) != default))
}

/// A node that would be less safe than its settings say does not run at all.
#[test]
fn no_security_setting_is_ignored() {
    run(async {
        let home = Home::new();
        let mut refused = 0;
        for key in broker_keys().values().filter(|key| key.effect == Effect::Refused) {
            let value = other_value(key.name);
            let told =
                refusal(&home, &format!("{}={}\n", key.name, value.unwrap_or("org.example.Class"))).await;
            // No class of Java is known here.
            let expected = match value {
                Some(_) => format!("{} is not supported yet", key.name),
                None => format!("Invalid value org.example.Class for configuration {}: ", key.name),
            };
            assert!(told.contains(&expected), "{}={value:?}: {told}", key.name);
            refused += 1;
        }
        assert!(refused > 60, "{refused}");
        for protocol in ["SSL", "SASL_PLAINTEXT", "SASL_SSL"] {
            let told = refusal(
                &home,
                &format!(
                    "listeners=OUT://127.0.0.1:0,CONTROLLER://127.0.0.1:0\ninter.broker.listener.name=OUT\n\
                     listener.security.protocol.map=OUT:{protocol},CONTROLLER:PLAINTEXT\n"
                ),
            )
            .await;
            let expected = format!("listener OUT asks for {protocol}, which is not supported yet");
            assert!(told.contains(&expected), "{told}");
        }
        assert!(!home.path().exists());
    });
}

/// Settings of SASL whose loss makes nothing less safe: they say when a login is repeated, and without SASL there is none.
const PACE_OF_LOGINS: [&str; 11] = [
    "sasl.kerberos.min.time.before.relogin",
    "sasl.kerberos.ticket.renew.jitter",
    "sasl.kerberos.ticket.renew.window.factor",
    "sasl.login.connect.timeout.ms",
    "sasl.login.read.timeout.ms",
    "sasl.login.refresh.buffer.seconds",
    "sasl.login.refresh.min.period.seconds",
    "sasl.login.refresh.window.factor",
    "sasl.login.refresh.window.jitter",
    "sasl.login.retry.backoff.max.ms",
    "sasl.login.retry.backoff.ms",
];

/// CFG-07: what only paces logins is taken, as by Kafka on a node without SASL, and of TLS and SASL nothing else is.
#[test]
fn the_pace_of_logins_may_be_set_where_nothing_logs_in() {
    run(async {
        let is_secure = |name: &str| name.starts_with("sasl.") || name.starts_with("ssl.");
        let keys = broker_keys().values().filter(|key| is_secure(key.name) && key.effect != Effect::Refused);
        let mut taken: Vec<&str> = keys.map(|key| key.name).collect();
        taken.sort_unstable();
        assert_eq!(taken, PACE_OF_LOGINS);
        let lines = PACE_OF_LOGINS.map(|name| format!("{name}={}\n", other_value(name).unwrap()));
        let home = Home::new();
        assert_eq!(refusal(&home, &lines.concat()).await, "started");
    });
}

/// CFG-07: the message has the key, the value and what is allowed; no directory was made.
#[test]
fn a_setting_that_cannot_be_is_told_with_its_value() {
    run(async {
        let home = Home::new();
        for (line, told) in [
            (
                "num.partitions=x",
                "Invalid value x for configuration num.partitions: Not a number of type INT",
            ),
            (
                "num.partitions=0",
                "Invalid value 0 for configuration num.partitions: Value must be at least 1",
            ),
            (
                "auto.create.topics.enable=maybe",
                "Invalid value maybe for configuration auto.create.topics.enable: Expected value to be either true \
                 or false",
            ),
            (
                "log.message.timestamp.type=x",
                "Invalid value x for configuration log.message.timestamp.type: String must be one of: CreateTime, \
                 LogAppendTime",
            ),
            (
                "process.roles=clown",
                "Invalid value clown for configuration process.roles: String must be one of: broker, controller",
            ),
            (
                "log.retention.ms=0",
                "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
            ),
            ("log.roll.ms=-5", "requirement failed: log.roll.ms must be greater than or equal to 1"),
            ("listeners=nonsense", "Unable to parse a listener name from nonsense"),
            (
                "compression.gzip.level=10",
                "Invalid value 10 for configuration compression.gzip.level: Value must be between 1 and 9 or equal \
                 to -1",
            ),
        ] {
            assert_eq!(refusal(&home, &format!("{line}\n")).await, told, "{line}");
        }
        assert!(!home.path().exists());
    });
}

#[test]
fn a_port_that_is_taken_is_told_and_nothing_is_formatted() {
    run(async {
        let home = Home::new();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        for listeners in [
            format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:0"),
            format!("PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:{port}"),
        ] {
            let told = refusal(&home, &format!("listeners={listeners}\n")).await;
            assert_eq!(told, format!("cannot listen on 127.0.0.1:{port}: address already in use"));
        }
        assert!(!home.path().exists());
        drop(taken);
        let listeners = format!("listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:0\n");
        assert_eq!(refusal(&home, &listeners).await, "started");
    });
}

/// LOG-00: the identity of a directory is never guessed.
#[test]
fn a_directory_whose_identity_cannot_be_read_is_refused_and_left_as_it_is() {
    run(async {
        let home = Home::new();
        assert_eq!(refusal(&home, "").await, "started");
        let path = home.path().join("meta.properties");
        let good = fs::read_to_string(&path).unwrap();
        for (bad, told) in [
            ("\u{0}\u{1}garbage".to_owned(), "key 'version' is missing"),
            (String::new(), "key 'version' is missing"),
            (good.replace("version=1", "version=9"), "'9' is no value of 'version'"),
            (good.replace("node.id=1", "node.id=one"), "'one' is no value of 'node.id'"),
            (good.replace("cluster.id=", "cluster="), "key 'cluster.id' is missing"),
            (good.replace("directory.id=", "directory.id=!"), "is no value of 'directory.id'"),
            (format!("{good}node.id=2\n"), "key 'node.id' is there twice, with the values '1' and '2'"),
        ] {
            fs::write(&path, &bad).unwrap();
            let refused = refusal(&home, "").await;
            let expected = format!("{} is malformed: ", path.display());
            assert!(refused.starts_with(&expected) && refused.contains(told), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let refused = refusal(&home, "").await;
        assert!(refused.starts_with(&format!("cannot access {}: ", path.display())), "{refused}");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, &good).unwrap();
        assert_eq!(refusal(&home, "").await, "started");
    });
}

/// What a checkpoint says can be found again, so that a damaged one costs time only; one that cannot be read at all may
/// hide a failing disk.
#[test]
fn a_damaged_checkpoint_is_made_anew_and_an_unreadable_one_is_refused() {
    run(async {
        let home = Home::new();
        assert_eq!(refusal(&home, "").await, "started");
        for name in [
            "recovery-point-offset-checkpoint",
            "log-start-offset-checkpoint",
            "replication-offset-checkpoint",
        ] {
            let path = home.path().join(name);
            for garbage in ["garbage", "0\n1\nt 0", "7\n0\n", "0\n-1\n"] {
                fs::write(&path, garbage).unwrap();
                assert_eq!(refusal(&home, "").await, "started", "{name} {garbage:?}");
                assert!(fs::read_to_string(&path).unwrap().starts_with("0\n"), "{name}");
            }
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            let refused = refusal(&home, "").await;
            assert!(refused.starts_with(&format!("cannot access {}: ", path.display())), "{refused}");
            fs::remove_dir(&path).unwrap();
        }
    });
}

/// The metadata is never guessed either: whatever of it is damaged is named.
#[test]
fn damaged_metadata_is_refused_with_the_name_of_the_file() {
    run(async {
        let home = Home::new();
        assert_eq!(refusal(&home, "").await, "started");
        let metadata = home.path().join("__cluster_metadata-0");
        for path in [
            home.path().join("bootstrap.checkpoint"),
            metadata.join("quorum-state"),
            metadata.join("00000000000000000000-0000000000.checkpoint"),
        ] {
            let good = fs::read(&path).unwrap();
            fs::write(&path, "garbage").unwrap();
            let refused = refusal(&home, "").await;
            assert!(refused.contains(&path.display().to_string()), "{refused}");
            restore(&path, &good);
        }
        assert_eq!(refusal(&home, "").await, "started");
    });
}

fn restore(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
}
