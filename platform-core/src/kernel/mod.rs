//! What every other module speaks: ids, errors, time, money, contexts, events.
//!
//! Nothing here does I/O, and nothing here knows a port or a domain.

mod clock;
mod context;
mod error;
mod event;
mod histogram;
mod id;
mod json;
pub mod limits;
pub mod merkle;
mod money;
mod page;
mod permission;
mod positions;
mod schema;
mod sealed;
mod secret;
mod text;

pub use clock::Timestamp;
pub use context::{Actor, ClientInfo, Context, IdempotencyKey, Permissions, Principal, TraceParent};
pub use error::{Error, ErrorKind, Result, Retry};
pub use event::{Event, EventData, EventPosition, NewEvent, Position};
pub use histogram::{CALL_BOUNDS_S, Histogram, Observations, SYNC_BOUNDS_S};
pub use id::{
    AccountId, CorrelationId, DeadLetterId, EventId, IdError, NotificationId, RawId, SessionId, TransferId,
    UserId,
};
pub use json::JsonText;
pub use money::{Amount, Asset, Balance};
pub use page::{Cursor, Page, PageRequest};
pub use permission::Permission;
pub use positions::{Commits, Positions};
pub use sealed::{DataKey, Sealed};
pub use secret::Secret;
#[doc(hidden)]
pub use text::from_text;

#[cfg(feature = "openapi")]
#[doc(hidden)]
pub use utoipa as schema_of;

/// A boxed future: what an object-safe asynchronous trait method returns.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
