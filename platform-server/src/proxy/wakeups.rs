//! What wakes a connection that is polled within the task of somebody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

/// Nothing has happened since the last look: whoever wakes tells the task.
const QUIET: u8 = 0;
/// Somebody looks, or is about to: nobody needs to be told.
const LOOKING: u8 = 1;
/// Something has happened that nobody has looked at.
const WOKEN: u8 = 2;

/// Tells apart a connection that has something to do from a task that was woken for another reason, and keeps
/// what happens during a look from waking the task once more.
#[derive(Default)]
pub(super) struct Wakeups {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wakeups {
    /// Somebody looks now, or surely will.
    pub(super) fn look(&self) {
        self.state.store(LOOKING, SeqCst);
    }

    /// Whether there is something to look at for a task. If not, the task will be told.
    pub(super) fn is_worth_a_look(&self, task: &Waker) -> bool {
        // First the task, then the state: what happens in between tells the task in vain.
        self.task.register(task);
        self.state.load(SeqCst) != QUIET
    }

    /// Ends a look, unless something has happened meanwhile.
    pub(super) fn leave(&self) -> bool {
        self.state.compare_exchange(LOOKING, QUIET, SeqCst, SeqCst).is_ok()
    }

    /// Nobody is to be told any more.
    pub(super) fn forget_task(&self) {
        self.task.take();
    }

    /// Whether something has happened that nobody has looked at.
    pub(super) fn is_woken(&self) -> bool {
        self.state.load(SeqCst) == WOKEN
    }
}

impl Wake for Wakeups {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, SeqCst) == QUIET {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn both() -> (Arc<Wakeups>, Arc<Counting>, Waker) {
        let counting = Arc::new(Counting::default());
        (Arc::new(Wakeups::default()), Arc::clone(&counting), Waker::from(counting))
    }

    #[test]
    fn what_happens_during_a_look_asks_for_another_round_and_wakes_nobody() {
        let (wakeups, told, task) = both();
        wakeups.look();
        assert!(wakeups.is_worth_a_look(&task));
        wakeups.wake_by_ref();
        assert!(!wakeups.leave());
        wakeups.look();
        assert!(wakeups.leave());
        assert_eq!(told.0.load(SeqCst), 0);
    }

    #[test]
    fn what_happens_afterwards_wakes_the_task_once() {
        let (wakeups, told, task) = both();
        assert!(!wakeups.is_worth_a_look(&task), "nothing has happened yet");
        wakeups.wake_by_ref();
        wakeups.wake_by_ref();
        assert_eq!(told.0.load(SeqCst), 1);
        assert!(wakeups.is_woken());
        assert!(wakeups.is_worth_a_look(&task));
        wakeups.look();
        assert!(wakeups.leave());
    }

    #[test]
    fn who_was_forgotten_is_not_told() {
        let (wakeups, told, task) = both();
        assert!(!wakeups.is_worth_a_look(&task));
        wakeups.forget_task();
        wakeups.wake_by_ref();
        assert_eq!(told.0.load(SeqCst), 0);
        assert!(wakeups.is_woken());
    }

    #[test]
    fn no_wakeup_is_lost_between_two_threads() {
        let (wakeups, told, task) = both();
        for _ in 0..2_000 {
            assert!(!wakeups.is_worth_a_look(&task) || told.0.load(SeqCst) > 0);
            wakeups.look();
            let before = told.0.load(SeqCst);
            let other = Arc::clone(&wakeups);
            let waking = std::thread::spawn(move || other.wake_by_ref());
            let was_quiet = wakeups.leave();
            waking.join().unwrap();
            // Either the look has seen it, or the task was told.
            assert_eq!(was_quiet, told.0.load(SeqCst) == before + 1);
        }
    }
}
