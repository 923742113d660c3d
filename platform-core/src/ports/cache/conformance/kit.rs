//! What the cases share.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::Place;
use crate::kernel::{BoxFuture, Error, Result};
use crate::ports::cache::Cache;
use crate::ports::runtime::SimRuntime;

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// A cache and its clock.
pub(super) struct Opened {
    pub(super) cache: Arc<dyn Cache>,
    pub(super) clock: SimRuntime,
}

impl Deref for Opened {
    type Target = dyn Cache;

    fn deref(&self) -> &Self::Target {
        &*self.cache
    }
}

pub(super) async fn open(place: &dyn Place) -> Opened {
    open_with(place, 1 << 20).await
}

pub(super) async fn open_with(place: &dyn Place, capacity_bytes: usize) -> Opened {
    let clock = SimRuntime::new(1);
    Opened { cache: place.cache(clock.runtime(), capacity_bytes).await.unwrap(), clock }
}

impl Opened {
    /// Keeps a text for a minute.
    pub(super) fn keep(&self, key: &str, value: &str) {
        self.put(key, Bytes::copy_from_slice(value.as_bytes()), MINUTE);
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(|value| text(&value))
    }

    /// Asks for a key, with a load.
    pub(super) async fn load(
        &self,
        key: &str,
        load: impl Future<Output = Result<Bytes>> + Send,
    ) -> Result<String> {
        self.cached(key, MINUTE, Box::pin(load)).await.map(|value| text(&value))
    }
}

fn text(value: &Bytes) -> String {
    String::from_utf8(value.to_vec()).unwrap()
}

/// A load that takes some turns.
pub(super) fn slowly(value: impl Into<Bytes>) -> BoxFuture<'static, Result<Bytes>> {
    let value = value.into();
    Box::pin(async move {
        turns(3).await;
        Ok(value)
    })
}

/// A load that must not run.
pub(super) async fn never() -> Result<Bytes> {
    panic!("loaded without need")
}

pub(super) fn failure() -> Error {
    Error::unavailable("suite.unavailable", "there is nothing to load from")
}

/// Lets others go on so many times.
pub(super) async fn turns(mut count: u32) {
    poll_fn(|context| {
        if count == 0 {
            return Poll::Ready(());
        }
        count -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
