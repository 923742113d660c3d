//! What the writers were told, and what they were not told.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use serde_json::{Value, json};
use test_support::process::Process;

pub(crate) const PASSWORD: &str = "correct horse battery staple";
pub(crate) const ACCOUNTS: usize = 4;

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[derive(Default)]
pub(crate) struct Record {
    /// Transfers and notifications by path: as they were acknowledged.
    pub(crate) created: BTreeMap<String, Value>,
    /// Of those, what the last restart has not been asked for.
    pub(crate) fresh: Vec<String>,
    /// What the accounts hold, in cents.
    pub(crate) balances: BTreeMap<String, i128>,
    /// Requests without an answer: path, key and body, to be repeated.
    pub(crate) unanswered: Vec<(&'static str, String, Value)>,
    /// Things that are written anew under their path: what each may be now (`None`: it may be missing).
    pub(crate) replaced: BTreeMap<String, Vec<Option<Value>>>,
    /// Registered addresses: acknowledged or not.
    pub(crate) users: BTreeMap<String, bool>,
    /// Paths under which there must be nothing.
    pub(crate) refused: Vec<String>,
    /// Entries of the audit log that were signed.
    pub(crate) signed: u64,
}

pub(crate) struct World {
    pub(crate) token: String,
    pub(crate) accounts: Vec<String>,
    /// An account that may not fall below zero, and holds nothing.
    pub(crate) empty: String,
    pub(crate) record: Mutex<Record>,
    pub(crate) stop: AtomicBool,
    numbers: AtomicU64,
    counts: [AtomicU64; 3],
}

impl World {
    /// The first administrator and some accounts.
    pub(crate) fn begin(process: &Process) -> World {
        let setup = json!({"token": process.setup_token, "email": "admin@example.com", "password": PASSWORD});
        let admin = process.client().send("POST", "/v1/setup", Some(&setup)).unwrap().json();
        let token = admin["access_token"].as_str().unwrap_or_else(|| panic!("{admin:?}")).to_owned();
        let mut client = process.client().with_token(&token);
        let mut open = |body: Value| {
            let made = client.send("POST", "/v1/accounts", Some(&body)).unwrap().json();
            made["id"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned()
        };
        World {
            accounts: (0..ACCOUNTS).map(|_| open(json!({"asset": "EUR"}))).collect(),
            empty: open(json!({"asset": "EUR", "min_balance": "0.00"})),
            token,
            record: Mutex::default(),
            stop: AtomicBool::new(false),
            numbers: AtomicU64::new(1),
            counts: Default::default(),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed)
    }

    pub(crate) fn acknowledged(&self) {
        self.counts[0].fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.counts[1].fetch_add(1, Relaxed);
    }

    pub(crate) fn unanswered(&self) {
        self.counts[2].fetch_add(1, Relaxed);
    }

    /// Effects acknowledged and refused, and requests without an answer.
    pub(crate) fn counts(&self) -> [u64; 3] {
        self.counts.each_ref().map(|count| count.load(Relaxed))
    }

    /// Something that was made stands under this path.
    pub(crate) fn made(&self, path: &str, id: &str, body: Value) {
        let mut record = self.record.lock().unwrap();
        if let (Some(debit), Some(credit)) = (body["debit_account"].as_str(), body["credit_account"].as_str())
        {
            let amount = cents(&body["amount"]);
            *record.balances.entry(debit.to_owned()).or_default() -= amount;
            *record.balances.entry(credit.to_owned()).or_default() += amount;
        }
        let place = format!("{path}/{id}");
        record.created.insert(place.clone(), body);
        record.fresh.push(place);
    }
}

pub(crate) fn cents(amount: &Value) -> i128 {
    amount.as_str().unwrap().replace('.', "").parse().unwrap()
}
