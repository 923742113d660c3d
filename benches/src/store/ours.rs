//! Our side, on any engine.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use platform_core::ports::store::{Batch, Body, DocKey, Entry, Expect, Store, Stores, Write};

use super::{COMMITS_ALONE, Sample, TURNS_ALONE, micros, per_second, runtime, sample, schema};

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

/// What each commit of one writer alone took, in microseconds, in turns with the peer's: it is called from the
/// program's own thread, as the peer is, or from a task of the runtime, as by a request.
pub(super) fn alone(
    stores: &dyn Stores,
    in_a_task: bool,
    mut peer: impl FnMut(Range<u64>),
) -> (Vec<f64>, Vec<f64>) {
    let runtime = runtime();
    let store = runtime.block_on(stores.open(&schema())).unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..TURNS_ALONE as u64 {
        let numbers = turn * COMMITS_ALONE as u64..(turn + 1) * COMMITS_ALONE as u64;
        let writer = commits(Arc::clone(&store), numbers.clone());
        ours.extend(if in_a_task {
            runtime.block_on(runtime.spawn(writer)).unwrap()
        } else {
            runtime.block_on(writer)
        });
        theirs.extend(numbers.map(|number| {
            let begin = Instant::now();
            peer(number..number + 1);
            micros(begin.elapsed())
        }));
    }
    (ours, theirs)
}

async fn commits(store: Arc<dyn Store>, numbers: Range<u64>) -> Vec<f64> {
    let mut taken = Vec::new();
    for number in numbers {
        let batch = batch(number);
        let begin = Instant::now();
        store.commit(batch).await.unwrap();
        taken.push(micros(begin.elapsed()));
    }
    taken
}
