//! From the request to the channel.

use super::*;
use crate::kernel::BoxFuture;
use crate::ports::channel::{Message, Receipt};

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
fn a_channel_that_never_answers_does_not_hold_a_message_for_ever() {
    let world = World::over(|_| vec![Arc::new(Silent)]);
    world.start(1);
    let sent = world.send(to("bob@example.org"));
    world.pass(125);
    let view = world.look(&sent);
    assert_eq!((view.state.as_str(), view.attempts[0].outcome), ("scheduled", Some(Outcome::Ambiguous)));
}
