//! From JSON to a rule, refusing what could only fail later.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::version::{self, Relation};
use super::{Arithmetic, Bucket, Each, Fractional, Order, Path, Rule, VersionOperand, Weight};
use crate::flags::bucketing::WEIGHTS;
use crate::flags::error::Fault;
use crate::kernel::limits;

/// Nodes of a rule, evaluators counted wherever they are used.
const NODES: usize = 10_000;

type Compiled<T> = Result<T, Fault>;

/// Compiles the rules of one flag set, each evaluator once.
pub(in crate::flags) struct Compiler<'a> {
    evaluators: &'a BTreeMap<String, Json>,
    compiled: BTreeMap<String, (Arc<Rule>, usize)>,
    open: Vec<String>,
    uses_timestamp: bool,
}

/// Where the compiler is: a JSON pointer and its depth, and the nodes so far.
struct Place {
    pointer: String,
    depth: usize,
    nodes: usize,
}

impl Place {
    fn at<T>(
        &mut self,
        step: impl std::fmt::Display,
        work: impl FnOnce(&mut Place) -> Compiled<T>,
    ) -> Compiled<T> {
        let before = self.pointer.len();
        let step = step.to_string().replace('~', "~0").replace('/', "~1");
        self.pointer.push('/');
        self.pointer.push_str(&step);
        self.depth += 1;
        let result = if self.depth > limits::JSON_DEPTH {
            self.fault("rules are at most 32 levels deep")
        } else {
            work(self)
        };
        self.depth -= 1;
        self.pointer.truncate(before);
        result
    }

    fn fault<T>(&self, why: impl Into<String>) -> Compiled<T> {
        Err(Fault::new(self.pointer.clone(), why))
    }

    fn count(&mut self, nodes: usize) -> Compiled<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES { self.fault("a rule has at most 10,000 nodes") } else { Ok(()) }
    }
}

impl<'a> Compiler<'a> {
    /// For a set with these `$evaluators`.
    pub(in crate::flags) fn new(evaluators: &'a BTreeMap<String, Json>) -> Compiler<'a> {
        Compiler { evaluators, compiled: BTreeMap::new(), open: Vec::new(), uses_timestamp: false }
    }

    /// Compiles a rule that stands at `pointer`; also whether it asks for the time.
    pub(in crate::flags) fn rule(&mut self, json: &Json, pointer: &str) -> Compiled<(Rule, bool)> {
        self.uses_timestamp = false;
        let mut place = Place { pointer: pointer.to_owned(), depth: 0, nodes: 0 };
        let rule = self.node(json, &mut place)?;
        // An evaluator that was compiled before does not report again: time is then assumed.
        let shared = !self.compiled.is_empty();
        Ok((rule, self.uses_timestamp || shared))
    }

    /// Compiles every evaluator of the set.
    pub(in crate::flags) fn all_evaluators(&mut self) -> Compiled<()> {
        for name in self.evaluators.keys() {
            let pointer = format!("/$evaluators/{}", name.replace('~', "~0").replace('/', "~1"));
            if name.is_empty() {
                return Err(Fault::new(pointer, "an evaluator has a name"));
            }
            self.evaluator(name, &mut Place { pointer, depth: 0, nodes: 0 })?;
        }
        Ok(())
    }

    fn node(&mut self, json: &Json, place: &mut Place) -> Compiled<Rule> {
        place.count(1)?;
        Ok(match json {
            Json::Null => Rule::Null,
            Json::Bool(value) => Rule::Bool(*value),
            Json::Number(number) => Rule::Number(number.as_f64().unwrap_or_default()),
            Json::String(text) => Rule::Text(text.as_str().into()),
            Json::Array(items) => Rule::List(self.nodes(items, place)?),
            Json::Object(map) => self.operation(map, place)?,
        })
    }

    fn nodes(&mut self, items: &[Json], place: &mut Place) -> Compiled<Box<[Rule]>> {
        items
            .iter()
            .enumerate()
            .map(|(index, item)| place.at(index, |place| self.node(item, place)))
            .collect()
    }

    fn operation(&mut self, map: &Map<String, Json>, place: &mut Place) -> Compiled<Rule> {
        let mut entries = map.iter();
        let (Some((operator, arguments)), None) = (entries.next(), entries.next()) else {
            return place.fault("a rule is an object with one operator");
        };
        place.at(operator, |place| match operator.as_str() {
            "$ref" => match arguments {
                Json::String(name) => self.evaluator(name, place),
                _ => place.fault("$ref names an evaluator"),
            },
            "var" => self.var(arguments, place),
            "!" | "!!" => {
                let of = match arguments {
                    Json::Array(items) => {
                        let [item] = items.as_slice() else { return place.fault("one argument is needed") };
                        place.at(0, |place| self.node(item, place))?
                    }
                    other => self.node(other, place)?,
                };
                Ok(Rule::Truth { of: Box::new(of), negated: operator == "!" })
            }
            _ => match arguments {
                Json::Array(items) => self.listed(operator, items, place),
                _ => place.fault("the arguments are an array"),
            },
        })
    }

    fn listed(&mut self, operator: &str, items: &[Json], place: &mut Place) -> Compiled<Rule> {
        use {Arithmetic as A, Each as E, Order as O};
        let equal = |strict, negated, of| Rule::Equal { strict, negated, of };
        Ok(match operator {
            "if" => Rule::If(self.some(items, 1..=usize::MAX, place)?),
            "and" => Rule::And(self.some(items, 1..=usize::MAX, place)?),
            "or" => Rule::Or(self.some(items, 1..=usize::MAX, place)?),
            "==" => equal(false, false, self.exactly(items, place)?),
            "!=" => equal(false, true, self.exactly(items, place)?),
            "===" => equal(true, false, self.exactly(items, place)?),
            "!==" => equal(true, true, self.exactly(items, place)?),
            "<" => Rule::Order(O::Less, self.some(items, 2..=3, place)?),
            "<=" => Rule::Order(O::AtMost, self.some(items, 2..=3, place)?),
            ">" => Rule::Order(O::Greater, self.some(items, 2..=2, place)?),
            ">=" => Rule::Order(O::AtLeast, self.some(items, 2..=2, place)?),
            "+" => Rule::Arithmetic(A::Add, self.some(items, 1..=usize::MAX, place)?),
            "-" => Rule::Arithmetic(A::Subtract, self.some(items, 1..=2, place)?),
            "*" => Rule::Arithmetic(A::Multiply, self.some(items, 2..=usize::MAX, place)?),
            "/" => Rule::Arithmetic(A::Divide, self.some(items, 2..=2, place)?),
            "%" => Rule::Arithmetic(A::Remainder, self.some(items, 2..=2, place)?),
            "min" => Rule::Arithmetic(A::Smallest, self.some(items, 1..=usize::MAX, place)?),
            "max" => Rule::Arithmetic(A::Largest, self.some(items, 1..=usize::MAX, place)?),
            "map" => Rule::Each(E::Map, self.exactly(items, place)?),
            "filter" => Rule::Each(E::Filter, self.exactly(items, place)?),
            "all" => Rule::Each(E::All, self.exactly(items, place)?),
            "none" => Rule::Each(E::None, self.exactly(items, place)?),
            "some" => Rule::Each(E::Some, self.exactly(items, place)?),
            "reduce" => Rule::Reduce(self.exactly(items, place)?),
            "merge" => Rule::Merge(self.some(items, 1..=usize::MAX, place)?),
            "in" => Rule::In(self.exactly(items, place)?),
            "cat" => Rule::Cat(self.some(items, 1..=usize::MAX, place)?),
            "substr" => Rule::Substring(self.some(items, 2..=3, place)?),
            "starts_with" => Rule::StartsWith(self.texts(items, place)?),
            "ends_with" => Rule::EndsWith(self.texts(items, place)?),
            "missing" => Rule::Missing(names(items, place)?),
            "missing_some" => missing_some(items, place)?,
            "sem_ver" => self.sem_ver(items, place)?,
            "fractional" => self.fractional(items, place)?,
            _ => return place.fault(format!("there is no operator {operator:?}")),
        })
    }

    fn some(
        &mut self,
        items: &[Json],
        number: std::ops::RangeInclusive<usize>,
        place: &mut Place,
    ) -> Compiled<Box<[Rule]>> {
        if number.contains(&items.len()) {
            return self.nodes(items, place);
        }
        match (*number.start(), *number.end()) {
            (least, usize::MAX) => place.fault(format!("at least {least} arguments are needed")),
            (least, most) if least == most => place.fault(format!("{least} arguments are needed")),
            (least, most) => place.fault(format!("{least} to {most} arguments are needed")),
        }
    }

    fn exactly<const N: usize>(&mut self, items: &[Json], place: &mut Place) -> Compiled<Box<[Rule; N]>> {
        let rules: Result<Box<[Rule; N]>, _> = self.some(items, N..=N, place)?.try_into();
        rules.or_else(|_| place.fault(format!("{N} arguments are needed")))
    }

    fn texts(&mut self, items: &[Json], place: &mut Place) -> Compiled<Box<[Rule; 2]>> {
        for (index, item) in items.iter().enumerate() {
            if !matches!(item, Json::String(_) | Json::Object(_)) {
                return place.at(index, |place| place.fault("a text or a rule is needed"));
            }
        }
        self.exactly(items, place)
    }

    fn var(&mut self, arguments: &Json, place: &mut Place) -> Compiled<Rule> {
        let (name, default) = match arguments {
            Json::Array(items) => match items.as_slice() {
                [name] => (name, None),
                [name, default] => (name, Some(default)),
                _ => return place.fault("var takes a name and perhaps a default"),
            },
            name => (name, None),
        };
        let name = match name {
            Json::String(name) => name.clone(),
            Json::Number(index) if index.is_u64() => index.to_string(),
            _ => return place.fault("var takes the name of an attribute"),
        };
        match name.strip_prefix("$flagd") {
            Some(".flagKey") => return Ok(Rule::FlagKey),
            Some(".timestamp") => {
                self.uses_timestamp = true;
                return Ok(Rule::Timestamp);
            }
            Some(rest) if rest.is_empty() || rest.starts_with('.') => {
                return place.fault("$flagd has flagKey and timestamp only");
            }
            _ => {}
        }
        let default = default.map(|json| place.at(1, |place| self.node(json, place))).transpose()?;
        Ok(Rule::Var(Path::new(&name), default.map(Box::new)))
    }

    fn evaluator(&mut self, name: &str, place: &mut Place) -> Compiled<Rule> {
        if let Some((rule, nodes)) = self.compiled.get(name) {
            place.count(*nodes)?;
            return Ok(Rule::Shared(Arc::clone(rule)));
        }
        let Some(json) = self.evaluators.get(name) else {
            return place.fault(format!("there is no evaluator {name:?}"));
        };
        if self.open.iter().any(|other| other == name) {
            return place.fault(format!("the evaluator {name:?} refers to itself"));
        }
        self.open.push(name.to_owned());
        let mut inner = Place {
            pointer: format!("/$evaluators/{}", name.replace('~', "~0").replace('/', "~1")),
            depth: place.depth,
            nodes: 0,
        };
        let rule = self.node(json, &mut inner).map(Arc::new);
        self.open.pop();
        let rule = rule?;
        place.count(inner.nodes)?;
        self.compiled.insert(name.to_owned(), (Arc::clone(&rule), inner.nodes));
        Ok(Rule::Shared(rule))
    }

    fn sem_ver(&mut self, items: &[Json], place: &mut Place) -> Compiled<Rule> {
        let [of, relation, than] = items else {
            return place.fault("sem_ver takes a version, a relation and a version");
        };
        let Some(relation) = relation.as_str().and_then(Relation::parse) else {
            return place.at(1, |place| place.fault("a relation is =, !=, <, <=, >, >=, ^ or ~"));
        };
        let of = match self.version(0, of, place)? {
            VersionOperand::Literal(version) => Box::new(Rule::Text(version.to_string().into())),
            VersionOperand::Rule(rule) => rule,
        };
        Ok(Rule::SemVer { of, relation, than: self.version(2, than, place)? })
    }

    fn version(&mut self, index: usize, json: &Json, place: &mut Place) -> Compiled<VersionOperand> {
        place.at(index, |place| match json {
            Json::String(text) => match version::parse(text) {
                Some(version) => Ok(VersionOperand::Literal(version)),
                None => place.fault("not a semantic version"),
            },
            Json::Object(_) => Ok(VersionOperand::Rule(Box::new(self.node(json, place)?))),
            _ => place.fault("a version or a rule is needed"),
        })
    }

    fn fractional(&mut self, items: &[Json], place: &mut Place) -> Compiled<Rule> {
        let (key, first) = match items.first() {
            Some(Json::Array(_)) => (None, 0),
            Some(json @ Json::Object(_)) => (Some(place.at(0, |place| self.node(json, place))?), 1),
            _ => return place.at(0, |place| place.fault("fractional begins with a rule or a bucket")),
        };
        let mut buckets = Vec::with_capacity(items.len());
        let mut total = 0_u64;
        for (index, item) in items.iter().enumerate().skip(first) {
            let bucket = place.at(index, |place| self.bucket(item, place))?;
            if let Weight::Fixed(weight) = bucket.weight {
                total += u64::from(weight);
            }
            buckets.push(bucket);
        }
        if buckets.is_empty() {
            return place.fault("fractional has at least one bucket");
        }
        if total > u64::from(WEIGHTS) {
            return place.fault("the weights add up to 2,147,483,647 at most");
        }
        Ok(Rule::Fractional(Box::new(Fractional { key, buckets: buckets.into() })))
    }

    fn bucket(&mut self, json: &Json, place: &mut Place) -> Compiled<Bucket> {
        const FORM: &str = "a bucket is [variant] or [variant, weight]";
        let Json::Array(items) = json else { return place.fault(FORM) };
        let (variant, weight) = match items.as_slice() {
            [variant] => (variant, None),
            [variant, weight] => (variant, Some(weight)),
            _ => return place.fault(FORM),
        };
        let variant = place.at(0, |place| match variant {
            Json::Array(_) => place.fault("a variant is a name or a rule"),
            _ => self.node(variant, place),
        })?;
        let weight = place.at(1, |place| match weight {
            None => Ok(Weight::Fixed(1)),
            Some(Json::Number(number)) => match weight_of(number.as_f64().unwrap_or(f64::NAN)) {
                Some(weight) => Ok(Weight::Fixed(weight)),
                None => place.fault("a weight is a whole number up to 2,147,483,647"),
            },
            Some(rule @ Json::Object(_)) => Ok(Weight::Rule(self.node(rule, place)?)),
            Some(_) => place.fault("a weight is a whole number or a rule"),
        })?;
        Ok(Bucket { variant, weight })
    }
}

/// A weight: a whole number; a negative one counts as zero.
pub(super) fn weight_of(number: f64) -> Option<u32> {
    if number.fract() != 0.0 || number > f64::from(WEIGHTS) {
        return None;
    }
    // Whole and at most 2^31 - 1; the cast takes what is negative to zero.
    Some(number as u32)
}

fn names(items: &[Json], place: &mut Place) -> Compiled<Box<[Path]>> {
    let name = |(index, item): (usize, &Json)| {
        place.at(index, |place| match item {
            Json::String(name) => Ok(Path::new(name)),
            _ => place.fault("the name of an attribute is needed"),
        })
    };
    items.iter().enumerate().map(name).collect()
}

fn missing_some(items: &[Json], place: &mut Place) -> Compiled<Rule> {
    let [Json::Number(least), Json::Array(of)] = items else {
        return place.fault("missing_some takes a number and an array of names");
    };
    let Some(least) = least.as_u64().and_then(|least| usize::try_from(least).ok()) else {
        return place.at(0, |place| place.fault("a whole number is needed"));
    };
    Ok(Rule::MissingSome(least, place.at(1, |place| names(of, place))?))
}

/// Checks that what a rule names as its result is a variant, as far as that stands in the rule.
pub(in crate::flags) fn check_results(
    json: &Json,
    pointer: &str,
    is_variant: &dyn Fn(&str) -> bool,
) -> Result<(), Fault> {
    let known = |name: &str| match is_variant(name) {
        true => Ok(()),
        false => Err(Fault::new(pointer, format!("{name:?} is not a variant of this flag"))),
    };
    match json {
        Json::String(name) => known(name),
        Json::Bool(value) => known(if *value { "true" } else { "false" }),
        Json::Object(map) => {
            let Some((operator, Json::Array(items))) = map.iter().next() else { return Ok(()) };
            let last = items.len().wrapping_sub(1);
            for (index, item) in items.iter().enumerate() {
                let place = format!("{pointer}/{operator}/{index}");
                match (operator.as_str(), item) {
                    ("if", _) if items.len() > 1 && (index % 2 == 1 || index == last) => {
                        check_results(item, &place, is_variant)?;
                    }
                    ("fractional", Json::Array(bucket)) => {
                        if let Some(variant) = bucket.first() {
                            check_results(variant, &format!("{place}/0"), is_variant)?;
                        }
                    }
                    _ => {}
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
