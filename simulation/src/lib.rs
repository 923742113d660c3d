//! The whole core in one thread on a seed: the seven domains, the backbone and the in-memory engines,
//! under commands of all kinds and faults of all ports. The same seed gives the same run.
//!
//! In reading order:
//! - [`run`]: one seed from its first command to its last check.
//! - [`settings`]: what a seed is like; [`random`]: where its choices come from.
//! - [`stage`]: what everything shares; [`trace`]: the hash of what happened; [`truth`]: what really
//!   happened, as disk and post office saw it.
//! - [`world`]: the nodes; [`disk`]: what outlives them; [`faults`]: the ports as they have them.
//! - [`workload`]: the commands, and what their clients know; [`register`]: what a value may be.
//! - [`invariants`]: what must hold.
//! - `planted`, with the feature `planted-faults`: the proof that faults are found.

pub mod disk;
pub mod faults;
pub mod invariants;
#[cfg(feature = "planted-faults")]
pub mod planted;
pub mod random;
pub mod register;
pub mod run;
pub mod settings;
pub mod stage;
pub mod trace;
pub mod truth;
pub mod workload;
pub mod world;

pub use run::{Outcome, run};
