//! The methods of flags.

use platform_core::flags::{BulkEvaluation, EvaluationContext, Flag, FlagEvaluation, FlagKey, FlagSet};
use platform_core::kernel::Result;
use serde_json::{Map, Value, json};

use crate::shapes::{gathered, plain, renamed};
use crate::table::methods;

methods! { flags:
    call put(key: FlagKey, definition: Value, revision: Option<u64>) |platform, context|
        platform.flags().put(&context, &key, revision, &definition).await => shown;
    call kill(key: FlagKey, revision: Option<u64>) |platform, context|
        platform.flags().kill(&context, &key, revision).await => shown;
    call restore(key: FlagKey, revision: u64) |platform, context|
        platform.flags().restore(&context, &key, revision).await => shown;
    call delete(key: FlagKey, revision: Option<u64>) |platform, context|
        platform.flags().delete(&context, &key, revision).await => plain;
    call put_set(; settings: Map<String, Value>) |platform, context| {
        let settings: FlagSet = of_names(settings)?;
        platform.flags().put_set(&context, &settings).await
    } => set;
    call get(key: FlagKey) |platform, context| platform.flags().get(&context, &key).await => shown;
    list list() |platform, context, page| platform.flags().list(&context, &page).await => shown;
    list revisions(key: FlagKey) |platform, context, page|
        platform.flags().revisions(&context, &key, &page).await => plain;
    call set() |platform, context| platform.flags().set(&context).await => set;
    call evaluations(key: FlagKey) |platform, context| platform.flags().evaluations(&context, &key).await => plain;
    call evaluate(key: String, targeting_key: Option<String>, attributes: Option<Map<String, Value>>)
        |platform, context| {
            let subject = subject(targeting_key, attributes)?;
            platform.flags().evaluate(&context, &key, &subject)
        } => evaluation;
    call evaluate_all(targeting_key: Option<String>, attributes: Option<Map<String, Value>>, known: Option<String>)
        |platform, context| {
            let subject = subject(targeting_key, attributes)?;
            platform.flags().evaluate_all(&context, &subject, known.as_deref())
        } => evaluations;
}

/// Whom a flag is evaluated for.
fn subject(
    targeting_key: Option<String>,
    attributes: Option<Map<String, Value>>,
) -> Result<EvaluationContext> {
    let mut attributes = attributes.unwrap_or_default();
    attributes.extend(targeting_key.map(|key| ("targetingKey".to_owned(), key.into())));
    EvaluationContext::from_json(Value::Object(attributes))
}

fn of_names(settings: Map<String, Value>) -> Result<FlagSet> {
    let settings = renamed(Value::Object(settings), &[("evaluators", "$evaluators")]);
    serde_json::from_value(settings).map_err(|error| crate::not_an_argument("the set", &error))
}

fn shown(flag: Flag) -> Value {
    gathered(plain(flag), &["key", "revision"], "definition")
}

fn set(set: FlagSet) -> Value {
    renamed(plain(set), &[("$evaluators", "evaluators")])
}

fn evaluation(evaluation: FlagEvaluation) -> Value {
    renamed(plain(evaluation), &[("errorCode", "error_code"), ("errorDetails", "error_details")])
}

fn evaluations(all: BulkEvaluation) -> Value {
    let flags = all.body.map(|body| body.flags.into_iter().map(evaluation).collect::<Vec<_>>());
    json!({"etag": all.etag, "flags": flags})
}
