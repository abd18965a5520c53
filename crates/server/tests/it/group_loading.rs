//! A coordinator that reads its log while others ask (GRP-01), on a disk that keeps the reader waiting.
//!
//! Owns: the disk with a gate, what is asked and expected.
//! Does not own: what was written before.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::disk::{Disk, RealDisk};
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use ottla_testkit::watched_disk::{Operation, Watch, WatchedDisk};
use parking_lot::{Condvar, Mutex};

use crate::member::{Member, leave};
use crate::node::{Home, Parts, properties, run, start, start_with};
use crate::operator::{NOBODY, Operator, name_of};

/// How long a reader waits for a gate that nobody opens.
const PATIENCE: Duration = Duration::from_secs(10);

/// The thread that loads a coordinator waits here until the gate is open.
#[derive(Debug, Default)]
struct Gate {
    open: (Mutex<bool>, Condvar),
}

impl Gate {
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

impl Watch for Gate {
    fn before(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let is_log = path.extension().is_some_and(|kind| kind == "log");
        if operation == Operation::Read && is_log && path.to_string_lossy().contains("__consumer_offsets") {
            self.wait();
        }
        Ok(())
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
        let gate = Arc::new(Gate::default());
        let disk: Arc<dyn Disk> = Arc::new(WatchedDisk::new(RealDisk, Arc::clone(&gate)));
        let parts = Parts { disk: Some(disk), ..Parts::default() };
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
        gate.open_gate();
        operator.until_coordinated().await;
        assert_eq!(operator.fetch(9, "g", None).await, "t-0=5");
        assert_eq!(operator.list(5, &[], &[]).await, "g:-:Empty:classic");
        a.group = "g".to_owned();
        assert_eq!(a.beat().await, "UNKNOWN_MEMBER_ID");
        node.stop().await;
    });
}
