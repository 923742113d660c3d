//! The ledger on SQLite and on PostgreSQL, in process, durable, with its events and its entries in the audit log.

mod postgres;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use embedded_store::open_backends;
use platform_core::Platform;
use platform_core::kernel::{AccountId, Amount, Context, RawId, Timestamp, TransferId};
use platform_core::transactions::ledger::page::Outcome;
use platform_core::transactions::ledger::state::{Action, NewTransfer};
use platform_core::transactions::{NewAccount, Transactions};

use crate::disk;
use crate::row::{Measured, Row, in_turns, median};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "ledger-batches",
        what: "1 M transfers in batches of 8,190 over 10,000 accounts, time-ordered ids",
        run: || Measured::alone(batches().per_second, "transfers/s"),
    },
    Row {
        name: "ledger-batches-p99",
        what: "the same: the 99th percentile of a batch",
        run: || Measured::alone(batches().p99_ms, "ms"),
    },
    Row {
        name: "ledger-batches-memory",
        what: "the same: resident memory of the whole process at the end",
        run: || Measured::alone(batches().resident_mb, "MB"),
    },
    Row {
        name: "ledger-random-ids",
        what: "1 M transfers with random ids, 5 M transfers already there",
        run: || Measured::alone(random_ids(), "transfers/s"),
    },
    Row {
        name: "ledger-bytes",
        what: "bytes on disk per transfer, 10 M transfers, everything included",
        run: || Measured::alone(ten_million(|bench| bench.bytes_per_transfer()), "bytes"),
    },
    Row {
        name: "ledger-as-of",
        what: "a balance as of a past moment, 10 M transfers, reopened (median of 200)",
        run: || Measured::alone(ten_million(Bench::as_of_ms), "ms"),
    },
    Row {
        name: "ledger-restart",
        what: "loading the ledger of 10 M transfers (median of 5)",
        run: || Measured::alone(ten_million(Bench::restart_ms), "ms"),
    },
    Row {
        name: "ledger-singles-64",
        what: "single transfers from 64 tasks",
        run: || Measured::alone(Bench::new().singles(64, 150_000).0, "transfers/s"),
    },
    Row {
        name: "ledger-single-alone",
        what: "one transfer at a time, in turns with one fdatasync of 4 KiB (medians)",
        run: || {
            let mut bench = Bench::new();
            let (ours, floor) = in_turns(9, || bench.singles(1, 700).1, || disk::fdatasync_us(300));
            Measured::against(ours, "µs", "fdatasync", floor)
        },
    },
    Row {
        name: "ledger_postgres_batches",
        what: "500,000 transfers in batches of 8,190 over 10,000 accounts on PostgreSQL",
        run: || Measured::alone(postgres::batches(Spread::Even), "transfers/s"),
    },
    Row {
        name: "ledger_postgres_batches_hot",
        what: "the same with one account in every transfer, beside the same without",
        run: postgres::hot,
    },
    Row {
        name: "ledger_postgres_singles_64",
        what: "single transfers from 64 tasks on PostgreSQL, Zipf 2.0, beside `select … for update`",
        run: postgres::singles,
    },
];

/// Which accounts the transfers are between.
#[derive(Clone, Copy)]
enum Spread {
    /// All alike.
    Even,
    /// The first one is in all of them.
    Hot,
    /// Account n is debited n² times as seldom as the first.
    Zipf,
}

const ACCOUNTS: usize = 10_000;
const BATCH: usize = 8_190;
/// Batches on the way at the same time.
const CLIENTS: usize = 2;

struct Bench {
    folder: tempfile::TempDir,
    tokio: tokio::runtime::Runtime,
    platform: Option<Platform>,
    accounts: Vec<AccountId>,
    sent: u64,
    spread: Spread,
    /// The server and the address of the database, where it is not SQLite.
    server: Option<(test_support::servers::Postgres, String)>,
}

struct Batches {
    per_second: f64,
    p99_ms: f64,
    resident_mb: f64,
}

#[allow(clippy::expect_used)]
impl Bench {
    fn new() -> Bench {
        Bench::over(None, Spread::Even)
    }

    fn over(server: Option<(test_support::servers::Postgres, String)>, spread: Spread) -> Bench {
        let folder = tempfile::tempdir_in(".").expect("a folder on the disk of the project");
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let mut bench =
            Bench { folder, tokio, platform: None, accounts: Vec::new(), sent: 0, spread, server };
        bench.open();
        let ledger = bench.ledger();
        bench.accounts = bench.tokio.block_on(async {
            let opening = (0..ACCOUNTS).map(|_| {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    let new =
                        NewAccount { asset: "EUR".to_owned(), name: None, min_balance: None, owner: None };
                    ledger.open_account(&Context::service("bench"), &new).await.expect("an account").id
                })
            });
            let mut accounts = Vec::with_capacity(ACCOUNTS);
            for opened in opening.collect::<Vec<_>>() {
                accounts.push(opened.await.expect("opened"));
            }
            accounts
        });
        bench
    }

    fn open(&mut self) {
        let path = self.folder.path().join("data");
        self.platform = Some(self.tokio.block_on(async {
            let mut backends = open_backends(&path, Vec::new()).await.expect("a folder");
            if let Some((_, url)) = &self.server {
                backends.stores = postgres::stores(url);
            }
            let platform = Platform::builder(backends).build().await.expect("a platform");
            platform.start().await.expect("started");
            platform
        }));
    }

    fn close(&mut self) {
        if let Some(platform) = self.platform.take() {
            self.tokio.block_on(platform.stop());
        }
    }

    fn ledger(&self) -> Transactions {
        self.platform.as_ref().expect("open").transactions().clone()
    }

    /// Sends `count` transfers in batches; the time of each batch in milliseconds, and the whole in seconds.
    fn send(&mut self, count: usize, random: bool) -> (Vec<f64>, f64) {
        let made: Vec<Vec<NewTransfer>> = (0..count.div_ceil(BATCH))
            .map(|batch| (0..BATCH.min(count - batch * BATCH)).map(|_| self.next(random)).collect())
            .collect();
        let queue = Arc::new(std::sync::Mutex::new(made.into_iter()));
        let ledger = self.ledger();
        let begin = Instant::now();
        let taken = self.tokio.block_on(async {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| {
                    let (ledger, queue) = (ledger.clone(), Arc::clone(&queue));
                    tokio::spawn(async move {
                        let mut taken = Vec::new();
                        loop {
                            let Some(batch) = queue.lock().expect("no panic").next() else { return taken };
                            let begin = Instant::now();
                            let outcomes = ledger.submit(&Context::service("bench"), batch, false).await;
                            taken.push(begin.elapsed().as_secs_f64() * 1e3);
                            let outcomes = outcomes.expect("committed");
                            assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Created(_))));
                        }
                    })
                })
                .collect();
            let mut taken = Vec::new();
            for client in clients {
                taken.extend(client.await.expect("no panic"));
            }
            taken
        });
        (taken, begin.elapsed().as_secs_f64())
    }

    /// A transfer between two accounts, spread evenly.
    fn next(&mut self, random: bool) -> NewTransfer {
        self.sent += 1;
        let mixed = mix(self.sent);
        let id = if random {
            u128::from(mix(mixed)) << 64 | u128::from(mixed)
        } else {
            (1 << 100) + u128::from(self.sent)
        };
        let debit = self.spread.account(mixed >> 32);
        let credit = (debit + 1 + mixed as u32 as usize % (ACCOUNTS - 1)) % ACCOUNTS;
        let account = |at: usize| self.accounts.get(at).copied().expect("an account");
        let action = Action::Transfer {
            debit: account(debit),
            credit: account(credit),
            amount: Amount::from_minor(u128::from(mixed % 10_000 + 1)).expect("an amount"),
            asset: None,
        };
        NewTransfer { id: TransferId(RawId(id.to_be_bytes())), action }
    }

    /// Transfers per second, and the median of one in microseconds.
    fn singles(&mut self, tasks: usize, count: usize) -> (f64, f64) {
        let made: Vec<Vec<NewTransfer>> =
            (0..tasks).map(|_| (0..count / tasks).map(|_| self.next(false)).collect()).collect();
        let ledger = self.ledger();
        let begin = Instant::now();
        let taken = self.tokio.block_on(async {
            let clients: Vec<_> = made
                .into_iter()
                .map(|transfers| {
                    let ledger = ledger.clone();
                    tokio::spawn(async move {
                        let context = Context::service("bench");
                        let mut taken = Vec::with_capacity(transfers.len());
                        for transfer in transfers {
                            let begin = Instant::now();
                            ledger.submit(&context, vec![transfer], false).await.expect("committed");
                            taken.push(begin.elapsed());
                        }
                        taken
                    })
                })
                .collect();
            let mut taken: Vec<Duration> = Vec::new();
            for client in clients {
                taken.extend(client.await.expect("no panic"));
            }
            taken
        });
        let seconds = begin.elapsed().as_secs_f64();
        (count as f64 / seconds, median(taken.iter().map(|taken| taken.as_secs_f64() * 1e6)))
    }

    fn bytes_per_transfer(&mut self) -> f64 {
        self.close();
        folder_bytes(self.folder.path()) as f64 / self.sent as f64
    }

    fn as_of_ms(&mut self) -> f64 {
        let last = self.ledger().clone();
        let page = platform_core::kernel::PageRequest { limit: Some(1), cursor: None };
        let account = self.accounts.first().copied().expect("an account");
        let newest = self.tokio.block_on(last.transfers_of(&Context::service("bench"), account, &page));
        let newest = newest.expect("listed").items.first().expect("one").created_at;
        drop(last);
        self.close();
        self.open();
        let ledger = self.ledger();
        let samples = (0..200u64).map(|sample| {
            let account = self.accounts.get(mix(sample) as usize % ACCOUNTS).copied().expect("an account");
            // Within the last quarter of an hour, which holds all of them.
            let at = Timestamp::from_micros(newest.as_micros() - mix(sample + 1_000) % 20_000_000);
            let begin = Instant::now();
            let read = self.tokio.block_on(ledger.account(&Context::service("bench"), account, Some(at)));
            read.expect("read");
            begin.elapsed().as_secs_f64() * 1e3
        });
        median(samples.collect::<Vec<_>>())
    }

    fn restart_ms(&mut self) -> f64 {
        let samples: Vec<f64> = (0..5)
            .map(|_| {
                self.close();
                let begin = Instant::now();
                self.open();
                begin.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        median(samples)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.close();
    }
}

fn batches() -> Batches {
    let mut bench = Bench::new();
    let (mut taken, seconds) = bench.send(1_000_000, false);
    taken.sort_by(f64::total_cmp);
    let p99_ms = taken.get(taken.len() * 99 / 100).copied().unwrap_or_default();
    Batches { per_second: 1e6 / seconds, p99_ms, resident_mb: resident_mb() }
}

fn random_ids() -> f64 {
    let mut bench = Bench::new();
    bench.send(5_000_000, true);
    let (_, seconds) = bench.send(1_000_000, true);
    1e6 / seconds
}

fn ten_million(measure: fn(&mut Bench) -> f64) -> f64 {
    let mut bench = Bench::new();
    for _ in 0..10 {
        bench.send(1_000_000, false);
    }
    measure(&mut bench)
}

impl Spread {
    /// The number of the account that is debited, from 32 random bits.
    fn account(self, random: u64) -> usize {
        match self {
            Spread::Even => random as usize % ACCOUNTS,
            Spread::Hot => 0,
            Spread::Zipf => {
                // Σ 1/n² is π²/6; the first accounts are nearly all of it.
                let mut left = random as f64 / f64::from(u32::MAX) * (std::f64::consts::PI.powi(2) / 6.0);
                let is_it = |account: &usize| {
                    left -= 1.0 / ((account + 1) as f64).powi(2);
                    left <= 0.0
                };
                (0..ACCOUNTS).find(is_it).unwrap_or_default()
            }
        }
    }
}

/// A number that looks random (splitmix64).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn folder_bytes(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

/// `VmRSS` of this process in MB (10⁶ bytes).
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim_end_matches("kB").trim().parse::<f64>().unwrap_or_default() * 1024.0 / 1e6
}
