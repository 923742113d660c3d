//! What is refused.

use super::*;
use crate::kernel::Error;

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
