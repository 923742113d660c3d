//! The one writer that a node has for a store: whatever waits is one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use platform_core::kernel::{BoxFuture, Error, Position, Result};
use platform_core::ports::store::{Batch, Commit, CommitError, Planner, Prepared, StoreTimings};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_postgres::Client;

use super::connection::{Connector, in_one_trip, in_time};
use super::error::{column, late, not_applied, position, unavailable};
use super::group;
use super::known::{Known, questions};
use super::layout::Layout;
use super::statements::Statements;
use super::stores::tell;

/// Batches that may wait; a caller beyond that waits for room.
const QUEUE: usize = 4096;
/// Batches of one group: a few milliseconds of work, so that the first of them does not wait long.
const GROUP_BATCHES: usize = 1024;
/// Bytes of one group: bounds the memory of a transaction.
const GROUP_BYTES: usize = 32 * 1024 * 1024;
/// How long a trip may take: waiting for the head that other nodes lock, and 32 MiB over a slow network.
const TRIP: Duration = Duration::from_secs(20);
/// Between two such questions.
const SETTLE_PAUSE: Duration = Duration::from_millis(50);

type Answer = Result<Commit, CommitError>;

struct Waiting {
    batch: Prepared,
    answer: oneshot::Sender<Answer>,
}

/// The queue in front of a store's writer.
pub(super) struct GroupWriter {
    layout: Arc<Layout>,
    queue: mpsc::Sender<Waiting>,
}

impl GroupWriter {
    /// Starts it on a connection of its own. `number` is the layout's that this process knows.
    pub(super) fn start(
        connector: Connector,
        layout: Arc<Layout>,
        number: i64,
        committed: Arc<watch::Sender<Position>>,
        timings: Arc<StoreTimings>,
    ) -> GroupWriter {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer =
            Writer { connector, layout: Arc::clone(&layout), number, committed, timings, session: None };
        tokio::spawn(writer.run(waiting));
        GroupWriter { layout, queue }
    }

    /// Checks the batch here, queues it, and waits until it is durable.
    pub(super) async fn commit(&self, batch: Batch) -> Answer {
        let batch = Prepared::new(&self.layout.declared, batch)?;
        let (answer, answered) = oneshot::channel();
        let closed = |maybe_applied| CommitError::Unavailable {
            maybe_applied,
            cause: Error::unavailable("store.closed", "the store's writer has ended"),
        };
        self.queue.send(Waiting { batch, answer }).await.map_err(|_| closed(false))?;
        answered.await.unwrap_or_else(|_| Err(closed(true)))
    }
}

/// A connection with what is prepared on it.
struct Session {
    client: Client,
    statements: Statements,
}

struct Writer {
    connector: Connector,
    layout: Arc<Layout>,
    number: i64,
    committed: Arc<watch::Sender<Position>>,
    timings: Arc<StoreTimings>,
    session: Option<Session>,
}

/// A transaction, as another connection knows it.
struct Transaction {
    number: String,
    process: i32,
}

/// How a transaction ended.
enum Ended {
    /// All that held is durable, up to this position.
    Committed(Vec<Answer>, Position),
    /// None of the batches wrote anything.
    Empty(Vec<Answer>),
    /// Nothing was applied: the connection was lost, or the head could not be locked.
    NotBegun(Error),
    /// PostgreSQL refused what a group wrote; nothing was applied.
    RolledBack(Error),
    /// Nobody answered COMMIT.
    Unknown { answers: Vec<Answer>, position: Position, transaction: Transaction, cause: Error },
}

/// What became of a transaction whose COMMIT nobody answered.
enum Fate {
    Committed,
    Aborted,
}

impl Writer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        while let Some(first) = waiting.recv().await {
            let (mut batches, mut callers, mut bytes) = (Vec::new(), Vec::new(), 0);
            let mut next = Some(first);
            while let Some(Waiting { batch, answer }) = next {
                bytes += batch.bytes();
                batches.push(batch);
                callers.push(answer);
                let is_full = batches.len() >= GROUP_BATCHES || bytes >= GROUP_BYTES;
                next = if is_full { None } else { waiting.try_recv().ok() };
            }
            let answers = self.commit(&batches).await;
            for (caller, answer) in callers.into_iter().zip(answers) {
                // A caller that gave up does not want it.
                let _ = caller.send(answer);
            }
        }
    }

    /// Commits a group, and after a surprise its batches one by one, so that only the one fails that caused it.
    async fn commit(&mut self, batches: &[Prepared]) -> Vec<Answer> {
        match self.attempt(batches).await {
            Ok(answers) => answers,
            Err(error) if batches.len() == 1 => {
                tracing::error!(store = self.layout.declared.store, %error, "a batch was rolled back");
                vec![Err(not_applied(error))]
            }
            Err(error) => {
                tracing::warn!(store = self.layout.declared.store, %error, "a group was rolled back");
                let mut answers = Vec::with_capacity(batches.len());
                for batch in batches {
                    let alone = self.attempt(std::slice::from_ref(batch)).await;
                    answers.extend(alone.unwrap_or_else(|error| vec![Err(not_applied(error))]));
                }
                answers
            }
        }
    }

    /// Commits a group; once more on a new connection when the first one was lost before anything was sent that could
    /// have been applied.
    ///
    /// # Errors
    /// When PostgreSQL refused what the group wrote; nothing was applied.
    async fn attempt(&mut self, batches: &[Prepared]) -> Result<Vec<Answer>> {
        let mut last = late();
        for _ in 0..2 {
            let session = match self.session().await {
                Ok(session) => session,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            let begun = Instant::now();
            let ended = transact(&session, &self.layout, self.number, batches, &self.timings).await;
            self.timings.commit.observe(begun.elapsed());
            match ended {
                Ended::Committed(answers, position) => {
                    self.session = Some(session);
                    tell(&self.committed, position);
                    return Ok(answers);
                }
                Ended::Empty(answers) => {
                    self.session = Some(session);
                    return Ok(answers);
                }
                Ended::RolledBack(error) => {
                    self.session = Some(session);
                    return Err(error);
                }
                Ended::NotBegun(error) => last = error,
                Ended::Unknown { answers, position, transaction, cause } => {
                    drop(session);
                    match self.settle(&transaction).await {
                        Some(Fate::Committed) => {
                            tell(&self.committed, position);
                            return Ok(answers);
                        }
                        Some(Fate::Aborted) => last = cause,
                        None => {
                            return Ok(answers.into_iter().map(|answer| unknown(answer, &cause)).collect());
                        }
                    }
                }
            }
        }
        Ok(batches.iter().map(|_| Err(not_applied(last.clone()))).collect())
    }

    /// The connection of the last group, or a new one.
    async fn session(&mut self) -> Result<Session> {
        if let Some(session) = self.session.take().filter(|session| !session.client.is_closed()) {
            return Ok(session);
        }
        let client = self.connector.connect().await?;
        in_time(TRIP, async {
            // First: the statements may speak of what is not there any more.
            let text = format!("select layout from {}", self.layout.own("_head"));
            let head = client.query_one(&text, &[]).await.map_err(unavailable)?;
            check_layout(&self.layout, self.number, column(&head, 0)?)?;
            let statements = Statements::prepare(&client, &self.layout).await?;
            Ok(Session { client, statements })
        })
        .await
    }

    /// Asks, on another connection, what became of a transaction; one that still runs is ended first.
    async fn settle(&self, transaction: &Transaction) -> Option<Fate> {
        let until = Instant::now() + self.connector.settle();
        while Instant::now() < until {
            match in_time(until.saturating_duration_since(Instant::now()), self.ask(transaction)).await {
                Ok(Some(fate)) => return Some(fate),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "nobody tells what became of a commit"),
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
        None
    }

    async fn ask(&self, Transaction { number, process }: &Transaction) -> Result<Option<Fate>> {
        let client = self.connector.connect().await?;
        let end = "select pg_terminate_backend(pid) from pg_stat_activity \
                   where pid = $1 and backend_xid = ($2::text::xid8)::xid";
        client.query(end, &[process, number]).await.map_err(unavailable)?;
        let row = client
            .query_one("select pg_xact_status($1::text::xid8)", &[number])
            .await
            .map_err(unavailable)?;
        Ok(match column::<Option<&str>>(&row, 0)? {
            Some("committed") => Some(Fate::Committed),
            Some("aborted") => Some(Fate::Aborted),
            _ => None,
        })
    }
}

/// What is answered when it is not known whether a group is applied. What was refused was so because of it, perhaps.
fn unknown(answer: Answer, cause: &Error) -> Answer {
    let maybe_applied = answer.is_ok_and(|commit| commit.replayed.is_none());
    Err(CommitError::Unavailable { maybe_applied, cause: cause.clone() })
}

/// One transaction: a trip that locks and reads, one that writes and commits.
async fn transact(
    Session { client, statements }: &Session,
    layout: &Layout,
    number: i64,
    batches: &[Prepared],
    timings: &StoreTimings,
) -> Ended {
    let schema = &layout.declared;
    let looked = in_time(TRIP, look(client, statements, layout, number, batches)).await;
    let Looked { mut known, from, transaction } = match looked {
        Ok(looked) => looked,
        Err(error) => return not_begun(client, error).await,
    };
    let mut planner = Planner::new(schema, from);
    let answers: Vec<Answer> = batches.iter().map(|batch| planner.offer(&mut known, batch)).collect();
    let merged = planner.merged();
    if merged.position == from {
        return match in_time(TRIP, end(client, "rollback")).await {
            Ok(()) => Ended::Empty(answers),
            Err(error) => Ended::NotBegun(error),
        };
    }
    let calls = match group::calls(schema, statements, &merged) {
        Ok(calls) => calls,
        Err(error) => {
            let _ = in_time(TRIP, end(client, "rollback")).await;
            return Ended::RolledBack(error);
        }
    };
    let begun = Instant::now();
    let written = tokio::time::timeout(TRIP, write(client, &calls)).await;
    timings.sync.observe(begun.elapsed());
    match written {
        Ok(Written::Committed) => Ended::Committed(answers, merged.position),
        Ok(Written::Refused(error)) => Ended::RolledBack(error),
        Ok(Written::Unknown(cause)) => {
            Ended::Unknown { answers, position: merged.position, transaction, cause }
        }
        Err(_) => Ended::Unknown { answers, position: merged.position, transaction, cause: late() },
    }
}

/// Leaves the connection without a transaction, if it still can be used.
async fn not_begun(client: &Client, error: Error) -> Ended {
    if !client.is_closed() {
        let _ = in_time(TRIP, end(client, "rollback")).await;
    }
    Ended::NotBegun(error)
}

async fn end(client: &Client, how: &'static str) -> Result<()> {
    client.batch_execute(how).await.map_err(unavailable)
}

/// What the first trip found.
struct Looked {
    known: Known,
    from: Position,
    transaction: Transaction,
}

async fn look(
    client: &Client,
    statements: &Statements,
    layout: &Layout,
    number: i64,
    batches: &[Prepared],
) -> Result<Looked> {
    let questions = questions(&layout.declared, statements, batches)?;
    let mut requests: Vec<BoxFuture<'_, _>> = vec![
        Box::pin(async { client.batch_execute("begin").await.map(|()| Vec::new()) }),
        Box::pin(client.query(&statements.lock, &[])),
    ];
    for question in &questions {
        requests.push(Box::pin(async { client.query(question.statement, &[&question.about]).await }));
    }
    let mut answers = in_one_trip(requests).await.into_iter();
    answers.next().transpose().map_err(unavailable)?;
    // Before the others: they may speak of what is not there any more.
    let head = answers.next().transpose().map_err(unavailable)?.and_then(|rows| rows.into_iter().next());
    let head = head.ok_or_else(|| Error::unavailable("store.unavailable", "the store was removed"))?;
    check_layout(layout, number, column(&head, 1)?)?;
    let mut known = Known::default();
    for (question, rows) in questions.iter().zip(answers) {
        known.learn(&layout.declared, question, &rows.map_err(unavailable)?)?;
    }
    let transaction = Transaction { number: column(&head, 2)?, process: column(&head, 3)? };
    Ok(Looked { known, from: position(&head, 0)?, transaction })
}

/// A node that knows other tables than those that are there would leave out what it does not know.
fn check_layout(layout: &Layout, known: i64, is: i64) -> Result<()> {
    if known == is {
        return Ok(());
    }
    Err(Error::precondition(
        "store.newer_schema",
        "another node has changed the tables: this one must start anew",
    )
    .with("store", layout.declared.store))
}

/// How the second trip ended.
enum Written {
    Committed,
    Refused(Error),
    Unknown(Error),
}

async fn write(client: &Client, calls: &[group::Call<'_>]) -> Written {
    let mut requests: Vec<BoxFuture<'_, _>> = Vec::new();
    for call in calls {
        requests
            .push(Box::pin(async move { client.execute(call.statement, &call.values()).await.map(drop) }));
    }
    requests.push(Box::pin(client.batch_execute("commit")));
    let mut answers = in_one_trip(requests).await;
    let committed = answers.pop();
    let refused = answers.into_iter().find_map(Result::err);
    match (committed, refused) {
        // A COMMIT behind a refused statement is a ROLLBACK, and succeeds.
        (Some(Ok(())), None) => Written::Committed,
        (Some(Ok(())), Some(error)) => Written::Refused(unavailable(error)),
        (Some(Err(error)), _) => Written::Unknown(unavailable(error)),
        (None, _) => Written::Unknown(late()),
    }
}
