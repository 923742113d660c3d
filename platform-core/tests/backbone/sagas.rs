//! A shop that takes payment at a bank: over crashes and failing ports, money moves whole or not at all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use platform_core::backbone::Parts;
use platform_core::backbone::saga::{self, Phase, Progress, Saga};
use platform_core::kernel::{BoxFuture, Context, Error, Result};
use platform_core::ports::log::MemoryLog;
use platform_core::ports::runtime::SimRuntime;
use platform_core::ports::store::{Collection, Document, Schema, Work, command};
use platform_core::ports::{Backends, Database, MemoryBackends};
use platform_core::{Domain, Platform};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::faults::{FaultyStores, Weather};

/// Accounts and payments, in a store of its own.
struct Bank;

#[derive(Clone)]
struct Counter(Database);

#[derive(Serialize, Deserialize)]
struct Account {
    name: String,
    balance: i64,
}

impl Document for Account {
    const COLLECTION: Collection = Collection::json("accounts");
    fn id(&self) -> Vec<u8> {
        self.name.clone().into_bytes()
    }
}

#[derive(Serialize, Deserialize)]
struct Payment {
    id: String,
    refunded: bool,
}

impl Document for Payment {
    const COLLECTION: Collection = Collection::json("payments");
    fn id(&self) -> Vec<u8> {
        self.id.clone().into_bytes()
    }
}

impl Domain for Bank {
    type Facade = Counter;

    fn schema(&self) -> Schema {
        Schema::new("bank", 1, &[Account::COLLECTION, Payment::COLLECTION])
    }

    fn build<'a>(self, db: Database, _: &'a Platform) -> BoxFuture<'a, Result<(Counter, Parts)>> {
        Box::pin(async { Ok((Counter(db), Parts::none())) })
    }
}

async fn add(work: &mut Work, name: &str, amount: i64) -> Result<()> {
    let balance = work.load::<Account>(name).await?.map_or(0, |account| account.balance);
    if balance + amount < -100 {
        return Err(Error::conflict("bank.insufficient", "too little"));
    }
    work.put(&Account { name: name.to_owned(), balance: balance + amount })
}

impl Counter {
    /// Not idempotent by itself: only the key in the context makes it so.
    async fn pay(&self, ctx: &Context, id: &str, amount: i64) -> Result<()> {
        let request = (id, amount);
        let done = command(&self.0, ctx, "bank.pay", &request, |mut work| async move {
            add(&mut work, "buyer", -amount).await?;
            work.put(&Payment { id: id.to_owned(), refunded: false })?;
            work.reply(())
        });
        done.await.map(|_| ())
    }

    async fn refund(&self, ctx: &Context, id: &str, amount: i64) -> Result<()> {
        let request = (id, amount);
        let done = command(&self.0, ctx, "bank.refund", &request, |mut work| async move {
            if let Some(payment) = work.load::<Payment>(id).await?
                && !payment.refunded
            {
                work.put(&Payment { refunded: true, ..payment.value })?;
                add(&mut work, "buyer", amount).await?;
            }
            work.reply(())
        });
        done.await.map(|_| ())
    }

    async fn credit(&self, ctx: &Context, amount: i64) -> Result<()> {
        if amount == 13 {
            return Err(Error::conflict("bank.unlucky", "this amount is not taken"));
        }
        let done = command(&self.0, ctx, "bank.credit", &amount, |mut work| async move {
            add(&mut work, "seller", amount).await?;
            work.reply(())
        });
        done.await.map(|_| ())
    }

    async fn balance(&self, name: &str) -> i64 {
        self.0.get::<Account>(name).await.unwrap().map_or(0, |account| account.balance)
    }
}

/// Orders, each with a saga.
struct Shop;

#[derive(Clone)]
struct Orders(Database);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: String,
    amount: i64,
    status: String,
}

impl Document for Order {
    const COLLECTION: Collection = Collection::json("orders");
    fn id(&self) -> Vec<u8> {
        self.id.clone().into_bytes()
    }
}

impl Domain for Shop {
    type Facade = Orders;

    fn schema(&self) -> Schema {
        Schema::new("shop", 1, &[Order::COLLECTION, Progress::COLLECTION])
    }

    fn build<'a>(self, db: Database, platform: &'a Platform) -> BoxFuture<'a, Result<(Orders, Parts)>> {
        Box::pin(async move {
            let bank = platform.domain::<Bank>().unwrap();
            let selling = Selling { db: db.clone(), bank };
            Ok((Orders(db), Parts::none().saga(selling)))
        })
    }
}

impl Orders {
    async fn place(&self, id: &str, amount: i64) -> Result<()> {
        let ctx = Context::service("test");
        let done = command(&self.0, &ctx, "shop.place", id, |mut work| async move {
            let order = Order { id: id.to_owned(), amount, status: "placed".into() };
            if saga::start(&mut work, "shop.sell", id, &order).await? {
                work.put(&order)?;
            }
            work.reply(())
        });
        done.await.map(|_| ())
    }

    async fn all(&self) -> Vec<Order> {
        let range = platform_core::ports::store::IndexRange::ids("orders").limit(1_000);
        self.0.scan::<Order>(&range).await.unwrap().items.into_iter().map(|order| order.value).collect()
    }

    async fn phase(&self, id: &str) -> Phase {
        saga::progress(&self.0, "shop.sell", id).await.unwrap().unwrap().phase
    }
}

struct Selling {
    db: Database,
    bank: Arc<Counter>,
}

impl Saga for Selling {
    type State = Order;

    fn name(&self) -> &'static str {
        "shop.sell"
    }

    fn steps(&self) -> &'static [&'static str] {
        &["pay", "credit", "confirm"]
    }

    fn database(&self) -> &Database {
        &self.db
    }

    fn run<'a>(
        &'a self,
        step: &'static str,
        ctx: &'a Context,
        order: &'a mut Order,
        work: &'a mut Work,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match step {
                "pay" => self.bank.pay(ctx, &order.id, order.amount).await,
                "credit" => self.bank.credit(ctx, order.amount).await,
                _ => {
                    order.status = "sold".into();
                    work.put(order)
                }
            }
        })
    }

    fn compensate<'a>(
        &'a self,
        step: &'static str,
        ctx: &'a Context,
        order: &'a mut Order,
        work: &'a mut Work,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            assert_ne!(step, "confirm", "what comes last is never undone");
            if step == "pay" {
                self.bank.refund(ctx, &order.id, order.amount).await?;
                order.status = "refused".into();
                work.put(order)?;
            }
            Ok(())
        })
    }
}

struct Town {
    sim: SimRuntime,
    memory: MemoryBackends,
    weather: Weather,
}

impl Town {
    fn new(seed: u64) -> Town {
        let sim = SimRuntime::new(seed);
        let memory = MemoryBackends::new(sim.runtime());
        let weather = Weather::new(sim.runtime(), 0);
        Town { sim, memory, weather }
    }

    async fn open(&self) -> Result<Platform> {
        let memory = self.memory.backends().await?;
        let stores = Arc::new(FaultyStores(self.memory.stores.clone(), self.weather.clone()));
        let log = Arc::new(MemoryLog::new(self.sim.runtime()));
        let backends = Backends { stores, log, ..memory };
        let platform = Platform::builder(backends).domain(Bank).domain(Shop).build().await?;
        platform.start().await?;
        Ok(platform)
    }
}

async fn rest(town: &Town, seconds: u64) {
    town.sim.runtime().sleep(Duration::from_secs(seconds)).await;
}

#[test]
fn a_saga_does_its_steps_in_order_and_ends() {
    let town = Town::new(1);
    town.sim.block_on(async {
        let platform = town.open().await.unwrap();
        let (bank, orders) = (platform.domain::<Bank>().unwrap(), platform.domain::<Shop>().unwrap());
        orders.place("order_1", 30).await.unwrap();
        orders.place("order_1", 30).await.unwrap();
        rest(&town, 1).await;
        assert_eq!(orders.phase("order_1").await, Phase::Done);
        assert_eq!(orders.all().await[0].status, "sold");
        assert_eq!((bank.balance("buyer").await, bank.balance("seller").await), (-30, 30));
        platform.stop().await;
    });
}

#[test]
fn a_step_that_fails_for_good_undoes_those_before_it() {
    let town = Town::new(2);
    town.sim.block_on(async {
        let platform = town.open().await.unwrap();
        let (bank, orders) = (platform.domain::<Bank>().unwrap(), platform.domain::<Shop>().unwrap());
        orders.place("order_1", 13).await.unwrap();
        orders.place("order_2", 200).await.unwrap();
        rest(&town, 1).await;
        assert_eq!(orders.phase("order_1").await, Phase::Compensated);
        assert_eq!(orders.phase("order_2").await, Phase::Compensated);
        let statuses: Vec<_> = orders.all().await.into_iter().map(|order| order.status).collect();
        assert_eq!(statuses, ["refused", "placed"], "of the second nothing had been done");
        assert_eq!((bank.balance("buyer").await, bank.balance("seller").await), (0, 0));
        platform.stop().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_sale_happens_whole_or_not_at_all(
        seed in any::<u64>(),
        lives in proptest::collection::vec((1..6_000u64, prop_oneof![Just(0u32), Just(5), Just(25)]), 1..6),
        amounts in proptest::collection::vec(prop_oneof![Just(13i64), 1..60i64], 1..8),
    ) {
        let town = Town::new(seed);
        for (steps, weather) in lives {
            town.weather.percent.store(weather, Ordering::Relaxed);
            town.sim.run_steps(steps, async {
                let Ok(platform) = town.open().await else { return };
                for (number, amount) in amounts.iter().enumerate() {
                    // Placing the same again does nothing.
                    let orders = platform.domain::<Shop>().unwrap();
                    let _ = orders.place(&format!("order_{number}"), *amount).await;
                }
                rest(&town, 60).await;
            });
            town.sim.crash();
        }
        town.weather.percent.store(0, Ordering::Relaxed);
        let (orders, phases, buyer, seller) = town.sim.block_on(async {
            let platform = town.open().await.unwrap();
            rest(&town, 600).await;
            let (bank, shop) = (platform.domain::<Bank>().unwrap(), platform.domain::<Shop>().unwrap());
            let orders = shop.all().await;
            let mut phases = Vec::new();
            for order in &orders {
                phases.push(shop.phase(&order.id).await);
            }
            let found = (orders, phases, bank.balance("buyer").await, bank.balance("seller").await);
            platform.stop().await;
            found
        });
        let mut sold = 0;
        for (order, phase) in orders.iter().zip(phases) {
            let expected = if order.status == "sold" { Phase::Done } else { Phase::Compensated };
            prop_assert_eq!(phase, expected);
            sold += if order.status == "sold" { order.amount } else { 0 };
        }
        prop_assert_eq!((buyer, seller), (-sold, sold));
    }
}
