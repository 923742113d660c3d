//! The ports as one node has them: each fails as its contract says that it may.

mod channel;
mod log;
mod node;
mod signals;
mod store;

pub use channel::FaultyChannel;
pub use log::FaultyLog;
pub use node::NodeRuntime;
pub(crate) use signals::IN_FORCE_EVERYWHERE;
pub use signals::{Bus, FaultySignals};
pub use store::{CleanStores, FaultyStores};
