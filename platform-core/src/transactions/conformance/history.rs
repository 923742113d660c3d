//! What happens to a ledger, made from random numbers: the same numbers, the same history.

use super::Fault;
use crate::kernel::{RawId, TransferId};

/// What a transfer of a history does; `number` gives its id, so that a small number comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Of its id.
    pub number: u64,
    /// Which account gives.
    pub debit: usize,
    /// Which account receives.
    pub credit: usize,
    /// Minor units.
    pub amount: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a transfer of a history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It moves.
    Now,
    /// It reserves, for so many seconds (0: for ever).
    Pending(u32),
    /// It posts the one with this number.
    Post(u64),
    /// It voids the one with this number.
    Void(u64),
}

/// One step of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Batches at the same moment, linked or not.
    Send(Vec<(Vec<Sent>, bool)>),
    /// So many milliseconds pass.
    Wait(u64),
    /// Everything in memory is forgotten; with batches, while they are sent.
    Crash(Vec<(Vec<Sent>, bool)>),
    /// How the next commits end.
    Fail(Vec<Fault>),
    /// A second process moves something: the first must notice.
    Intrude(u64),
}

/// The accounts of a history: asset, and the least each may hold.
pub(super) const ACCOUNTS: [(&str, Option<&str>); 4] =
    [("EUR", None), ("EUR", Some("0")), ("EUR", Some("-0.30")), ("USD", None)];

/// The id with this number.
pub fn transfer_id(number: u64) -> TransferId {
    let mut bytes = [0x20; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    TransferId(RawId(bytes))
}

/// A history from random numbers: about a step for each four of them.
pub fn history(choices: &[u64]) -> Vec<Step> {
    let mut choices = Choices(choices);
    let mut steps = Vec::new();
    while !choices.0.is_empty() {
        steps.push(match choices.below(18) {
            0 => Step::Wait(choices.below(3_000)),
            1 => Step::Crash(Vec::new()),
            2 => Step::Crash(choices.batches()),
            3 | 4 => Step::Fail((0..=choices.below(2)).map(|_| choices.fault()).collect()),
            5 => Step::Intrude(1_000 + choices.below(1_000)),
            _ => Step::Send(choices.batches()),
        });
    }
    steps
}

/// Random numbers; each gives several choices. When they are used up, the first choice is taken.
struct Choices<'a>(&'a [u64]);

impl Choices<'_> {
    fn below(&mut self, end: u64) -> u64 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first % end
    }

    fn fault(&mut self) -> Fault {
        [Fault::None, Fault::Refused, Fault::Lost, Fault::AppliedSilently, Fault::Late]
            [self.below(5) as usize]
    }

    fn batches(&mut self) -> Vec<(Vec<Sent>, bool)> {
        let batches = 1 + self.below(4);
        (0..batches).map(|_| self.batch()).collect()
    }

    /// A batch takes one number: what it sends follows from it.
    fn batch(&mut self) -> (Vec<Sent>, bool) {
        let seed = self.below(u64::MAX);
        let sent = (0..1 + seed % 11).map(|item| sent(mix(seed ^ item.wrapping_mul(0x9e37)))).collect();
        (sent, mix(seed).is_multiple_of(2))
    }
}

fn sent(random: u64) -> Sent {
    let part = |at: u32, end: u64| mix(random.rotate_left(at)) % end;
    Sent {
        number: part(0, 200),
        debit: part(7, 4) as usize,
        credit: part(13, 4) as usize,
        amount: part(19, 50) as u32,
        kind: match part(29, 9) {
            0 | 1 => Kind::Pending([0, 0, 1, 2, 4][part(37, 5) as usize]),
            2 | 3 => Kind::Post(part(41, 200)),
            4 => Kind::Void(part(43, 200)),
            _ => Kind::Now,
        },
    }
}

/// A number that looks random (splitmix64).
fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
