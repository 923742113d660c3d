//! Attacks on a running server, as functions of one list.
//!
//! Each keeps a stated load going until it is told to stop, from addresses of its own (127.0.1.1, …), and
//! tallies what the server made of it. The loads are what one machine sends with little effort: the server
//! is what is put under pressure, not the machine.

#![allow(clippy::expect_used, reason = "an attack that cannot be made ends the test")]

mod bodies;
mod connections;
mod front;
mod h2;
mod heads;
mod healthy;
mod line;
mod services;
mod streams;
mod world;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use front::Front;
pub use healthy::{Healthy, Latencies};
pub use line::Line;
pub use world::World;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One attack.
#[derive(Clone, Copy)]
pub struct Attack {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, with its load.
    pub what: &'static str,
    run: fn(Arc<Front>) -> Work,
}

macro_rules! attacks {
    ($($name:literal: $run:path, $what:literal;)*) => {
        /// Every attack there is.
        pub const ATTACKS: &[Attack] = &[$(Attack { name: $name, what: $what, run: |front| Box::pin($run(front)) }),*];
    };
}

attacks! {
    "slow-heads": connections::slow_heads, "2,000 connections of 4 addresses, each a line of a head every second";
    "slow-bodies": connections::slow_bodies, "1,000 connections of 2 addresses, each a byte of a body every second";
    "connections": connections::flood, "500 new connections a second, half of them with one request";
    "idle": connections::idle, "5,000 connections of 5 addresses that say nothing after one request";
    "above-the-cap": connections::above_the_cap, "1,500 connections of one address, again as soon as they are closed";
    "slow-readers": connections::slow_readers, "200 connections that ask for 64 documents each and never read";
    "rapid-reset": streams::rapid_reset, "10 HTTP/2 connections, each 1,000 requests a second that are reset at once";
    "continuation": streams::continuation, "50 HTTP/2 connections a second, each with CONTINUATION frames without end";
    "zero-window": streams::zero_window, "50 HTTP/2 connections, each 100 requests for answers that they do not let in";
    "control-frames": streams::control, "10 HTTP/2 connections, each 2,000 PING, SETTINGS and empty DATA frames a second";
    "giant-heads": heads::giant_heads, "100 requests a second with heads of 1 MiB, many fields or a long path";
    "giant-bodies": bodies::giant_bodies, "100 requests a second with bodies that are too large, declared or not";
    "held-bodies": bodies::held_bodies, "400 signed-in requests that hold back the last byte of a body of 2 MiB";
    "compressed": bodies::compressed, "100 signed-in requests a second with a bomb of gzip (10 MiB in 10 KiB)";
    "json-bombs": bodies::json_bombs, "10 signed-in requests a second with 2 MiB of JSON: deep, wide, long numbers";
    "colliding-keys": bodies::colliding_keys, "20 requests a second with keys and field names of the same hash";
    "bad-logins": services::bad_logins, "500 logins a second with a wrong password, of 10 addresses";
    "hanging-upstream": services::hanging_upstream, "200 requests a second to a route whose upstream never answers";
}

/// The attack of this name.
pub fn named(name: &str) -> Option<Attack> {
    ATTACKS.iter().find(|attack| attack.name == name).copied()
}

/// An attack that goes on.
pub struct Running {
    front: Arc<Front>,
    thread: Option<JoinHandle<()>>,
}

impl Attack {
    /// Begins it, with so many hundredths of its load, in a thread of its own.
    pub fn start(self, world: &World, percent: usize) -> Running {
        let front = Arc::new(Front::new(world, percent));
        let other = Arc::clone(&front);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on((self.run)(other));
        });
        Running { front, thread: Some(thread) }
    }
}

impl Running {
    /// What the server has made of it so far.
    pub fn tally(&self) -> BTreeMap<String, u64> {
        self.front.tally()
    }

    /// How long it took, each time, until something was refused for being too much.
    pub fn refusals(&self) -> Vec<Duration> {
        self.front.refusals()
    }

    /// Ends it; what the server made of it.
    pub fn stop(mut self) -> BTreeMap<String, u64> {
        self.end();
        self.front.tally()
    }

    fn end(&mut self) {
        self.front.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the attack ends");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.front.stop();
    }
}
