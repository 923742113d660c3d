//! What an order goes through.

use platform_core::kernel::AccountId;
use serde::{Deserialize, Serialize};

platform_core::typed_id! {
    /// An order.
    OrderId, "order"
}

/// Where an order stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum State {
    /// Nothing was paid yet.
    Placed,
    /// The money is with the shop.
    Paid,
    /// The thing was taken from the stock.
    Shipped,
    /// It came to nothing: nothing was paid, or it was given back.
    Cancelled {
        /// The code of the cause.
        cause: String,
    },
}

/// What a customer asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    /// The thing.
    pub item: String,
    /// What is to pay for it.
    pub account: AccountId,
}
