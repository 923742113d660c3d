//! Sends what is due.
//!
//! It sleeps until the next notification is due or something was committed; it never polls. What is due is
//! claimed in one commit, handed to the channels side by side, and each result is reported under the fence
//! of its claim.
//!
//! A claim names its process. Where the stores are held by one process at a time, a claim of another one is
//! known to be lost and settled at the start; elsewhere it is settled when its time is over.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Inner;
use super::commands::{ended, wanted};
use super::delivery::{Claim, Outcome, Report, State};
use super::events;
use super::tables::Notification;
use crate::backbone::Shutdown;
use crate::kernel::{BoxFuture, Context, NotificationId, Result, Retry};
use crate::ports::channel::{Message, SendError};
use crate::ports::store::{Document, IndexRange, Work, command};

/// Messages that are sent side by side: connections that a mail server grants one client without complaint.
const IN_FLIGHT: usize = 16;
/// A claim holds this long: the time for a send, and some for the report.
const LEASE: Duration = Duration::from_secs(150);
/// A send that lasts longer is taken for lost.
const SEND_TIMEOUT: Duration = Duration::from_secs(120);
/// The longest sleep: the wall clock may be put forward while we sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// The pause after the store failed.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// How often a result is stored again after it was time to end: a store that is full stays so.
pub(super) const LAST_TRIES: u32 = 3;

/// A message to be sent under a fence.
#[derive(Debug)]
struct Task {
    id: NotificationId,
    fence: u64,
    channel: String,
    message: Message,
}

impl Inner {
    /// Works until it is time to end, and ends what is in flight.
    pub(super) async fn work(self: Arc<Self>, shutdown: Shutdown) {
        let mut committed = self.db.store.committed();
        let mut in_flight: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let mut orphans = self.alone;
        while !shutdown.is_asked() {
            committed.mark_unchanged();
            let settled = match orphans {
                true => self.settle_orphans().await,
                false => Ok(()),
            };
            orphans = settled.is_err();
            let due = match settled {
                Ok(()) => self.claim_due(IN_FLIGHT - in_flight.len()).await,
                Err(error) => Err(error),
            };
            let pause = match due {
                Ok((tasks, pause)) => {
                    for task in tasks {
                        in_flight.push(Box::pin(Arc::clone(&self).perform(task, shutdown.clone())));
                    }
                    pause
                }
                Err(error) => {
                    tracing::warn!(%error, "what is due could not be claimed");
                    PAUSE
                }
            };
            let full = in_flight.len() >= IN_FLIGHT;
            tokio::select! {
                biased;
                () = shutdown.asked() => {}
                Some(()) = in_flight.next(), if !in_flight.is_empty() => {}
                Ok(()) = committed.changed(), if !full => {}
                () = self.db.runtime.sleep(pause), if !full => {}
            }
        }
        while in_flight.next().await.is_some() {}
    }

    /// Claims up to `room` of what is due, and says how long there will be nothing else.
    async fn claim_due(&self, room: usize) -> Result<(Vec<Task>, Duration)> {
        if room == 0 {
            return Ok((Vec::new(), LONGEST_SLEEP));
        }
        let now = self.db.runtime.now();
        let all = IndexRange::index(Notification::COLLECTION.name, Notification::BY_DUE);
        let found = self.db.scan::<Notification>(&all.limit(room)).await?.items;
        let (due, later): (Vec<_>, Vec<_>) = found
            .into_iter()
            .filter_map(|stored| Some((stored.delivery.due_at(stored.created_at)?, stored.value)))
            .partition(|(at, _)| *at <= now);
        let pause = later.first().map_or(LONGEST_SLEEP, |(at, _)| at.since(now).min(LONGEST_SLEEP));
        if due.is_empty() {
            return Ok((Vec::new(), pause));
        }
        let ids: Vec<_> = due.into_iter().map(|(_, notification)| notification.id).collect();
        let tasks = self.claim(&ids).await?;
        // What was put off or is due besides is found by looking again at once.
        Ok((tasks, Duration::ZERO))
    }

    /// Settles what processes before this one had claimed when they ended.
    async fn settle_orphans(&self) -> Result<()> {
        let claimed = IndexRange::index(Notification::COLLECTION.name, Notification::BY_CLAIM);
        let mut cursor = None;
        loop {
            let page = self.db.scan::<Notification>(&claimed.clone().limit(IN_FLIGHT).after(cursor)).await?;
            let ids: Vec<_> = page.items.iter().map(|notification| notification.id).collect();
            command(&self.db, &Context::system(), "notifications.settle_orphans", &ids, async |mut work| {
                for id in &ids {
                    let Some(stored) = work.load::<Notification>(*id.as_bytes()).await? else { continue };
                    let mut notification = stored.value;
                    if notification.delivery.orphan(work.now(), &self.process, self.jitter()) {
                        store(&mut work, notification)?;
                    }
                }
                work.reply(())
            })
            .await?;
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn claim(&self, ids: &[NotificationId]) -> Result<Vec<Task>> {
        let context = Context::system();
        // The tasks carry personal data and are not to be remembered as an answer: they are made anew by
        // each attempt of the command and taken from the last.
        let tasks = parking_lot::Mutex::new(Vec::new());
        let slot = &tasks;
        command(&self.db, &context, "notifications.claim", ids, |mut work| async move {
            let mut granted = Vec::new();
            for id in ids {
                granted.extend(self.claim_one(&mut work, *id).await?);
            }
            *slot.lock() = granted;
            work.reply(())
        })
        .await?;
        Ok(tasks.into_inner())
    }

    async fn claim_one(&self, work: &mut Work, id: NotificationId) -> Result<Option<Task>> {
        let Some(stored) = work.load::<Notification>(*id.as_bytes()).await? else { return Ok(None) };
        let mut notification = stored.value;
        let now = work.now();
        if let State::Dead { .. } = notification.delivery.state {
            if notification.delivery.claim(now, now, &self.process, 0.0) == Claim::Changed {
                notification.forget();
                work.put(&notification)?;
            }
            return Ok(None);
        }
        if !wanted(work, &notification).await?
            && notification.delivery.suppress("the recipient switched the category off")
        {
            store(work, notification)?;
            return Ok(None);
        }
        let before = notification.clone();
        match notification.delivery.claim(now, now.plus(LEASE), &self.process, self.jitter()) {
            Claim::NotNow => Ok(None),
            Claim::Changed => store(work, notification).map(|()| None),
            Claim::Granted { fence } => {
                let Some(message) = self.message(&notification).await? else {
                    let mut gone = before;
                    gone.delivery.suppress("the recipient is gone");
                    return store(work, gone).map(|()| None);
                };
                let task = Task { id, fence, channel: notification.channel.clone(), message };
                store(work, notification)?;
                Ok(Some(task))
            }
        }
    }

    /// The message; `None` when the recipient is gone.
    async fn message(&self, notification: &Notification) -> Result<Option<Message>> {
        let to = match notification.user_id {
            Some(user) => self.recipient(user).await?.map(|profile| profile.email.as_str().to_owned()),
            None => notification.open_to(&self.db).await?,
        };
        let content = notification.open_content(&self.db).await?;
        let deadline = notification.delivery.deadline;
        #[cfg(feature = "planted-faults")]
        let deadline =
            deadline.filter(|_| !crate::planted::is_active(crate::planted::Plant::DeadlineForgotten));
        Ok(to.zip(content).map(|(to, content)| Message {
            id: notification.id.to_string(),
            to,
            subject: content.subject,
            text: content.text,
            html: content.html,
            deadline,
        }))
    }

    /// Sends and reports. Whatever happens here, the claim ends by itself.
    async fn perform(self: Arc<Self>, task: Task, shutdown: Shutdown) {
        let report = self.attempt(&task).await;
        let mut last_tries = LAST_TRIES;
        loop {
            match self.report(&task, &report).await {
                Ok(()) => return,
                // Without hope of an end nobody could stop the platform; the claim ends by itself.
                Err(error)
                    if error.kind().is_fault() || error.retry_advice() == Retry::No || last_tries == 0 =>
                {
                    tracing::error!(%error, notification = %task.id, "a result could not be stored");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, notification = %task.id, "a result is stored again");
                    last_tries -= u32::from(shutdown.is_asked());
                    self.db.runtime.sleep(PAUSE).await;
                }
            }
        }
    }

    async fn attempt(&self, task: &Task) -> Report {
        let Some(channel) = self.channels.get(&task.channel) else {
            return failed(Outcome::Deferred, "the channel is not configured");
        };
        let begin = self.db.runtime.monotonic();
        let sent = tokio::select! {
            biased;
            sent = channel.send(&task.message) => sent,
            () = self.db.runtime.sleep(SEND_TIMEOUT) => {
                Err(SendError::Ambiguous("no end within two minutes".to_owned()))
            }
        };
        let took = self.db.runtime.monotonic().saturating_sub(begin);
        let report = match sent {
            Ok(receipt) => {
                Report { outcome: Outcome::Sent, cause: None, receipt: Some(receipt.provider_reference) }
            }
            Err(SendError::Permanent(cause)) => failed(Outcome::Refused, &cause),
            Err(SendError::Transient(cause)) => failed(Outcome::Deferred, &cause),
            Err(SendError::Ambiguous(cause)) => failed(Outcome::Ambiguous, &cause),
            Err(SendError::Expired) => failed(Outcome::Expired, "the deadline passed"),
        };
        self.attempts.count(report.outcome, took);
        report
    }

    async fn report(&self, task: &Task, report: &Report) -> Result<()> {
        let context = Context::system();
        command(&self.db, &context, "notifications.report", &task.id, |mut work| async move {
            let now = work.now();
            if let Some(stored) = work.load::<Notification>(*task.id.as_bytes()).await? {
                let mut notification = stored.value;
                match notification.delivery.report(task.fence, now, self.jitter(), report.clone()) {
                    Ok(()) => store(&mut work, notification)?,
                    Err(_) => {
                        tracing::warn!(notification = %task.id, "a result came after its claim had ended")
                    }
                }
            }
            work.reply(())
        })
        .await
        .map(drop)
    }

    /// Uniform in 0..1.
    fn jitter(&self) -> f64 {
        (self.db.random_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn failed(outcome: Outcome, cause: &str) -> Report {
    Report { outcome, cause: Some(cause.to_owned()), receipt: None }
}

/// Stores a changed notification with the event that tells of the change.
fn store(work: &mut Work, mut notification: Notification) -> Result<()> {
    let delivery = &notification.delivery;
    if delivery.state.is_final() {
        ended(work, &notification)?;
        if !matches!(delivery.state, State::Dead { until: Some(_) }) {
            notification.forget();
        }
    } else if let (State::Scheduled { due_at }, Some(last)) = (&delivery.state, delivery.attempts.last())
        && let Some(outcome) = last.outcome
    {
        work.publish(&events::AttemptFailed {
            notification_id: notification.id,
            attempt: delivery.attempts.len() as u32,
            outcome,
            cause: last.cause.clone(),
            due_at: *due_at,
        })?;
    }
    work.put(&notification)
}

#[cfg(test)]
impl Inner {
    /// Claims like a worker that dies before it sends.
    pub(super) async fn claim_and_die(self: Arc<Self>, id: NotificationId) -> Result<usize> {
        Ok(self.claim(&[id]).await?.len())
    }

    /// The same in another process.
    pub(super) fn restarted(&self, alone: bool) -> Inner {
        Inner {
            db: self.db.clone(),
            channels: self.channels.clone(),
            users: self.users.clone(),
            disclosures: self.disclosures.clone(),
            attempts: super::attempts::Attempts::default(),
            process: "the next one".to_owned(),
            alone,
        }
    }
}
