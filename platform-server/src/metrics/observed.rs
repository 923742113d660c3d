//! What is looked up when somebody asks for metrics: the process, the stores, the audit log.

use std::fs;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use platform_core::Platform;
use platform_core::kernel::{Context, PageRequest, limits};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabel {
    store: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// Gauges that are set when they are asked for.
#[derive(Default)]
pub(super) struct Observed {
    resident_bytes: Gauge,
    open_fds: Gauge,
    threads: Gauge,
    cpu_seconds: Seconds,
    start_seconds: Seconds,
    commits: Family<StoreLabel, Gauge>,
    signed_entries: Gauge,
    dead_letters: Gauge,
}

/// The kernel counts the time of a process in hundredths of a second (`USER_HZ`, fixed for programs).
const TICKS: f64 = 100.0;

impl Observed {
    pub(super) fn register(registry: &mut Registry) -> Observed {
        let observed = Observed::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        observed.start_seconds.set(now.as_secs_f64());
        let memory = "Memory that is in use";
        registry.register_with_unit(
            "process_resident_memory",
            memory,
            Unit::Bytes,
            observed.resident_bytes.clone(),
        );
        registry.register("process_open_fds", "Open file descriptors", observed.open_fds.clone());
        registry.register("process_threads", "Threads", observed.threads.clone());
        let cpu = "Time on a core, in the program and in the kernel";
        registry.register("process_cpu_seconds_total", cpu, observed.cpu_seconds.clone());
        let start = "When the process started";
        registry.register_with_unit(
            "process_start_time",
            start,
            Unit::Seconds,
            observed.start_seconds.clone(),
        );
        registry.register(
            "platform_store_commits",
            "Commits of a store since it was made",
            observed.commits.clone(),
        );
        let entries = "Entries of the audit log that a checkpoint has signed";
        registry.register("platform_audit_signed_entries", entries, observed.signed_entries.clone());
        let letters = "Events that wait because a handler failed; 500 stands for more";
        registry.register("platform_dead_letters", letters, observed.dead_letters.clone());
        observed
    }

    /// Looks everything up.
    pub(super) async fn look(&self, platform: &Platform) {
        self.look_at_process();
        for (store, database) in [
            ("users", platform.users().database()),
            ("auth", platform.auth().database()),
            ("transactions", platform.transactions().database()),
            ("notifications", platform.notifications().database()),
            ("audit", platform.audit().database()),
            ("flags", platform.flags().database()),
            ("gateway", platform.gateway().database()),
        ] {
            let position = *database.store.committed().borrow();
            self.commits.get_or_create(&StoreLabel { store }).set(position as i64);
        }
        let context = Context::service("metrics");
        // What cannot be read now keeps its last value: metrics must answer when a store does not.
        if let Ok(checkpoint) = platform.audit().checkpoint(&context).await
            && let Some(size) = checkpoint.lines().nth(1).and_then(|size| size.parse().ok())
        {
            self.signed_entries.set(size);
        }
        let page = PageRequest { limit: Some(limits::PAGE_MAX), cursor: None };
        if let Ok(page) = platform.dead_letters().list(&context, &page).await {
            self.dead_letters.set(page.items.len() as i64);
        }
    }

    fn look_at_process(&self) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |name: &str| -> Option<i64> {
            status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
        };
        self.resident_bytes.set(number("VmRSS:").unwrap_or_default() * 1024);
        self.threads.set(number("Threads:").unwrap_or_default());
        self.open_fds.set(fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as i64));
        // The name of the program stands in parentheses and may hold spaces.
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let ticks =
            fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>();
        self.cpu_seconds.set(ticks / TICKS);
    }
}
