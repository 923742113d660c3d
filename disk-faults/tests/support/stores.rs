//! One run of a script over a store on a failing disk, with everything that must hold.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use disk_faults::{Dice, Image, Operation, Plan, PowerLoss};
use embedded_store::{EmbeddedStores, Engine, Engines};
use futures_util::future::join_all;
use platform_core::kernel::{Error, ErrorKind, EventPosition};
use platform_core::ports::store::{CommitError, Store, Stores};

use super::ground::{Ground, Session};
use super::model::{History, Model, picture};
use super::schema::Version;
use super::script::{self, Planned, Size, Step, script};
use super::sweep::{Counts, block_on};

/// Longer than anything takes, also on a machine with much else to do: what hangs is found.
const PATIENCE: Duration = Duration::from_secs(120);

/// What must not be, in words.
pub(crate) type Found<T = ()> = std::result::Result<T, String>;

/// A script, with the files that it begins with.
pub(crate) struct Subject<'g> {
    pub(crate) ground: &'g Ground,
    pub(crate) engine: Engine,
    pub(crate) seed: u64,
    template: Image,
    /// Of the template.
    history: History,
    steps: Vec<Step>,
}

/// What one run came to.
pub(crate) struct Outcome {
    /// Calls that failed.
    pub(crate) fired: u64,
    pub(crate) calls: Vec<Operation>,
    pub(crate) losses: Vec<PowerLoss>,
    /// All batches, in their order.
    history: History,
    /// Up to where the outbox was trimmed.
    trimmed: EventPosition,
    /// The image before the end of the last process, when everything was acknowledged.
    last: Image,
}

async fn open(path: &Path, engine: Engine, version: Version) -> Result<Arc<dyn Store>, Error> {
    let stores = EmbeddedStores::open(path)?.on(Engines::all(engine));
    let store = stores.open(&version.schema()).await?;
    Ok(store)
}

pub(crate) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> Found<T> {
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| format!("{what} hangs"))
}

/// An error of the disk has a code of the store and says whether to try again.
fn is_told(error: &Error) -> Found {
    let kinds = [ErrorKind::Unavailable, ErrorKind::DataLoss];
    if kinds.contains(&error.kind()) && error.code().starts_with("store.") {
        return Ok(());
    }
    Err(format!("an error of the disk is told as {error:?}"))
}

impl<'g> Subject<'g> {
    /// A store with something in it; a new one for every third seed.
    pub(crate) async fn new(ground: &'g Ground, engine: Engine, seed: u64, size: Size) -> Subject<'g> {
        let mut subject = Subject {
            ground,
            engine,
            seed,
            template: Image::default(),
            history: History::default(),
            steps: script(seed, size),
        };
        if seed.is_multiple_of(3) {
            return subject;
        }
        let folder = ground.empty();
        let store = open(&folder.0, engine, Version::First).await.unwrap();
        for step in script(seed ^ 0xffff, Size { groups: 8, ..size }) {
            let Step::Group(group) = step else { continue };
            for planned in group {
                if store.commit(planned.batch(Version::First)).await.is_ok() {
                    subject.history.batches.push((Version::First, planned));
                }
            }
        }
        // Every second one as a crash leaves it: with everything still in the log.
        if seed.is_multiple_of(2) {
            subject.template = Image::of_folder(&folder.0).unwrap();
            drop(store);
        } else {
            drop(store);
            subject.template = Image::of_folder(&folder.0).unwrap();
        }
        subject
    }

    /// Runs the script; the plan says what fails.
    pub(crate) async fn run(&self, plan: Option<&Plan>, moments: Vec<u64>) -> Found<Outcome> {
        let session = self.ground.disk(&self.template);
        session.disk.lose_power_at(moments);
        if let Some(plan) = plan {
            session.disk.fail(plan.clone());
        }
        let mut run = Run {
            subject: self,
            session: &session,
            store: None,
            version: Version::First,
            model: Model::after(&self.history).await,
            history: self.history.clone(),
            uncertain: Vec::new(),
            trimmed: EventPosition::START,
            poisoned: false,
            answers: Vec::new(),
        };
        session.disk.promise(run.model.position());
        for step in &self.steps {
            let done = run.step(step).await;
            done.map_err(|found| format!("{found}; the last answers: {:?}", run.answers))?;
        }
        run.close();
        let calls = session.disk.calls();
        let fired = session.disk.heal();
        run.reopen(Version::Second).await?;
        if run.store.is_none() {
            run.open().await.map_err(|error| format!("on a disk that is well again: {error:?}"))?;
        }
        if let Some(store) = &run.store {
            compare(&**store, &run.model, run.trimmed).await?;
        }
        run.commit(&[script::last(self.seed)]).await?;
        let acknowledged = run.history.batches.len();
        let last = session.disk.image();
        run.reopen(Version::Second).await?;
        if run.history.batches.len() != acknowledged || run.store.is_none() {
            return Err("the last batch did not outlive its process".to_owned());
        }
        run.close();
        Ok(Outcome {
            fired,
            calls,
            losses: session.disk.power_losses(),
            history: run.history,
            trimmed: run.trimmed,
            last,
        })
    }

    /// What a loss of power leaves must hold everything that was promised, and nothing in part.
    pub(crate) async fn check_loss(&self, loss: &PowerLoss, seed: u64, outcome: &Outcome) -> Found {
        let folder = self.ground.plain(&loss.image.clone().after_power_loss(seed));
        let opened = patiently("an opening", open(&folder.0, self.engine, Version::Second)).await?;
        let store = match opened {
            Ok(store) => store,
            // The power was lost while the store was made.
            Err(error) if loss.promised == 0 => return is_told(&error),
            Err(error) => {
                return Err(format!("does not open: {error:?} {:?}", error.context().collect::<Vec<_>>()));
            }
        };
        let position = *store.committed().borrow();
        if position < loss.promised {
            return Err(format!("{position} instead of {} that were acknowledged", loss.promised));
        }
        let mut model = Model::after(&History::default()).await;
        for (version, planned) in &outcome.history.batches {
            if model.position() == position {
                break;
            }
            model.open(*version).await;
            let _ = model.commit(planned.batch(*version)).await;
        }
        model.open(Version::Second).await;
        compare(&*store, &model, outcome.trimmed).await
    }

    /// The same at the end of a run, when everything was acknowledged.
    pub(crate) async fn check_end(&self, seed: u64, outcome: &Outcome) -> Found {
        let promised = Model::after(&outcome.history).await.position();
        let loss = PowerLoss { call: outcome.calls.len() as u64, promised, image: outcome.last.clone() };
        self.check_loss(&loss, seed, outcome).await
    }

    /// Moments of a run, from a seed.
    pub(crate) fn moments(&self, calls: u64, count: u64) -> Vec<u64> {
        let mut dice = Dice::new(self.seed ^ 0x5eed);
        (0..count).map(|_| dice.below(calls)).collect()
    }
}

/// One run with a fault; every sixteenth one loses its power afterwards.
pub(crate) fn one(subject: &Subject<'_>, plan: &Plan, number: u64, call: Operation) -> Found<Counts> {
    block_on(async {
        let outcome = subject.run(Some(plan), Vec::new()).await?;
        let mut counts = Counts { faults: u64::from(outcome.fired > 0), images: 0 };
        if number.is_multiple_of(16) {
            subject.check_end(number, &outcome).await?;
            counts.images += 1;
        }
        Ok(counts)
    })
    .map_err(|found: String| format!("seed {} {plan:?} {call:?}: {found}", subject.seed))
}

/// A run without faults that loses its power at some moments, with images of each.
pub(crate) fn losses(subject: &Subject<'_>, calls: u64) -> Found<Counts> {
    let moments = subject.moments(calls, 12);
    block_on(async {
        let outcome = subject.run(None, moments).await?;
        let mut images = 0;
        for loss in &outcome.losses {
            for seed in 0..6 {
                let checked = subject.check_loss(loss, seed, &outcome).await;
                checked.map_err(|found| format!("power lost before call {} ({seed}): {found}", loss.call))?;
                images += 1;
            }
        }
        Ok(Counts { faults: 0, images })
    })
    .map_err(|found: String| format!("seed {}: {found}", subject.seed))
}

async fn compare(store: &dyn Store, model: &Model, trimmed: EventPosition) -> Found {
    let schema = Version::Second.schema();
    let ours = picture(store, &schema, trimmed).await.map_err(|error| format!("unreadable: {error:?}"))?;
    differ(&ours, &model.picture(trimmed).await)
}

fn differ(ours: &[String], theirs: &[String]) -> Found {
    match ours.iter().zip(theirs).find(|(ours, theirs)| ours != theirs) {
        Some((ours, theirs)) => Err(format!("{ours:.100} instead of {theirs:.100}")),
        None if ours.len() != theirs.len() => {
            Err(format!("{} lines instead of {}", ours.len(), theirs.len()))
        }
        None => Ok(()),
    }
}

struct Run<'r> {
    subject: &'r Subject<'r>,
    session: &'r Session,
    store: Option<Arc<dyn Store>>,
    version: Version,
    model: Model,
    /// What was acknowledged.
    history: History,
    /// What may have been applied, in order.
    uncertain: Vec<(Version, Planned)>,
    trimmed: EventPosition,
    poisoned: bool,
    /// Of the last group.
    answers: Vec<String>,
}

impl Run<'_> {
    async fn step(&mut self, step: &Step) -> Found {
        match step {
            Step::Reopen(version) => self.reopen(*version).await,
            Step::Trim => self.trim().await,
            Step::Group(group) => {
                if self.store.is_none() {
                    self.reopen(self.version).await?;
                }
                let was_poisoned = self.poisoned;
                self.commit(group).await?;
                self.look().await?;
                if was_poisoned { self.reopen(self.version).await } else { Ok(()) }
            }
        }
    }

    fn close(&mut self) {
        self.store = None;
    }

    /// Another process: what was uncertain is decided now.
    async fn reopen(&mut self, version: Version) -> Found {
        self.close();
        self.version = self.version.max(version);
        match self.open().await {
            Ok(()) => Ok(()),
            Err(Trouble::Told(error)) => is_told(&error),
            Err(Trouble::Found(found)) => Err(found),
        }
    }

    async fn open(&mut self) -> std::result::Result<(), Trouble> {
        let store = patiently("an opening", open(&self.session.path, self.subject.engine, self.version))
            .await?
            .map_err(Trouble::Told)?;
        self.session.made();
        self.poisoned = false;
        self.settle(&*store).await?;
        self.store = Some(store);
        Ok(())
    }

    /// Takes over what of the uncertain is there: some of the first of them, or none.
    async fn settle(&mut self, store: &dyn Store) -> Found {
        let position = *store.committed().borrow();
        for (version, planned) in std::mem::take(&mut self.uncertain) {
            if self.model.position() == position {
                break;
            }
            // One that is refused was in a group that may have been applied.
            if self.model.commit(planned.batch(version)).await.is_ok() {
                self.history.batches.push((version, planned));
            }
        }
        self.model.open(self.version).await;
        self.session.disk.promise(self.model.position());
        let schema = self.version.schema();
        match picture(store, &schema, self.trimmed).await {
            Ok(ours) => differ(&ours, &self.model.picture(self.trimmed).await)
                .map_err(|found| format!("after an opening: {found}")),
            Err(error) => is_told(&error),
        }
    }

    /// Readers see what is durable.
    async fn look(&self) -> Found {
        let Some(store) = &self.store else { return Ok(()) };
        match picture(&**store, &self.version.schema(), self.trimmed).await {
            Ok(ours) => differ(&ours, &self.model.picture(self.trimmed).await)
                .map_err(|found| format!("while it is open: {found}")),
            Err(error) => is_told(&error),
        }
    }

    async fn trim(&mut self) -> Found {
        let upto = EventPosition::end_of(self.model.position());
        if let Some(store) = &self.store {
            store.trim_outbox(upto).await.map_err(|error| error.to_string())?;
            self.trimmed = upto;
        }
        Ok(())
    }

    async fn commit(&mut self, group: &[Planned]) -> Found {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let batches: Vec<_> = group.iter().map(|planned| planned.batch(self.version)).collect();
        let answers = join_all(batches.iter().map(|batch| store.commit(batch.clone())));
        let answers = patiently("a commit", answers).await?;
        self.answers = answers.iter().map(|answer| format!("{answer:?}")).collect();
        for ((answer, batch), planned) in answers.into_iter().zip(batches).zip(group) {
            match &answer {
                Err(CommitError::Unavailable { maybe_applied: true, cause }) => {
                    is_told(cause)?;
                    self.poisoned = true;
                    self.uncertain.push((self.version, planned.clone()));
                }
                Err(CommitError::Unavailable { maybe_applied: false, cause }) => is_told(cause)?,
                Err(CommitError::Poisoned) => self.poisoned = true,
                _ if self.poisoned => {
                    return Err(format!("a poisoned store answered {answer:?}"));
                }
                _ => {
                    let expected = self.model.commit(batch).await;
                    if format!("{answer:?}") != format!("{expected:?}") {
                        return Err(format!("{answer:?} instead of {expected:?}"));
                    }
                    if answer.is_ok() {
                        self.history.batches.push((self.version, planned.clone()));
                    }
                }
            }
        }
        self.session.disk.promise(self.model.position());
        Ok(())
    }
}

/// Why a store was not opened.
#[derive(Debug)]
enum Trouble {
    /// It said why.
    Told(Error),
    /// What must not be.
    Found(String),
}

impl From<String> for Trouble {
    fn from(found: String) -> Trouble {
        Trouble::Found(found)
    }
}
