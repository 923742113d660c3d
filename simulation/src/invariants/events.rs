//! Outbox and inbox: every event in the log without a gap, and every effect of an event once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use platform_core::kernel::{Error, Event, EventId, EventPosition, UserId};
use platform_core::ports::log::{EventLog, partition_of};

use crate::workload::Model;
use crate::world::World;

/// How far the log was read, and what has to come next: each with its place among all events.
#[derive(Default)]
struct Lane {
    offset: u64,
    highest: EventPosition,
    expected: VecDeque<(EventPosition, usize)>,
}

/// What was looked at already.
#[derive(Default)]
pub(super) struct Events {
    looked_at: usize,
    lanes: BTreeMap<(String, u16), Lane>,
    /// How often each event caused each type of event.
    caused: BTreeMap<(EventId, String), u32>,
    /// With their places among all events.
    registered: Vec<(usize, EventId, Option<UserId>)>,
}

/// One event may end several sessions.
const MANY: &str = "auth.session_revoked";

impl Events {
    /// Looks at what is new. The first `settled` of all events have to be in the log, and handled; those
    /// that a worker has published since may still be on their way.
    pub(super) async fn look(
        &mut self,
        world: &World,
        model: &Arc<Mutex<Model>>,
        settled: usize,
    ) -> Result<(), Error> {
        self.take_in(world);
        let lanes: Vec<(String, u16)> = self.lanes.keys().cloned().collect();
        for (topic, partition) in lanes {
            let offset = self.lanes.get(&(topic.clone(), partition)).map_or(0, |lane| lane.offset);
            let records =
                EventLog::read(world.disk.log(), &topic, partition, offset, usize::MAX >> 1).await?;
            // What was committed while the log was read may be in it.
            self.take_in(world);
            let Some(lane) = self.lanes.get_mut(&(topic.clone(), partition)) else { continue };
            for record in records {
                lane.offset = record.offset + 1;
                let position = Event::from_json(&record.value)?.position;
                if position <= lane.highest {
                    continue;
                }
                lane.highest = position;
                let expected = lane.expected.pop_front().map(|(position, _)| position);
                if expected != Some(position) {
                    world.stage.violated(format!(
                        "outbox: {topic}/{partition} has {position}, after it should come {expected:?}"
                    ));
                    return Ok(());
                }
            }
            if let Some((missing, _)) = lane.expected.front().filter(|(_, at)| *at < settled) {
                world.stage.violated(format!("outbox: {topic}/{partition} never got {missing}"));
                return Ok(());
            }
        }
        self.effects(world, model, settled);
        Ok(())
    }

    fn take_in(&mut self, world: &World) {
        let mut doubled = Vec::new();
        let truth = world.stage.truth.lock();
        for (at, published) in truth.published.iter().enumerate().skip(self.looked_at) {
            let partition = partition_of(&published.event.key, world.stage.settings.partitions);
            let lane = self.lanes.entry((published.store.clone(), partition)).or_default();
            lane.expected.push_back((published.position, at));
            let (event, name) = (&published.event, published.event.event_type.as_str());
            if let Some(cause) = event.causation_id {
                let count = self.caused.entry((cause, name.to_owned())).or_default();
                *count += 1;
                if *count > 1 && name != MANY {
                    doubled.push(format!("inbox: {cause} caused {name} {count} times"));
                }
            }
            if name == "auth.account_registered" {
                self.registered.push((at, event.id, event.subject.parse().ok()));
            }
        }
        self.looked_at = truth.published.len();
        drop(truth);
        doubled.into_iter().for_each(|what| world.stage.violated(what));
    }

    /// No effect is forgotten.
    fn effects(&mut self, world: &World, model: &Arc<Mutex<Model>>, settled: usize) {
        let model = model.lock();
        for (_, event, user) in self.registered.extract_if(.., |(at, ..)| *at < settled) {
            // Whoever was deactivated or erased meanwhile is not welcomed.
            let is_sure = model.people.list.iter().any(|person| person.id == user && person.barred == 0);
            let welcomed = self.caused.contains_key(&(event, "notifications.accepted".to_owned()));
            if is_sure && !welcomed {
                world.stage.violated(format!("inbox: {event} was never handled: nobody was welcomed"));
            }
        }
    }
}
