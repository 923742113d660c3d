//! Messages: none that nobody sent, none that was refused, and each that is said to be sent was.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use platform_core::kernel::{Context, Error};

use crate::workload::Model;
use crate::world::World;

/// Looks at every message, as the primary node stores it.
pub(super) async fn look(world: &World, model: &Arc<Mutex<Model>>) -> Result<(), Error> {
    let Some(primary) = world.primary() else { return Ok(()) };
    let (notifications, ctx) = (primary.platform.notifications(), Context::system());
    let gone_out: BTreeSet<String> = world
        .stage
        .truth
        .lock()
        .sent
        .iter()
        .map(|(_, tag, _)| tag.clone())
        .filter(|tag| !tag.is_empty())
        .collect();
    let (known, refused): (Vec<_>, Vec<_>) = {
        let model = model.lock();
        if let Some(stray) = gone_out.iter().find(|tag| !model.notes.sent.contains_key(*tag)) {
            world.stage.violated(format!("mail: {stray} went out, nobody sent it"));
        }
        let known = model.notes.sent.iter().filter_map(|(tag, sent)| Some((tag.clone(), sent.id?)));
        let refused = model.notes.sent.iter().filter(|(_, sent)| sent.refused);
        (known.collect(), refused.map(|(tag, _)| tag.clone()).collect())
    };
    if let Some(tag) = refused.iter().find(|tag| gone_out.contains(*tag)) {
        world.stage.violated(format!("mail: {tag} went out, though it was refused"));
    }
    for (tag, id) in known {
        let view = notifications.get(&ctx, id).await?;
        if view.state == "sent" && !gone_out.contains(&tag) {
            world.stage.violated(format!("mail: {tag} is said to be sent, and was not"));
        }
        if view.state == "suppressed" && gone_out.contains(&tag) && view.attempts.is_empty() {
            world.stage.violated(format!("mail: {tag} went out, though it was suppressed"));
        }
    }
    Ok(())
}
