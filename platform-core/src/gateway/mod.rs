//! The gateway: routes as data, who may use them and how often, and the services behind them.
//!
//! Nothing here speaks HTTP: a server asks [`RouteTable::resolve`] where a request goes, the policy
//! whether it may, and a [`Pool`] which endpoint is next.

mod cors;
mod error;
mod model;
mod pattern;
mod table;
mod trie;
mod upstream;
mod validate;

pub use cors::{Headers, Preflight};
pub use model::{
    Access, Cors, FlagSwitch, LimitBy, Matching, NamedRoute, Per, RateLimit, Route, RouteName, Target,
};
pub use pattern::{RESERVED, canonical_path, is_reserved};
pub use table::{CompiledRoute, RequestHead, Resolution, RouteTable};
pub use upstream::{
    Circuit, CircuitState, Endpoint, Failure, Health, Lease, Outcome, Pool, RetryBudget, UpstreamUrl,
    may_retry,
};
