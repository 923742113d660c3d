//! How long a value is there.

use std::time::Duration;

use super::Place;
use super::kit::*;

const MOMENT: Duration = Duration::from_millis(1);

pub async fn a_value_is_there_until_its_end(place: &dyn Place) {
    let cache = open(place).await;
    cache.keep("key", "value");
    cache.clock.advance(MINUTE - MOMENT);
    assert_eq!(cache.text("key").unwrap(), "value");
}

pub async fn nothing_is_returned_after_its_end(place: &dyn Place) {
    let cache = open(place).await;
    cache.keep("key", "value");
    cache.clock.advance(MINUTE);
    assert_eq!(cache.get("key"), None);
    assert_eq!(cache.load("key", slowly("new")).await.unwrap(), "new");
}

pub async fn a_put_begins_a_new_time(place: &dyn Place) {
    let cache = open(place).await;
    cache.keep("longer", "value");
    cache.keep("shorter", "value");
    cache.clock.advance(MINUTE / 2);
    cache.keep("longer", "value");
    cache.put("shorter", "value".into(), MOMENT);
    cache.clock.advance(MOMENT);
    assert_eq!(cache.get("shorter"), None);
    cache.clock.advance(MINUTE - MOMENT * 2);
    assert_eq!(cache.text("longer").unwrap(), "value");
    cache.clock.advance(MOMENT);
    assert_eq!(cache.get("longer"), None);
}

pub async fn each_value_has_its_own_end(place: &dyn Place) {
    let cache = open(place).await;
    for seconds in 1..=10 {
        cache.put(&seconds.to_string(), "value".into(), Duration::from_secs(seconds));
    }
    for passed in 1..=10 {
        cache.clock.advance(Duration::from_secs(1));
        let there = (1..=10).filter(|seconds: &u32| cache.get(&seconds.to_string()).is_some()).count();
        assert_eq!(there, 10 - passed);
    }
}

pub async fn a_time_of_nothing_is_over_at_once(place: &dyn Place) {
    let cache = open(place).await;
    cache.keep("key", "old");
    cache.put("key", "new".into(), Duration::ZERO);
    assert_eq!(cache.get("key"), None);
}

pub async fn a_time_without_end_works(place: &dyn Place) {
    let cache = open(place).await;
    cache.clock.advance(MINUTE);
    cache.put("key", "value".into(), Duration::MAX);
    let loaded = cache.cached("other", Duration::MAX, slowly("loaded")).await.unwrap();
    assert_eq!(loaded, "loaded");
    cache.clock.advance(Duration::from_secs(1 << 30));
    assert_eq!(cache.text("key").unwrap(), "value");
    assert_eq!(cache.text("other").unwrap(), "loaded");
}

pub async fn the_wall_clock_plays_no_part(place: &dyn Place) {
    let cache = open(place).await;
    cache.keep("key", "value");
    cache.clock.jump_clock(MINUTE * 1_000, false);
    assert_eq!(cache.text("key").unwrap(), "value");
    cache.clock.jump_clock(MINUTE * 2_000, true);
    assert_eq!(cache.text("key").unwrap(), "value");
    cache.clock.advance(MINUTE);
    assert_eq!(cache.get("key"), None);
}
