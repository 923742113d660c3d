//! Signals between nodes: late, twice, lost, and nodes that are cut off for a while.

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

impl Link {
    /// It hears that it has missed something: more signals than its receivers can wait for.
    fn has_missed(&self) {
        for _ in 0..=WAITING {
            // Nobody listens on a node that is only just starting: it starts cold anyway.
            let _ = self.sender.send(Signal::new("simulation.missed", ""));
        }
    }

    fn is_silent(&self, now: Duration) -> bool {
        self.cut_off_since.is_some_and(|since| now >= since + SILENCE)
    }
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
        let was_cut_off = self.links.lock().remove(&node).is_some_and(|link| link.cut_off_since.is_some());
        if was_cut_off {
            self.all_have_missed();
        }
    }

    /// Cuts a node off, or connects it again: then it has missed something, and so have the others, who
    /// did not hear it.
    pub fn cut_off(&self, node: u32, off: bool) {
        let now = self.stage.elapsed();
        let mut links = self.links.lock();
        let Some(link) = links.get_mut(&node) else { return };
        if off {
            link.cut_off_since.get_or_insert(now);
        } else if link.cut_off_since.take().is_some() {
            drop(links);
            self.all_have_missed();
        }
    }

    fn all_have_missed(&self) {
        let heard_again_at = self.stage.elapsed() + LONGEST_WAY;
        for link in self.links.lock().values_mut() {
            link.heard_again_at = heard_again_at;
            link.has_missed();
        }
    }

    fn has_missed(&self, node: u32) {
        self.links.lock().get(&node).into_iter().for_each(Link::has_missed);
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
    /// On its way to another node a signal is lost now and then: that one is told, but later.
    fn send_or_lose(&self, node: u32, signal: &Signal) {
        let stage = &self.bus.stage;
        if !stage.strikes(stage.settings.signals / 4) {
            return self.send_to(node, signal);
        }
        stage.note(format_args!("fault signal to {node} lost"));
        let bus = Arc::clone(&self.bus);
        let sleep = stage.outside.sleep(Duration::from_micros(stage.within(0, SILENCE.as_micros() as u64)));
        let told = async move {
            sleep.await;
            bus.has_missed(node);
        };
        stage.outside.spawn("missed signal", Box::pin(told));
    }

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
            self.send_or_lose(node, &signal);
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
        let (now, links) = (self.bus.stage.elapsed(), self.bus.links.lock());
        // Whoever does not hear one of the others does not know what that one takes away.
        links.get(&self.node).is_some_and(|link| now >= link.heard_again_at)
            && !links.values().any(|link| link.is_silent(now))
    }
}
