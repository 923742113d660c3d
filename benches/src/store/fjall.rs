//! fjall: hand-written batches on one thread, with the same keys and one `SyncData` per group.

use std::path::Path;
use std::time::Instant;

use embedded_store::{EmbeddedStores, Engine, Engines};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{COMMITS, ROUNDS, Sample, folder, ours, per_second, runtime, sample};
use crate::row::{Measured, in_turns, median};

const PEER: &str = "fjall";

struct HandWritten {
    database: Database,
    data: Keyspace,
}

impl HandWritten {
    fn open(path: &Path) -> HandWritten {
        let database = Database::builder(path).open().unwrap();
        let data = database.keyspace("data", KeyspaceCreateOptions::default).unwrap();
        HandWritten { database, data }
    }

    /// One batch for all of them.
    fn write(&self, numbers: std::ops::Range<u64>) {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for number in numbers.clone() {
            let Sample { id, mail, body, event } = sample(number);
            let by_id = [b"d".as_slice(), &id].concat();
            let by_mail = [b"u", mail.as_bytes()].concat();
            assert!(self.data.get(&by_id).unwrap().is_none());
            assert!(self.data.get(&by_mail).unwrap().is_none());
            let value = [(number + 1).to_be_bytes().as_slice(), mail.as_bytes(), body.as_bytes()].concat();
            batch.insert(&self.data, by_id, value);
            batch.insert(&self.data, by_mail, id.as_slice());
            let place = [b"o".as_slice(), &(number + 1).to_be_bytes()].concat();
            batch.insert(&self.data, place, event.to_json().unwrap());
        }
        batch.insert(&self.data, "position", numbers.end.to_be_bytes().as_slice());
        batch.commit().unwrap();
    }
}

pub(super) fn groups(group: usize) -> Measured {
    let runtime = runtime();
    let (ours, theirs) = in_turns(
        ROUNDS,
        || {
            let folder = folder();
            let stores = EmbeddedStores::open(folder.path()).unwrap().on(Engines::all(Engine::Fjall));
            ours::grouped(&runtime, &stores, group, COMMITS)
        },
        || {
            let folder = folder();
            let peer = HandWritten::open(&folder.path().join("peer"));
            let begin = Instant::now();
            for number in (0..COMMITS).step_by(group) {
                peer.write(number as u64..(number + group).min(COMMITS) as u64);
            }
            per_second(COMMITS, begin)
        },
    );
    Measured::against(ours, "commits/s", PEER, theirs)
}

pub(super) fn alone() -> Measured {
    let folder = folder();
    let stores = EmbeddedStores::open(folder.path()).unwrap().on(Engines::all(Engine::Fjall));
    let peer = HandWritten::open(&folder.path().join("peer"));
    let (ours, theirs) = ours::alone(&stores, false, |numbers| peer.write(numbers));
    Measured::against(median(ours), "µs", PEER, median(theirs))
}
