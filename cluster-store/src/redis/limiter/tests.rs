//! Nodes that share limits on a real Redis.

use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use platform_core::ports::limiter::{Limiter, Quota, Taken, Verdict};
use proptest::prelude::*;
use redis::cmd;
use test_support::servers::{Proxy, Redis, Rule};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::{Gcra, RedisLimiter};
use crate::redis::RedisConfig;
use crate::redis::testing::{behind, eventually, shared, with_new_prefix};

const SECOND: Duration = Duration::from_secs(1);
/// Fifty a second, five at once: one every 20 ms.
const QUOTA: Quota = Quota { rate: 50, per: SECOND, burst: 5 };

/// Nodes that bring their own time. On a busy machine Redis is waited for, so that it decides everything.
async fn nodes<const N: usize>(config: &RedisConfig, script: impl Fn() -> Gcra) -> [RedisLimiter; N] {
    let mut config = config.clone();
    config.answer_within = Duration::from_secs(10);
    let nodes = std::array::from_fn(|_| RedisLimiter::with(&config, script()).unwrap());
    eventually("all are connected", || nodes.iter().all(RedisLimiter::is_connected)).await;
    nodes
}

/// Asks for one.
async fn take(node: &RedisLimiter, quota: Quota, now: Duration) -> Verdict {
    node.take("key", 1, quota, now).verdict().await
}

/// How many of so many requests, one after the other, are allowed.
async fn allowed(node: &RedisLimiter, quota: Quota, requests: usize, now: Duration) -> usize {
    let mut allowed = 0;
    for _ in 0..requests {
        allowed += usize::from(take(node, quota, now).await.allowed);
    }
    allowed
}

#[tokio::test]
async fn nodes_share_a_quota_by_the_time_of_redis() {
    let [here, there] = nodes::<2>(&shared(), Gcra::new).await;
    let slow = Quota { rate: 1, per: SECOND, burst: 5 };
    // The clocks of the nodes have nothing to do with each other.
    let (near, far) = (Duration::from_secs(3), Duration::from_secs(5_000));
    assert_eq!(allowed(&here, slow, 3, near).await, 3);
    let mut told = Vec::new();
    for _ in 0..9 {
        told.push(take(&there, slow, far).await);
    }
    assert_eq!(told.iter().filter(|verdict| verdict.allowed).count(), 2, "{told:?}");
    let refused = take(&there, slow, far).await;
    assert!(!refused.allowed && refused.retry_after <= SECOND, "{refused:?}");
    sleep(refused.retry_after + Duration::from_millis(10)).await;
    assert!(take(&there, slow, far + refused.retry_after + Duration::from_millis(10)).await.allowed);
}

#[tokio::test]
async fn a_clock_of_redis_that_was_put_back_refuses_nobody_for_long() {
    let config = shared();
    let [before] = nodes::<1>(&config, Gcra::by_callers_time).await;
    let day = Duration::from_secs(86_400);
    assert_eq!(allowed(&before, QUOTA, 9, day * 2).await, 5);
    let [after] = nodes::<1>(&config, Gcra::by_callers_time).await;
    let refused = take(&after, QUOTA, day).await;
    assert!(!refused.allowed, "nothing is given away");
    assert!(refused.retry_after <= Duration::from_millis(100), "{refused:?}");
    assert!(take(&after, QUOTA, day + refused.retry_after).await.allowed);
}

/// What was allowed when, at what cost.
type Allowed = Vec<(u64, u64)>;

/// Within any time it is at most a burst and what comes back.
fn assert_within(quota: Quota, allowed: &Allowed) {
    for (number, (begin, _)) in allowed.iter().enumerate() {
        let mut taken = 0;
        for (end, cost) in &allowed[number..] {
            taken += cost;
            let time = u128::from(end - begin) * 1_000_000;
            let most = u128::from(quota.burst) + time / quota.interval();
            assert!(u128::from(taken) <= most, "{taken} from {begin} ms to {end} ms, and {most} may be");
        }
    }
}

static THREADS: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nodes_together_never_allow_more_than_the_quota(
        burst in 1_u32..60,
        steps in proptest::collection::vec((0_u64..40, proptest::collection::vec((0_usize..3, 0_u32..4), 1..12)), 1..40),
    ) {
        THREADS.block_on(async {
            let quota = Quota { burst, ..QUOTA };
            let nodes = nodes::<3>(&shared(), Gcra::by_callers_time).await;
            let (mut now, mut allowed) = (0, Allowed::new());
            for (gap, requests) in steps {
                now += gap;
                // Those of one moment are under way together.
                let asked = requests.iter().map(|(node, cost)| async {
                    let at = Duration::from_millis(now);
                    (nodes[*node].take("key", *cost, quota, at).verdict().await.allowed, *cost)
                });
                let told = join_all(asked).await;
                allowed.extend(told.into_iter().filter(|(is, _)| *is).map(|(_, cost)| (now, u64::from(cost))));
            }
            assert!(nodes.iter().all(|node| node.decided_alone() == 0));
            assert_within(quota, &allowed);
        });
    }
}

/// Two nodes that are asked evenly for ten seconds: how many requests there were, how many were allowed, and how many
/// trips they took.
async fn hot(quota: Quota, requests_a_second: u32) -> (u64, u64, u64) {
    let redis = Redis::start(&[]).unwrap();
    let nodes = nodes::<2>(&with_new_prefix(&redis), Gcra::by_callers_time).await;
    let (mut asked, mut allowed) = (0, 0);
    let requests = requests_a_second * 10;
    for number in 0..requests {
        let now = SECOND * number / requests_a_second;
        let node = &nodes[number as usize % 2];
        asked += 1;
        allowed += u64::from(take(node, quota, now).await.allowed);
    }
    let mut connection = with_new_prefix(&redis).client().unwrap().connect().await.unwrap();
    let stats: String = cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
    let trips = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap();
    let trips = trips.split(',').next().unwrap().parse().unwrap();
    eprintln!("{quota:?} at {requests_a_second}/s: {asked} asked, {allowed} allowed, {trips} trips");
    (asked, allowed, trips)
}

#[tokio::test]
async fn a_hot_key_costs_at_most_one_trip_in_ten_requests() {
    for (rate, burst, requests) in [(20_000, 40_000, 400), (20_000, 40_000, 5_000), (1_000, 1_000, 500)] {
        let (asked, allowed, trips) = hot(Quota { rate, per: SECOND, burst }, requests).await;
        assert_eq!(asked, allowed);
        assert!(trips * 10 <= asked, "{trips} trips for {asked} requests");
    }
}

#[tokio::test]
async fn a_key_that_is_used_up_costs_no_more_and_is_used_whole() {
    for (rate, burst, requests) in [(500, 500, 1_000), (500, 100, 5_000), (50, 20, 1_000)] {
        let (asked, allowed, trips) = hot(Quota { rate, per: SECOND, burst }, requests).await;
        assert!(trips * 10 <= asked, "{trips} trips for {asked} requests");
        let most = u64::from(burst + rate * 10);
        assert!((most * 9 / 10..=most).contains(&allowed), "{allowed} of {most}");
    }
}

#[test]
fn what_is_leased_is_decided_at_once_and_without_memory() {
    let quota = Quota { burst: 1_000, ..QUOTA };
    let limiter = THREADS.block_on(async {
        let [limiter] = nodes::<1>(&shared(), Gcra::by_callers_time).await;
        allowed(&limiter, quota, 100, SECOND).await;
        // The next trip brings a lease of more than twenty.
        loop {
            match limiter.take("key", 1, quota, SECOND) {
                Taken::Now(verdict) => assert!(verdict.allowed),
                Taken::Soon(verdict) => break assert!(verdict.await.allowed),
            }
        }
        limiter
    });
    let begun = Instant::now();
    let used = allocation_counter::measure(|| {
        assert!((0..20).all(|_| matches!(limiter.take("key", 1, quota, SECOND), Taken::Now(_))));
    });
    eprintln!("20 leased requests took {:?}", begun.elapsed());
    assert_eq!(used.count_total, 0);
}

/// Asks until the limiter refuses, for a second at most; how many were allowed.
async fn until_refused(node: &RedisLimiter, quota: Quota, begun: Instant) -> usize {
    let mut allowed = 0;
    while allowed < 1_000 && take(node, quota, begun.elapsed()).await.allowed {
        allowed += 1;
    }
    allowed
}

#[tokio::test]
async fn while_redis_is_away_each_node_limits_alone() {
    let mut redis = Redis::start(&[]).unwrap();
    let config = with_new_prefix(&redis);
    let nodes = [0; 2].map(|_| RedisLimiter::connect(&config).unwrap());
    let all_connected = || nodes.iter().all(RedisLimiter::is_connected);
    eventually("all are connected", all_connected).await;
    // Slow enough that nothing comes back during the test.
    let (quota, begun) = (Quota { rate: 1, per: SECOND * 60, burst: 4 }, Instant::now());
    assert_eq!(until_refused(&nodes[0], quota, begun).await, 4);
    assert_eq!(until_refused(&nodes[1], quota, begun).await, 0, "they share it");
    redis.stop().unwrap();
    let fresh = |node: &RedisLimiter| node.take("fresh", 1, quota, begun.elapsed()).verdict();
    for node in &nodes {
        let mut told = Vec::new();
        for _ in 0..6 {
            let asked = Instant::now();
            told.push(fresh(node).await.allowed);
            assert!(
                asked.elapsed() < Duration::from_millis(300),
                "nobody waits for it: {:?}",
                asked.elapsed()
            );
        }
        assert_eq!(told, [true, true, true, true, false, false], "a quota of its own");
        assert_eq!(node.decided_alone(), 6);
    }
    redis.restart().unwrap();
    let back = eventually("all are connected again", all_connected).await;
    eprintln!("shared again after {back:?}");
    let mut together = 0;
    for node in nodes.iter().cycle().take(12) {
        together += usize::from(fresh(node).await.allowed);
    }
    assert_eq!(together, 4, "Redis has forgotten it: one quota, and for both");
    assert_eq!(nodes[0].decided_alone(), 6, "it does not decide alone any more");
}

#[tokio::test]
async fn a_redis_that_does_not_answer_is_away() {
    let proxy = Proxy::to(Redis::shared().unwrap().port()).unwrap();
    let node = RedisLimiter::connect(&behind(&proxy, &shared().prefix)).unwrap();
    eventually("it is connected", || node.is_connected()).await;
    proxy.set(Rule::Silence);
    let begun = Instant::now();
    let waits = (0..20).map(|_| node.take("key", 1, QUOTA, SECOND).verdict());
    let told = join_all(waits).await;
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
    assert_eq!(told.iter().filter(|verdict| verdict.allowed).count(), 5);
    let again = Instant::now();
    assert!(!node.take("key", 1, QUOTA, SECOND).verdict().await.allowed);
    assert!(again.elapsed() < Duration::from_millis(20), "nobody waits for it again");
    proxy.set(Rule::Pass);
    eventually("it is connected again", || node.is_connected()).await;
}

#[tokio::test]
async fn who_gives_up_holds_nobody_up() {
    let [node] = nodes::<1>(&shared(), Gcra::by_callers_time).await;
    for _ in 0..50 {
        drop(node.take("key", 1, QUOTA, SECOND));
    }
    let begun = Instant::now();
    take(&node, QUOTA, SECOND * 10).await;
    assert!(begun.elapsed() < SECOND);
}

/// A future of the suite's kind may be waited for from anywhere.
#[test]
fn a_verdict_may_be_sent_to_another_thread() {
    fn is_send(_: &(impl Future + Send)) {}
    let limiter: Arc<dyn Limiter> = Arc::new(platform_core::ports::limiter::LocalLimiter::default());
    is_send(&limiter.take("key", 1, QUOTA, SECOND).verdict());
}
