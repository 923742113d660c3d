//! What everything in a run shares: the world, its random faults, its trace and the truth.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use platform_core::kernel::Timestamp;
use platform_core::ports::runtime::{Runtime, SimRuntime};

use crate::random::Random;
use crate::settings::Settings;
use crate::trace::Trace;
use crate::truth::Truth;

/// The node that is no node: the network, the disk, whoever asks.
const OUTSIDE: u32 = u32::MAX;

/// What everything in a run shares.
pub struct Stage {
    /// Time, tasks, ids.
    pub sim: SimRuntime,
    /// Of the world outside of all nodes.
    pub outside: Arc<dyn Runtime>,
    /// What this seed is like.
    pub settings: Settings,
    /// What happened.
    pub trace: Mutex<Trace>,
    /// What really happened.
    pub truth: Mutex<Truth>,
    random: Mutex<Random>,
    quiet: AtomicBool,
}

impl Stage {
    /// A new one.
    pub fn new(settings: Settings, print: bool) -> Arc<Stage> {
        let sim = SimRuntime::new(settings.seed);
        Arc::new(Stage {
            outside: sim.node(OUTSIDE),
            sim,
            random: Mutex::new(Random::new(settings.seed, 2)),
            trace: Mutex::new(Trace::new(print)),
            truth: Mutex::default(),
            quiet: AtomicBool::new(true),
            settings,
        })
    }

    /// From now on nothing fails, or things fail again.
    pub fn set_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Relaxed);
    }

    /// Whether a fault strikes that does so `per_mille` times in a thousand.
    pub fn strikes(&self, per_mille: u64) -> bool {
        !self.quiet.load(Ordering::Relaxed) && per_mille > 0 && self.random.lock().happens(per_mille)
    }

    /// The same, for faults so rare that they are counted per million.
    pub fn strikes_rarely(&self, per_million: u64) -> bool {
        !self.quiet.load(Ordering::Relaxed)
            && per_million > 0
            && self.random.lock().below(1_000_000) < per_million
    }

    /// A random number from `low` to `high`.
    pub fn within(&self, low: u64, high: u64) -> u64 {
        self.random.lock().within(low, high)
    }

    /// Lets others go on, or time pass, before what is next.
    pub async fn wander(&self, slow: u64) {
        if self.quiet.load(Ordering::Relaxed) {
            return;
        }
        if self.strikes(slow) {
            let most = if self.strikes(20) { 3_000_000 } else { 20_000 };
            let pause = Duration::from_micros(self.within(1, most));
            self.outside.sleep(pause).await;
        } else if self.strikes(400) {
            give_way().await;
        }
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.outside.now()
    }

    /// Time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.outside.monotonic()
    }

    /// Something happened.
    pub fn note(&self, line: fmt::Arguments<'_>) {
        let elapsed = self.elapsed().as_micros();
        self.trace.lock().note(format_args!("{elapsed} {line}"));
    }

    /// Something must not be.
    pub fn violated(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(format_args!("VIOLATED {what}"));
        self.truth.lock().violated(what);
    }
}

/// Lets others go on first.
async fn give_way() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
