//! Put, get, remove.

use bytes::Bytes;

use super::Place;
use super::kit::*;

pub async fn a_new_cache_is_empty(place: &dyn Place) {
    assert_eq!(open(place).await.get("key"), None);
}

pub async fn what_was_put_is_returned(place: &dyn Place) {
    let cache = open(place).await;
    cache.keep("key", "value");
    assert_eq!([0; 3].map(|_| cache.text("key").unwrap()), ["value", "value", "value"]);
}

pub async fn a_put_replaces(place: &dyn Place) {
    let cache = open(place).await;
    cache.keep("key", "old");
    cache.keep("key", "new");
    assert_eq!(cache.text("key").unwrap(), "new");
}

pub async fn keys_are_apart(place: &dyn Place) {
    let cache = open(place).await;
    cache.keep("a", "1");
    cache.keep("b", "2");
    cache.remove("a");
    assert_eq!((cache.text("a"), cache.text("b").unwrap()), (None, "2".to_owned()));
    assert_eq!(cache.get("B"), None);
}

pub async fn what_was_removed_is_gone(place: &dyn Place) {
    let cache = open(place).await;
    cache.keep("key", "value");
    cache.remove("key");
    assert_eq!(cache.get("key"), None);
    cache.keep("key", "again");
    assert_eq!(cache.text("key").unwrap(), "again");
}

pub async fn removing_nothing_does_nothing(place: &dyn Place) {
    let cache = open(place).await;
    cache.keep("key", "value");
    cache.remove("other");
    cache.remove("");
    assert_eq!(cache.text("key").unwrap(), "value");
}

pub async fn every_byte_comes_back(place: &dyn Place) {
    let cache = open(place).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    cache.put("bytes", bytes.clone().into(), MINUTE);
    cache.put("empty", Bytes::new(), MINUTE);
    assert_eq!(cache.get("bytes").unwrap(), bytes);
    assert_eq!(cache.get("empty").unwrap(), Bytes::new());
}

pub async fn every_key_is_a_key(place: &dyn Place) {
    let cache = open(place).await;
    let long = "k".repeat(10_000);
    let keys = ["", "\0", "a\0b", "a", "{a}", "*", "ключ", "\r\n", &long];
    for (number, key) in keys.iter().enumerate() {
        cache.keep(key, &number.to_string());
    }
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(cache.text(key).unwrap(), number.to_string(), "{key:?}");
    }
}
