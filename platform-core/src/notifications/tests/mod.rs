//! The facade over the in-memory store and channel, in virtual time.

mod preferences;
mod reactions_to_events;
mod requests;
mod retries;
mod sending;
mod templates;
mod workers;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::tables::Notification;
use super::*;
use crate::backbone::Backbone;
use crate::kernel::{Actor, CorrelationId, Event, EventPosition, Permissions, Principal, RawId, Timestamp};
use crate::ports::MemoryBackends;
use crate::ports::channel::{MemoryChannel, SendError};
use crate::ports::log::{EventLog, MemoryLog};
use crate::ports::runtime::SimRuntime;
use crate::users::{NewProfile, Profile};

struct World {
    sim: SimRuntime,
    channel: Arc<MemoryChannel>,
    users: Users,
    notifications: Notifications,
    backbone: Backbone,
    log: MemoryLog,
}

impl World {
    /// With a running worker.
    fn new() -> World {
        World::with_workers(1)
    }

    fn with_workers(workers: usize) -> World {
        let world = World::idle();
        world.start(workers);
        world
    }

    fn idle() -> World {
        World::over(|channels| channels)
    }

    fn over(change: impl FnOnce(Vec<Arc<dyn Channel>>) -> Vec<Arc<dyn Channel>>) -> World {
        let sim = SimRuntime::new(1);
        let memory = MemoryBackends::new(sim.runtime());
        let channel = Arc::clone(&memory.channel);
        let (users, notifications, backbone) = sim.block_on(async {
            let mut backends = memory.backends().await.unwrap();
            backends.channels = change(backends.channels);
            let users = Users::open(&backends).await.unwrap();
            let notifications = Notifications::open(&backends, &users).await.unwrap();
            (users, notifications, Backbone::new(backends))
        });
        World { sim, channel, users, notifications, backbone, log: memory.log.clone() }
    }

    /// Starts the worker, several times over.
    fn start(&self, workers: usize) {
        let task = self.notifications.parts().tasks.remove(0);
        let parts = (0..workers).fold(crate::backbone::Parts::none(), |parts, _| parts.task(task.clone()));
        self.backbone.add(self.notifications.database(), parts).unwrap();
        self.run(self.backbone.start()).unwrap();
    }

    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.sim.block_on(future)
    }

    fn now(&self) -> Timestamp {
        self.sim.runtime().now()
    }

    fn after(&self, seconds: u64) -> Timestamp {
        self.now().plus(Duration::from_secs(seconds))
    }

    fn pass(&self, seconds: u64) {
        self.sim.advance(Duration::from_secs(seconds));
    }

    fn user(&self, email: &str) -> Profile {
        let new = NewProfile { id: None, email: email.parse().unwrap(), name: None };
        self.run(self.users.create(&system(), &new)).unwrap().value
    }

    fn try_send(&self, request: SendRequest) -> Result<NotificationView> {
        self.run(self.notifications.send(&system(), request))
    }

    fn send(&self, request: SendRequest) -> NotificationView {
        self.try_send(request).unwrap()
    }

    fn look(&self, sent: &NotificationView) -> NotificationView {
        self.run(self.notifications.get(&system(), sent.id)).unwrap()
    }

    fn state(&self, sent: &NotificationView) -> String {
        self.look(sent).state
    }

    fn put(&self, name: &str, spec: serde_json::Value) -> Result<Template> {
        let spec = serde_json::from_value(spec).unwrap();
        self.run(self.notifications.put_template(&system(), name.parse().unwrap(), spec, None))
    }

    fn prefer(&self, user: UserId, category: &str, on: bool) -> Result<Stored<PreferencesView>> {
        let view = PreferencesView { categories: [(category.parse().unwrap(), on)].into() };
        self.run(self.notifications.put_preferences(&system(), user, view, None))
    }

    /// What was published so far, wherever it is by now.
    fn published(&self) -> Vec<Event> {
        let mut events: Vec<Event> = self.run(async {
            let outbox = self.notifications.0.db.store.outbox(EventPosition::START, 1_000).await.unwrap();
            let mut records: Vec<Vec<u8>> = Vec::new();
            for partition in 0..self.log.bounds("notifications").await.map_or(0, |bounds| bounds.len()) {
                let read = self.log.read("notifications", partition as u16, 0, 1_000).await.unwrap();
                records.extend(read.into_iter().map(|record| record.value.to_vec()));
            }
            let waiting = outbox.into_iter().map(|(position, json)| (Some(position), json));
            let relayed = records.into_iter().map(|json| (None, json));
            waiting
                .chain(relayed)
                .map(|(position, json)| {
                    let mut event = Event::from_json(&json).unwrap();
                    event.position = position.unwrap_or(event.position);
                    event
                })
                .collect()
        });
        events.sort_by_key(|event| event.position);
        events.dedup_by_key(|event| event.id);
        events
    }

    fn events(&self) -> Vec<String> {
        self.published().iter().map(|event| event.event_type.clone()).collect()
    }

    fn stored(&self, sent: &NotificationView) -> Notification {
        self.run(self.notifications.0.db.get::<Notification>(*sent.id.as_bytes())).unwrap().unwrap().value
    }
}

fn system() -> Context {
    Context::system()
}

fn signed_in(user: UserId, permissions: &[Permission]) -> Context {
    let principal = Principal {
        actor: Actor::User(user),
        session: None,
        permissions: Permissions::Only(Arc::new(permissions.iter().cloned().collect())),
    };
    Context::new(principal, CorrelationId::from_raw(RawId([0; 16])))
}

fn to(address: &str) -> SendRequest {
    SendRequest {
        user_id: None,
        to: Some(address.to_owned()),
        channel: "email".to_owned(),
        template: "welcome".parse().unwrap(),
        data: BTreeMap::new(),
        locale: None,
        send_at: None,
        deadline: None,
    }
}

fn to_user(user: UserId) -> SendRequest {
    SendRequest { user_id: Some(user), to: None, ..to("") }
}

fn transient() -> SendError {
    SendError::Transient("451 4.3.0".to_owned())
}
