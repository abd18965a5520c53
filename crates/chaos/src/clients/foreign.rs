//! kcat, a client of other people on librdkafka: it writes, follows and reads all at the end.
//!
//! Owns: how it is called, and what its exit code and its lines say. Does not own: what is judged.
//!
//! As a producer it does not tell single acknowledgements: a run that ends well acknowledges all its records, without
//! offsets; of any other run nothing is known.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ottla_env::time;
use ottla_testkit::history::{Event, Name};

use super::reader::Given;
use super::{Cluster, TOPIC};
use crate::Fallible;
use crate::payload::Payload;

/// Under this name a foreign reader's progress is told, and its final reads are.
pub const FOREIGN: &str = "kcat";
/// Partition, offset, key, headers, value.
const LINE: &str = r"%p\t%o\t%k\t%h\t%s\n";
/// Records of one run of a producer; their text fits into a pipe, so that writing it never waits.
const RECORDS: u64 = 100;
/// Pause between two looks at a process.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest a final read may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where kcat is, if it is installed.
pub fn kcat() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join("kcat")).find(|program| program.is_file())
}

/// A process that does not outlive its user.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // It has mostly ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Guarded {
    async fn end(&mut self) -> Fallible<bool> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status.success());
            }
            time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Cluster {
    fn kcat(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["-b", &self.bootstrap, "-t", TOPIC]).args(arguments);
        command.args(["-X", "reconnect.backoff.max.ms=100", "-X", "topic.metadata.refresh.interval.ms=5000"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs one idempotent producer after the other until it shall stop.
    pub async fn write_by_kcat(self, program: PathBuf) -> Fallible<()> {
        let client = Name::from("kcat-producer");
        let mut seq = 0;
        while self.writing() {
            let partition = i32::try_from((seq / RECORDS) % u64::try_from(self.partitions)?)?;
            let arguments = [
                "-P",
                "-E",
                "-p",
                &partition.to_string(),
                "-K",
                "\t",
                "-X",
                "acks=all",
                "-X",
                "enable.idempotence=true",
                "-X",
                "message.timeout.ms=600000",
            ];
            let mut command = self.kcat(&program, &arguments);
            let mut child = Guarded(command.stdin(Stdio::piped()).spawn()?);
            let range = seq..seq + RECORDS;
            let mut lines = String::new();
            for number in range.clone() {
                let Payload { key, value, .. } = self.payload("kcat-producer", number, partition);
                lines += &format!("{key}\t{value}\n");
                let payload = Payload { key, value, header: String::new() };
                self.note_send((&client, number), partition, &payload);
            }
            // If it has ended early, its exit code says so.
            let input = child.0.stdin.take();
            let written = input.map(|mut input| input.write_all(lines.as_bytes()));
            let arrived = child.end().await? && matches!(written, Some(Ok(())));
            for number in range {
                let (at, client) = (self.notes.now(), client.clone());
                self.notes.add(match arrived {
                    true => Event::SendOk { at, client, seq: number, offset: None },
                    false => Event::SendInfo { at, client, seq: number },
                });
            }
            if !arrived {
                self.notes.complain(format!("{client} failed"));
            }
            seq += RECORDS;
            time::sleep(POLL_BETWEEN).await;
        }
        Ok(())
    }

    /// Reads all partitions as they grow, into a file. Told to stop, it goes on to these ends first.
    pub async fn follow_by_kcat(self, program: PathBuf, lines: PathBuf) -> Fallible<()> {
        let mut command = self.kcat(&program, &["-C", "-E", "-u", "-q", "-o", "beginning", "-f", LINE]);
        let _child = Guarded(command.stdout(File::create(&lines)?).spawn()?);
        let mut known = 0;
        let client = Name::from(FOREIGN);
        while self.reading() {
            known += self.note_lines(&client, &lines, known)?;
            time::sleep(POLL_BETWEEN).await;
        }
        Ok(())
    }

    /// A final read of everything.
    pub async fn read_all_by_kcat(
        &self,
        (program, client): (&Path, &str),
        lines: &Path,
        ends: &BTreeMap<i32, i64>,
    ) -> Fallible<()> {
        let since = self.notes.now();
        let mut command = self.kcat(program, &["-C", "-e", "-q", "-o", "beginning", "-f", LINE]);
        let mut child = Guarded(command.stdout(File::create(lines)?).spawn()?);
        let ended = time::timeout(PATIENCE, child.end()).await;
        match ended {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Err(format!("{client} failed to read all").into()),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(format!("{client} has not read all after {PATIENCE:?}").into()),
        }
        let client = Name::from(client);
        self.note_lines(&client, lines, 0)?;
        self.note_read_all((&client, since), ends);
        Ok(())
    }

    /// Notes what stands in the file behind its first `known` bytes, up to its last whole line; answers how much that is.
    fn note_lines(&self, client: &Name, path: &Path, known: usize) -> Fallible<usize> {
        let text = fs::read(path)?;
        let new = text.get(known..).unwrap_or_default();
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in new[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Some(given) = given_in(line) else {
                let text = String::from_utf8_lossy(line);
                return Err(format!("{client} printed a line that is no record: {text}").into());
            };
            self.note_read((client, None), &given);
            self.notes.reached(FOREIGN, given.partition, given.offset + 1);
        }
        Ok(whole)
    }
}

/// Pause between two looks at a file, and between two producers.
const POLL_BETWEEN: Duration = Duration::from_millis(200);

/// A record as kcat prints it.
fn given_in(line: &[u8]) -> Option<Given<'_>> {
    let mut fields = line.splitn(5, |byte| *byte == b'\t');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<i64>().ok();
    let (partition, offset) = (i32::try_from(number()?).ok()?, number()?);
    let (key, headers, value) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Given { partition, offset, key, value, header: headers.strip_prefix(b"id=").unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_a_record() {
        let given = given_in(b"2\t17\tkey-1\tid=r/p/4\ta b\tc").unwrap();
        assert_eq!((given.partition, given.offset), (2, 17));
        assert_eq!((given.key, given.header, given.value), (&b"key-1"[..], &b"r/p/4"[..], &b"a b\tc"[..]));
        assert!(given_in(b"2\t17\tkey-1\t\tv").unwrap().header.is_empty());
        for bad in [&b"x\t1\tk\t\tv"[..], b"1\t2\tk", b"", b"1"] {
            assert!(given_in(bad).is_none());
        }
    }
}
