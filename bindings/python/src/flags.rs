//! `platform.flags`.

use platform_core::flags::{
    BulkEvaluation as CoreBulk, Change, ErrorCode, EvaluationContext, Flag as CoreFlag,
    FlagEvaluation as CoreEvaluation, FlagKey, FlagSet as CoreSet, Reason, Revision,
    VariantCount as CoreCount,
};
use platform_core::kernel::{Context, Result};
use serde_json::{Map, Value};

use crate::domain::domain;
use crate::record::record;
use crate::values::{Json, JsonObject, Many, Name, Time, literal};

literal! {
    /// A generation of `fractional`.
    Bucketing: platform_core::flags::Bucketing { V1 = "v1", V2 = "v2", V3 = "v3" }
}

literal! {
    /// What a revision did.
    FlagChange: Change { Put = "put", Kill = "kill", Restore = "restore", Delete = "delete" }
}

literal! {
    /// Why an evaluation gave what it gave.
    EvaluationReason: WhyGiven {
        Static = "STATIC", Default = "DEFAULT", TargetingMatch = "TARGETING_MATCH", Disabled = "DISABLED",
        Error = "ERROR",
    }
}

literal! {
    /// Why there is no evaluation.
    EvaluationError: ErrorCode {
        FlagNotFound = "FLAG_NOT_FOUND", ParseError = "PARSE_ERROR", InvalidContext = "INVALID_CONTEXT",
        General = "GENERAL",
    }
}

/// OpenFeature's reasons: those of the core, and that of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhyGiven {
    Static,
    Default,
    TargetingMatch,
    Disabled,
    Error,
}

record! {
    /// A flag.
    Flag(it: CoreFlag) {
        /// Its key.
        key: Name<FlagKey> = Name(it.key.clone());
        /// Counts its changes, from 1, also over deletion.
        revision: u64 = it.revision;
        /// The definition, in flagd's format.
        definition: JsonObject = JsonObject(it.definition.clone().into_iter().collect());
    }
}

record! {
    /// One change of a flag.
    FlagRevision(it: Revision) {
        /// The flag.
        key: Name<FlagKey> = Name(it.key.clone());
        /// Its number, from 1.
        revision: u64 = it.revision;
        /// What it did.
        change: FlagChange = FlagChange(it.change);
        /// The revision that was restored.
        restored: Option<u64> = it.restored;
        /// The definition since then; ``None`` after a deletion.
        definition: Option<Json> = it.definition.clone().map(Json);
        /// Who made it.
        author: String = it.author.to_string();
        /// Why, in the author's words.
        reason: Option<String> = it.reason.clone();
        /// When.
        at: Time = Time(it.at);
    }
}

record! {
    /// What holds for all flags.
    FlagSet(it: CoreSet) {
        /// The generation of ``fractional``.
        bucketing: Bucketing = Bucketing(it.bucketing);
        /// Rules that flags refer to with ``$ref``.
        evaluators: JsonObject = JsonObject(it.evaluators.clone().into_iter().collect());
        /// Texts, numbers and booleans that every evaluation tells.
        metadata: JsonObject = JsonObject(it.metadata.clone().into_iter().collect());
    }
}

record! {
    /// How often a variant was given.
    VariantCount(it: CoreCount) {
        /// The variant; ``None`` for evaluations that gave none.
        variant: Option<String> = it.variant.clone();
        /// How often.
        count: u64 = it.count;
    }
}

record! {
    /// What an evaluation gave, or why it gave nothing.
    FlagEvaluation(it: CoreEvaluation) {
        /// The flag.
        key: String = match it {
            CoreEvaluation::Success(success) => success.key.clone(),
            CoreEvaluation::Failure(failure) => failure.key.clone(),
        };
        /// The value; ``None`` when the caller's own default applies.
        value: Json = Json(match it {
            CoreEvaluation::Success(success) => success.value.clone().unwrap_or_default(),
            CoreEvaluation::Failure(_) => Value::Null,
        });
        /// The variant; ``None`` without a value.
        variant: Option<String> = match it {
            CoreEvaluation::Success(success) => Some(success.variant.clone()).filter(|name| !name.is_empty()),
            CoreEvaluation::Failure(_) => None,
        };
        /// Why.
        reason: EvaluationReason = EvaluationReason(match it {
            CoreEvaluation::Success(success) => match success.reason {
                Reason::Static => WhyGiven::Static,
                Reason::Default => WhyGiven::Default,
                Reason::TargetingMatch => WhyGiven::TargetingMatch,
                Reason::Disabled => WhyGiven::Disabled,
            },
            CoreEvaluation::Failure(_) => WhyGiven::Error,
        });
        /// What is said besides.
        metadata: JsonObject = JsonObject(match it {
            CoreEvaluation::Success(success) => success.metadata.clone().into_iter().collect(),
            CoreEvaluation::Failure(_) => Map::new(),
        });
        /// Why there is no evaluation.
        error_code: Option<EvaluationError> = match it {
            CoreEvaluation::Success(_) => None,
            CoreEvaluation::Failure(failure) => Some(EvaluationError(failure.error_code)),
        };
        /// The same as a sentence.
        error_details: Option<String> = match it {
            CoreEvaluation::Success(_) => None,
            CoreEvaluation::Failure(failure) => Some(failure.error_details.clone()),
        };
    }
}

record! {
    /// All flags for one context.
    BulkEvaluation(it: CoreBulk) {
        /// The tag of set and context: equal tags mean equal evaluations.
        etag: String = it.etag.clone();
        /// The evaluations, in the order of keys; ``None`` when the caller has those of this tag.
        flags: Option<Vec<FlagEvaluation>> =
            it.body.as_ref().map(|body| body.flags.iter().cloned().map(FlagEvaluation).collect());
        /// The metadata of the set.
        metadata: JsonObject = JsonObject(
            it.body.as_ref().map(|body| body.metadata.clone().into_iter().collect()).unwrap_or_default(),
        );
    }
}

domain! {
    /// Feature flags, in flagd's format.
    Flags, AsyncFlags;

    /// Sets a flag's definition, in flagd's format (permission ``flags:write``). Effective at once. ``revision`` is what
    /// the caller has read: when it is not true any more, nothing changes. ``reason`` stands in the revision.
    ///
    /// Raises ``InvalidInputError`` (``flags.invalid_definition``, with the place), ``FailedPreconditionError``
    /// (``flags.stale_revision``).
    command put(
        key: Name<FlagKey>,
        definition: JsonObject;
        revision: Option<u64> = None,
        reason: Option<String> = None
    ) -> Flag,
    example {
        /// >>> p.flags.put("dark-mode", {
        /// ...     "state": "ENABLED",
        /// ...     "variants": {"on": True, "off": False},
        /// ...     "defaultVariant": "off",
        /// ... }).revision
        /// 1
    },
    |platform, context| {
        let (context, definition) = (because(context, reason), Value::Object(definition.0));
        platform.flags().put(&context, &key.0, revision, &definition).await
    };

    /// Disables a flag (permission ``flags:write``): evaluations give the callers' own defaults. Effective at once. A flag
    /// that is disabled stays so.
    ///
    /// Raises ``NotFoundError`` (``flags.not_found``), ``FailedPreconditionError`` (``flags.stale_revision``).
    command kill(key: Name<FlagKey>; revision: Option<u64> = None, reason: Option<String> = None) -> Flag,
    example {
        /// >>> flag = p.flags.put("beta", {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
        /// >>> p.flags.kill("beta", reason="it burns").definition["state"]
        /// 'DISABLED'
    },
    |platform, context| platform.flags().kill(&because(context, reason), &key.0, revision).await;

    /// Takes the definition of an earlier revision again (permission ``flags:write``). Effective at once.
    ///
    /// Raises ``NotFoundError`` (``flags.revision_not_found``).
    command restore(key: Name<FlagKey>, revision: u64; reason: Option<String> = None) -> Flag,
    example {
        /// >>> flag = p.flags.put("beta", {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
        /// >>> killed = p.flags.kill("beta")
        /// >>> p.flags.restore("beta", 1).definition["state"]
        /// 'ENABLED'
    },
    |platform, context| platform.flags().restore(&because(context, reason), &key.0, revision).await;

    /// Deletes a flag; its revisions stay (permission ``flags:write``). Effective at once.
    ///
    /// Raises ``NotFoundError`` (``flags.not_found``), ``FailedPreconditionError`` (``flags.stale_revision``).
    command delete(key: Name<FlagKey>; revision: Option<u64> = None, reason: Option<String> = None) -> (),
    example {
        /// >>> flag = p.flags.put("beta", {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
        /// >>> p.flags.delete("beta")
    },
    |platform, context| platform.flags().delete(&because(context, reason), &key.0, revision).await;

    /// Replaces what holds for all flags (permission ``flags:write``): what is not given is as it was in the beginning.
    /// ``bucketing`` cannot change while there are flags.
    ///
    /// Raises ``InvalidInputError`` (``flags.invalid_settings`` and others), ``ConflictError``.
    command put_set(
        ;
        bucketing: Option<Bucketing> = None,
        evaluators: Option<JsonObject> = None,
        metadata: Option<JsonObject> = None
    ) -> FlagSet,
    example {
        /// >>> p.flags.put_set(metadata={"team": "engines"}).metadata
        /// {'team': 'engines'}
    },
    |platform, context| {
        let map = |object: Option<JsonObject>| object.map(|object| object.0.into_iter().collect()).unwrap_or_default();
        let settings = CoreSet {
            bucketing: bucketing.map(|bucketing| bucketing.0).unwrap_or_default(),
            evaluators: map(evaluators),
            metadata: map(metadata),
        };
        platform.flags().put_set(&context, &settings).await
    };

    /// A flag (permission ``flags:read``).
    ///
    /// Raises ``NotFoundError`` (``flags.not_found``).
    query get(key: Name<FlagKey>) -> Flag,
    example {
        /// >>> flag = p.flags.put("beta", {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
        /// >>> p.flags.get("beta") == flag
        /// True
    },
    |platform, context| platform.flags().get(&context, &key.0).await;

    /// The flags in the order of their keys (permission ``flags:read``).
    pages list() -> Flag,
    example {
        /// >>> [flag.key for flag in p.flags.list()]
        /// []
    },
    |platform, context, page| platform.flags().list(&context, &page).await;

    /// The revisions of a flag, the newest first (permission ``flags:read``).
    pages revisions(key: Name<FlagKey>) -> FlagRevision,
    example {
        /// >>> flag = p.flags.put("beta", {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
        /// >>> killed = p.flags.kill("beta", reason="it burns")
        /// >>> [(revision.change, revision.reason) for revision in p.flags.revisions("beta")]
        /// [('kill', 'it burns'), ('put', None)]
    },
    |platform, context, page| platform.flags().revisions(&context, &key.0, &page).await;

    /// What holds for all flags (permission ``flags:read``).
    query set() -> FlagSet,
    example {
        /// >>> p.flags.set().bucketing
        /// 'v2'
    },
    |platform, context| platform.flags().set(&context).await;

    /// How often each variant of a flag was given, up to the last 5 seconds (permission ``flags:read``).
    ///
    /// Raises ``NotFoundError`` (``flags.not_found``).
    query evaluations(key: Name<FlagKey>) -> Many<CoreCount, VariantCount>,
    example {
        /// >>> flag = p.flags.put("beta", {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"})
        /// >>> p.flags.evaluations("beta")
        /// []
    },
    |platform, context| platform.flags().evaluations(&context, &key.0).await;

    /// Evaluates a flag, from memory, for whoever is signed in. A failure of the evaluation is part of the answer.
    /// ``targeting_key`` and ``attributes`` are OpenFeature's context.
    ///
    /// Raises ``InvalidInputError`` (``flags.invalid_context``).
    memory evaluate(
        key: String;
        targeting_key: Option<String> = None,
        attributes: Option<JsonObject> = None
    ) -> FlagEvaluation,
    example {
        /// >>> flag = p.flags.put("price", {
        /// ...     "state": "ENABLED",
        /// ...     "variants": {"high": 12, "low": 10},
        /// ...     "defaultVariant": "high",
        /// ...     "targeting": {"if": [{"==": [{"var": "tier"}, "gold"]}, "low", None]},
        /// ... })
        /// >>> p.flags.evaluate("price").value
        /// 12
        /// >>> p.flags.evaluate("price", targeting_key="ada", attributes={"tier": "gold"}).value
        /// 10
        /// >>> p.flags.evaluate("nothing").error_code
        /// 'FLAG_NOT_FOUND'
    },
    |platform, context| {
        evaluated(targeting_key, attributes).and_then(|subject| platform.flags().evaluate(context, &key, &subject))
    };

    /// Evaluates all flags, from memory, for whoever is signed in, unless they have the evaluations of the tag ``known``.
    ///
    /// Raises as ``evaluate`` does.
    memory evaluate_all(
        ;
        targeting_key: Option<String> = None,
        attributes: Option<JsonObject> = None,
        known: Option<String> = None
    ) -> BulkEvaluation,
    example {
        /// >>> all = p.flags.evaluate_all(targeting_key="ada")
        /// >>> all.flags
        /// []
        /// >>> p.flags.evaluate_all(targeting_key="ada", known=all.etag).flags is None
        /// True
    },
    |platform, context| {
        let subject = evaluated(targeting_key, attributes);
        subject.and_then(|subject| platform.flags().evaluate_all(context, &subject, known.as_deref()))
    };
}

/// The context with a reason for the change, when one was given with the call.
pub(crate) fn because(context: Context, reason: Option<String>) -> Context {
    Context { reason: reason.or(context.reason), ..context }
}

/// Whom a flag is evaluated for.
fn evaluated(targeting_key: Option<String>, attributes: Option<JsonObject>) -> Result<EvaluationContext> {
    let mut attributes = attributes.map(|object| object.0).unwrap_or_default();
    if let Some(key) = targeting_key {
        attributes.insert("targetingKey".to_owned(), Value::String(key));
    }
    EvaluationContext::from_json(Value::Object(attributes))
}
