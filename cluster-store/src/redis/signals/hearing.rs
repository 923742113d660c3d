//! Who was heard, and when: from this follows whether something may have been missed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::frame::{Frame, NodeId};

/// How often a node is heard, if all goes well.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(50);
/// Who was not heard for so long may have said something that was missed: that is told now, and again after each such
/// time. With the time that it takes to look, it is within the 250 ms of the port.
pub(super) const MISSED: Duration = Duration::from_millis(150);
/// Who was not heard for so long is not connected: the port says so.
pub(super) const SILENCE: Duration = Duration::from_millis(250);
/// After a miss the receivers have so long to hear of it before anything counts as connected.
const SETTLE: Duration = Duration::from_millis(20);
/// Who was not heard for so long has probably ended without a word, and no longer keeps the others disconnected. But
/// it may as well be cut off from Redis and go on, so the others are told that they miss something, every [`MISSED`].
const PROBABLY_ENDED: Duration = Duration::from_secs(5);
/// Who was not heard for so long is forgotten: no node serves requests for an hour without Redis and unnoticed.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// Nodes that are known. Beyond, whoever was silent longest is forgotten.
const NODES: usize = 1024;

/// What is known of the other nodes, and whether this one hears itself.
#[derive(Default)]
pub(super) struct Hearing {
    others: BTreeMap<NodeId, Heard>,
    /// When the last of its own frames that came back was sent. So a slow way to Redis or back counts as silence.
    myself: Duration,
    listening: bool,
    /// Nothing counts as connected before.
    settled_at: Duration,
    /// When it was last told that something may have been missed.
    told_at: Duration,
}

struct Heard {
    /// The number of its next signal.
    next: u64,
    at: Duration,
}

impl Hearing {
    /// It listens from now on. What was said before, nobody knows.
    pub(super) fn begin(&mut self, now: Duration) {
        self.listening = true;
        // By then everybody who can be heard was heard.
        self.settled_at = now + SILENCE;
    }

    /// It does not listen any more.
    pub(super) fn end(&mut self) {
        self.listening = false;
    }

    /// A frame of another node. Returns whether signals before it were missed.
    pub(super) fn heard(&mut self, frame: &Frame, now: Duration) -> bool {
        // Whoever is new has sent nothing yet.
        let expected = self.others.get(&frame.from).map_or(0, |heard| heard.next);
        let has_missed = frame.first > expected;
        if has_missed {
            self.miss(now);
        }
        if frame.is_last {
            self.others.remove(&frame.from);
        } else {
            // A frame that was overtaken does not count back.
            self.others.insert(frame.from, Heard { next: frame.next().max(expected), at: now });
            self.forget_one_too_many();
        }
        has_missed
    }

    /// A frame of this node came back.
    pub(super) fn heard_myself(&mut self, sent_at: Duration) {
        self.myself = self.myself.max(sent_at);
    }

    /// When the last of its own frames that came back was sent.
    pub(super) fn heard_myself_at(&self) -> Duration {
        self.myself
    }

    /// Something was missed.
    pub(super) fn miss(&mut self, now: Duration) {
        self.settled_at = self.settled_at.max(now + SETTLE);
    }

    /// Until when all is heard, if nobody is heard any more; zero when it is not so now.
    pub(super) fn heard_until(&self, now: Duration) -> Duration {
        if !self.listening || now < self.settled_at {
            return Duration::ZERO;
        }
        let others = self.others.values().map(|heard| heard.at);
        let counted = others.filter(|at| now.saturating_sub(*at) < PROBABLY_ENDED);
        counted.min().map_or(self.myself, |at| at.min(self.myself)) + SILENCE
    }

    /// Whether the receivers have to be told now that they may miss something.
    pub(super) fn look(&mut self, now: Duration) -> bool {
        self.others.retain(|_, heard| now.saturating_sub(heard.at) < FORGOTTEN);
        let is_unheard = |at: Duration| now.saturating_sub(at) >= MISSED;
        let misses = !self.listening
            || is_unheard(self.myself)
            || self.others.values().any(|heard| is_unheard(heard.at));
        let is_due = misses && now.saturating_sub(self.told_at) >= MISSED;
        if is_due {
            self.told_at = now;
        }
        is_due
    }

    fn forget_one_too_many(&mut self) {
        if self.others.len() <= NODES {
            return;
        }
        let silent = self.others.iter().min_by_key(|(_, heard)| heard.at).map(|(node, _)| *node);
        silent.and_then(|node| self.others.remove(&node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = 1;
    const OTHER: NodeId = 2;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn frame(from: NodeId, first: u64, signals: usize) -> Frame {
        let signals = vec![("topic".into(), "subject".into()); signals];
        Frame { from, at: 0, first, signals, is_last: false }
    }

    /// It has listened for a minute, and is settled.
    fn listening() -> Hearing {
        let mut hearing = Hearing::default();
        hearing.begin(millis(59_000));
        hearing.heard_myself(millis(60_000));
        hearing
    }

    fn is_connected(hearing: &Hearing, at: u64) -> bool {
        millis(at) < hearing.heard_until(millis(at))
    }

    #[test]
    fn it_is_connected_while_it_hears_itself() {
        let mut hearing = listening();
        assert!(is_connected(&hearing, 60_249));
        assert!(!is_connected(&hearing, 60_250));
        hearing.heard_myself(millis(60_240));
        hearing.heard_myself(millis(60_200));
        assert!(is_connected(&hearing, 60_489), "a frame that was overtaken does not count");
        hearing.end();
        assert!(!is_connected(&hearing, 60_300));
    }

    #[test]
    fn who_has_just_begun_waits_for_the_others() {
        let mut hearing = listening();
        hearing.end();
        hearing.begin(millis(60_100));
        hearing.heard_myself(millis(60_340));
        assert!(!is_connected(&hearing, 60_349));
        assert!(is_connected(&hearing, 60_350));
    }

    #[test]
    fn it_is_not_connected_while_one_of_the_others_is_silent() {
        let mut hearing = listening();
        hearing.heard(&frame(OTHER, 0, 0), millis(60_000));
        hearing.heard(&frame(3, 0, 0), millis(60_100));
        hearing.heard_myself(millis(60_249));
        assert!(is_connected(&hearing, 60_249));
        assert!(!is_connected(&hearing, 60_250));
        hearing.heard(&frame(OTHER, 0, 0), millis(60_260));
        assert!(is_connected(&hearing, 60_260));
    }

    #[test]
    fn who_says_goodbye_is_not_missed() {
        let mut hearing = listening();
        hearing.heard(&frame(OTHER, 0, 0), millis(60_000));
        assert!(!hearing.heard(&Frame { is_last: true, ..frame(OTHER, 0, 2) }, millis(60_050)));
        hearing.heard_myself(millis(60_300));
        assert!(is_connected(&hearing, 60_300));
        assert!(!hearing.look(millis(60_300)));
    }

    #[test]
    fn who_ended_without_a_word_is_missed_for_a_while() {
        let mut hearing = listening();
        hearing.heard(&frame(OTHER, 0, 0), millis(60_000));
        for at in [61_000, 64_999] {
            hearing.heard_myself(millis(at));
            assert!(!is_connected(&hearing, at));
            assert!(hearing.look(millis(at)));
        }
        hearing.heard_myself(millis(65_000));
        assert!(is_connected(&hearing, 65_000), "it has probably ended");
        assert!(!hearing.look(millis(65_000)) && hearing.look(millis(65_149)), "but who knows");
        let later = millis(60_000) + FORGOTTEN;
        hearing.heard_myself(later);
        assert!(!hearing.look(later), "now it is forgotten");
    }

    #[test]
    fn a_gap_is_a_miss_and_a_late_frame_is_not() {
        let mut hearing = listening();
        let mut missed = |first, signals| hearing.heard(&frame(OTHER, first, signals), millis(60_000));
        assert_eq!([missed(0, 3), missed(3, 0), missed(3, 2)], [false; 3]);
        assert!(missed(6, 1), "the sixth is missing");
        assert!(!missed(5, 1), "it comes late");
        assert!(!missed(7, 0), "and does not count back");
        assert!(missed(8, 0), "a heartbeat shows it too");
    }

    #[test]
    fn whoever_is_new_and_has_spoken_was_missed() {
        let mut hearing = listening();
        assert!(!hearing.heard(&frame(OTHER, 0, 5), millis(60_000)));
        assert!(hearing.heard(&frame(3, 1, 0), millis(60_000)));
    }

    #[test]
    fn after_a_miss_it_settles() {
        let mut hearing = listening();
        hearing.heard(&frame(OTHER, 9, 0), millis(60_100));
        assert!(!is_connected(&hearing, 60_100));
        assert!(is_connected(&hearing, 60_120));
    }

    #[test]
    fn a_miss_is_told_in_time_and_again() {
        let mut hearing = listening();
        hearing.heard(&frame(OTHER, 0, 0), millis(60_000));
        let told: Vec<u64> = (60_000..60_500).filter(|at| hearing.look(millis(*at))).collect();
        assert_eq!(told, [60_150, 60_300, 60_450]);
    }

    #[test]
    fn who_does_not_listen_misses_everything() {
        let mut hearing = listening();
        hearing.end();
        hearing.heard_myself(millis(60_100));
        assert!(hearing.look(millis(60_100)));
    }

    #[test]
    fn as_many_nodes_as_there_may_be_are_known() {
        let mut hearing = listening();
        for number in 0..5_000 {
            hearing.heard(&frame(ME + 1 + number, 0, 0), millis(60_000 + number));
        }
        assert_eq!(hearing.others.len(), NODES);
    }
}
