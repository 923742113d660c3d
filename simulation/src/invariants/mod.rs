//! What must hold: after each step what is cheap to look at, and all of it whenever the world is at
//! peace: every fault mended, everything that was on its way arrived.

mod audit;
mod events;
mod ledger;
mod notes;
mod people;
mod requests;
mod values;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use platform_core::kernel::{Context, Error, PageRequest};

use crate::random::Random;
use crate::workload::Model;
use crate::world::World;

pub use requests::{End, Request};

/// Steps of tasks until the world is at peace: some thousand commands' worth.
const STEPS_TO_PEACE: u64 = 2_000_000;

/// What was looked at already.
#[derive(Default)]
pub struct Checker {
    requests: requests::Requests,
    events: events::Events,
    denials: audit::Denials,
    /// Whether a node ended without being asked: what waited in its memory is lost.
    pub crashed: bool,
}

impl Checker {
    /// A command has come to an end.
    pub fn ended(&mut self, world: &World, request: Request) {
        self.requests.ended(&world.stage, request);
    }

    /// The wall clock jumps: keys may be over, so a denial whose write had no answer may be written again.
    pub fn clock_jumps(&mut self, world: &World) {
        self.denials.keys_may_be_over(world);
    }

    /// After each step, whatever is still under way: balances and floors, whether somebody is let in who
    /// may not be, the order of the events in the log and their effects, the audit tree, some values.
    pub fn after_step(&mut self, world: &World, model: &Arc<Mutex<Model>>, random: &mut Random) {
        world.stage.set_quiet(true);
        let at = random.index(world.nodes.len());
        let node = at.and_then(|at| world.nodes.get(at)).filter(|node| !node.is_poisoned());
        let looked = async {
            if let Some(node) = node {
                ledger::sums(world, node, model).await?;
                people::sessions(world, node, model, random).await?;
            }
            self.events.look(world, model, 0).await?;
            if world.primary().is_some_and(|primary| !primary.is_poisoned()) {
                audit::tree(world, model, 0, &self.denials, true, false).await?;
                values::glance(world, model, random).await?;
            }
            Ok(())
        };
        finish(world, "after a step", looked);
        world.stage.set_quiet(false);
    }

    /// With the world at peace: everything.
    pub fn in_peace(&mut self, world: &World, model: &Arc<Mutex<Model>>, thorough: bool) {
        world.stage.note(format_args!("peace"));
        world.stage.set_quiet(true);
        world.nodes.iter().for_each(|node| world.cut_off(node.number, false));
        let Some(settled) = finish(world, "until all is settled", settle(world)) else { return };
        finish(world, "in peace", async {
            ledger::history(world, model).await?;
            self.events.look(world, model, settled).await?;
            audit::tree(world, model, settled, &self.denials, self.crashed, thorough).await?;
            values::look(world, model).await?;
            notes::look(world, model).await?;
            people::look(world, model).await?;
            people::all_nodes(world, model).await
        });
        self.denials.are_written(world);
        self.requests.look(&world.stage);
        world.stage.set_quiet(false);
    }
}

/// Runs a look to its end: nothing fails in peace, and nothing gets stuck.
fn finish<T>(world: &World, when: &str, look: impl Future<Output = Result<T, Error>>) -> Option<T> {
    let sim = world.stage.sim.clone();
    match sim.run_steps(STEPS_TO_PEACE, look) {
        Some(Ok(looked)) => return Some(looked),
        Some(Err(error)) => world.stage.violated(format!("look: {when}: {error:?}")),
        None => world.stage.violated(format!("look: {when}: the platform is stuck")),
    }
    None
}

/// What was on its way arrives, what failed is handled again, what waits in memory is written. Returns how
/// many events had been published when everything was waited for the last time: workers go on.
async fn settle(world: &World) -> Result<usize, Error> {
    world.disk.apply_late().await;
    // What a node takes up again at its start is under way only now.
    world.stage.outside.sleep(Duration::from_secs(1)).await;
    let Some(primary) = world.primary() else { return Ok(0) };
    let (platform, ctx) = (&primary.platform, Context::system());
    platform.settled().await?;
    let letters = platform.dead_letters();
    for letter in letters.list(&ctx, &PageRequest::default()).await?.items {
        // Letters of one key are handled together: the later ones are gone then.
        let _ = letters.redrive(&ctx, letter.id).await;
    }
    for node in &world.nodes {
        if !node.is_poisoned() {
            node.platform.audit().flush().await?;
        }
    }
    let published = world.stage.truth.lock().published.len();
    platform.settled().await?;
    Ok(published)
}
