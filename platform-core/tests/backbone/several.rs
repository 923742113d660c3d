//! Two platforms over the same stores and the same log, as a deposed node and its successor are for a
//! while: relays append twice, handlers race, and still every effect happens once, in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use platform_core::Platform;
use platform_core::backbone::Order;
use platform_core::kernel::{BoxFuture, Context, PageRequest, Result};
use platform_core::ports::Backends;
use platform_core::ports::store::{Schema, Store, Stores};
use proptest::prelude::*;

use crate::faults::FaultyStores;
use crate::world::{Land, Listener, Speaker, ear, voice};

/// Opens each store once, and hands it to whoever asks.
struct SharedStores {
    inner: FaultyStores,
    open: Mutex<BTreeMap<&'static str, Arc<dyn Store>>>,
}

impl Stores for SharedStores {
    fn open<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async move {
            if let Some(store) = self.open.lock().get(schema.store) {
                return Ok(Arc::clone(store));
            }
            let store = self.inner.open(schema).await?;
            self.open.lock().insert(schema.store, Arc::clone(&store));
            Ok(store)
        })
    }
}

async fn two_nodes(land: &Land) -> [Platform; 2] {
    let inner = FaultyStores(land.memory.stores.clone(), land.weather.clone());
    let stores = Arc::new(SharedStores { inner, open: Mutex::default() });
    let backends = Backends { stores, ..land.memory.backends().await.unwrap() };
    let node = async || {
        let builder = Platform::builder(backends.clone()).partitions(land.partitions);
        let platform = builder.domain(Speaker).domain(land.listener.clone()).build().await.unwrap();
        platform.start().await.unwrap();
        platform
    };
    [node().await, node().await]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn two_nodes_do_everything_once_and_in_order(
        seed in any::<u64>(),
        says in proptest::collection::vec((0..3usize, 0..2usize), 1..40),
        failures in proptest::collection::vec((0..3usize, 0..8u64, prop_oneof![Just(1u32), Just(4), Just(1000)]), 0..5),
        one in any::<bool>(),
        batch in prop_oneof![Just(1usize), Just(7)],
    ) {
        const KEYS: [&str; 3] = ["a", "b", "c"];
        let order = if one { Order::One } else { Order::PerKey };
        let listener = Listener { order, batch, ..Listener::new() };
        for (key, number, times) in failures {
            listener.fail(KEYS[key], number, times);
        }
        let land = Land::new(seed, listener);
        let heard = land.sim.block_on(async {
            let nodes = two_nodes(&land).await;
            for (key, node) in &says {
                voice(&nodes[*node]).say(KEYS[*key]).await.unwrap();
            }
            for node in &nodes {
                node.settled().await.unwrap();
            }
            land.listener.heal();
            let ctx = Context::service("test");
            let all = PageRequest { limit: Some(500), cursor: None };
            for letter in nodes[0].dead_letters().list(&ctx, &all).await.unwrap().items {
                let _ = nodes[1].dead_letters().redrive(&ctx, letter.id).await;
            }
            let mut heard = Vec::new();
            for key in KEYS {
                let said = voice(&nodes[0]).count(key).await.unwrap();
                heard.push((said, ear(&nodes[1]).heard(key).await.unwrap()));
            }
            for node in nodes {
                node.stop().await;
            }
            heard
        });
        for (said, heard) in heard {
            prop_assert_eq!(heard, (0..said).collect::<Vec<_>>());
        }
    }
}
