//! The ledger's random histories on the engines: crashes, reopenings, commits that fail before and after they
//! were applied. The same histories run in memory, many more of them, in platform-core.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use embedded_store::{Engine, Engines, SystemRuntime, open_backends_on};
use platform_core::kernel::{BoxFuture, Result};
use platform_core::ports::Backends;
use platform_core::ports::runtime::Runtime;
use platform_core::transactions::conformance::{Faults, FlakyStores, Ground, history, hold};
use platform_core::transactions::{LedgerConfig, Transactions, TransferRequest};
use proptest::prelude::*;

/// A folder that outlives crashes.
struct Folder {
    folder: tempfile::TempDir,
    engine: Engine,
    faults: Faults,
}

impl Ground for Folder {
    fn open(&self) -> BoxFuture<'_, Result<Transactions>> {
        Box::pin(async {
            let path = self.folder.path().join("data");
            let mut attempts = 0;
            loop {
                match open_backends_on(&path, Engines::all(self.engine), Vec::new()).await {
                    // What was sent before the crash is on its way to the disk, as in a dying process.
                    Err(error) if error.code() == "store.locked" && attempts < 1_000 => {
                        attempts += 1;
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    Err(error) => return Err(error),
                    Ok(backends) => {
                        let (runtime, faults) = (self.runtime(), self.faults.clone());
                        let stores = Arc::new(FlakyStores { inner: backends.stores, runtime, faults });
                        let config = LedgerConfig { segment_frames: 60, early_frames: 10 };
                        return Transactions::open(&Backends { stores, ..backends }, config).await;
                    }
                }
            }
        })
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(SystemRuntime::current())
    }

    /// A folder has one process.
    fn intrude(&self, _: TransferRequest) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

fn run(engine: Engine, choices: &[u64]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        hold(&Folder { folder, engine, faults: Faults::default() }, &history(choices)).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn on_sqlite_what_was_acknowledged_is_there_once_and_every_prefix_balances(
        choices in proptest::collection::vec(any::<u64>(), 40..120),
    ) {
        run(Engine::Sqlite, &choices);
    }

    #[test]
    fn on_fjall_what_was_acknowledged_is_there_once_and_every_prefix_balances(
        choices in proptest::collection::vec(any::<u64>(), 40..120),
    ) {
        run(Engine::Fjall, &choices);
    }

    #[cfg(feature = "sled")]
    #[test]
    fn on_sled_what_was_acknowledged_is_there_once_and_every_prefix_balances(
        choices in proptest::collection::vec(any::<u64>(), 40..120),
    ) {
        run(Engine::Sled, &choices);
    }
}
