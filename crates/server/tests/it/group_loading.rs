//! A coordinator that reads its log while others ask (GRP-01), on a disk that keeps the reader waiting.
//!
//! Owns: the disk with a gate, what is asked and expected.
//! Does not own: what was written before.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ottla_env::disk::{DirEntry, Disk, File, FileMeta, LockGuard, OpenMode, RealDisk, Space};
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use parking_lot::{Condvar, Mutex};

use crate::member::{Member, leave};
use crate::node::{Home, Parts, properties, run, start, start_with};
use crate::operator::{NOBODY, Operator, name_of};

/// How long a reader waits for a gate that nobody opens.
const PATIENCE: Duration = Duration::from_secs(10);

/// The real disk, but the thread that loads a coordinator waits until the gate is open.
#[derive(Clone, Debug, Default)]
struct GatedDisk {
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl GatedDisk {
    fn open_gate(&self) {
        *self.open.0.lock() = true;
        self.open.1.notify_all();
    }

    fn wait(&self) {
        if std::thread::current().name() != Some("loader") {
            return;
        }
        let mut open = self.open.0.lock();
        while !*open {
            // A node that answers nobody meanwhile is let on in the end, so that the test fails.
            if self.open.1.wait_for(&mut open, PATIENCE).timed_out() {
                return;
            }
        }
    }
}

#[derive(Debug)]
struct GatedFile {
    file: Arc<dyn File>,
    gate: GatedDisk,
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = RealDisk.open(path, mode)?;
        let is_log = path.extension().is_some_and(|kind| kind == "log");
        if !is_log || !path.to_string_lossy().contains("__consumer_offsets") {
            return Ok(file);
        }
        Ok(Arc::new(GatedFile { file, gate: self.clone() }))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealDisk.read_dir(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileMeta> {
        RealDisk.metadata(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }

    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        RealDisk.is_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_dir(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        RealDisk.try_lock(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        RealDisk.space(path)
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        RealDisk.canonicalize(path)
    }
}

impl File for GatedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.gate.wait();
        self.file.read_at(buffer, position)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, position)
    }

    fn write_all_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.file.write_all_vectored_at(slices, position)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn reserve(&self, position: u64, len: u64) -> io::Result<()> {
        self.file.reserve(position, len)
    }

    fn start_writeback(&self, position: u64, len: u64) -> io::Result<()> {
        self.file.start_writeback(position, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn set_modified_ms(&self, modified_ms: i64) -> io::Result<()> {
        self.file.set_modified_ms(modified_ms)
    }

    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}

/// GRP-01, OFF-10: until the log is read every call is told so, but for heartbeats, which are believed; what is wrong
/// in itself is refused as ever. Afterwards everything is there.
#[test]
fn a_coordinator_that_reads_its_log_says_so() {
    run(async {
        let home = Home::new();
        let more = "offsets.topic.num.partitions=1";
        let node = start(&home, more).await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 1)]).await;
        operator.commit((9, "g"), NOBODY, "t-0=5").await;
        node.stop().await;
        let disk = GatedDisk::default();
        let parts = Parts { disk: Some(Arc::new(disk.clone())), ..Parts::default() };
        let node = start_with(&properties(home.path(), more), parts).await.unwrap();
        let mut operator = Operator::connect(&node).await;
        operator.learn("t").await;
        let loading = "COORDINATOR_LOAD_IN_PROGRESS";
        // Before the broker leads the partition it is no coordinator at all.
        while operator.fetch(9, "g", None).await == "NOT_COORDINATOR" {}
        for version in 2..=10 {
            assert_eq!(operator.fetch(version, "g", None).await, loading);
            assert_eq!(operator.commit((version, "g"), NOBODY, "t-0=6").await, format!("t-0 {loading}"));
        }
        assert_eq!(operator.fetch(1, "g", Some("t-0")).await, format!("t-0 {loading}"));
        let mut a = Member::new(&node, 9, "g").await;
        let answer = a.try_join().await;
        assert_eq!((name_of(answer.error_code), answer.member_id.as_str()), (loading, ""));
        assert_eq!((a.sync(&[]).await.as_str(), a.beat().await), (loading, "NONE"));
        for version in [0, 5] {
            let who = [("m".to_owned(), None)];
            assert_eq!(leave(&mut operator.client, version, "g", &who).await, loading);
        }
        assert_eq!(operator.drop_groups(2, &["g"]).await, format!("g {loading}"));
        assert_eq!(operator.drop_offsets("g", "t-0").await, loading);
        for version in [0, 6] {
            let group = operator.describe(version, &["g"]).await.remove(0);
            assert_eq!((name_of(group.error_code), group.group_state.as_str()), (loading, ""));
        }
        let list = ListGroupsRequest::default();
        let answer: ListGroupsResponse = operator.client.ask(ApiKey::ListGroups, 5, &list).await;
        assert_eq!((name_of(answer.error_code), answer.groups.len()), (loading, 0));
        a.group.clear();
        assert_eq!(
            (a.beat().await, name_of(a.try_join().await.error_code)),
            ("INVALID_GROUP_ID", "INVALID_GROUP_ID")
        );
        disk.open_gate();
        operator.until_coordinated().await;
        assert_eq!(operator.fetch(9, "g", None).await, "t-0=5");
        assert_eq!(operator.list(5, &[], &[]).await, "g:-:Empty:classic");
        a.group = "g".to_owned();
        assert_eq!(a.beat().await, "UNKNOWN_MEMBER_ID");
        node.stop().await;
    });
}
