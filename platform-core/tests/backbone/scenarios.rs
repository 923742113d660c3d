//! What the backbone promises, one by one.

use std::time::Duration;

use platform_core::backbone::{Kind, LetterState, Order};
use platform_core::kernel::{Context, CorrelationId, PageRequest, RawId};

use crate::world::{Land, Listener, ear, voice};

fn admin() -> Context {
    Context::service("test")
}

#[test]
fn what_is_said_is_heard_once_and_in_order() {
    for (order, batch) in [(Order::PerKey, 1), (Order::PerKey, 16), (Order::One, 1), (Order::One, 16)] {
        let land = Land::new(1, Listener { order, batch, ..Listener::new() });
        land.sim.block_on(async {
            let platform = land.open().await.unwrap();
            for round in 0..50 {
                voice(&platform).say(["a", "b", "c"][round % 3]).await.unwrap();
            }
            platform.settled().await.unwrap();
            assert_eq!(ear(&platform).heard("a").await.unwrap(), (0..17).collect::<Vec<_>>());
            assert_eq!(ear(&platform).heard("c").await.unwrap(), (0..16).collect::<Vec<_>>());
            platform.stop().await;
        });
    }
}

#[test]
fn events_of_a_busy_time_gather_unless_somebody_waits_for_one() {
    let gather = Duration::from_secs(10);
    let land = Land::new(1, Listener { batch: 16, gather, ..Listener::new() });
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        let after = async |pause: u64| {
            land.sim.runtime().sleep(Duration::from_secs(pause)).await;
            ear(&platform).heard("a").await.unwrap().len()
        };
        voice(&platform).say("a").await.unwrap();
        assert_eq!(after(1).await, 1, "the first of a quiet time");
        voice(&platform).say("a").await.unwrap();
        assert_eq!(after(1).await, 1);
        platform.settled().await.unwrap();
        assert_eq!(after(0).await, 2);
        let ctx = admin();
        voice(&platform).say_in(&ctx, "a").await.unwrap();
        assert_eq!(after(1).await, 2);
        platform.wait_for(&ctx.positions(), Duration::from_secs(1)).await.unwrap();
        assert_eq!(after(0).await, 3);
        voice(&platform).say("a").await.unwrap();
        voice(&platform).say("a").await.unwrap();
        assert_eq!(after(1).await, 3);
        assert_eq!(after(10).await, 5);
        platform.stop().await;
    });
}

#[test]
fn nothing_is_heard_twice_after_a_restart() {
    let land = Land::new(2, Listener::new());
    for round in 0..5 {
        land.sim.block_on(async {
            let platform = land.open().await.unwrap();
            voice(&platform).say("a").await.unwrap();
            platform.settled().await.unwrap();
            assert_eq!(ear(&platform).heard("a").await.unwrap().len(), round + 1);
            platform.stop().await;
        });
    }
}

#[test]
fn what_was_said_while_nobody_listened_is_heard_after_the_start() {
    let land = Land::new(3, Listener::new());
    land.sim.block_on(async {
        let platform = land.build().await.unwrap();
        assert_eq!(platform.settled().await.unwrap_err().code(), "backbone.not_running");
        voice(&platform).say("a").await.unwrap();
        platform.start().await.unwrap();
        assert_eq!(platform.start().await.unwrap_err().code(), "backbone.running");
        platform.settled().await.unwrap();
        assert_eq!(ear(&platform).heard("a").await.unwrap(), [0]);
        platform.stop().await;
        voice(&platform).say("a").await.unwrap();
        platform.start().await.unwrap();
        platform.settled().await.unwrap();
        assert_eq!(ear(&platform).heard("a").await.unwrap(), [0, 1]);
        platform.stop().await;
    });
}

#[test]
fn an_idle_platform_does_nothing_and_an_event_arrives_at_once() {
    let land = Land::new(4, Listener::new());
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        land.sim.runtime().sleep(Duration::from_secs(600)).await;
        let before = land.sim.runtime().monotonic();
        voice(&platform).say("a").await.unwrap();
        platform.settled().await.unwrap();
        let took = land.sim.runtime().monotonic() - before;
        assert!(took < Duration::from_millis(10), "the ports here take 0.2 ms a call: {took:?}");
        assert_eq!(ear(&platform).heard("a").await.unwrap(), [0]);
        platform.stop().await;
    });
}

#[test]
fn a_failing_event_is_tried_again_until_it_succeeds_and_others_go_on_meanwhile() {
    let listener = Listener::new();
    listener.fail("a", 0, 4);
    let land = Land::new(5, listener);
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        for key in ["a", "b", "a", "b"] {
            voice(&platform).say(key).await.unwrap();
        }
        land.sim.runtime().sleep(Duration::from_millis(20)).await;
        assert_eq!(ear(&platform).heard("a").await.unwrap(), [0_u64; 0]);
        assert_eq!(ear(&platform).heard("b").await.unwrap(), [0, 1]);
        let waiting = platform.dead_letters().list(&admin(), &PageRequest::default()).await.unwrap().items;
        assert_eq!(
            waiting.iter().map(|l| l.state).collect::<Vec<_>>(),
            [LetterState::Retrying, LetterState::Queued]
        );
        platform.settled().await.unwrap();
        assert_eq!(ear(&platform).heard("a").await.unwrap(), [0, 1]);
        assert_eq!(platform.dead_letters().list(&admin(), &PageRequest::default()).await.unwrap().items, []);
        platform.stop().await;
    });
}

#[test]
fn an_event_that_keeps_failing_parks_its_key_until_a_redrive() {
    let listener = Listener { batch: 8, ..Listener::new() };
    listener.fail("a", 1, u32::MAX);
    let land = Land::new(6, listener);
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        for _ in 0..4 {
            voice(&platform).say("a").await.unwrap();
            voice(&platform).say("b").await.unwrap();
        }
        platform.settled().await.unwrap();
        assert_eq!(ear(&platform).heard("a").await.unwrap(), [0]);
        assert_eq!(ear(&platform).heard("b").await.unwrap(), [0, 1, 2, 3]);
        let letters = platform.dead_letters();
        let page = letters.list(&admin(), &PageRequest { limit: Some(2), cursor: None }).await.unwrap();
        assert_eq!(page.items[0].state, LetterState::Dead);
        assert_eq!(page.items[0].attempts, 6);
        assert_eq!(page.items[0].error_code.as_deref(), Some("listener.deaf"));
        assert_eq!(page.items[1].state, LetterState::Queued);
        let next =
            letters.list(&admin(), &PageRequest { limit: None, cursor: page.next_cursor }).await.unwrap();
        assert_eq!(next.items.len(), 1);
        assert_eq!(next.next_cursor, None);

        let first = page.items[0].id;
        let redriven = letters.redrive(&admin(), first).await.unwrap();
        assert_eq!((redriven.handled, redriven.left), (0, 3));
        assert_eq!(redriven.error_code.as_deref(), Some("listener.deaf"));
        land.listener.heal();
        // One more arrives while the key is parked, and one after it is free.
        voice(&platform).say("a").await.unwrap();
        platform.settled().await.unwrap();
        let redriven = letters.redrive(&admin(), page.items[1].id).await.unwrap();
        assert_eq!((redriven.handled, redriven.left), (4, 0));
        voice(&platform).say("a").await.unwrap();
        platform.settled().await.unwrap();
        assert_eq!(ear(&platform).heard("a").await.unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(letters.get(&admin(), first).await.unwrap_err().code(), "deadletters.not_found");
        platform.stop().await;
    });
}

#[test]
fn a_dead_letter_survives_a_restart() {
    let listener = Listener::new();
    listener.fail("a", 0, u32::MAX);
    let land = Land::new(7, listener);
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        voice(&platform).say("a").await.unwrap();
        platform.settled().await.unwrap();
        platform.stop().await;
    });
    land.listener.heal();
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        voice(&platform).say("a").await.unwrap();
        platform.settled().await.unwrap();
        let letters = platform.dead_letters().list(&admin(), &PageRequest::default()).await.unwrap().items;
        assert_eq!(letters.len(), 2);
        platform.dead_letters().redrive(&admin(), letters[1].id).await.unwrap();
        assert_eq!(ear(&platform).heard("a").await.unwrap(), [0, 1]);
        platform.stop().await;
    });
}

#[test]
fn dead_letters_are_shown_and_redriven_to_whom_it_is_allowed_only() {
    let land = Land::new(8, Listener::new());
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        let nobody = Context::anonymous(CorrelationId::from_raw(RawId([1; 16])));
        let (letters, id) = (platform.dead_letters(), RawId([2; 16]).into());
        let denied = letters.list(&nobody, &PageRequest::default()).await.unwrap_err();
        assert_eq!(denied.code(), "auth.not_signed_in");
        assert_eq!(letters.redrive(&nobody, id).await.unwrap_err().code(), "auth.not_signed_in");
        assert_eq!(letters.redrive(&admin(), id).await.unwrap_err().code(), "deadletters.not_found");
        assert_eq!(platform.rebuild(&nobody, "x").await.unwrap_err().code(), "auth.not_signed_in");
        platform.stop().await;
    });
}

#[test]
fn a_handler_that_panics_is_a_handler_that_fails() {
    let listener = Listener::new();
    listener.fail("a", 0, 14);
    let land = Land::new(9, listener);
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        voice(&platform).say("a").await.unwrap();
        land.sim.runtime().sleep(Duration::from_millis(20)).await;
        let letters = platform.dead_letters().list(&admin(), &PageRequest::default()).await.unwrap().items;
        assert_eq!(letters[0].error_code.as_deref(), Some("backbone.handler_panicked"));
        platform.stop().await;
    });
}

#[test]
fn a_projection_is_rebuilt_into_the_same_state_while_it_goes_on() {
    let land = Land::new(10, Listener { kind: Kind::Projection, batch: 4, ..Listener::new() });
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        for _ in 0..20 {
            voice(&platform).say("a").await.unwrap();
        }
        for round in 1..3 {
            let (rebuilt, said) =
                futures_util::future::join(platform.rebuild(&admin(), "listener.listen"), async {
                    for _ in 0..20 {
                        voice(&platform).say("a").await.unwrap();
                    }
                })
                .await;
            rebuilt.unwrap();
            let () = said;
            platform.settled().await.unwrap();
            let heard = ear(&platform).heard("a").await.unwrap();
            assert_eq!(heard, (0..20 + 20 * round).collect::<Vec<u64>>());
            assert_eq!(ear(&platform).documents().await.unwrap(), 1, "the old generation is gone");
        }
        platform.stop().await;
    });
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        voice(&platform).say("a").await.unwrap();
        platform.settled().await.unwrap();
        assert_eq!(ear(&platform).heard("a").await.unwrap().len(), 61);
        platform.stop().await;
    });
}

#[test]
fn an_interrupted_rebuild_goes_on_by_itself_after_the_next_start() {
    let land = Land::new(14, Listener { kind: Kind::Projection, ..Listener::new() });
    let sleep = async |ms| land.sim.runtime().sleep(Duration::from_millis(ms)).await;
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        for _ in 0..200 {
            voice(&platform).say("a").await.unwrap();
        }
        platform.settled().await.unwrap();
        let interrupt = async {
            sleep(20).await;
            platform.stop().await;
        };
        let (rebuilt, ()) =
            futures_util::future::join(platform.rebuild(&admin(), "listener.listen"), interrupt).await;
        assert_eq!(rebuilt.unwrap_err().code(), "backbone.not_running");
        assert_eq!(ear(&platform).generation().await.unwrap(), 0);
    });
    // Stopped again before it is done, then left alone; in between somebody asks for it, too.
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        sleep(5).await;
        platform.stop().await;
    });
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        platform.rebuild(&admin(), "listener.listen").await.unwrap();
        assert_eq!(ear(&platform).generation().await.unwrap(), 1, "it was waited for, not begun anew");
        assert_eq!(ear(&platform).heard("a").await.unwrap(), (0..200).collect::<Vec<u64>>());
        assert_eq!(ear(&platform).documents().await.unwrap(), 1, "the old generation is gone");
        let context = admin();
        let begun = futures_util::future::select(
            Box::pin(platform.rebuild(&context, "listener.listen")),
            Box::pin(sleep(20)),
        );
        drop(begun.await);
        platform.stop().await;
    });
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        for _ in 0..1_000 {
            if ear(&platform).generation().await.unwrap() == 2
                && ear(&platform).documents().await.unwrap() == 1
            {
                break;
            }
            sleep(10).await;
        }
        voice(&platform).say("a").await.unwrap();
        platform.settled().await.unwrap();
        assert_eq!(ear(&platform).generation().await.unwrap(), 2);
        assert_eq!(ear(&platform).heard("a").await.unwrap(), (0..201).collect::<Vec<u64>>());
        assert_eq!(ear(&platform).documents().await.unwrap(), 1);
        platform.stop().await;
    });
}

#[test]
fn a_reactor_is_never_replayed() {
    let land = Land::new(11, Listener::new());
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        let error = platform.rebuild(&admin(), "listener.listen").await.unwrap_err();
        assert_eq!(error.code(), "backbone.not_rebuildable");
        platform.stop().await;
    });
}

#[test]
fn a_lost_log_neither_loses_nor_repeats_what_is_to_be_done() {
    let mut land = Land::new(12, Listener { kind: Kind::Projection, ..Listener::new() });
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        voice(&platform).say("a").await.unwrap();
        voice(&platform).say("a").await.unwrap();
        platform.settled().await.unwrap();
        land.sim.runtime().sleep(Duration::from_secs(10)).await;
        voice(&platform).say("a").await.unwrap();
        platform.stop().await;
    });
    land.memory.log = platform_core::ports::log::MemoryLog::new(land.sim.runtime());
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        voice(&platform).say("a").await.unwrap();
        platform.settled().await.unwrap();
        assert_eq!(ear(&platform).heard("a").await.unwrap(), [0, 1, 2, 3]);
        let error = platform.rebuild(&admin(), "listener.listen").await.unwrap_err();
        assert_eq!(error.code(), "backbone.history_gone");
        platform.stop().await;
    });
}

#[test]
fn who_waits_for_a_settled_platform_hears_when_it_is_stopped() {
    let listener = Listener::new();
    listener.fail("a", 0, 1_000);
    let land = Land::new(13, listener);
    land.sim.block_on(async {
        let platform = land.open().await.unwrap();
        voice(&platform).say("a").await.unwrap();
        let stop = async {
            land.sim.runtime().sleep(Duration::from_millis(100)).await;
            platform.stop().await;
        };
        let (settled, ()) = futures_util::future::join(platform.settled(), stop).await;
        assert_eq!(settled.unwrap_err().code(), "backbone.not_running");
    });
}

#[test]
fn how_far_events_are_behind_is_told() {
    let land = Land::new(31, Listener::new());
    land.sim.block_on(async {
        let platform = land.build().await.unwrap();
        assert_eq!(platform.outbox_lag().await.unwrap(), []);
        for _ in 0..700 {
            voice(&platform).say("a").await.unwrap();
        }
        platform.start().await.unwrap();
        let lag = |name: &'static str| {
            let platform = platform.clone();
            async move {
                let lags = platform.outbox_lag().await.unwrap();
                let events = platform.handler_lag().await.unwrap().into_iter().map(|lag| lag.events).sum();
                (lags.into_iter().find(|lag| lag.store == name).unwrap().age, events)
            }
        };
        let (first, _): (_, u64) = lag("speaker").await;
        assert!(first > Duration::ZERO);
        // The handler follows, and the oldest event that is left is ever younger, also in the middle of it.
        let (mut behind, mut ages) = (0, vec![first]);
        while ages.last() != Some(&Duration::ZERO) {
            land.sim.runtime().sleep(Duration::from_millis(1)).await;
            let (age, events) = lag("speaker").await;
            behind = behind.max(events);
            ages.push(age);
        }
        ages.dedup();
        assert!(behind > 0 && ages.len() > 3, "{behind} {ages:?}");
        platform.settled().await.unwrap();
        assert_eq!(lag("speaker").await, (Duration::ZERO, 0));
        platform.stop().await;
    });
}
