//! What is left of people who are erased.

use super::*;
use crate::backbone::Handler;
use crate::kernel::EventData;
use crate::ports::store::Work;
use crate::users::events::{ProfileCreated, ProfileErased};

#[test]
fn an_erased_person_is_gone_and_what_was_sealed_reads_nowhere() {
    let world = World::new();
    let id = world.add("ada@example.org", Some("Ada")).id;
    let created = world.events().iter().find_map(|event| event.decode::<ProfileCreated>().unwrap()).unwrap();
    let person = id.to_string();
    let open = |place, sealed| world.run(world.db.keys.open_for(&person, place, sealed)).unwrap();
    assert_eq!(open(ProfileCreated::EMAIL_PLACE, &created.email).unwrap(), br#""ada@example.org""#);
    assert_eq!(open(ProfileCreated::NAME_PLACE, created.name.as_ref().unwrap()).unwrap(), br#""Ada""#);
    world.run(world.users.erase(&signed_in(id, &[]), id, None)).unwrap();
    assert_eq!(code(world.run(world.users.get(&system(), id))), "users.not_found");
    assert_eq!(open(ProfileCreated::EMAIL_PLACE, &created.email), None);
    assert!(world.events().iter().any(|event| event.decode::<ProfileErased>().unwrap().is_some()));
    assert_eq!(code(world.run(world.users.erase(&system(), id, None))), "users.not_found");
    assert_ne!(world.add("ada@example.org", None).id, id);
}

#[test]
fn the_handler_destroys_the_key_when_the_command_had_no_time_to() {
    let world = World::new();
    let id = world.add("ada@example.org", None).id;
    let created = world.events().iter().find_map(|event| event.decode::<ProfileCreated>().unwrap()).unwrap();
    let mut event = world.events().remove(0);
    let new = Arc::make_mut(&mut event.new);
    new.event_type = ProfileErased::TYPE.to_owned();
    new.data = json!({ "user_id": id }).into();
    let (eraser, db) = (worker::KeyEraser(world.db.clone()), &world.db);
    let mut work = Work::new(db, Arc::new(system()));
    world.run(eraser.handle(&[event], &mut work)).unwrap();
    let person = id.to_string();
    let opened = db.keys.open_for(&person, ProfileCreated::EMAIL_PLACE, &created.email);
    assert_eq!(world.run(opened).unwrap(), None);
}

#[test]
fn no_event_carries_an_address_or_a_name_in_clear() {
    let world = World::new();
    let id = world.add("ada@example.org", Some("Lovelace")).id;
    world.run(world.users.update(&system(), id, None, &patch(json!({"name": "Lovelace-King"})))).unwrap();
    world.run(world.users.erase(&system(), id, None)).unwrap();
    for event in world.events() {
        let text = String::from_utf8(event.to_json()).unwrap();
        assert!(!text.contains("ada@") && !text.contains("Lovelace"), "{text}");
    }
}
