//! What is stored.

use platform_core::kernel::{AccountId, Timestamp, UserId};
use platform_core::ports::store::{Collection, Document, Entry, Index};
use serde::{Deserialize, Serialize};

use super::{OrderId, State};

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Who ordered.
    pub customer: UserId,
    /// What.
    pub item: String,
    /// For how much, in EUR.
    pub price: String,
    /// What pays for it.
    pub account: AccountId,
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub placed_at: Timestamp,
}

impl Order {
    pub(super) const BY_CUSTOMER: &'static str = "by_customer";
}

impl Document for Order {
    const COLLECTION: Collection =
        Collection::json("orders").indexed(&[Index::one(Order::BY_CUSTOMER)], Order::reindex_body);

    fn id(&self) -> Vec<u8> {
        self.id.as_bytes().to_vec()
    }

    fn entries(&self) -> Vec<Entry> {
        vec![Entry::new(Order::BY_CUSTOMER, self.customer.as_bytes().to_vec())]
    }
}

/// What there is of a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// The thing.
    pub item: String,
    /// Its price in EUR.
    pub price: String,
    /// How many are left.
    pub left: u32,
}

impl Document for Stock {
    const COLLECTION: Collection = Collection::json("stock");

    fn id(&self) -> Vec<u8> {
        self.item.as_bytes().to_vec()
    }
}
