//! What an attack finds: an administrator, two accounts, and a route to an upstream that never answers.

use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::process::Process;

/// A server with something in it.
pub struct World {
    /// Where it listens.
    pub address: SocketAddr,
    /// The administrator's token.
    pub token: String,
    /// Two accounts.
    pub accounts: [String; 2],
}

impl World {
    /// Sets a fresh server up.
    ///
    /// # Panics
    /// When it refuses.
    pub fn prepare(process: &Process) -> World {
        let mut client = process.client();
        let token = process.setup_token.clone().expect("a setup token");
        let setup = json!({"token": token, "email": "ada@example.org", "password": "a long enough password"});
        let token = text(&done(client.send("POST", "/v1/setup", Some(&setup))), "access_token");
        let mut client = process.client().with_token(&token);
        let mut open = || {
            let account = done(client.send("POST", "/v1/accounts", Some(&json!({"asset": "EUR"}))));
            text(&account, "id")
        };
        let accounts = [open(), open()];
        let hanging = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let upstream = format!("http://{}", hanging.local_addr().expect("its address"));
        // It takes every connection, and that is all.
        std::thread::spawn(move || hanging.incoming().collect::<Vec<_>>());
        let route = json!({
            "match": {"path": "/hanging"}, "access": "open", "target": {"upstreams": [upstream]}, "timeout_ms": 5_000,
            "waiting_limit": 100
        });
        done(client.send("PUT", "/v1/gateway/routes/hanging", Some(&route)));
        World { address: process.address, token, accounts }
    }

    /// A client of the administrator's.
    pub fn client(&self) -> Client {
        Client::new(self.address).with_token(&self.token)
    }
}

fn done(answer: std::io::Result<Answer>) -> Value {
    let answer = answer.expect("an answer");
    assert!(answer.status < 300, "{} {}", answer.status, answer.json());
    answer.json()
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).expect("a text").to_owned()
}
