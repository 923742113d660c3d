//! The audit log of a whole platform: every event of every domain becomes exactly one entry, also when the
//! platform ends and starts in between.
#![cfg(all(
    feature = "auth",
    feature = "users",
    feature = "transactions",
    feature = "notifications",
    feature = "flags",
    feature = "gateway",
    feature = "audit"
))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use platform_core::Platform;
use platform_core::audit::{EventsQuery, Outcome, verify};
use platform_core::auth::{LoginRequest, RegisterRequest};
use platform_core::gateway::Route;
use platform_core::kernel::{Actor, Context, Error, Event, PageRequest};
use platform_core::ports::MemoryBackends;
use platform_core::ports::runtime::SimRuntime;
use platform_core::users::ProfileSearch;
use serde_json::{Value, json};

/// Requests that are not allowed, in each round: they are written beside the events.
const DENIED: u64 = 3;
const STORES: [&str; 6] = ["auth", "users", "transactions", "notifications", "flags", "gateway"];

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

async fn something_in_every_domain(platform: &Platform, number: u64) {
    let system = Context::system();
    let service = Context::service("support");
    let refusal = Error::forbidden("auth.forbidden", "no");
    (0..DENIED).for_each(|_| platform.audit().record_denied(&system, "GET /v1/roles", "/v1/roles", &refusal));
    let email = format!("ada{number}@example.com");
    let register: RegisterRequest = read(json!({"email": email, "password": "correct horse battery"}));
    let user = platform.auth().register(&system, &register).await.unwrap().user_id;
    let login: LoginRequest = read(json!({"email": email, "password": "correct horse battery"}));
    platform.auth().login(&system, &login).await.unwrap();
    platform.users().get(&system, user).await.unwrap();
    platform.users().get(&service, user).await.unwrap();
    platform.users().search(&service, &ProfileSearch::default(), &PageRequest::default()).await.unwrap();
    platform.notifications().preferences(&service, user).await.unwrap();
    let list = platform.notifications().list(&service, Some(user), PageRequest::default()).await.unwrap();
    for view in list.items {
        platform.notifications().get(&service, view.id).await.unwrap();
    }
    platform.users().grant(&system, user, &"admin".parse().unwrap()).await.unwrap();
    let open = read(json!({"asset": "EUR", "owner": user}));
    let from = platform.transactions().open_account(&system, &open).await.unwrap().id;
    let to = platform.transactions().open_account(&system, &open).await.unwrap().id;
    let transfer = json!({"debit_account": from, "credit_account": to, "asset": "EUR", "amount": "1.50"});
    platform.transactions().transfer(&system, &read(transfer)).await.unwrap();
    let flag = json!({
        "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on", "metadata": {"n": number},
    });
    platform.flags().put(&system, &"dark".parse().unwrap(), None, &read(flag)).await.unwrap();
    let route: Route = read(json!({
        "match": {"path": format!("/shop{number}")}, "access": "open", "target": {"upstreams": ["http://127.0.0.1:9"]},
    }));
    platform.gateway().put(&system, &"shop".parse().unwrap(), None, &route).await.unwrap();
}

/// Every event that was published, by where it was published.
async fn published(platform: &Platform) -> BTreeMap<(String, String), Event> {
    let log = &platform.backends().log;
    let mut events = BTreeMap::new();
    for store in STORES {
        for (partition, (first, next)) in (0..).zip(log.bounds(store).await.unwrap()) {
            let records = log.read(store, partition, first, (next - first + 1) as usize).await.unwrap();
            for event in records.iter().map(|record| Event::from_json(&record.value).unwrap()) {
                events.insert((event.store.to_string(), event.position.to_string()), event);
            }
        }
    }
    events
}

#[test]
fn every_event_of_every_domain_becomes_exactly_one_entry() {
    for seed in 0..4 {
        let world = SimRuntime::new(seed);
        let memory = MemoryBackends::new(world.runtime());
        for run in 0..3 {
            world.block_on(async {
                let backends = memory.backends().await.unwrap();
                let platform = Platform::builder(backends).build().await.unwrap();
                platform.start().await.unwrap();
                something_in_every_domain(&platform, run * 2).await;
                platform.settled().await.unwrap();
                check(&platform, run * 2 + 1).await;
                something_in_every_domain(&platform, run * 2 + 1).await;
                platform.stop().await;
            });
        }
    }
}

async fn check(platform: &Platform, rounds: u64) {
    let (system, page) = (Context::system(), PageRequest { limit: Some(500), cursor: None });
    let entries = platform.audit().events(&system, &EventsQuery::default(), &page).await.unwrap().items;
    let published = published(platform).await;
    let stores: BTreeSet<_> = published.keys().map(|(store, _)| store.as_str()).collect();
    assert!(["auth", "users", "transactions", "flags", "gateway"].iter().all(|store| stores.contains(store)));
    let mut found = BTreeSet::new();
    for entry in &entries {
        let Some(source) = &entry.what.source else { continue };
        let place = (source.store.clone(), source.position.to_string());
        let event = &published[&place];
        assert_eq!((event.id, event.data.to_value()), (entry.what.id, entry.what.data.clone()));
        assert!(found.insert(place), "twice: {entry:?}");
    }
    assert_eq!(found, published.keys().cloned().collect());
    let text = serde_json::to_string(&entries).unwrap();
    assert!(!text.contains("@example.com"), "an address stands in the log unsealed");
    let audit = platform.audit();
    audit.flush().await.unwrap();
    let query = EventsQuery { action: Some("GET /v1/roles".to_owned()), ..EventsQuery::default() };
    let denied = audit.events(&system, &query, &page).await.unwrap().items;
    assert!(denied.iter().all(|entry| entry.what.outcome == Outcome::Denied));
    assert_eq!(denied.iter().map(|entry| entry.what.count.unwrap_or(1)).sum::<u64>(), rounds * DENIED);
    for (action, times) in [
        ("users.profile_read", rounds),
        ("users.profiles_searched", rounds),
        ("notifications.preferences_read", rounds),
        ("notifications.deliveries_listed", rounds),
    ] {
        let query = EventsQuery { action: Some(action.to_owned()), ..EventsQuery::default() };
        let shown = audit.events(&system, &query, &page).await.unwrap().items;
        assert_eq!(shown.len() as u64, times, "{action}");
        assert!(shown.iter().all(|entry| entry.what.actor == Actor::Service("support".into())));
    }
    let report = verify(&*audit.database().store, None).await.unwrap();
    assert!(report.holds(), "{report:?}");
    assert_eq!(report.signed, report.entries);
    audit.proof(&system, report.entries - 1).await.unwrap();
}
