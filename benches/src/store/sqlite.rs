//! SQLite: hand-written rusqlite on one thread, with the same tables and the same statements.

use std::path::Path;
use std::time::Instant;

use embedded_store::EmbeddedStores;
use rusqlite::{Connection, OptionalExtension, params};

use super::{COMMITS, ROUNDS, Sample, folder, ours, per_second, runtime, sample};
use crate::row::{Measured, in_turns, median};

const PEER: &str = "rusqlite";

struct HandWritten(Connection);

impl HandWritten {
    fn open(path: &Path) -> HandWritten {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -4096;
                 PRAGMA wal_autocheckpoint = 4000; PRAGMA secure_delete = ON;
                 CREATE TABLE people (
                   id BLOB NOT NULL PRIMARY KEY, version INTEGER NOT NULL, by_mail BLOB, body TEXT NOT NULL
                 ) WITHOUT ROWID;
                 CREATE UNIQUE INDEX people_by_mail ON people (by_mail) WHERE by_mail IS NOT NULL;
                 CREATE TABLE outbox (place INTEGER PRIMARY KEY, event TEXT NOT NULL);
                 CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value ANY) WITHOUT ROWID;
                 INSERT INTO meta VALUES ('position', 0);",
            )
            .unwrap();
        connection.set_prepared_statement_cache_capacity(32);
        HandWritten(connection)
    }

    /// One transaction for all of them.
    fn write(&self, numbers: std::ops::Range<u64>) {
        let samples: Vec<Sample> = numbers.clone().map(sample).collect();
        let execute = |sql| self.0.prepare_cached(sql).unwrap().execute([]).unwrap();
        execute("BEGIN IMMEDIATE");
        let mut by_id = self.0.prepare_cached("SELECT version, by_mail FROM people WHERE id = ?1").unwrap();
        let mut by_mail = self.0.prepare_cached("SELECT id FROM people WHERE by_mail = ?1").unwrap();
        let mut insert = self
            .0
            .prepare_cached("INSERT INTO people (id, version, by_mail, body) VALUES (?1, ?2, ?3, ?4)")
            .unwrap();
        let mut publish = self.0.prepare_cached("INSERT INTO outbox (place, event) VALUES (?1, ?2)").unwrap();
        for (Sample { id, mail, body, event }, position) in samples.into_iter().zip(numbers.start + 1..) {
            assert!(by_id.query_row([id], |_| Ok(())).optional().unwrap().is_none());
            assert!(by_mail.query_row([mail.as_bytes()], |_| Ok(())).optional().unwrap().is_none());
            insert.execute(params![id, position as i64, mail.as_bytes(), body]).unwrap();
            let event = String::from_utf8(event.to_json().unwrap()).unwrap();
            publish.execute(params![(position as i64) << 16, event]).unwrap();
        }
        self.0
            .prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'position'")
            .unwrap()
            .execute([numbers.end as i64])
            .unwrap();
        execute("COMMIT");
    }
}

pub(super) fn groups(group: usize) -> Measured {
    let runtime = runtime();
    let (ours, theirs) = in_turns(
        ROUNDS,
        || {
            let folder = folder();
            ours::grouped(&runtime, &EmbeddedStores::open(folder.path()).unwrap(), group, COMMITS)
        },
        || {
            let folder = folder();
            let peer = HandWritten::open(&folder.path().join("peer.db"));
            let begin = Instant::now();
            for number in (0..COMMITS).step_by(group) {
                peer.write(number as u64..(number + group).min(COMMITS) as u64);
            }
            per_second(COMMITS, begin)
        },
    );
    Measured::against(ours, "commits/s", PEER, theirs)
}

pub(super) fn alone(in_a_task: bool) -> Measured {
    let folder = folder();
    let stores = EmbeddedStores::open(folder.path()).unwrap();
    let peer = HandWritten::open(&folder.path().join("peer.db"));
    let (ours, theirs) = ours::alone(&stores, in_a_task, |numbers| peer.write(numbers));
    Measured::against(median(ours), "µs", PEER, median(theirs))
}
