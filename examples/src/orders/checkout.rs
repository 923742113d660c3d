//! The saga behind an order: take the money, take the thing; without the thing, give the money back.
//!
//! What a step writes about the order and how far the saga is are one commit. The ledger is a store of its own,
//! so a step may move money and be repeated before that commit (a crash, a conflict): its transfers have ids that
//! follow from the order, and the same transfer moves money once.

use platform_core::backbone::saga::{self, Saga};
use platform_core::kernel::{AccountId, BoxFuture, Context, Error, ErrorKind, RawId, Result, TransferId};
use platform_core::ports::Database;
use platform_core::ports::store::{Stored, Work};
use platform_core::transactions::{Transactions, TransferRequest};
use serde::{Deserialize, Serialize};

use super::events::{OrderCancelled, OrderPaid, OrderShipped};
use super::{Order, OrderId, State, Stock};

/// The name under which the saga's progress is remembered.
pub(super) const NAME: &str = "orders.checkout";

/// The order is there: there is something to cancel.
const ORDER: &str = "order";
/// Its price goes to the shop.
const PAY: &str = "pay";
/// The thing is taken from the stock.
const SHIP: &str = "ship";

pub(super) struct Checkout {
    pub(super) db: Database,
    pub(super) ledger: Transactions,
    pub(super) till: AccountId,
}

/// What the steps know.
#[derive(Serialize, Deserialize)]
pub(super) struct Checking {
    pub(super) order_id: OrderId,
}

/// Which transfer of an order it is.
#[derive(Clone, Copy)]
enum Money {
    Payment = 1,
    Refund = 2,
}

impl Saga for Checkout {
    type State = Checking;

    fn name(&self) -> &'static str {
        NAME
    }

    fn steps(&self) -> &'static [&'static str] {
        &[ORDER, PAY, SHIP]
    }

    fn database(&self) -> &Database {
        &self.db
    }

    fn run<'a>(
        &'a self,
        step: &'static str,
        ctx: &'a Context,
        state: &'a mut Checking,
        work: &'a mut Work,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let order = load(work, state.order_id).await?;
            match step {
                PAY => self.pay(order, ctx, work).await,
                SHIP => ship(order, work).await,
                _ => Ok(()),
            }
        })
    }

    fn compensate<'a>(
        &'a self,
        step: &'static str,
        ctx: &'a Context,
        state: &'a mut Checking,
        work: &'a mut Work,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let order = load(work, state.order_id).await?;
            match step {
                PAY => self.give_back(&order, ctx).await,
                ORDER => self.cancel(order, work).await,
                _ => Ok(()),
            }
        })
    }
}

impl Checkout {
    async fn pay(&self, mut order: Stored<Order>, ctx: &Context, work: &mut Work) -> Result<()> {
        self.transfer(&order, Money::Payment, ctx).await?;
        order.state = State::Paid;
        work.publish(&OrderPaid { order_id: order.id, item: order.item.clone() })?;
        work.put(&order.value)
    }

    /// Only what was paid is given back.
    async fn give_back(&self, order: &Order, ctx: &Context) -> Result<()> {
        match self.ledger.read_transfer(ctx, transfer_id(order.id, Money::Payment)).await {
            Ok(_) => self.transfer(order, Money::Refund, ctx).await,
            Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn cancel(&self, mut order: Stored<Order>, work: &mut Work) -> Result<()> {
        let progress = saga::progress(&self.db, NAME, &order.id.to_string()).await?;
        let cause = progress.and_then(|progress| progress.error_code).unwrap_or_default();
        order.state = State::Cancelled { cause };
        work.publish(&OrderCancelled { order_id: order.id, item: order.item.clone() })?;
        work.put(&order.value)
    }

    async fn transfer(&self, order: &Order, money: Money, ctx: &Context) -> Result<()> {
        let (debit_account, credit_account) = match money {
            Money::Payment => (order.account, self.till),
            Money::Refund => (self.till, order.account),
        };
        let request = TransferRequest {
            id: Some(transfer_id(order.id, money)),
            debit_account,
            credit_account,
            asset: "EUR".to_owned(),
            amount: order.price.clone(),
            pending: false,
            expires_in_s: None,
        };
        self.ledger.transfer(ctx, &request).await.map(drop)
    }
}

async fn ship(mut order: Stored<Order>, work: &mut Work) -> Result<()> {
    let stock = work.load::<Stock>(order.item.as_str()).await?.filter(|stock| stock.left > 0);
    let out_of_stock = || Error::conflict("orders.out_of_stock", "there is none left");
    let mut stock = stock.ok_or_else(out_of_stock)?;
    stock.left -= 1;
    work.put(&stock.value)?;
    order.state = State::Shipped;
    work.publish(&OrderShipped { order_id: order.id, item: order.item.clone() })?;
    work.put(&order.value)
}

async fn load(work: &mut Work, id: OrderId) -> Result<Stored<Order>> {
    let missing = || Error::data_loss("orders.missing", "a saga names an order that is not there");
    work.load::<Order>(*id.as_bytes()).await?.ok_or_else(missing)
}

/// The order's own id with another last digit: ordered by time, and the same for every repetition.
fn transfer_id(order: OrderId, money: Money) -> TransferId {
    TransferId(RawId((u128::from_be_bytes(*order.as_bytes()) ^ money as u128).to_be_bytes()))
}
