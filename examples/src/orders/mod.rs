//! An application's own domain on the platform's public parts: orders of things that are in stock.
//!
//! - [`Orders::place`] commits the order, the event that tells of it and the beginning of the saga together.
//! - [`checkout`] is a saga: it takes the payment through the ledger, then takes the thing from the stock; when
//!   there is none left, it gives the money back.
//! - [`sales`] is a projection: how much of each thing was sold; it can be rebuilt from the events.
//!
//! The rooms are those of every domain: `model` and `tables`, `events`, commands and queries here, and what it
//! does about events in `checkout` and `sales`.

mod checkout;
pub mod events;
mod model;
mod sales;
mod tables;

pub use model::{OrderId, PlaceOrder, State};
pub use sales::Sales;
pub use tables::{Order, Stock};

use platform_core::backbone::saga::{self, Progress};
use platform_core::backbone::{Parts, live_generation};
use platform_core::kernel::{
    AccountId, BoxFuture, Context, Error, Page, PageRequest, Permission, Result, UserId,
};
use platform_core::ports::Database;
use platform_core::ports::store::{Document, IndexRange, KeyWriter, Schema, Stored, command};
use platform_core::{Domain, Platform};

/// To order for oneself.
pub const PLACE: Permission = Permission::literal("orders:place");
/// To see the orders and sales of all, and to fill the stock.
pub const MANAGE: Permission = Permission::literal("orders:manage");

/// The domain as it is given to `Platform::builder`: money goes to the shop's account.
pub struct OrdersDomain {
    /// Where payments go.
    pub till: AccountId,
}

impl Domain for OrdersDomain {
    type Facade = Orders;

    fn schema(&self) -> Schema {
        Schema::new(
            "orders",
            1,
            &[Order::COLLECTION, Stock::COLLECTION, Sales::COLLECTION, Progress::COLLECTION],
        )
    }

    fn build<'a>(self, db: Database, platform: &'a Platform) -> BoxFuture<'a, Result<(Orders, Parts)>> {
        Box::pin(async move {
            let ledger = platform.transactions().clone();
            let checkout = checkout::Checkout { db: db.clone(), ledger, till: self.till };
            let parts = Parts::none().saga(checkout).handler(sales::Projection { db: db.clone() });
            Ok((Orders { db }, parts))
        })
    }
}

/// What the application calls.
pub struct Orders {
    db: Database,
}

impl Orders {
    /// Orders a thing: the order, its event and the beginning of the saga are one commit.
    ///
    /// # Errors
    /// `auth.…` without [`PLACE`]; `orders.unknown_item`.
    pub async fn place(&self, context: &Context, request: &PlaceOrder) -> Result<Order> {
        context.require(&PLACE)?;
        let customer = context.user()?;
        let done = command(&self.db, context, "orders.place", request, |mut work| async move {
            let stock = work.load::<Stock>(request.item.as_str()).await?;
            let stock =
                stock.ok_or_else(|| Error::not_found("orders.unknown_item", "there is no such thing"))?;
            let order = Order {
                id: work.new_id(),
                customer,
                item: request.item.clone(),
                price: stock.price.clone(),
                account: request.account,
                state: State::Placed,
                placed_at: work.now(),
            };
            work.create(&order)?;
            let checking = checkout::Checking { order_id: order.id };
            saga::start(&mut work, checkout::NAME, &order.id.to_string(), &checking).await?;
            work.publish(&events::OrderPlaced { order_id: order.id, item: order.item.clone() })?;
            work.reply(order)
        })
        .await?;
        Ok(done.value)
    }

    /// An order of one's own, or with [`MANAGE`] of anybody.
    ///
    /// # Errors
    /// `orders.not_found`; `auth.…`.
    pub async fn get(&self, context: &Context, id: OrderId) -> Result<Stored<Order>> {
        let order = self.db.get::<Order>(*id.as_bytes()).await?;
        let order = order.ok_or_else(|| Error::not_found("orders.not_found", "there is no such order"))?;
        context.require_self_or(order.customer, &MANAGE)?;
        Ok(order)
    }

    /// The orders of a customer, the newest first.
    ///
    /// # Errors
    /// `auth.…`; `request.…`.
    pub async fn of_customer(
        &self,
        context: &Context,
        customer: UserId,
        page: PageRequest,
    ) -> Result<Page<Order>> {
        context.require_self_or(customer, &MANAGE)?;
        let range =
            IndexRange::index(Order::COLLECTION.name, Order::BY_CUSTOMER).exactly(customer.as_bytes());
        let range = range.backward().limit(page.limit()?).after(page.cursor);
        Ok(self.db.scan::<Order>(&range).await?.map(|order| order.value))
    }

    /// Sets what there is of a thing, and its price.
    ///
    /// # Errors
    /// `auth.…` without [`MANAGE`].
    pub async fn put_stock(&self, context: &Context, stock: &Stock) -> Result<()> {
        context.require(&MANAGE)?;
        command(&self.db, context, "orders.put_stock", stock, |mut work| async move {
            work.put(stock)?;
            work.reply(())
        })
        .await
        .map(drop)
    }

    /// How much of a thing is there.
    ///
    /// # Errors
    /// `auth.…` without [`MANAGE`].
    pub async fn stock(&self, context: &Context, item: &str) -> Result<Option<Stored<Stock>>> {
        context.require(&MANAGE)?;
        self.db.get::<Stock>(item).await
    }

    /// How many of a thing were sold, as far as the projection has come.
    ///
    /// # Errors
    /// `auth.…` without [`MANAGE`].
    pub async fn sold(&self, context: &Context, item: &str) -> Result<u64> {
        context.require(&MANAGE)?;
        let generation = live_generation(&self.db, sales::NAME).await?;
        let id = KeyWriter::new().u64(generation).text(item).finish();
        Ok(self.db.get::<Sales>(id).await?.map_or(0, |sales| sales.count))
    }
}
