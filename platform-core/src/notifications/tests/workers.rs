//! Workers that run, die, stop and begin again.

use super::*;
use crate::notifications::worker::{LAST_TRIES, PAUSE};
use crate::ports::store::flaky::{Fault, FlakyStores};

#[test]
fn several_workers_send_each_message_once() {
    let world = World::with_workers(4);
    let sent: Vec<_> = (0..50).map(|n| world.send(to(&format!("user{n}@example.org")))).collect();
    world.pass(600);
    assert!(sent.iter().all(|each| world.state(each) == "sent"));
    let mut addresses: Vec<_> = world.channel.sent().into_iter().map(|message| message.to).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!((addresses.len(), world.channel.sent().len()), (50, 50));
}

#[test]
fn a_worker_that_dies_while_sending_is_replaced() {
    let world = World::idle();
    let sent = world.send(to("bob@example.org"));
    let claimed = world.run(Arc::clone(&world.notifications.0).claim_and_die(sent.id)).unwrap();
    assert_eq!((claimed, world.state(&sent)), (1, "claimed".to_owned()));
    world.start(1);
    world.pass(100);
    assert_eq!(world.state(&sent), "claimed");
    world.pass(100);
    let view = world.look(&sent);
    assert_eq!((view.state.as_str(), view.attempts.len()), ("sent", 2));
    assert_eq!(view.attempts[0].outcome, Some(Outcome::Ambiguous));
}

#[test]
fn after_a_restart_what_the_killed_process_was_sending_is_taken_up_at_once() {
    for (template, state, attempts) in [("welcome", "sent", 2), ("held", "unknown", 1)] {
        let world = World::idle();
        world.put("held", json!({"text": "t", "subject": "s", "if_unknown": "hold"})).unwrap();
        let template = template.parse().unwrap();
        let sent = world.send(SendRequest { template, ..to("bob@example.org") });
        world.run(Arc::clone(&world.notifications.0).claim_and_die(sent.id)).unwrap();
        let killed = &world.notifications.0;
        let world = World { notifications: Notifications(Arc::new(killed.restarted(true))), ..world };
        world.start(1);
        world.pass(16);
        let view = world.look(&sent);
        assert_eq!((view.state.as_str(), view.attempts.len()), (state, attempts));
        assert_eq!(view.attempts[0].outcome, Some(Outcome::Ambiguous));
    }
}

#[test]
fn where_others_may_be_alive_their_claims_are_left_to_them_until_their_time_is_over() {
    let world = World::idle();
    let sent = world.send(to("bob@example.org"));
    world.run(Arc::clone(&world.notifications.0).claim_and_die(sent.id)).unwrap();
    let other = Notifications(Arc::new(world.notifications.0.restarted(false)));
    let world = World { notifications: other, ..world };
    world.start(1);
    world.pass(140);
    assert_eq!(world.state(&sent), "claimed");
    world.pass(30);
    assert_eq!(world.state(&sent), "sent");
}

#[test]
fn a_store_that_fails_does_not_keep_a_worker_from_stopping() {
    // An fsync that failed; a disk that is full and stays so; one that has room again while the worker ends.
    for (faults, is_stored) in [
        (vec![Fault::Poisoned], false),
        (vec![Fault::Refused; 1_000], false),
        (vec![Fault::Refused; 2], true),
    ] {
        let sim = SimRuntime::new(1);
        let memory = MemoryBackends::new(sim.runtime());
        let stopped = sim.run_steps(10_000, async {
            let mut backends = memory.backends().await.unwrap();
            let users = Users::open(&backends).await.unwrap();
            let stores = Arc::new(FlakyStores::new(backends.stores, sim.runtime()));
            backends.stores = Arc::clone(&stores) as _;
            let notifications = Notifications::open(&backends, &users).await.unwrap();
            let backbone = Backbone::new(backends.clone());
            backbone.add(notifications.database(), notifications.parts()).unwrap();
            backbone.start().await.unwrap();
            // It is accepted and claimed; the report finds the store failing.
            stores.next(&[vec![Fault::None; 2], faults].concat());
            let sent = notifications.send(&system(), to("bob@example.org")).await.unwrap();
            sim.runtime().sleep(Duration::from_millis(100)).await;
            assert_eq!(memory.channel.sent().len(), 1);
            let begin = sim.runtime().now();
            backbone.stop().await;
            assert!(sim.runtime().now().since(begin) <= PAUSE * (LAST_TRIES + 1));
            let state = notifications.get(&system(), sent.id).await.map(|view| view.state);
            assert_eq!(state.is_ok_and(|state| state == "sent"), is_stored);
        });
        assert!(stopped.is_some(), "it does not stop");
    }
}

#[test]
fn a_stopped_worker_sends_nothing_until_it_is_started_again() {
    let world = World::new();
    world.pass(1);
    world.run(world.backbone.stop());
    let sent = world.send(to("bob@example.org"));
    world.pass(3600);
    assert_eq!(world.state(&sent), "accepted");
    world.run(world.backbone.start()).unwrap();
    world.pass(1);
    assert_eq!(world.state(&sent), "sent");
}
