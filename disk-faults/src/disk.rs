//! A disk: an image under a plan.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::image::{Image, Inode};
use crate::plan::{Fault, Operation, Plan};

/// A disk under test. Its calls are numbered from 0.
#[derive(Debug, Default)]
pub struct Disk {
    state: Mutex<State>,
    /// What whoever tests it has been promised so far.
    promised: AtomicU64,
}

/// The image of a moment, and what had been promised before it.
#[derive(Debug, Clone)]
pub struct PowerLoss {
    /// The number of the call before which it happened.
    pub call: u64,
    /// What [`Disk::promise`] had been told.
    pub promised: u64,
    /// What was on the disk.
    pub image: Image,
}

/// What a disk consists of.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) image: Image,
    plan: Option<Plan>,
    calls: Vec<Operation>,
    moments: Vec<u64>,
    losses: Vec<PowerLoss>,
    /// Files that are no part of what is stored.
    pub(crate) volatile: BTreeSet<Inode>,
}

impl Disk {
    /// With these files on it, all durable.
    pub fn new(image: Image) -> Disk {
        Disk { state: Mutex::new(State { image, ..State::default() }), promised: AtomicU64::new(0) }
    }

    /// Lets calls fail from now on; they are numbered anew.
    pub fn fail(&self, plan: Plan) {
        let mut state = self.state.lock();
        state.plan = Some(plan);
        state.calls.clear();
    }

    /// Is well again, and says how many calls have failed.
    pub fn heal(&self) -> u64 {
        self.state.lock().plan.take().map_or(0, |plan| plan.fired())
    }

    /// How many calls have failed.
    pub fn fired(&self) -> u64 {
        self.state.lock().plan.as_ref().map_or(0, Plan::fired)
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Operation> {
        self.state.lock().calls.clone()
    }

    /// Forgets the calls so far: they are numbered anew.
    pub fn restart(&self) {
        self.state.lock().calls.clear();
    }

    /// Keeps images of the moments before these calls.
    pub fn lose_power_at(&self, mut calls: Vec<u64>) {
        calls.sort_unstable_by(|a, b| b.cmp(a));
        self.state.lock().moments = calls;
    }

    /// What was kept.
    pub fn power_losses(&self) -> Vec<PowerLoss> {
        std::mem::take(&mut self.state.lock().losses)
    }

    /// Notes how much has been promised: it must outlive every later loss of power.
    pub fn promise(&self, promised: u64) {
        self.promised.store(promised, Ordering::SeqCst);
    }

    /// The present image.
    pub fn image(&self) -> Image {
        self.state.lock().image.clone()
    }

    /// Changes the image behind the back of whoever uses it.
    pub fn with<T>(&self, change: impl FnOnce(&mut Image) -> T) -> T {
        change(&mut self.state.lock().image)
    }

    /// Counts a call and says what is to become of it.
    pub(crate) fn begin(&self, operation: Operation) -> (MutexGuard<'_, State>, Option<Fault>) {
        let mut state = self.state.lock();
        let number = state.calls.len() as u64;
        while state.moments.last().is_some_and(|moment| *moment <= number) {
            state.moments.pop();
            let promised = self.promised.load(Ordering::SeqCst);
            let loss = PowerLoss { call: number, promised, image: state.image.clone() };
            state.losses.push(loss);
        }
        state.calls.push(operation);
        let fault = state.plan.as_mut().and_then(|plan| plan.decide(number, operation));
        (state, fault)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// A number that differs from call to call and is the same in every run.
    pub(crate) fn seed(&self) -> u64 {
        self.calls.len() as u64
    }
}
