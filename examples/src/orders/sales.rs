//! How many of each thing were sold: a projection of the events, rebuilt whenever that is wanted.

use platform_core::backbone::{Handler, Kind, Topics};
use platform_core::kernel::{BoxFuture, Event, Result};
use platform_core::ports::Database;
use platform_core::ports::store::{Collection, Document, KeyWriter, Work};
use serde::{Deserialize, Serialize};

use super::events::OrderShipped;

/// The name under which the projection remembers how far it is.
pub(super) const NAME: &str = "orders.sales";

/// What was sold of a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sales {
    /// The generation of the projection.
    pub generation: u64,
    /// The thing.
    pub item: String,
    /// How many.
    pub count: u64,
}

impl Document for Sales {
    const COLLECTION: Collection = Collection::json("sales");

    fn id(&self) -> Vec<u8> {
        KeyWriter::new().u64(self.generation).text(&self.item).finish()
    }
}

pub(super) struct Projection {
    pub(super) db: Database,
}

impl Handler for Projection {
    fn name(&self) -> &'static str {
        NAME
    }

    fn topics(&self) -> Topics {
        Topics::Of(&["orders"])
    }

    fn kind(&self) -> Kind {
        Kind::Projection
    }

    fn database(&self) -> &Database {
        &self.db
    }

    fn batch_limit(&self) -> usize {
        256
    }

    fn generations(&self) -> &'static [&'static str] {
        &[Sales::COLLECTION.name]
    }

    fn handle<'a>(&'a self, events: &'a [Event], work: &'a mut Work) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for event in events {
                let Some(shipped) = event.decode::<OrderShipped>()? else { continue };
                let fresh = Sales { generation: work.generation(), item: shipped.item, count: 0 };
                let mut sales = work.load::<Sales>(fresh.id()).await?.map_or(fresh, |stored| stored.value);
                sales.count += 1;
                work.put(&sales)?;
            }
            Ok(())
        })
    }
}
