//! Random crashes, duplicates, failures and lost logs: every effect happens once, in the order of its key.

use std::sync::atomic::Ordering;
use std::time::Duration;

use platform_core::backbone::{Kind, Order};
use platform_core::kernel::{Context, PageRequest};
use platform_core::ports::log::MemoryLog;
use proptest::prelude::*;

use crate::world::{Land, Listener, ear, voice};

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Debug, Clone)]
struct Life {
    /// Steps of tasks until the crash.
    steps: u64,
    /// What is said meanwhile.
    says: Vec<usize>,
    /// Percent of calls to ports that fail.
    weather: u32,
    /// Whether the log is lost afterwards.
    loses_log: bool,
}

fn life() -> impl Strategy<Value = Life> {
    (
        1..4_000u64,
        proptest::collection::vec(0..KEYS.len(), 0..30),
        prop_oneof![Just(0), Just(3), Just(20)],
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(steps, says, weather, loses_log)| Life { steps, says, weather, loses_log })
}

/// One life: it talks, perhaps with long breaks, and crashes wherever it stands.
fn live(land: &mut Land, life: &Life) {
    land.weather.percent.store(life.weather, Ordering::Relaxed);
    land.sim.run_steps(life.steps, async {
        let Ok(platform) = land.open().await else { return };
        for key in &life.says {
            // An error may hide a success: the speaker's own count is the truth.
            let _ = voice(&platform).say(KEYS[*key]).await;
        }
        land.sim.runtime().sleep(Duration::from_secs(30)).await;
    });
    land.sim.crash();
    if life.loses_log {
        land.memory.log = MemoryLog::new(land.sim.runtime());
    }
}

/// The end: good weather, all ears open, everything that waits is driven on.
fn check(land: &Land) -> Result<(), TestCaseError> {
    land.weather.percent.store(0, Ordering::Relaxed);
    land.listener.heal();
    let heard = land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        platform.settled().await.unwrap();
        let ctx = Context::service("test");
        let all = PageRequest { limit: Some(500), cursor: None };
        for letter in platform.dead_letters().list(&ctx, &all).await.unwrap().items {
            // Another letter of the key may have driven it on already.
            let _ = platform.dead_letters().redrive(&ctx, letter.id).await;
        }
        let mut heard = Vec::new();
        for key in KEYS {
            let said = voice(&platform).count(key).await.unwrap();
            heard.push((said, ear(&platform).heard(key).await.unwrap()));
        }
        platform.stop().await;
        heard
    });
    for (said, heard) in heard {
        prop_assert_eq!(heard, (0..said).collect::<Vec<_>>());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_effect_happens_once_and_in_order(
        seed in any::<u64>(),
        lives in proptest::collection::vec(life(), 1..6),
        failures in proptest::collection::vec((0..KEYS.len(), 0..8u64, prop_oneof![Just(1), Just(3), Just(1000)]), 0..6),
        one in any::<bool>(),
        projection in any::<bool>(),
        batch in prop_oneof![Just(1usize), Just(7)],
        partitions in 1..4u16,
    ) {
        let listener = Listener {
            order: if one { Order::One } else { Order::PerKey },
            kind: if projection { Kind::Projection } else { Kind::Reactor },
            batch,
            ..Listener::new()
        };
        for (key, number, times) in failures {
            listener.fail(KEYS[key], number, times);
        }
        let mut land = Land { partitions, ..Land::new(seed, listener) };
        for each in &lives {
            live(&mut land, each);
        }
        check(&land)?;
    }
}
