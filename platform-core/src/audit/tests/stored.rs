//! The stored forms, and what can be made from them.

use serde_json::Value;

use super::*;

#[test]
fn the_stored_forms_are_what_they_were() {
    let text = |world: &World, collection, id: &[u8]| {
        String::from_utf8(world.body(&DocKey::new(collection, id)).unwrap()).unwrap()
    };
    let world = world();
    world.record(0..2);
    world.sim.block_on(world.audit.flush()).unwrap();
    let leaves: Vec<_> =
        (0..3).map(|n| world.sim.block_on(reader::leaf(&*world.db.store, n)).unwrap().unwrap()).collect();
    let (first, pair) = (leaf_hash(&leaves[0]), merkle::root([leaf_hash(&leaves[0]), leaf_hash(&leaves[1])]));
    let last = leaf_hash(&leaves[2]);
    assert_eq!(
        text(&world, "head", b"head"),
        format!(r#"{{"size":3,"peaks":["{pair}","{last}"],"origin":0}}"#)
    );
    let zero = 0u64.to_be_bytes();
    let origin: Value = serde_json::from_str(&text(&world, "origins", &zero)).unwrap();
    let names: Vec<_> = origin.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["name", "number", "opened_at", "sealed_seed", "size", "verifier"]);
    let signed: Value = serde_json::from_str(&text(&world, "checkpoints", &zero)).unwrap();
    let note = world.sim.block_on(world.audit.checkpoint(&Context::system())).unwrap();
    assert_eq!(signed, json!({"origin": 0, "size": 3, "at": "2026-01-01T00:00:00Z", "note": note}));
    let mut segment = [&[0, 1], first.0.as_slice()].concat();
    segment.extend((leaves[0].len() as u16).to_be_bytes());
    segment.extend(&leaves[0]);
    assert_eq!(world.body(&segment_key(0)).unwrap(), segment);
    assert!(world.body(&segment_key(1)).unwrap().starts_with(&[0, 2]));
    assert!(world.body(&segment_key(2)).is_none());
}

#[test]
fn the_indexes_can_be_rebuilt_from_the_segments() {
    let world = world();
    world.record(0..200);
    let query = EventsQuery { subject: Some("user_4".into()), ..EventsQuery::default() };
    let found = world.events(query.clone(), 500);
    assert_eq!(found.len(), 28);
    let reindex = tables::ENTRIES.reindex.unwrap();
    let segments: Vec<_> = (0..=200)
        .map(segment_key)
        .filter_map(|key| world.body(&key).map(|body| (key, Body::Binary(body))))
        .collect();
    for (key, body) in segments.clone() {
        world.overwrite(Write::Put { key, body, entries: Vec::new() });
    }
    assert_eq!(world.events(query.clone(), 500), []);
    for (key, body) in segments {
        let entries = reindex(&key.id, &body).unwrap();
        world.overwrite(Write::Put { key, body, entries });
    }
    assert_eq!(world.events(query, 500), found);
}
