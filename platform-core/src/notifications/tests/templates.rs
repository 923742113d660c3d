//! Templates, their revisions and languages.

use super::*;

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
