//! Files of offsets: what `ottla group seek --to-file` reads.
//!
//! Owns: the form. Does not own: committing them (`seek`).
//!
//! A line for each partition: topic, partition, offset, divided by commas or blanks; empty lines and those that begin
//! with `#` say nothing. A first line with the names `topic`, `partition` and `offset` or `committed` says which column is
//! which, so that the CSV of `ottla group describe` can be read again. Values may stand in double quotes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ottla_model::{Offset, PartitionIndex, TopicName, TopicPartition};

use super::super::ends::Offsets;

/// Most bytes of a file; a line for each of half a million partitions fits.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The text of a file.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match u64::try_from(read) {
        Ok(..=FILE_BYTES_MAX) => Ok(text),
        Ok(_) | Err(_) => Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes"))),
    }
}

/// Reads a file's text; the error says where and why.
pub fn parse(text: &str) -> Result<Offsets, String> {
    let mut offsets = BTreeMap::new();
    let mut columns = None;
    for (at, line) in text.lines().enumerate() {
        let at = at + 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let cells = cells_of(line);
        let columns = match columns {
            Some(columns) => columns,
            None => match Columns::named(&cells) {
                Some(named) => {
                    columns = Some(named);
                    continue;
                }
                None => *columns.insert(Columns::of_plain(&cells).ok_or_else(|| {
                    format!("line {at} has {} values, not topic, partition and offset", cells.len())
                })?),
            },
        };
        let Some((partition, offset)) =
            columns.read(&cells).map_err(|reason| format!("line {at}: {reason}"))?
        else {
            continue;
        };
        if offsets.insert(partition.clone(), offset).is_some() {
            return Err(format!("line {at}: {partition} stands there a second time"));
        }
    }
    Ok(offsets)
}

/// Where a line has what is needed.
#[derive(Clone, Copy, Debug)]
struct Columns {
    count: usize,
    topic: usize,
    partition: usize,
    offset: usize,
}

impl Columns {
    fn named(cells: &[String]) -> Option<Columns> {
        let at = |name: &str| cells.iter().position(|cell| cell == name);
        Some(Columns {
            count: cells.len(),
            topic: at("topic")?,
            partition: at("partition")?,
            offset: at("committed").or(at("offset"))?,
        })
    }

    fn of_plain(cells: &[String]) -> Option<Columns> {
        (cells.len() == 3).then_some(Columns { count: 3, topic: 0, partition: 1, offset: 2 })
    }

    /// `None` for a partition without an offset.
    fn read(self, cells: &[String]) -> Result<Option<(TopicPartition, Offset)>, String> {
        if cells.len() != self.count {
            return Err(format!("{} values where there must be {}", cells.len(), self.count));
        }
        let cell = |at: usize| cells.get(at).map_or("", String::as_str);
        let topic = TopicName::new(cell(self.topic))
            .map_err(|error| format!("'{}' is no name for a topic: {error}", cell(self.topic)))?;
        let index = cell(self.partition).parse().ok().and_then(PartitionIndex::new);
        let index = index.ok_or_else(|| format!("'{}' is no number of a partition", cell(self.partition)))?;
        if cell(self.offset).is_empty() {
            return Ok(None);
        }
        let offset = cell(self.offset).parse().ok().and_then(Offset::new);
        let offset = offset.ok_or_else(|| format!("'{}' is no offset", cell(self.offset)))?;
        Ok(Some((TopicPartition::new(topic, index), offset)))
    }
}

/// The values of a line: between commas, or between blanks if there are none.
fn cells_of(line: &str) -> Vec<String> {
    if !line.contains(',') {
        return line.split_whitespace().map(str::to_owned).collect();
    }
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = line.trim().chars().peekable();
    while let Some(character) = characters.next() {
        let cell = cells.last_mut();
        match (character, cell) {
            ('"', Some(cell)) if is_quoted && characters.next_if_eq(&'"').is_some() => cell.push('"'),
            ('"', _) => is_quoted = !is_quoted,
            (',', _) if !is_quoted => cells.push(String::new()),
            (other, Some(cell)) => cell.push(other),
            (_, None) => {}
        }
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, i64)>, String> {
        let offsets = parse(text)?;
        Ok(offsets.into_iter().map(|(partition, offset)| (partition.to_string(), offset.value())).collect())
    }

    #[test]
    fn lines_are_read_with_blanks_with_commas_and_by_names() {
        let wanted = Ok(vec![("a-0".to_owned(), 1), ("b-12".to_owned(), 20)]);
        assert_eq!(read("a 0 1\n\n# all\nb\t12   20\n"), wanted);
        assert_eq!(read("a,0,1\r\nb,12,20"), wanted);
        let csv = "group,topic,partition,committed,start,end\r\n\"g,\"\"1\",a,0,1,0,9\r\ng,b,12,20,0,30\r\ng,c,0,,0,1\r\n";
        assert_eq!(read(csv), wanted);
        assert_eq!(read(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_offset_is_told_with_its_line() {
        for (text, told) in [
            ("a 0", "line 1 has 2 values"),
            ("a 0 1\na 0", "line 2: 2 values where there must be 3"),
            ("a 0 1\na 0 2", "line 2: a-0 stands there a second time"),
            ("a x 1", "line 1: 'x' is no number of a partition"),
            ("a 0 -1", "line 1: '-1' is no offset"),
            ("a/b 0 1", "line 1: 'a/b' is no name for a topic"),
        ] {
            let reason = read(text).unwrap_err();
            assert!(reason.starts_with(told), "{text}: {reason}");
        }
    }
}
