//! Which call to the disk fails, and how.

/// A call to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A file or a folder is made.
    Create,
    /// Bytes are read.
    Read,
    /// Bytes are written.
    Write,
    /// A file is cut or lengthened.
    Truncate,
    /// An fsync of a file.
    Sync,
    /// An fsync of a folder.
    SyncFolder,
    /// A file is renamed.
    Rename,
    /// A file or a folder is removed.
    Delete,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `EIO`, and nothing is done.
    Error,
    /// `ENOSPC`, and nothing is done.
    Full,
    /// A part is written, and the rest meets a full disk.
    Short,
    /// `EIO` of an fsync: some of what was written is on the disk, the rest never will be, and is still
    /// seen until the machine starts again.
    SyncKept,
    /// The same, and what is not on the disk is not seen any more either.
    SyncDropped,
}

/// How long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lasting {
    /// The next call is well again.
    Once,
    /// Every further call fails that can fail in this way.
    ForGood,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 5] =
        [Fault::Error, Fault::Full, Fault::Short, Fault::SyncKept, Fault::SyncDropped];

    /// Whether this call can fail in this way.
    pub fn concerns(self, operation: Operation) -> bool {
        match self {
            Fault::Error => operation != Operation::Sync,
            Fault::Full => {
                matches!(operation, Operation::Create | Operation::Write | Operation::Truncate)
            }
            Fault::Short => operation == Operation::Write,
            Fault::SyncKept | Fault::SyncDropped => operation == Operation::Sync,
        }
    }
}

/// Lets a call fail.
#[derive(Debug, Clone)]
pub struct Plan {
    at: u64,
    fault: Fault,
    lasting: Lasting,
    fired: u64,
    /// A short write has been answered: the next write is its rest.
    rest: bool,
}

impl Plan {
    /// The call with this number (from 0), or the first after it that can fail in this way.
    pub fn new(at: u64, fault: Fault, lasting: Lasting) -> Plan {
        Plan { at, fault, lasting, fired: 0, rest: false }
    }

    /// What is to become of a call.
    pub fn decide(&mut self, number: u64, operation: Operation) -> Option<Fault> {
        if std::mem::take(&mut self.rest) && operation == Operation::Write {
            return Some(Fault::Full);
        }
        let spent = self.lasting == Lasting::Once && self.fired > 0;
        if number < self.at || spent {
            return None;
        }
        // A disk that is gone fails every call, an fsync too.
        let gone = self.fault == Fault::Error && self.fired > 0 && operation == Operation::Sync;
        let full = self.fault == Fault::Short && self.fired > 0 && Fault::Full.concerns(operation);
        let fault = match self.fault {
            _ if gone => Fault::SyncKept,
            _ if full => Fault::Full,
            fault if fault.concerns(operation) => fault,
            _ => return None,
        };
        self.fired += 1;
        self.rest = fault == Fault::Short;
        Some(fault)
    }

    /// How many calls have failed.
    pub fn fired(&self) -> u64 {
        self.fired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mut plan: Plan, calls: &[Operation]) -> Vec<Option<Fault>> {
        calls.iter().zip(0..).map(|(call, number)| plan.decide(number, *call)).collect()
    }

    #[test]
    fn the_call_with_the_number_fails_once() {
        let plan = Plan::new(1, Fault::Error, Lasting::Once);
        let found = run(plan, &[Operation::Write, Operation::Delete, Operation::Write]);
        assert_eq!(found, [None, Some(Fault::Error), None]);
    }

    #[test]
    fn a_fault_waits_for_a_call_that_can_fail_in_this_way() {
        let plan = Plan::new(0, Fault::SyncDropped, Lasting::Once);
        let found = run(plan, &[Operation::Write, Operation::Sync, Operation::Sync]);
        assert_eq!(found, [None, Some(Fault::SyncDropped), None]);
    }

    #[test]
    fn a_disk_that_is_gone_answers_nothing_more() {
        let plan = Plan::new(1, Fault::Error, Lasting::ForGood);
        let calls = [Operation::Write, Operation::Write, Operation::Sync, Operation::Read];
        assert_eq!(run(plan, &calls), [None, Some(Fault::Error), Some(Fault::SyncKept), Some(Fault::Error)]);
    }

    #[test]
    fn a_full_disk_still_removes_and_syncs() {
        let plan = Plan::new(0, Fault::Full, Lasting::ForGood);
        let calls = [Operation::Write, Operation::Sync, Operation::Delete, Operation::Create];
        assert_eq!(run(plan, &calls), [Some(Fault::Full), None, None, Some(Fault::Full)]);
    }

    #[test]
    fn the_rest_of_a_short_write_meets_a_full_disk() {
        let plan = Plan::new(0, Fault::Short, Lasting::Once);
        let calls = [Operation::Write, Operation::Write, Operation::Write];
        assert_eq!(run(plan, &calls), [Some(Fault::Short), Some(Fault::Full), None]);
        let plan = Plan::new(0, Fault::Short, Lasting::Once);
        assert_eq!(run(plan, &[Operation::Write, Operation::Sync, Operation::Write])[2], None);
    }
}
