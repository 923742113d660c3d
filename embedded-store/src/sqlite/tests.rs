//! What only SQLite promises; the rest is the conformance suite's.

use platform_core::ports::store::{
    Batch, Body, Collection, CommitError, DocKey, Entry, Expect, Index, IndexRange, Schema, Stores, Write,
};

use std::sync::Arc;

use platform_core::kernel::{Actor, Error, EventId, EventPosition, NewEvent, RawId, Timestamp};
use platform_core::ports::store::{Prepared, StoreTimings};
use rusqlite::ffi::SQLITE_IOERR_FSYNC;

use super::checkpoints::Checkpoints;
use super::tables::Tables;
use super::writer::SqliteWriter;
use super::{connection, file_of, migrate};
use crate::EmbeddedStores;
use crate::group::{Engine, Failure};
use crate::store::Trim;

fn reindex(_id: &[u8], body: &Body) -> platform_core::kernel::Result<Vec<Entry>> {
    Ok(vec![Entry::new("by_body", body.as_bytes())])
}

fn schema() -> Schema {
    const BY_BODY: &[Index] = &[Index::unique("by_body")];
    Schema::new("things", 1, &[Collection::json("things").indexed(BY_BODY, reindex)])
}

fn put(id: &str, body: &str) -> Write {
    Write::Put {
        key: DocKey::new("things", id),
        body: Body::Json(body.to_owned()),
        entries: vec![Entry::new("by_body", body)],
    }
}

#[tokio::test]
async fn a_file_outlives_its_process_and_is_readable_with_plain_sql() {
    let folder = tempfile::tempdir().unwrap();
    let stores = EmbeddedStores::open(folder.path()).unwrap();
    let store = stores.open(&schema()).await.unwrap();
    let swapped = |a: &str, b: &str| Batch { writes: vec![put("1", a), put("2", b)], ..Batch::default() };
    assert_eq!(store.commit(swapped("10", "20")).await.unwrap().position, 1);
    assert_eq!(store.commit(swapped("20", "10")).await.unwrap().position, 2);
    let taken = Batch { writes: vec![put("3", "10")], ..Batch::default() };
    assert!(matches!(store.commit(taken).await, Err(CommitError::Unique { .. })));
    assert_eq!(stores.open(&schema()).await.err().unwrap().code(), "store.locked");
    assert_eq!(EmbeddedStores::open(folder.path()).err().unwrap().code(), "store.locked");
    drop((store, stores));

    let sql = rusqlite::Connection::open(folder.path().join("things.db")).unwrap();
    let id: Vec<u8> = sql
        .query_row("SELECT id FROM things WHERE by_body = cast('10' AS BLOB)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(id, b"2");
    drop(sql);

    let stores = EmbeddedStores::open(folder.path()).unwrap();
    let store = stores.open(&schema()).await.unwrap();
    assert_eq!(*store.committed().borrow(), 2);
    let expects = vec![(DocKey::new("things", "1"), Expect::Version(2))];
    let batch = Batch { expects, writes: vec![put("1", "30")], ..Batch::default() };
    assert_eq!(store.commit(batch).await.unwrap().position, 3);
    let page = store.scan(&IndexRange::index("things", "by_body").backward()).await.unwrap();
    assert_eq!(page.docs.iter().map(|doc| doc.id.as_slice()).collect::<Vec<_>>(), [b"1", b"2"]);
}

#[tokio::test]
async fn a_folder_can_be_read_while_another_process_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let stores = EmbeddedStores::open(folder.path()).unwrap();
    let store = stores.open(&schema()).await.unwrap();
    store.commit(Batch { writes: vec![put("1", "10")], ..Batch::default() }).await.unwrap();
    let looking = EmbeddedStores::read_only(folder.path()).open(&schema()).await.unwrap();
    assert_eq!(*looking.committed().borrow(), 1);
    assert!(looking.get(&[DocKey::new("things", "1")]).await.unwrap()[0].is_some());
    let refused = looking.commit(Batch::default()).await;
    assert!(matches!(refused, Err(CommitError::Invalid(error)) if error.code() == "store.read_only"));
}

/// Scans must use the index all the way: no sorting, and a cursor that is sought, not skipped to.
#[tokio::test]
async fn pages_of_an_index_are_sought_and_never_sorted() {
    let folder = tempfile::tempdir().unwrap();
    let stores = EmbeddedStores::open(folder.path()).unwrap();
    const INDEXES: &[Index] = &[Index::one("by_name"), Index::many("by_word"), Index::unique("by_mail")];
    let both = [
        Collection::json("texts").indexed(INDEXES, reindex),
        Collection::binary("blocks").indexed(INDEXES, reindex),
    ];
    drop(stores.open(&Schema::new("plans", 1, &both)).await.unwrap());
    let sql = rusqlite::Connection::open(folder.path().join("plans.db")).unwrap();
    let plan = |query: &str| -> String {
        let mut statement = sql.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let steps = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
        steps.map(|step| step.unwrap()).collect::<Vec<_>>().join("; ")
    };
    for table in ["texts", "blocks"] {
        let by_name = plan(&format!(
            "SELECT by_name, id, version, body FROM {table} WHERE by_name IS NOT NULL AND by_name < x'70' AND (by_name, id) > (x'61', x'62') ORDER BY by_name ASC, id ASC LIMIT 51"
        ));
        assert!(by_name.contains("SEARCH") && by_name.contains("(by_name,id)>"), "{by_name}");
        let by_mail = plan(&format!(
            "SELECT by_mail, id, version, body FROM {table} WHERE by_mail IS NOT NULL AND by_mail < x'70' ORDER BY by_mail DESC LIMIT 51"
        ));
        let by_word = plan(&format!(
            "SELECT s.entry, d.id, d.version, d.body FROM \"{table}.by_word\" s CROSS JOIN {table} d ON d.id = s.id WHERE s.entry <= x'70' AND (s.entry, s.id) > (x'61', x'62') ORDER BY s.entry ASC, s.id ASC LIMIT 51"
        ));
        for plan in [by_name, by_mail, by_word] {
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{plan}");
        }
    }
}

/// What is kept has no way from a document to its entries, and is replaced and removed all the same.
#[tokio::test]
async fn a_collection_that_becomes_a_kept_one_loses_a_b_tree_and_no_entry() {
    const BY_BODY: &[Index] = &[Index::many("by_body")];
    let before = Collection::json("things").indexed(BY_BODY, reindex);
    let folder = tempfile::tempdir().unwrap();
    let b_trees = || -> i64 {
        let sql = rusqlite::Connection::open(folder.path().join("things.db")).unwrap();
        let query = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'things.by_body%'";
        sql.query_row(query, [], |row| row.get(0)).unwrap()
    };
    let mut expected = Vec::new();
    for (number, (collection, trees)) in
        [(before, 2), (before.kept(), 1), (before, 2)].into_iter().enumerate()
    {
        let stores = EmbeddedStores::open(folder.path()).unwrap();
        let store = stores.open(&Schema::new("things", 1, &[collection])).await.unwrap();
        let commit = |writes| store.commit(Batch { writes, ..Batch::default() });
        let id = |text: &str| format!("{number}{text}");
        commit(vec![put(&id("a"), "5"), put(&id("b"), "6"), put(&id("c"), "7")]).await.unwrap();
        commit(vec![put(&id("b"), "9"), Write::Delete { key: DocKey::new("things", id("c")) }])
            .await
            .unwrap();
        expected.extend([(id("a"), "5"), (id("b"), "9")]);
        expected.sort_by_key(|(id, body)| (*body, id.clone()));
        let page = store.scan(&IndexRange::index("things", "by_body")).await.unwrap();
        let found: Vec<_> =
            page.docs.iter().map(|doc| (doc.id.clone(), doc.body.as_bytes().to_vec())).collect();
        let expected = expected.iter().map(|(id, body)| (id.clone().into_bytes(), body.as_bytes().to_vec()));
        assert!(expected.eq(found));
        drop((store, stores));
        assert_eq!(b_trees(), trees);
    }
}

#[tokio::test]
async fn the_log_of_a_busy_store_is_moved_into_the_file_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let stores = EmbeddedStores::open(folder.path()).unwrap();
    let store = stores.open(&schema()).await.unwrap();
    let text = "x".repeat(1 << 20);
    for number in 0..120 {
        let write = Write::Put {
            key: DocKey::new("things", format!("{number}")),
            body: Body::Json(format!("\"{text}{number}\"")),
            entries: Vec::new(),
        };
        store.commit(Batch { writes: vec![write], ..Batch::default() }).await.unwrap();
    }
    let size = |file: &str| std::fs::metadata(folder.path().join(file)).unwrap().len();
    let (log, file) = (size("things.db-wal"), size("things.db"));
    assert!(log < 100 << 20, "the log has {log} bytes");
    assert!(file > 20 << 20, "the file has {file} bytes");
    drop((store, stores));
    let store = EmbeddedStores::open(folder.path()).unwrap().open(&schema()).await.unwrap();
    let last = store.get(&[DocKey::new("things", "0"), DocKey::new("things", "119")]).await.unwrap();
    assert!(last.iter().flatten().all(|doc| doc.body.as_bytes().len() > 1 << 20) && last.len() == 2);
}

/// Damage of a file that other processes have open, for as long as the value lives.
struct Damaged<'a>(&'a std::path::Path, u64, u8);

impl<'a> Damaged<'a> {
    fn at(path: &'a std::path::Path, offset: u64, bits: u8) -> Damaged<'a> {
        let damaged = Damaged(path, offset, bits);
        damaged.turn();
        damaged
    }

    fn turn(&self) {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::options().read(true).write(true).open(self.0).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.1).unwrap();
        file.write_all_at(&[byte[0] ^ self.2], self.1).unwrap();
    }
}

impl Drop for Damaged<'_> {
    fn drop(&mut self) {
        self.turn();
    }
}

#[tokio::test]
async fn damage_of_the_log_of_a_running_store_is_told_and_never_moved_into_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let stores = EmbeddedStores::open(folder.path()).unwrap();
    let store = stores.open(&schema()).await.unwrap();
    for number in 0..50 {
        let write = Write::Put {
            key: DocKey::new("things", format!("{number}")),
            body: Body::Json(format!("\"{}{number}\"", "x".repeat(1_500))),
            entries: vec![Entry::new("by_body", format!("{number:03}"))],
        };
        store.commit(Batch { writes: vec![write], ..Batch::default() }).await.unwrap();
    }
    let read = || async {
        let looking = EmbeddedStores::read_only(folder.path()).open(&schema()).await?;
        let page = looking.scan(&IndexRange::index("things", "by_body")).await?;
        Ok::<_, Error>(page.docs.iter().map(|doc| doc.id.clone()).collect::<Vec<_>>())
    };
    let expected = read().await.unwrap();
    assert_eq!(expected.len(), 50);
    let log = folder.path().join("things.db-wal");
    // Within what was written: behind it the log has room that says nothing.
    let content = std::fs::read(&log).unwrap();
    let written = content.iter().rposition(|byte| *byte != 0).unwrap();
    let mut told = 0;
    for number in 0..400 {
        let offset = (number * written / 400) as u64;
        let _damaged = Damaged::at(&log, offset, 1 << (number % 8));
        match read().await {
            // Of an old frame, whose page is in another one by now.
            Ok(found) => assert_eq!(found, expected, "a turned bit at {offset}"),
            Err(error) => {
                assert_eq!(error.code(), "store.damaged", "{offset}: {error:?}");
                told += 1;
            }
        }
    }
    assert!(told > 40, "{told}");
    assert_eq!(read().await.unwrap(), expected);

    // A page that the file does not have yet: whoever closes moves the log into the file.
    let _damaged = Damaged::at(&log, written as u64 - 200, 1);
    drop((store, stores));
    let file = std::fs::read(folder.path().join("things.db")).unwrap();
    let damaged = std::fs::read(&log).unwrap();
    let page = damaged.get(written / 4_120 * 4_120 + 56 - 4_120..).unwrap_or_default();
    assert!(file.chunks(4_096).all(|other| !page.starts_with(other)));
}

#[test]
fn a_transaction_that_is_larger_than_memory_reads_what_it_has_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.db");
    let sql = connection::open_writer(&path, true).unwrap();
    connection::durable(&sql).unwrap();
    sql.execute_batch("PRAGMA cache_size = 10; CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)").unwrap();
    for keep in [true, false, true] {
        sql.execute_batch("BEGIN").unwrap();
        for number in 0..3_000_u64 {
            let id = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as i64;
            sql.execute("INSERT OR REPLACE INTO t VALUES (?, randomblob(900))", [id]).unwrap();
        }
        let sum: i64 = sql.query_row("SELECT sum(length(x)) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(sum, 3_000 * 900);
        sql.execute_batch(if keep { "COMMIT" } else { "ROLLBACK" }).unwrap();
    }
    let other = connection::open_reader(&path).unwrap();
    let sum: i64 = other.query_row("SELECT sum(length(x)) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(sum, 3_000 * 900);
}

#[test]
fn a_failed_fsync_of_the_file_is_not_forgotten_while_nobody_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_of(folder.path(), "things");
    let (schema, trim) = (Arc::new(schema()), Trim::default());
    let tables = Arc::new(Tables::new(&schema));
    let mut connection = connection::open_writer(&path, true).unwrap();
    let position = migrate::migrate(&mut connection, &schema, &tables).unwrap();
    let checkpoints = Checkpoints::of(&path, &mut connection).unwrap();
    let failed = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(SQLITE_IOERR_FSYNC), None);
    let mut writer = SqliteWriter {
        connection,
        checkpoints,
        lost: Some(failed),
        schema: Arc::clone(&schema),
        tables,
        position,
        trim,
        trimmed: EventPosition::START,
        timings: Arc::new(StoreTimings::new("sqlite")),
    };
    writer.after_commit();
    writer.idle();
    let batch = Prepared::new(&schema, Batch { writes: vec![put("a", "1")], ..Batch::default() }).unwrap();
    assert!(matches!(writer.commit(&[batch]), Err(Failure::Lost(_))));
}

#[tokio::test]
async fn the_position_outlives_a_restart_whether_events_tell_it_or_not() {
    let event = || NewEvent {
        id: EventId(RawId([1; 16])),
        event_type: "things.happened".into(),
        subject: "thing_1".into(),
        key: "thing_1".into(),
        time: Timestamp::from_secs(1_700_000_000),
        actor: Actor::System,
        correlation_id: "req_1".parse().unwrap(),
        causation_id: None,
        data: serde_json::json!({}).into(),
    };
    let folder = tempfile::tempdir().unwrap();
    let mut position = 0;
    for (events, is_trimmed) in [(1, false), (0, false), (2, true), (1, true), (0, true)] {
        let stores = EmbeddedStores::open(folder.path()).unwrap();
        let store = stores.open(&schema()).await.unwrap();
        assert_eq!(*store.committed().borrow(), position);
        let written = vec![put(&format!("thing {position}"), &position.to_string())];
        let batch = Batch {
            writes: written,
            events: std::iter::repeat_with(event).take(events).collect(),
            ..Batch::default()
        };
        position = store.commit(batch).await.unwrap().position;
        if is_trimmed {
            // There is no commit after it: it is done when the store is closed.
            store.trim_outbox(EventPosition::end_of(position)).await.unwrap();
        }
    }
    let stores = EmbeddedStores::open(folder.path()).unwrap();
    let store = stores.open(&schema()).await.unwrap();
    assert_eq!((*store.committed().borrow(), position), (5, 5));
    assert!(store.outbox(EventPosition::START, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_without_checksums_or_without_its_content_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_of(folder.path(), "things");
    let open = async || EmbeddedStores::open(folder.path()).unwrap().open(&schema()).await;
    let store = open().await.unwrap();
    store.commit(Batch { writes: vec![put("1", "10")], ..Batch::default() }).await.unwrap();
    drop(store);
    std::fs::write(&path, "").unwrap();
    let error = open().await.err().unwrap();
    assert_eq!(error.code(), "store.damaged", "an emptied file is no new one");
    assert!(error.context().any(|field| field == ("lost_to", "1")));
    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE things (id)").unwrap();
    assert_eq!(open().await.err().unwrap().code(), "store.older_format");
}
