//! What the kernel knows of this process.

use std::fs;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The kernel counts the time of a process in hundredths of a second (`USER_HZ`, fixed for programs).
const TICKS: f64 = 100.0;

/// Looked up when they are asked for.
#[derive(Default)]
pub(super) struct Process {
    resident: Gauge,
    open_fds: Gauge,
    threads: Gauge,
    cpu: Counter<f64, AtomicU64>,
}

impl Process {
    pub(super) fn register(registry: &mut Registry) -> Process {
        let process = Process::default();
        let help = "Memory that is in use";
        registry.register_with_unit("process_resident_memory", help, Unit::Bytes, process.resident.clone());
        registry.register("process_open_fds", "Open file descriptors", process.open_fds.clone());
        registry.register("process_threads", "Threads", process.threads.clone());
        let help = "Time on a core, in the program and in the kernel";
        registry.register_with_unit("process_cpu", help, Unit::Seconds, process.cpu.clone());
        let start: Gauge<f64, AtomicU64> = Gauge::default();
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        registry.register_with_unit("process_start_time", "When the process started", Unit::Seconds, start);
        process
    }

    pub(super) fn look(&self) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |name: &str| -> Option<i64> {
            status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
        };
        self.resident.set(number("VmRSS:").unwrap_or_default() * 1024);
        self.threads.set(number("Threads:").unwrap_or_default());
        self.open_fds.set(fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as i64));
        // The name of the program stands in parentheses and may hold spaces.
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let ticks =
            fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>();
        self.cpu.inner().store((ticks / TICKS).to_bits(), Relaxed);
    }
}
