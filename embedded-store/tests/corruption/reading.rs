//! Reading everything that a folder holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use embedded_store::{EmbeddedStores, Engines, FjallLog, SystemRuntime, load_key};
use parking_lot::Mutex;
use platform_core::auth::{Argon2Config, AuthConfig};
use platform_core::kernel::{BoxFuture, Context, EventPosition, PageRequest, Result};
use platform_core::ports::Backends;
use platform_core::ports::cache::LocalCache;
use platform_core::ports::disclosure::Disclosures;
use platform_core::ports::keys::EnvelopeKeys;
use platform_core::ports::limiter::LocalLimiter;
use platform_core::ports::log::EventLog;
use platform_core::ports::runtime::Runtime;
use platform_core::ports::signals::LocalSignals;
use platform_core::ports::store::{DocKey, IndexRange, Schema, Store, Stores};
use platform_core::transactions::LedgerConfig;
use platform_core::{Builder, Platform, audit};

/// What was read, by what it was asked for.
#[derive(Debug)]
pub(crate) struct Answers(BTreeMap<String, String>);

impl Answers {
    /// The first answer that is another one.
    pub(crate) fn differs(&self, found: &Answers) -> Option<String> {
        let differs = |(what, expected): (&String, &String)| {
            let got = found.0.get(what);
            (got != Some(expected)).then(|| {
                let got: String = got.map_or("nothing", String::as_str).chars().take(300).collect();
                format!("{what} is answered with {got}")
            })
        };
        // What was handed on already may be in an outbox once more: who is told of it has its mark.
        let is_new = |what: &&String| !what.contains(" event ") && !self.0.contains_key(*what);
        let more = || found.0.keys().find(is_new).map(|what| format!("there is more: {what}"));
        self.0.iter().find_map(differs).or_else(more)
    }

    fn add(&mut self, what: impl Into<String>, answer: &impl std::fmt::Debug) {
        self.0.insert(what.into(), format!("{answer:?}"));
    }
}

/// Stores that remember what was opened.
struct Recording {
    inner: EmbeddedStores,
    opened: Mutex<Vec<(Schema, Arc<dyn Store>)>>,
}

impl Stores for Recording {
    fn open<'a>(&'a self, schema: &'a Schema) -> BoxFuture<'a, Result<Arc<dyn Store>>> {
        Box::pin(async move {
            let store = Stores::open(&self.inner, schema).await?;
            self.opened.lock().push((schema.clone(), Arc::clone(&store)));
            Ok(store)
        })
    }

    fn are_held_alone(&self) -> bool {
        true
    }
}

/// With cheap passwords, and a ledger that goes on to runs early.
pub(crate) fn builder(backends: Backends) -> Builder {
    let argon2 = Argon2Config { memory_kib: 8, iterations: 1, parallelism: 1 };
    Platform::builder(backends)
        .auth(AuthConfig { argon2, ..AuthConfig::default() })
        .ledger(LedgerConfig { segment_frames: 300, ..LedgerConfig::default() })
}

/// Everything that a folder holds: every document by its key, by the order of keys and by every index, every
/// event, every record of the log, and what the facades make of them.
pub(crate) async fn everything(data: &Path, engines: &Engines) -> Result<Answers> {
    let mut answers = Answers(BTreeMap::new());
    let runtime: Arc<dyn Runtime> = Arc::new(SystemRuntime::current());
    let key = load_key(data)?;
    let stores = Arc::new(Recording {
        inner: EmbeddedStores::open(data)?.on(engines.clone()),
        opened: Mutex::default(),
    });
    let log: Arc<dyn EventLog> = Arc::new(FjallLog::open(&data.join("log"), Arc::clone(&runtime))?);
    let backends = Backends {
        keys: Arc::new(EnvelopeKeys::open(&key, &*stores, Arc::clone(&runtime)).await?),
        stores: Arc::clone(&stores) as Arc<dyn Stores>,
        log: Arc::clone(&log),
        cache: Arc::new(LocalCache::new(Arc::clone(&runtime), 1 << 20)),
        limiter: Arc::new(LocalLimiter::default()),
        signals: Arc::new(LocalSignals::default()),
        channels: Vec::new(),
        disclosures: Disclosures::default(),
        runtime,
    };
    let platform = builder(backends).build().await?;
    let opened: Vec<_> = std::mem::take(&mut *stores.opened.lock());
    for (schema, store) in &opened {
        documents(schema, &**store, &mut answers).await?;
        records(&*log, schema.store, &mut answers).await?;
        if schema.store == audit::STORE {
            answers.add("verification", &audit::verify(&**store, None).await?);
        }
    }
    facades(&platform, &mut answers).await?;
    Ok(answers)
}

async fn documents(schema: &Schema, store: &dyn Store, answers: &mut Answers) -> Result<()> {
    for collection in &schema.collections {
        let mut keys = Vec::new();
        let indexes = collection.indexes.iter().map(|index| IndexRange::index(collection.name, index.name));
        for range in [IndexRange::ids(collection.name)].into_iter().chain(indexes) {
            for range in [range.clone(), range.backward()] {
                let mut range = range.limit(500);
                let mut docs = Vec::new();
                loop {
                    let page = store.scan(&range).await?;
                    docs.extend(page.docs);
                    let Some(next) = page.next else { break };
                    range = range.after(Some(next));
                }
                if range.index.is_none() && !range.reverse {
                    keys = docs.iter().map(|doc| DocKey::new(collection.name, doc.id.clone())).collect();
                }
                answers.add(format!("{} {range:?}", schema.store), &docs);
            }
        }
        answers.add(format!("{}.{}", schema.store, collection.name), &store.get(&keys).await?);
    }
    for (position, event) in store.outbox(EventPosition::START, 10_000).await? {
        answers.add(format!("{} event {position}", schema.store), &event);
    }
    answers.add(format!("{} position", schema.store), &*store.committed().borrow());
    Ok(())
}

async fn records(log: &dyn EventLog, topic: &str, answers: &mut Answers) -> Result<()> {
    let bounds = match log.bounds(topic).await {
        Ok(bounds) => bounds,
        Err(error) if error.code() == "log.undeclared" => {
            answers.add(topic, &"no topic");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    answers.add(format!("bounds of {topic}"), &bounds);
    for (partition, (begin, end)) in (0..).zip(bounds) {
        let mut read = Vec::new();
        let mut from = begin;
        while from < end {
            let records = log.read(topic, partition, from, 1_000).await?;
            let Some(last) = records.last() else { break };
            from = last.offset + 1;
            read.extend(records);
        }
        answers.add(format!("records {topic} {partition}"), &read);
    }
    Ok(())
}

async fn facades(platform: &Platform, answers: &mut Answers) -> Result<()> {
    let (ctx, page) = (Context::system(), PageRequest { limit: Some(500), cursor: None });
    answers.add("roles", &platform.users().roles(&ctx, &page).await?);
    answers.add("flags", &platform.flags().list(&ctx, &page).await?);
    answers.add("routes", &platform.gateway().list(&ctx, &page).await?);
    answers.add("keys", &platform.auth().jwks());
    answers.add("templates", &platform.notifications().templates(&ctx, page.clone()).await?);
    let entries = platform.audit().events(&ctx, &Default::default(), &page).await?;
    answers.add("entries", &entries);
    answers.add("checkpoint", &platform.audit().checkpoint(&ctx).await?);
    for entry in entries.items.iter().filter(|entry| entry.what.action == "users.profile_created") {
        let Ok(owner) = entry.what.subject.parse() else { continue };
        answers.add(format!("profile {owner}"), &platform.users().get(&ctx, owner).await?);
        let accounts = platform.transactions().accounts_of(&ctx, owner, &page).await?;
        for account in &accounts.items {
            let transfers = platform.transactions().transfers_of(&ctx, account.id, &page).await?;
            for transfer in transfers.items.iter().step_by(37) {
                let found = platform.transactions().read_transfer(&ctx, transfer.id).await?;
                answers.add(transfer.id.to_string(), &found);
            }
            answers.add(format!("transfers of {}", account.id), &transfers);
        }
        answers.add(format!("accounts of {owner}"), &accounts);
    }
    Ok(())
}
