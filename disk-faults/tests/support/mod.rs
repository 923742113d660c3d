//! What the sweeps share.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod ground;
pub(crate) mod ledger;
pub(crate) mod log;
pub(crate) mod model;
pub(crate) mod schema;
pub(crate) mod script;
pub(crate) mod stores;
pub(crate) mod sweep;
pub(crate) mod temporary;
