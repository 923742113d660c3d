//! What closing, failing and damage do to a store on sled.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform_core::audit::AuditConfig;
use platform_core::kernel::Result;
use platform_core::ports::store::{
    Batch, Body, Collection, Commit, CommitError, DocKey, IndexRange, Schema, Store, Stores, Write,
};

use crate::acknowledged;
use crate::{EmbeddedStores, Engine, Engines};

fn schema() -> Schema {
    Schema::new("things", 1, &[Collection::json("things")])
}

async fn open(folder: &Path) -> Result<Arc<dyn Store>> {
    EmbeddedStores::open(folder)?.on(Engines::all(Engine::Sled)).open(&schema()).await
}

async fn put(store: &dyn Store, id: u64, bytes: usize) -> Result<Commit, CommitError> {
    let key = DocKey::new("things", format!("{id:04}"));
    let body = Body::Json(format!("\"{}\"", "x".repeat(bytes)));
    let write = Write::Put { key, body, entries: Vec::new() };
    store.commit(Batch { writes: vec![write], ..Batch::default() }).await
}

async fn write(folder: &Path, commits: u64) {
    let store = open(folder).await.unwrap();
    let before = *store.committed().borrow();
    for number in 0..commits {
        put(&*store, before + number, 250).await.unwrap();
    }
}

async fn count(store: &dyn Store) -> Result<usize> {
    Ok(store.scan(&IndexRange::ids("things").limit(1000)).await?.docs.len())
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join("things.sled").join(name)
}

#[tokio::test]
async fn a_store_opens_again_as_soon_as_it_is_closed_with_all_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        write(folder.path(), 3).await;
        let store = open(folder.path()).await.unwrap();
        assert_eq!(count(&*store).await.unwrap(), 3 * (round + 1));
    }
}

#[tokio::test]
async fn large_documents_are_there_after_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = [100_000, 600_000, 3_000_000, 10];
    let store = open(folder.path()).await.unwrap();
    for (id, bytes) in sizes.into_iter().enumerate() {
        put(&*store, id as u64, bytes).await.unwrap();
    }
    drop(store);
    assert!(fs::read_dir(file(folder.path(), "blobs")).unwrap().count() > 0, "sled keeps large pages apart");
    let store = open(folder.path()).await.unwrap();
    let found = store.scan(&IndexRange::ids("things")).await.unwrap().docs;
    let found: Vec<usize> = found.iter().map(|doc| doc.body.as_bytes().len()).collect();
    assert_eq!(found, sizes.map(|bytes| bytes + 2));
}

#[tokio::test]
async fn after_a_sync_that_failed_nothing_is_written_or_read_until_the_store_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    put(&*store, 0, 10).await.unwrap();
    fs::remove_dir(file(folder.path(), "blobs")).unwrap();
    let failed = put(&*store, 1, 10).await.unwrap_err();
    assert!(matches!(failed, CommitError::Unavailable { maybe_applied: true, .. }), "{failed:?}");
    assert!(matches!(put(&*store, 2, 10).await.unwrap_err(), CommitError::Poisoned));
    assert_eq!(count(&*store).await.unwrap_err().code(), "store.poisoned");
    assert_eq!(*store.committed().borrow(), 1);
    drop(store);
    let store = open(folder.path()).await.unwrap();
    let found = count(&*store).await.unwrap();
    assert!((1..=2).contains(&found), "{found}");
    assert_eq!(*store.committed().borrow(), found as u64);
}

#[tokio::test]
async fn a_lost_end_that_was_acknowledged_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 3).await;
    let older = tempfile::tempdir().unwrap();
    copy(&folder.path().join("things.sled"), older.path());
    write(folder.path(), 2).await;
    // The log ends where it ended before the last two.
    let note = fs::read(acknowledged::path_of(&folder.path().join("things.sled"))).unwrap();
    fs::remove_dir_all(folder.path().join("things.sled")).unwrap();
    copy(older.path(), &folder.path().join("things.sled"));
    fs::write(acknowledged::path_of(&folder.path().join("things.sled")), note).unwrap();
    for _ in 0..2 {
        let error = open(folder.path()).await.err().unwrap();
        assert_eq!(error.code(), "store.damaged");
        let context: Vec<_> = error.context().map(|(name, value)| (name, value.to_owned())).collect();
        assert!(context.contains(&("lost_from", "4".into())) && context.contains(&("lost_to", "5".into())));
    }
    fs::remove_file(acknowledged::path_of(&folder.path().join("things.sled"))).unwrap();
    assert_eq!(count(&*open(folder.path()).await.unwrap()).await.unwrap(), 3);
}

#[tokio::test]
async fn a_log_that_does_not_read_is_never_passed_over_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 20).await;
    let sound = tempfile::tempdir().unwrap();
    copy(&folder.path().join("things.sled"), sound.path());
    let bytes = fs::read(sound.path().join("db")).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // First nothing is damaged.
    for (at, damage) in std::iter::once((0, 0)).chain((0..end).step_by(end / 60).map(|at| (at, 0x55))) {
        fs::remove_dir_all(folder.path().join("things.sled")).unwrap();
        copy(sound.path(), &folder.path().join("things.sled"));
        let mut damaged = bytes.clone();
        damaged[at] ^= damage;
        fs::write(file(folder.path(), "db"), damaged).unwrap();
        let told = match open(folder.path()).await {
            Err(error) => error.code().to_owned(),
            Ok(store) => match count(&*store).await {
                Err(error) => error.code().to_owned(),
                Ok(found) => found.to_string(),
            },
        };
        assert!(told == "20" || damage != 0 && told == "store.damaged", "byte {at}: {told}");
    }
}

#[tokio::test]
async fn a_folder_is_copied_only_while_no_process_has_it_open() {
    let folder = tempfile::tempdir().unwrap();
    let (data, into) = (folder.path().join("data"), folder.path().join("copy"));
    write(&data, 3).await;
    let now = platform_core::kernel::Timestamp::EPOCH;
    let stores = EmbeddedStores::open(&data).unwrap().on(Engines::all(Engine::Sled));
    let store = stores.open(&schema()).await.unwrap();
    assert_eq!(stores.backup(&into, now).unwrap_err().code(), "backup.in_use");
    assert_eq!(stores.copy_store("things", &into).unwrap_err().code(), "backup.in_use");
    assert_eq!(crate::backup(&data, &into, now).unwrap_err().code(), "backup.in_use");
    assert!(!into.exists());
    drop((store, stores));
    crate::backup(&data, &into, now).unwrap();
    fs::remove_dir_all(&data).unwrap();
    crate::restore(&into, &data, AuditConfig::default(), now).await.unwrap();
    assert_eq!(count(&*open(&data).await.unwrap()).await.unwrap(), 3);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
