//! The audit trail: one entry for each event, and a tree that is what the entries give.

use std::sync::Arc;

use parking_lot::Mutex;
use platform_core::audit::{AuditEntry, Outcome, STORE, verify};
use platform_core::kernel::merkle::leaf_hash;
use platform_core::kernel::{Context, Error, ErrorKind};

use crate::workload::Model;
use crate::world::World;

/// How many denials may stand in the trail twice.
///
/// A write without an answer is tried again under the same key, and a key is over after
/// [`platform_core::kernel::limits::IDEMPOTENCY_LIFETIME`] of the wall clock: after a jump of it, what was not
/// surely written before may be written twice. So it was for seed 257.
#[derive(Default)]
pub(super) struct Denials {
    surely_written: u64,
    perhaps_doubled: u64,
}

impl Denials {
    pub(super) fn keys_may_be_over(&mut self, world: &World) {
        self.perhaps_doubled += world.stage.truth.lock().denials.saturating_sub(self.surely_written);
    }

    /// In peace all are written, and that was answered.
    pub(super) fn are_written(&mut self, world: &World) {
        self.surely_written = world.stage.truth.lock().denials;
    }
}

/// Looks at the new entries; at all of them, as the platform's own check does, when it is `thorough`.
pub(super) async fn tree(
    world: &World,
    model: &Arc<Mutex<Model>>,
    settled: usize,
    denials: &Denials,
    crashed: bool,
    thorough: bool,
) -> Result<(), Error> {
    let Some(primary) = world.primary() else { return Ok(()) };
    let (audit, ctx) = (primary.platform.audit(), Context::system());
    loop {
        let index = model.lock().audit.frontier.size();
        let entry = match audit.event(&ctx, index).await {
            Ok(entry) => entry,
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        take_in(world, &mut model.lock(), &entry)?;
    }
    let Some(last) = model.lock().audit.frontier.size().checked_sub(1) else { return Ok(()) };
    let head = audit.proof(&ctx, last).await?;
    {
        let mut model = model.lock();
        let trail = &mut model.audit;
        if (head.tree_size, head.root) != (trail.frontier.size(), trail.frontier.root()) {
            world
                .stage
                .violated(format!("audit: {} entries are signed otherwise than they give", head.tree_size));
        }
        for (size, root) in std::mem::take(&mut trail.heads) {
            if trail.roots.get(size as usize) != Some(&root) {
                world.stage.violated(format!("audit: the head of {size} entries is not what they give"));
            }
        }
        let truth = world.stage.truth.lock();
        // What a worker has published since everything was settled may still be on its way.
        let published = truth.published.iter().take(settled).filter(|published| published.store != STORE);
        let missing = published
            .map(|published| (published.store.clone(), published.position.to_string()))
            .find(|source| !trail.sources.contains(source));
        let (counted, recorded) = (trail.denials, truth.denials);
        drop(truth);
        if let Some(missing) = missing {
            world.stage.violated(format!("audit: {missing:?} has no entry"));
        }
        if counted > recorded + denials.perhaps_doubled || (counted < recorded && !crashed) {
            world.stage.violated(format!("audit: {recorded} denials were recorded, {counted} are written"));
        }
    }
    if thorough {
        let report = verify(&*audit.database().store, None).await?;
        if !report.holds() {
            world.stage.violated(format!("audit: the trail does not hold: {report:?}"));
        }
    }
    Ok(())
}

fn take_in(world: &World, model: &mut Model, entry: &AuditEntry) -> Result<(), Error> {
    let trail = &mut model.audit;
    let size = trail.frontier.size();
    if entry.index != size {
        world.stage.violated(format!("audit: entry {size} says that it is {}", entry.index));
    }
    trail.frontier.append(leaf_hash(&entry.to_leaf()?));
    if trail.roots.is_empty() {
        trail.roots.push(platform_core::kernel::merkle::empty_root());
    }
    trail.roots.push(trail.frontier.root());
    if let Some(source) = &entry.what.source {
        let place = (source.store.clone(), source.position.to_string());
        if !trail.sources.insert(place) {
            world.stage.violated(format!("audit: {source:?} has two entries"));
        }
    }
    if entry.what.outcome == Outcome::Denied {
        trail.denials += entry.what.count.unwrap_or(1);
    }
    Ok(())
}
