//! Tokens that were verified a moment ago: one lookup and four comparisons instead of a signature
//! and two reads.

use parking_lot::RwLock;

use crate::kernel::{Principal, Timestamp};
use crate::users::Seen;

/// Tokens that share a place. A full place gives up the one that ends first.
const WAYS: usize = 8;

/// A verified token. It is valid until it ends or one of its epochs moves.
#[derive(Debug)]
struct Entry {
    token: Box<str>,
    principal: Principal,
    ends_at: Timestamp,
    /// The session's, the account's, the user's and the roles' epochs, as they were before anything was read.
    seen: [Seen; 4],
}

impl Entry {
    fn holds(&self, now: Timestamp) -> bool {
        self.ends_at > now && self.seen.iter().all(Seen::is_current)
    }
}

/// A bounded memory of verified tokens, by the whole token.
///
/// The place is taken from the signature, whose bits an attacker cannot choose: only verified tokens
/// come in, so nobody can crowd a place on purpose.
#[derive(Debug)]
pub(super) struct RememberedTokens {
    places: Vec<RwLock<Vec<Entry>>>,
}

impl RememberedTokens {
    /// Room for about `capacity` tokens.
    pub(super) fn new(capacity: usize) -> RememberedTokens {
        let places = capacity.div_ceil(WAYS).next_power_of_two();
        RememberedTokens { places: (0..places).map(|_| RwLock::default()).collect() }
    }

    /// The principal of a token that was verified and still holds.
    pub(super) fn get(&self, token: &str, now: Timestamp) -> Option<Principal> {
        let place = self.place(token)?.read();
        let entry = place.iter().find(|entry| *entry.token == *token)?;
        entry.holds(now).then(|| entry.principal.clone())
    }

    /// Remembers a token. `seen` was taken before the principal was read from the stores.
    pub(super) fn put(
        &self,
        token: &str,
        principal: Principal,
        ends_at: Timestamp,
        seen: [Seen; 4],
        now: Timestamp,
    ) {
        let Some(place) = self.place(token) else { return };
        let mut place = place.write();
        place.retain(|entry| entry.holds(now) && *entry.token != *token);
        if place.len() >= WAYS {
            let first = place.iter().enumerate().min_by_key(|(_, entry)| entry.ends_at).map(|(at, _)| at);
            if let Some(first) = first {
                place.swap_remove(first);
            }
        }
        place.push(Entry { token: token.into(), principal, ends_at, seen });
    }

    fn place(&self, token: &str) -> Option<&RwLock<Vec<Entry>>> {
        let (_, tail) = token.as_bytes().split_last_chunk::<24>()?;
        let (a, rest) = tail.split_first_chunk::<8>()?;
        let (b, _) = rest.split_first_chunk::<8>()?;
        let mixed = (u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b).rotate_left(23))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let index = (mixed >> 32) as usize & (self.places.len() - 1);
        self.places.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Actor, Permissions, RawId, UserId};
    use crate::users::Epochs;
    use proptest::prelude::*;

    fn principal(user: u8) -> Principal {
        Principal {
            actor: Actor::User(UserId(RawId([user; 16]))),
            session: None,
            permissions: Permissions::none(),
        }
    }

    fn token(number: usize) -> String {
        format!("header.claims.{number:086}")
    }

    #[test]
    fn a_token_holds_until_it_ends_or_any_epoch_moves() {
        let epochs = Epochs::default();
        let end = Timestamp::from_secs(100);
        let before = Timestamp::from_micros(end.as_micros() - 1);
        for moved in 0..4_u8 {
            let memory = RememberedTokens::new(64);
            let seen = [0_u8, 1, 2, 3].map(|key| epochs.seen(&key));
            memory.put(&token(1), principal(1), end, seen, Timestamp::EPOCH);
            assert_eq!(memory.get(&token(1), before).unwrap().actor, principal(1).actor);
            assert!(memory.get(&token(1), end).is_none());
            assert!(memory.get(&token(2), before).is_none());
            epochs.advance(&moved);
            assert!(memory.get(&token(1), before).is_none());
        }
    }

    #[test]
    fn a_short_text_is_no_token() {
        let memory = RememberedTokens::new(1);
        for text in ["", "a.b.c", "ä"] {
            assert!(memory.get(text, Timestamp::EPOCH).is_none());
        }
    }

    proptest! {
        #[test]
        fn whatever_is_remembered_is_the_principal_of_that_token_and_the_memory_is_bounded(
            puts in proptest::collection::vec((0usize..200, 1u64..50), 1..300),
        ) {
            let (epochs, memory) = (Epochs::<u8>::default(), RememberedTokens::new(16));
            for (number, end) in puts {
                let seen = [0, 0, 0, 0].map(|key| epochs.seen(&key));
                memory.put(&token(number), principal(number as u8), Timestamp::from_secs(end), seen, Timestamp::EPOCH);
                prop_assert_eq!(memory.get(&token(number), Timestamp::EPOCH).unwrap().actor, principal(number as u8).actor);
                prop_assert!(memory.get(&token(number), Timestamp::from_secs(end)).is_none());
            }
            prop_assert!(memory.places.iter().all(|place| place.read().len() <= WAYS));
            for number in 0..200 {
                if let Some(found) = memory.get(&token(number), Timestamp::EPOCH) {
                    prop_assert_eq!(found.actor, principal(number as u8).actor);
                }
            }
        }
    }
}
