//! Threads that let others go first.

/// How much nicer such a thread is: beside a busy one the kernel still gives it a tenth.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// This thread takes what processor time others leave: a hash of 18 ms, or what follows from a commit, must not make
/// those wait who would be done in a fraction of one. What it starts inherits that.
pub fn yield_to_others() {
    #[cfg(target_os = "linux")]
    {
        // On Linux the niceness is the thread's. Where it cannot be told or changed it goes on as it is.
        let own = Some(rustix::thread::gettid());
        let _ = rustix::process::getpriority_process(own)
            .and_then(|now| rustix::process::setpriority_process(own, now.saturating_add(NICER).min(19)));
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap()
    }

    #[test]
    fn a_thread_that_yields_is_nicer_than_the_one_that_started_it() {
        let before = niceness();
        let yielding = std::thread::spawn(|| {
            yield_to_others();
            niceness()
        });
        assert_eq!(yielding.join().unwrap(), (before + NICER).min(19));
        assert_eq!(niceness(), before, "others stay as they are");
    }
}
