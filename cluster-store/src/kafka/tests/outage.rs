//! Brokers that go away and come back.

use super::*;

/// Shorter than the broker is away.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Appends one number after the other, each until it is acknowledged, as a relay does; tells how long the slowest took.
async fn relay(log: &KafkaLog, numbers: std::ops::Range<u64>) -> (Duration, u32) {
    let (mut slowest, mut failed) = (Duration::ZERO, 0);
    for number in numbers {
        loop {
            let begun = Instant::now();
            let appended = log.append(TOPIC, records("b", number * 10..number * 10 + 10)).await;
            slowest = slowest.max(begun.elapsed());
            match appended {
                Ok(_) => break,
                Err(error) => assert_eq!(error.code(), "log.unavailable"),
            }
            failed += 1;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (slowest, failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_when_the_broker_is_killed() {
    let mut kafka = Kafka::start().unwrap();
    let config = KafkaConfig { timeout: TIMEOUT, ..KafkaConfig::new([kafka.address()], "one") };
    let log = KafkaLog::connect(&config, SimRuntime::new(1).runtime()).await.unwrap();
    log.declare(&topic()).await.unwrap();
    let other = KafkaConfig { node: "two".to_owned(), ..config.clone() };
    let other = KafkaLog::connect(&other, SimRuntime::new(1).runtime()).await.unwrap();
    let relayed = {
        let log = log.clone();
        tokio::spawn(async move { relay(&log, 0..400).await })
    };
    tokio::time::sleep(Duration::from_millis(700)).await;
    let kafka = tokio::task::spawn_blocking(move || {
        kafka.stop().unwrap();
        std::thread::sleep(2 * TIMEOUT);
        let begun = Instant::now();
        kafka.restart().unwrap();
        eprintln!("Kafka started again in {:?}", begun.elapsed());
        kafka
    });
    let _kafka = kafka.await.unwrap();
    let begun = Instant::now();
    let (slowest, failed) = relayed.await.unwrap();
    eprintln!(
        "appends failed {failed} times, the slowest took {slowest:?}; done {:?} later",
        begun.elapsed()
    );
    assert!(failed > 0 && slowest < 2 * TIMEOUT, "{failed} {slowest:?}");
    nothing_is_missing(&[&log, &other], 4_000).await;
}

/// All nodes come to see all numbers, and none stands before those that were to come before it: what was appended again
/// stands behind what it repeats.
async fn nothing_is_missing(nodes: &[&KafkaLog], count: u64) {
    for node in nodes {
        let (_, end) = node.bounds(TOPIC).await.unwrap()[1];
        let mut ends = node.ends(TOPIC).unwrap();
        let come = tokio::time::timeout(Duration::from_secs(10), ends[1].wait_for(|came| *came >= end)).await;
        come.expect("the node follows again").unwrap();
        let mut next = 0;
        for record in node.read(TOPIC, 1, 0, 100_000).await.unwrap() {
            let number = number(&record.value);
            assert!(number <= next, "{number} stands where {next} was to come");
            next = next.max(number + 1);
        }
        assert_eq!(next, count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hanging_broker_had_on_its_way_leaves_no_gap() {
    let kafka = Kafka::start().unwrap();
    let config = KafkaConfig { timeout: TIMEOUT, ..KafkaConfig::new([kafka.address()], "one") };
    let log = KafkaLog::connect(&config, SimRuntime::new(1).runtime()).await.unwrap();
    log.declare(&topic()).await.unwrap();
    let relayed = {
        let log = log.clone();
        tokio::spawn(async move { relay(&log, 0..600).await })
    };
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        kafka.freeze().unwrap();
        tokio::time::sleep(TIMEOUT + TIMEOUT / 2).await;
        kafka.thaw().unwrap();
    }
    let (slowest, failed) = relayed.await.unwrap();
    eprintln!("appends failed {failed} times, the slowest took {slowest:?}");
    assert!(failed > 0 && slowest < 2 * TIMEOUT, "{failed} {slowest:?}");
    nothing_is_missing(&[&log], 6_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_everything_answers_in_time() {
    let mut kafka = Kafka::start().unwrap();
    let config = KafkaConfig { timeout: TIMEOUT, ..KafkaConfig::new([kafka.address()], "one") };
    let log = KafkaLog::connect(&config, SimRuntime::new(1).runtime()).await.unwrap();
    log.declare(&topic()).await.unwrap();
    log.append(TOPIC, records("b", 0..5)).await.unwrap();
    let mut group = log.subscribe("mail", TOPIC).await.unwrap();
    assert_eq!(group.next(10).await.unwrap().len(), 5);
    kafka.stop().unwrap();
    let topic = Topic { max_bytes: Some(1), ..topic() };
    let other = Topic::new("other", 1);
    let begun = Instant::now();
    let limit = Duration::from_secs(5);
    let errors = tokio::join!(
        tokio::time::timeout(limit, async { log.append(TOPIC, records("b", 5..6)).await.unwrap_err() }),
        tokio::time::timeout(limit, async { log.bounds(TOPIC).await.unwrap_err() }),
        tokio::time::timeout(limit, async { log.declare(&topic).await.unwrap_err() }),
        tokio::time::timeout(2 * limit, async { log.declare(&other).await.unwrap_err() }),
        tokio::time::timeout(limit, async { group.commit(1, 5).await.unwrap_err() }),
    );
    for error in [errors.0, errors.1, errors.2, errors.3, errors.4] {
        assert_eq!(error.unwrap().code(), "log.unavailable");
    }
    eprintln!("all were told after {:?}", begun.elapsed());
    assert_eq!(log.read(TOPIC, 1, 0, 10).await.unwrap().len(), 5, "what is in memory is still read");
}
