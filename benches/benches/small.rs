//! The decisions of every request: who is it, may they, which variant.
//! `cargo bench -p benches`.

#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use embedded_store::SystemRuntime;
use platform_core::Platform;
use platform_core::flags::{EvaluationContext, Subject};
use platform_core::kernel::{Context, Permission};
use platform_core::ports::MemoryBackends;
use serde_json::json;

fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("a request")
}

fn decisions(criterion: &mut Criterion) {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let admin = Context::service("bench");
    let password = "correct horse battery staple";
    let (platform, token) = tokio.block_on(async {
        let memory = MemoryBackends::new(Arc::new(SystemRuntime::current()));
        let platform =
            Platform::builder(memory.backends().await.expect("ports")).build().await.expect("a platform");
        let account = json!({"email": "ada@example.com", "password": password});
        platform.auth().register(&admin, &read(account.clone())).await.expect("registered");
        let tokens = platform.auth().login(&admin, &read(account)).await.expect("signed in");
        for (key, definition) in [
            ("static", json!({"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"})),
            (
                "rule",
                json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
                    "targeting": {"if": [{"==": [{"var": "plan"}, "pro"]}, "on", "off"]}}),
            ),
            (
                "fractional",
                json!({"state": "ENABLED", "variants": {"a": "a", "b": "b"}, "defaultVariant": "a",
                    "targeting": {"fractional": [["a", 50], ["b", 50]]}}),
            ),
        ] {
            platform
                .flags()
                .put(&admin, &key.parse().expect("a key"), None, &definition)
                .await
                .expect("a flag");
        }
        (platform, tokens.access_token)
    });
    criterion.bench_function("authenticate a known token", |bencher| {
        bencher.iter(|| tokio.block_on(platform.auth().authenticate(black_box(&token))).expect("known"));
    });
    let principal = tokio.block_on(platform.auth().authenticate(&token)).expect("known");
    let permission = Permission::literal("ledger:transfer");
    criterion.bench_function("check a permission", |bencher| {
        bencher.iter(|| principal.permissions.contains(black_box(&permission)));
    });
    let snapshot = platform.flags().snapshot();
    let attributes = [("plan", "pro")];
    let subject = Subject::new("user-1", &attributes);
    for key in ["static", "rule", "fractional"] {
        criterion.bench_function(&format!("evaluate a flag: {key}"), |bencher| {
            bencher.iter(|| snapshot.evaluate(black_box(key), &subject, 1_800_000_000).is_ok());
        });
    }
    let context =
        EvaluationContext::from_json(json!({"targetingKey": "user-1", "plan": "pro"})).expect("a context");
    criterion.bench_function("evaluate a flag from JSON", |bencher| {
        bencher.iter(|| platform.flags().evaluate(&admin, black_box("fractional"), &context).is_ok());
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
