//! One run of a script over the event log on a failing disk, with everything that must hold.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use disk_faults::{Dice, Image, Operation, Plan, PowerLoss};
use embedded_store::{FjallLog, SystemRuntime};
use platform_core::kernel::{Error, ErrorKind};
use platform_core::ports::log::{EventLog, NewRecord, Topic};

use super::ground::{Ground, Session};
use super::stores::{Found, patiently};

/// Keeps everything.
const KEPT: &str = "kept";
/// Loses its oldest records by retention.
const TRIMMED: &str = "trimmed";
/// Bytes that it keeps.
const RETAINED: u64 = 8_000;

#[derive(Clone)]
enum Step {
    /// Appends with these numbers of records, handed over one after the other.
    Append(&'static str, Vec<usize>),
    Retain,
    Offset,
    Reopen,
}

/// A script for the log.
pub(crate) struct LogSubject<'g> {
    ground: &'g Ground,
    pub(crate) seed: u64,
    bytes: u64,
    steps: Vec<Step>,
}

/// An append: its records, and whether it was acknowledged or seen after an opening.
#[derive(Clone)]
struct Append {
    topic: &'static str,
    records: Vec<NewRecord>,
    is_sure: bool,
}

/// What one run came to.
pub(crate) struct LogOutcome {
    pub(crate) fired: u64,
    pub(crate) calls: Vec<Operation>,
    pub(crate) losses: Vec<PowerLoss>,
    appends: Vec<Append>,
    last: Image,
}

fn is_told(error: &Error) -> Found {
    let kinds = [ErrorKind::Unavailable, ErrorKind::DataLoss];
    if kinds.contains(&error.kind()) && error.code().starts_with("log.") {
        return Ok(());
    }
    Err(format!("an error of the disk is told as {error:?}"))
}

/// Opens the log and declares its topics.
async fn open(path: &Path) -> Result<FjallLog, Error> {
    let log = FjallLog::open(&path.join("log"), Arc::new(SystemRuntime::current()))?;
    log.declare(&Topic::new(KEPT, 2)).await?;
    log.declare(&Topic { max_bytes: Some(RETAINED), ..Topic::new(TRIMMED, 1) }).await?;
    Ok(log)
}

/// All records of a topic: partition, value.
async fn records(log: &FjallLog, topic: &str) -> Result<Vec<(u16, u64, String)>, Error> {
    let mut found = Vec::new();
    for (partition, (first, _)) in (0..).zip(log.bounds(topic).await?) {
        for record in log.read(topic, partition, first, 100_000).await? {
            found.push((partition, record.offset, String::from_utf8_lossy(&record.value).into_owned()));
        }
    }
    Ok(found)
}

/// The number of the append in a value `number.index.padding`.
fn number_of(value: &str) -> usize {
    value.split('.').next().unwrap().parse().unwrap()
}

impl<'g> LogSubject<'g> {
    /// Records have at most this many bytes.
    pub(crate) fn new(ground: &'g Ground, seed: u64, groups: u64, bytes: u64) -> LogSubject<'g> {
        let mut dice = Dice::new(seed);
        let mut steps = Vec::new();
        for group in 0..groups {
            if group == groups / 2 {
                steps.push(Step::Reopen);
            }
            let topic = if dice.one_in(3) { TRIMMED } else { KEPT };
            let appends = (0..1 + dice.below(2)).map(|_| 1 + dice.below(4) as usize).collect();
            steps.push(Step::Append(topic, appends));
            match dice.below(5) {
                0 => steps.push(Step::Retain),
                1 => steps.push(Step::Offset),
                _ => {}
            }
        }
        LogSubject { ground, seed, bytes, steps }
    }

    pub(crate) async fn run(&self, plan: Option<&Plan>, moments: Vec<u64>) -> Found<LogOutcome> {
        let session = self.ground.disk(&Image::default());
        session.disk.lose_power_at(moments);
        if let Some(plan) = plan {
            session.disk.fail(plan.clone());
        }
        let mut run = LogRun {
            session: &session,
            log: None,
            appends: Vec::new(),
            dice: Dice::new(self.seed ^ 1),
            bytes: self.bytes,
        };
        for step in &self.steps {
            run.step(step).await?;
        }
        run.log = None;
        let (calls, fired) = (session.disk.calls(), session.disk.heal());
        run.open().await?.map_err(|error| format!("on a disk that is well again: {error:?}"))?;
        if let Some(log) = &run.log {
            check(log, &mut run.appends).await?;
        }
        run.append(KEPT, 2).await?.map_err(|error| format!("on a disk that is well again: {error:?}"))?;
        let last = session.disk.image();
        run.log = None;
        run.open().await?.map_err(|error| format!("on a disk that is well again: {error:?}"))?;
        run.log = None;
        Ok(LogOutcome { fired, calls, losses: session.disk.power_losses(), appends: run.appends, last })
    }

    pub(crate) async fn check_loss(&self, loss: &PowerLoss, seed: u64, outcome: &LogOutcome) -> Found {
        let folder = self.ground.plain(&loss.image.clone().after_power_loss(seed));
        let log = match patiently("an opening", open(&folder.0)).await? {
            Ok(log) => log,
            // The power was lost while the log was made.
            Err(error) if loss.promised == 0 => return is_told(&error),
            Err(error) => {
                return Err(format!("does not open: {error:?} {:?}", error.context().collect::<Vec<_>>()));
            }
        };
        let mut appends = outcome.appends.clone();
        for (append, number) in appends.iter_mut().zip(0..) {
            append.is_sure = append.is_sure && number < loss.promised;
        }
        check(&log, &mut appends).await
    }

    pub(crate) async fn check_end(&self, seed: u64, outcome: &LogOutcome) -> Found {
        let promised = outcome.appends.len() as u64;
        let loss = PowerLoss { call: outcome.calls.len() as u64, promised, image: outcome.last.clone() };
        self.check_loss(&loss, seed, outcome).await
    }
}

/// What is sure is there; every append is there whole or not at all, in order, once. What is there is sure now.
async fn check(log: &FjallLog, appends: &mut [Append]) -> Found {
    for topic in [KEPT, TRIMMED] {
        let found = records(log, topic).await.map_err(|error| format!("unreadable: {error:?}"))?;
        let mut there: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        let mut last = BTreeMap::new();
        for (partition, offset, value) in &found {
            let number = number_of(value);
            if last.insert(partition, number).is_some_and(|before| before > number) {
                return Err(format!("{topic}/{partition}/{offset} is out of order"));
            }
            there.entry(number).or_default().push(value);
        }
        let newest = appends.iter().enumerate().rfind(|(_, append)| append.topic == topic && append.is_sure);
        if let Some((number, append)) = newest
            && append.records.last().is_some_and(|record| record.bytes() < RETAINED as usize)
            && there.keys().next_back().is_none_or(|last| *last < number)
        {
            return Err(format!("append {number} to {topic} was acknowledged and is lost"));
        }
        let oldest = there.keys().next().copied().unwrap_or(usize::MAX);
        for (number, append) in appends.iter_mut().enumerate().filter(|(_, append)| append.topic == topic) {
            let mut found = there.remove(&number).unwrap_or_default();
            found.sort_unstable();
            let mut expected: Vec<String> = append
                .records
                .iter()
                .map(|record| String::from_utf8_lossy(&record.value).into_owned())
                .collect();
            expected.sort_unstable();
            // Retention removes the oldest.
            let removed = topic == TRIMMED && number <= oldest;
            if found.is_empty() && append.is_sure && !removed {
                return Err(format!("append {number} to {topic} was acknowledged and is lost"));
            }
            if !found.is_empty() && found != expected && !removed {
                return Err(format!("append {number} to {topic} is there in part: {} records", found.len()));
            }
            append.is_sure |= !found.is_empty();
        }
        if let Some(number) = there.keys().next() {
            return Err(format!("{number} was never appended to {topic}"));
        }
    }
    Ok(())
}

struct LogRun<'r> {
    session: &'r Session,
    log: Option<FjallLog>,
    appends: Vec<Append>,
    dice: Dice,
    bytes: u64,
}

impl LogRun<'_> {
    async fn step(&mut self, step: &Step) -> Found {
        if matches!(step, Step::Reopen) {
            self.log = None;
        }
        if self.log.is_none()
            && let Err(error) = self.open().await?
        {
            return is_told(&error);
        }
        match step {
            Step::Append(topic, counts) => {
                let mut failed = false;
                for count in counts.iter().chain([&1]) {
                    match self.append(topic, *count).await? {
                        Ok(()) if failed => return Err("acknowledged after a failure".to_owned()),
                        Ok(()) => {}
                        Err(error) => {
                            is_told(&error)?;
                            failed = true;
                        }
                    }
                }
                if failed {
                    self.log = None;
                }
            }
            Step::Retain => self.told(|log| async move { log.retain().await }).await?,
            Step::Offset => {
                self.told(|log| async move { log.subscribe("group", KEPT).await?.commit(0, 1).await })
                    .await?;
            }
            Step::Reopen => {}
        }
        Ok(())
    }

    /// Does what may fail, with an error that is told.
    async fn told<F: Future<Output = Result<(), Error>>>(&self, work: impl FnOnce(FjallLog) -> F) -> Found {
        let Some(log) = self.log.clone() else { return Ok(()) };
        match patiently("the log", work(log)).await? {
            Err(error) => is_told(&error),
            Ok(()) => Ok(()),
        }
    }

    async fn open(&mut self) -> Found<Result<(), Error>> {
        self.log = None;
        let log = match patiently("an opening", open(&self.session.path)).await? {
            Ok(log) => log,
            Err(error) => return Ok(Err(error)),
        };
        check_told(&log, &mut self.appends).await?;
        self.log = Some(log);
        Ok(Ok(()))
    }

    async fn append(&mut self, topic: &'static str, count: usize) -> Found<Result<(), Error>> {
        let Some(log) = self.log.clone() else { return Ok(Ok(())) };
        let number = self.appends.len();
        let record = |index: usize, dice: &mut Dice| {
            let padding = "x".repeat(dice.below(self.bytes) as usize);
            NewRecord::new(format!("k{}", dice.below(5)), format!("{number}.{index}.{padding}"))
        };
        let records: Vec<_> = (0..count).map(|index| record(index, &mut self.dice)).collect();
        self.appends.push(Append { topic, records: records.clone(), is_sure: false });
        let answer = patiently("an append", log.append(topic, records)).await?;
        if answer.is_ok() {
            self.appends[number].is_sure = true;
            self.session.disk.promise(number as u64 + 1);
        }
        Ok(answer.map(drop))
    }
}

/// The same on a disk that may still fail: then the error is told.
async fn check_told(log: &FjallLog, appends: &mut [Append]) -> Found {
    for topic in [KEPT, TRIMMED] {
        if let Err(error) = records(log, topic).await {
            return is_told(&error);
        }
    }
    check(log, appends).await
}
