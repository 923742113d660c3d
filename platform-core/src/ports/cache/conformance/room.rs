//! How much is kept.

use bytes::Bytes;

use super::Place;
use super::kit::*;

const CAPACITY: usize = 10_000;

fn zeros(count: usize) -> Bytes {
    vec![0; count].into()
}

/// The bytes of keys and values that are there.
fn bytes_there(cache: &Opened, keys: &[String]) -> usize {
    keys.iter().filter_map(|key| Some(key.len() + cache.get(key)?.len())).sum()
}

pub async fn the_bytes_stay_within_the_capacity(place: &dyn Place) {
    let cache = open_with(place, CAPACITY).await;
    let keys: Vec<String> = (1000..1500).map(|number| number.to_string()).collect();
    for (number, key) in keys.iter().enumerate() {
        cache.put(key, zeros(number * 7 % 900), MINUTE);
        assert!(cache.get(key).is_some(), "there is room for the last one");
        let there = bytes_there(&cache, &keys);
        assert!(there <= CAPACITY, "{there}");
    }
    assert!(bytes_there(&cache, &keys) > CAPACITY / 2, "no more than needed makes room");
}

pub async fn the_bytes_of_keys_count(place: &dyn Place) {
    let cache = open_with(place, CAPACITY).await;
    let keys: Vec<String> = (0..100).map(|number| format!("{number:0>1000}")).collect();
    for key in &keys {
        cache.put(key, Bytes::new(), MINUTE);
    }
    assert!(bytes_there(&cache, &keys) <= CAPACITY);
    cache.put(&"k".repeat(CAPACITY + 1), Bytes::new(), MINUTE);
    assert_eq!(cache.get(&"k".repeat(CAPACITY + 1)), None);
}

pub async fn a_value_that_just_fits_is_kept(place: &dyn Place) {
    let cache = open_with(place, CAPACITY).await;
    cache.keep("small", "value");
    cache.put("key", zeros(CAPACITY - 3), MINUTE);
    assert_eq!(cache.get("key").unwrap().len(), CAPACITY - 3);
    assert_eq!(cache.get("small"), None);
}

pub async fn a_value_above_the_capacity_is_not_kept(place: &dyn Place) {
    let cache = open_with(place, CAPACITY).await;
    cache.keep("key", "old");
    cache.keep("small", "value");
    cache.put("key", zeros(CAPACITY - 2), MINUTE);
    assert_eq!(cache.get("key"), None, "neither the new value nor the old one");
    assert_eq!(cache.text("small").unwrap(), "value", "nothing made room in vain");
}

pub async fn what_is_replaced_gives_its_room_back(place: &dyn Place) {
    let cache = open_with(place, CAPACITY).await;
    cache.keep("other", "value");
    for _ in 0..1_000 {
        cache.put("key", zeros(CAPACITY / 2), MINUTE);
    }
    assert_eq!(cache.text("other").unwrap(), "value");
}

pub async fn what_is_removed_gives_its_room_back(place: &dyn Place) {
    let cache = open_with(place, CAPACITY).await;
    cache.keep("other", "value");
    for number in 0..1_000 {
        let key = number.to_string();
        cache.put(&key, zeros(CAPACITY / 2), MINUTE);
        cache.remove(&key);
    }
    assert_eq!(cache.text("other").unwrap(), "value");
}

pub async fn a_cache_without_room_works(place: &dyn Place) {
    let cache = open_with(place, 0).await;
    cache.keep("key", "value");
    assert_eq!(cache.get("key"), None);
    for round in ["1", "2"] {
        assert_eq!(cache.load("key", slowly(round)).await.unwrap(), round);
    }
}
