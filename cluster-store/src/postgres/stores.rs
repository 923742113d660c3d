//! Opening stores, and hearing of the commits of other nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use deadpool_postgres::Pool;
use parking_lot::Mutex;
use platform_core::kernel::{BoxFuture, Error, Position, Result};
use platform_core::ports::store::{Schema, Store, StoreTimings, Stores};
use tokio::sync::watch;

use super::config::PostgresConfig;
use super::connection::{Connector, in_time};
use super::error::{column, no_connection, position, unavailable};
use super::layout::Layout;
use super::migrate::open;
use super::reader::Reader;
use super::store::PostgresStore;
use super::writer::GroupWriter;

/// How long a look at the positions may take.
const LOOKING: Duration = Duration::from_secs(5);

/// The stores of a platform on PostgreSQL: a schema per domain in one database, or a database of its own for a domain.
///
/// Any number of nodes may have them open.
pub struct PostgresStores {
    database: Arc<Database>,
    others: BTreeMap<String, Arc<Database>>,
    held: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl PostgresStores {
    /// All stores in one database. Nothing is connected to before a store is opened.
    ///
    /// # Errors
    /// `store.invalid_url`, `store.invalid_ca`.
    pub fn new(config: PostgresConfig) -> Result<PostgresStores> {
        let database = Arc::new(Database::new(config)?);
        Ok(PostgresStores { database, others: BTreeMap::new(), held: Arc::default() })
    }

    /// The store of this name in another database.
    ///
    /// # Errors
    /// As [`PostgresStores::new`].
    pub fn on(mut self, store: impl Into<String>, config: PostgresConfig) -> Result<PostgresStores> {
        self.others.insert(store.into(), Arc::new(Database::new(config)?));
        Ok(self)
    }

    async fn opened(&self, schema: &Schema) -> Result<Arc<dyn Store>> {
        schema.check()?;
        let held = Held::take(&self.held, schema.store)?;
        let database = self.others.get(schema.store).unwrap_or(&self.database);
        let layout = Arc::new(Layout::new(&database.config.schema_prefix, schema));
        let client = database.connector.connect().await?;
        let opened = open(&client, &layout).await?;
        let committed = Arc::new(watch::Sender::new(opened.position));
        let timings = Arc::new(StoreTimings::new("postgresql"));
        database.look_at(&layout, &committed);
        Ok(Arc::new(PostgresStore {
            name: schema.store,
            reader: Reader { pool: database.pool.clone(), layout: Arc::clone(&layout) },
            writer: GroupWriter::start(
                database.connector.clone(),
                layout,
                opened.layout,
                Arc::clone(&committed),
                Arc::clone(&timings),
            ),
            committed,
            timings,
            _held: held,
        }))
    }
}

impl Stores for PostgresStores {
    fn open<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async { self.opened(schema).await.map_err(|error| error.with("store", schema.store)) })
    }
}

/// That a store is open once in a process: two writers of one process would only wait for each other.
pub(super) struct Held {
    all: Arc<Mutex<BTreeSet<&'static str>>>,
    store: &'static str,
}

impl Held {
    fn take(all: &Arc<Mutex<BTreeSet<&'static str>>>, store: &'static str) -> Result<Held> {
        if !all.lock().insert(store) {
            return Err(Error::unavailable("store.locked", "the store is open already"));
        }
        Ok(Held { all: Arc::clone(all), store })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.lock().remove(self.store);
    }
}

/// The head of a store, and who waits for its position.
struct Watched {
    head: String,
    committed: Weak<watch::Sender<Position>>,
}

/// A database, and the positions of the stores that this process has open in it.
struct Database {
    config: PostgresConfig,
    connector: Connector,
    pool: Pool,
    watched: Arc<Mutex<Vec<Watched>>>,
}

impl Database {
    fn new(config: PostgresConfig) -> Result<Database> {
        let connector = Connector::new(&config)?;
        let pool = connector.pool(config.connections)?;
        Ok(Database { config, connector, pool, watched: Arc::default() })
    }

    /// Tells of the commits of other nodes from now on, as long as somebody listens.
    fn look_at(&self, layout: &Layout, committed: &Arc<watch::Sender<Position>>) {
        let mut watched = self.watched.lock();
        watched.push(Watched { head: layout.own("_head"), committed: Arc::downgrade(committed) });
        if watched.len() > 1 {
            return;
        }
        tokio::spawn(look(Arc::clone(&self.watched), self.pool.clone(), self.config.look));
    }
}

/// Tells a position, unless a later one is known.
pub(super) fn tell(committed: &watch::Sender<Position>, position: Position) {
    committed.send_if_modified(|known| {
        let is_later = *known < position;
        *known = (*known).max(position);
        is_later
    });
}

/// Looks at the positions of all stores in one statement, again and again, until nobody listens.
async fn look(watched: Arc<Mutex<Vec<Watched>>>, pool: Pool, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let (text, listening) = {
            let mut watched = watched.lock();
            watched.retain(|store| store.committed.strong_count() > 0);
            if watched.is_empty() {
                return;
            }
            let parts: Vec<String> = watched
                .iter()
                .enumerate()
                .map(|(at, store)| format!("select {at}::int4, position from {}", store.head))
                .collect();
            let listening: Vec<_> = watched.iter().map(|store| store.committed.clone()).collect();
            (parts.join(" union all "), listening)
        };
        if let Err(error) = in_time(LOOKING, positions(&pool, &text, &listening)).await {
            tracing::debug!(%error, "the positions of other nodes are not known now");
        }
    }
}

async fn positions(pool: &Pool, text: &str, listening: &[Weak<watch::Sender<Position>>]) -> Result<()> {
    let client = pool.get().await.map_err(no_connection)?;
    let statement = client.prepare_cached(text).await.map_err(unavailable)?;
    for row in client.query(&statement, &[]).await.map_err(unavailable)? {
        let at: i32 = column(&row, 0)?;
        let position = position(&row, 1)?;
        let listening = usize::try_from(at).ok().and_then(|at| listening.get(at)).and_then(Weak::upgrade);
        if let Some(committed) = listening {
            tell(&committed, position);
        }
    }
    Ok(())
}
