//! The store port beside hand-written code on the same engine: a document with a unique index and an
//! event, in groups and alone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails ends the measurement")]

mod fjall;
mod ours;
mod postgres;
#[cfg(feature = "sled")]
mod sled;
mod sqlite;

use std::time::{Duration, Instant};

use platform_core::kernel::{Actor, EventId, NewEvent, RawId, Timestamp};
use platform_core::ports::store::{Body, Collection, Entry, Index, Schema};

use crate::row::Row;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "store_sqlite_group_64",
        what: "commits of a document, a unique entry and an event on SQLite, groups of 64",
        run: || sqlite::groups(64),
    },
    Row { name: "store_sqlite_group_256", what: "the same, groups of 256", run: || sqlite::groups(256) },
    Row {
        name: "store_sqlite_alone_p50",
        what: "one writer alone on SQLite, the program's own thread as the peer's, median",
        run: || sqlite::alone(false),
    },
    Row {
        name: "store_sqlite_alone_task_p50",
        what: "one writer alone on SQLite, a task of the runtime, median",
        run: || sqlite::alone(true),
    },
    Row {
        name: "store_fjall_group_64",
        what: "commits of a document, a unique entry and an event on fjall, groups of 64",
        run: || fjall::groups(64),
    },
    Row { name: "store_fjall_group_256", what: "the same, groups of 256", run: || fjall::groups(256) },
    Row { name: "store_fjall_alone_p50", what: "one writer alone on fjall, median", run: fjall::alone },
    Row {
        name: "store_postgres_64",
        what: "commits of a document, a unique entry and an event on PostgreSQL, 64 writers",
        run: postgres::writers,
    },
    #[cfg(feature = "sled")]
    Row {
        name: "store_sled_group_64",
        what: "commits of a document, a unique entry and an event on sled, groups of 64",
        run: || sled::groups(64),
    },
    #[cfg(feature = "sled")]
    Row { name: "store_sled_group_256", what: "the same, groups of 256", run: || sled::groups(256) },
];

/// Commits of one round.
const COMMITS: usize = 20_000;
/// Rounds of each side.
const ROUNDS: usize = 7;
/// Commits of one turn of a writer alone: few, so that both sides meet the same moods of the disk.
const COMMITS_ALONE: usize = 50;
/// Turns of each side.
const TURNS_ALONE: usize = 100;

/// An empty folder on the disk of the project.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(".").unwrap()
}

/// A runtime as the server has it.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// How often per second something happened.
fn per_second(count: usize, begin: Instant) -> f64 {
    count as f64 / begin.elapsed().as_secs_f64()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn schema() -> Schema {
    const BY_MAIL: &[Index] = &[Index::unique("by_mail")];
    fn reindex(_id: &[u8], _body: &Body) -> platform_core::kernel::Result<Vec<Entry>> {
        Ok(Vec::new())
    }
    Schema::new("bench", 1, &[Collection::json("people").indexed(BY_MAIL, reindex)])
}

/// What both sides write.
struct Sample {
    id: [u8; 16],
    mail: String,
    body: String,
    event: NewEvent,
}

/// The sample of a number: ids in no order, as if they came from many places.
fn sample(number: u64) -> Sample {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&mixed.to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    let mail = format!("person.{mixed:016x}@example.com");
    let body = format!(
        r#"{{"mail":"{mail}","name":"Person {number}","state":"active","roles":["member","author"],"created_at":"2026-01-01T00:00:00Z","locale":"en","note":"a document of the usual size, neither short nor long"}}"#
    );
    let event = NewEvent {
        id: EventId(RawId(id)),
        event_type: "bench.person_created".into(),
        subject: format!("person_{number}"),
        key: format!("person_{number}"),
        time: Timestamp::from_secs(1_767_225_600),
        actor: Actor::System,
        correlation_id: "req_bench".parse().unwrap(),
        causation_id: None,
        data: serde_json::json!({"person_id": number, "state": "active"}).into(),
    };
    Sample { id, mail, body, event }
}
