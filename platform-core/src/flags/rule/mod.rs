//! Targeting: JSONLogic with flagd's operators, compiled once and evaluated many times.

mod compile;
mod evaluate;
mod fractional;
mod value;
mod version;

use std::sync::Arc;

use semver::Version;

pub(super) use compile::{Compiler, check_results};
pub(super) use evaluate::{Machine, Verdict};
pub(super) use value::Value;

/// A compiled rule.
#[derive(Debug)]
pub(super) enum Rule {
    Null,
    Bool(bool),
    Number(f64),
    Text(Box<str>),
    List(Box<[Rule]>),
    Var(Path, Option<Box<Rule>>),
    FlagKey,
    Timestamp,
    Missing(Box<[Path]>),
    MissingSome(usize, Box<[Path]>),
    If(Box<[Rule]>),
    And(Box<[Rule]>),
    Or(Box<[Rule]>),
    Truth {
        of: Box<Rule>,
        negated: bool,
    },
    Equal {
        strict: bool,
        negated: bool,
        of: Box<[Rule; 2]>,
    },
    Order(Order, Box<[Rule]>),
    Arithmetic(Arithmetic, Box<[Rule]>),
    Each(Each, Box<[Rule; 2]>),
    Reduce(Box<[Rule; 3]>),
    Merge(Box<[Rule]>),
    In(Box<[Rule; 2]>),
    Cat(Box<[Rule]>),
    Substring(Box<[Rule]>),
    StartsWith(Box<[Rule; 2]>),
    EndsWith(Box<[Rule; 2]>),
    SemVer {
        of: Box<Rule>,
        relation: version::Relation,
        than: VersionOperand,
    },
    Fractional(Box<Fractional>),
    /// An evaluator of the flag set, shared by the rules that refer to it.
    Shared(Arc<Rule>),
}

/// The path of a variable; empty for everything.
#[derive(Debug)]
pub(super) struct Path {
    name: Box<str>,
    segments: Box<[Segment]>,
}

#[derive(Debug)]
struct Segment {
    name: Box<str>,
    index: Option<usize>,
}

impl Path {
    fn new(name: &str) -> Path {
        let segments = name.split('.').filter(|_| !name.is_empty());
        let segment = |name: &str| Segment { name: name.into(), index: name.parse().ok() };
        Path { name: name.into(), segments: segments.map(segment).collect() }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Less,
    AtMost,
    Greater,
    AtLeast,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Smallest,
    Largest,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Each {
    Map,
    Filter,
    All,
    None,
    Some,
}

/// What a version is compared with.
#[derive(Debug)]
pub(super) enum VersionOperand {
    Literal(Version),
    Rule(Box<Rule>),
}

/// `fractional`: weights, and the expression whose value is hashed (`None`: flag key and targeting key).
#[derive(Debug)]
pub(super) struct Fractional {
    key: Option<Rule>,
    buckets: Box<[Bucket]>,
}

#[derive(Debug)]
struct Bucket {
    variant: Rule,
    weight: Weight,
}

#[derive(Debug)]
enum Weight {
    Fixed(u32),
    Rule(Rule),
}

#[cfg(test)]
mod tests;
