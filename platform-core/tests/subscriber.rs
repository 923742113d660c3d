//! Events for an application without a domain of its own.
#![cfg(all(feature = "users", feature = "transactions"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt;
use platform_core::Platform;
use platform_core::backbone::{SUBSCRIBE, Subscriber};
use platform_core::kernel::{Actor, Context, Permissions, Principal};
use platform_core::ports::MemoryBackends;
use platform_core::ports::runtime::SimRuntime;
use platform_core::transactions::NewAccount;
use platform_core::users::NewProfile;

async fn open(memory: &MemoryBackends) -> Platform {
    let platform = Platform::builder(memory.backends().await.unwrap()).build().await.unwrap();
    platform.start().await.unwrap();
    platform
}

fn service() -> Context {
    Context::service("test")
}

async fn make(platform: &Platform, number: u32) -> String {
    let email = format!("user{number}@example.org").parse().unwrap();
    let new = NewProfile { id: None, email, name: None };
    platform.users().create(&service(), &new).await.unwrap().id.to_string()
}

async fn subjects(subscriber: &mut Subscriber, count: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    while found.len() < count {
        for delivered in subscriber.next(2).await.unwrap() {
            found.insert(delivered.event.subject.clone());
        }
    }
    found
}

#[test]
fn a_name_goes_on_after_what_was_done_also_after_a_restart() {
    for seed in 0..20 {
        let world = SimRuntime::new(seed);
        let memory = MemoryBackends::new(world.runtime());
        world.block_on(async {
            let platform = open(&memory).await;
            let mut left: BTreeSet<String> = BTreeSet::new();
            for number in 0..20 {
                left.insert(make(&platform, number).await);
            }
            let stores = ["users".to_owned()];
            let mut subscriber = platform.subscribe(&service(), Some("mailer"), &stores).await.unwrap();
            for _ in 0..4 {
                let delivered = subscriber.next(3).await.unwrap();
                subscriber.done(delivered.last().unwrap()).await.unwrap();
                for done in delivered {
                    assert!(left.remove(&done.event.subject), "seed {seed}: once");
                }
            }
            subscriber.next(3).await.unwrap();
            drop(subscriber);
            platform.stop().await;
            drop(platform);
            let platform = open(&memory).await;
            let mut again = platform.subscribe(&service(), Some("mailer"), &stores).await.unwrap();
            assert_eq!(subjects(&mut again, left.len()).await, left, "seed {seed}: the others, and no more");
            let mut other = platform.subscribe(&service(), Some("other"), &stores).await.unwrap();
            assert_eq!(subjects(&mut other, 20).await.len(), 20);
            platform.stop().await;
        });
    }
}

#[test]
fn without_a_name_the_next_event_is_the_first_of_every_store() {
    let world = SimRuntime::new(1);
    let memory = MemoryBackends::new(world.runtime());
    world.block_on(async {
        let platform = open(&memory).await;
        make(&platform, 1).await;
        platform.settled().await.unwrap();
        let mut live = platform.subscribe(&service(), None, &[]).await.unwrap();
        assert!(live.next(10).now_or_never().is_none(), "it waits, and may be dropped meanwhile");
        let user = make(&platform, 2).await;
        let new: NewAccount = serde_json::from_value(serde_json::json!({"asset": "EUR"})).unwrap();
        let account = platform.transactions().open_account(&service(), &new).await.unwrap().id.to_string();
        assert!(subjects(&mut live, 3).await.is_superset(&BTreeSet::from([user, account])));
        platform.stop().await;
    });
}

#[test]
fn those_of_one_name_share_the_events() {
    let world = SimRuntime::new(3);
    let memory = MemoryBackends::new(world.runtime());
    world.block_on(async {
        let platform = open(&memory).await;
        let stores = ["users".to_owned()];
        let mut one = platform.subscribe(&service(), Some("shared"), &stores).await.unwrap();
        let mut two = platform.subscribe(&service(), Some("shared"), &stores).await.unwrap();
        let mut all = BTreeSet::new();
        for number in 0..40 {
            all.insert(make(&platform, number).await);
        }
        platform.settled().await.unwrap();
        let mut found = Vec::new();
        for subscriber in [&mut one, &mut two] {
            let before = found.len();
            while let Some(delivered) = subscriber.next(100).now_or_never() {
                found.extend(delivered.unwrap().into_iter().map(|delivered| delivered.event.subject.clone()));
            }
            assert!(found.len() > before, "each has a share");
        }
        assert_eq!(found.len(), 40);
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all);
        platform.stop().await;
    });
}

#[test]
fn only_who_may_and_only_what_is_there() {
    let world = SimRuntime::new(1);
    let memory = MemoryBackends::new(world.runtime());
    world.block_on(async {
        let platform = open(&memory).await;
        let code = async |context: &Context, name: Option<&str>, stores: &[String]| {
            platform.subscribe(context, name, stores).await.err().map(|error| error.code())
        };
        let with = |permissions: Permissions| {
            let principal = Principal { actor: Actor::Service("x".to_owned()), session: None, permissions };
            Context::new(principal, "req_1".parse().unwrap())
        };
        assert_eq!(code(&with(Permissions::none()), None, &[]).await, Some("auth.forbidden"));
        let only = Permissions::Only(Arc::new([SUBSCRIBE].into()));
        assert_eq!(code(&with(only), None, &[]).await, None);
        assert_eq!(code(&service(), Some(""), &[]).await, Some("events.invalid_name"));
        assert_eq!(code(&service(), None, &["orders".to_owned()]).await, Some("events.unknown_store"));
        let mut named = platform.subscribe(&service(), Some("x"), &[]).await.unwrap();
        make(&platform, 1).await;
        platform.settled().await.unwrap();
        assert!(named.next(1).now_or_never().is_some());
        platform.stop().await;
    });
}
