//! A healthy client: a few connections that are kept, and requests at their time whether the ones before
//! are answered or not (an open loop). Latency counts from the moment when a request was due.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use super::World;
use crate::client::{Answer, Client};

/// Connections; each has one request at a time.
const CONNECTIONS: usize = 8;

/// The client.
pub struct Healthy {
    clients: Vec<Client>,
    accounts: [String; 2],
}

/// How its requests went.
#[derive(Debug, Default)]
pub struct Latencies {
    /// Of the requests that were answered as they should, ascending.
    pub sorted: Vec<Duration>,
    /// The others, by what came instead.
    pub failures: BTreeMap<String, u64>,
}

impl Latencies {
    /// These.
    pub fn of(mut latencies: Vec<Duration>) -> Latencies {
        latencies.sort();
        Latencies { sorted: latencies, failures: BTreeMap::new() }
    }

    /// The latency that so many hundredths stay below.
    pub fn percentile(&self, percent: usize) -> Duration {
        let at = (self.sorted.len() * percent / 100).min(self.sorted.len().saturating_sub(1));
        self.sorted.get(at).copied().unwrap_or_default()
    }

    /// Together with others.
    #[must_use]
    pub fn with(mut self, other: Latencies) -> Latencies {
        self.sorted.extend(other.sorted);
        self.sorted.sort();
        for (what, count) in other.failures {
            *self.failures.entry(what).or_default() += count;
        }
        self
    }
}

impl Healthy {
    /// A client of this server.
    pub fn new(world: &World) -> Healthy {
        Healthy {
            clients: (0..CONNECTIONS).map(|_| world.client()).collect(),
            accounts: world.accounts.clone(),
        }
    }

    /// Sends so many requests a second for so long: half of them a token check and a small read, a quarter
    /// a read of an account, a quarter a transfer.
    pub fn run(&mut self, rate: u32, span: Duration) -> Latencies {
        let begin = Instant::now() + Duration::from_millis(20);
        let step = Duration::from_secs(1) / rate;
        let count = (span.as_secs_f64() * f64::from(rate)) as u32;
        let accounts = &self.accounts;
        std::thread::scope(|scope| {
            let tasks: Vec<_> = self
                .clients
                .iter_mut()
                .enumerate()
                .map(|(first, client)| {
                    scope.spawn(move || {
                        let mut latencies = Latencies::default();
                        for number in (first as u32..count).step_by(CONNECTIONS) {
                            let due = begin + step * number;
                            sleep(due.saturating_duration_since(Instant::now()));
                            match request(client, accounts, number / CONNECTIONS as u32) {
                                Ok(answer) if answer.status < 300 => latencies.sorted.push(due.elapsed()),
                                Ok(answer) => {
                                    latencies.failed(format!("{} {}", answer.status, answer.code()))
                                }
                                Err(error) => latencies.failed(error.kind().to_string()),
                            }
                        }
                        latencies
                    })
                })
                .collect();
            let results = tasks.into_iter().map(|task| task.join().expect("a client ends"));
            results.fold(Latencies::default(), Latencies::with)
        })
    }
}

impl Latencies {
    fn failed(&mut self, what: String) {
        *self.failures.entry(what).or_default() += 1;
    }
}

fn request(client: &mut Client, [debit, credit]: &[String; 2], number: u32) -> std::io::Result<Answer> {
    match number % 4 {
        0 | 2 => client.send("GET", "/v1/users/me", None),
        1 => client.send("GET", &format!("/v1/accounts/{debit}"), None),
        _ => {
            let transfer =
                json!({"debit_account": debit, "credit_account": credit, "asset": "EUR", "amount": "0.01"});
            client.send("POST", "/v1/transfers", Some(&transfer))
        }
    }
}
