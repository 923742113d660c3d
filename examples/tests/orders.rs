//! An application's own domain: over the in-memory ports in virtual time, where crashes are cheap.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use examples::orders::{MANAGE, Order, OrderId, Orders, OrdersDomain, PLACE, PlaceOrder, State, Stock};
use platform_core::Platform;
use platform_core::kernel::{
    AccountId, Actor, Context, CorrelationId, PageRequest, Permission, Permissions, Principal, RawId, Result,
    UserId,
};
use platform_core::ports::MemoryBackends;
use platform_core::ports::runtime::SimRuntime;
use platform_core::transactions::{NewAccount, TransferRequest};

struct Shop {
    world: SimRuntime,
    memory: MemoryBackends,
    till: AccountId,
    purse: AccountId,
    platform: Platform,
}

impl Shop {
    /// A purse with some money, and a shop with some books for 10.00 each.
    fn new(seed: u64, money: &str, books: u32) -> Shop {
        let world = SimRuntime::new(seed);
        let memory = MemoryBackends::new(world.runtime());
        let (till, purse) = world.block_on(async {
            let platform = Platform::builder(memory.backends().await.unwrap()).build().await.unwrap();
            platform.start().await.unwrap();
            let open = async |name: &str, floor: Option<&str>| {
                let new = NewAccount {
                    asset: "EUR".into(),
                    name: Some(name.into()),
                    min_balance: floor.map(str::to_owned),
                    owner: None,
                };
                platform.transactions().open_account(&owner(), &new).await.unwrap().id
            };
            let (bank, till, purse) =
                (open("bank", None).await, open("till", None).await, open("purse", Some("0")).await);
            let fill = transfer(bank, purse, money);
            platform.transactions().transfer(&owner(), &fill).await.unwrap();
            platform.stop().await;
            (till, purse)
        });
        let platform = world.block_on(start(&memory, till));
        let shop = Shop { world, memory, till, purse, platform };
        let stock = Stock { item: "book".into(), price: "10.00".into(), left: books };
        shop.run(shop.orders().put_stock(&owner(), &stock)).unwrap();
        shop
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.world.block_on(future)
    }

    fn orders(&self) -> Arc<Orders> {
        self.platform.domain::<OrdersDomain>().unwrap()
    }

    fn place(&self) -> Result<Order> {
        let request = PlaceOrder { item: "book".into(), account: self.purse };
        self.run(self.orders().place(&customer(&[PLACE]), &request))
    }

    /// Lets time pass until all orders have come to their end, and everybody has heard of it.
    fn settle(&self, placed: &[OrderId]) {
        let ended = |id: &OrderId| matches!(self.state(*id), State::Shipped | State::Cancelled { .. });
        while !placed.iter().all(ended) {
            self.world.advance(Duration::from_millis(10));
        }
        self.run(self.platform.settled()).unwrap();
    }

    fn state(&self, id: OrderId) -> State {
        self.run(self.orders().get(&owner(), id)).unwrap().state.clone()
    }

    fn balance(&self, account: AccountId) -> String {
        self.run(self.platform.transactions().account(&owner(), account, None)).unwrap().posted
    }

    fn left(&self) -> u32 {
        self.run(self.orders().stock(&owner(), "book")).unwrap().unwrap().left
    }

    fn sold(&self) -> u64 {
        self.run(self.orders().sold(&owner(), "book")).unwrap()
    }

    /// The process ends here, and another opens the same data.
    fn restart(mut self) -> Shop {
        self.run(self.platform.stop());
        let (world, memory, till, purse) = (self.world.clone(), self.memory.clone(), self.till, self.purse);
        drop(self.platform);
        self.platform = world.block_on(start(&memory, till));
        Shop { world, memory, till, purse, platform: self.platform }
    }
}

async fn start(memory: &MemoryBackends, till: AccountId) -> Platform {
    let builder = Platform::builder(memory.backends().await.unwrap());
    let platform = builder.domain(OrdersDomain { till }).build().await.unwrap();
    platform.start().await.unwrap();
    platform
}

fn transfer(from: AccountId, to: AccountId, amount: &str) -> TransferRequest {
    TransferRequest {
        id: None,
        debit_account: from,
        credit_account: to,
        asset: "EUR".into(),
        amount: amount.into(),
        pending: false,
        expires_in_s: None,
    }
}

fn owner() -> Context {
    Context::service("shop")
}

fn customer(permissions: &[Permission]) -> Context {
    let principal = Principal {
        actor: Actor::User(UserId(RawId([1; 16]))),
        session: None,
        permissions: Permissions::Only(Arc::new(permissions.iter().cloned().collect())),
    };
    Context::new(principal, CorrelationId::from_raw(RawId([2; 16])))
}

#[test]
fn an_order_is_paid_and_shipped() {
    let shop = Shop::new(1, "25.00", 3);
    let order = shop.place().unwrap();
    assert_eq!(order.state, State::Placed);
    shop.settle(&[order.id]);
    assert_eq!(shop.state(order.id), State::Shipped);
    assert_eq!((shop.balance(shop.purse), shop.balance(shop.till)), ("15.00".into(), "10.00".into()));
    assert_eq!((shop.left(), shop.sold()), (2, 1));
    let (orders, me) = (shop.orders(), customer(&[]));
    let mine = shop.run(orders.of_customer(&me, UserId(RawId([1; 16])), PageRequest::default()));
    assert_eq!(mine.unwrap().items.len(), 1);
}

#[test]
fn when_the_second_step_fails_the_first_is_undone() {
    let shop = Shop::new(2, "25.00", 0);
    let order = shop.place().unwrap();
    shop.settle(&[order.id]);
    assert_eq!(shop.state(order.id), State::Cancelled { cause: "orders.out_of_stock".into() });
    assert_eq!((shop.balance(shop.purse), shop.balance(shop.till)), ("25.00".into(), "0.00".into()));
    assert_eq!((shop.left(), shop.sold()), (0, 0));
}

#[test]
fn without_money_nothing_moves() {
    let shop = Shop::new(3, "9.99", 3);
    let order = shop.place().unwrap();
    shop.settle(&[order.id]);
    assert_eq!(shop.state(order.id), State::Cancelled { cause: "ledger.insufficient_funds".into() });
    assert_eq!((shop.balance(shop.purse), shop.left(), shop.sold()), ("9.99".into(), 3, 0));
}

#[test]
fn whatever_the_order_of_things_money_and_stock_agree() {
    for seed in 10..20 {
        let shop = Shop::new(seed, "75.00", 5);
        let placed: Vec<_> = (0..12).map(|_| shop.place().unwrap().id).collect();
        shop.settle(&placed);
        let shipped = placed.iter().filter(|id| shop.state(**id) == State::Shipped).count();
        assert!(
            placed.iter().all(|id| !matches!(shop.state(*id), State::Placed | State::Paid)),
            "seed {seed}"
        );
        assert_eq!(shipped, 5, "seed {seed}: five books, and money for seven");
        assert_eq!((shop.left(), shop.sold()), (0, 5));
        assert_eq!((shop.balance(shop.purse), shop.balance(shop.till)), ("25.00".into(), "50.00".into()));
    }
}

#[test]
fn a_restart_between_the_steps_loses_and_doubles_nothing() {
    for seed in 30..40 {
        let mut shop = Shop::new(seed, "100.00", 10);
        let mut placed = Vec::new();
        for _ in 0..4 {
            placed.push(shop.place().unwrap().id);
            placed.push(shop.place().unwrap().id);
            // Somewhere within the steps: the seed decides how far they came.
            shop.world.advance(Duration::from_micros(seed * 37 % 900));
            shop = shop.restart();
        }
        shop.settle(&placed);
        assert!(placed.iter().all(|id| shop.state(*id) == State::Shipped), "seed {seed}");
        assert_eq!((shop.balance(shop.purse), shop.left(), shop.sold()), ("20.00".into(), 2, 8));
    }
}

#[test]
fn the_projection_is_rebuilt_to_the_same_state() {
    let shop = Shop::new(4, "100.00", 10);
    let placed: Vec<_> = (0..6).map(|_| shop.place().unwrap().id).collect();
    shop.settle(&placed);
    assert_eq!(shop.sold(), 6);
    shop.run(shop.platform.rebuild(&owner(), "orders.sales")).unwrap();
    assert_eq!((shop.sold(), shop.left()), (6, 4));
    shop.settle(&[shop.place().unwrap().id]);
    assert_eq!(shop.sold(), 7);
}

#[test]
fn each_thing_takes_its_permission() {
    let shop = Shop::new(5, "10.00", 1);
    let request = PlaceOrder { item: "book".into(), account: shop.purse };
    let orders = shop.orders();
    assert_eq!(shop.run(orders.place(&customer(&[]), &request)).unwrap_err().code(), "auth.forbidden");
    assert_eq!(shop.run(orders.sold(&customer(&[PLACE]), "book")).unwrap_err().code(), "auth.forbidden");
    assert_eq!(shop.run(orders.sold(&customer(&[MANAGE]), "book")).unwrap(), 0);
    let unknown = PlaceOrder { item: "pen".into(), account: shop.purse };
    assert_eq!(
        shop.run(orders.place(&customer(&[PLACE]), &unknown)).unwrap_err().code(),
        "orders.unknown_item"
    );
}
