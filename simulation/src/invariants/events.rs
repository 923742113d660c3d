//! Outbox and inbox: every event in the log without a gap, and every effect of an event once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use platform_core::kernel::{Error, Event, EventId, EventPosition, UserId};
use platform_core::ports::log::{EventLog, partition_of};

use crate::workload::Model;
use crate::world::World;

/// How far the log was read, and what has to come next.
#[derive(Default)]
struct Lane {
    offset: u64,
    highest: EventPosition,
    expected: VecDeque<EventPosition>,
}

/// What was looked at already.
#[derive(Default)]
pub(super) struct Events {
    looked_at: usize,
    lanes: BTreeMap<(String, u16), Lane>,
    /// How often each event caused each type of event.
    caused: BTreeMap<(EventId, String), u32>,
    registered: Vec<(EventId, Option<UserId>)>,
}

/// One event may end several sessions.
const MANY: &str = "auth.session_revoked";

impl Events {
    /// Looks at what is new.
    pub(super) async fn look(&mut self, world: &World, model: &Arc<Mutex<Model>>) -> Result<(), Error> {
        self.take_in(world);
        for ((topic, partition), lane) in &mut self.lanes {
            let records =
                EventLog::read(world.disk.log(), topic, *partition, lane.offset, usize::MAX >> 1).await?;
            for record in records {
                lane.offset = record.offset + 1;
                let position = Event::from_json(&record.value)?.position;
                if position <= lane.highest {
                    continue;
                }
                lane.highest = position;
                let expected = lane.expected.pop_front();
                if expected != Some(position) {
                    world.stage.violated(format!(
                        "outbox: {topic}/{partition} has {position}, after it should come {expected:?}"
                    ));
                    return Ok(());
                }
            }
            if let Some(missing) = lane.expected.front() {
                world.stage.violated(format!("outbox: {topic}/{partition} never got {missing}"));
                return Ok(());
            }
        }
        self.effects(world, model);
        Ok(())
    }

    fn take_in(&mut self, world: &World) {
        let truth = world.stage.truth.lock();
        for published in truth.published.iter().skip(self.looked_at) {
            let partition = partition_of(&published.event.key, world.stage.settings.partitions);
            let lane = self.lanes.entry((published.store.clone(), partition)).or_default();
            lane.expected.push_back(published.position);
            let (event, name) = (&published.event, published.event.event_type.as_str());
            if let Some(cause) = event.causation_id {
                *self.caused.entry((cause, name.to_owned())).or_default() += 1;
            }
            if name == "auth.account_registered" {
                self.registered.push((event.id, event.subject.parse().ok()));
            }
        }
        self.looked_at = truth.published.len();
    }

    /// Every effect once: none twice, and none forgotten.
    fn effects(&mut self, world: &World, model: &Arc<Mutex<Model>>) {
        if let Some(((cause, name), count)) =
            self.caused.iter().find(|((_, name), count)| **count > 1 && name != MANY)
        {
            world.stage.violated(format!("inbox: {cause} caused {name} {count} times"));
        }
        let model = model.lock();
        for (event, user) in self.registered.drain(..) {
            // Whoever was deactivated or erased meanwhile is not welcomed.
            let is_sure = model.people.list.iter().any(|person| person.id == user && person.barred == 0);
            let welcomed = self.caused.contains_key(&(event, "notifications.accepted".to_owned()));
            if is_sure && !welcomed {
                world.stage.violated(format!("inbox: {event} was never handled: nobody was welcomed"));
            }
        }
    }
}
