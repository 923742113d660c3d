//! The facade over the in-memory store and channel, in virtual time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::tables::Notification;
use super::worker::{LAST_TRIES, PAUSE};
use super::*;
use crate::backbone::{Backbone, Handler};
use crate::kernel::{
    Actor, BoxFuture, CorrelationId, Error, Event, EventId, EventPosition, NewEvent, Permissions, Principal,
    RawId, Timestamp,
};
use crate::ports::MemoryBackends;
use crate::ports::channel::{MemoryChannel, Message, Receipt, SendError};
use crate::ports::log::{EventLog, MemoryLog};
use crate::ports::runtime::SimRuntime;
use crate::ports::store::Work;
use crate::ports::store::flaky::{Fault, FlakyStores};
use crate::users::{NewProfile, Profile};

/// Takes messages and never says so.
struct Silent;

impl Channel for Silent {
    fn name(&self) -> &'static str {
        "email"
    }

    fn send<'a>(&'a self, _: &'a Message) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(std::future::pending())
    }
}

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

#[test]
fn a_message_reaches_a_user_and_an_address() {
    let world = World::new();
    let ada = world.user("Ada@example.org");
    let first = world.send(to_user(ada.id));
    assert_eq!((first.state.as_str(), first.revision), ("accepted", 0));
    let second = world.send(to("bob@example.org"));
    world.pass(1);
    let sent = world.channel.sent();
    let mut addresses: Vec<_> = sent.iter().map(|message| message.to.as_str()).collect();
    addresses.sort();
    assert_eq!(addresses, ["Ada@example.org", "bob@example.org"]);
    let view = world.look(&first);
    assert_eq!((view.state.as_str(), view.attempts.len(), view.cause), ("sent", 1, None));
    assert_eq!(view.attempts[0].outcome, Some(Outcome::Sent));
    assert!(view.attempts[0].receipt.is_some() && view.sent_at.is_some());
    assert_eq!(world.state(&second), "sent");
    let accepted = ["notifications.accepted"; 2];
    let events = world.events();
    assert_eq!(events.iter().filter(|name| accepted.contains(&name.as_str())).count(), 2);
    assert_eq!(events.iter().filter(|name| *name == "notifications.sent").count(), 2);
}

#[test]
fn what_fails_for_now_is_tried_again_later_under_the_same_id() {
    let world = World::new();
    world.channel.fail_with(vec![transient(), transient()]);
    let sent = world.send(to("bob@example.org"));
    world.pass(1);
    let view = world.look(&sent);
    assert_eq!((view.state.as_str(), view.attempts.len()), ("scheduled", 1));
    assert_eq!(view.attempts[0].cause.as_deref(), Some("451 4.3.0"));
    let wait = view.due_at.unwrap().since(view.attempts[0].started_at);
    assert!((7..=15).contains(&wait.as_secs()), "{wait:?}");
    world.pass(60);
    assert_eq!((world.state(&sent), world.look(&sent).attempts.len()), ("sent".to_owned(), 3));
    assert_eq!(world.channel.sent()[0].id, sent.id.to_string());
    assert_eq!(world.events().iter().filter(|name| *name == "notifications.attempt_failed").count(), 2);
}

#[test]
fn what_is_refused_for_good_is_not_tried_again() {
    let world = World::new();
    world.channel.fail_with(vec![SendError::Permanent("550 5.1.1".to_owned())]);
    let sent = world.send(to("bob@example.org"));
    world.pass(10_000);
    let view = world.look(&sent);
    assert_eq!((view.state.as_str(), view.cause.as_deref()), ("failed", Some("550 5.1.1")));
    assert!(world.channel.sent().is_empty());
    assert_eq!(world.events(), ["notifications.accepted", "notifications.not_sent"]);
}

#[test]
fn what_fails_too_often_is_dead() {
    let world = World::new();
    world.channel.fail_with(vec![transient(); 20]);
    let sent = world.send(to("bob@example.org"));
    world.pass(5 * 3600);
    let view = world.look(&sent);
    assert_eq!((view.state.as_str(), view.attempts.len()), ("dead", delivery::ATTEMPTS as usize));
}

#[test]
fn an_unknown_outcome_is_sent_again_or_held_as_the_template_says() {
    let world = World::new();
    world.put("paid", json!({"subject": "s", "text": "t", "if_unknown": "hold"})).unwrap();
    let broken = || SendError::Ambiguous("no answer to the end of the message".to_owned());
    world.channel.fail_with(vec![broken(), broken()]);
    let resent = world.send(to("bob@example.org"));
    world.pass(1);
    let held = world.send(SendRequest { template: "paid".parse().unwrap(), ..to("bob@example.org") });
    world.pass(3600);
    assert_eq!((world.state(&resent), world.state(&held)), ("sent".to_owned(), "unknown".to_owned()));
    assert_eq!(world.channel.sent().len(), 1);
}

#[test]
fn after_its_deadline_nothing_is_sent() {
    let world = World::new();
    world.channel.fail_with(vec![transient(); 3]);
    let deadline = Some(world.after(20));
    let sent = world.send(SendRequest { deadline, ..to("bob@example.org") });
    world.pass(5);
    assert_eq!(world.channel.sent().len(), 0);
    world.pass(20);
    let view = world.look(&sent);
    assert_eq!((view.state.as_str(), view.deadline), ("expired", deadline));
    world.channel.fail_with(vec![SendError::Expired]);
    let late = world.send(SendRequest { deadline: Some(world.after(20)), ..to("bob@example.org") });
    world.pass(3600);
    assert_eq!(world.state(&late), "expired");
    assert!(world.channel.sent().is_empty());
    let passed = world.try_send(SendRequest { deadline: Some(world.now()), ..to("bob@example.org") });
    assert_eq!(passed.unwrap_err().code(), "notifications.deadline_passed");
}

#[test]
fn a_message_for_later_waits() {
    let world = World::new();
    let send_at = world.after(86_400);
    let sent = world.send(SendRequest { send_at: Some(send_at), ..to("bob@example.org") });
    assert_eq!((sent.state.as_str(), sent.due_at), ("scheduled", Some(send_at)));
    world.pass(86_399);
    assert!(world.channel.sent().is_empty());
    world.pass(2);
    assert_eq!(world.look(&sent).sent_at, Some(send_at));
}

#[test]
fn recipients_switch_off_categories_but_not_security() {
    let world = World::new();
    let ada = world.user("ada@example.org").id;
    let stored = world.prefer(ada, "account", false).unwrap();
    assert_eq!(world.run(world.notifications.preferences(&system(), ada)).unwrap(), stored);
    let suppressed = world.send(to_user(ada));
    assert_eq!((suppressed.state.as_str(), suppressed.attempts.len()), ("suppressed", 0));
    let data = [("link".to_owned(), json!("https://example.org/r"))].into();
    let reset = world.send(SendRequest { template: "password-reset".parse().unwrap(), data, ..to_user(ada) });
    world.pass(1);
    assert_eq!(world.state(&reset), "sent");
    assert_eq!(world.prefer(ada, "security", false).unwrap_err().code(), "notifications.category_required");
    assert!(world.prefer(ada, "security", true).is_ok());
}

#[test]
fn a_preference_that_comes_before_the_message_goes_counts() {
    let world = World::new();
    let ada = world.user("ada@example.org").id;
    let sent = world.send(SendRequest { send_at: Some(world.after(60)), ..to_user(ada) });
    world.prefer(ada, "account", false).unwrap();
    world.pass(61);
    assert_eq!((world.state(&sent), world.channel.sent().len()), ("suppressed".to_owned(), 0));
}

#[test]
fn an_erased_person_gets_nothing_and_leaves_nothing_readable() {
    let world = World::new();
    let ada = world.user("ada@example.org").id;
    let sent = world.send(SendRequest { send_at: Some(world.after(60)), ..to_user(ada) });
    world.run(world.users.erase(&system(), ada, None)).unwrap();
    assert_eq!(world.run(world.stored(&sent).open_content(&world.notifications.0.db)).unwrap(), None);
    world.pass(61);
    assert_eq!((world.state(&sent), world.channel.sent().len()), ("suppressed".to_owned(), 0));
    assert_eq!(world.try_send(to_user(ada)).unwrap_err().code(), "notifications.unknown_recipient");
}

#[test]
fn address_and_content_are_sealed_while_they_wait_and_gone_afterwards() {
    let world = World::new();
    let data = [("name".to_owned(), json!("Grace"))].into();
    let sent = world.send(SendRequest { data, send_at: Some(world.after(9)), ..to("grace@example.org") });
    let stored = serde_json::to_string(&world.stored(&sent)).unwrap();
    assert!(!stored.contains("Grace") && !stored.contains("grace@example.org"));
    assert!(stored.contains("content"));
    world.pass(10);
    assert!(world.channel.sent()[0].text.starts_with("Hello Grace"));
    let stored = world.stored(&sent);
    assert_eq!((stored.to, stored.content), (None, None));
}

#[test]
fn a_repeated_request_with_its_key_sends_once() {
    let world = World::new();
    let context = system().with_key("order-7".parse().unwrap());
    let deadline = Some(world.after(60));
    let request = || SendRequest { deadline, ..to("bob@example.org") };
    let first = world.run(world.notifications.send(&context, request())).unwrap();
    world.pass(120);
    let second = world.run(world.notifications.send(&context, request())).unwrap();
    assert_eq!((first.id, world.channel.sent().len()), (second.id, 1));
    let other = world.run(world.notifications.send(&context, to("eve@example.org")));
    assert_eq!(other.unwrap_err().code(), "idempotency.key_reused");
}

#[test]
fn several_workers_send_each_message_once() {
    let world = World::with_workers(4);
    let sent: Vec<_> = (0..50).map(|n| world.send(to(&format!("user{n}@example.org")))).collect();
    world.pass(600);
    assert!(sent.iter().all(|each| world.state(each) == "sent"));
    let mut addresses: Vec<_> = world.channel.sent().into_iter().map(|message| message.to).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!((addresses.len(), world.channel.sent().len()), (50, 50));
}

#[test]
fn a_worker_that_dies_while_sending_is_replaced() {
    let world = World::idle();
    let sent = world.send(to("bob@example.org"));
    let claimed = world.run(Arc::clone(&world.notifications.0).claim_and_die(sent.id)).unwrap();
    assert_eq!((claimed, world.state(&sent)), (1, "claimed".to_owned()));
    world.start(1);
    world.pass(100);
    assert_eq!(world.state(&sent), "claimed");
    world.pass(100);
    let view = world.look(&sent);
    assert_eq!((view.state.as_str(), view.attempts.len()), ("sent", 2));
    assert_eq!(view.attempts[0].outcome, Some(Outcome::Ambiguous));
}

#[test]
fn after_a_restart_what_the_killed_process_was_sending_is_taken_up_at_once() {
    for (template, state, attempts) in [("welcome", "sent", 2), ("held", "unknown", 1)] {
        let world = World::idle();
        world.put("held", json!({"text": "t", "subject": "s", "if_unknown": "hold"})).unwrap();
        let template = template.parse().unwrap();
        let sent = world.send(SendRequest { template, ..to("bob@example.org") });
        world.run(Arc::clone(&world.notifications.0).claim_and_die(sent.id)).unwrap();
        let killed = &world.notifications.0;
        let world = World { notifications: Notifications(Arc::new(killed.restarted(true))), ..world };
        world.start(1);
        world.pass(16);
        let view = world.look(&sent);
        assert_eq!((view.state.as_str(), view.attempts.len()), (state, attempts));
        assert_eq!(view.attempts[0].outcome, Some(Outcome::Ambiguous));
    }
}

#[test]
fn where_others_may_be_alive_their_claims_are_left_to_them_until_their_time_is_over() {
    let world = World::idle();
    let sent = world.send(to("bob@example.org"));
    world.run(Arc::clone(&world.notifications.0).claim_and_die(sent.id)).unwrap();
    let other = Notifications(Arc::new(world.notifications.0.restarted(false)));
    let world = World { notifications: other, ..world };
    world.start(1);
    world.pass(140);
    assert_eq!(world.state(&sent), "claimed");
    world.pass(30);
    assert_eq!(world.state(&sent), "sent");
}

#[test]
fn a_dead_delivery_is_retried_on_request_and_then_its_content_is_forgotten() {
    let world = World::new();
    world.channel.fail_with(vec![transient(); delivery::ATTEMPTS as usize]);
    let sent = world.send(to("bob@example.org"));
    let retry = |context: &Context| world.run(world.notifications.retry(context, sent.id));
    assert_eq!(retry(&system()).unwrap_err().code(), "notifications.not_dead");
    world.pass(5 * 3600);
    assert_eq!(world.state(&sent), "dead");
    let somebody = signed_in(UserId(RawId([1; 16])), &[READ]);
    assert_eq!(retry(&somebody).unwrap_err().code(), "auth.forbidden");
    let keyed = system().with_key("again".parse().unwrap());
    let first = retry(&keyed).unwrap();
    assert_eq!((first.state.as_str(), first.attempts.len()), ("accepted", 0));
    world.pass(1);
    assert_eq!(retry(&keyed).unwrap(), first, "the same request has the same answer");
    assert_eq!((world.state(&sent).as_str(), world.channel.sent().len()), ("sent", 1));
    assert_eq!(world.stored(&sent).content, None);
    let told: Vec<_> =
        world.events().into_iter().filter(|event| *event != "notifications.attempt_failed").collect();
    assert_eq!(
        told,
        ["notifications.accepted", "notifications.not_sent", "notifications.retried", "notifications.sent"]
    );
    let missing = world.run(world.notifications.retry(&system(), NotificationId(RawId([1; 16]))));
    assert_eq!(missing.unwrap_err().code(), "notifications.not_found");
}

#[test]
fn what_is_dead_too_long_or_past_its_deadline_is_not_retried() {
    let world = World::new();
    world.channel.fail_with(vec![transient(); 2 * delivery::ATTEMPTS as usize]);
    let kept = world.send(to("bob@example.org"));
    let late = world.send(SendRequest { deadline: Some(world.after(6 * 3600)), ..to("eve@example.org") });
    world.pass(5 * 3600);
    assert_eq!((world.state(&kept).as_str(), world.state(&late).as_str()), ("dead", "dead"));
    assert!(world.stored(&kept).content.is_some());
    let code = |sent: &NotificationView| {
        world.run(world.notifications.retry(&system(), sent.id)).unwrap_err().code()
    };
    world.pass(3700);
    assert_eq!(code(&late), "notifications.past_deadline");
    assert_eq!(world.stored(&late).content, None);
    world.pass(8 * 24 * 3600);
    assert_eq!(code(&kept), "notifications.content_forgotten");
    assert_eq!((world.stored(&kept).content, world.state(&kept).as_str()), (None, "dead"));
}

#[test]
fn a_channel_that_never_answers_does_not_hold_a_message_for_ever() {
    let world = World::over(|_| vec![Arc::new(Silent)]);
    world.start(1);
    let sent = world.send(to("bob@example.org"));
    world.pass(125);
    let view = world.look(&sent);
    assert_eq!((view.state.as_str(), view.attempts[0].outcome), ("scheduled", Some(Outcome::Ambiguous)));
}

#[test]
fn a_store_that_fails_does_not_keep_a_worker_from_stopping() {
    // An fsync that failed; a disk that is full and stays so; one that has room again while the worker ends.
    for (faults, is_stored) in [
        (vec![Fault::Poisoned], false),
        (vec![Fault::Refused; 1_000], false),
        (vec![Fault::Refused; 2], true),
    ] {
        let sim = SimRuntime::new(1);
        let memory = MemoryBackends::new(sim.runtime());
        let stopped = sim.run_steps(10_000, async {
            let mut backends = memory.backends().await.unwrap();
            let users = Users::open(&backends).await.unwrap();
            let stores = Arc::new(FlakyStores::new(backends.stores, sim.runtime()));
            backends.stores = Arc::clone(&stores) as _;
            let notifications = Notifications::open(&backends, &users).await.unwrap();
            let backbone = Backbone::new(backends.clone());
            backbone.add(notifications.database(), notifications.parts()).unwrap();
            backbone.start().await.unwrap();
            // It is accepted and claimed; the report finds the store failing.
            stores.next(&[vec![Fault::None; 2], faults].concat());
            let sent = notifications.send(&system(), to("bob@example.org")).await.unwrap();
            sim.runtime().sleep(Duration::from_millis(100)).await;
            assert_eq!(memory.channel.sent().len(), 1);
            let begin = sim.runtime().now();
            backbone.stop().await;
            assert!(sim.runtime().now().since(begin) <= PAUSE * (LAST_TRIES + 1));
            let state = notifications.get(&system(), sent.id).await.map(|view| view.state);
            assert_eq!(state.is_ok_and(|state| state == "sent"), is_stored);
        });
        assert!(stopped.is_some(), "it does not stop");
    }
}

#[test]
fn a_stopped_worker_sends_nothing_until_it_is_started_again() {
    let world = World::new();
    world.pass(1);
    world.run(world.backbone.stop());
    let sent = world.send(to("bob@example.org"));
    world.pass(3600);
    assert_eq!(world.state(&sent), "accepted");
    world.run(world.backbone.start()).unwrap();
    world.pass(1);
    assert_eq!(world.state(&sent), "sent");
}

#[test]
fn every_change_of_a_template_is_a_revision() {
    let world = World::new();
    let first = world.put("news", json!({"subject": "One", "text": "{{ x }}"})).unwrap();
    let second = world.put("news", json!({"subject": "Two", "text": "{{ x }}", "category": "news"})).unwrap();
    assert_eq!((first.revision, second.revision), (1, 2));
    let name: TemplateName = "news".parse().unwrap();
    let read =
        |revision| world.run(world.notifications.template_revision(&system(), &name, revision)).unwrap();
    assert_eq!((read(1), read(2)), (first.clone(), second.clone()));
    assert_eq!(world.run(world.notifications.template(&system(), &name)).unwrap(), second);
    let page = world.run(world.notifications.template_revisions(&system(), &name, PageRequest::default()));
    assert_eq!(page.unwrap().items, [second.clone(), first.clone()]);
    let stale = world
        .run(world.notifications.put_template(&system(), name.clone(), first.spec, Some(1)))
        .unwrap_err();
    assert_eq!(stale.code(), "notifications.version_mismatch");
    let missing = world.run(world.notifications.template_revision(&system(), &name, 3)).unwrap_err();
    assert_eq!(missing.code(), "notifications.template_not_found");
    let bad = world.put("news", json!({"subject": "s", "text": "{% if %}"})).unwrap_err();
    assert_eq!(bad.code(), "notifications.template_invalid");
    assert_eq!(
        world.run(world.notifications.templates(&system(), PageRequest::default())).unwrap().items,
        [second]
    );
}

#[test]
fn what_was_accepted_keeps_the_revision_it_was_made_from() {
    let world = World::new();
    world.put("welcome", json!({"subject": "Mine", "text": "mine"})).unwrap();
    let sent = world.send(SendRequest { send_at: Some(world.after(60)), ..to("bob@example.org") });
    world.put("welcome", json!({"subject": "Other", "text": "other"})).unwrap();
    world.pass(61);
    assert_eq!((world.look(&sent).revision, world.channel.sent()[0].subject.as_str()), (1, "Mine"));
}

#[test]
fn the_language_comes_from_the_request_or_the_profile() {
    let world = World::new();
    let ada = world.user("ada@example.org").id;
    let patch = serde_json::from_value(json!({"locale": "de-AT"})).unwrap();
    world.run(world.users.update(&system(), ada, None, &patch)).unwrap();
    let spec = json!({"subject": "Hi", "text": "hi", "locales": {
        "de": {"subject": "Servus", "text": "servus"}, "fr": {"subject": "Salut", "text": "salut"},
    }});
    world.put("hi", spec).unwrap();
    let request = || SendRequest { template: "hi".parse().unwrap(), ..to_user(ada) };
    world.send(request());
    world.pass(1);
    world.send(SendRequest { locale: Some("fr-CA".parse().unwrap()), ..request() });
    world.pass(1);
    let subjects: Vec<_> = world.channel.sent().into_iter().map(|message| message.subject).collect();
    assert_eq!(subjects, ["Servus", "Salut"]);
}

#[test]
fn requests_that_make_no_sense_are_refused_with_their_code() {
    let world = World::new();
    let ada = world.user("ada@example.org").id;
    let code = |request| world.try_send(request).unwrap_err().code();
    assert_eq!(
        code(SendRequest { user_id: Some(ada), ..to("x@example.org") }),
        "notifications.invalid_recipient"
    );
    assert_eq!(code(SendRequest { to: None, ..to("") }), "notifications.invalid_recipient");
    assert_eq!(code(to("nobody")), "users.invalid_email");
    assert_eq!(code(to_user(UserId(RawId([7; 16])))), "notifications.unknown_recipient");
    assert_eq!(
        code(SendRequest { channel: "fax".into(), ..to("a@b.example") }),
        "notifications.unknown_channel"
    );
    let template = "unknown".parse().unwrap();
    assert_eq!(code(SendRequest { template, ..to("a@b.example") }), "notifications.template_not_found");
    let template = "password-reset".parse().unwrap();
    assert_eq!(code(SendRequest { template, ..to("a@b.example") }), "notifications.render_failed");
    let data = [("x".to_owned(), json!("x".repeat(40_000)))].into();
    assert_eq!(code(SendRequest { data, ..to("a@b.example") }), "notifications.data_too_large");
    assert!(world.events().is_empty());
    let without = World::over(|_| Vec::new());
    assert_eq!(
        without.try_send(to("a@b.example")).unwrap_err().code(),
        "notifications.channel_not_configured"
    );
}

#[test]
fn each_thing_takes_its_permission() {
    let world = World::new();
    let (ada, bob) = (world.user("ada@example.org").id, world.user("bob@example.org").id);
    let sent = world.send(to_user(ada));
    let nothing = signed_in(bob, &[]);
    let service = &world.notifications;
    let forbidden = |error: Error| assert_eq!(error.code(), "auth.forbidden");
    forbidden(world.run(service.send(&nothing, to("a@b.example"))).unwrap_err());
    forbidden(world.run(service.template(&nothing, &"welcome".parse().unwrap())).unwrap_err());
    forbidden(world.run(service.preferences(&nothing, ada)).unwrap_err());
    forbidden(world.run(service.list(&nothing, None, PageRequest::default())).unwrap_err());
    let none = PreferencesView { categories: BTreeMap::new() };
    forbidden(world.run(service.put_preferences(&nothing, ada, none.clone(), None)).unwrap_err());
    // Another's notification is not there; one's own is.
    assert_eq!(world.run(service.get(&nothing, sent.id)).unwrap_err().code(), "notifications.not_found");
    let own = signed_in(ada, &[]);
    assert_eq!(world.run(service.get(&own, sent.id)).unwrap().id, sent.id);
    assert_eq!(world.run(service.list(&own, Some(ada), PageRequest::default())).unwrap().items.len(), 1);
    assert!(world.run(service.put_preferences(&own, ada, none, None)).unwrap().version > 0);
    let nobody = Context::anonymous(CorrelationId::from_raw(RawId([0; 16])));
    assert_eq!(world.run(service.get(&nobody, sent.id)).unwrap_err().code(), "auth.not_signed_in");
    let reader = signed_in(bob, &[READ]);
    assert_eq!(world.run(service.get(&reader, sent.id)).unwrap().id, sent.id);
}

/// Gives a handler one event, and commits what it makes of it.
fn handle(world: &World, handler: &dyn Handler, event_type: &str, data: serde_json::Value) -> Result<()> {
    let new = NewEvent {
        id: EventId(RawId([1; 16])),
        event_type: event_type.to_owned(),
        subject: "subject".to_owned(),
        key: "key".to_owned(),
        time: world.now(),
        actor: Actor::System,
        correlation_id: "req_7".parse().unwrap(),
        causation_id: None,
        data: data.into(),
    };
    let event = Event { store: "auth".into(), position: EventPosition::START, new: Arc::new(new) };
    world.run(async {
        let mut work = Work::new(handler.database(), Arc::new(system()));
        handler.handle(&[event], &mut work).await?;
        handler.database().store.commit(work.into_batch()).await.unwrap();
        Ok(())
    })
}

#[test]
fn a_new_account_is_welcomed_by_name() {
    let world = World::new();
    let new =
        NewProfile { id: None, email: "ada@example.org".parse().unwrap(), name: Some("Ada".to_owned()) };
    let ada = world.run(world.users.create(&system(), &new)).unwrap().id;
    let welcome = reactions::Welcome(Arc::clone(&world.notifications.0));
    let data = json!({"user_id": ada, "email": "AQ==", "name": "AQ=="});
    handle(&world, &welcome, "auth.account_registered", data.clone()).unwrap();
    world.pass(1);
    let sent = world.channel.sent();
    assert_eq!(
        (sent.len(), sent[0].to.as_str(), sent[0].subject.as_str()),
        (1, "ada@example.org", "Welcome, Ada")
    );
    let accepted = world.published().remove(0);
    assert_eq!(
        (accepted.correlation_id.as_str(), accepted.causation_id),
        ("req_7", Some(EventId(RawId([1; 16]))))
    );
    // Nobody is welcomed who is gone, and other events do not concern it.
    world.run(world.users.erase(&system(), ada, None)).unwrap();
    handle(&world, &welcome, "auth.account_registered", data).unwrap();
    handle(&world, &welcome, "auth.login_succeeded", json!({})).unwrap();
    assert_eq!(
        handle(&world, &welcome, "auth.account_registered", json!({})).unwrap_err().code(),
        "event.invalid"
    );
    world.pass(1);
    assert_eq!(world.channel.sent().len(), 1);
}

#[test]
fn without_a_channel_a_welcome_fails_visibly() {
    let world = World::over(|_| Vec::new());
    let ada = world.user("ada@example.org").id;
    let welcome = reactions::Welcome(Arc::clone(&world.notifications.0));
    handle(&world, &welcome, "auth.account_registered", json!({"user_id": ada})).unwrap();
    let page = world.run(world.notifications.list(&system(), Some(ada), PageRequest::default())).unwrap();
    assert_eq!(page.items[0].cause.as_deref(), Some("no channel is configured"));
    assert_eq!(page.items[0].state, "failed");
}

#[cfg(feature = "auth")]
#[test]
fn the_event_of_auth_has_the_form_that_is_expected() {
    use crate::auth::events::AccountRegistered;
    use crate::kernel::{EventData, Sealed};
    let world = World::new();
    let event = AccountRegistered {
        user_id: world.user("a@example.org").id,
        email: Sealed::from_bytes(vec![1]),
        name: None,
    };
    let welcome = reactions::Welcome(Arc::clone(&world.notifications.0));
    handle(&world, &welcome, AccountRegistered::TYPE, serde_json::to_value(event).unwrap()).unwrap();
    world.pass(1);
    assert_eq!(world.channel.sent().len(), 1);
}

#[test]
fn an_erased_person_leaves_no_preferences() {
    let world = World::idle();
    let ada = world.user("ada@example.org").id;
    world.prefer(ada, "news", false).unwrap();
    let forget = reactions::Forget(Arc::clone(&world.notifications.0));
    handle(&world, &forget, "users.profile_erased", json!({"user_id": ada})).unwrap();
    assert_eq!(world.run(world.notifications.preferences(&system(), ada)).unwrap().version, 0);
}
