//! Writers of all domains; each ends when its server does. Every fifth request of each is one that is refused.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use test_support::client::{Answer, Client};

use crate::world::{ACCOUNTS, PASSWORD, World};

pub(crate) const ALL: [fn(&World, Client); 5] = [transfers, transfers, settings, people, messages];

fn until_killed(world: &World, mut once: impl FnMut(u64) -> io::Result<()>) {
    while !world.stop.load(Relaxed) {
        if once(world.number()).is_err() {
            return world.unanswered();
        }
    }
}

/// Sends what is to be made once; when no answer comes, that is noted.
fn make(world: &World, client: &mut Client, path: &'static str, key: String, body: Value) -> io::Result<()> {
    match client.send_with("POST", path, &[("idempotency-key", &key)], Some(&body)) {
        Ok(answer) => {
            assert_eq!(answer.status, 201, "{:?}", answer.json());
            world.acknowledged();
            world.made(path, answer.json()["id"].as_str().unwrap(), body);
            Ok(())
        }
        Err(error) => {
            world.record.lock().unwrap().unanswered.push((path, key, body));
            Err(error)
        }
    }
}

fn is_refused(world: &World, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{:?}", answer.json());
    world.refused();
}

fn transfers(world: &World, mut client: Client) {
    until_killed(world, |number| {
        let debit = number as usize % ACCOUNTS;
        let credit = (debit + 1 + (number / 7) as usize % (ACCOUNTS - 1)) % ACCOUNTS;
        let amount = format!("{}.{:02}", number % 90, number % 100 + u64::from(number.is_multiple_of(90)));
        let mut body = json!({
            "debit_account": world.accounts[debit], "credit_account": world.accounts[credit],
            "asset": "EUR", "amount": amount,
        });
        if number % 5 == 0 {
            body["debit_account"] = world.empty.clone().into();
            let answer = client.send("POST", "/v1/transfers", Some(&body))?;
            is_refused(world, &answer, 409);
            return Ok(());
        }
        make(world, &mut client, "/v1/transfers", format!("transfer-{number}"), body)
    });
}

/// Writes a thing anew under its path.
fn replace(world: &World, client: &mut Client, path: String, body: Value) -> io::Result<()> {
    // The answer and what is noted of it are one step: nobody else writes under this path.
    let sent = client.send("PUT", &path, Some(&body));
    let mut record = world.record.lock().unwrap();
    let versions = record.replaced.entry(path).or_insert_with(|| vec![None]);
    match sent {
        Ok(answer) => {
            assert!(answer.status < 300, "{:?}", answer.json());
            *versions = vec![Some(body)];
            drop(record);
            world.acknowledged();
            Ok(())
        }
        Err(error) => {
            versions.push(Some(body));
            Err(error)
        }
    }
}

/// Flags, routes, roles and templates in turn.
fn settings(world: &World, mut client: Client) {
    until_killed(world, |number| {
        let (path, body) = match number % 4 {
            0 => {
                let variant = format!("v{number}");
                let flag =
                    json!({"state": "ENABLED", "variants": {&variant: variant}, "defaultVariant": variant});
                (format!("/v1/flags/kill-{}", number % 20), flag)
            }
            1 => {
                let route = json!({
                    "match": {"path": format!("/kill/{}", number % 20)}, "access": "open",
                    "target": {"upstreams": [format!("http://upstream-{number}")]},
                });
                (format!("/v1/gateway/routes/kill-{}", number % 20), route)
            }
            2 => {
                let role = json!({"permissions": [format!("things:n{number}")], "includes": []});
                (format!("/v1/roles/kill-{}", number % 20), role)
            }
            _ => {
                let template = json!({"subject": "x", "text": format!("number {number}")});
                (format!("/v1/notifications/templates/kill-{}", number % 20), template)
            }
        };
        if number % 5 == 0 {
            let path = format!("/v1/flags/refused-{number}");
            let answer = client.send("PUT", &path, Some(&json!({"state": "ENABLED", "variants": {}})))?;
            is_refused(world, &answer, 400);
            world.record.lock().unwrap().refused.push(path);
        }
        replace(world, &mut client, path, body)
    });
}

/// Registers, and logs in.
fn people(world: &World, mut client: Client) {
    until_killed(world, |number| {
        let email = format!("user-{number}@example.com");
        if number % 5 == 0 {
            let short = json!({"email": email, "password": "short"});
            let answer = client.send("POST", "/v1/auth/register", Some(&short))?;
            is_refused(world, &answer, 400);
            world.record.lock().unwrap().refused.push(format!("/v1/users?email_prefix={email}"));
            return Ok(());
        }
        let body = json!({"email": email, "password": PASSWORD});
        let sent = client.send("POST", "/v1/auth/register", Some(&body));
        let acknowledged = match &sent {
            Err(_) => false,
            Ok(answer) => {
                assert_eq!(answer.status, 201, "{:?}", answer.json());
                world.acknowledged();
                true
            }
        };
        world.record.lock().unwrap().users.insert(email, acknowledged);
        sent?;
        let answer = client.send("POST", "/v1/auth/login", Some(&body))?;
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        Ok(())
    });
}

/// Messages to strangers; there is no mail server, so they wait.
fn messages(world: &World, mut client: Client) {
    until_killed(world, |number| {
        let body = json!({
            "to": format!("stranger-{number}@example.com"), "channel": "email", "template": "welcome", "data": {"name": "Ada"},
        });
        if number % 5 == 0 {
            let mut unknown = body;
            unknown["template"] = "unknown".into();
            let answer = client.send("POST", "/v1/notifications", Some(&unknown))?;
            is_refused(world, &answer, 404);
            return Ok(());
        }
        make(world, &mut client, "/v1/notifications", format!("message-{number}"), body)
    });
}
