//! All calls of a script, with all faults, on all processors.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use disk_faults::{Fault, Lasting, Operation, Plan};

use super::stores::Found;

/// What a sweep came to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Runs in which a fault happened.
    pub(crate) faults: u64,
    /// Images of a loss of power.
    pub(crate) images: u64,
}

/// A line on standard error, also of a test that passes.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

impl Counts {
    /// Says what was run, and how long that took.
    pub(crate) fn tell(self, what: &str, begun: Instant) {
        let Counts { faults, images } = self;
        tell(&format!("{what}: {faults} faults, {images} losses of power in {:.1?}", begun.elapsed()));
    }

    pub(crate) fn add(&mut self, other: Counts) {
        self.faults += other.faults;
        self.images += other.images;
    }
}

/// Every call of a run with every fault that it can meet.
pub(crate) fn plans(calls: &[Operation]) -> Vec<(Plan, Operation)> {
    let mut plans = Vec::new();
    for (number, operation) in calls.iter().enumerate() {
        for fault in Fault::ALL.into_iter().filter(|fault| fault.concerns(*operation)) {
            for lasting in [Lasting::Once, Lasting::ForGood] {
                plans.push((Plan::new(number as u64, fault, lasting), *operation));
            }
        }
    }
    plans
}

/// Every `stride`-th of them, with its number.
pub(crate) fn seldom<T>(plans: Vec<T>, seed: u64, stride: usize) -> Vec<(T, u64)> {
    plans.into_iter().skip(seed as usize % stride).step_by(stride).zip(0..).collect()
}

/// How much more than in CI: `DISK_FAULTS` in the environment, 1 without it.
pub(crate) fn factor() -> u64 {
    std::env::var("DISK_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The first seed: `DISK_FAULTS_FROM` in the environment, 4 without it.
pub(crate) fn first_seed() -> u64 {
    std::env::var("DISK_FAULTS_FROM").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// What threads of the product have panicked with.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What the names of the product's threads begin with.
const PRODUCT: [&str; 4] = ["store-", "checkpoint", "log", "fjall"];

/// The name of our own threads: their panics are seen when they are joined.
const OURS: &str = "sweep";

fn watch_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default();
            if PRODUCT.iter().any(|product| name.starts_with(product)) {
                PANICS.lock().unwrap().push(format!("thread {name}: {panic}"));
            } else {
                before(panic);
            }
        }));
    });
}

/// Does all jobs, on all processors, and fails with what was found first.
pub(crate) fn all<J: Sync>(jobs: &[J], work: impl Fn(&J) -> Found<Counts> + Sync) -> Counts {
    watch_panics();
    let (next, total, found) = (AtomicUsize::new(0), Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..processors)
            .map(|_| {
                let work = || {
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if found.lock().unwrap().len() >= 5 {
                            return;
                        }
                        match work(job) {
                            Ok(counts) => total.lock().unwrap().add(counts),
                            Err(what) => found.lock().unwrap().push(what),
                        }
                    }
                };
                std::thread::Builder::new().name(OURS.to_owned()).spawn_scoped(scope, work).unwrap()
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));
    let panics = std::mem::take(&mut *PANICS.lock().unwrap());
    assert!(panics.is_empty(), "{} panics: {}", panics.len(), panics.join("\n"));
    total.into_inner().unwrap()
}

/// A runtime for one job.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
