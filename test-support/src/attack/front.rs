//! What every attack shares: its goal, its load, its tally, its end.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::World;
use super::line::Line;

/// What an attack works with.
pub struct Front {
    /// Where the server listens.
    pub address: SocketAddr,
    /// An administrator's token.
    pub token: String,
    percent: usize,
    tally: Mutex<BTreeMap<String, u64>>,
    refusals: Mutex<Vec<Duration>>,
    over: watch::Sender<bool>,
}

/// Tasks of one stream at once: beyond them nothing more is begun, so that what hangs does not pile up here.
const AT_ONCE: usize = 4_000;

impl Front {
    pub(super) fn new(world: &World, percent: usize) -> Front {
        Front {
            address: world.address,
            token: world.token.clone(),
            percent,
            tally: Mutex::default(),
            refusals: Mutex::default(),
            over: watch::channel(false).0,
        }
    }

    /// So much of the full load.
    pub(super) fn share(&self, full: usize) -> usize {
        (full * self.percent / 100).max(1)
    }

    /// Counts what has happened.
    pub(super) fn note(&self, what: impl Into<String>) {
        *self.tally.lock().entry(what.into()).or_default() += 1;
    }

    pub(super) fn tally(&self) -> BTreeMap<String, u64> {
        self.tally.lock().clone()
    }

    /// Notes how long it took until it was refused for being too much.
    pub(super) fn refused_after(&self, time: Duration) {
        self.refusals.lock().push(time);
    }

    pub(super) fn refusals(&self) -> Vec<Duration> {
        self.refusals.lock().clone()
    }

    pub(super) fn stop(&self) {
        self.over.send_replace(true);
    }

    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    pub(super) async fn until_over(&self) {
        // The sender lives as long as this.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// A connection from 127.0.1.SOURCE.
    pub(super) async fn connect(&self, source: usize) -> Option<Line> {
        let connecting = async {
            let socket = TcpSocket::new_v4()?;
            let source = Ipv4Addr::new(127, 0, 1, source as u8 + 1);
            socket.bind((source, 0).into())?;
            socket.connect(self.address).await
        };
        match tokio::time::timeout(Duration::from_secs(5), connecting).await {
            Ok(Ok(stream)) => Some(Line::new(stream)),
            Ok(Err(error)) => {
                self.note(format!("not connected: {}", error.kind()));
                None
            }
            Err(_) => {
                self.note("not connected in 5 s");
                None
            }
        }
    }
}

/// Keeps so many tasks, begun over some seconds, until the attack is over.
pub(super) async fn crowd<F>(front: &Arc<Front>, count: usize, each: impl Fn(Arc<Front>, usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for number in 0..front.share(count) {
        if front.is_over() {
            return;
        }
        tasks.spawn(each(Arc::clone(front), number));
        if number % 20 == 19 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    front.until_over().await;
}

/// Begins so many tasks a second until the attack is over.
pub(super) async fn stream<F>(front: &Arc<Front>, rate: usize, each: impl Fn(Arc<Front>, usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / front.share(rate) as u32);
    for number in 0.. {
        tokio::select! {
            biased;
            () = front.until_over() => return,
            _ = ticks.tick() => {}
        }
        while tasks.try_join_next().is_some() {}
        if tasks.len() < AT_ONCE {
            tasks.spawn(each(Arc::clone(front), number));
        }
    }
}
