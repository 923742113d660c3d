//! Events become entries of one tree.

use super::*;
use crate::kernel::merkle::{verify_consistency, verify_inclusion};

#[test]
fn a_new_log_begins_with_its_own_opening_and_is_signed() {
    let world = world();
    let entries = world.events(EventsQuery::default(), 10);
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].index, entries[0].what.action.as_str()), (0, "audit.origin_opened"));
    let key = world.sim.block_on(world.audit.verifier_key(&Context::system())).unwrap();
    assert_eq!(entries[0].what.data, json!({"verifier": key.to_string()}));
    let report = world.verify();
    assert!(report.holds());
    assert_eq!((report.entries, report.signed), (1, 1));
}

#[test]
fn events_become_entries_in_order_and_every_one_has_a_proof_that_holds() {
    let world = world();
    world.record(0..3);
    world.record(3..100);
    world.record(100..101);
    let context = Context::system();
    world.sim.block_on(async {
        let key = world.audit.verifier_key(&context).await.unwrap();
        for index in 0..102 {
            let proof = world.audit.proof(&context, index).await.unwrap();
            let checkpoint = Checkpoint::open(&proof.checkpoint, &key).unwrap();
            assert_eq!((checkpoint.size, checkpoint.root), (102, proof.root));
            let hash = leaf_hash(proof.entry.as_bytes());
            assert!(verify_inclusion(index, 102, &hash, &proof.proof, &checkpoint.root));
            let entry = AuditEntry::from_leaf(proof.entry.as_bytes()).unwrap();
            assert_eq!(entry, world.audit.event(&context, index).await.unwrap());
            if let Some(number) = index.checked_sub(1) {
                assert_eq!(entry.what, Occurrence::of_event(&event(number)));
            }
        }
        assert_eq!(world.audit.proof(&context, 102).await.unwrap_err().code(), "audit.not_found");
        assert_eq!(world.audit.event(&context, 102).await.unwrap_err().code(), "audit.not_found");
    });
}

#[test]
fn the_log_is_consistent_between_any_two_of_its_sizes() {
    let world = world();
    let mut next = 0;
    for step in [1, 1, 2, 60, 190, 1, 255, 3] {
        world.record(next..next + step);
        next += step;
    }
    let size = next + 1;
    let context = Context::system();
    world.sim.block_on(async {
        let mut roots = BTreeMap::new();
        for from in (1..=size).step_by(23).chain([1, 2, 255, 256, 257, 511, 512, 513]) {
            for to in [from, from + 1, from + 40, 256, 512, size] {
                let proof = match world.audit.consistency(&context, from, Some(to)).await {
                    Ok(proof) => proof,
                    Err(error) => {
                        assert_eq!(error.code(), "audit.invalid_range");
                        assert!(to < from || to > size);
                        continue;
                    }
                };
                assert!(verify_consistency(from, to, &proof.proof, &proof.from_root, &proof.to_root));
                assert_eq!(*roots.entry(to).or_insert(proof.to_root), proof.to_root);
            }
        }
        assert!(world.audit.consistency(&context, 0, None).await.is_err());
        assert_eq!(world.audit.consistency(&context, 7, None).await.unwrap().to, size);
    });
}

#[test]
fn an_append_of_many_entries_writes_a_tile_document_per_256() {
    let world = world();
    world.record(0..255);
    assert_eq!(world.body(&tile_key(0, 0)).unwrap().len(), 8_192);
    assert_eq!(world.body(&tile_key(1, 0)).unwrap().len(), 32);
    assert!(world.body(&tile_key(0, 1)).is_none());
    for part in 0..6 {
        world.record(255 + part * 256..255 + (part + 1) * 256);
    }
    assert_eq!(world.body(&tile_key(1, 0)).unwrap().len(), 7 * 32);
    assert!(world.verify().holds());
    world.sim.block_on(async {
        for index in [0, 255, 256, 1_535, 1_536, 1_791] {
            world.audit.proof(&Context::system(), index).await.unwrap();
        }
        world.audit.consistency(&Context::system(), 257, Some(1_700)).await.unwrap();
    });
}

#[test]
fn full_tiles_give_the_growing_tiles_of_all_levels_above() {
    let world = world();
    let tile =
        |index: u64| (0..256u64).map(|at| leaf_hash(&(index * 256 + at).to_be_bytes())).collect::<Vec<_>>();
    let steps = [0..1u64, 1..200, 200..255, 255..258, 258..259];
    for step in steps {
        world.sim.block_on(async {
            command(&world.db, &Context::system(), "test", &(), async |mut work: Work| {
                append::write_tiles(&mut work, step.clone().map(|index| (index, tile(index))).collect())
                    .await?;
                work.reply(())
            })
            .await
            .unwrap();
        });
    }
    let stored = |level, index| world.body(&tile_key(level, index)).unwrap();
    let bytes = |hashes: &[merkle::MerkleHash]| hashes.iter().flat_map(|hash| hash.0).collect::<Vec<_>>();
    let roots: Vec<_> = (0..259).map(|index| merkle::root(tile(index))).collect();
    assert_eq!(stored(0, 258), bytes(&tile(258)));
    assert_eq!(stored(1, 0), bytes(&roots[..256]));
    assert_eq!(stored(1, 1), bytes(&roots[256..]));
    assert_eq!(stored(2, 0), bytes(&[merkle::root(roots[..256].iter().copied())]));
    let whole = merkle::root((0..259).flat_map(tile));
    assert_eq!(world.sim.block_on(reader::root_at(&*world.db.store, 259 * 256)).unwrap(), whole);
}

#[test]
fn a_second_appender_that_knows_nothing_continues_the_same_tree() {
    let world = world();
    world.record(0..300);
    let (first, db) = (world.audit.clone(), world.db.clone());
    let other = world.sim.block_on(Audit::over(db, AuditConfig::default())).unwrap();
    let world = World { audit: other, ..world };
    world.record(300..600);
    let world = World { audit: first, ..world };
    world.record(600..700);
    let report = world.verify();
    assert!(report.holds(), "{report:?}");
    assert_eq!(report.entries, 701);
}
