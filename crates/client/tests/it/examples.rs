//! The examples do what they say.

use crate::broker::{against_broker, unique};

#[path = "../../examples/admin.rs"]
#[allow(dead_code, reason = "`main` is for those who run the example by itself")]
mod admin;
#[path = "../../examples/consume.rs"]
#[allow(dead_code, reason = "`main` is for those who run the example by itself")]
mod consume;
#[path = "../../examples/produce.rs"]
#[allow(dead_code, reason = "`main` is for those who run the example by itself")]
mod produce;

#[test]
fn what_one_example_produces_another_consumes_and_a_third_describes() {
    against_broker(async |broker| {
        let (topic, group) = (unique("example"), unique("greeters"));
        admin::run(&broker.bootstrap, &topic).await.unwrap();
        broker.wait_for_topic(&topic).await;
        produce::run(&broker.bootstrap, &topic).await.unwrap();
        // 1000 with a delivery, one with a callback, one that was waited for.
        let read = consume::run((&broker.bootstrap, &topic, &group), 1002).await.unwrap();
        assert_eq!(read, 1002);
        let admin = broker.admin();
        let committed = admin.list_group_offsets(&group, None, false).await.unwrap();
        let sum: i64 = committed.values().map(|one| one.as_ref().unwrap().offset.value()).sum();
        assert_eq!(sum, 1002);
        admin::run(&broker.bootstrap, &topic).await.unwrap();
    });
}
