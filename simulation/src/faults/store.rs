//! Stores that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use platform_core::kernel::{BoxFuture, Error, EventPosition, Position, Result};
use platform_core::ports::store::{
    Batch, Commit, CommitError, Doc, DocKey, IndexRange, OutboxEvents, ScanPage, Schema, Store, Stores,
};
use tokio::sync::watch;

use crate::disk::{Disk, WatchedStore};
use crate::stage::Stage;

/// The stores without faults: for whoever looks at the truth.
pub struct CleanStores(pub Arc<Disk>);

impl Stores for CleanStores {
    fn open<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async { Ok(self.0.store(schema).await? as Arc<dyn Store>) })
    }
}

/// The stores as a node has them.
pub struct FaultyStores {
    stage: Arc<Stage>,
    disk: Arc<Disk>,
    poisoned: Arc<AtomicBool>,
}

impl FaultyStores {
    /// Over a disk.
    pub fn new(stage: &Arc<Stage>, disk: &Arc<Disk>) -> FaultyStores {
        FaultyStores { stage: Arc::clone(stage), disk: Arc::clone(disk), poisoned: Arc::default() }
    }

    /// Whether a store acknowledges nothing any more.
    pub fn poisoned(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.poisoned)
    }
}

impl Stores for FaultyStores {
    fn open<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async {
            self.stage.wander(self.stage.settings.store.slow).await;
            Ok(Arc::new(FaultyStore {
                inner: self.disk.store(schema).await?,
                stage: Arc::clone(&self.stage),
                disk: Arc::clone(&self.disk),
                poisoned: Arc::clone(&self.poisoned),
            }) as Arc<dyn Store>)
        })
    }
}

struct FaultyStore {
    inner: Arc<WatchedStore>,
    stage: Arc<Stage>,
    disk: Arc<Disk>,
    poisoned: Arc<AtomicBool>,
}

impl FaultyStore {
    /// Before and after whatever is read: time passes, or it fails.
    async fn reading(&self) -> Result<()> {
        self.stage.wander(self.stage.settings.store.slow / 4).await;
        match self.stage.strikes(self.stage.settings.store.read) {
            true => Err(away()),
            false => Ok(()),
        }
    }

    async fn write(&self, batch: Batch) -> Result<Commit, CommitError> {
        let (stage, rates) = (&self.stage, &self.stage.settings.store);
        stage.wander(rates.slow).await;
        self.disk.maybe_apply_late().await;
        if stage.strikes_rarely(rates.poisoned) {
            stage.note(format_args!("fault {} poisoned", self.name()));
            self.poisoned.store(true, Ordering::Relaxed);
        }
        if self.poisoned.load(Ordering::Relaxed) {
            return Err(CommitError::Poisoned);
        }
        if let Some((key, _)) = batch.expects.first()
            && stage.strikes(rates.conflict)
        {
            return Err(CommitError::Conflict { key: key.clone() });
        }
        if stage.strikes(rates.refused) {
            return Err(self.unavailable("refused", false));
        }
        if stage.strikes(rates.lost) {
            return Err(self.unavailable("lost", true));
        }
        if stage.strikes(rates.late) && !takes_away(&batch) {
            self.disk.later(&self.inner, batch);
            return Err(self.unavailable("late", true));
        }
        let commit = self.inner.commit(batch).await?;
        stage.wander(rates.slow).await;
        if stage.strikes(rates.silent) {
            return Err(self.unavailable("silent", true));
        }
        Ok(commit)
    }

    fn unavailable(&self, kind: &str, maybe_applied: bool) -> CommitError {
        self.stage.note(format_args!("fault {} {kind}", self.name()));
        CommitError::Unavailable { maybe_applied, cause: away() }
    }
}

/// Whether a batch takes a right away. When that comes late, nobody is there any more who would tell the
/// nodes: until there are leases, such a batch happens now or never.
fn takes_away(batch: &Batch) -> bool {
    const TYPES: [&str; 7] = [
        "auth.password_changed",
        "auth.session_revoked",
        "users.profile_erased",
        "users.role_changed",
        "users.role_defined",
        "users.role_deleted",
        "users.status_changed",
    ];
    batch.events.iter().any(|event| TYPES.contains(&event.event_type.as_str()))
}

fn away() -> Error {
    Error::unavailable("store.unavailable", "as the simulation wants")
}

impl Store for FaultyStore {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn get<'a>(&'a self, keys: &'a [DocKey]) -> BoxFuture<'a, Result<Vec<Option<Doc>>>> {
        Box::pin(async {
            self.reading().await?;
            let docs = self.inner.get(keys).await;
            self.reading().await?;
            docs
        })
    }

    fn scan<'a>(&'a self, range: &'a IndexRange) -> BoxFuture<'a, Result<ScanPage>> {
        Box::pin(async {
            self.reading().await?;
            let page = self.inner.scan(range).await;
            self.reading().await?;
            page
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Commit, CommitError>> {
        Box::pin(self.write(batch))
    }

    fn outbox(&self, after: EventPosition, limit: usize) -> BoxFuture<'_, Result<OutboxEvents>> {
        Box::pin(async move {
            self.reading().await?;
            self.inner.outbox(after, limit).await
        })
    }

    fn trim_outbox(&self, upto: EventPosition) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.reading().await?;
            self.inner.trim_outbox(upto).await?;
            self.reading().await
        })
    }

    fn committed(&self) -> watch::Receiver<Position> {
        self.inner.committed()
    }
}
