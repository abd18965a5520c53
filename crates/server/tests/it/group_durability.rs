//! What a coordinator answered is in its log already: a copy of the directory, taken right after the answer, holds it.
//!
//! Owns: copies of a node's directory as a killed process would leave it.
//! Does not own: what a cut of the power leaves (`storage`).

use std::path::Path;

use crate::member::{Member, leave, pair};
use crate::node::{Home, run, start};
use crate::operator::{Committer, NOBODY, Operator};

/// The files under `from`, as they are now.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

fn copied(home: &Home) -> Home {
    let copied = Home::new();
    copy(home.path(), copied.path());
    copied
}

/// GRP-04: a group that came into being, an assignment, a commit, a departure, a deletion.
#[test]
fn what_was_answered_survives_the_process() {
    run(async {
        let home = Home::new();
        let node = start(&home, "").await.unwrap();
        let mut operator = Operator::with_topics(&node, &[("t", 2)]).await;
        let mut born = Member::new(&node, 9, "g").await;
        born.get_id().await;
        let mut copies = vec![(copied(&home), ("Empty", 0, "nothing"))];
        assert_eq!(born.leave().await, "NONE NONE");
        let (a, b) = pair(Member::new(&node, 3, "g").await, Member::new(&node, 3, "g").await).await;
        copies.push((copied(&home), ("Stable", 2, "nothing")));
        let who = Committer { generation: 2, member: &a.id, ..Default::default() };
        assert_eq!(operator.commit((9, "g"), who, "t-0=5").await, "t-0 NONE");
        copies.push((copied(&home), ("Stable", 2, "t-0=5")));
        let both = [(a.id.clone(), None), (b.id.clone(), None)];
        assert_eq!(leave(&mut operator.client, 5, "g", &both).await, "NONE NONE NONE");
        copies.push((copied(&home), ("Empty", 0, "t-0=5")));
        assert_eq!(operator.commit((9, "g"), NOBODY, "t-1=6").await, "t-1 NONE");
        assert_eq!(operator.drop_offsets("g", "t-0").await, "t-0 NONE");
        copies.push((copied(&home), ("Empty", 0, "t-1=6")));
        assert_eq!(operator.drop_groups(2, &["g"]).await, "g NONE");
        copies.push((copied(&home), ("Dead", 0, "nothing")));
        node.stop().await;
        for (home, (state, members, offsets)) in copies {
            let node = start(&home, "").await.unwrap();
            let mut operator = Operator::connect(&node).await;
            operator.until_coordinated().await;
            assert_eq!(operator.look("g").await, (state.to_owned(), members), "{offsets}");
            assert_eq!(operator.fetch(9, "g", None).await, offsets, "{state} {members}");
            node.stop().await;
        }
    });
}
