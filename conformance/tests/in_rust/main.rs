//! The scenarios, through the Rust facades.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod auth;
mod dead_letters;
mod flags;
mod gateway;
mod notifications;
mod parity;
mod shapes;
mod table;
mod transactions;
mod users;

use std::sync::Arc;

use conformance::{Refused, Scenario, Way, run, scenarios};
use platform_core::Platform;
use platform_core::kernel::{Context, CorrelationId, Error, Principal, Result};
use platform_core::ports::channel::MemoryChannel;
use serde_json::{Map, Value};
use table::{Arguments, Method, known};

/// What is called this way in the lists.
const RUST: &str = "rust";

/// The Rust facades.
struct InRust(Platform);

impl Way for InRust {
    async fn call(
        &self,
        method: &str,
        arguments: Map<String, Value>,
        token: Option<&str>,
    ) -> std::result::Result<Value, Refused> {
        let found = known().find(|known| known.name == method);
        let found = found.unwrap_or_else(|| panic!("{method} is not in the table of its domain"));
        self.ask(found, arguments, token).await.map_err(|error| Refused(error.code().to_owned()))
    }
}

impl InRust {
    async fn ask(
        &self,
        method: &Method,
        arguments: Map<String, Value>,
        token: Option<&str>,
    ) -> Result<Value> {
        let principal = match token {
            Some(token) => self.0.auth().authenticate(token).await?,
            None => Principal::anonymous(),
        };
        let id = CorrelationId::from_raw(self.0.backends().runtime.new_id());
        let mut context = Context::new(principal, id);
        let mut arguments = Arguments(arguments);
        // What a context says, any method may be given.
        let key: Option<String> = arguments.take("idempotency_key")?;
        context.idempotency_key = key.as_deref().map(str::parse).transpose()?;
        context.reason = arguments.take("reason")?;
        (method.call)(self.0.clone(), context, arguments).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_goes_as_it_is_written() {
    let scenarios = scenarios().unwrap().into_iter().filter(|scenario| scenario.runs_in(RUST));
    let runs: Vec<_> = scenarios.map(|scenario| tokio::spawn(problem(scenario))).collect();
    let mut problems = Vec::new();
    for run in runs {
        problems.extend(run.await.unwrap());
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

/// What does not go as it is written, over a platform of the scenario's own.
async fn problem(scenario: Scenario) -> Option<String> {
    let channel = Arc::new(MemoryChannel::default());
    let platform = embedded_store::open_in_memory(vec![channel]).await.unwrap();
    let token = platform.auth().setup_token().await.unwrap().expect("nobody has set it up");
    let outcome = run(&InRust(platform.clone()), &scenario, token.expose()).await;
    platform.stop().await;
    outcome.err()
}

/// The error of an argument that is not what its method takes.
fn not_an_argument(name: &str, problem: &dyn std::fmt::Display) -> Error {
    Error::invalid("request.invalid_argument", format!("{name}: {problem}"))
}
