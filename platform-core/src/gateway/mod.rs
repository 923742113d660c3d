//! The gateway: routes as data, who may use them and how often, and the services behind them.
//!
//! Nothing here speaks HTTP. A server asks, for each request:
//! 1. [`Gateway::table`] and [`RouteTable::resolve`]: where it goes;
//! 2. [`Gateway::receive`], then who asks, then [`Gateway::admit`]: whether it may, and what the rate limit says;
//! 3. for a route, [`Gateway::pool`] which target, [`Pool::lease`] which endpoint, and afterwards
//!    [`Lease::finish`] and [`Pool::retry`].
//!
//! A change of a route is a new table behind an atomic pointer: it is in force when it is answered, and no
//! request sees half of it. Endpoints keep their health over such a change.

mod commands;
mod cors;
mod error;
pub mod events;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod memory;
mod model;
mod pattern;
mod policy;
mod queries;
mod rate;
mod routing;
mod tables;
#[cfg(test)]
mod tests;
mod trie;
mod upstream;
mod validate;
mod worker;

pub use cors::{Headers, Preflight};
pub use model::{
    Access, Cors, FlagSwitch, LimitBy, Matching, NamedRoute, Per, RateLimit, Route, RouteName, Target,
};
pub use pattern::{RESERVED, canonical_path, is_reserved};
pub use policy::{Admission, Destination, OwnLimits};
pub use rate::RateLimitStatus;
pub use routing::{CompiledRoute, RequestHead, Resolution, RouteTable};
pub use upstream::{
    Circuit, CircuitState, Endpoint, Failure, Health, Lease, Outcome, Pool, RetryBudget, UpstreamUrl,
    may_retry,
};

use std::sync::Arc;

use crate::flags::Flags;
use crate::kernel::{Permission, Result};
use crate::ports::limiter::Limiter;
use crate::ports::signals::Signals;
use crate::ports::{Backends, Database};

use memory::Memory;

/// Reads routes.
pub const GATEWAY_READ: Permission = Permission::literal("gateway:read");
/// Changes routes.
pub const GATEWAY_WRITE: Permission = Permission::literal("gateway:write");

/// The gateway domain. Cloning is cheap.
#[derive(Clone)]
pub struct Gateway {
    db: Database,
    memory: Arc<Memory>,
    limiter: Arc<dyn Limiter>,
    flags: Flags,
    own: OwnLimits,
}

impl Gateway {
    /// Opens the store `gateway` and compiles the table.
    ///
    /// # Errors
    /// As [`crate::ports::store::Stores::open`].
    pub async fn open(backends: &Backends, flags: &Flags, own: OwnLimits) -> Result<Gateway> {
        let db = Database::open(backends, &tables::schema()).await?;
        Gateway::over(db, &backends.signals, Arc::clone(&backends.limiter), flags.clone(), own).await
    }

    async fn over(
        db: Database,
        signals: &Arc<dyn Signals>,
        limiter: Arc<dyn Limiter>,
        flags: Flags,
        own: OwnLimits,
    ) -> Result<Gateway> {
        let memory = Arc::new(Memory::load(&db, signals).await?);
        Ok(Gateway { db, memory, limiter, flags, own })
    }

    /// The store, for the backbone.
    pub fn database(&self) -> &Database {
        &self.db
    }
}
