//! sled: hand-written batches on one thread, with the same keys and one flush per group. sled's flush is
//! no fsync on Linux; ours adds the fsync that the other stores have, so the peer does too.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use embedded_store::{EmbeddedStores, Engine, Engines};

use super::{COMMITS, ROUNDS, Sample, folder, ours, per_second, runtime, sample};
use crate::row::{Measured, in_turns};

const PEER: &str = "sled";

struct HandWritten {
    database: sled::Db,
    log: File,
}

impl HandWritten {
    fn open(path: &Path) -> HandWritten {
        let database = sled::Config::new().path(path).flush_every_ms(None).open().unwrap();
        HandWritten { database, log: File::open(path.join("db")).unwrap() }
    }

    /// One batch for all of them.
    fn write(&self, numbers: std::ops::Range<u64>) {
        let mut batch = sled::Batch::default();
        for number in numbers.clone() {
            let Sample { id, mail, body, event } = sample(number);
            let by_id = [b"d".as_slice(), &id].concat();
            let by_mail = [b"u", mail.as_bytes()].concat();
            assert!(self.database.get(&by_id).unwrap().is_none());
            assert!(self.database.get(&by_mail).unwrap().is_none());
            let value = [(number + 1).to_be_bytes().as_slice(), mail.as_bytes(), body.as_bytes()].concat();
            batch.insert(by_id, value);
            batch.insert(by_mail, id.as_slice());
            let place = [b"o".as_slice(), &(number + 1).to_be_bytes()].concat();
            batch.insert(place, event.to_json().unwrap());
        }
        batch.insert(b"position", numbers.end.to_be_bytes().as_slice());
        self.database.apply_batch(batch).unwrap();
        self.database.flush().unwrap();
        self.log.sync_data().unwrap();
    }
}

pub(super) fn groups(group: usize) -> Measured {
    let runtime = runtime();
    let (ours, theirs) = in_turns(
        ROUNDS,
        || {
            let folder = folder();
            let stores = EmbeddedStores::open(folder.path()).unwrap().on(Engines::all(Engine::Sled));
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
