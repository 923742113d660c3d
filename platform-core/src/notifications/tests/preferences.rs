//! What people want to get.

use super::*;

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
