//! Why a transfer is refused: a closed list, in the order in which the reasons are looked for.

use crate::kernel::{Error, ErrorKind};

macro_rules! rejections {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $kind:ident, $code:literal, $message:literal;)*) => {
        /// Why a transfer is refused.
        ///
        /// The order of the declaration is the precedence: when several reasons apply, the first is told.
        /// The numbers are written to frames and never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rejection {
            $($(#[$doc])* $name,)*
        }

        impl Rejection {
            /// Every reason, in the order of precedence.
            pub const ALL: &'static [Rejection] = &[$(Rejection::$name),*];

            /// The number in a frame; never 0.
            pub const fn number(self) -> u16 {
                match self { $(Rejection::$name => $number,)* }
            }

            /// The reason of a number.
            pub const fn from_number(number: u16) -> Option<Rejection> {
                match number { $($number => Some(Rejection::$name),)* _ => None }
            }

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Rejection::$name => concat!("ledger.", $code),)* }
            }

            /// The sentence for people.
            pub const fn message(self) -> &'static str {
                match self { $(Rejection::$name => $message,)* }
            }

            /// The kind of error it is.
            pub const fn kind(self) -> ErrorKind {
                match self { $(Rejection::$name => ErrorKind::$kind,)* }
            }
        }
    };
}

rejections! {
    /// Another transfer of the same linked batch was refused.
    LinkedFailed = 1, Conflict, "linked_failed", "another transfer of the linked batch was refused";
    /// The id is all zeros or all ones.
    InvalidId = 2, InvalidInput, "invalid_id", "an id is not all zeros and not all ones";
    /// The id was used, for something of another kind.
    ExistsWithDifferentKind = 3, Conflict, "exists_with_different_kind", "the id was used for something of another kind";
    /// The id was used, to end another pending transfer.
    ExistsWithDifferentPending = 4, Conflict, "exists_with_different_pending", "the id was used for another pending transfer";
    /// The id was used, with another time of expiry.
    ExistsWithDifferentExpiry = 5, Conflict, "exists_with_different_expiry", "the id was used with another expiry";
    /// The id was used, with another account to debit.
    ExistsWithDifferentDebitAccount = 6, Conflict, "exists_with_different_debit_account", "the id was used with another account to debit";
    /// The id was used, with another account to credit.
    ExistsWithDifferentCreditAccount = 7, Conflict, "exists_with_different_credit_account", "the id was used with another account to credit";
    /// The id was used, with another asset.
    ExistsWithDifferentAsset = 8, Conflict, "exists_with_different_asset", "the id was used with another asset";
    /// The id was used, with another amount.
    ExistsWithDifferentAmount = 9, Conflict, "exists_with_different_amount", "the id was used with another amount";
    /// The id was used in a linked batch that is not wholly repeated.
    Exists = 10, Conflict, "exists", "the transfer exists, and the rest of the linked batch does not";
    /// The id belongs to a transfer that was refused; make a new one.
    IdAlreadyFailed = 11, Conflict, "id_already_failed", "the transfer with this id was refused; try again with a new id";
    /// Debit and credit account are the same.
    SameAccounts = 12, InvalidInput, "same_accounts", "the debit and the credit account are the same";
    /// Nothing would move.
    ZeroAmount = 13, InvalidInput, "zero_amount", "the amount is zero";
    /// There is no account to debit.
    DebitAccountNotFound = 14, NotFound, "debit_account_not_found", "there is no such account to debit";
    /// There is no account to credit.
    CreditAccountNotFound = 15, NotFound, "credit_account_not_found", "there is no such account to credit";
    /// The accounts count different assets.
    DifferentAssets = 16, Conflict, "different_assets", "the two accounts count different assets";
    /// The accounts count another asset than the transfer.
    AssetMismatch = 17, Conflict, "asset_mismatch", "the accounts count another asset than the transfer";
    /// There is no such pending transfer.
    PendingNotFound = 18, NotFound, "pending_not_found", "there is no such pending transfer";
    /// The transfer was never pending.
    NotPending = 19, Conflict, "not_pending", "the transfer is not pending";
    /// More than was reserved.
    ExceedsPendingAmount = 20, Conflict, "exceeds_pending_amount", "more than the pending amount cannot be posted";
    /// The pending transfer was posted.
    AlreadyPosted = 21, Conflict, "already_posted", "the pending transfer was posted";
    /// The pending transfer was voided.
    AlreadyVoided = 22, Conflict, "already_voided", "the pending transfer was voided";
    /// The pending transfer expired.
    Expired = 23, Conflict, "expired", "the pending transfer has expired";
    /// A balance would leave the range of numbers.
    Overflow = 24, Conflict, "overflow", "a balance would be too large";
    /// The debit account would fall below its minimum.
    InsufficientFunds = 25, Conflict, "insufficient_funds", "the debit account would fall below its minimum balance";
}

impl Rejection {
    /// Whether it depends on the state: then it is recorded, and the id is burnt, so that a late
    /// repetition of the request cannot succeed after its sender was told that it failed.
    pub const fn is_recorded(self) -> bool {
        self.number() >= Rejection::DebitAccountNotFound.number()
    }

    /// Whether it says that the id was used before.
    pub const fn is_exists(self) -> bool {
        let number = self.number();
        number >= Rejection::ExistsWithDifferentKind.number() && number <= Rejection::IdAlreadyFailed.number()
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Error {
        Error::new(rejection.kind(), rejection.code(), rejection.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_with_precedence_and_lead_back() {
        for (index, rejection) in Rejection::ALL.iter().enumerate() {
            assert_eq!(usize::from(rejection.number()), index + 1);
            assert_eq!(Rejection::from_number(rejection.number()), Some(*rejection));
            assert_eq!(Error::from(*rejection).code(), rejection.code());
        }
        assert_eq!(Rejection::from_number(0), None);
    }

    #[test]
    fn what_depends_on_the_state_is_recorded_and_what_does_not_is_not() {
        assert!(!Rejection::ZeroAmount.is_recorded());
        assert!(!Rejection::IdAlreadyFailed.is_recorded());
        assert!(Rejection::DebitAccountNotFound.is_recorded());
        assert!(Rejection::InsufficientFunds.is_recorded());
    }
}
