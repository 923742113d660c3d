//! Copies under writers, and what a restore refuses.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use platform_core::kernel::Timestamp;
use platform_core::ports::store::{Batch, Body, Collection, DocKey, Schema, Store, Stores, Write};

use super::*;
use crate::EmbeddedStores;

const THINGS: Collection = Collection::json("things");

fn schema(name: &'static str) -> Schema {
    Schema::new(name, 1, &[THINGS])
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn key(id: &str) -> DocKey {
    DocKey { collection: THINGS.name, id: id.as_bytes().to_vec() }
}

async fn put(store: &dyn Store, id: &str, value: u64) {
    let write = Write::Put { key: key(id), body: Body::Json(value.to_string()), entries: Vec::new() };
    store.commit(Batch { writes: vec![write], ..Batch::default() }).await.unwrap();
}

async fn value(data: &Path, name: &'static str) -> Option<u64> {
    let store = EmbeddedStores::open(data).unwrap().open(&schema(name)).await.unwrap();
    let doc = store.get(&[key("x")]).await.unwrap().pop().unwrap()?;
    let Body::Json(text) = doc.body else { panic!("it is JSON") };
    Some(text.parse().unwrap())
}

async fn folder_with(data: &Path, values: &[(&'static str, u64)]) {
    let stores = EmbeddedStores::open(data).unwrap();
    for (name, value) in values {
        put(&*stores.open(&schema(name)).await.unwrap(), "x", *value).await;
    }
}

fn code<T>(result: platform_core::kernel::Result<T>) -> &'static str {
    result.err().unwrap().code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_under_writers_is_one_cut_through_all_stores() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let stores = EmbeddedStores::open(&data).unwrap();
    let (first, second) =
        (stores.open(&schema("a")).await.unwrap(), stores.open(&schema("b")).await.unwrap());
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = {
        let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
        tokio::spawn(async move {
            while !stop.load(SeqCst) {
                let next = written.load(SeqCst) + 1;
                put(&*first, "x", next).await;
                put(&*second, "x", next).await;
                written.store(next, SeqCst);
            }
        })
    };
    for round in 0..10 {
        while written.load(SeqCst) < 20 * (round + 1) {
            tokio::task::yield_now().await;
        }
        let before = written.load(SeqCst);
        let (data, into) = (data.clone(), folder.path().join(format!("copy{round}")));
        let target = into.clone();
        tokio::task::spawn_blocking(move || backup(&data, &target, now())).await.unwrap().unwrap();
        let restored = folder.path().join(format!("restored{round}"));
        restore(&into, &restored, now()).unwrap();
        let (a, b) = (value(&restored, "a").await.unwrap(), value(&restored, "b").await.unwrap());
        assert!(a == b || a == b + 1, "{a} and {b} are no one moment");
        assert!(b >= before, "what was acknowledged before the backup is in it");
    }
    stop.store(true, SeqCst);
    writer.await.unwrap();
}

#[tokio::test]
async fn a_restore_keeps_what_was_there_and_the_keys_that_are_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    folder_with(&data, &[("users", 1), ("keys", 1)]).await;
    assert_eq!(last_backup(&data), None);
    let made = backup(&data, &copy, now()).unwrap();
    assert_eq!(last_backup(&data), Some(now()));
    assert_eq!(made.files.keys().collect::<Vec<_>>(), ["data/users.db", "keys/keys.db"]);
    folder_with(&data, &[("users", 2), ("keys", 2)]).await;
    let restored = restore(&copy, &data, now()).unwrap();
    assert_eq!(restored.manifest.content_sha256, made.content_sha256);
    assert_eq!((value(&data, "users").await, value(&data, "keys").await), (Some(1), Some(2)));
    let kept = restored.kept.unwrap();
    assert_eq!((value(&kept, "users").await, restored.kept_keys), (Some(2), true));
    // Where no keys are, those of the backup are taken.
    let elsewhere = folder.path().join("elsewhere");
    assert!(!restore(&copy, &elsewhere, now()).unwrap().kept_keys);
    assert_eq!(value(&elsewhere, "keys").await, Some(1));
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_nothing_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    folder_with(&data, &[("users", 1)]).await;
    backup(&data, &copy, now()).unwrap();
    folder_with(&data, &[("users", 2)]).await;
    let file = copy.join("data/users.db");
    let good = std::fs::read(&file).unwrap();
    for at in [0, 100, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&file, &bad).unwrap();
        assert_eq!(code(restore(&copy, &data, now())), "backup.damaged", "byte {at}");
    }
    std::fs::write(&file, &good[..good.len() - 1]).unwrap();
    assert_eq!(code(check_backup(&copy)), "backup.damaged");
    std::fs::write(&file, &good).unwrap();
    std::fs::write(copy.join("data/extra"), "x").unwrap();
    assert_eq!(code(check_backup(&copy)), "backup.damaged");
    std::fs::remove_file(copy.join("data/extra")).unwrap();
    check_backup(&copy).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code(check_backup(&copy)), "backup.damaged");
    std::fs::write(&file, &good).unwrap();
    let text = std::fs::read_to_string(copy.join("manifest.json")).unwrap();
    std::fs::write(copy.join("manifest.json"), text.replace("data/users.db", "data/../../evil.db")).unwrap();
    assert_eq!(code(restore(&copy, &data, now())), "backup.damaged");
    std::fs::write(copy.join("manifest.json"), "{}").unwrap();
    assert_eq!(code(check_backup(&copy)), "backup.invalid");
    assert_eq!(value(&data, "users").await, Some(2));
}

#[tokio::test]
async fn damaged_databases_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    folder_with(&data, &[("users", 1), ("auth", 1)]).await;
    assert!(check_stores(&data).unwrap().iter().all(|(_, found)| found.is_ok()));
    std::fs::write(data.join("auth.db"), vec![7; 8192]).unwrap();
    let found = check_stores(&data).unwrap();
    let bad: Vec<_> =
        found.iter().filter(|(_, found)| found.is_err()).map(|(name, _)| name.as_str()).collect();
    assert_eq!(bad, ["auth.db"]);
}

#[tokio::test]
async fn a_folder_in_use_is_not_replaced_and_a_backup_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    folder_with(&data, &[("users", 1)]).await;
    backup(&data, &copy, now()).unwrap();
    assert_eq!(code(backup(&data, &copy, now())), "backup.exists");
    let held = EmbeddedStores::open(&data).unwrap();
    assert_eq!(code(restore(&copy, &data, now())), "store.locked");
    drop(held);
    restore(&copy, &data, now()).unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert_eq!(code(backup(&empty, &folder.path().join("none"), now())), "backup.no_data");
}

#[tokio::test]
async fn a_store_on_fjall_is_copied_while_nobody_has_the_folder_open() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let engines = || crate::Engines::default().with("fast", crate::Engine::Fjall);
    let stores = EmbeddedStores::open(&data).unwrap().on(engines());
    drop(stores.open(&schema("plain")).await.unwrap());
    let store = stores.open(&schema("fast")).await.unwrap();
    store.commit(Default::default()).await.unwrap();
    let copy = folder.path().join("copy");
    assert_eq!(code(backup(&data, &copy, now())), "backup.in_use");
    drop((store, stores));
    backup(&data, &copy, now()).unwrap();
    let again = EmbeddedStores::open(&copy.join("data")).unwrap().open(&schema("fast")).await.unwrap();
    assert_eq!(*again.committed().borrow(), 1);
}
