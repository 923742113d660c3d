//! The nodes: built over the same disk, crashed, deposed, and started anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use platform_core::Platform;
use platform_core::auth::{Argon2Config, AuthConfig};
use platform_core::kernel::Result;
use platform_core::ports::Backends;
use platform_core::ports::cache::LocalCache;
use platform_core::ports::disclosure::Disclosures;
use platform_core::ports::keys::{EnvelopeKeys, KeyEncryptionKey};
use platform_core::ports::limiter::LocalLimiter;
use platform_core::ports::runtime::Runtime;
use platform_core::ports::signals::LocalSignals;
use platform_core::transactions::LedgerConfig;

use crate::disk::Disk;
use crate::faults::{Bus, CleanStores, FaultyChannel, FaultyLog, FaultyStores, NodeRuntime};
use crate::stage::Stage;

/// Steps of tasks that a start may take, with all its faults.
const STEPS_OF_A_START: u64 = 200_000;
/// Times that a start is tried.
const STARTS: u32 = 200;

/// A platform at work.
pub struct Node {
    /// Its number: never used again.
    pub number: u32,
    /// Its platform.
    pub platform: Platform,
    /// Whether it never had another beside it: then its memory is what is stored.
    pub alone: bool,
    poisoned: Arc<AtomicBool>,
}

impl Node {
    /// Whether it has to be started anew.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Relaxed)
    }
}

/// All nodes and what they stand on.
pub struct World {
    /// What everything shares.
    pub stage: Arc<Stage>,
    /// What outlives the nodes.
    pub disk: Arc<Disk>,
    /// The platforms at work: the last is the one that took over, those before it are deposed and do
    /// not know it.
    pub nodes: Vec<Node>,
    bus: Arc<Bus>,
    next: u32,
}

impl World {
    /// Without nodes.
    pub fn new(stage: &Arc<Stage>) -> World {
        World {
            disk: Disk::new(stage),
            bus: Bus::new(stage),
            stage: Arc::clone(stage),
            nodes: Vec::new(),
            next: 0,
        }
    }

    /// Starts one more node. What fails at the start is tried again, as a supervisor does.
    pub fn start_node(&mut self) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..STARTS {
            let number = self.next;
            self.next += 1;
            self.stage.note(format_args!("start of node {number}"));
            let sim = self.stage.sim.clone();
            match sim.run_steps(STEPS_OF_A_START, self.build(number)) {
                Some(Ok(mut node)) => {
                    self.nodes.iter_mut().for_each(|other| other.alone = false);
                    node.alone = self.nodes.is_empty();
                    self.nodes.push(node);
                    return Ok(());
                }
                Some(Err(error)) if error.kind() == platform_core::kernel::ErrorKind::Unavailable => {
                    last = error.to_string();
                }
                Some(Err(error)) => return Err(format!("start: a node does not start: {error:?}")),
                None => return Err("start: a node is stuck while it starts".to_owned()),
            }
            self.forget(number);
        }
        Err(format!("start: a node never starts: {last}"))
    }

    async fn build(&self, number: u32) -> Result<Node> {
        let runtime: Arc<dyn Runtime> = Arc::new(NodeRuntime::new(&self.stage, number));
        let stores = FaultyStores::new(&self.stage, &self.disk);
        let poisoned = stores.poisoned();
        let keys = EnvelopeKeys::open(&KeyEncryptionKey([7; 32]), &stores, Arc::clone(&runtime)).await?;
        let backends = Backends {
            stores: Arc::new(stores),
            log: Arc::new(FaultyLog::new(&self.stage, &self.disk)),
            disclosures: Disclosures::default(),
            cache: Arc::new(LocalCache::new(Arc::clone(&runtime), 1 << 16)),
            limiter: Arc::new(LocalLimiter::default()),
            signals: Arc::new(self.bus.join(number)),
            keys: Arc::new(keys),
            channels: vec![Arc::new(FaultyChannel::new(&self.stage))],
            runtime,
        };
        let settings = &self.stage.settings;
        let argon2 = Argon2Config { memory_kib: 8, iterations: 1, parallelism: 1 };
        let platform = Platform::builder(backends)
            .partitions(settings.partitions)
            .auth(AuthConfig { argon2, remembered_tokens: 64, ..AuthConfig::default() })
            .ledger(LedgerConfig { segment_frames: settings.segment_frames, early_frames: 4 })
            .build()
            .await?;
        platform.start().await?;
        Ok(Node { number, platform, alone: true, poisoned })
    }

    /// Ports over the same disk without any fault: for whoever looks at the truth.
    ///
    /// # Errors
    /// As [`EnvelopeKeys::open`].
    pub async fn observer(&self) -> Result<Backends> {
        let runtime = Arc::clone(&self.stage.outside);
        let stores = CleanStores(Arc::clone(&self.disk));
        let keys = EnvelopeKeys::open(&KeyEncryptionKey([7; 32]), &stores, Arc::clone(&runtime)).await?;
        Ok(Backends {
            stores: Arc::new(stores),
            log: Arc::new(self.disk.log().clone()),
            disclosures: Disclosures::default(),
            cache: Arc::new(LocalCache::new(Arc::clone(&runtime), 1 << 16)),
            limiter: Arc::new(LocalLimiter::default()),
            signals: Arc::new(LocalSignals::default()),
            keys: Arc::new(keys),
            channels: Vec::new(),
            runtime,
        })
    }

    /// Nodes that were started.
    pub fn starts(&self) -> u32 {
        self.next
    }

    /// The node that took over last.
    pub fn primary(&self) -> Option<&Node> {
        self.nodes.last()
    }

    /// Ends a node wherever it stands.
    pub fn crash(&mut self, at: usize) {
        if at < self.nodes.len() {
            let node = self.nodes.remove(at);
            self.stage.note(format_args!("crash of node {}", node.number));
            self.forget(node.number);
        }
    }

    fn forget(&self, number: u32) {
        self.stage.sim.crash_node(number);
        self.bus.leave(number);
    }

    /// Cuts a node off from the signals of others, or connects it again.
    pub fn cut_off(&self, number: u32, off: bool) {
        self.stage.note(format_args!("node {number} cut off: {off}"));
        self.bus.cut_off(number, off);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Tasks hold the world that holds them.
        self.stage.sim.crash();
    }
}
