//! The operator `fractional`.

use std::fmt::Write;

use serde_json::Value as Json;

use super::compile::weight_of;
use super::evaluate::{Exhausted, Machine, Scope};
use super::value::Value;
use super::{Fractional, Rule, Weight};
use crate::flags::bucketing::{
    Bucketing, Murmur3, WEIGHTS, place, write_array_head, write_bool, write_canonical, write_number,
    write_text,
};

impl<'a> Machine<'a> {
    /// The variant of the subject's bucket, or null: without a key, without weights, or with wrong ones.
    pub(super) fn fractional(&self, rule: &'a Fractional, scope: &Scope<'a>) -> Result<Value<'a>, Exhausted> {
        let hash = match self.bucketing {
            Bucketing::V1 | Bucketing::V2 => self.hash_of_text(rule, scope)?,
            Bucketing::V3 => self.hash_of_value(rule, scope)?,
        };
        let Some(hash) = hash else { return Ok(Value::Null) };
        let mut total = 0_u32;
        let mut all_fixed = true;
        for bucket in &rule.buckets {
            let Some(weight) = self.weight(&bucket.weight, scope)? else { return Ok(Value::Null) };
            all_fixed &= matches!(bucket.weight, Weight::Fixed(_));
            total = match total.checked_add(weight) {
                Some(total) if total <= WEIGHTS => total,
                _ => return Ok(Value::Null),
            };
        }
        if total == 0 {
            return Ok(Value::Null);
        }
        let index = if all_fixed {
            let fixed = |weight: &Weight| if let Weight::Fixed(weight) = weight { *weight } else { 0 };
            place(self.bucketing, hash, total, rule.buckets.iter().map(|bucket| fixed(&bucket.weight)))
        } else {
            let weights: Result<Vec<_>, _> =
                rule.buckets.iter().map(|bucket| self.weight(&bucket.weight, scope)).collect();
            place(self.bucketing, hash, total, weights?.into_iter().map(Option::unwrap_or_default))
        };
        match index.and_then(|index| rule.buckets.get(index)) {
            Some(bucket) => self.evaluate(&bucket.variant, scope),
            None => Ok(Value::Null),
        }
    }

    fn weight(&self, weight: &'a Weight, scope: &Scope<'a>) -> Result<Option<u32>, Exhausted> {
        match weight {
            Weight::Fixed(weight) => Ok(Some(*weight)),
            Weight::Rule(rule) => Ok(match self.evaluate(rule, scope)? {
                Value::Number(number) => weight_of(number),
                Value::Null => Some(1),
                _ => None,
            }),
        }
    }

    /// v1 and v2: the bytes of a text; for null those of flag key and targeting key.
    fn hash_of_text(&self, rule: &'a Fractional, scope: &Scope<'a>) -> Result<Option<u32>, Exhausted> {
        let mut hash = Murmur3::default();
        match &rule.key {
            // Concatenations are the usual key: their parts are hashed without being joined.
            Some(Rule::Cat(parts)) => {
                for part in parts {
                    match self.evaluate(part, scope)? {
                        Value::Text(text) => hash.update(text.as_bytes()),
                        other => drop(write!(hash, "{other}")),
                    }
                }
                return Ok(Some(hash.finish()));
            }
            Some(key) => match self.evaluate(key, scope)? {
                Value::Text(text) => {
                    hash.update(text.as_bytes());
                    return Ok(Some(hash.finish()));
                }
                Value::Null => {}
                _ => return Ok(None),
            },
            None => {}
        }
        Ok(self.subject.targeting_key().map(|targeting_key| {
            hash.update(self.flag_key.as_bytes());
            hash.update(targeting_key.as_bytes());
            hash.finish()
        }))
    }

    /// v3: the canonical CBOR of a value; without a key that of `[flag key, targeting key]`.
    fn hash_of_value(&self, rule: &'a Fractional, scope: &Scope<'a>) -> Result<Option<u32>, Exhausted> {
        let mut hash = Murmur3::default();
        let mut out = |bytes: &[u8]| hash.update(bytes);
        match &rule.key {
            None => {
                let Some(targeting_key) = self.subject.targeting_key().filter(|key| !key.is_empty()) else {
                    return Ok(None);
                };
                write_array_head(2, &mut out);
                write_text(self.flag_key, &mut out);
                write_text(targeting_key, &mut out);
            }
            Some(key) => match self.evaluate(key, scope)? {
                Value::Null | Value::List(_) | Value::Json(Json::Array(_)) => return Ok(None),
                Value::Bool(value) => write_bool(value, &mut out),
                Value::Number(number) => write_number(number, &mut out),
                Value::Text(text) => write_text(&text, &mut out),
                Value::Json(json) => write_canonical(json, &mut out),
            },
        }
        Ok(Some(hash.finish()))
    }
}
