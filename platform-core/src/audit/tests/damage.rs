//! Every change of what is stored is found.

use super::*;
use crate::audit::tables::{Head, Signed};

#[test]
fn a_changed_entry_is_named() {
    for (size, index) in [(50u64, 0u64), (50, 17), (50, 50), (600, 300), (600, 599), (600, 255)] {
        let world = world();
        for start in (0..size).step_by(40) {
            world.record(start..(start + 40).min(size));
        }
        let (first, body) = (0..=index)
            .rev()
            .find_map(|first| world.body(&segment_key(first)).map(|body| (first, body)))
            .unwrap();
        let (hashes, bundle) = segment::split(&body).unwrap();
        let before: usize = EntryBundle::entries(bundle).unwrap()[..(index - first) as usize]
            .iter()
            .map(|leaf| leaf.len() + 2)
            .sum();
        let at = 2 + hashes.len() * 32 + before;
        for byte in [0, 1, 2, 30] {
            let mut changed = body.clone();
            changed[at + byte] ^= 1;
            world.overwrite_body(segment_key(first), changed);
            let report = world.verify();
            assert_eq!(report.first_bad.as_ref().map(|bad| bad.index), Some(index), "{report:?}");
            assert!(!report.holds());
        }
        world.overwrite_body(segment_key(first), body);
        assert!(world.verify().holds());
    }
}

#[test]
fn an_entry_that_was_rewritten_with_its_hash_is_found_by_the_tile_or_the_head() {
    let world = world();
    (0..400).for_each(|number| world.record(number..number + 1));
    for (index, named) in [(100u64, 100u64), (300, 256), (400, 400)] {
        let good = world.body(&segment_key(index)).unwrap();
        let leaf = segment::decode(&good).unwrap()[0].1.to_vec();
        let forged = String::from_utf8(leaf).unwrap().replace("success", "failure");
        let mut body = [&[0, 1], leaf_hash(forged.as_bytes()).as_bytes().as_slice()].concat();
        EntryBundle::push(&mut body, forged.as_bytes()).unwrap();
        world.overwrite_body(segment_key(index), body);
        let report = world.verify();
        assert_eq!(report.first_bad.as_ref().map(|bad| bad.index), Some(named), "{report:?}");
        world.overwrite_body(segment_key(index), good);
    }
    assert!(world.verify().holds());
}

#[test]
fn missing_entries_tiles_and_checkpoints_are_found() {
    let world = world();
    (0..520).for_each(|number| world.record(number..number + 1));
    world.sim.block_on(world.audit.flush()).unwrap();
    for (key, named) in [
        (segment_key(0), 0),
        (segment_key(77), 77),
        (segment_key(520), 520),
        (tile_key(0, 1), 256),
        (tile_key(1, 0), 0),
    ] {
        let body = world.body(&key).unwrap();
        world.overwrite(Write::Delete { key: key.clone() });
        let report = world.verify();
        assert_eq!(report.first_bad.as_ref().map(|bad| bad.index), Some(named), "{report:?}");
        world.overwrite_body(key.clone(), body.clone());
        if key.collection == "tiles" {
            let mut changed = body.clone();
            changed[40 % body.len()] ^= 4;
            world.overwrite_body(key.clone(), changed);
            assert!(!world.verify().holds());
            world.overwrite_body(key, body);
        }
    }
    assert!(world.verify().holds());
    world.overwrite(Write::Delete { key: Signed::key(0u64.to_be_bytes()) });
    let report = world.verify();
    assert_eq!((report.holds(), report.first_bad), (false, None));
}

#[test]
fn a_log_that_was_cut_off_is_found_by_its_checkpoint() {
    let world = world();
    world.record(0..10);
    let head = world.body(&Head::key(Head::ID)).unwrap();
    world.record(10..20);
    world.sim.block_on(world.audit.flush()).unwrap();
    let key = Head::key(Head::ID);
    let body = Body::Json(String::from_utf8(head).unwrap());
    world.overwrite(Write::Put { key, body, entries: Vec::new() });
    let report = world.verify();
    assert_eq!(report.first_bad.map(|bad| bad.index), Some(11));
}

#[test]
fn a_log_signed_by_another_key_is_not_what_the_auditor_trusts() {
    let world = world();
    let own = world.sim.block_on(world.audit.verifier_key(&Context::system())).unwrap();
    let report = world.sim.block_on(verify(&*world.db.store, Some(&own))).unwrap();
    assert!(report.holds());
    let other = SigningKey::from_seed(own.name(), &[3; 32]).unwrap();
    let report = world.sim.block_on(verify(&*world.db.store, Some(other.verifier()))).unwrap();
    assert!(!report.checkpoint_holds);
}
