//! What follows from the events of other domains.

use super::*;
use crate::backbone::Handler;
use crate::kernel::{EventId, NewEvent};
use crate::ports::store::Work;

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
