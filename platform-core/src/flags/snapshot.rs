//! A flag set, compiled: what evaluations read, without a lock and as a rule without an allocation.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::FixedState;
use serde_json::Value as Json;

use super::bucketing::Bucketing;
use super::context::Subject;
use super::counts::{Counters, FlagCounts};
use super::definition::{Definition, FlagState};
use super::error::Fault;
use super::rule::{Compiler, Machine, Rule, Verdict, check_results};

/// Metadata of an evaluation: those of the set, and above them those of the flag.
pub type Metadata = BTreeMap<String, Json>;

/// Why an evaluation gave what it gave (OpenFeature).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// The flag has no rule.
    Static,
    /// The rule chose nothing.
    Default,
    /// The rule chose.
    TargetingMatch,
    /// The flag is disabled.
    Disabled,
}

/// Why there is no evaluation (OpenFeature's error codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// There is no such flag.
    FlagNotFound,
    /// Its rule is broken, or named no variant.
    ParseError,
    /// The context is none.
    InvalidContext,
    /// It took too long.
    General,
}

/// What an evaluation gave. Without a value the caller's own default applies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation<'a> {
    /// The variant.
    pub variant: Option<&'a str>,
    /// Its value.
    pub value: Option<&'a Json>,
    /// Why.
    pub reason: Reason,
    /// What is said besides.
    pub metadata: &'a Metadata,
}

/// A compiled flag.
#[derive(Debug)]
pub(super) struct CompiledFlag {
    key: Box<str>,
    revision: u64,
    state: FlagState,
    /// In the order of their names.
    variants: Box<[(Box<str>, Json)]>,
    default: Option<usize>,
    targeting: Targeting,
    metadata: Metadata,
    counts: Arc<FlagCounts>,
}

#[derive(Debug)]
enum Targeting {
    None,
    Rule {
        rule: Rule,
        uses_time: bool,
    },
    /// It was valid once and is not any more.
    Broken,
}

/// A flag as it is stored.
pub(super) struct FlagSource<'a> {
    pub(super) key: &'a str,
    pub(super) revision: u64,
    pub(super) definition: &'a Definition,
}

/// What holds for all flags of a set.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SetSource {
    pub(super) revision: u64,
    /// The revision in which evaluators, metadata or bucketing changed last.
    pub(super) settings_revision: u64,
    pub(super) bucketing: Bucketing,
    pub(super) evaluators: BTreeMap<String, Json>,
    pub(super) metadata: Metadata,
}

/// A flag set at one revision, ready for evaluation.
#[derive(Debug, Default)]
pub struct Snapshot {
    set: SetSource,
    flags: Vec<Arc<CompiledFlag>>,
    /// Keys are an administrator's, so a fast hash without a seed will do.
    index: HashMap<Box<str>, Arc<CompiledFlag>, FixedState>,
}

/// Checks a definition against the evaluators of a set.
pub(super) fn check(definition: &Definition, evaluators: &BTreeMap<String, Json>) -> Result<(), Fault> {
    let Some(targeting) = &definition.targeting else { return Ok(()) };
    Compiler::new(evaluators).rule(targeting, "/targeting")?;
    check_results(targeting, "/targeting", &|name| definition.variants.contains_key(name))
}

impl Snapshot {
    /// Compiles a set. What `before` has compiled already is taken over.
    pub(super) fn compile(
        set: SetSource,
        flags: &[FlagSource<'_>],
        before: &Snapshot,
        counters: &Counters,
    ) -> Snapshot {
        let same_settings = set.settings_revision == before.set.settings_revision;
        let mut compiler = Compiler::new(&set.evaluators);
        let mut compiled: Vec<Arc<CompiledFlag>> = flags
            .iter()
            .map(|flag| match before.find(flag.key) {
                Some(known) if same_settings && known.revision == flag.revision => Arc::clone(known),
                _ => Arc::new(compile(flag, &set.metadata, &mut compiler, counters)),
            })
            .collect();
        compiled.sort_by(|a, b| a.key.cmp(&b.key));
        let index = compiled.iter().map(|flag| (flag.key.clone(), Arc::clone(flag))).collect();
        Snapshot { flags: compiled, index, set }
    }

    /// Counts the changes of the set, from 0.
    pub fn revision(&self) -> u64 {
        self.set.revision
    }

    /// The generation of bucketing.
    pub fn bucketing(&self) -> Bucketing {
        self.set.bucketing
    }

    /// The metadata of the set.
    pub fn metadata(&self) -> &Metadata {
        &self.set.metadata
    }

    /// The keys of all flags, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.flags.iter().map(|flag| &*flag.key)
    }

    fn find(&self, key: &str) -> Option<&Arc<CompiledFlag>> {
        self.index.get(key)
    }

    /// Evaluates a flag; `now_s` is the time in seconds since 1970. The evaluation is counted.
    ///
    /// # Errors
    /// The code.
    pub fn evaluate<'a>(
        &'a self,
        key: &str,
        subject: &'a Subject<'a>,
        now_s: u64,
    ) -> Result<Evaluation<'a>, ErrorCode> {
        let flag = self.find(key).ok_or(ErrorCode::FlagNotFound)?;
        let (variant, reason) = self.choose(flag, subject, now_s).inspect_err(|_| flag.counts.count(None))?;
        flag.counts.count(variant);
        let chosen = variant.and_then(|index| flag.variants.get(index));
        Ok(Evaluation {
            variant: chosen.map(|(name, _)| &**name),
            value: chosen.map(|(_, value)| value),
            reason,
            metadata: &flag.metadata,
        })
    }

    fn choose(
        &self,
        flag: &CompiledFlag,
        subject: &Subject<'_>,
        now_s: u64,
    ) -> Result<(Option<usize>, Reason), ErrorCode> {
        if flag.state == FlagState::Disabled {
            return Ok((None, Reason::Disabled));
        }
        let rule = match &flag.targeting {
            Targeting::None if flag.default.is_some() => return Ok((flag.default, Reason::Static)),
            Targeting::None => return Ok((None, Reason::Default)),
            Targeting::Broken => return Err(ErrorCode::ParseError),
            Targeting::Rule { rule, .. } => rule,
        };
        match Machine::new(subject, &flag.key, self.set.bucketing, now_s).run(rule) {
            Err(_) => Err(ErrorCode::General),
            Ok(Verdict::Default) => Ok((flag.default, Reason::Default)),
            Ok(Verdict::Variant(name)) => {
                let found = flag.variants.binary_search_by(|(known, _)| (**known).cmp(&*name));
                let index = found.map_err(|_| ErrorCode::ParseError)?;
                Ok((Some(index), Reason::TargetingMatch))
            }
        }
    }

    /// What the flags whose rules ask for the time would give now, for a tag that changes with it.
    pub(super) fn choices_by_time<'a>(
        &'a self,
        subject: &'a Subject<'a>,
        now_s: u64,
    ) -> impl Iterator<Item = (&'a str, Option<usize>)> {
        let by_time =
            |flag: &&Arc<CompiledFlag>| matches!(flag.targeting, Targeting::Rule { uses_time: true, .. });
        self.flags.iter().filter(by_time).map(move |flag| {
            (&*flag.key, self.choose(flag, subject, now_s).ok().and_then(|(variant, _)| variant))
        })
    }
}

fn compile(
    flag: &FlagSource<'_>,
    set: &Metadata,
    compiler: &mut Compiler<'_>,
    counters: &Counters,
) -> CompiledFlag {
    let definition = flag.definition;
    let variants: Box<[(Box<str>, Json)]> =
        definition.variants.iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect();
    let place = |name: &String| definition.variants.keys().position(|known| known == name);
    let targeting = match &definition.targeting {
        None => Targeting::None,
        Some(rule) => match compiler.rule(rule, "/targeting") {
            Ok((rule, uses_time)) => Targeting::Rule { rule, uses_time },
            Err(fault) => {
                tracing::error!(
                    flag = flag.key,
                    pointer = fault.pointer,
                    why = fault.why,
                    "a stored rule is broken"
                );
                Targeting::Broken
            }
        },
    };
    let mut metadata = set.clone();
    metadata.extend(definition.metadata.clone());
    CompiledFlag {
        key: flag.key.into(),
        revision: flag.revision,
        state: definition.state,
        default: definition.default_variant.as_ref().and_then(place),
        targeting,
        metadata,
        counts: counters.open(flag.key, definition.variants.keys().map(String::as_str)),
        variants,
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
