use std::time::Duration;

use super::*;
use crate::transactions::ledger::frame::Kind;
use crate::transactions::ledger::page::fingerprint_of;

fn two() -> Bench {
    let mut bench = Bench::new();
    bench.open(1, "EUR", None);
    bench.open(2, "EUR", Some(0));
    bench
}

#[test]
fn a_transfer_moves_at_once_and_tells_both_balances() {
    let mut bench = two();
    let frame = bench.frame(transfer(1, 1, 2, 100));
    assert_eq!((frame.debit_after.posted.minor(), frame.credit_after.posted.minor()), (-100, 100));
    assert_eq!((bench.held(1), bench.held(2)), ((-100, 0), (100, 0)));
}

#[test]
fn a_reservation_counts_against_the_floor_until_it_is_posted_in_part() {
    let mut bench = two();
    bench.frame(transfer(1, 1, 2, 100));
    bench.frame(pending(2, 2, 1, 80, 0));
    assert_eq!(bench.held(2), (100, -80));
    assert_eq!(bench.refused(transfer(3, 2, 1, 21)), Rejection::InsufficientFunds);
    bench.frame(post(4, 2, Some(30)));
    assert_eq!((bench.held(1), bench.held(2)), ((-70, 0), (70, 0)));
    bench.frame(transfer(5, 2, 1, 70));
    assert_eq!(bench.held(2), (0, 0));
}

#[test]
fn a_void_releases_and_a_second_end_is_told_what_was_first() {
    let mut bench = two();
    bench.frame(transfer(1, 1, 2, 100));
    bench.frame(pending(2, 2, 1, 80, 0));
    bench.frame(void(3, 2));
    assert_eq!(bench.held(2), (100, 0));
    assert_eq!(bench.refused(post(4, 2, None)), Rejection::AlreadyVoided);
    bench.frame(pending(5, 2, 1, 80, 0));
    bench.frame(post(6, 5, None));
    assert_eq!(bench.refused(void(7, 5)), Rejection::AlreadyPosted);
}

#[test]
fn an_expiry_is_a_frame_of_its_own_before_any_later_frame() {
    let mut bench = two();
    bench.frame(transfer(1, 1, 2, 100));
    bench.frame(pending(2, 2, 1, 100, 60));
    assert_eq!(bench.refused(transfer(3, 2, 1, 1)), Rejection::InsufficientFunds);
    bench.now = bench.now.plus(Duration::from_secs(61));
    bench.frame(transfer(4, 2, 1, 100));
    let kinds: Vec<_> = bench.tail.active().frames().iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds[2..], [Kind::Transfer, Kind::Pending, Kind::Rejected, Kind::Expire, Kind::Transfer]);
    assert_eq!(bench.refused(post(5, 2, None)), Rejection::Expired);
}

#[test]
fn a_linked_batch_is_all_or_none() {
    let mut bench = two();
    let outcomes = bench.send(&[transfer(1, 1, 2, 100), transfer(2, 2, 1, 101), transfer(3, 1, 2, 1)], true);
    assert_eq!(
        outcomes,
        [Rejection::LinkedFailed, Rejection::InsufficientFunds, Rejection::LinkedFailed]
            .map(Outcome::Rejected)
    );
    assert_eq!((bench.held(1), bench.held(2)), ((0, 0), (0, 0)));
    assert_eq!(bench.refused(transfer(2, 1, 2, 5)), Rejection::IdAlreadyFailed);
    let again = [transfer(1, 1, 2, 100), transfer(3, 2, 1, 40)];
    assert!(bench.send(&again, true).iter().all(|outcome| matches!(outcome, Outcome::Created(_))));
    assert!(bench.send(&again, true).iter().all(|outcome| matches!(outcome, Outcome::Exists(_))));
    assert_eq!(bench.held(2), (60, 0));
}

#[test]
fn a_linked_batch_that_repeats_only_in_part_fails() {
    let mut bench = two();
    bench.frame(transfer(1, 1, 2, 100));
    let failed = bench.send(&[transfer(1, 1, 2, 100), transfer(2, 1, 2, 1)], true);
    assert_eq!(failed, [Rejection::Exists, Rejection::LinkedFailed].map(Outcome::Rejected));
    let failed = bench.send(&[transfer(2, 1, 2, 1), transfer(1, 1, 2, 100)], true);
    assert_eq!(failed, [Rejection::LinkedFailed, Rejection::Exists].map(Outcome::Rejected));
    assert_eq!(bench.held(2), (100, 0));
}

#[test]
fn a_failed_linked_batch_opens_what_it_ended_and_ends_what_it_opened() {
    let mut bench = two();
    bench.frame(transfer(1, 1, 2, 100));
    let held = bench.frame(pending(2, 2, 1, 50, 9));
    bench.send(&[post(3, 2, None), pending(4, 2, 1, 10, 5), transfer(5, 1, 2, 0)], true);
    assert_eq!(bench.held(2), (100, -50));
    assert!(bench.state.is_open(id(2)) && !bench.state.is_open(id(4)));
    assert_eq!(bench.state.next_expiry(), Some(held.time.plus(Duration::from_secs(9))));
    bench.frame(post(3, 2, None));
    assert_eq!(bench.held(2), (50, 0));
}

#[test]
fn the_same_again_exists_and_returns_the_original() {
    let mut bench = two();
    let first = bench.frame(transfer(1, 1, 2, 100));
    bench.frame(transfer(2, 1, 2, 1));
    assert!(
        matches!(bench.one(transfer(1, 1, 2, 100)), Outcome::Exists(recorded) if recorded.frame == first)
    );
    let twice = bench.send(&[transfer(3, 1, 2, 7), transfer(3, 1, 2, 7)], false);
    assert!(matches!(twice[..], [Outcome::Created(a), Outcome::Exists(b)] if a == b));
}

#[test]
fn a_key_frame_says_which_frames_its_request_made() {
    let mut bench = two();
    let request = Transfers {
        items: vec![transfer(1, 1, 2, 5), transfer(2, 1, 2, 6)],
        linked: false,
        claim: Some(claim(9, 7)),
    };
    bench.page(|maker, earlier| maker.transfers(&request, earlier));
    let key = bench.tail.key(RawId([9; 16])).unwrap();
    assert_eq!((key.number, key.frame.reference, key.frame.count), (2, 3, 2));
    assert_eq!(fingerprint_of(&key.frame), [7; 32]);
    let request = Transfers {
        items: vec![transfer(3, 1, 2, 5), transfer(4, 2, 1, 600)],
        linked: true,
        claim: Some(claim(8, 7)),
    };
    bench.page(|maker, earlier| maker.transfers(&request, earlier));
    let key = bench.tail.key(RawId([8; 16])).unwrap().frame;
    assert_eq!((key.count, key.amount.minor(), key.rejection), (1, 1, Some(Rejection::InsufficientFunds)));
}

#[test]
fn the_times_of_frames_rise_though_the_clock_goes_back() {
    let mut bench = two();
    bench.frame(transfer(1, 1, 2, 5));
    bench.now = Timestamp::from_secs(1);
    bench.frame(transfer(2, 1, 2, 5));
    bench.send(&[transfer(3, 1, 2, 5), transfer(4, 1, 2, 5)], false);
    assert!(bench.tail.active().frames().windows(2).all(|pair| pair[0].time < pair[1].time));
}
