//! Waiting for what a command has caused, and for nothing else.

use std::sync::atomic::Ordering;
use std::time::Duration;

use platform_core::backbone::{Kind, Order};
use platform_core::kernel::Context;

use crate::world::{Land, Listener, ear, voice};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn what_was_said_was_heard_when_the_wait_is_over_whatever_fails() {
    for seed in 0..30 {
        let listener = Listener { order: [Order::PerKey, Order::One][seed as usize % 2], ..Listener::new() };
        let land = Land::new(seed, listener);
        land.sim.block_on(async {
            let platform = land.open().await.unwrap();
            land.weather.percent.store(2, Ordering::Relaxed);
            for turn in 0..20 {
                let key = ["a", "b", "c"][turn % 3];
                let ctx = Context::service("test");
                let Ok(number) = voice(&platform).say_in(&ctx, key).await else { continue };
                platform.wait_for(&ctx.positions(), LONG).await.unwrap();
                let heard = loop {
                    if let Ok(heard) = ear(&platform).heard(key).await {
                        break heard;
                    }
                };
                assert!(heard.contains(&number), "seed {seed}: {number} is not among {heard:?}");
            }
            platform.stop().await;
        });
    }
}

#[test]
fn what_was_said_later_does_not_hold_up_a_wait() {
    for order in [Order::PerKey, Order::One] {
        let land = Land::new(7, Listener { order, ..Listener::new() });
        land.sim.block_on(async {
            let platform = land.open().await.unwrap();
            let ctx = Context::service("test");
            voice(&platform).say_in(&ctx, "k").await.unwrap();
            for _ in 0..300 {
                voice(&platform).say("k").await.unwrap();
            }
            platform.wait_for(&ctx.positions(), LONG).await.unwrap();
            let heard = ear(&platform).heard("k").await.unwrap().len();
            assert!((1..300).contains(&heard), "{heard}");
            platform.settled().await.unwrap();
            assert_eq!(ear(&platform).heard("k").await.unwrap().len(), 301);
            platform.stop().await;
        });
    }
}

#[test]
fn a_key_whose_event_failed_does_not_hold_up_a_wait() {
    let land = Land::new(3, Listener::new());
    land.listener.fail("bad", 0, 1_000);
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        let ctx = Context::service("test");
        voice(&platform).say_in(&ctx, "bad").await.unwrap();
        voice(&platform).say_in(&ctx, "good").await.unwrap();
        platform.wait_for(&ctx.positions(), LONG).await.unwrap();
        assert_eq!(ear(&platform).heard("good").await.unwrap(), [0]);
        assert!(ear(&platform).heard("bad").await.unwrap().is_empty());
        platform.stop().await;
    });
}

#[test]
fn a_projection_that_is_being_rebuilt_is_read_as_before() {
    let land = Land::new(5, Listener { kind: Kind::Projection, ..Listener::new() });
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        for _ in 0..200 {
            voice(&platform).say("k").await.unwrap();
        }
        platform.settled().await.unwrap();
        let rebuilding = platform.clone();
        let service = Context::service("test");
        let rebuild = rebuilding.rebuild(&service, "listener.listen");
        let reads = async {
            let ctx = Context::service("test");
            voice(&platform).say_in(&ctx, "k").await.unwrap();
            platform.wait_for(&ctx.positions(), LONG).await.unwrap();
            ear(&platform).heard("k").await.unwrap().len()
        };
        let (rebuilt, heard) = futures_util::future::join(rebuild, reads).await;
        rebuilt.unwrap();
        assert_eq!(heard, 201);
        platform.stop().await;
    });
}
