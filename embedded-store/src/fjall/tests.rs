//! What a crash or a fault of the disk may do to the journal.

use std::fs;
use std::path::{Path, PathBuf};

use platform_core::kernel::Result;
use platform_core::ports::store::{Batch, Body, Collection, DocKey, IndexRange, Schema, Stores, Write};

use crate::acknowledged;
use crate::ordered::layout;
use crate::{EmbeddedStores, Engine, Engines};

fn schema() -> Schema {
    Schema::new("things", 1, &[Collection::json("things")])
}

async fn open(folder: &Path) -> Result<std::sync::Arc<dyn platform_core::ports::store::Store>> {
    EmbeddedStores::open(folder)?.on(Engines::all(Engine::Fjall)).open(&schema()).await
}

async fn write(folder: &Path, commits: u32) {
    let store = open(folder).await.unwrap();
    let before = *store.committed().borrow();
    for number in 0..commits {
        let key = DocKey::new("things", format!("{:04}", before + u64::from(number)));
        let body = Body::Json(format!("\"{}\"", "text ".repeat(50)));
        let write = Write::Put { key, body, entries: Vec::new() };
        store.commit(Batch { writes: vec![write], ..Batch::default() }).await.unwrap();
    }
}

async fn count(folder: &Path) -> usize {
    let store = open(folder).await.unwrap();
    store.scan(&IndexRange::ids("things").limit(1000)).await.unwrap().docs.len()
}

#[tokio::test]
async fn a_store_in_another_layout_is_refused() {
    for (theirs, code) in [(None, "store.older_format"), (Some("3"), "store.newer_schema")] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 1).await;
        {
            let database = super::open_database(&folder.path().join("things.fjall")).unwrap();
            let data = super::keyspace(&database).unwrap();
            match theirs {
                None => data.remove(layout::FORMAT).unwrap(),
                Some(theirs) => data.insert(layout::FORMAT, theirs).unwrap(),
            }
            database.persist(fjall::PersistMode::SyncAll).unwrap();
        }
        assert_eq!(open(folder.path()).await.err().unwrap().code(), code);
    }
}

fn journal(folder: &Path) -> PathBuf {
    folder.join("things.fjall/0.jnl")
}

/// Where the batches end: behind the last magic.
fn end_of(journal: &[u8]) -> usize {
    journal.windows(4).rposition(|window| window == b"FJL\x03").unwrap() + 4
}

/// Where the last batch begins.
fn last_batch(journal: &[u8]) -> usize {
    end_of(&journal[..end_of(journal) - 4])
}

#[tokio::test]
async fn a_batch_that_was_torn_before_it_was_acknowledged_is_cut_off() {
    for tear in ["short", "changed", "only the end", "zeros in the middle"] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 5).await;
        let path = journal(folder.path());
        let mut bytes = fs::read(&path).unwrap();
        let end = end_of(&bytes);
        // The last batch once more, as if a sixth had been on its way.
        let mut torn = bytes[last_batch(&bytes)..end].to_vec();
        let middle = torn.len() / 2;
        match tear {
            "short" => torn.truncate(middle),
            "changed" => torn[middle] ^= 1,
            "only the end" => torn[..middle].fill(0),
            _ => torn[middle..middle + 40].fill(0),
        }
        bytes.truncate(end);
        bytes.extend(torn);
        fs::write(&path, bytes).unwrap();
        assert_eq!(count(folder.path()).await, 5, "{tear}");
        write(folder.path(), 3).await;
        assert_eq!(count(folder.path()).await, 8, "{tear}");
    }
}

#[tokio::test]
async fn a_damaged_batch_that_was_acknowledged_is_told_with_what_to_do() {
    for damage in ["cut", "changed", "zeros"] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 5).await;
        let path = journal(folder.path());
        let mut bytes = fs::read(&path).unwrap();
        let (begin, end) = (last_batch(&bytes), end_of(&bytes));
        bytes.truncate(end + 100);
        match damage {
            "cut" => bytes.truncate(begin + 20),
            "changed" => bytes[begin + 60] ^= 1,
            _ => bytes[begin..end].fill(0),
        }
        fs::write(&path, bytes).unwrap();
        for _ in 0..2 {
            let error = open(folder.path()).await.err().unwrap();
            assert_eq!(error.code(), "store.damaged", "{damage}");
            assert!(error.message().contains("restore") && error.message().contains("delete"));
            let context: Vec<_> = error.context().map(|(name, value)| (name, value.to_owned())).collect();
            assert!(
                context.contains(&("lost_from", "5".into())) && context.contains(&("lost_to", "5".into()))
            );
        }
        // What the error says can be done.
        fs::remove_file(acknowledged::path_of(&folder.path().join("things.fjall"))).unwrap();
        assert_eq!(count(folder.path()).await, 4, "{damage}");
        write(folder.path(), 1).await;
        assert_eq!(count(folder.path()).await, 5, "{damage}");
    }
}

#[tokio::test]
async fn damage_before_the_end_is_never_passed_over_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 20).await;
    let path = journal(folder.path());
    let mut sound = fs::read(&path).unwrap();
    let end = end_of(&sound);
    // Without most of the 64 MiB of zeros that fjall allocates ahead.
    sound.truncate(end + 100);
    for at in (0..end).step_by(181) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x55;
        fs::write(&path, bytes).unwrap();
        match open(folder.path()).await {
            Err(error) => assert_eq!(error.code(), "store.damaged", "byte {at}"),
            Ok(store) => {
                let found = store.scan(&IndexRange::ids("things").limit(1000)).await.unwrap().docs.len();
                assert_eq!(found, 20, "byte {at}");
            }
        }
        fs::write(&path, &sound).unwrap();
        assert_eq!(count(folder.path()).await, 20, "byte {at}");
    }
}

/// What a database leaves that failed while it was made: version, journal, whether it has a keyspace.
fn unfinished(folder: &Path, version: &[u8], journal: &[u8], has_keyspace: bool) -> PathBuf {
    let path = folder.join("things.fjall");
    fs::create_dir_all(path.join("keyspaces")).unwrap();
    fs::write(path.join("version"), version).unwrap();
    fs::write(path.join("0.jnl"), journal).unwrap();
    if has_keyspace {
        fs::create_dir(path.join("keyspaces/0")).unwrap();
    }
    path
}

#[tokio::test]
async fn a_database_that_was_not_made_whole_is_made_anew_when_nothing_was_written() {
    for version in [b"".as_slice(), b"FJL", b"FJL\0", b"\0\0\0\0"] {
        let folder = tempfile::tempdir().unwrap();
        unfinished(folder.path(), version, &[0; 5_000], false);
        write(folder.path(), 1).await;
        assert_eq!(count(folder.path()).await, 1, "{version:?}");
    }
}

#[tokio::test]
async fn a_database_with_anything_in_it_is_never_made_anew() {
    let zeros = [0; 5_000];
    let cases: [(&[u8], &[u8], bool, bool); 4] = [
        (b"FJL\x02", &zeros, false, false),
        (b"\0\0\0\0", b"something", false, false),
        (b"\0\0\0\0", &zeros, true, false),
        (b"\0\0\0\0", &zeros, false, true),
    ];
    for (version, journal, has_keyspace, is_noted) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = unfinished(folder.path(), version, journal, has_keyspace);
        if is_noted {
            fs::write(path.join(acknowledged::NAME), "7").unwrap();
        }
        assert!(open(folder.path()).await.is_err(), "{version:?} {has_keyspace} {is_noted}");
        assert_eq!(fs::read(path.join("version")).unwrap(), version);
        assert!(fs::read(path.join("0.jnl")).unwrap().starts_with(journal));
    }
}
