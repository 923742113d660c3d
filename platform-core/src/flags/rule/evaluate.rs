//! The evaluation of a compiled rule.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::Write;

use serde_json::Value as Json;

use super::value::Value;
use super::{Arithmetic, Each, Order, Path, Rule, Segment, VersionOperand, version};
use crate::flags::bucketing::Bucketing;
use crate::flags::context::Subject;

/// Steps of one evaluation. A rule has at most 10,000 nodes; only iteration over large lists of a
/// context comes near, and whoever sends the context must not choose how long we work.
const STEPS: u32 = 100_000;
/// Bytes of texts and items of lists that one evaluation may make.
const MADE: u32 = 1_000_000;

/// The evaluation took too many steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flags) struct Exhausted;

/// Evaluates rules for one flag and one subject.
pub(in crate::flags) struct Machine<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) flag_key: &'a str,
    pub(super) bucketing: Bucketing,
    timestamp: u64,
    steps: Cell<u32>,
    made: Cell<u32>,
}

/// What a rule says.
#[derive(Debug, PartialEq)]
pub(in crate::flags) enum Verdict<'a> {
    /// Nothing: the default variant.
    Default,
    /// The name of a variant.
    Variant(Cow<'a, str>),
}

/// What `var` refers to.
#[derive(Clone)]
pub(super) enum Scope<'a> {
    Context,
    Item(Value<'a>),
    Fold { current: Value<'a>, accumulator: Value<'a> },
}

type Evaluated<'a> = Result<Value<'a>, Exhausted>;

impl<'a> Machine<'a> {
    /// For a flag, a subject, and the time in seconds since 1970.
    pub(in crate::flags) fn new(
        subject: &'a Subject<'a>,
        flag_key: &'a str,
        bucketing: Bucketing,
        timestamp: u64,
    ) -> Machine<'a> {
        Machine { subject, flag_key, bucketing, timestamp, steps: Cell::new(STEPS), made: Cell::new(MADE) }
    }

    /// Runs a flag's targeting.
    ///
    /// # Errors
    /// When it takes too long.
    pub(in crate::flags) fn run(&self, rule: &'a Rule) -> Result<Verdict<'a>, Exhausted> {
        let mut rule = rule;
        // Most rules are conditions with the names of variants: those need no value in between.
        loop {
            match rule {
                Rule::If(items) => match self.choose(items, &Scope::Context)? {
                    Some(chosen) => rule = chosen,
                    None => return Ok(Verdict::Default),
                },
                Rule::Text(name) => return Ok(Verdict::Variant(Cow::Borrowed(name))),
                _ => break,
            }
        }
        Ok(match self.evaluate(rule, &Scope::Context)? {
            Value::Null => Verdict::Default,
            Value::Text(name) => Verdict::Variant(name),
            Value::Bool(true) => Verdict::Variant(Cow::Borrowed("true")),
            Value::Bool(false) => Verdict::Variant(Cow::Borrowed("false")),
            other => Verdict::Variant(Cow::Owned(other.to_string())),
        })
    }

    fn spend(cell: &Cell<u32>, amount: usize) -> Result<(), Exhausted> {
        let left = u32::try_from(amount).ok().and_then(|amount| cell.get().checked_sub(amount));
        cell.set(left.ok_or(Exhausted)?);
        Ok(())
    }

    pub(super) fn evaluate(&self, rule: &'a Rule, scope: &Scope<'a>) -> Evaluated<'a> {
        Self::spend(&self.steps, 1)?;
        Ok(match rule {
            Rule::Null => Value::Null,
            Rule::Bool(value) => Value::Bool(*value),
            Rule::Number(number) => Value::Number(*number),
            Rule::Text(text) => Value::Text(Cow::Borrowed(text)),
            Rule::List(items) => Value::List(self.list(items, scope)?),
            Rule::Var(path, default) => match (self.var(path, scope)?, default) {
                (Value::Null, Some(default)) => self.evaluate(default, scope)?,
                (value, _) => value,
            },
            Rule::FlagKey => Value::Text(Cow::Borrowed(self.flag_key)),
            Rule::Timestamp => Value::Number(self.timestamp as f64),
            Rule::Missing(paths) => Value::List(self.missing(paths, scope)?),
            Rule::MissingSome(least, paths) => {
                let missing = self.missing(paths, scope)?;
                let enough = paths.len().saturating_sub(missing.len()) >= *least;
                Value::List(if enough { Vec::new() } else { missing })
            }
            Rule::If(items) => match self.choose(items, scope)? {
                Some(chosen) => self.evaluate(chosen, scope)?,
                None => Value::Null,
            },
            Rule::And(items) => self.until(items, scope, false)?,
            Rule::Or(items) => self.until(items, scope, true)?,
            Rule::Truth { of, negated } => Value::Bool(self.is_true(of, scope)? != *negated),
            Rule::Equal { strict, negated, of } => {
                Value::Bool(self.are_equal(*strict, of, scope)? != *negated)
            }
            Rule::Order(order, items) => Value::Bool(self.in_order(*order, items, scope)?),
            Rule::Arithmetic(operation, items) => self.arithmetic(*operation, items, scope)?,
            Rule::Each(each, of) => self.each(*each, of, scope)?,
            Rule::Reduce(of) => self.reduce(of, scope)?,
            Rule::Merge(items) => self.merge(items, scope)?,
            Rule::In(of) => Value::Bool(self.is_in(of, scope)?),
            Rule::Cat(items) => self.cat(items, scope)?,
            Rule::Substring(items) => self.substring(items, scope)?,
            Rule::StartsWith(of) => self.texts(of, scope, |text, part| text.starts_with(part))?,
            Rule::EndsWith(of) => self.texts(of, scope, |text, part| text.ends_with(part))?,
            Rule::SemVer { of, relation, than } => {
                let than = match than {
                    VersionOperand::Literal(version) => Some(Cow::Borrowed(version)),
                    VersionOperand::Rule(rule) => {
                        version::of_value(&self.evaluate(rule, scope)?).map(Cow::Owned)
                    }
                };
                match (version::of_value(&self.evaluate(of, scope)?), than) {
                    (Some(version), Some(than)) => Value::Bool(relation.holds(&version, &than)),
                    _ => Value::Null,
                }
            }
            Rule::Fractional(rule) => self.fractional(rule, scope)?,
            Rule::Shared(rule) => self.evaluate(rule, scope)?,
        })
    }

    fn list(&self, items: &'a [Rule], scope: &Scope<'a>) -> Result<Vec<Value<'a>>, Exhausted> {
        Self::spend(&self.made, items.len())?;
        items.iter().map(|item| self.evaluate(item, scope)).collect()
    }

    fn both(&self, of: &'a [Rule; 2], scope: &Scope<'a>) -> Result<[Value<'a>; 2], Exhausted> {
        let [a, b] = of;
        Ok([self.evaluate(a, scope)?, self.evaluate(b, scope)?])
    }

    fn var(&self, path: &'a Path, scope: &Scope<'a>) -> Evaluated<'a> {
        let segments = &*path.segments;
        match (scope, segments) {
            (Scope::Context, []) => Ok(self.subject.everything()),
            (Scope::Context, [first, rest @ ..]) => self.walk(&self.subject.attribute(&first.name), rest),
            (Scope::Item(item), _) => self.walk(item, segments),
            (Scope::Fold { current, accumulator }, [first, rest @ ..]) => match &*first.name {
                "current" => self.walk(current, rest),
                "accumulator" => self.walk(accumulator, rest),
                _ => Ok(Value::Null),
            },
            (Scope::Fold { .. }, []) => Ok(Value::Null),
        }
    }

    /// What stands at the end of a path. A copy of something that was made counts as made again: lists that
    /// hold themselves twice would double with each step.
    fn walk(&self, value: &Value<'a>, path: &'a [Segment]) -> Evaluated<'a> {
        let Some((segment, rest)) = path.split_first() else {
            Self::spend(&self.made, value.made())?;
            return Ok(value.clone());
        };
        let next = match value {
            Value::Json(Json::Object(map)) => map.get(&*segment.name).map(Value::from),
            Value::Json(Json::Array(items)) => {
                segment.index.and_then(|index| items.get(index)).map(Value::from)
            }
            Value::List(items) => match segment.index.and_then(|index| items.get(index)) {
                Some(item) => return self.walk(item, rest),
                None => None,
            },
            _ => None,
        };
        next.map_or(Ok(Value::Null), |value| self.walk(&value, rest))
    }

    fn missing(&self, paths: &'a [Path], scope: &Scope<'a>) -> Result<Vec<Value<'a>>, Exhausted> {
        let mut missing = Vec::new();
        for path in paths {
            let absent = match self.var(path, scope)? {
                Value::Null => true,
                Value::Text(text) => text.is_empty(),
                _ => false,
            };
            if absent {
                missing.push(Value::Text(Cow::Borrowed(&*path.name)));
            }
        }
        Ok(missing)
    }

    /// The part of an `if` that holds, if any does.
    fn choose(&self, items: &'a [Rule], scope: &Scope<'a>) -> Result<Option<&'a Rule>, Exhausted> {
        let mut rest = items;
        loop {
            match rest {
                [] => return Ok(None),
                [last] => return Ok(Some(last)),
                [condition, then, others @ ..] => {
                    if self.is_true(condition, scope)? {
                        return Ok(Some(then));
                    }
                    rest = others;
                }
            }
        }
    }

    /// Whether a rule's value counts as true; of conditions without making the value.
    fn is_true(&self, rule: &'a Rule, scope: &Scope<'a>) -> Result<bool, Exhausted> {
        match rule {
            Rule::Truth { of, negated } => {
                Self::spend(&self.steps, 1)?;
                Ok(self.is_true(of, scope)? != *negated)
            }
            Rule::Equal { strict, negated, of } => {
                Self::spend(&self.steps, 1)?;
                Ok(self.are_equal(*strict, of, scope)? != *negated)
            }
            Rule::In(of) => {
                Self::spend(&self.steps, 1)?;
                self.is_in(of, scope)
            }
            Rule::And(items) => self.are_all(items, scope, true),
            Rule::Or(items) => Ok(!self.are_all(items, scope, false)?),
            _ => Ok(self.evaluate(rule, scope)?.is_true()),
        }
    }

    /// Whether all of them are as true as wanted; the rest is not looked at after one that is not.
    fn are_all(&self, items: &'a [Rule], scope: &Scope<'a>, wanted: bool) -> Result<bool, Exhausted> {
        Self::spend(&self.steps, 1)?;
        for item in items {
            if self.is_true(item, scope)? != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn are_equal(&self, strict: bool, of: &'a [Rule; 2], scope: &Scope<'a>) -> Result<bool, Exhausted> {
        // An attribute beside a text is the usual condition.
        if let [Rule::Var(path, None), Rule::Text(text)] = of
            && let (Scope::Context, [segment]) = (scope, &*path.segments)
            && let Some(attribute) = self.subject.text(&segment.name)
        {
            return Ok(*attribute == **text);
        }
        let [a, b] = self.both(of, scope)?;
        Ok(if strict { a.same(&b) } else { a.alike(&b) })
    }

    /// The first value that is as true as wanted, or the last.
    fn until(&self, items: &'a [Rule], scope: &Scope<'a>, wanted: bool) -> Evaluated<'a> {
        let mut value = Value::Null;
        for item in items {
            value = self.evaluate(item, scope)?;
            if value.is_true() == wanted {
                break;
            }
        }
        Ok(value)
    }

    fn in_order(&self, order: Order, items: &'a [Rule], scope: &Scope<'a>) -> Result<bool, Exhausted> {
        let holds = |a: &Value<'_>, b: &Value<'_>| match order {
            Order::Less => a.less(b),
            Order::AtMost => a.at_most(b),
            Order::Greater => b.less(a),
            Order::AtLeast => b.at_most(a),
        };
        let [first, others @ ..] = items else { return Ok(false) };
        let mut before = self.evaluate(first, scope)?;
        for item in others {
            let value = self.evaluate(item, scope)?;
            if !holds(&before, &value) {
                return Ok(false);
            }
            before = value;
        }
        Ok(true)
    }

    fn arithmetic(&self, operation: Arithmetic, items: &'a [Rule], scope: &Scope<'a>) -> Evaluated<'a> {
        let mut result: Option<f64> = None;
        for item in items {
            let number = self.evaluate(item, scope)?.to_number();
            result = Some(match (result, operation) {
                (None, Arithmetic::Subtract) if items.len() == 1 => -number,
                (None, _) => number,
                (Some(before), Arithmetic::Add) => before + number,
                (Some(before), Arithmetic::Subtract) => before - number,
                (Some(before), Arithmetic::Multiply) => before * number,
                (Some(before), Arithmetic::Divide) => before / number,
                (Some(before), Arithmetic::Remainder) => before % number,
                (Some(before), Arithmetic::Smallest) => {
                    if number < before {
                        number
                    } else {
                        before
                    }
                }
                (Some(before), Arithmetic::Largest) => {
                    if number > before {
                        number
                    } else {
                        before
                    }
                }
            });
        }
        Ok(result.map_or(Value::Null, Value::number))
    }

    fn items(&self, rule: &'a Rule, scope: &Scope<'a>) -> Result<Vec<Value<'a>>, Exhausted> {
        let items = self.evaluate(rule, scope)?.into_items().unwrap_or_default();
        Self::spend(&self.made, items.len())?;
        Ok(items)
    }

    fn each(&self, each: Each, [of, rule]: &'a [Rule; 2], scope: &Scope<'a>) -> Evaluated<'a> {
        let items = self.items(of, scope)?;
        let some_items = !items.is_empty();
        let mut kept = Vec::new();
        for item in items {
            let inner = Scope::Item(item);
            let value = self.evaluate(rule, &inner)?;
            let Scope::Item(item) = inner else { continue };
            match each {
                Each::Map => kept.push(value),
                Each::Filter if value.is_true() => kept.push(item),
                Each::All if !value.is_true() => return Ok(Value::Bool(false)),
                Each::Some if value.is_true() => return Ok(Value::Bool(true)),
                Each::None if value.is_true() => return Ok(Value::Bool(false)),
                Each::Filter | Each::All | Each::Some | Each::None => {}
            }
        }
        Ok(match each {
            Each::Map | Each::Filter => Value::List(kept),
            Each::All => Value::Bool(some_items),
            Each::Some => Value::Bool(false),
            Each::None => Value::Bool(true),
        })
    }

    fn reduce(&self, [of, rule, first]: &'a [Rule; 3], scope: &Scope<'a>) -> Evaluated<'a> {
        let mut accumulator = self.evaluate(first, scope)?;
        for current in self.items(of, scope)? {
            accumulator = self.evaluate(rule, &Scope::Fold { current, accumulator })?;
        }
        Ok(accumulator)
    }

    fn merge(&self, items: &'a [Rule], scope: &Scope<'a>) -> Evaluated<'a> {
        let mut merged = Vec::new();
        for item in items {
            let value = self.evaluate(item, scope)?;
            match value {
                Value::List(_) | Value::Json(Json::Array(_)) => {
                    let inner = value.into_items().unwrap_or_default();
                    Self::spend(&self.made, inner.len())?;
                    merged.extend(inner);
                }
                other => merged.push(other),
            }
        }
        Ok(Value::List(merged))
    }

    fn is_in(&self, [needle, haystack]: &'a [Rule; 2], scope: &Scope<'a>) -> Result<bool, Exhausted> {
        let needle = self.evaluate(needle, scope)?;
        // A list that stands in the rule is searched in place: no allocation.
        if let Rule::List(items) = haystack {
            for item in items {
                if self.evaluate(item, scope)?.same(&needle) {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        Ok(match (self.evaluate(haystack, scope)?, &needle) {
            (Value::Text(text), Value::Text(part)) => text.contains(&**part),
            (Value::Json(Json::Array(items)), _) => items.iter().any(|item| Value::from(item).same(&needle)),
            (Value::List(items), _) => items.iter().any(|item| item.same(&needle)),
            _ => false,
        })
    }

    fn cat(&self, items: &'a [Rule], scope: &Scope<'a>) -> Evaluated<'a> {
        let mut text = String::new();
        for item in items {
            let before = text.len();
            // Writing to a String does not fail.
            let _ = write!(text, "{}", self.evaluate(item, scope)?);
            Self::spend(&self.made, text.len().saturating_sub(before))?;
        }
        Ok(Value::Text(Cow::Owned(text)))
    }

    /// `[text, start, length]`, in characters; negative ones count from the end.
    fn substring(&self, items: &'a [Rule], scope: &Scope<'a>) -> Evaluated<'a> {
        let [text, start, length @ ..] = items else { return Ok(Value::Null) };
        let text = self.evaluate(text, scope)?.to_string();
        Self::spend(&self.made, text.len())?;
        let count = text.chars().count() as f64;
        let from_end = |number: f64| if number < 0.0 { (count + number).max(0.0) } else { number.min(count) };
        // A float that is no number casts to zero.
        let start = from_end(self.evaluate(start, scope)?.to_number().trunc());
        let end = match length {
            [length, ..] => match self.evaluate(length, scope)?.to_number().trunc() {
                length if length < 0.0 => count + length,
                length => (start + length).min(count),
            },
            [] => count,
        };
        let taken = (end - start).max(0.0) as usize;
        Ok(Value::Text(Cow::Owned(text.chars().skip(start as usize).take(taken).collect())))
    }

    fn texts(
        &self,
        of: &'a [Rule; 2],
        scope: &Scope<'a>,
        test: impl FnOnce(&str, &str) -> bool,
    ) -> Evaluated<'a> {
        Ok(match self.both(of, scope)? {
            [Value::Text(text), Value::Text(part)] => Value::Bool(test(&text, &part)),
            _ => Value::Null,
        })
    }
}
