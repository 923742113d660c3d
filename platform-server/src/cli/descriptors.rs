//! File descriptors: connections must not take those that stores and logs need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What stores, logs and the process itself open.
const OWN: u64 = 512;

/// How many descriptors so many connections need: a proxied request holds two.
pub(super) fn needed(connections: usize) -> u64 {
    connections as u64 * 2 + OWN
}

/// Raises this process's limit of open files as far as it may be raised; what it is then.
pub(super) fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let is_raised = limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_ok();
    (if is_raised { limit.maximum } else { limit.current }).unwrap_or(u64::MAX)
}

/// How many connections so many open files allow, when that is fewer than are wanted.
pub(super) fn connections_within(wanted: usize, files: u64) -> Option<usize> {
    let fewer = || usize::try_from(files.saturating_sub(OWN) / 2).unwrap_or(usize::MAX).max(1);
    (needed(wanted) > files).then(fewer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_stores() {
        assert_eq!(connections_within(10_000, 20_512), None);
        assert_eq!(connections_within(10_000, 20_000), Some(9_744));
        assert_eq!(connections_within(10_000, 1_024), Some(256));
        assert_eq!(connections_within(10_000, 100), Some(1));
    }

    #[test]
    fn the_limit_is_what_may_be_had() {
        assert_eq!(raise(), getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX));
    }
}
