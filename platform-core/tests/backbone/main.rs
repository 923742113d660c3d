//! The event backbone under simulation: virtual time, chosen scheduling, crashes, failing ports.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod faults;
mod positions;
mod properties;
mod sagas;
mod scenarios;
mod several;
mod world;
