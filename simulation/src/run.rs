//! One seed: its commands, its faults, its checks.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use platform_core::kernel::{Context, CorrelationId, RawId, Result};
use platform_core::users::RoleDefinition;
use tokio::sync::oneshot;

use crate::invariants::{Checker, End, Request};
use crate::random::Random;
use crate::settings::Settings;
use crate::stage::Stage;
use crate::trace::TraceHash;
use crate::workload::people::{PERMISSIONS, role_name};
use crate::workload::{Call, Model, Op, Scene, notes, plan};
use crate::world::World;

/// Steps of tasks after which commands that have not ended are stuck.
const STUCK: u64 = 1_000_000;
/// Requests with a key that may be sent again.
const KEPT: usize = 40;
/// Nodes at once, at most.
const NODES: usize = 3;

/// What one seed came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Equal for equal seeds.
    pub hash: Option<TraceHash>,
    /// Commands that were sent.
    pub commands: u64,
    /// Commands that were answered, refused, and neither.
    pub ends: [u64; 3],
    /// Nodes that were started.
    pub starts: u32,
    /// Virtual time.
    pub elapsed: Duration,
    /// What must not be.
    pub violations: Vec<String>,
}

/// Runs a seed with at least so many commands, up to the first violation. With `print` everything that
/// happens is written to the error output.
pub fn run(seed: u64, commands: u64, print: bool) -> Outcome {
    run_settings(Settings::draw(seed, commands), print)
}

/// The same with settings that were not drawn.
pub fn run_settings(settings: Settings, print: bool) -> Outcome {
    let seed = settings.seed;
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut run = Run::new(settings, print);
        run.all();
        run.outcome()
    }));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Outcome {
            seed,
            hash: None,
            commands: 0,
            ends: [0; 3],
            starts: 0,
            elapsed: Duration::ZERO,
            violations: vec![format!("panic: {}", text.unwrap_or_default())],
        }
    })
}

struct Run {
    stage: Arc<Stage>,
    world: World,
    model: Arc<Mutex<Model>>,
    checker: Checker,
    random: Random,
    kept: Vec<Kept>,
    commands: u64,
    ends: [u64; 3],
}

/// A request that may be sent again: with its key and, if it was answered, its answer.
struct Kept {
    op: Arc<dyn Op>,
    key: String,
    answer: Option<String>,
}

/// A command on its way.
struct Sent {
    op: Arc<dyn Op>,
    id: CorrelationId,
    key: Option<String>,
    expected: Option<String>,
    receiver: oneshot::Receiver<Result<String>>,
    end: Option<End>,
}

impl Run {
    fn new(settings: Settings, print: bool) -> Run {
        let stage = Stage::new(settings, print);
        Run {
            world: World::new(&stage),
            model: Arc::default(),
            checker: Checker::default(),
            random: Random::new(stage.settings.seed, 3),
            kept: Vec::new(),
            commands: 0,
            ends: [0; 3],
            stage,
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            seed: self.stage.settings.seed,
            hash: Some(self.stage.trace.lock().hash()),
            commands: self.commands,
            ends: self.ends,
            starts: self.world.starts(),
            elapsed: self.stage.elapsed(),
            violations: self.stage.truth.lock().violations.clone(),
        }
    }

    fn is_over(&self) -> bool {
        self.commands >= self.stage.settings.commands || !self.stage.truth.lock().violations.is_empty()
    }

    fn all(&mut self) {
        self.start();
        self.set_up();
        self.stage.set_quiet(false);
        while !self.is_over() {
            self.happenings();
            self.round();
            self.checker.after_step(&self.world, &self.model, &mut self.random);
            if self.random.happens(15) {
                self.peace(false);
            }
        }
        if self.stage.truth.lock().violations.is_empty() {
            self.peace(true);
        }
    }

    fn start(&mut self) {
        if let Err(why) = self.world.start_node() {
            self.stage.violated(why);
        }
    }

    /// What is there from the beginning: roles and templates.
    fn set_up(&mut self) {
        let Some(node) = self.world.primary() else { return };
        let (platform, ctx) = (node.platform.clone(), Context::service("simulation"));
        let done = self.stage.sim.run_steps(STUCK, async {
            for (number, permission) in PERMISSIONS.iter().enumerate() {
                let permissions: BTreeSet<_> = [permission.clone()].into();
                let definition = RoleDefinition { permissions, ..RoleDefinition::default() };
                platform.users().put_role(&ctx, &role_name(number)?, None, &definition).await?;
            }
            for (name, spec) in notes::templates()? {
                platform.notifications().put_template(&ctx, name, spec, None).await?;
            }
            Ok::<_, platform_core::kernel::Error>(())
        });
        if !matches!(done, Some(Ok(()))) {
            self.stage.violated(format!("start: nothing can be set up: {done:?}"));
        }
    }

    /// What happens to the world between two rounds.
    fn happenings(&mut self) {
        let (random, settings) = (&mut self.random, &self.stage.settings);
        if random.happens(settings.clock_jump) {
            let back = random.happens(300);
            let most =
                if back { 3_600_000 } else { *random.pick(&[60_000, 3_600_000, 100_000_000]).unwrap_or(&1) };
            let by = Duration::from_millis(random.within(1, most));
            self.stage.note(format_args!("clock jump {by:?} back: {back}"));
            self.stage.sim.jump_clock(by, back);
            self.checker.clock_jumps(&self.world);
            // A key does not answer for ever: a request of before would be a new one.
            self.kept.clear();
            self.model.lock().people.sessions.iter_mut().for_each(|session| session.issued = None);
        }
        if random.happens(settings.pause) {
            let pause = Duration::from_millis(random.within(1, 90_000));
            self.let_pass(pause);
        }
        let (random, settings) = (&mut self.random, &self.stage.settings);
        if random.happens(settings.cut_off)
            && let Some(node) = random.index(self.world.nodes.len()).and_then(|at| self.world.nodes.get(at))
        {
            let number = node.number;
            self.world.cut_off(number, true);
        } else if random.happens(200) {
            for node in &self.world.nodes {
                self.world.cut_off(node.number, false);
            }
        }
        if self.random.happens(self.stage.settings.take_over) && self.world.nodes.len() < NODES {
            self.start();
        }
        if self.world.nodes.len() > 1 && self.random.happens(100) {
            self.end_deposed();
        }
        if let Some(at) = self.world.nodes.iter().position(|node| node.is_poisoned())
            && self.random.happens(300)
        {
            self.crash(at);
        }
        if self.world.nodes.is_empty() {
            self.start();
        }
    }

    /// A deposed node ends: in order, or not.
    fn end_deposed(&mut self) {
        let in_order = self.random.happens(500);
        let Some(node) = self.world.nodes.first() else { return };
        if in_order && !node.is_poisoned() {
            let platform = node.platform.clone();
            if self.stage.sim.run_steps(STUCK, platform.stop()).is_none() {
                self.stage.violated(format!("stop: node {} does not stop", node.number));
            }
        }
        self.crash(0);
    }

    fn crash(&mut self, at: usize) {
        self.checker.crashed = true;
        self.world.crash(at);
    }

    fn let_pass(&self, pause: Duration) {
        let sleep = self.stage.outside.sleep(pause);
        if self.stage.sim.run_steps(STUCK, sleep).is_none() {
            self.stage.violated("pause: the platform works without end");
        }
    }

    /// Some commands together; now and then a node ends in their midst.
    fn round(&mut self) {
        let count = self.random.within(1, self.stage.settings.together);
        let mut sent: Vec<Sent> = (0..count).filter_map(|_| self.send()).collect();
        let crash = self.random.happens(self.stage.settings.crash);
        let budget = if crash { self.random.within(1, 600) } else { STUCK };
        let mut done = self.stage.sim.run_steps(budget, gather(&mut sent)).is_some();
        if crash && !done {
            if let Some(at) = self.random.index(self.world.nodes.len()) {
                self.crash(at);
            }
            done = self.stage.sim.run_steps(STUCK, gather(&mut sent)).is_some();
        }
        if !done {
            let waiting = sent.iter().filter(|sent| sent.end.is_none()).map(|sent| &sent.op);
            self.stage.violated(format!("stuck: {:?}", waiting.collect::<Vec<_>>()));
        }
        for one in sent {
            self.ended(one);
        }
    }

    fn send(&mut self) -> Option<Sent> {
        let deposed = self.random.happens(250);
        let at = match deposed {
            true => self.random.index(self.world.nodes.len())?,
            false => self.world.nodes.len().checked_sub(1)?,
        };
        let node = self.world.nodes.get(at)?;
        let (op, key, expected, again) = match self.random.happens(100).then(|| self.random.pick(&self.kept))
        {
            Some(Some(kept)) => (Arc::clone(&kept.op), Some(kept.key.clone()), kept.answer.clone(), true),
            _ => {
                let op = plan(&mut self.model.lock(), &mut self.random, &self.stage.settings.weights);
                let keyed = op.takes_key() && self.random.happens(400);
                (op, keyed.then(|| format!("key{}", self.commands)), None, false)
            }
        };
        self.commands += 1;
        let mut id = [0; 16];
        id.iter_mut().rev().zip(self.commands.to_le_bytes()).for_each(|(to, from)| *to = from);
        let mut ctx = Context::service("simulation");
        ctx.correlation_id = CorrelationId::from_raw(RawId(id));
        ctx.idempotency_key = key.as_ref().and_then(|key| key.parse().ok());
        let (id, (sender, receiver)) = (ctx.correlation_id.clone(), oneshot::channel());
        let scene = Scene {
            stage: Arc::clone(&self.stage),
            node: node.number,
            platform: node.platform.clone(),
            model: Arc::clone(&self.model),
        };
        let (call, task) = (Call { ctx, again }, Arc::clone(&op));
        self.stage.note(format_args!("send {id} to {} {op:?} {key:?}", node.number));
        self.stage.sim.node(node.number).spawn(
            "client",
            Box::pin(async move {
                let result = task.run(&scene, &call).await;
                // Nobody waits any more when the node ended.
                let _ = sender.send(result);
            }),
        );
        Some(Sent { op, id, key, expected, receiver, end: None })
    }

    fn ended(&mut self, sent: Sent) {
        let Sent { op, id, key, expected, end, .. } = sent;
        let end = end.unwrap_or(End::Unknown);
        self.stage.note(format_args!("end {id} {end:?}"));
        let (at, answer) = match &end {
            End::Acknowledged(answer) => (0, Some(Some(answer.clone()))),
            End::Refused(_) => (1, None),
            End::Unknown => (2, Some(expected.clone())),
        };
        if let Some(count) = self.ends.get_mut(at) {
            *count += 1;
        }
        if let (Some(key), Some(answer)) = (&key, answer) {
            self.kept.retain(|kept| kept.key != *key);
            self.kept.push(Kept { op: Arc::clone(&op), key: key.clone(), answer });
            if self.kept.len() > KEPT {
                self.kept.remove(0);
            }
        }
        self.checker.ended(&self.world, Request { op, id, key, expected, end });
    }

    /// Every fault is mended, everything arrives, and everything is looked at.
    fn peace(&mut self, thorough: bool) {
        self.stage.set_quiet(true);
        while let Some(at) = self.world.nodes.iter().position(|node| node.is_poisoned()) {
            self.crash(at);
        }
        if self.world.nodes.is_empty() {
            self.start();
        }
        if thorough {
            // A node that has just started sees what the others left.
            self.start();
        }
        self.checker.in_peace(&self.world, &self.model, thorough);
    }
}

/// Waits until every command has ended, or the node that it was sent to.
async fn gather(sent: &mut [Sent]) {
    for one in sent {
        if one.end.is_none() {
            one.end = Some((&mut one.receiver).await.map_or(End::Unknown, End::of));
        }
    }
}
