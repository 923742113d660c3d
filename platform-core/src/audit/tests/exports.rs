//! The log as files.

use proptest::prelude::*;

use super::*;
use crate::audit::tlog::{Resource, Tile};
use crate::kernel::Result;

#[derive(Default)]
struct Files(BTreeMap<String, Vec<u8>>);

impl Sink for Files {
    fn write(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        assert!(self.0.insert(path.to_owned(), bytes.to_vec()).is_none());
        Ok(())
    }
}

/// What a stranger's tool does with an exported log: nothing of the store, only the files.
fn check_as_others_do(files: &Files) -> u64 {
    let file = |path: &str| files.0.get(path).unwrap_or_else(|| panic!("no {path}"));
    let text = |path: &str| String::from_utf8(file(path).clone()).unwrap();
    let key: VerifierKey = text("verifier_key").trim().parse().unwrap();
    let checkpoint = Checkpoint::open(&text("checkpoint"), &key).unwrap();
    let mut hashes = Vec::new();
    for tile in Tile::all(checkpoint.size).filter(|tile| tile.level == 0) {
        let bundle = file(&Resource::Entries { index: tile.index, width: tile.width }.to_string());
        let own: Vec<_> = EntryBundle::entries(bundle).unwrap().into_iter().map(leaf_hash).collect();
        let stored = file(&Resource::Tile(tile).to_string());
        assert_eq!(*stored, own.iter().flat_map(|hash| hash.0).collect::<Vec<_>>());
        hashes.extend(own);
    }
    let mut level = 1;
    let mut below = hashes.clone();
    while below.len() >= 256 {
        below = below.as_chunks::<256>().0.iter().map(|part| merkle::root(part.iter().copied())).collect();
        for tile in Tile::all(checkpoint.size).filter(|tile| tile.level == level) {
            let first = tile.index as usize * 256;
            let part = &below[first..first + usize::from(tile.width)];
            let stored = file(&Resource::Tile(tile).to_string());
            assert_eq!(*stored, part.iter().flat_map(|hash| hash.0).collect::<Vec<_>>());
        }
        level += 1;
    }
    assert_eq!(merkle::root(hashes.iter().copied()), checkpoint.root);
    assert_eq!(hashes.len() as u64, checkpoint.size);
    checkpoint.size
}

#[test]
fn an_exported_log_can_be_checked_from_its_files_alone() {
    for size in [0, 1, 255, 256, 600] {
        let world = world();
        for start in (0..size).step_by(50) {
            world.record(start..(start + 50).min(size));
        }
        world.sim.block_on(world.audit.flush()).unwrap();
        let mut files = Files::default();
        let checkpoint = world.sim.block_on(export(&*world.db.store, &mut files)).unwrap();
        assert_eq!(check_as_others_do(&files), size + 1);
        assert_eq!(checkpoint.size, size + 1);
        for (path, bytes) in files.0.iter().filter(|(path, _)| *path != "verifier_key") {
            let served = world.sim.block_on(world.audit.resource(&Context::system(), path)).unwrap();
            assert_eq!(served, *bytes, "{path}");
        }
        let beyond = format!("tile/entries/000.p/{}", size + 2);
        assert!(world.sim.block_on(world.audit.resource(&Context::system(), &beyond)).is_err());
    }
}

#[test]
fn what_was_signed_and_then_changed_is_not_exported() {
    let world = world();
    world.record(0..300);
    world.sim.block_on(world.audit.flush()).unwrap();
    let mut tile = world.body(&tile_key(0, 0)).unwrap();
    tile[5] ^= 1;
    world.overwrite_body(tile_key(0, 0), tile);
    let exported = world.sim.block_on(export(&*world.db.store, &mut Files::default()));
    assert_eq!(exported.unwrap_err().code(), "audit.damaged");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_the_sizes_of_the_appends_the_log_holds(steps in proptest::collection::vec(1u64..400, 1..8)) {
        let world = world();
        let mut next = 0;
        for step in steps {
            world.record(next..next + step);
            next += step;
        }
        world.sim.block_on(world.audit.flush()).unwrap();
        let report = world.verify();
        prop_assert!(report.holds(), "{report:?}");
        prop_assert_eq!(report.entries, next + 1);
        let mut files = Files::default();
        world.sim.block_on(export(&*world.db.store, &mut files)).unwrap();
        prop_assert_eq!(check_as_others_do(&files), next + 1);
    }
}
