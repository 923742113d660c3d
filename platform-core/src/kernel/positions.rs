//! Which commits somebody has seen, so that a later read may wait for them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Error, Position, Result, limits};

/// A position in each of some stores: the last commit there that counts.
///
/// Text form `transactions:88,users:15`; the texts of several, joined by commas, are the text of all.
///
/// ```
/// use platform_core::kernel::Positions;
/// let mut seen: Positions = "users:15".parse()?;
/// seen.include("users", 12);
/// seen.include("transactions", 88);
/// assert_eq!(seen.to_string(), "transactions:88,users:15");
/// # Ok::<_, platform_core::kernel::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<String, Position>);

impl Positions {
    /// Includes a commit; an earlier one of the same store is included in a later one.
    pub fn include(&mut self, store: &str, position: Position) {
        match self.0.get_mut(store) {
            Some(present) => *present = position.max(*present),
            None => drop(self.0.insert(store.to_owned(), position)),
        }
    }

    /// Each store and its position, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Position)> {
        self.0.iter().map(|(store, position)| (store.as_str(), *position))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (store, position)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{store}:{position}")?;
        }
        Ok(())
    }
}

impl FromStr for Positions {
    type Err = Error;

    /// # Errors
    /// `positions.invalid`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid =
            || Error::invalid("positions.invalid", "positions are STORE:NUMBER, with commas between");
        let mut positions = Positions::default();
        for one in text.split(',').map(str::trim) {
            let (store, position) = one.split_once(':').ok_or_else(invalid)?;
            let is_name = (1..=limits::STORE_NAME_BYTES).contains(&store.len())
                && store.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
            let is_number = position.bytes().all(|byte| byte.is_ascii_digit());
            if !is_name || !is_number {
                return Err(invalid());
            }
            positions.include(store, position.parse().map_err(|_| invalid())?);
            if positions.0.len() > limits::POSITIONS {
                return Err(invalid());
            }
        }
        Ok(positions)
    }
}

/// Collects the positions of commits. Clones collect into the same.
#[derive(Debug, Clone, Default)]
pub struct Commits(Arc<Mutex<Positions>>);

impl Commits {
    /// Includes a commit.
    pub fn include(&self, store: &str, position: Position) {
        self.0.lock().include(store, position);
    }

    /// All so far.
    pub fn positions(&self) -> Positions {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_malformed_is_refused() {
        let many = (0..=limits::POSITIONS).map(|n| format!("s{n}:1")).collect::<Vec<_>>().join(",");
        let long = format!("{}:1", "s".repeat(limits::STORE_NAME_BYTES + 1));
        for bad in [
            "",
            ",",
            "users",
            "users:",
            ":1",
            "users:-1",
            "users:+1",
            "users:1,",
            "users:1 2",
            "Users:1",
            "users:18446744073709551616",
            "users:1;flags:2",
            "users:1:2",
            "us-ers:1",
            "us ers:1",
            "\0:1",
            &many,
            &long,
        ] {
            assert_eq!(bad.parse::<Positions>().unwrap_err().code(), "positions.invalid", "{bad:?}");
        }
    }

    #[test]
    fn clones_collect_into_the_same() {
        let commits = Commits::default();
        commits.clone().include("users", 7);
        commits.include("users", 3);
        commits.include("flags", 1);
        assert_eq!(commits.positions().to_string(), "flags:1,users:7");
    }

    proptest! {
        #[test]
        fn texts_come_back_and_join(pairs in proptest::collection::vec(("[a-z0-9_]{1,48}", any::<u64>()), 1..64)) {
            let mut positions = Positions::default();
            pairs.iter().for_each(|(store, position)| positions.include(store, *position));
            prop_assert_eq!(positions.to_string().parse::<Positions>().unwrap(), positions.clone());
            let texts: Vec<_> = pairs.iter().map(|(store, position)| format!("{store}:{position}")).collect();
            prop_assert_eq!(texts.join(", ").parse::<Positions>().unwrap(), positions);
        }
    }
}
