//! What a node knows of the keys, and what it has leased of them.
//!
//! A key's time is a line: every request that is allowed takes a piece of it, as long as its cost, at most a burst ahead
//! of now. A lease is a piece that Redis has given to this node alone. It passes as the time does, and so nothing is
//! saved up with it: all nodes together never allow more than one would.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use platform_core::ports::limiter::{Quota, Verdict};
use tokio::sync::oneshot;

use super::script::{Ask, Grant};

/// The map is swept at first when it holds this many keys, then whenever it has doubled.
const SWEEP_AT: usize = 1024;
/// A lease that is used up sooner is doubled the next time; one that lasts twice as long is halved. So a key costs about
/// ten trips a second, however hot.
const LEASE_LASTS: u128 = Duration::from_millis(100).as_nanos();
/// Requests that are worth a trip, also where they are half of the burst.
const WORTH_A_TRIP: u32 = 10;

/// All keys.
#[derive(Default)]
pub(super) struct Cells {
    cells: BTreeMap<String, Cell>,
    /// Requests that wait for Redis.
    waiting: usize,
    /// Sweep when the map has grown to this.
    sweep_at: usize,
    latest: Duration,
}

/// A key.
#[derive(Default)]
struct Cell {
    /// The key's arrival in Redis, as far as this node knows; nothing before it has asked.
    arrival: Option<u128>,
    /// What is leased and not spent yet, in order.
    pieces: VecDeque<Piece>,
    /// How much of that is for the first who waits.
    reserved: u128,
    /// How many requests the next lease is for.
    lease: u32,
    asked_at: u128,
    /// Requests since.
    requests: u32,
    /// Whether nothing was left in Redis then.
    was_empty: bool,
    waiting: Vec<Waiter>,
    /// Somebody asks Redis.
    is_asking: bool,
}

/// A piece of a key's time.
#[derive(Clone, Copy)]
struct Piece {
    from: u128,
    until: u128,
}

/// A request that waits for what Redis says.
pub(super) struct Waiter {
    pub(super) cost: u32,
    pub(super) quota: Quota,
    pub(super) now: Duration,
    pub(super) told: oneshot::Sender<Verdict>,
}

impl Cells {
    /// A time that does not go back.
    pub(super) fn clock(&mut self, now: Duration) -> Duration {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// How many keys are known.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// How many requests wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// The verdict, if this node can tell it alone: it has leased enough, or knows that there is not enough.
    pub(super) fn decide(&mut self, key: &str, cost: u32, quota: Quota, now: Duration) -> Option<Verdict> {
        let cell = self.cells.get_mut(key)?;
        cell.requests = cell.requests.saturating_add(1);
        cell.decide(cost, quota, now.as_nanos()).or_else(|| cell.pace(quota, now.as_nanos()))
    }

    /// Lets a request wait. Returns whether nobody asks Redis about its key yet.
    pub(super) fn wait(&mut self, key: &str, waiter: Waiter) -> bool {
        self.sweep();
        self.waiting += 1;
        let cell = self.cells.entry(key.to_owned()).or_default();
        cell.waiting.push(waiter);
        !std::mem::replace(&mut cell.is_asking, true)
    }

    /// What to ask for those that wait for a key; nothing when nobody waits any more.
    pub(super) fn ask(&mut self, key: &str) -> Option<Ask> {
        let latest = self.latest.as_nanos();
        let cell = self.cells.get_mut(key)?;
        let before = cell.waiting.len();
        // Who has given up takes nothing.
        cell.waiting.retain(|waiter| !waiter.told.is_closed());
        self.waiting -= before - cell.waiting.len();
        let ask = cell.ask();
        if ask.is_none() {
            cell.is_asking = false;
            if cell.is_whole(latest) {
                self.cells.remove(key);
            }
        }
        ask
    }

    /// What Redis has given. Tells those who need not wait any longer.
    pub(super) fn granted(&mut self, key: &str, ask: &Ask, grant: &Grant) {
        let Some(cell) = self.cells.get_mut(key) else { return };
        let before = cell.waiting.len();
        cell.granted(ask, grant);
        self.waiting -= before - cell.waiting.len();
    }

    /// Those who wait, when Redis cannot be asked.
    pub(super) fn give_up(&mut self, key: &str) -> Vec<Waiter> {
        let waiting = self.cells.remove(key).map(|cell| cell.waiting).unwrap_or_default();
        self.waiting -= waiting.len();
        waiting
    }

    fn sweep(&mut self) {
        if self.cells.len() >= self.sweep_at.max(SWEEP_AT) {
            let now = self.latest.as_nanos();
            self.cells.retain(|_, cell| cell.is_asking || !cell.is_whole(now));
            self.sweep_at = self.cells.len() * 2;
        }
    }
}

impl Cell {
    fn is_whole(&self, now: u128) -> bool {
        self.arrival.is_none_or(|arrival| arrival <= now)
    }

    /// What is leased and has not passed.
    fn unspent(&mut self, now: u128) -> u128 {
        while self.pieces.front().is_some_and(|piece| piece.until <= now) {
            self.pieces.pop_front();
        }
        if let Some(first) = self.pieces.front_mut() {
            first.from = first.from.max(now);
        }
        self.pieces.iter().map(|piece| piece.until - piece.from).sum()
    }

    fn spend(&mut self, mut length: u128) {
        while let Some(first) = self.pieces.front_mut() {
            let of_it = length.min(first.until - first.from);
            first.from += of_it;
            length -= of_it;
            if length == 0 {
                return;
            }
            self.pieces.pop_front();
        }
    }

    fn decide(&mut self, cost: u32, quota: Quota, now: u128) -> Option<Verdict> {
        let arrival = self.arrival?;
        let unspent = self.unspent(now);
        // As if what this node has left had not been taken.
        let (verdict, _) = quota.decide(cost, arrival.saturating_sub(unspent), now);
        let length = length(cost, quota);
        if !verdict.allowed {
            let retry_after = verdict.retry_after.max(self.paced_for(quota, now));
            return Some(Verdict { retry_after, ..verdict });
        }
        if length > unspent.saturating_sub(self.reserved) {
            return None;
        }
        self.spend(length);
        Some(verdict)
    }

    /// Of a key that is used up, what comes back is fetched in portions: until one is worth a trip, requests are refused.
    fn pace(&mut self, quota: Quota, now: u128) -> Option<Verdict> {
        let retry_after = self.paced_for(quota, now);
        if retry_after.is_zero() || self.requests > WORTH_A_TRIP {
            return None;
        }
        let arrival = self.arrival?.saturating_sub(self.unspent(now));
        let (left, _) = quota.decide(0, arrival, now);
        Some(Verdict { allowed: false, retry_after, ..left })
    }

    /// For how long no trip is worth it: nothing was left at the last one, and little came back since.
    fn paced_for(&mut self, quota: Quota, now: u128) -> Duration {
        if !self.was_empty {
            return Duration::ZERO;
        }
        let arrival = self.arrival.unwrap_or_default().saturating_sub(self.unspent(now));
        let portion_is_back = (arrival + length(portion(quota), quota)).saturating_sub(quota.tolerance());
        let until = portion_is_back.min(self.asked_at + LEASE_LASTS);
        // At most the 100 ms of a lease.
        Duration::from_nanos(u64::try_from(until.saturating_sub(now)).unwrap_or(u64::MAX))
    }

    /// What the first who waits lacks; and for the others who wait and those who will come, a lease.
    fn ask(&mut self) -> Option<Ask> {
        let (first, others) = self.waiting.split_first()?;
        let (cost, quota, now) = (first.cost, first.quota, first.now);
        let of_others: u128 = others.iter().map(|waiter| length(waiter.cost, waiter.quota)).sum();
        self.resize_lease(quota, now.as_nanos());
        self.reserved = self.unspent(now.as_nanos()).min(length(cost, quota));
        let needed = length(cost, quota) - self.reserved;
        // Who asks for nothing, or for what is never allowed, leases nothing.
        let wanted = match (1..=quota.burst.max(1)).contains(&cost) {
            true => of_others.saturating_add(length(self.lease, quota)),
            false => 0,
        };
        self.requests = 0;
        let (interval, small) = (quota.interval(), length(portion(quota), quota));
        Some(Ask { needed, wanted, small, interval, tolerance: quota.tolerance(), now })
    }

    fn resize_lease(&mut self, quota: Quota, now: u128) {
        let lasted = now.saturating_sub(self.asked_at);
        let most = (quota.burst / 4).max(portion(quota));
        self.lease = match lasted {
            _ if self.arrival.is_none() => 0,
            ..=LEASE_LASTS => self.lease.saturating_mul(2).max(1),
            _ if lasted > 2 * LEASE_LASTS => self.lease / 2,
            _ => self.lease,
        };
        self.lease = self.lease.min(most);
        self.asked_at = now;
    }

    fn granted(&mut self, ask: &Ask, grant: &Grant) {
        // Redis looked at its clock after this node did: so a lease rather passes too early here than too late.
        let arrival = ask.now.as_nanos() + grant.level;
        self.arrival = Some(arrival);
        self.was_empty = grant.level + ask.interval > ask.tolerance;
        if grant.is_granted && ask.needed + grant.beyond > 0 {
            let from = arrival.saturating_sub(ask.needed.saturating_add(grant.beyond));
            self.pieces.retain(|piece| piece.from < piece.until);
            match self.pieces.back_mut() {
                Some(last) if last.until >= from => last.until = last.until.max(arrival),
                _ => self.pieces.push_back(Piece { from, until: arrival }),
            }
        }
        self.reserved = 0;
        let mut is_first = true;
        for waiter in std::mem::take(&mut self.waiting) {
            let now = waiter.now.as_nanos();
            let verdict = match self.decide(waiter.cost, waiter.quota, now) {
                None if is_first => Some(self.as_granted(&waiter, grant.is_granted)),
                verdict => verdict,
            };
            is_first = false;
            match verdict {
                // Who has given up meanwhile has taken it all the same.
                Some(verdict) => drop(waiter.told.send(verdict)),
                None => self.waiting.push(waiter),
            }
        }
    }

    /// The verdict of Redis where ours is another one: of what was leased something has passed meanwhile, or numbers that
    /// no clock can count were rounded.
    fn as_granted(&mut self, waiter: &Waiter, is_granted: bool) -> Verdict {
        let (now, length) = (waiter.now.as_nanos(), length(waiter.cost, waiter.quota));
        // At most so far ahead that it is allowed.
        let latest = now + waiter.quota.tolerance().saturating_sub(length);
        let arrival = self.arrival.unwrap_or_default().saturating_sub(length).min(latest);
        let (verdict, _) = waiter.quota.decide(waiter.cost, arrival, now);
        self.spend(length);
        match is_granted {
            true => verdict,
            false => Verdict { allowed: false, retry_after: Duration::from_nanos(1), ..verdict },
        }
    }
}

/// Requests that are worth a trip: of a small burst not more than half, since what is not fetched in time is lost.
fn portion(quota: Quota) -> u32 {
    WORTH_A_TRIP.min(quota.burst / 2)
}

/// How much of a key's time a cost is.
fn length(cost: u32, quota: Quota) -> u128 {
    quota.interval() * u128::from(cost)
}
