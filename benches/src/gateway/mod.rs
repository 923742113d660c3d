//! What a request costs the processor: proxied, beside nginx with the same upstream, and answered by ourselves.
//!
//! Every server has one worker and the first core for itself; the upstream and the client share the second.
//! None writes a log of requests.

#![allow(clippy::expect_used, reason = "what fails ends the measurement")]

mod load;
mod nginx;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use test_support::process::Process;

use crate::row::{Measured, Row, in_turns};
use crate::server::program;
use load::{Call, pin};
use nginx::Nginx;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "gateway-cpu",
        what: "processor time of a proxied request of 1 KiB on one pinned core, plain route; peer: nginx",
        run: plain,
    },
    Row {
        name: "gateway-cpu-guarded",
        what: "the same with token, permission and a limit by user; peer: nginx, which checks nothing",
        run: guarded,
    },
    Row {
        name: "own-endpoint-cpu",
        what: "processor time of GET /livez through the whole chain; peer: nginx and us behind it, together",
        run: own_endpoint,
    },
    Row {
        name: "ofrep-single",
        what: "POST of one OFREP evaluation with a token, requests/s of one pinned core (1 ÷ processor time); peer: GET /livez",
        run: ofrep_single,
    },
    Row { name: "ofrep-bulk", what: "the same for a bulk evaluation of 5 flags", run: ofrep_bulk },
];

const ROUNDS: usize = 5;
/// Bytes of an answer that is proxied.
const ANSWER: usize = 1_024;
const FLAGS: [&str; 5] = ["banner", "checkout", "greeting", "search", "upload"];

const UPSTREAM: &str = "127.0.0.1:18081";
const NGINX: &str = "127.0.0.1:18082";

/// Our server on the first core, with an administrator.
struct Ours {
    process: Process,
    token: String,
    /// Of the data and of nginx's files.
    folder: PathBuf,
    _keep: tempfile::TempDir,
}

impl Ours {
    fn start() -> Ours {
        let keep = tempfile::tempdir_in(".").expect("a folder");
        let folder = keep.path().canonicalize().expect("a path");
        let environment = [("PLATFORM__LOG__REQUESTS", "false"), ("PLATFORM__SERVER__THREADS", "1")];
        let process = Process::start(&program(), &folder.join("data"), &environment);
        let token = process.setup_token.clone().expect("a setup token");
        let admin =
            json!({"token": token, "email": "admin@example.com", "password": "a long enough password"});
        let pair = process.client().send("POST", "/v1/setup", Some(&admin)).expect("set up").json();
        let token = pair.get("access_token").and_then(Value::as_str).unwrap_or_default().to_owned();
        pin(process.id(), 0);
        pin(std::process::id(), 1);
        Ours { process, token, folder, _keep: keep }
    }

    fn put(&self, path: &str, body: &Value) {
        let answer = self.process.client().with_token(&self.token).send("PUT", path, Some(body));
        let answer = answer.expect("an answer");
        assert!(answer.status < 300, "{path}: {}", answer.json());
    }

    fn cost(&self, call: &Call) -> f64 {
        call.cost(&[self.process.id()], self.process.address)
    }

    /// Waits until the limit of our own endpoints, which is by address, lets a whole round pass again.
    fn rest(&self) {
        std::thread::sleep(Duration::from_millis(1_500));
    }
}

fn plain() -> Measured {
    let target = upstreams();
    proxied(&json!({"match": {"path": "/bench"}, "access": "open", "target": target}), false)
}

fn guarded() -> Measured {
    let limit = json!({"rate": 1_000_000, "per": "second", "by": "user"});
    let target = upstreams();
    let access = "gateway:read";
    proxied(&json!({"match": {"path": "/bench"}, "access": access, "limit": limit, "target": target}), true)
}

fn upstreams() -> Value {
    json!({"upstreams": [format!("http://{UPSTREAM}")]})
}

/// A route of ours, beside a plain one of nginx's.
fn proxied(route: &Value, with_token: bool) -> Measured {
    let ours = Ours::start();
    let upstream = Nginx::answering(&ours.folder, UPSTREAM, &"x".repeat(ANSWER));
    let nginx = Nginx::proxying(&ours.folder, NGINX, UPSTREAM);
    pin(upstream.id(), 1);
    pin(nginx.id(), 0);
    ours.put("/v1/gateway/routes/bench", route);
    let call =
        Call { token: with_token.then(|| ours.token.clone()), answer: Some(ANSWER), ..Call::get("/bench") };
    let address = NGINX.parse().expect("an address");
    let (a, b) = in_turns(ROUNDS, || ours.cost(&call), || call.cost(&[nginx.id()], address));
    ours.process.stop();
    Measured::against(a, "µs", "nginx", b)
}

fn own_endpoint() -> Measured {
    let ours = Ours::start();
    let nginx = Nginx::proxying(&ours.folder, NGINX, &ours.process.address.to_string());
    pin(nginx.id(), 0);
    let (call, address) = (Call::get("/livez"), NGINX.parse().expect("an address"));
    let both = [nginx.id(), ours.process.id()];
    let alone = || {
        ours.rest();
        ours.cost(&call)
    };
    let behind = || {
        ours.rest();
        call.cost(&both, address)
    };
    let (a, b) = in_turns(ROUNDS, alone, behind);
    ours.process.stop();
    Measured::against(a, "µs", "nginx", b)
}

fn ofrep_single() -> Measured {
    evaluation("/ofrep/v1/evaluate/flags/greeting")
}

fn ofrep_bulk() -> Measured {
    evaluation("/ofrep/v1/evaluate/flags")
}

fn evaluation(path: &'static str) -> Measured {
    let ours = Ours::start();
    for key in FLAGS {
        let rule = json!({"if": [{"==": [{"var": "plan"}, "pro"]}, "warm", "plain"]});
        let flag = json!({"state": "ENABLED", "variants": {"plain": "hello", "warm": "welcome"},
                          "defaultVariant": "plain", "targeting": rule});
        ours.put(&format!("/v1/flags/{key}"), &flag);
    }
    let body = json!({"context": {"targetingKey": "user-1234", "plan": "pro"}});
    let call = Call { method: "POST", path, token: Some(ours.token.clone()), body: Some(body), answer: None };
    let hello = Call::get("/livez");
    let cost = |call| {
        ours.rest();
        ours.cost(call)
    };
    let (a, b) = in_turns(ROUNDS, || cost(&call), || cost(&hello));
    ours.process.stop();
    Measured::against(1e6 / a, "requests/s", "livez", 1e6 / b)
}
