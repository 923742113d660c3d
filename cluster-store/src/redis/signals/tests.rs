//! Nodes on a real Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use platform_core::ports::signals::{Signal, Signals};
use redis::cmd;
use test_support::servers::{Proxy, Redis, Rule};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{sleep, timeout};

use super::hearing::SILENCE;
use super::{FOR_A_RECEIVER, RedisSignals};
use crate::redis::RedisConfig;
use crate::redis::testing::{behind, eventually, machine, shared, with_new_prefix};

/// Not before something is over, and on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(3);

fn node(config: &RedisConfig) -> Arc<RedisSignals> {
    Arc::new(RedisSignals::connect(config, machine()).unwrap())
}

async fn connected(nodes: &[Arc<RedisSignals>]) -> Duration {
    eventually("all are connected", || nodes.iter().all(|node| node.connected())).await
}

/// So many nodes that hear each other.
async fn nodes<const N: usize>(config: &RedisConfig) -> [Arc<RedisSignals>; N] {
    let nodes = std::array::from_fn(|_| node(config));
    connected(&nodes).await;
    // The last one to begin lags at once; it is over now.
    sleep(SILENCE).await;
    nodes
}

/// The next signal; a lag is a miss.
async fn next(receiver: &mut Receiver<Signal>) -> Result<Signal, RecvError> {
    timeout(SOON, receiver.recv()).await.expect("nothing is heard")
}

/// Whether it lags before so long.
async fn lags_within(receiver: &mut Receiver<Signal>, time: Duration) -> bool {
    let lag = async { while !matches!(receiver.recv().await, Err(RecvError::Lagged(_))) {} };
    timeout(time, lag).await.is_ok()
}

/// Passes over what is there.
fn drain(receiver: &mut Receiver<Signal>) {
    while !matches!(receiver.try_recv(), Err(TryRecvError::Empty)) {}
}

#[tokio::test]
async fn a_signal_reaches_every_node_and_its_own_at_once() {
    let nodes = nodes::<3>(&shared()).await;
    let mut receivers = nodes.clone().map(|node| node.receiver());
    nodes[1].send(Signal::new("flags", "a"));
    assert_eq!(receivers[1].try_recv().unwrap(), Signal::new("flags", "a"));
    for heard in [0, 2] {
        assert_eq!(next(&mut receivers[heard]).await.unwrap(), Signal::new("flags", "a"));
    }
    assert!(receivers[1].try_recv().is_err(), "its own comes once");
}

#[tokio::test]
async fn signals_keep_their_order() {
    let [here, there] = nodes::<2>(&shared()).await;
    let mut receiver = there.receiver();
    for number in 0..200 {
        here.send(Signal::new("users.user", &number.to_string()));
    }
    for number in 0..200 {
        assert_eq!(*next(&mut receiver).await.unwrap().subject, *number.to_string());
    }
}

#[tokio::test]
async fn platforms_with_other_prefixes_hear_nothing() {
    let [here] = nodes::<1>(&shared()).await;
    let [there] = nodes::<1>(&shared()).await;
    let mut receiver = there.receiver();
    here.send(Signal::new("flags", ""));
    sleep(Duration::from_millis(100)).await;
    assert!(receiver.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_comes_soon() {
    let [here, there] = nodes::<2>(&shared()).await;
    let mut receiver = there.receiver();
    let mut times = Vec::new();
    for number in 0..500_u32 {
        let begun = Instant::now();
        here.send(Signal::new("users.user", &number.to_string()));
        let heard = loop {
            // On a busy machine a heartbeat may be late: then it lags, and that is no measure.
            if let Ok(signal) = next(&mut receiver).await {
                break signal;
            }
        };
        if *heard.subject == *number.to_string() {
            times.push(begun.elapsed());
        }
        sleep(Duration::from_millis(5)).await;
    }
    times.sort_unstable();
    let (half, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    eprintln!("from node to node: p50 {half:?}, p99 {most:?}, {} signals", times.len());
    assert!(most < Duration::from_millis(50), "p99 is {most:?}");
}

#[tokio::test]
async fn who_ends_with_a_word_is_not_missed() {
    let [here, there] = nodes::<2>(&shared()).await;
    let mut receiver = there.receiver();
    here.send(Signal::new("flags", "last words"));
    here.stop().await;
    assert_eq!(*next(&mut receiver).await.unwrap().subject, *"last words");
    for _ in 0..40 {
        sleep(Duration::from_millis(10)).await;
        assert!(there.connected());
    }
    assert!(receiver.try_recv().is_err(), "nothing was missed");
}

#[tokio::test]
async fn dropping_a_node_ends_it_with_a_word() {
    let [here, there] = nodes::<2>(&shared()).await;
    let mut receiver = there.receiver();
    drop(here);
    sleep(SILENCE * 2).await;
    assert!(there.connected());
    assert!(receiver.try_recv().is_err(), "nothing was missed");
}

/// Two nodes, the first behind a proxy.
async fn one_behind_a_proxy() -> (Proxy, [Arc<RedisSignals>; 2]) {
    let config = shared();
    let proxy = Proxy::to(Redis::shared().unwrap().port()).unwrap();
    let nodes = [node(&behind(&proxy, &config.prefix)), node(&config)];
    connected(&nodes).await;
    sleep(SILENCE).await;
    (proxy, nodes)
}

#[tokio::test]
async fn a_node_that_is_cut_off_is_noticed_on_both_sides_and_comes_back() {
    let (proxy, nodes) = one_behind_a_proxy().await;
    let mut receivers = nodes.clone().map(|node| node.receiver());
    proxy.set(Rule::Silence);
    let begun = Instant::now();
    nodes[0].send(Signal::new("auth.session", "unheard"));
    let [first, second] = &mut receivers;
    let lags = tokio::join!(lags_within(first, SILENCE), lags_within(second, SILENCE));
    assert_eq!(lags, (true, true), "who may have missed something is told");
    eventually("none is connected", || nodes.iter().all(|node| !node.connected())).await;
    // A heartbeat may have been on its way, and the test itself takes its turns.
    assert!(begun.elapsed() < SILENCE + Duration::from_millis(40), "{:?}", begun.elapsed());
    assert!(lags_within(&mut receivers[1], SILENCE).await, "as long as it lasts");
    drain(&mut receivers[1]);
    proxy.set(Rule::Pass);
    match next(&mut receivers[1]).await {
        Ok(late) => assert_eq!(*late.subject, *"unheard"),
        Err(lost) => assert!(matches!(lost, RecvError::Lagged(_))),
    }
    connected(&nodes).await;
    sleep(SILENCE).await;
    drain(&mut receivers[1]);
    nodes[0].send(Signal::new("auth.session", "heard"));
    assert_eq!(*next(&mut receivers[1]).await.unwrap().subject, *"heard");
}

#[tokio::test]
async fn a_way_that_is_too_slow_is_none() {
    let (proxy, nodes) = one_behind_a_proxy().await;
    // Each way. Heartbeats come evenly, and late.
    proxy.set(Rule::Delay(Duration::from_millis(150)));
    eventually("it is not connected", || !nodes[0].connected()).await;
    for _ in 0..50 {
        sleep(Duration::from_millis(10)).await;
        assert!(!nodes[0].connected());
    }
    proxy.set(Rule::Pass);
    connected(&nodes).await;
}

#[tokio::test]
async fn redis_ends_and_begins_empty() {
    let mut redis = Redis::start(&[]).unwrap();
    let nodes = nodes::<3>(&with_new_prefix(&redis)).await;
    let mut receivers = nodes.clone().map(|node| node.receiver());
    redis.stop().unwrap();
    let begun = Instant::now();
    eventually("none is connected", || nodes.iter().all(|node| !node.connected())).await;
    assert!(begun.elapsed() < SILENCE, "{:?}", begun.elapsed());
    nodes[0].send(Signal::new("flags", "meanwhile"));
    assert_eq!(*receivers[0].try_recv().unwrap().subject, *"meanwhile", "its own hears it all the same");
    for receiver in &mut receivers {
        assert!(lags_within(receiver, SILENCE).await, "who may have missed something is told");
    }
    redis.restart().unwrap();
    let back = connected(&nodes).await;
    eprintln!("connected again after {back:?}");
    assert!(back < Duration::from_millis(1_500), "{back:?}");
    assert!(receivers.iter_mut().all(|receiver| matches!(receiver.try_recv(), Err(TryRecvError::Lagged(_)))));
    sleep(SILENCE).await;
    drain(&mut receivers[2]);
    nodes[0].send(Signal::new("flags", "again"));
    assert_eq!(*next(&mut receivers[2]).await.unwrap().subject, *"again");
}

#[tokio::test]
async fn a_node_starts_without_redis() {
    let mut redis = Redis::start(&[]).unwrap();
    let config = with_new_prefix(&redis);
    redis.stop().unwrap();
    let nodes = [node(&config), node(&config)];
    sleep(Duration::from_millis(300)).await;
    assert!(nodes.iter().all(|node| !node.connected()));
    redis.restart().unwrap();
    connected(&nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_heard_or_missed_and_never_waited_for() {
    let [here, there] = nodes::<2>(&shared()).await;
    let mut receiver = there.receiver();
    let begun = Instant::now();
    for number in 0..200_000_u32 {
        here.send(Signal::new("users.user", &number.to_string()));
    }
    eprintln!("200,000 sends took {:?}", begun.elapsed());
    assert!(lags_within(&mut receiver, SOON).await, "nobody hears so much");
    // Then it goes on as before.
    eventually("it is connected", || there.connected()).await;
    sleep(SILENCE).await;
    drain(&mut receiver);
    here.send(Signal::new("flags", "after"));
    assert_eq!(*next(&mut receiver).await.unwrap().subject, *"after");
}

#[tokio::test]
async fn what_is_not_understood_is_a_miss() {
    let config = shared();
    let [here] = nodes::<1>(&config).await;
    let mut receiver = here.receiver();
    let mut connection = config.client().unwrap().connect().await.unwrap();
    let channel = format!("{}signals", config.prefix);
    let _: u32 = cmd("PUBLISH").arg(channel).arg("what?").query_async(&mut connection).await.unwrap();
    assert!(lags_within(&mut receiver, SOON).await);
}

#[tokio::test]
async fn a_connection_that_is_closed_is_made_anew() {
    let redis = Redis::start(&[]).unwrap();
    let config = with_new_prefix(&redis);
    let nodes = nodes::<2>(&config).await;
    let mut receiver = nodes[0].receiver();
    let mut connection = config.client().unwrap().connect().await.unwrap();
    let closed: u32 =
        cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]).query_async(&mut connection).await.unwrap();
    assert_eq!(closed, 2);
    assert!(lags_within(&mut receiver, SOON).await);
    connected(&nodes).await;
}

#[tokio::test]
async fn a_receiver_holds_what_it_says() {
    let [here] = nodes::<1>(&shared()).await;
    let mut receiver = here.receiver();
    (0..FOR_A_RECEIVER).for_each(|number| here.send(Signal::new("topic", &number.to_string())));
    assert_eq!(*receiver.try_recv().unwrap().subject, *"0");
}

#[tokio::test]
async fn a_wrong_password_is_not_connected_and_not_shown() {
    let redis = Redis::start(&[("requirepass", "right")]).unwrap();
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", redis.port());
    let wrong = RedisConfig::new(&url("hunter2")).unwrap();
    let error = wrong.client().unwrap().connect().await.map(drop).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    let stranger = node(&wrong);
    let [_known] = nodes::<1>(&RedisConfig::new(&url("right")).unwrap()).await;
    assert!(!stranger.connected());
}
