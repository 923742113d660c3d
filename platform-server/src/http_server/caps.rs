//! How many connections there may be, in all and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts connections.
#[derive(Clone)]
pub struct Caps(Arc<Inner>);

struct Inner {
    total: usize,
    per_address: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection; dropping it makes room.
pub struct Permit {
    caps: Caps,
    address: IpAddr,
}

impl Caps {
    /// Caps in all and per address.
    pub fn new(total: usize, per_address: usize) -> Caps {
        Caps(Arc::new(Inner { total, per_address, open: Mutex::default() }))
    }

    /// Room for one more connection, or `None`.
    pub fn admit(&self, address: IpAddr) -> Option<Permit> {
        let address = network_of(address);
        let mut open = self.0.open.lock();
        let mine = open.by_address.get(&address).copied().unwrap_or(0);
        if open.total >= self.0.total || mine >= self.0.per_address {
            return None;
        }
        open.total += 1;
        open.by_address.insert(address, mine + 1);
        Some(Permit { caps: self.clone(), address })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.caps.0.open.lock();
        open.total = open.total.saturating_sub(1);
        match open.by_address.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.by_address.remove(&self.address);
            }
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

    #[test]
    fn caps_hold_in_all_and_per_address_and_room_comes_back() {
        let (a, b, c) =
            ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap());
        let caps = Caps::new(3, 2);
        let first = caps.admit(a).unwrap();
        let _second = caps.admit(a).unwrap();
        assert!(caps.admit(a).is_none());
        let _third = caps.admit(b).unwrap();
        assert!(caps.admit(c).is_none());
        drop(first);
        assert!(caps.admit(c).is_some());
        assert_eq!(caps.0.open.lock().by_address.len(), 2);
    }

    #[test]
    fn an_ipv6_subscriber_counts_once() {
        let caps = Caps::new(10, 1);
        let _one = caps.admit("2001:db8::1".parse().unwrap()).unwrap();
        assert!(caps.admit("2001:db8::ffff:2".parse().unwrap()).is_none());
        assert!(caps.admit("2001:db8:0:1::1".parse().unwrap()).is_some());
        let _four = caps.admit("::ffff:10.0.0.1".parse().unwrap()).unwrap();
        assert!(caps.admit("10.0.0.1".parse().unwrap()).is_none());
    }
}
