//! What is looked up when somebody asks for metrics: stores, events, and the numbers of the domains.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use embedded_store::{EmbeddedStores, last_backup};
use platform_core::Platform;
use platform_core::kernel::{Context, PageRequest, limits};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::process::Process;
use super::reading::Reading;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabel {
    store: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    db_system_name: &'static str,
    db_namespace: String,
    db_operation_name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandlerLabel {
    handler: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// Set when they are asked for. The hot paths only count, with atomics of their own.
#[derive(Default)]
pub(super) struct Observed {
    process: Process,
    calls: Family<CallLabels, Reading>,
    syncs: Family<StoreLabel, Reading>,
    commits: Family<StoreLabel, Gauge>,
    log_syncs: Reading,
    outbox_lag: Family<StoreLabel, Seconds>,
    handler_lag: Family<HandlerLabel, Gauge>,
    dead_letters: Gauge,
    postings: Counter,
    rejections: Family<CodeLabel, Counter>,
    accounts: Gauge,
    imbalance: Gauge<f64, AtomicU64>,
    hash_queue: Gauge,
    attempts: Family<OutcomeLabel, Counter>,
    sends: Reading,
    signed_entries: Gauge,
    flag_staleness: Seconds,
    backup_age: Seconds,
}

impl Observed {
    pub(super) fn register(registry: &mut Registry) -> Observed {
        let observed = Observed { process: Process::register(registry), ..Observed::default() };
        let help = "Groups of batches that a store committed: checked, written, synced";
        registry.register_with_unit(
            "db_client_operation_duration",
            help,
            Unit::Seconds,
            observed.calls.clone(),
        );
        let help = "The part of a commit that makes it durable";
        registry.register_with_unit("platform_store_sync", help, Unit::Seconds, observed.syncs.clone());
        let help = "Groups of records that the log made durable";
        registry.register_with_unit("platform_log_sync", help, Unit::Seconds, observed.log_syncs.clone());
        let help = "Age of the oldest event that is committed and not yet in the log";
        registry.register_with_unit("platform_outbox_lag", help, Unit::Seconds, observed.outbox_lag.clone());
        let help = "Attempts to send, from the hand-over to the answer";
        registry.register_with_unit(
            "platform_notifications_send_duration",
            help,
            Unit::Seconds,
            observed.sends.clone(),
        );
        let help = "Since the flags in force were seen to be those of the store";
        registry.register_with_unit(
            "platform_flags_staleness",
            help,
            Unit::Seconds,
            observed.flag_staleness.clone(),
        );
        let help = "Since the data folder was backed up; +Inf when it never was";
        registry.register_with_unit("platform_backup_age", help, Unit::Seconds, observed.backup_age.clone());
        let help = "Commits of a store since it was made";
        registry.register("platform_store_commits", help, observed.commits.clone());
        let help = "Events in the log that a handler has not seen";
        registry.register("platform_handler_lag_events", help, observed.handler_lag.clone());
        let help = "Events that wait because a handler failed; 500 stands for more";
        registry.register("platform_dead_letters", help, observed.dead_letters.clone());
        let help = "Transfers that were recorded";
        registry.register("platform_ledger_postings", help, observed.postings.clone());
        let help = "Transfers that were refused, by the reason";
        registry.register("platform_ledger_rejections", help, observed.rejections.clone());
        registry.register("platform_ledger_accounts", "Accounts", observed.accounts.clone());
        let help = "Credits minus debits, in minor units, over all assets regardless of sign: must be 0";
        registry.register("platform_ledger_imbalance", help, observed.imbalance.clone());
        let help = "Passwords that wait for a thread to hash them";
        registry.register("platform_auth_hash_queue_depth", help, observed.hash_queue.clone());
        let help = "Attempts to send, by how they ended";
        registry.register("platform_notifications_attempts", help, observed.attempts.clone());
        let help = "Entries of the audit log that a checkpoint has signed";
        registry.register("platform_audit_signed_entries", help, observed.signed_entries.clone());
        observed
    }

    /// Looks everything up. What cannot be read now keeps its last value: metrics must answer when a store
    /// does not.
    pub(super) async fn look(&self, platform: &Platform) {
        self.process.look();
        self.look_at_stores(platform);
        self.look_at_events(platform).await;
        let context = Context::service("metrics");
        self.look_at_ledger(platform, &context);
        self.hash_queue.set(platform.backends().runtime.waiting() as i64);
        if let Ok(counts) = platform.notifications().attempts(&context) {
            for (outcome, count) in counts.outcomes {
                set(&self.attempts.get_or_create(&OutcomeLabel { outcome }), count);
            }
            self.sends.set(counts.took);
        }
        if let Ok(checkpoint) = platform.audit().checkpoint(&context).await
            && let Some(size) = checkpoint.lines().nth(1).and_then(|size| size.parse().ok())
        {
            self.signed_entries.set(size);
        }
        self.flag_staleness.set(platform.flags().staleness().as_secs_f64());
        let now = platform.backends().runtime.now();
        let taken = EmbeddedStores::of(platform).and_then(|stores| last_backup(stores.path()));
        self.backup_age.set(taken.map_or(f64::INFINITY, |taken| now.since(taken).as_secs_f64()));
    }

    fn look_at_stores(&self, platform: &Platform) {
        for store in platform.stores() {
            let label = StoreLabel { store: store.name().to_owned() };
            if let Some(timings) = store.timings() {
                let call = CallLabels {
                    db_system_name: timings.system,
                    db_namespace: label.store.clone(),
                    db_operation_name: "commit",
                };
                self.calls.get_or_create(&call).set(timings.commit.read());
                self.syncs.get_or_create(&label).set(timings.sync.read());
            }
            self.commits.get_or_create(&label).set(*store.committed().borrow() as i64);
        }
        if let Some(times) = platform.backends().log.sync_times() {
            self.log_syncs.set(times.read());
        }
    }

    async fn look_at_events(&self, platform: &Platform) {
        for lag in platform.outbox_lag().await.unwrap_or_default() {
            self.outbox_lag.get_or_create(&StoreLabel { store: lag.store }).set(lag.age.as_secs_f64());
        }
        for lag in platform.handler_lag().await.unwrap_or_default() {
            self.handler_lag.get_or_create(&HandlerLabel { handler: lag.handler }).set(lag.events as i64);
        }
        let page = PageRequest { limit: Some(limits::PAGE_MAX), cursor: None };
        if let Ok(page) = platform.dead_letters().list(&Context::service("metrics"), &page).await {
            self.dead_letters.set(page.items.len() as i64);
        }
    }

    fn look_at_ledger(&self, platform: &Platform, context: &Context) {
        if let Ok(counts) = platform.transactions().counts(context) {
            set(&self.postings, counts.posted);
            for (code, count) in counts.rejected {
                set(&self.rejections.get_or_create(&CodeLabel { code }), count);
            }
        }
        if let Ok(check) = platform.transactions().check(context) {
            let off = |minor: &str| minor.parse::<f64>().map_or(f64::NAN, f64::abs);
            let sums = check.assets.iter().map(|asset| off(&asset.posted_minor) + off(&asset.pending_minor));
            // `+ 0.0`: the sum of nothing is -0.
            self.imbalance.set(sums.sum::<f64>() + 0.0);
            self.accounts.set(check.accounts as i64);
        }
    }
}

/// What the core has counted. Two who ask at once may bring different ages of it: it never goes back.
fn set(counter: &Counter, count: u64) {
    counter.inner().fetch_max(count, Relaxed);
}
