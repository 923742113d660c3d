//! The services behind routes: which endpoint takes a request, and whether one is asked at all.
//!
//! State machines with injected time; the server's proxy drives them. Health belongs to an endpoint
//! and is shared by every route that names it; circuit and retry budget belong to a set of endpoints.

mod circuit;
mod health;
mod pool;
mod retry;
mod url;

pub use circuit::{Circuit, CircuitState};
pub use health::Health;
pub(super) use pool::Upstreams;
pub use pool::{Endpoint, Lease, Outcome, Pool};
pub use retry::{Failure, RetryBudget, may_retry};
pub use url::UpstreamUrl;
