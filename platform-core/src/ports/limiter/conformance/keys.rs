//! Keys, and how many are remembered.

use super::Place;
use super::kit::*;

/// Above what a limiter may remember of keys that are whole again.
const MANY: usize = 20_000;
const FEW: usize = 4_096;

pub async fn keys_do_not_know_each_other(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    assert_eq!(limited.allowed(10, 0), 3);
    for other in ["other", "ke", "key ", "Key", "keykey"] {
        assert_eq!(limited.key(other, 1, 0).remaining, 2, "{other}");
    }
    assert!(!limited.at(0).allowed);
}

pub async fn every_key_is_a_key(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    let long = "k".repeat(10_000);
    for key in ["", "\0", "a\0b", "a", "{a}", "*", "ключ", "\r\n", &long] {
        assert_eq!([0; 4].map(|at| limited.key(key, 1, at).allowed), [true, true, true, false], "{key:?}");
    }
}

pub async fn keys_that_are_whole_again_are_forgotten(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    for number in 0..MANY {
        assert!(limited.key(&number.to_string(), 1, number as u64).allowed);
    }
    assert!(limited.limiter.remembered() < FEW, "{}", limited.limiter.remembered());
}

pub async fn keys_in_use_are_remembered(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    for number in 0..MANY {
        assert!(limited.key(&number.to_string(), 3, 0).allowed);
    }
    assert!((0..MANY).all(|number| !limited.key(&number.to_string(), 1, 0).allowed));
}

pub async fn refused_strangers_are_not_remembered_for_ever(place: &dyn Place) {
    let limited = limited(place, QUOTA).await;
    for number in 0..MANY {
        assert!(!limited.key(&number.to_string(), 4, 0).allowed);
        assert!(limited.key(&number.to_string(), 0, 0).allowed);
    }
    assert!(limited.limiter.remembered() < FEW, "{}", limited.limiter.remembered());
}
