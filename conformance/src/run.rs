//! How a scenario runs in a way of use.

use std::future::Future;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::{Scenario, Step, difference, filled};

/// How often a step that reads is repeated until it is as it is written, and how long is waited before each time.
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// The first administrator, who acts when nothing is said.
const ROOT: &str = "root";

/// A way of use.
pub trait Way {
    /// Calls a method of a facade; the result is plain data (amounts as texts, times as RFC 3339 says, sets as sorted
    /// lists, and a list that is read page after page as one). Without a token nobody in particular asks.
    ///
    /// # Errors
    /// The stable code of the platform's error.
    fn call(
        &self,
        method: &str,
        arguments: Map<String, Value>,
        token: Option<&str>,
    ) -> impl Future<Output = Result<Value, Refused>> + Send;
}

/// An error of the platform, by its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

/// Runs a scenario over an empty platform that has this setup token.
///
/// # Errors
/// The step that did not go as it is written, and how it went.
pub async fn run(way: &impl Way, scenario: &Scenario, setup_token: &str) -> Result<(), String> {
    let mut saved = Map::new();
    let setup =
        json!({"token": setup_token, "email": "root@example.org", "password": "a long enough password"});
    let setup = Step {
        call: "auth.setup".to_owned(),
        with: setup.as_object().cloned().unwrap_or_default(),
        who: Some("anonymous".to_owned()),
        save: Some(ROOT.to_owned()),
        expect: None,
        error: None,
        eventually: false,
    };
    for (number, step) in std::iter::once(&setup).chain(&scenario.steps).enumerate() {
        let mut outcome = attempt(way, step, &mut saved).await;
        for _ in 0..if step.eventually { ATTEMPTS } else { 0 } {
            if outcome.is_ok() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            outcome = attempt(way, step, &mut saved).await;
        }
        outcome.map_err(|problem| format!("{}, step {number}, {}: {problem}", scenario.name, step.call))?;
    }
    Ok(())
}

/// Does a step; an error is what is not as it is written.
async fn attempt(way: &impl Way, step: &Step, saved: &mut Map<String, Value>) -> Result<(), String> {
    let arguments = step.with.iter().map(|(name, value)| Ok((name.clone(), filled(value, saved)?)));
    let arguments = arguments.collect::<Result<_, String>>()?;
    let token = token_of(step.who.as_deref(), saved)?;
    match (way.call(&step.call, arguments, token.as_deref()).await, &step.error) {
        (Err(Refused(code)), Some(error)) if code == *error => Ok(()),
        (Err(Refused(code)), _) => Err(format!("refused with {code}")),
        (Ok(found), Some(error)) => Err(format!("{error} was expected, not {found}")),
        (Ok(found), None) => {
            if let Some(name) = &step.save {
                saved.insert(name.clone(), found.clone());
            }
            let Some(expected) = &step.expect else { return Ok(()) };
            difference(&found, &filled(expected, saved)?, "the result").map_or(Ok(()), Err)
        }
    }
}

fn token_of(who: Option<&str>, saved: &Map<String, Value>) -> Result<Option<String>, String> {
    let pair = match who {
        Some("anonymous") => return Ok(None),
        Some(name) => filled(&Value::String(name.to_owned()), saved)?,
        None => saved.get(ROOT).cloned().unwrap_or_default(),
    };
    let token = pair.get("access_token").and_then(Value::as_str);
    token.map(|token| Some(token.to_owned())).ok_or_else(|| format!("{who:?} is no pair of tokens"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Answers with its arguments, with who asks and with how often it was asked; refuses when it is told to.
    #[derive(Default)]
    struct Echo(AtomicUsize);

    impl Way for Echo {
        async fn call(
            &self,
            method: &str,
            mut arguments: Map<String, Value>,
            token: Option<&str>,
        ) -> Result<Value, Refused> {
            arguments.insert("times".to_owned(), json!(self.0.fetch_add(1, Ordering::Relaxed)));
            arguments.insert("token".to_owned(), json!(token));
            arguments.insert("access_token".to_owned(), json!(format!("of {method}")));
            match arguments.get("refuse") {
                Some(code) => Err(Refused(code.as_str().unwrap().to_owned())),
                None => Ok(Value::Object(arguments)),
            }
        }
    }

    async fn told(steps: &str) -> Result<(), String> {
        let written = crate::parse(&format!("{{about: A test., steps: [{steps}]}}")).unwrap();
        run(&Echo::default(), &serde_json::from_value(written).unwrap(), "token").await
    }

    #[tokio::test]
    async fn steps_go_as_they_are_written() {
        for steps in [
            "{call: a.b, with: {n: 1}, expect: {n: 1, token: of auth.setup}}",
            "{call: a.b, save: pair}, {call: a.c, as: $pair, expect: {token: of a.b}}",
            "{call: a.b, as: anonymous, expect: {token: null}}",
            "{call: a.b, with: {refuse: a.refused}, error: a.refused}",
            "{call: a.b, with: {n: [7]}, save: one}, {call: a.c, with: {n: $one.n.0}, expect: {n: 7}}",
            "{call: a.b, eventually: true, expect: {times: 3}}",
        ] {
            assert_eq!(told(steps).await, Ok(()), "{steps}");
        }
    }

    #[tokio::test]
    async fn what_does_not_go_as_it_is_written_is_told() {
        for (steps, problem) in [
            ("{call: a.b, expect: {n: 1}}", ", step 1, a.b: the result, n is null, not 1"),
            ("{call: a.b}, {call: a.c, with: {refuse: a.x}}", ", step 2, a.c: refused with a.x"),
            ("{call: a.b, with: {refuse: a.x}, error: a.y}", ", step 1, a.b: refused with a.x"),
            ("{call: a.b, as: $nobody}", ", step 1, a.b: nothing is saved as nobody"),
            ("{call: a.b, with: {n: $nothing}}", ", step 1, a.b: nothing is saved as nothing"),
            ("{call: a.b, expect: null, with: {refuse: x.y}, error: x.z}", ", step 1, a.b: refused with x.y"),
        ] {
            assert_eq!(told(steps).await, Err(problem.to_owned()), "{steps}");
        }
        let told = told("{call: a.b, error: a.refused}").await.unwrap_err();
        assert!(told.starts_with(", step 1, a.b: a.refused was expected, not {"), "{told}");
    }
}
