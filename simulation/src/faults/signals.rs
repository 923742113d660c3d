//! Signals between nodes: late, twice, lost, and cut off for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use platform_core::ports::signals::{Signal, Signals};
use tokio::sync::broadcast;

use crate::stage::Stage;

/// Signals that wait for a node's receivers.
const WAITING: usize = 64;
/// A node that heard nothing for so long knows that it is cut off.
const SILENCE: Duration = Duration::from_millis(250);
/// A signal is on its way for so long at most.
pub(crate) const LONGEST_WAY: Duration = Duration::from_millis(20);
/// A revocation is in force on every other node after this.
pub(crate) const IN_FORCE_EVERYWHERE: Duration = Duration::from_millis(400);

/// What carries signals between nodes.
pub struct Bus {
    stage: Arc<Stage>,
    links: Mutex<BTreeMap<u32, Link>>,
}

struct Link {
    sender: broadcast::Sender<Signal>,
    cut_off_since: Option<Duration>,
    heard_again_at: Duration,
}

impl Bus {
    /// Without nodes.
    pub fn new(stage: &Arc<Stage>) -> Arc<Bus> {
        Arc::new(Bus { stage: Arc::clone(stage), links: Mutex::default() })
    }

    /// The port of a node that joins.
    pub fn join(self: &Arc<Bus>, node: u32) -> FaultySignals {
        let link = Link {
            sender: broadcast::Sender::new(WAITING),
            cut_off_since: None,
            heard_again_at: Duration::ZERO,
        };
        self.links.lock().insert(node, link);
        FaultySignals { bus: Arc::clone(self), node }
    }

    /// A node is gone.
    pub fn leave(&self, node: u32) {
        self.links.lock().remove(&node);
    }

    /// Cuts a node off, or connects it again: then it is told that it has missed something.
    pub fn cut_off(&self, node: u32, off: bool) {
        let now = self.stage.elapsed();
        let mut links = self.links.lock();
        let Some(link) = links.get_mut(&node) else { return };
        if off {
            link.cut_off_since.get_or_insert(now);
        } else if link.cut_off_since.take().is_some() {
            link.heard_again_at = now + LONGEST_WAY;
            for _ in 0..=WAITING {
                // Nobody listens on a node that is only just starting: it starts cold anyway.
                let _ = link.sender.send(Signal { topic: "simulation.missed", subject: "".into() });
            }
        }
    }

    fn deliver(&self, node: u32, signal: Signal) {
        let links = self.links.lock();
        if let Some(link) = links.get(&node) {
            // Without a receiver nobody has anything cached.
            let _ = link.sender.send(signal);
        }
    }
}

/// The signals as a node has them.
pub struct FaultySignals {
    bus: Arc<Bus>,
    node: u32,
}

impl FaultySignals {
    fn send_to(&self, node: u32, signal: &Signal) {
        let (bus, stage) = (Arc::clone(&self.bus), &self.bus.stage);
        let pause = Duration::from_micros(stage.within(0, LONGEST_WAY.as_micros() as u64 - 1));
        let (signal, sleep) = (signal.clone(), stage.outside.sleep(pause));
        stage.outside.spawn(
            "signal",
            Box::pin(async move {
                sleep.await;
                bus.deliver(node, signal);
            }),
        );
    }
}

impl Signals for FaultySignals {
    fn send(&self, signal: Signal) {
        let stage = &self.bus.stage;
        let reachable: Vec<u32> = {
            let links = self.bus.links.lock();
            let is_cut_off = |node: &u32| links.get(node).is_none_or(|link| link.cut_off_since.is_some());
            let cut_off = is_cut_off(&self.node);
            links.keys().copied().filter(|node| *node != self.node && !cut_off && !is_cut_off(node)).collect()
        };
        // To itself a node needs none: its command has flipped the cells already.
        if !stage.strikes(stage.settings.signals) {
            self.send_to(self.node, &signal);
        }
        for node in reachable {
            self.send_to(node, &signal);
            if stage.strikes(stage.settings.signals) {
                self.send_to(node, &signal);
            }
        }
    }

    fn receiver(&self) -> broadcast::Receiver<Signal> {
        match self.bus.links.lock().get(&self.node) {
            Some(link) => link.sender.subscribe(),
            None => broadcast::Sender::new(1).subscribe(),
        }
    }

    fn connected(&self) -> bool {
        let now = self.bus.stage.elapsed();
        self.bus.links.lock().get(&self.node).is_some_and(|link| {
            now >= link.heard_again_at && link.cut_off_since.is_none_or(|since| now < since + SILENCE)
        })
    }
}
