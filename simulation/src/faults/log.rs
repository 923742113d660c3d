//! A log that fails: what is appended comes late, twice, or not at all.

use std::sync::Arc;

use platform_core::kernel::{BoxFuture, Error, Result};
use platform_core::ports::log::{EventLog, NewRecord, Record, Subscription, Topic};
use tokio::sync::watch;

use crate::disk::Disk;
use crate::stage::Stage;

/// The log as a node has it.
pub struct FaultyLog {
    stage: Arc<Stage>,
    disk: Arc<Disk>,
}

impl FaultyLog {
    /// Over a disk.
    pub fn new(stage: &Arc<Stage>, disk: &Arc<Disk>) -> FaultyLog {
        FaultyLog { stage: Arc::clone(stage), disk: Arc::clone(disk) }
    }

    async fn reading(&self) -> Result<()> {
        self.stage.wander(self.stage.settings.log.slow).await;
        match self.stage.strikes(self.stage.settings.log.read) {
            true => Err(away()),
            false => Ok(()),
        }
    }

    fn fault(&self, topic: &str, kind: &str) -> Error {
        self.stage.note(format_args!("fault log {topic} {kind}"));
        away()
    }
}

fn away() -> Error {
    Error::unavailable("log.unavailable", "as the simulation wants")
}

impl EventLog for FaultyLog {
    fn declare<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, Result<()>> {
        self.disk.log().declare(topic)
    }

    fn append<'a>(&'a self, topic: &'a str, records: Vec<NewRecord>) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(async move {
            let (stage, rates) = (&self.stage, &self.stage.settings.log);
            stage.wander(rates.slow).await;
            self.disk.maybe_apply_late().await;
            if stage.strikes(rates.refused) {
                return Err(self.fault(topic, "refused"));
            }
            if stage.strikes(rates.late) {
                self.disk.append_later(topic, records);
                return Err(self.fault(topic, "late"));
            }
            if stage.strikes(rates.twice) {
                self.disk.append(topic, records.clone()).await?;
                stage.wander(rates.slow).await;
            }
            let offsets = self.disk.append(topic, records).await?;
            stage.wander(rates.slow).await;
            match stage.strikes(rates.silent) {
                true => Err(self.fault(topic, "silent")),
                false => Ok(offsets),
            }
        })
    }

    fn read<'a>(
        &'a self,
        topic: &'a str,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>>> {
        Box::pin(async move {
            self.reading().await?;
            let records = EventLog::read(self.disk.log(), topic, partition, from, limit).await;
            self.reading().await?;
            records
        })
    }

    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<(u64, u64)>>> {
        Box::pin(async move {
            self.reading().await?;
            self.disk.log().bounds(topic).await
        })
    }

    fn ends(&self, topic: &str) -> Result<Vec<watch::Receiver<u64>>> {
        self.disk.log().ends(topic)
    }

    fn retain(&self) -> BoxFuture<'_, Result<()>> {
        self.disk.log().retain()
    }

    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>>> {
        self.disk.log().subscribe(group, topic)
    }
}
