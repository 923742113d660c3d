//! One frame of the ledger: 128 bytes that say what happened and what both accounts hold after it.

use crate::kernel::{AccountId, Amount, Asset, Balance, RawId, Timestamp, TransferId};

use super::rejection::Rejection;

/// Bytes of an encoded frame.
pub const FRAME_BYTES: usize = 128;

/// No account: in frames that move nothing between accounts that exist.
pub const NO_ACCOUNT: u32 = u32::MAX;

/// What a frame records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An amount moved.
    Transfer,
    /// An amount was reserved.
    Pending,
    /// A reserved amount moved, in full or in part; the rest was released.
    Post,
    /// A reserved amount was released on request.
    Void,
    /// A reserved amount was released because its time was over.
    Expire,
    /// A transfer was refused for a reason that depends on the state; its id is burnt.
    Rejected,
    /// An account was opened.
    Account,
    /// A request was made under an idempotency key.
    Key,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Transfer,
        Kind::Pending,
        Kind::Post,
        Kind::Void,
        Kind::Expire,
        Kind::Rejected,
        Kind::Account,
        Kind::Key,
    ];

    /// The number in the encoded frame.
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The kind of an encoded frame.
    pub fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(number.checked_sub(1)?)).copied()
    }

    /// Whether it ends a pending transfer.
    pub const fn resolves(self) -> bool {
        matches!(self, Kind::Post | Kind::Void | Kind::Expire)
    }

    /// Whether it changes what accounts hold.
    pub const fn moves(self) -> bool {
        matches!(self, Kind::Transfer | Kind::Pending) || self.resolves()
    }
}

/// What an account holds: credits minus debits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balances {
    /// What has moved.
    pub posted: Balance,
    /// What is reserved: pending credits minus pending debits.
    pub pending: Balance,
}

/// One frame. Frames are numbered from 0 without gaps, and their times strictly rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Of the transfer; zero for an expiry; of the account for [`Kind::Account`].
    pub id: RawId,
    /// What moved, or was reserved. For [`Kind::Key`]: the index of the item that failed a linked batch.
    pub amount: Amount,
    /// What the debited account holds after this frame.
    pub debit_after: Balances,
    /// What the credited account holds after this frame.
    pub credit_after: Balances,
    /// When.
    pub time: Timestamp,
    /// The number of the pending frame that this one ends; for [`Kind::Key`] the first frame of its request.
    pub reference: u64,
    /// The ordinal of the debited account.
    pub debit: u32,
    /// The ordinal of the credited account.
    pub credit: u32,
    /// Seconds after which a pending transfer expires; 0: never. For [`Kind::Key`]: how many frames.
    pub count: u32,
    /// What it records.
    pub kind: Kind,
    /// It is the last frame of its page.
    pub page_end: bool,
    /// Why it was rejected.
    pub rejection: Option<Rejection>,
}

const FLAG_PAGE_END: u8 = 1;

impl Frame {
    /// A frame that moves nothing: the base of the others.
    pub fn blank(kind: Kind, id: RawId, time: Timestamp) -> Frame {
        Frame {
            id,
            amount: Amount::ZERO,
            debit_after: Balances::default(),
            credit_after: Balances::default(),
            time,
            reference: 0,
            debit: NO_ACCOUNT,
            credit: NO_ACCOUNT,
            count: 0,
            kind,
            page_end: false,
            rejection: None,
        }
    }

    /// The id as a transfer's.
    pub fn transfer_id(&self) -> TransferId {
        TransferId(self.id)
    }

    /// What it does to accounts.
    pub fn accounts(&self) -> FrameAccounts {
        match AccountFrame::from_frame(self) {
            Some(opened) => FrameAccounts::Opened(opened),
            None if self.kind.moves() => FrameAccounts::Moved,
            None => FrameAccounts::None,
        }
    }

    /// Writes the 128 bytes behind `out`. Numbers are little endian.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.amount.minor().to_le_bytes());
        for balance in [
            self.debit_after.posted,
            self.debit_after.pending,
            self.credit_after.posted,
            self.credit_after.pending,
        ] {
            out.extend_from_slice(&balance.minor().to_le_bytes());
        }
        out.extend_from_slice(&self.time.as_micros().to_le_bytes());
        out.extend_from_slice(&self.reference.to_le_bytes());
        out.extend_from_slice(&self.debit.to_le_bytes());
        out.extend_from_slice(&self.credit.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.push(self.kind.number());
        out.push(if self.page_end { FLAG_PAGE_END } else { 0 });
        out.extend_from_slice(&self.rejection.map_or(0, Rejection::number).to_le_bytes());
    }

    /// Reads 128 bytes; `None` when they are no frame.
    pub fn decode(bytes: &[u8; FRAME_BYTES]) -> Option<Frame> {
        let mut rest: &[u8] = bytes;
        let id = RawId(take(&mut rest)?);
        let amount = Amount::from_minor(u128::from_le_bytes(take(&mut rest)?)).ok()?;
        let mut balance = || take(&mut rest).map(|bytes| Balance::from_minor(i128::from_le_bytes(bytes)));
        let debit_after = Balances { posted: balance()?, pending: balance()? };
        let credit_after = Balances { posted: balance()?, pending: balance()? };
        let time = Timestamp::from_micros(u64::from_le_bytes(take(&mut rest)?));
        let reference = u64::from_le_bytes(take(&mut rest)?);
        let debit = u32::from_le_bytes(take(&mut rest)?);
        let credit = u32::from_le_bytes(take(&mut rest)?);
        let count = u32::from_le_bytes(take(&mut rest)?);
        let [kind, flags] = take(&mut rest)?;
        let rejection = match u16::from_le_bytes(take(&mut rest)?) {
            0 => None,
            number => Some(Rejection::from_number(number)?),
        };
        let kind = Kind::from_number(kind)?;
        if flags & !FLAG_PAGE_END != 0 {
            return None;
        }
        let page_end = flags & FLAG_PAGE_END != 0;
        Some(Frame {
            id,
            amount,
            debit_after,
            credit_after,
            time,
            reference,
            debit,
            credit,
            count,
            kind,
            page_end,
            rejection,
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// What a frame does to accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameAccounts {
    /// Nothing.
    None,
    /// It opens one.
    Opened(AccountFrame),
    /// It changes what its two accounts hold.
    Moved,
}

/// What the frame of an opened account says: the same 128 bytes, with other fields in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountFrame {
    /// Its id.
    pub id: AccountId,
    /// Its ordinal: accounts are numbered from 0 in the order in which they were opened.
    pub ordinal: u32,
    /// What it counts.
    pub asset: AssetCode,
    /// The least it may hold, reserved amounts deducted; `None`: no floor.
    pub floor: Option<Balance>,
}

impl AccountFrame {
    /// As a frame: the ordinal as `debit`, the asset's code in the first balance, the floor in the third,
    /// and whether there is one in `count`.
    pub fn to_frame(self, time: Timestamp) -> Frame {
        let mut frame = Frame::blank(Kind::Account, self.id.0, time);
        frame.debit = self.ordinal;
        frame.debit_after.posted = Balance::from_minor(i128::from_le_bytes(self.asset.0));
        frame.credit_after.posted = self.floor.unwrap_or_default();
        frame.count = u32::from(self.floor.is_some());
        frame
    }

    /// From a frame; `None` when it is of another kind.
    pub fn from_frame(frame: &Frame) -> Option<AccountFrame> {
        (frame.kind == Kind::Account).then(|| AccountFrame {
            id: AccountId(frame.id),
            ordinal: frame.debit,
            asset: AssetCode(frame.debit_after.posted.minor().to_le_bytes()),
            floor: (frame.count == 1).then_some(frame.credit_after.posted),
        })
    }
}

/// An asset's code in 16 bytes, filled up with zeros: comparable without following a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssetCode(pub [u8; 16]);

impl AssetCode {
    /// Of a valid asset.
    pub fn of(asset: &Asset) -> AssetCode {
        let mut code = [0; 16];
        for (to, from) in code.iter_mut().zip(asset.code.bytes()) {
            *to = from;
        }
        AssetCode(code)
    }

    /// The text.
    pub fn text(&self) -> String {
        self.0.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame() -> Frame {
        Frame {
            id: RawId([0x11; 16]),
            amount: Amount::from_minor(0x2222).unwrap(),
            debit_after: Balances { posted: Balance::from_minor(-1), pending: Balance::from_minor(3) },
            credit_after: Balances { posted: Balance::from_minor(4), pending: Balance::from_minor(-5) },
            time: Timestamp::from_micros(0x0102_0304),
            reference: 6,
            debit: 7,
            credit: 8,
            count: 9,
            kind: Kind::Post,
            page_end: true,
            rejection: None,
        }
    }

    #[test]
    fn the_bytes_of_a_frame_are_what_they_were() {
        let mut bytes = Vec::new();
        frame().encode(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "1111111111111111111111111111111122220000000000000000000000000000\
             ffffffffffffffffffffffffffffffff03000000000000000000000000000000\
             04000000000000000000000000000000fbffffffffffffffffffffffffffffff\
             0403020100000000060000000000000007000000080000000900000003010000"
        );
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut bytes = Vec::new();
        frame().encode(&mut bytes);
        let good: [u8; FRAME_BYTES] = bytes.try_into().unwrap();
        for (at, value) in [(124, 0), (124, 9), (125, 2), (126, 0xff), (31, 0xff)] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(Frame::decode(&bad), None, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn frames_round_trip(
            id in any::<[u8; 16]>(),
            amount in 0..=Amount::MAX.minor(),
            balances in any::<[i128; 4]>(),
            time in any::<u64>(),
            numbers in any::<(u64, u32, u32, u32)>(),
            kind in 1u8..=8,
            page_end in any::<bool>(),
        ) {
            let [a, b, c, d] = balances.map(Balance::from_minor);
            let frame = Frame {
                id: RawId(id),
                amount: Amount::from_minor(amount).unwrap(),
                debit_after: Balances { posted: a, pending: b },
                credit_after: Balances { posted: c, pending: d },
                time: Timestamp::from_micros(time),
                reference: numbers.0,
                debit: numbers.1,
                credit: numbers.2,
                count: numbers.3,
                kind: Kind::from_number(kind).unwrap(),
                page_end,
                rejection: Some(Rejection::InsufficientFunds),
            };
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            prop_assert_eq!(Frame::decode(&bytes.try_into().unwrap()), Some(frame));
        }

        #[test]
        fn accounts_round_trip_through_their_frame(id in any::<[u8; 16]>(), ordinal in any::<u32>(), code in "[A-Z0-9_]{1,16}", floor in any::<Option<i128>>()) {
            let account = AccountFrame {
                id: AccountId(RawId(id)),
                ordinal,
                asset: AssetCode::of(&Asset::new(&code, 2).unwrap()),
                floor: floor.map(Balance::from_minor),
            };
            prop_assert_eq!(account.asset.text(), code);
            prop_assert_eq!(AccountFrame::from_frame(&account.to_frame(Timestamp::EPOCH)), Some(account));
        }
    }
}
