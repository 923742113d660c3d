//! Threads that let others go first.

/// This thread takes what processor time others leave: a hash of 18 ms, or what follows from a commit, must not make
/// those wait who would be done in a fraction of one. The kernel still gives it a tenth beside a busy thread. What
/// it starts inherits that.
pub(crate) fn yield_to_others() {
    #[cfg(target_os = "linux")]
    {
        // On Linux the niceness is the thread's. Without the right to be nicer it goes on as it is.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 10);
    }
}
