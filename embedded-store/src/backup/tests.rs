//! Copies under writers, and what a restore refuses.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use platform_core::audit::AuditConfig;
use platform_core::kernel::{Context, Error, Timestamp};
use platform_core::ports::store::{Batch, Body, Collection, DocKey, Schema, Store, Stores, Write};

use super::manifest::Tree;
use super::restore::restore_in_steps;
use super::*;
use crate::{EmbeddedStores, Engine, Engines, verify_audit};

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
        restore(&into, &restored, AuditConfig::default(), now()).await.unwrap();
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
    let restored = restore(&copy, &data, AuditConfig::default(), now()).await.unwrap();
    assert_eq!(restored.manifest.content_sha256, made.content_sha256);
    assert_eq!((value(&data, "users").await, value(&data, "keys").await), (Some(1), Some(2)));
    let kept = restored.kept.unwrap();
    assert_eq!((value(&kept, "users").await, restored.kept_keys), (Some(2), true));
    // Where no keys are, those of the backup are taken.
    let elsewhere = folder.path().join("elsewhere");
    assert!(!restore(&copy, &elsewhere, AuditConfig::default(), now()).await.unwrap().kept_keys);
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
        assert_eq!(
            code(restore(&copy, &data, AuditConfig::default(), now()).await),
            "backup.damaged",
            "byte {at}"
        );
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
    assert_eq!(code(restore(&copy, &data, AuditConfig::default(), now()).await), "backup.damaged");
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
    assert_eq!(code(restore(&copy, &data, AuditConfig::default(), now()).await), "store.locked");
    drop(held);
    restore(&copy, &data, AuditConfig::default(), now()).await.unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert_eq!(code(backup(&empty, &folder.path().join("none"), now())), "backup.no_data");
}

#[tokio::test]
async fn a_store_on_fjall_is_copied_while_nobody_has_the_folder_open_or_by_who_has() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let stores = EmbeddedStores::open(&data).unwrap().on(Engines::default().with("fast", Engine::Fjall));
    drop(stores.open(&schema("plain")).await.unwrap());
    let store = stores.open(&schema("fast")).await.unwrap();
    put(&*store, "x", 1).await;
    let (copy, living, alone) =
        (folder.path().join("copy"), folder.path().join("living"), folder.path().join("alone"));
    assert_eq!(code(backup(&data, &copy, now())), "backup.in_use");
    stores.backup(&living, now()).unwrap();
    put(&*store, "x", 2).await;
    stores.copy_store("fast", &alone).unwrap();
    assert_eq!(code(stores.copy_store("fast", &alone)), "backup.exists");
    assert_eq!(code(stores.copy_store("slow", &folder.path().join("none"))), "backup.no_data");
    drop((store, stores));
    backup(&data, &copy, now()).unwrap();
    assert_eq!(value(&living.join("data"), "fast").await, Some(1));
    assert_eq!(value(&alone, "fast").await, Some(2));
    assert_eq!(value(&copy.join("data"), "fast").await, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_under_writers_is_one_cut_through_both_engines() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let stores =
        Arc::new(EmbeddedStores::open(&data).unwrap().on(Engines::default().with("b", Engine::Fjall)));
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
    for round in 0..5 {
        while written.load(SeqCst) < 20 * (round + 1) {
            tokio::task::yield_now().await;
        }
        let before = written.load(SeqCst);
        let (stores, into) = (Arc::clone(&stores), folder.path().join(format!("copy{round}")));
        let target = into.clone();
        tokio::task::spawn_blocking(move || stores.backup(&target, now())).await.unwrap().unwrap();
        check_backup(&into).unwrap();
        let (a, b) =
            (value(&into.join("data"), "a").await.unwrap(), value(&into.join("data"), "b").await.unwrap());
        assert!(a == b || a == b + 1, "{a} and {b} are no one moment");
        assert!(b >= before, "what was acknowledged before the backup is in it");
    }
    stop.store(true, SeqCst);
    writer.await.unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    let tree = Tree::of(from).unwrap();
    tree.folders.iter().for_each(|folder| std::fs::create_dir(to.join(folder)).unwrap());
    for file in tree.files {
        std::fs::copy(from.join(&file), to.join(&file)).unwrap();
    }
}

/// Its audit log: origin and number of entries.
async fn log_of(data: &Path) -> (String, u64) {
    let report = verify_audit(data, None).await.unwrap();
    assert!(report.holds(), "{}", data.display());
    (report.origin, report.entries)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_stops_at_any_step_leaves_the_old_or_the_whole_new() {
    let folder = tempfile::tempdir().unwrap();
    let (made, copy) = (folder.path().join("made"), folder.path().join("copy"));
    let context = Context::service("test");
    let platform = crate::open(&made).await.unwrap();
    platform.settled().await.unwrap();
    EmbeddedStores::of(&platform).unwrap().backup(&copy, now()).unwrap();
    let account = serde_json::from_str(r#"{"asset": "EUR"}"#).unwrap();
    platform.transactions().open_account(&context, &account).await.unwrap();
    platform.settled().await.unwrap();
    platform.stop().await;
    drop(platform);
    let old = log_of(&made).await;
    for stop_at in 0.. {
        let here = folder.path().join(format!("stop{stop_at}"));
        std::fs::create_dir(&here).unwrap();
        let data = here.join("data");
        copy_folder(&made, &data);
        std::fs::copy(folder.path().join("made.key"), here.join("data.key")).unwrap();
        let mut passed = Vec::new();
        let mut step = |name| {
            passed.push(name);
            if passed.len() > stop_at {
                Err(Error::unavailable("test.crash", "it stops here"))
            } else {
                Ok(())
            }
        };
        let stopped = restore_in_steps(&copy, &data, AuditConfig::default(), now(), &mut step).await;
        let is_new = passed.contains(&"exchanged");
        let found = log_of(&data).await;
        if is_new {
            assert!(found.0 != old.0 && found.1 < old.1, "{passed:?}: {found:?}, but was {old:?}");
        } else {
            assert_eq!(found, old, "{passed:?}");
        }
        // The next one is not disturbed, and nothing of what was there is gone.
        let again = restore(&copy, &data, AuditConfig::default(), now()).await.unwrap();
        let restored = log_of(&data).await;
        assert!(restored.0 != old.0 && restored.0 != found.0, "{passed:?}: a new origin");
        assert!(again.audit_key.is_some());
        let mut kept = Vec::new();
        let mut names = std::fs::read_dir(&here)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !["data", "data.key"].contains(&name.as_str()))
            .collect::<Vec<_>>();
        names.sort();
        for name in &names {
            assert!(name.starts_with("data.before-"), "{passed:?}: {name}");
            kept.push(log_of(&here.join(name)).await);
        }
        assert!(kept.contains(&old), "{passed:?}: {kept:?}");
        assert_eq!(kept.len(), if is_new { 2 } else { 1 }, "{passed:?}: {names:?}");
        assert!(!data.join("restoring").exists());
        let platform = crate::open(&data).await.unwrap();
        platform.stop().await;
        if stopped.is_ok() {
            assert_eq!(passed.len(), 7, "{passed:?}");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_key_nothing_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (made, copy, other) =
        (folder.path().join("made"), folder.path().join("copy"), folder.path().join("other"));
    let platform = crate::open(&made).await.unwrap();
    platform.settled().await.unwrap();
    EmbeddedStores::of(&platform).unwrap().backup(&copy, now()).unwrap();
    platform.stop().await;
    assert_eq!(code(restore(&copy, &other, AuditConfig::default(), now()).await), "keys.missing");
    assert!(!other.exists());
    std::fs::copy(folder.path().join("made.key"), folder.path().join("other.key")).unwrap();
    restore(&copy, &other, AuditConfig::default(), now()).await.unwrap();
    assert!(log_of(&other).await.1 > 0);
}
