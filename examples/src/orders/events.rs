//! What this domain publishes.

use platform_core::kernel::EventData;
use serde::{Deserialize, Serialize};

use super::OrderId;

macro_rules! about_an_order {
    ($($(#[$doc:meta])* $event:ident => $name:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $event {
            /// The order.
            pub order_id: OrderId,
            /// The thing.
            pub item: String,
        }

        impl EventData for $event {
            const TYPE: &'static str = $name;

            fn subject(&self) -> String {
                self.order_id.to_string()
            }
        }
    )+};
}

about_an_order! {
    /// Somebody ordered something.
    OrderPlaced => "orders.placed";
    /// It is paid.
    OrderPaid => "orders.paid";
    /// It is on its way.
    OrderShipped => "orders.shipped";
    /// It came to nothing, and nothing is paid.
    OrderCancelled => "orders.cancelled";
}
