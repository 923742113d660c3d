//! What only this log promises; the rest is the conformance suite's.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform_core::ports::log::{EventLog, NewRecord, Topic};
use platform_core::ports::runtime::SimRuntime;

use super::FjallLog;
use super::record::row_key;

const KEY: &str = "k";

fn open(folder: &Path) -> FjallLog {
    FjallLog::open(folder, SimRuntime::new(1).runtime()).unwrap()
}

async fn fill(folder: &Path, numbers: std::ops::Range<u64>) {
    let log = open(folder);
    log.declare(&Topic::new("t", 1)).await.unwrap();
    for number in numbers {
        log.append("t", vec![NewRecord::new(KEY, format!("value {number}"))]).await.unwrap();
    }
}

async fn count(folder: &Path) -> u64 {
    let log = open(folder);
    let records = log.read("t", 0, 0, 10_000).await.unwrap();
    for (at, record) in records.iter().enumerate() {
        assert_eq!(record.value, format!("value {at}"));
    }
    records.len() as u64
}

/// The journal that is written to.
fn journal(folder: &Path) -> PathBuf {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut journals: Vec<_> =
        names.filter(|path| path.extension().is_some_and(|kind| kind == "jnl")).collect();
    journals.sort_by_key(|path| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap());
    journals.pop().unwrap()
}

/// Where the last written byte of a journal is: it is longer than what is in it.
fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

#[tokio::test]
async fn a_torn_tail_costs_what_was_torn_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    fill(&whole, 0..20).await;
    let journal_name = journal(&whole).file_name().unwrap().to_owned();
    let bytes = fs::read(journal(&whole)).unwrap();
    let end = written(&bytes);
    for torn in (1..60).step_by(6) {
        let copy = folder.path().join(format!("torn_{torn}"));
        copy_folder(&whole, &copy);
        // What a crash leaves of a group that was being written.
        fs::write(copy.join(&journal_name), &bytes[..end - torn]).unwrap();
        let left = count(&copy).await;
        assert!((18..=20).contains(&left), "{torn} bytes torn: {left} records left");
        fill(&copy, left..25).await;
        assert_eq!(count(&copy).await, 25, "{torn} bytes torn");
        fs::remove_dir_all(copy).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_journal_is_recovered_or_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    fill(&whole, 0..20).await;
    let journal_name = journal(&whole).file_name().unwrap().to_owned();
    let bytes = fs::read(journal(&whole)).unwrap();
    let end = written(&bytes);
    for at in (end - 200..end).step_by(13) {
        let copy = folder.path().join(format!("damaged_{at}"));
        copy_folder(&whole, &copy);
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        fs::write(copy.join(&journal_name), damaged).unwrap();
        match FjallLog::open(&copy, SimRuntime::new(1).runtime()) {
            Err(error) => {
                assert_eq!(error.code(), "log.damaged");
                assert!(error.message().contains("restore it from a backup"), "{error}");
                assert!(error.context().any(|(name, _)| name == "path"));
            }
            Ok(log) => {
                // Whatever is shown is right.
                let records = log.read("t", 0, 0, 100).await.unwrap();
                for (at, record) in records.iter().enumerate() {
                    assert_eq!(record.value, format!("value {at}"));
                }
            }
        }
        fs::remove_dir_all(copy).unwrap();
    }
}

#[tokio::test]
async fn lost_records_that_were_acknowledged_are_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 0..20).await;
    let path = journal(folder.path());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..written(&bytes) - 10]).unwrap();
    let error = FjallLog::open(folder.path(), SimRuntime::new(1).runtime()).err().unwrap();
    assert_eq!(error.code(), "log.damaged");
    assert!(error.context().any(|field| field == ("lost", "1")), "{error:?}");
    fs::remove_file(folder.path().join(crate::acknowledged::NAME)).unwrap();
    assert_eq!(count(folder.path()).await, 19, "what the error says can be done");
}

#[tokio::test]
async fn a_damaged_record_is_named_and_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 0..10).await;
    let log = open(folder.path());
    log.0.state.rows.insert(row_key(0, 0, 4), b"what is this".as_slice()).unwrap();
    let error = log.read("t", 0, 0, 100).await.unwrap_err();
    assert_eq!(error.code(), "log.damaged");
    let context: Vec<_> = error.context().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(context, ["topic=t", "partition=0", "offset=4"]);
    assert_eq!(log.read("t", 0, 0, 4).await.unwrap().len(), 4);
    assert_eq!(log.read("t", 0, 5, 9).await.unwrap().len(), 5);
    // A record that is missing altogether is no end, either.
    log.0.state.rows.remove(row_key(0, 0, 7)).unwrap();
    let error = log.read("t", 0, 5, 9).await.unwrap_err();
    assert!(error.context().any(|field| field == ("offset", "7")), "{error}");
}

#[tokio::test]
async fn waiting_appends_share_a_sync() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(open(folder.path()));
    log.declare(&Topic::new("t", 1)).await.unwrap();
    // Measured rather than counted: 2,000 syncs of their own would take 0.3 s and more.
    let appends = (0..2_000).map(|number| {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.append("t", vec![NewRecord::new(KEY, format!("{number}"))]).await })
    });
    for append in appends.collect::<Vec<_>>() {
        append.await.unwrap().unwrap();
    }
    assert_eq!(log.bounds("t").await.unwrap(), [(0, 2_000)]);
    assert!(log.0.state.groups.load(std::sync::atomic::Ordering::Relaxed) < 200);
}

/// Without the journals, and without the note of what was acknowledged: what is torn here was not.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else if entry.file_name() != crate::acknowledged::NAME
            && entry.path().extension().is_none_or(|kind| kind != "jnl")
        {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
