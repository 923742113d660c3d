//! How many connections and requests there may be at once, in all and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

/// How much there may be at once.
#[derive(Debug, Clone, Copy)]
pub struct AtOnce {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address.
    pub connections_per_address: usize,
    /// Requests in all.
    pub requests: usize,
    /// Requests of one address.
    pub requests_per_address: usize,
}

impl AtOnce {
    /// Requests that one address may have when there are `all`: a part of the room that is left, so that addresses
    /// which hold theirs leave some for whoever comes next (dynamic thresholds, Choudhury and Hahne 1998).
    fn share(&self, all: usize) -> usize {
        let left = self.requests.saturating_sub(all);
        left.saturating_mul(self.requests_per_address).div_ceil(self.requests.max(1))
    }
}

/// Counts connections and requests.
#[derive(Clone)]
pub struct Caps(Arc<Inner>);

struct Inner {
    most: AtOnce,
    requests: AtomicUsize,
    connections: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, Arc<Open>>>,
}

/// What is open of one address.
#[derive(Default)]
struct Open {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

/// One connection; dropping it makes room.
pub struct Permit {
    caps: Caps,
    address: IpAddr,
    open: Arc<Open>,
    /// A proxy that is trusted stands for many: only the caps in all count for it.
    is_trusted: bool,
}

/// One request; dropping it makes room.
pub struct RequestPermit(Arc<Permit>);

/// Above which cap a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Above {
    /// That of its address.
    Address,
    /// That in all.
    All,
}

impl Caps {
    /// With these caps.
    pub fn new(most: AtOnce) -> Caps {
        Caps(Arc::new(Inner {
            most,
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            by_address: Mutex::default(),
        }))
    }

    /// Room for one more connection, or `None`.
    pub fn admit(&self, address: IpAddr, is_trusted: bool) -> Option<Permit> {
        let (inner, address) = (&self.0, network_of(address));
        let mut by_address = inner.by_address.lock();
        let mine = by_address.get(&address).map_or(0, |open| open.connections.load(Relaxed));
        let is_full = inner.connections.load(Relaxed) >= inner.most.connections;
        if is_full || (!is_trusted && mine >= inner.most.connections_per_address) {
            return None;
        }
        inner.connections.fetch_add(1, Relaxed);
        let open = by_address.entry(address).or_default();
        open.connections.fetch_add(1, Relaxed);
        Some(Permit { caps: self.clone(), address, open: Arc::clone(open), is_trusted })
    }

    /// Whether there is little room left for connections.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.connections.load(Relaxed).saturating_mul(4) > self.0.most.connections.saturating_mul(3)
    }
}

impl Permit {
    /// Room for one more request on this connection.
    ///
    /// # Errors
    /// Above which cap it is.
    pub fn request(self: &Arc<Permit>) -> Result<RequestPermit, Above> {
        let most = &self.caps.0.most;
        // Counted first: whoever comes at the same time sees it.
        let permit = RequestPermit(Arc::clone(self));
        let mine = self.open.requests.fetch_add(1, Relaxed);
        let all = self.caps.0.requests.fetch_add(1, Relaxed);
        if !self.is_trusted && mine >= most.requests_per_address {
            return Err(Above::Address);
        }
        if all >= most.requests {
            return Err(Above::All);
        }
        if !self.is_trusted && mine >= most.share(all) { Err(Above::Address) } else { Ok(permit) }
    }

    /// Whether there is little room left for connections.
    pub(super) fn is_crowded(&self) -> bool {
        self.caps.is_crowded()
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.0.open.requests.fetch_sub(1, Relaxed);
        self.0.caps.0.requests.fetch_sub(1, Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut by_address = self.caps.0.by_address.lock();
        self.caps.0.connections.fetch_sub(1, Relaxed);
        if self.open.connections.fetch_sub(1, Relaxed) == 1 {
            by_address.remove(&self.address);
        }
    }
}

/// Who counts as one: an IPv4 address, or the /64 that one IPv6 subscriber has to himself.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !(u128::from(u64::MAX))).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(connections: usize, connections_per_address: usize) -> Caps {
        Caps::new(AtOnce { connections, connections_per_address, requests: 3, requests_per_address: 2 })
    }

    #[test]
    fn caps_hold_in_all_and_per_address_and_room_comes_back() {
        let (a, b, c) =
            ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap());
        let caps = caps(3, 2);
        let first = caps.admit(a, false).unwrap();
        let _second = caps.admit(a, false).unwrap();
        assert!(caps.admit(a, false).is_none());
        assert!(!caps.is_crowded());
        let _third = caps.admit(b, false).unwrap();
        assert!(caps.is_crowded());
        assert!(caps.admit(c, false).is_none());
        drop(first);
        assert!(caps.admit(c, false).is_some());
        assert_eq!(caps.0.by_address.lock().len(), 2);
    }

    #[test]
    fn an_ipv6_subscriber_counts_once() {
        let caps = caps(10, 1);
        let _one = caps.admit("2001:db8::1".parse().unwrap(), false).unwrap();
        assert!(caps.admit("2001:db8::ffff:2".parse().unwrap(), false).is_none());
        assert!(caps.admit("2001:db8:0:1::1".parse().unwrap(), false).is_some());
        let _four = caps.admit("::ffff:10.0.0.1".parse().unwrap(), false).unwrap();
        assert!(caps.admit("10.0.0.1".parse().unwrap(), false).is_none());
    }

    #[test]
    fn requests_count_over_all_connections_of_an_address() {
        let [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| address.parse().unwrap());
        let caps = caps(10, 10);
        let [one, two, other, late] =
            [a, a, b, c].map(|address| Arc::new(caps.admit(address, false).unwrap()));
        let first = one.request().unwrap();
        let _second = two.request().unwrap();
        assert_eq!(two.request().err(), Some(Above::Address));
        let _third = other.request().unwrap();
        assert_eq!(other.request().err(), Some(Above::All));
        assert_eq!(late.request().err(), Some(Above::All));
        drop(first);
        // Who holds one already leaves the last one to others.
        assert_eq!(one.request().err(), Some(Above::Address));
        assert!(late.request().is_ok());
    }

    #[test]
    fn addresses_that_hold_what_they_get_leave_room_for_others() {
        let caps = Caps::new(AtOnce {
            connections: 1_000,
            connections_per_address: 10,
            requests: 400,
            requests_per_address: 100,
        });
        let permit = |last: u32| {
            let address = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + last));
            Arc::new(caps.admit(address, false).unwrap())
        };
        let mut held = Vec::new();
        for attacker in (1..=20).map(permit) {
            held.extend(std::iter::from_fn(|| attacker.request().ok()));
        }
        assert!((390..400).contains(&held.len()), "{}", held.len());
        let late = permit(200);
        assert!(late.request().is_ok());
        held.clear();
        let alone: Vec<_> = std::iter::from_fn(|| late.request().ok()).collect();
        assert_eq!(alone.len(), 80, "the room that is left counts, not that of the beginning");
    }

    #[test]
    fn a_trusted_proxy_stands_for_many() {
        let proxy = "10.0.0.1".parse().unwrap();
        let caps = caps(3, 1);
        let many: Vec<_> = (0..3).map(|_| Arc::new(caps.admit(proxy, true).unwrap())).collect();
        assert!(caps.admit(proxy, true).is_none());
        let _requests: Vec<_> = many.iter().map(|permit| permit.request().unwrap()).collect();
        assert_eq!(many.first().unwrap().request().err(), Some(Above::All));
    }
}
