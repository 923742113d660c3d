//! Our side, on any engine.

use std::sync::Arc;
use std::time::Instant;

use platform_core::ports::store::{Batch, Body, DocKey, Entry, Expect, Store, Stores, Write};

use super::{Sample, micros, per_second, sample, schema};

fn batch(number: u64) -> Batch {
    let Sample { id, mail, body, event } = sample(number);
    let key = DocKey::new("people", id);
    Batch {
        expects: vec![(key.clone(), Expect::Absent)],
        writes: vec![Write::Put { key, body: Body::Json(body), entries: vec![Entry::new("by_mail", mail)] }],
        events: vec![event],
        idempotency: None,
    }
}

/// Commits per second of as many tasks as keep groups of `group` full: while one group is written the
/// next one waits.
pub(super) fn grouped(
    runtime: &tokio::runtime::Runtime,
    stores: &dyn Stores,
    group: usize,
    commits: usize,
) -> f64 {
    let store = runtime.block_on(stores.open(&schema())).unwrap();
    let tasks = 2 * group;
    let begin = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let store = Arc::clone(&store);
            runtime.spawn(async move {
                for number in (task..commits).step_by(tasks) {
                    store.commit(batch(number as u64)).await.unwrap();
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in running {
            task.await.unwrap();
        }
    });
    let rate = per_second(commits, begin);
    assert_eq!(*store.committed().borrow(), commits as u64);
    rate
}

/// What each commit of one writer alone took, in microseconds.
pub(super) async fn alone(store: Arc<dyn Store>, numbers: std::ops::Range<u64>) -> Vec<f64> {
    let mut taken = Vec::new();
    for number in numbers {
        let batch = batch(number);
        let begin = Instant::now();
        store.commit(batch).await.unwrap();
        taken.push(micros(begin.elapsed()));
    }
    taken
}
