//! Who asks for metrics at the same time gets the same text, and texts are not made one after the other without
//! a pause: anybody may ask.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Between the beginnings of two texts: each costs a millisecond or two.
const PAUSE: Duration = Duration::from_millis(100);

/// The last text.
#[derive(Default)]
pub(super) struct Scrapes {
    begun: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    number: u64,
    begun: Option<Instant>,
    text: Bytes,
}

impl Scrapes {
    /// A text that was begun after this call, by it or by another.
    pub(super) async fn text<F: Future<Output = String>>(&self, make: impl FnOnce() -> F) -> Bytes {
        let before = self.begun.load(SeqCst);
        let mut last = self.last.lock().await;
        if last.number > before {
            return last.text.clone();
        }
        if let Some(begun) = last.begun {
            sleep_until(begun + PAUSE).await;
        }
        let number = self.begun.fetch_add(1, SeqCst) + 1;
        last.begun = Some(Instant::now());
        let text = Bytes::from(make().await);
        (last.number, last.text) = (number, text.clone());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_who_ask_at_once_get_one_text_and_who_asks_later_a_new_one() {
        let (scrapes, made) = (Scrapes::default(), AtomicU64::new(0));
        let ask = || {
            scrapes.text(|| async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                made.fetch_add(1, SeqCst).to_string()
            })
        };
        assert_eq!(ask().await, "0");
        let begin = Instant::now();
        let all = futures_util::future::join_all((0..20).map(|_| ask())).await;
        assert!(begin.elapsed() >= PAUSE - Duration::from_millis(20));
        // The first makes one; the others came before it was begun.
        assert!(all.iter().all(|text| text == "1"), "{all:?}");
        assert_eq!(ask().await, "2");
    }
}
