//! The durable event log in the process: fjall, with a flume queue in front.
//!
//! One thread writes. It takes whatever queued up while the last group was syncing, numbers the
//! records, and commits them with one fdatasync; only then they are seen.

mod error;
pub(crate) mod record;
mod state;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use platform_core::kernel::{BoxFuture, Error, Histogram, Result};
use platform_core::ports::log::{
    EventLog, Groups, NewRecord, Record, Source, Subscription, Topic, undeclared,
};
use platform_core::ports::runtime::Runtime;
use tokio::sync::{oneshot, watch};

use crate::acknowledged::{self, Acknowledged};
use error::unavailable;
use state::{State, offset_key};
use writer::Command;

/// Appends that may wait; a caller beyond that waits for room.
const QUEUE: usize = 1024;

/// A log in a folder of its own. Clones are the same log; it is closed with the last of them.
///
/// ```
/// use std::sync::Arc;
/// use embedded_store::{FjallLog, SystemRuntime};
/// use platform_core::ports::log::{EventLog, NewRecord, Topic};
/// # let folder = tempfile::tempdir()?;
/// # let data = folder.path().join("log");
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let log = FjallLog::open(&data, Arc::new(SystemRuntime::current()))?;
/// log.declare(&Topic::new("orders", 4)).await?;
/// log.append("orders", vec![NewRecord::new("order_1", "paid")]).await?;
/// let mut subscription = log.subscribe("mail", "orders").await?;
/// assert_eq!(subscription.next(10).await?[0].value, "paid");
/// # Ok::<(), platform_core::kernel::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FjallLog(Arc<Inner>);

struct Inner {
    state: Arc<State>,
    queue: Option<flume::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    groups: Groups,
}

impl FjallLog {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// `log.locked` when it is open elsewhere; `log.damaged` when it does not read; `log.unavailable`.
    pub fn open(path: &Path, runtime: Arc<dyn Runtime>) -> Result<FjallLog> {
        let state = Arc::new(State::open(path)?);
        let acknowledged = check_acknowledged(path, state.appended())?;
        let (queue, commands) = flume::bounded(QUEUE);
        let writer = writer::Writer::new(Arc::clone(&state), runtime, acknowledged);
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || writer.run(&commands))
            .map_err(|error| Error::unavailable("log.unavailable", "no thread to write").because(error))?;
        let (queue, thread) = (Some(queue), Some(thread));
        Ok(FjallLog(Arc::new(Inner { state, queue, thread, groups: Groups::default() })))
    }
}

/// What was acknowledged must be there: fjall drops the end of a journal that does not read.
fn check_acknowledged(path: &Path, appended: u64) -> Result<Acknowledged> {
    let (note, acknowledged) = Acknowledged::open(path).map_err(|error| {
        Error::unavailable("log.unavailable", "the note of what was acknowledged cannot be opened")
            .with("path", path.display())
            .because(error)
    })?;
    if acknowledged <= appended {
        return Ok(note);
    }
    Err(Error::data_loss(
        "log.damaged",
        "records of the log that were acknowledged are lost: restore it from a backup; or, to go on without these records, delete the file named here",
    )
    .with("path", path.display())
    .with("lost", acknowledged - appended)
    .with("delete", acknowledged::path_of(path).display()))
}

impl Drop for Inner {
    /// Waits until everything that was queued is answered: afterwards the folder can be opened again.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the log had panicked");
        }
    }
}

impl Inner {
    /// Queues a command and waits until it is durable.
    async fn run<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command) -> Result<T> {
        let closed = || Error::unavailable("log.closed", "the writer of the log has ended");
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        queue.send_async(command(answer)).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl EventLog for FjallLog {
    fn declare<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            topic.check()?;
            self.0.run(|answer| Command::Declare { topic: topic.clone(), answer }).await
        })
    }

    fn append<'a>(&'a self, topic: &'a str, records: Vec<NewRecord>) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(async move {
            let topic = self.0.state.topic(topic)?;
            records.iter().try_for_each(NewRecord::check)?;
            if records.is_empty() {
                return Ok(Vec::new());
            }
            self.0.run(|answer| Command::Append { topic, records, answer }).await
        })
    }

    fn read<'a>(
        &'a self,
        topic: &'a str,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>>> {
        Source::read(&*self.0, topic, partition, from, limit)
    }

    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<(u64, u64)>>> {
        Box::pin(async move { Ok(self.0.state.topic(topic)?.bounds()) })
    }

    fn ends(&self, topic: &str) -> Result<Vec<watch::Receiver<u64>>> {
        Ok(self.0.state.topic(topic)?.partitions.iter().map(|partition| partition.end.subscribe()).collect())
    }

    fn retain(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.0.run(|answer| Command::Retain { answer }))
    }

    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>>> {
        Box::pin(async move {
            let ends = self.ends(topic)?;
            let source: Arc<dyn Source> = Arc::clone(&self.0) as _;
            Ok(self.0.groups.join(source, group, topic, ends))
        })
    }

    fn sync_times(&self) -> Option<&Histogram> {
        Some(&self.0.state.sync_times)
    }
}

impl Source for Inner {
    fn read<'a>(
        &'a self,
        topic: &'a str,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>>> {
        Box::pin(async move { self.state.read(&*self.state.topic(topic)?, partition, from, limit) })
    }

    fn offset<'a>(&'a self, group: &'a str, topic: &'a str, partition: u16) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let key = offset_key(group, topic, partition);
            let stored = self.state.rows.get(key).map_err(unavailable)?;
            Ok(stored
                .and_then(|bytes| Some(u64::from_be_bytes(bytes.as_ref().try_into().ok()?)))
                .unwrap_or(0))
        })
    }

    fn set_offset<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
        partition: u16,
        offset: u64,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if self.state.topic(topic)?.partitions.len() <= usize::from(partition) {
                return Err(undeclared(topic));
            }
            let key = offset_key(group, topic, partition);
            self.run(|answer| Command::SetOffset { key, offset, answer }).await
        })
    }
}

#[cfg(test)]
mod tests;
