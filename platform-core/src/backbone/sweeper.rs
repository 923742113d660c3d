//! Removes idempotency records that answer no more, and what the log need not keep.

use std::ops::Bound;
use std::time::Duration;

use super::Shutdown;
use crate::kernel::Result;
use crate::ports::store::{Batch, CommitError, DocKey, Expect, IDEMPOTENCY, IndexRange, KeyWriter, Write};
use crate::ports::{Backends, Database};

/// How often.
const EVERY: Duration = Duration::from_secs(60);
/// Records that are removed with one commit.
const AT_ONCE: usize = 256;

pub(super) async fn run(backends: Backends, databases: Vec<Database>, shutdown: Shutdown) {
    while !shutdown.is_asked() {
        shutdown.sleep(&*backends.runtime, EVERY).await;
        for database in &databases {
            while !shutdown.is_asked() {
                match sweep(database).await {
                    Ok(AT_ONCE) => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(store = database.store.name(), %error, "the sweep failed; it is tried again");
                        break;
                    }
                }
            }
        }
        if !shutdown.is_asked()
            && let Err(error) = backends.log.retain().await
        {
            tracing::warn!(%error, "retention of the log failed; it is tried again");
        }
    }
}

/// Removes up to [`AT_ONCE`] expired records; returns how many were found.
pub(super) async fn sweep(database: &Database) -> Result<usize> {
    let now = KeyWriter::new().time(database.runtime.now()).finish();
    let range = IndexRange::index(IDEMPOTENCY.name, "by_expiry")
        .between(Bound::Unbounded, Bound::Included(now))
        .limit(AT_ONCE);
    let docs = database.store.scan(&range).await?.docs;
    let found = docs.len();
    if found == 0 {
        return Ok(0);
    }
    let keys =
        docs.into_iter().map(|doc| (DocKey::new(IDEMPOTENCY.name, doc.id), Expect::Version(doc.version)));
    let expects: Vec<_> = keys.collect();
    let writes = expects.iter().map(|(key, _)| Write::Delete { key: key.clone() }).collect();
    match database.store.commit(Batch { expects, writes, ..Batch::default() }).await {
        // A record was used again meanwhile: the next sweep sees it as it is then.
        Ok(_) | Err(CommitError::Conflict { .. }) => Ok(found),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Context, limits};
    use crate::ports::MemoryBackends;
    use crate::ports::runtime::SimRuntime;
    use crate::ports::store::{Schema, command};

    #[test]
    fn answers_are_forgotten_after_their_time_and_not_before() {
        let world = SimRuntime::new(1);
        let memory = MemoryBackends::new(world.runtime());
        world.block_on(async {
            let backends = memory.backends().await.unwrap();
            let database = Database::open(&backends, &Schema::new("sweep", 1, &[])).await.unwrap();
            let ask = async |key: String| {
                let ctx = Context::service("test").with_key(key.parse().unwrap());
                let done = command(&database, &ctx, "test.ask", "", |work| async move { work.reply(()) });
                done.await.unwrap().replayed
            };
            for number in 0..300 {
                assert!(!ask(format!("old_{number}")).await);
            }
            world.runtime().sleep(limits::IDEMPOTENCY_LIFETIME / 2).await;
            assert!(!ask("young".into()).await);
            assert_eq!(sweep(&database).await.unwrap(), 0);
            world.runtime().sleep(limits::IDEMPOTENCY_LIFETIME / 2).await;
            assert_eq!(sweep(&database).await.unwrap(), AT_ONCE);
            assert_eq!(sweep(&database).await.unwrap(), 300 - AT_ONCE);
            assert_eq!(sweep(&database).await.unwrap(), 0);
            assert!(ask("young".into()).await);
            assert!(!ask("old_0".into()).await);
        });
    }
}
