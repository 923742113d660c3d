//! When several reasons apply, the first of the list is told.

use super::*;

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.open(1, "EUR", None);
    bench.open(2, "EUR", Some(0));
    bench.open(3, "USD", None);
    bench.frame(transfer(1, 1, 2, 100));
    bench.frame(pending(2, 2, 1, 10, 0));
    bench.frame(pending(3, 2, 1, 10, 0));
    bench.frame(pending(4, 2, 1, 10, 0));
    bench.frame(post(5, 2, Some(4)));
    bench.frame(void(6, 3));
    assert_eq!(bench.refused(transfer(7, 2, 1, 1_000)), Rejection::InsufficientFunds);
    bench
}

fn counted(mut new: NewTransfer, asset_code: &str) -> NewTransfer {
    if let Action::Transfer { asset, .. } | Action::Pending { asset, .. } = &mut new.action {
        *asset = Some(code(asset_code));
    }
    new
}

fn max(number: u64, debit: u8, credit: u8) -> NewTransfer {
    transfer(number, debit, credit, Amount::MAX.minor())
}

#[test]
fn reasons_are_told_in_their_order() {
    use Rejection as R;
    let zero = |mut new: NewTransfer, byte: u8| {
        new.id = TransferId(RawId([byte; 16]));
        new
    };
    let table = [
        (zero(transfer(0, 1, 1, 0), 0), R::InvalidId),
        (zero(transfer(0, 1, 1, 0), 0xff), R::InvalidId),
        // The id was used: compared field by field, before anything else is looked at.
        (pending(1, 2, 2, 0, 5), R::ExistsWithDifferentKind),
        (post(1, 9, Some(0)), R::ExistsWithDifferentKind),
        (void(5, 2), R::ExistsWithDifferentKind),
        (post(5, 3, Some(5)), R::ExistsWithDifferentPending),
        (post(5, 99, Some(5)), R::ExistsWithDifferentPending),
        (post(5, 2, None), R::ExistsWithDifferentAmount),
        (post(5, 2, Some(5)), R::ExistsWithDifferentAmount),
        (void(6, 2), R::ExistsWithDifferentPending),
        (pending(2, 1, 1, 0, 5), R::ExistsWithDifferentExpiry),
        (pending(2, 1, 1, 0, 0), R::ExistsWithDifferentDebitAccount),
        (pending(2, 2, 2, 0, 0), R::ExistsWithDifferentCreditAccount),
        (transfer(1, 9, 9, 0), R::ExistsWithDifferentDebitAccount),
        (transfer(1, 1, 9, 0), R::ExistsWithDifferentCreditAccount),
        (counted(transfer(1, 1, 2, 0), "USD"), R::ExistsWithDifferentAsset),
        (transfer(1, 1, 2, 0), R::ExistsWithDifferentAmount),
        (transfer(7, 2, 1, 1_000), R::IdAlreadyFailed),
        (void(7, 9), R::IdAlreadyFailed),
        // Wrong in itself.
        (transfer(20, 9, 9, 0), R::SameAccounts),
        (pending(20, 1, 1, 0, 0), R::SameAccounts),
        (transfer(20, 8, 9, 0), R::ZeroAmount),
        (post(20, 99, Some(0)), R::ZeroAmount),
        // Wrong for the present state.
        (transfer(21, 8, 9, 1), R::DebitAccountNotFound),
        (counted(transfer(22, 1, 9, 1), "USD"), R::CreditAccountNotFound),
        (counted(transfer(23, 2, 3, 1_000), "GBP"), R::DifferentAssets),
        (counted(transfer(24, 2, 1, 1_000), "USD"), R::AssetMismatch),
        (post(25, 99, Some(1_000)), R::PendingNotFound),
        (post(26, 7, Some(1_000)), R::PendingNotFound),
        (post(27, 1, Some(1_000)), R::NotPending),
        (void(28, 5), R::NotPending),
        (post(29, 4, Some(11)), R::ExceedsPendingAmount),
        (post(30, 2, Some(11)), R::ExceedsPendingAmount),
        (post(31, 2, Some(1)), R::AlreadyPosted),
        (void(32, 3), R::AlreadyVoided),
        (max(33, 2, 1), R::InsufficientFunds),
        (max(34, 1, 2), R::Overflow),
    ];
    let mut bench = bench();
    for (new, expected) in table {
        assert_eq!(bench.refused(new), expected, "{new:?}");
        if expected.is_recorded() {
            assert_eq!(bench.refused(new), R::IdAlreadyFailed, "{new:?}");
        }
    }
}

#[test]
fn what_was_refused_in_itself_does_not_burn_its_id() {
    let mut bench = bench();
    assert_eq!(bench.refused(transfer(50, 1, 2, 0)), Rejection::ZeroAmount);
    bench.frame(transfer(50, 1, 2, 1));
}

#[test]
fn the_same_fields_exist() {
    let mut bench = bench();
    for same in [transfer(1, 1, 2, 100), pending(2, 2, 1, 10, 0), post(5, 2, Some(4)), void(6, 3)] {
        assert!(matches!(bench.one(same), Outcome::Exists(_)), "{same:?}");
    }
    assert!(matches!(bench.one(counted(transfer(1, 1, 2, 100), "EUR")), Outcome::Exists(_)));
}
