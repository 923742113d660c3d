//! The saga behind an order: take the money, take the thing; without the thing, give the money back.
//!
//! Each step answers the event of the step before, and changes the order in the same commit that marks the event
//! as handled. The ledger is a store of its own, so a step may move money and be repeated before its commit (a
//! crash, a conflict): its transfers have ids that follow from the order, and the same transfer moves money once.

use platform_core::backbone::{Handler, Topics};
use platform_core::kernel::{
    AccountId, BoxFuture, Context, Error, ErrorKind, Event, RawId, Result, TransferId,
};
use platform_core::ports::Database;
use platform_core::ports::store::Work;
use platform_core::transactions::{Transactions, TransferRequest};

use super::events::{OrderCancelled, OrderPaid, OrderPlaced, OrderShipped};
use super::{Order, OrderId, State, Stock};

pub(super) struct Checkout {
    pub(super) db: Database,
    pub(super) ledger: Transactions,
    pub(super) till: AccountId,
}

/// Which transfer of an order it is.
#[derive(Clone, Copy)]
enum Money {
    Payment = 1,
    Refund = 2,
}

impl Handler for Checkout {
    fn name(&self) -> &'static str {
        "orders.checkout"
    }

    fn topics(&self) -> Topics {
        Topics::Of(&["orders"])
    }

    fn database(&self) -> &Database {
        &self.db
    }

    fn handle<'a>(&'a self, events: &'a [Event], work: &'a mut Work) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for event in events {
                work.caused_by(event);
                if let Some(placed) = event.decode::<OrderPlaced>()? {
                    self.pay(placed.order_id, work).await?;
                } else if let Some(paid) = event.decode::<OrderPaid>()? {
                    self.ship(paid.order_id, work).await?;
                }
            }
            Ok(())
        })
    }
}

impl Checkout {
    /// The first step. A refusal of the ledger ends the order; nothing has to be undone.
    async fn pay(&self, id: OrderId, work: &mut Work) -> Result<()> {
        let mut order = load(work, id).await?;
        match self.transfer(&order, Money::Payment).await {
            Ok(()) => {
                order.state = State::Paid;
                work.publish(&OrderPaid { order_id: id, item: order.item.clone() })?;
                work.put(&order)
            }
            Err(refusal) if is_final(&refusal) => cancel(order, refusal.code(), work),
            Err(outage) => Err(outage),
        }
    }

    /// The second step. Without the thing the first one is undone.
    async fn ship(&self, id: OrderId, work: &mut Work) -> Result<()> {
        let mut order = load(work, id).await?;
        match work.load::<Stock>(order.item.as_str()).await? {
            Some(mut stock) if stock.left > 0 => {
                stock.left -= 1;
                work.put(&stock.value)?;
                order.state = State::Shipped;
                work.publish(&OrderShipped { order_id: id, item: order.item.clone() })?;
                work.put(&order)
            }
            _ => {
                self.transfer(&order, Money::Refund).await?;
                cancel(order, "orders.out_of_stock", work)
            }
        }
    }

    async fn transfer(&self, order: &Order, money: Money) -> Result<()> {
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
        self.ledger.transfer(&Context::service("orders"), &request).await.map(drop)
    }
}

async fn load(work: &mut Work, id: OrderId) -> Result<Order> {
    let order = work.load::<Order>(*id.as_bytes()).await?;
    let missing = || Error::data_loss("orders.missing", "an event names an order that is not there");
    Ok(order.ok_or_else(missing)?.value)
}

fn cancel(mut order: Order, cause: &str, work: &mut Work) -> Result<()> {
    order.state = State::Cancelled { cause: cause.to_owned() };
    work.publish(&OrderCancelled { order_id: order.id, item: order.item.clone() })?;
    work.put(&order)
}

/// The order's own id with another last digit: ordered by time, and the same for every repetition.
fn transfer_id(order: OrderId, money: Money) -> TransferId {
    TransferId(RawId((u128::from_be_bytes(*order.as_bytes()) ^ money as u128).to_be_bytes()))
}

/// Whether the ledger refused, rather than could not be asked.
fn is_final(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal | ErrorKind::DataLoss)
}
