//! The history checker on hand-made histories and on damaged random ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ottla_testkit::history::{Event, History, HistoryError, Rule, Verdict, check, digest};
use ottla_testkit::random::SeededRandom;
use ottla_testkit::seeds;

fn corpus(kind: &str) -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/history").join(kind);
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .expect("the corpus is part of the repository")
        .map(|entry| entry.expect("the corpus is readable").path())
        .collect();
    paths.sort();
    let text = |path: PathBuf| {
        let name = path.file_stem().expect("it is a file").to_string_lossy().into_owned();
        (name, fs::read_to_string(&path).expect("the corpus is readable"))
    };
    paths.into_iter().map(text).collect()
}

fn judge(text: &str) -> Verdict {
    check(&History::parse(text).expect("the history is well-formed"))
}

fn rules(verdict: &Verdict) -> BTreeSet<String> {
    verdict.violations.iter().map(|violation| violation.rule.to_string()).collect()
}

/// Reliability 3.3
#[test]
fn every_bad_history_breaks_the_rule_in_its_name_and_no_other() {
    let corpus = corpus("bad");
    assert!(corpus.len() >= 40);
    for (name, text) in &corpus {
        let verdict = judge(text);
        let rule = name.split('-').next().unwrap().to_owned();
        assert_eq!(rules(&verdict), BTreeSet::from([rule]), "{name}\n{verdict}");
        assert!(!verdict.passed());
        for violation in &verdict.violations {
            assert!((1..=3).contains(&violation.witness.len()), "{name}\n{verdict}");
        }
    }
    let covered: BTreeSet<_> = corpus.iter().filter_map(|(name, _)| name.split('-').next()).collect();
    assert_eq!(
        covered,
        BTreeSet::from(["C2", "C4", "G1", "G2", "G3", "G4", "G5", "R1", "R2", "R3", "R4", "R8", "R9"])
    );
}

/// Reliability 3.3
#[test]
fn every_good_look_alike_passes() {
    let corpus = corpus("good");
    assert!(corpus.len() >= 30);
    for (name, text) in corpus {
        let verdict = judge(&text);
        assert!(verdict.passed(), "{name}\n{verdict}");
    }
}

#[test]
fn a_verdict_names_the_rule_and_shows_the_events_as_they_stood_in_the_file() {
    let (_, text) = corpus("bad").into_iter().find(|(name, _)| name == "R1-lost-tail").unwrap();
    let printed = judge(&text).to_string();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(
        lines[0],
        "FAIL: 1 violations; 3 sends (3 acked, 0 refused, 0 unknown), 2 reads, 1 final reads, 0 commits, \
         0 assignments"
    );
    assert_eq!(
        lines[1],
        "R1 acked is durable: p1 seq 3 was acknowledged at t-0 offset 2, and final-1 read it from 0 to 2 without \
         that record"
    );
    assert_eq!(lines[2].trim(), r#"{"event":"send_ok","at":6,"client":"p1","seq":3,"offset":2}"#);
    assert!(lines[3].contains("read_all"));
}

#[test]
fn acknowledged_records_without_a_final_read_prove_nothing() {
    let text = r#"{"event":"send","at":1,"client":"p","seq":1,"partition":"t-0","digest":1}
                  {"event":"send_ok","at":2,"client":"p","seq":1,"offset":0}"#;
    let verdict = judge(text);
    assert!(verdict.violations.is_empty() && !verdict.passed());
    assert!(verdict.to_string().contains("UNREAD t-0"));
}

#[test]
fn a_history_that_does_not_fit_together_is_refused_with_the_event() {
    let send = r#"{"event":"send","at":1,"client":"p","seq":1,"partition":"t-0","digest":1}"#;
    let refused = |text: &str| History::parse(text).unwrap_err();
    let ok = r#"{"event":"send_ok","at":2,"client":"p","seq":1,"offset":0}"#;
    assert!(matches!(refused(ok), HistoryError::OutcomeWithoutBeginning(_)));
    assert!(matches!(refused(&format!("{send}\n{send}")), HistoryError::BegunTwice(_)));
    assert!(matches!(refused(&format!("{send}\n{ok}\n{ok}")), HistoryError::EndedTwice(_)));
    let late = send.replace("\"at\":1", "\"at\":9");
    assert!(matches!(refused(&format!("{late}\n{ok}")), HistoryError::OutcomeWithoutBeginning(_)));
    let negative = ok.replace(":0}", ":-1}");
    assert!(matches!(refused(&format!("{send}\n{negative}")), HistoryError::BadRange(_)));
    let all = r#"{"event":"read_all","since":5,"at":4,"client":"c","partition":"t-0","start":0,"end":0}"#;
    assert!(matches!(refused(all), HistoryError::EndedBeforeBeginning(_)));
    let commit = r#"{"event":"commit_ok","at":4,"client":"c","id":1}"#;
    assert!(matches!(refused(commit), HistoryError::OutcomeWithoutBeginning(_)));
}

#[test]
fn a_line_that_is_no_event_is_named_by_its_number() {
    for bad in [
        "{",
        "[]",
        r#"{"event":"dance","at":1}"#,
        r#"{"event":"send_fail","at":1,"client":"p","seq":1,"x":1}"#,
    ] {
        let error = History::parse(&format!("\n\n{bad}")).unwrap_err();
        assert!(error.to_string().starts_with("line 3 is not an event"), "{error}");
    }
}

#[test]
fn digests_tell_apart_what_only_differs_in_where_parts_end() {
    assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    assert_ne!(digest(&[]), digest(&[b""]));
    assert_eq!(digest(&[b"ab"]), digest(&[b"ab"]));
}

/// A run in which everything went well: some producers, one partition each half, readers, a group.
fn good_run(random: &SeededRandom) -> Vec<Event> {
    let mut events = Vec::new();
    let mut time = 0;
    let mut tick = || {
        time += 1;
        time
    };
    let mut log: Vec<(u64, u64)> = Vec::new();
    for seq in 0..random.between(20, 60) {
        let producer = random.between(0, 2);
        let client = format!("p{producer}");
        let partition = "t-0".into();
        let digest = seq * 31 + producer;
        events.push(Event::Send {
            at: tick(),
            client: client.as_str().into(),
            seq,
            partition,
            digest,
            idempotent: true,
            durable: true,
        });
        let offset = i64::try_from(log.len()).expect("the log is short");
        let (at, client) = (tick(), client.as_str().into());
        if random.chance(80) {
            log.push((producer, seq));
            events.push(Event::SendOk { at, client, seq, offset: Some(offset) });
        } else if random.chance(50) {
            events.push(Event::SendFail { at, client, seq });
        } else {
            if random.chance(50) {
                log.push((producer, seq));
            }
            events.push(Event::SendInfo { at, client, seq });
        }
    }
    for (client, group) in [("final-1", None), ("member", Some("g"))] {
        let since = tick();
        for (offset, (producer, seq)) in log.iter().enumerate() {
            events.push(Event::Read {
                at: tick(),
                client: client.into(),
                group: group.map(Into::into),
                partition: "t-0".into(),
                offset: i64::try_from(offset).expect("the log is short"),
                producer: format!("p{producer}").into(),
                seq: *seq,
                digest: seq * 31 + producer,
            });
        }
        let end = i64::try_from(log.len()).expect("the log is short");
        let partition = "t-0".into();
        events.push(match group {
            None => Event::ReadAll { since, at: tick(), client: client.into(), partition, start: 0, end },
            Some(group) => Event::Drained { at: tick(), group: group.into(), partition, start: 0, end },
        });
    }
    events
}

/// Damages one read of a good run and says which rules may notice.
fn damage(events: &mut Vec<Event>, random: &SeededRandom) -> &'static [Rule] {
    let acked: BTreeSet<i64> = events
        .iter()
        .filter_map(|event| if let Event::SendOk { offset, .. } = event { *offset } else { None })
        .collect();
    let reads: Vec<usize> = (0..events.len())
        .filter(|at| matches!(&events[*at], Event::Read { offset, .. } if acked.contains(offset)))
        .collect();
    let at = *random.pick(&reads).expect("a run has reads");
    let Event::Read { group, digest, seq, offset, .. } = &mut events[at] else { return &[] };
    match random.index(4) {
        0 => {
            let lost: &[Rule] = if group.is_some() { &[Rule::G3] } else { &[Rule::R1] };
            events.remove(at);
            lost
        }
        1 => {
            *digest += 1;
            &[Rule::R2, Rule::R9]
        }
        2 => {
            *seq += 1_000;
            &[Rule::R2, Rule::R9]
        }
        _ => {
            *offset += 1_000;
            &[Rule::R1, Rule::R8, Rule::G3]
        }
    }
}

#[test]
fn one_damaged_read_in_a_good_random_run_is_noticed() {
    seeds::run(300, |seed| {
        let random = SeededRandom::new(seed);
        let mut events = good_run(&random);
        let verdict = check(&History::load(events.clone()).unwrap());
        assert!(verdict.passed(), "{verdict}");
        let expected = damage(&mut events, &random);
        random.shuffle(&mut events);
        let verdict = check(&History::load(events).unwrap());
        assert!(verdict.violations.iter().any(|violation| expected.contains(&violation.rule)), "{verdict}");
    });
}
