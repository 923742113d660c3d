//! The name and the key of the log.

use super::*;

#[test]
fn a_new_origin_continues_the_log_under_a_new_name_and_key() {
    let world = world();
    world.record(0..300);
    let context = Context::system();
    let (old, new, before) = world.sim.block_on(async {
        let before = world.audit.checkpoint(&context).await.unwrap();
        let old = world.audit.verifier_key(&context).await.unwrap();
        let new = world.audit.reorigin(&context).await.unwrap();
        (old, new, before)
    });
    assert_ne!(old.name(), new.name());
    let before = Checkpoint::open(&before, &old).unwrap();
    world.sim.block_on(async {
        assert_eq!(world.audit.verifier_key(&context).await.unwrap(), new);
        let note = world.audit.checkpoint(&context).await.unwrap();
        assert!(Checkpoint::open(&note, &old).is_err());
        let after = Checkpoint::open(&note, &new).unwrap();
        assert_eq!(after.size, before.size + 1);
        let proof = world.audit.consistency(&context, before.size, None).await.unwrap();
        assert_eq!((proof.from_root, proof.to_root), (before.root, after.root));
        let opening = world.audit.event(&context, before.size).await.unwrap();
        assert_eq!(opening.what.subject, new.name());
        assert_eq!(opening.what.data["previous"]["root"], json!(before.root));
        assert_eq!(opening.what.data["previous"]["verifier"], json!(old.to_string()));
    });
    world.record(300..310);
    assert!(world.verify().holds());
}

#[test]
fn the_signing_key_is_stored_sealed() {
    let world = world();
    let stored = String::from_utf8(world.body(&DocKey::new("origins", 0u64.to_be_bytes())).unwrap()).unwrap();
    assert!(stored.contains("sealed_seed") && !stored.contains("PRIVATE"));
}
