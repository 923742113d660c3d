//! The commands, over all seven domains, and what their clients know of what became of them.

pub mod audit;
pub mod flags;
pub mod gateway;
pub mod ledger;
pub mod notes;
pub mod people;

use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::Mutex;
use platform_core::Platform;
use platform_core::kernel::{BoxFuture, Context, ErrorKind, Result};

use crate::random::Random;
use crate::register::{Register, Ticket};
use crate::stage::Stage;

/// What the clients know.
#[derive(Default)]
pub struct Model {
    /// Users and auth.
    pub people: people::People,
    /// Transactions.
    pub ledger: ledger::Ledger,
    /// Notifications.
    pub notes: notes::Notes,
    /// Flags.
    pub flags: flags::Flags,
    /// The gateway.
    pub routes: gateway::Routes,
    /// The audit trail.
    pub audit: audit::Trail,
}

/// The code of a refusal that says nothing about the platform.
pub const MOOT: &str = "simulation.moot";

/// Where a command is run.
#[derive(Clone)]
pub struct Scene {
    /// What everything shares.
    pub stage: Arc<Stage>,
    /// The node that is asked.
    pub node: u32,
    /// Its platform.
    pub platform: Platform,
    /// What the clients know.
    pub model: Arc<Mutex<Model>>,
}

/// How a command is asked for.
pub struct Call {
    /// By whom, under which request id and key.
    pub ctx: Context,
    /// It is the same request once more: it must have no effect if the first had one.
    pub again: bool,
}

/// A command with all its values: it can be sent again.
pub trait Op: Send + Sync + Debug {
    /// Sends it, and tells the model what became of it. Returns what the same request must be answered
    /// again.
    ///
    /// # Errors
    /// Those of the platform.
    fn run<'a>(&'a self, scene: &'a Scene, call: &'a Call) -> BoxFuture<'a, Result<String>>;

    /// Whether it is sent with an idempotency key now and then.
    fn takes_key(&self) -> bool {
        false
    }

    /// Types of events that it may publish although it is refused.
    fn may_leave(&self) -> &'static [&'static str] {
        &[]
    }
}

/// Chooses the next command.
pub fn plan(model: &mut Model, random: &mut Random, weights: &[u64; 6]) -> Arc<dyn Op> {
    let mut at = random.below(weights.iter().sum());
    for (domain, weight) in weights.iter().enumerate() {
        if at < *weight {
            return match domain {
                0 => model.people.plan(random),
                1 => model.ledger.plan(random),
                2 => notes::plan(model, random),
                3 => flags::plan(random),
                4 => gateway::plan(random),
                _ => audit::plan(model, random),
            };
        }
        at -= weight;
    }
    model.people.plan(random)
}

/// Whether a failed command may have happened all the same.
pub fn is_unknown(kind: ErrorKind) -> bool {
    kind == ErrorKind::Unavailable
}

/// Tells a register what became of a write.
pub fn close<T: PartialEq + Clone, R>(
    register: &mut Register<T>,
    ticket: Ticket,
    result: &Result<R>,
    call: &Call,
) {
    match result {
        // Whether it happened now or the first time is not known.
        Ok(_) if call.again => {}
        Ok(_) => register.acknowledge(ticket),
        Err(error) if is_unknown(error.kind()) => {}
        Err(_) => register.refuse(ticket),
    }
}
