//! The audit log on SQLite: changed behind its back, killed, exported, restored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use embedded_store::{EmbeddedStores, SystemRuntime, export_audit, load_key, reorigin_audit, verify_audit};
use platform_core::audit::tlog::{EntryBundle, Resource, Tile};
use platform_core::audit::{self, Audit, AuditConfig, Checkpoint, VerifierKey};
use platform_core::kernel::merkle::{leaf_hash, root};
use platform_core::kernel::{Actor, Context, Event, EventId, EventPosition, NewEvent, RawId, Timestamp};
use platform_core::ports::Database;
use platform_core::ports::keys::EnvelopeKeys;
use platform_core::ports::runtime::Runtime;
use platform_core::ports::store::{Stores, command};

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(work)
}

async fn open(data: &Path) -> Audit {
    let runtime: Arc<dyn Runtime> = Arc::new(SystemRuntime::current());
    let stores = EmbeddedStores::open(data).unwrap();
    let keys = EnvelopeKeys::open(&load_key(data).unwrap(), &stores, Arc::clone(&runtime)).await.unwrap();
    let store = stores.open(&audit::schema()).await.unwrap();
    Audit::over(Database { store, runtime, keys: Arc::new(keys) }, AuditConfig::default()).await.unwrap()
}

fn event(number: u64) -> Event {
    Event {
        store: "users".into(),
        position: EventPosition { commit: number, index: 0 },
        new: Arc::new(NewEvent {
            id: EventId(RawId(u128::from(number).to_be_bytes())),
            event_type: "users.profile_created".into(),
            subject: format!("user_{number}"),
            key: "key".into(),
            time: Timestamp::from_secs(1_767_225_600 + number),
            actor: Actor::System,
            correlation_id: "req_1".parse().unwrap(),
            causation_id: None,
            data: serde_json::json!({"number": number}).into(),
        }),
    }
}

/// As the backbone hands events to the handler.
async fn append(audit: &Audit, numbers: std::ops::Range<u64>) {
    let events: Vec<_> = numbers.map(event).collect();
    let handler = Arc::clone(&audit.parts().handlers[0]);
    command(audit.database(), &Context::system(), "test", &(), async |mut work| {
        handler.handle(&events, &mut work).await?;
        work.reply(())
    })
    .await
    .unwrap();
}

#[test]
fn a_flipped_byte_of_an_entry_is_named_while_the_folder_is_in_use_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    block_on(async {
        let audit = open(&data).await;
        for start in (0..600).step_by(20) {
            append(&audit, start..start + 20).await;
        }
        audit.flush().await.unwrap();
        let report = verify_audit(&data, None).await.unwrap();
        assert!(report.holds(), "{report:?}");
        assert_eq!((report.entries, report.signed), (601, 601));
        // Event 305 is entry 306, in the segment that begins with 301.
        let sql = rusqlite::Connection::open_with_flags_and_vfs(
            data.join("audit.db"),
            rusqlite::OpenFlags::default(),
            c"platform",
        )
        .unwrap();
        let id = 301u64.to_be_bytes();
        let good: Vec<u8> =
            sql.query_row("SELECT body FROM entries WHERE id = ?1", [&id[..]], |row| row.get(0)).unwrap();
        let at = good.windows(8).rposition(|part| part == b"user_305").unwrap() + 7;
        let mut changed = good.clone();
        changed[at] ^= 1;
        let write = |body: &[u8]| {
            sql.execute("UPDATE entries SET body = ?1 WHERE id = ?2", rusqlite::params![body, &id[..]])
                .unwrap()
        };
        write(&changed);
        let report = verify_audit(&data, None).await.unwrap();
        assert_eq!(report.first_bad.as_ref().map(|bad| bad.index), Some(306), "{report:?}");
        assert!(audit.proof(&Context::system(), 306).await.is_err());
        let refused = export_audit(&data, &folder.path().join("out")).await.unwrap_err();
        assert_eq!(refused.code(), "audit.damaged");
        assert!(refused.context().any(|field| field == ("first_bad", "306")));
        drop(audit);
        let report = verify_audit(&data, None).await.unwrap();
        assert_eq!(report.first_bad.map(|bad| bad.index), Some(306));
        write(&good);
        assert!(verify_audit(&data, None).await.unwrap().holds());
    });
}

/// Reads only the exported files, as a tool of others does.
fn check_files(out: &Path) -> u64 {
    let file = |path: &str| std::fs::read(out.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let text = |path: &str| String::from_utf8(file(path)).unwrap();
    let key: VerifierKey = text("verifier_key").trim().parse().unwrap();
    let checkpoint = Checkpoint::open(&text("checkpoint"), &key).unwrap();
    let mut hashes = Vec::new();
    for tile in Tile::all(checkpoint.size).filter(|tile| tile.level == 0) {
        let bundle = file(&Resource::Entries { index: tile.index, width: tile.width }.to_string());
        let own: Vec<_> = EntryBundle::entries(&bundle).unwrap().into_iter().map(leaf_hash).collect();
        let bytes: Vec<u8> = own.iter().flat_map(|hash| hash.0).collect();
        assert_eq!(bytes, file(&Resource::Tile(tile).to_string()));
        hashes.extend(own);
    }
    assert_eq!(root(hashes), checkpoint.root);
    checkpoint.size
}

#[test]
fn an_export_is_complete_and_a_later_one_adds_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    block_on(async {
        let audit = open(&data).await;
        append(&audit, 0..300).await;
        audit.flush().await.unwrap();
        assert_eq!(export_audit(&data, &out).await.unwrap().size, 301);
        assert_eq!(check_files(&out), 301);
        append(&audit, 300..520).await;
        // Not signed yet: the export is of what is signed.
        assert_eq!(export_audit(&data, &out).await.unwrap().size, 301);
        audit.flush().await.unwrap();
        export_audit(&data, &out).await.unwrap();
        assert_eq!(check_files(&out), 521);
    });
}

#[test]
fn a_folder_without_a_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let missing = block_on(verify_audit(&folder.path().join("nothing"), None)).unwrap_err();
    assert_eq!(missing.code(), "audit.not_found");
    assert!(!folder.path().join("nothing").exists());
    assert_eq!(block_on(reorigin_audit(folder.path(), AuditConfig::default())).unwrap(), None);
}

#[test]
fn after_a_restore_the_log_goes_on_under_a_new_origin() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    block_on(async {
        let audit = open(&data).await;
        append(&audit, 0..10).await;
        let context = Context::system();
        let (old, note) =
            (audit.verifier_key(&context).await.unwrap(), audit.checkpoint(&context).await.unwrap());
        let busy = reorigin_audit(&data, AuditConfig::default()).await.unwrap_err();
        assert_eq!(busy.code(), "store.locked");
        drop(audit);
        let new = reorigin_audit(&data, AuditConfig::default()).await.unwrap().unwrap();
        assert_ne!(old.name(), new.name());
        let audit = open(&data).await;
        append(&audit, 10..20).await;
        audit.flush().await.unwrap();
        let report = verify_audit(&data, Some(&new)).await.unwrap();
        assert!(report.holds(), "{report:?}");
        assert_eq!(report.entries, 22);
        assert!(!verify_audit(&data, Some(&old)).await.unwrap().holds());
        let before = Checkpoint::open(&note, &old).unwrap();
        let proof = audit.consistency(&context, before.size, None).await.unwrap();
        assert_eq!(proof.from_root, before.root);
    });
}

const CHILD_FOLDER: &str = "AUDIT_TEST_CHILD_FOLDER";

/// What the next test starts, as a process of its own, and kills: it says what is durable.
fn append_until_killed(data: &Path) {
    block_on(async {
        let audit = open(data).await;
        let context = Context::system();
        let mut stdout = std::io::stdout();
        for number in 0u64.. {
            append(&audit, number * 7..number * 7 + 1 + number % 7).await;
            let checkpoint = audit.checkpoint(&context).await.unwrap();
            let lines: Vec<_> = checkpoint.lines().skip(1).take(2).collect();
            writeln!(stdout, "\nacknowledged {}", lines.join(" ")).unwrap();
            stdout.flush().unwrap();
        }
    });
}

#[test]
fn killed_at_any_moment_the_log_keeps_every_acknowledged_entry_and_holds() {
    if let Some(data) = std::env::var_os(CHILD_FOLDER) {
        return append_until_killed(Path::new(&data));
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    for cycle in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "killed_at_any_moment_the_log_keeps_every_acknowledged_entry_and_holds",
                "--exact",
                "--nocapture",
            ])
            .env(CHILD_FOLDER, &data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.find_map(|line| parse(&line.unwrap()));
        acknowledged.extend(first);
        std::thread::sleep(Duration::from_micros(37_000 * (cycle % 5) + 1_300 * cycle));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.filter_map(|line| parse(&line.ok()?)));
        block_on(async {
            let report = verify_audit(&data, None).await.unwrap();
            let (size, _) = acknowledged.last().unwrap();
            assert!(report.holds(), "{report:?}");
            assert!(report.entries >= *size && report.signed >= *size, "{report:?}");
            let audit = open(&data).await;
            for (size, root) in acknowledged.iter().rev().take(20) {
                let proof = audit.consistency(&Context::system(), *size, None).await.unwrap();
                assert_eq!(proof.from_root.to_string(), *root);
            }
        });
    }
    assert!(acknowledged.len() > 12);
}

fn parse(line: &str) -> Option<(u64, String)> {
    let (size, root) = line.strip_prefix("acknowledged ")?.split_once(' ')?;
    Some((size.parse().ok()?, root.to_owned()))
}
