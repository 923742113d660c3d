//! Several nodes, and others who read.

use std::collections::BTreeSet;

use platform_core::kernel::{Actor, Event, EventId, EventPosition, NewEvent, RawId, Timestamp};
use platform_core::ports::log::{Record, Subscription};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::*;

/// Keys of the two partitions.
const KEYS: [&str; 2] = ["a", "b"];

/// Longer than a session and two rounds of sharing out.
const HANDED_OVER: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_appends_comes_to_the_other_within_milliseconds() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    one.declare(&topic()).await.unwrap();
    two.declare(&topic()).await.unwrap();
    let mut end = two.ends(TOPIC).unwrap().pop().unwrap();
    let mut times = Vec::new();
    for number in 0..300 {
        let begun = Instant::now();
        let reader = async {
            end.wait_for(|end| *end > number).await.unwrap();
            let read = two.read(TOPIC, 1, number, 10).await.unwrap();
            (read[0].value.clone(), begun.elapsed())
        };
        let (read, appended) = tokio::join!(reader, one.append(TOPIC, records("b", number..number + 1)));
        assert_eq!((appended.unwrap(), &read.0[..]), (vec![number], number.to_string().as_bytes()));
        times.push(read.1);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    times.sort_unstable();
    let (middle, slow) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    eprintln!("from append on one node to the record on the other: p50 {middle:?}, p99 {slow:?}");
    assert!(middle < Duration::from_millis(60), "p50 {middle:?}, p99 {slow:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_finds_what_others_have_declared_and_appended() {
    let cluster = Cluster::new();
    let one = cluster.node("one").await;
    one.declare(&topic()).await.unwrap();
    one.append(TOPIC, records("b", 0..500)).await.unwrap();
    let two = cluster.node("two").await;
    assert_eq!(two.bounds(TOPIC).await.unwrap(), [(0, 0), (0, 500)]);
    // Some at a time, as a handler reads that is behind.
    let mut read = Vec::new();
    while read.len() < 500 {
        let records = two.read(TOPIC, 1, read.len() as u64, 64).await.unwrap();
        read.extend(records.iter().map(|record| number(&record.value)));
    }
    assert_eq!(read, (0..500).collect::<Vec<_>>());
    two.declare(&Topic::new(TOPIC, 3)).await.unwrap_err();
    let three = cluster.node("three").await;
    assert_eq!(three.declare(&Topic::new(TOPIC, 3)).await.unwrap_err().code(), "log.partitions_differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_declare_the_same_topic_at_once() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    let topic = topic();
    let (of_one, of_two) = tokio::join!(one.declare(&topic), two.declare(&topic));
    of_one.unwrap();
    of_two.unwrap();
    one.append(TOPIC, records("a", 0..1)).await.unwrap();
    two.append(TOPIC, records("a", 1..2)).await.unwrap();
    assert_eq!(one.bounds(TOPIC).await.unwrap(), [(0, 2), (0, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_by_one_node_holds_on_the_others() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    let topic = Topic { max_bytes: Some(20), ..topic() };
    one.declare(&topic).await.unwrap();
    two.declare(&topic).await.unwrap();
    let late = cluster.node("late").await;
    one.append(TOPIC, records("b", 0..20)).await.unwrap();
    two.retain().await.unwrap();
    let (first, end) = one.bounds(TOPIC).await.unwrap()[1];
    // Values of two digits and their key: three bytes each.
    assert_eq!((first, end), (14, 20));
    for node in [&one, &two, &late] {
        let read = node.read(TOPIC, 1, 0, 100).await.unwrap();
        // What another node has removed may still be in memory.
        assert!(read.iter().map(|record| record.offset).eq(read[0].offset..20), "{read:?}");
    }
    let new = cluster.node("new").await;
    assert_eq!(new.read(TOPIC, 1, 0, 100).await.unwrap()[0].offset, 14);
    assert_eq!(new.read(TOPIC, 1, 3, 2).await.unwrap().last().unwrap().offset, 15);
}

/// Commits, unless the partition has just gone to another node.
async fn commit(subscription: &mut dyn Subscription, record: &Record) {
    if let Err(error) = subscription.commit(record.partition, record.offset + 1).await {
        assert_eq!(error.code(), "log.unavailable");
    }
}

/// The values that a node gets from now on, each committed.
async fn gets(subscription: &mut dyn Subscription, upto: usize) -> BTreeSet<u64> {
    let mut got = BTreeSet::new();
    while got.len() < upto {
        for record in subscription.next(10).await.unwrap() {
            got.insert(number(&record.value));
            commit(subscription, &record).await;
        }
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_shared_out_among_nodes_and_handed_over() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    one.declare(&topic()).await.unwrap();
    two.declare(&topic()).await.unwrap();
    let mut of_one = one.subscribe("mail", TOPIC).await.unwrap();
    let mut of_two = two.subscribe("mail", TOPIC).await.unwrap();
    // Until each of them has one partition: a record for each, again and again.
    let shared_out = async {
        for round in 0.. {
            for key in KEYS {
                one.append(TOPIC, records(key, round..round + 1)).await.unwrap();
            }
            let wait = Duration::from_millis(300);
            let of_one = tokio::time::timeout(wait, gets(&mut *of_one, 1)).await;
            let of_two = tokio::time::timeout(wait, gets(&mut *of_two, 1)).await;
            if of_one.is_ok() && of_two.is_ok() {
                return round + 1;
            }
        }
        unreachable!()
    };
    let next = tokio::time::timeout(HANDED_OVER, shared_out).await.expect("each node has a partition");
    // One goes away: after its session the other one gets everything.
    drop(of_two);
    drop(two);
    let begun = Instant::now();
    for key in KEYS {
        one.append(TOPIC, records(key, next..next + 1)).await.unwrap();
    }
    let mut keys = BTreeSet::new();
    let taken_over = async {
        while keys.len() < 2 {
            for record in of_one.next(10).await.unwrap() {
                if number(&record.value) == next {
                    keys.insert(record.key.clone());
                }
                commit(&mut *of_one, &record).await;
            }
        }
    };
    tokio::time::timeout(HANDED_OVER, taken_over).await.expect("the other node takes over");
    eprintln!("taken over after {:?}, with a session of a second", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_beyond_the_partitions_join_and_wait() {
    let cluster = Cluster::new();
    let mut members = Vec::new();
    for name in ["one", "two", "three"] {
        let node = cluster.node(name).await;
        node.declare(&topic()).await.unwrap();
        members.push((node.subscribe("mail", TOPIC).await.unwrap(), node));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_of_the_same_name_takes_its_place() {
    let cluster = Cluster::new();
    let one = cluster.node("one").await;
    one.declare(&topic()).await.unwrap();
    let mut old = one.subscribe("mail", TOPIC).await.unwrap();
    let again = cluster.node("one").await;
    let _new = again.subscribe("mail", TOPIC).await.unwrap();
    let ended = tokio::time::timeout(HANDED_OVER, old.next(1)).await.expect("it is told");
    assert_eq!(ended.unwrap_err().code(), "log.closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_consumer_can_read_the_events_as_cloud_events() {
    let cluster = Cluster::new();
    let node = cluster.node("one").await;
    node.declare(&topic()).await.unwrap();
    let new = NewEvent {
        id: EventId(RawId([7; 16])),
        event_type: "shop.ordered".to_owned(),
        subject: "order_1".to_owned(),
        key: "order_1".to_owned(),
        time: Timestamp::from_secs(1_767_225_600),
        actor: Actor::System,
        correlation_id: "req_1".parse().unwrap(),
        causation_id: None,
        data: serde_json::json!({"total": 5}).into(),
    };
    let event =
        Event { store: "shop".into(), position: EventPosition { commit: 1, index: 0 }, new: Arc::new(new) };
    node.append(TOPIC, vec![NewRecord::new("order_1", event.to_json()), NewRecord::new("x", "plain")])
        .await
        .unwrap();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &cluster.0.brokers[0])
        .set("group.id", cluster.0.topic("somebody-else"))
        .create()
        .unwrap();
    let mut everything = TopicPartitionList::new();
    for partition in 0..2 {
        everything.add_partition_offset(&cluster.0.topic(TOPIC), partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&everything).unwrap();
    for _ in 0..2 {
        let message = consumer.poll(Duration::from_secs(10)).unwrap().unwrap();
        let content_type = message.headers().map(|headers| {
            assert_eq!((headers.count(), headers.get(0).key), (1, "content-type"));
            String::from_utf8(headers.get(0).value.unwrap().to_vec()).unwrap()
        });
        if message.key().unwrap() == b"x" {
            assert_eq!(content_type, None, "only an event is told to be one");
            continue;
        }
        assert_eq!(content_type.unwrap(), "application/cloudevents+json; charset=UTF-8");
        let read: serde_json::Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
        assert_eq!(read["specversion"], "1.0");
        assert_eq!((&read["type"], &read["source"]), (&"shop.ordered".into(), &"/platform/shop".into()));
        assert_eq!((&read["subject"], &read["data"]["total"]), (&"order_1".into(), &5.into()));
    }
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let good = KafkaConfig::new(["127.0.0.1:1"], "node");
    good.check().unwrap();
    let none: [&str; 0] = [];
    for bad in [
        KafkaConfig::new(none, "node"),
        KafkaConfig::new(["127.0.0.1"], "node"),
        KafkaConfig::new(["a:1,b:2"], "node"),
        KafkaConfig::new(["127.0.0.1:1"], "a node"),
        KafkaConfig { topic_prefix: String::new(), ..good.clone() },
        KafkaConfig { replication: 0, ..good.clone() },
        KafkaConfig { timeout: Duration::ZERO, ..good.clone() },
        KafkaConfig { session_timeout: Duration::from_secs(301), ..good.clone() },
    ] {
        assert_eq!(bad.check().unwrap_err().code(), "log.invalid_config", "{bad:?}");
    }
}

#[tokio::test]
async fn brokers_that_are_not_there_are_told_in_time() {
    let timeout = Duration::from_secs(1);
    let config = KafkaConfig { timeout, ..KafkaConfig::new(["127.0.0.1:1"], "node") };
    let begun = Instant::now();
    let error = KafkaLog::connect(&config, SimRuntime::new(1).runtime()).await.err().unwrap();
    assert_eq!(error.code(), "log.unavailable");
    assert!(begun.elapsed() < 3 * timeout, "{:?}", begun.elapsed());
}
