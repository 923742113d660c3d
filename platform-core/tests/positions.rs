//! Commands tell their positions, and a read may wait for them.
#![cfg(all(feature = "users", feature = "audit", feature = "transactions", feature = "flags"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::time::Duration;

use platform_core::Platform;
use platform_core::audit::EventsQuery;
use platform_core::kernel::{Context, PageRequest, Positions};
use platform_core::ports::MemoryBackends;
use platform_core::ports::runtime::SimRuntime;
use platform_core::transactions::NewAccount;
use platform_core::users::NewProfile;

const LONG: Duration = Duration::from_secs(60);

async fn platform(world: &SimRuntime) -> Platform {
    let memory = MemoryBackends::new(world.runtime());
    let platform = Platform::builder(memory.backends().await.unwrap()).build().await.unwrap();
    platform.start().await.unwrap();
    platform
}

fn profile(number: u32) -> NewProfile {
    let email = format!("user{number}@example.org").parse().unwrap();
    NewProfile { id: None, email, name: None }
}

fn account() -> NewAccount {
    serde_json::from_value(serde_json::json!({"asset": "EUR"})).unwrap()
}

async fn entries_of(platform: &Platform, subject: String) -> usize {
    let query = EventsQuery { subject: Some(subject), ..EventsQuery::default() };
    let page = PageRequest::default();
    platform.audit().events(&Context::service("test"), &query, &page).await.unwrap().items.len()
}

#[test]
fn an_audit_query_sees_the_entry_of_that_very_command() {
    for seed in 0..20 {
        let world = SimRuntime::new(seed);
        world.block_on(async {
            let platform = platform(&world).await;
            let mut seen_without = 0;
            for number in 0..10 {
                let ctx = Context::service("test");
                let user = platform.users().create(&ctx, &profile(number)).await.unwrap().id.to_string();
                seen_without += entries_of(&platform, user.clone()).await;
                platform.wait_for(&ctx.positions(), LONG).await.unwrap();
                assert_eq!(entries_of(&platform, user).await, 1, "seed {seed}");
            }
            assert!(seen_without < 10, "waiting was needed");
            platform.stop().await;
        });
    }
}

#[test]
fn a_context_and_its_clones_collect_the_last_position_of_each_store() {
    let world = SimRuntime::new(1);
    world.block_on(async {
        let platform = platform(&world).await;
        let ctx = Context::service("test");
        assert!(ctx.positions().is_empty());
        platform.users().create(&ctx.clone(), &profile(1)).await.unwrap();
        let first = ctx.positions();
        platform.users().create(&ctx, &profile(2)).await.unwrap();
        platform.transactions().open_account(&ctx, &account()).await.unwrap();
        let positions = ctx.positions();
        let stores: Vec<_> = positions.iter().map(|(store, _)| store).collect();
        assert_eq!(stores, ["transactions", "users"]);
        let of = |positions: &Positions| positions.iter().find(|one| one.0 == "users").unwrap().1;
        assert!(of(&positions) > of(&first));
        assert!(Context::service("test").positions().is_empty(), "another context has its own");
        platform.stop().await;
    });
}

#[test]
fn a_repeated_request_tells_a_position_too() {
    let world = SimRuntime::new(1);
    world.block_on(async {
        let platform = platform(&world).await;
        let again = || Context::service("test").with_key("key".parse().unwrap());
        for _ in 0..2 {
            let ctx = again();
            let user = platform.users().create(&ctx, &profile(1)).await.unwrap().id.to_string();
            platform.wait_for(&ctx.positions(), LONG).await.unwrap();
            assert_eq!(entries_of(&platform, user).await, 1);
            let ctx = again();
            let account =
                platform.transactions().open_account(&ctx, &account()).await.unwrap().id.to_string();
            platform.wait_for(&ctx.positions(), LONG).await.unwrap();
            assert_eq!(entries_of(&platform, account).await, 1);
        }
        platform.stop().await;
    });
}

#[test]
fn what_cannot_be_reached_is_told() {
    let world = SimRuntime::new(1);
    world.block_on(async {
        let platform = platform(&world).await;
        let wait = async |text: &str| {
            let positions = text.parse().unwrap();
            platform.wait_for(&positions, LONG).await.map_err(|error| error.code())
        };
        assert_eq!(wait("users:0").await, Ok(()));
        assert_eq!(wait("users:1000000").await, Err("positions.not_reached"));
        assert_eq!(wait("elsewhere:1").await, Err("positions.unknown_store"));
        platform.stop().await;
        assert_eq!(wait("users:0").await, Err("backbone.not_running"));
    });
}
