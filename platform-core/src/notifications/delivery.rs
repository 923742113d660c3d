//! The life of a delivery, as a pure state machine.
//!
//! ```text
//! accepted ──┐                       ┌──> sent
//!     ^      ├──> claimed ───────────┼──> failed      the channel refused for good
//!     │      │    attempt, fence     ├──> dead        refused for now, too often
//! scheduled ─┘        │              └──> unknown     may or may not have gone out
//!     └───────────────┘ later
//! accepted, scheduled ──> expired, suppressed
//! dead ──> accepted                                   only on request
//! ```
//!
//! - A claim carries a fence that only grows. Who reports with an older one is told so, and nothing changes.
//! - A claim whose time is over, or whose process has ended, is an attempt whose outcome is unknown: its
//!   holder may have died after the message went out.
//! - The right-hand states are final. A dead delivery is certain not to have gone out: for [`KEPT`] it can be
//!   retried on request.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::IfUnknown;
use crate::kernel::Timestamp;

/// Attempts before a delivery is dead: with the delays below they span about two and a half hours.
pub(super) const ATTEMPTS: u32 = 10;
/// The delay after the first attempt; it doubles with each one.
const FIRST_DELAY: Duration = Duration::from_secs(15);
/// How long a dead delivery keeps what it would have said, so that it can be retried.
pub(super) const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest delay.
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// Where a delivery stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum State {
    /// Stored and due at once.
    Accepted,
    /// Due later: as asked for, or after an attempt that failed.
    Scheduled {
        /// When.
        due_at: Timestamp,
    },
    /// A worker is sending it.
    Claimed {
        /// Which attempt it is, from 1.
        attempt: u32,
        /// Grows with every claim.
        fence: u64,
        /// After this the claim is void.
        until: Timestamp,
        /// The process that sends it, by a name of its own.
        #[serde(default)]
        by: String,
    },
    /// The channel took it.
    Sent {
        /// When.
        at: Timestamp,
    },
    /// The channel refused it for good.
    Failed,
    /// Its deadline passed before it could be sent.
    Expired,
    /// The recipient does not want it, or is not there any more.
    Suppressed,
    /// It was refused for the time being, too often.
    Dead {
        /// Until when it can be retried; absent when what it would have said is forgotten.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// It may or may not have gone out.
    Unknown,
}

impl State {
    /// The name: what `state` is in JSON and in events.
    pub const fn name(&self) -> &'static str {
        match self {
            State::Accepted => "accepted",
            State::Scheduled { .. } => "scheduled",
            State::Claimed { .. } => "claimed",
            State::Sent { .. } => "sent",
            State::Failed => "failed",
            State::Expired => "expired",
            State::Suppressed => "suppressed",
            State::Dead { .. } => "dead",
            State::Unknown => "unknown",
        }
    }

    /// Whether nothing happens any more.
    pub const fn is_final(&self) -> bool {
        !matches!(self, State::Accepted | State::Scheduled { .. } | State::Claimed { .. })
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = DeliveryOutcome))]
pub enum Outcome {
    /// Taken by the channel.
    Sent,
    /// Refused for good.
    Refused,
    /// Refused for now, or not reached.
    Deferred,
    /// Not known.
    Ambiguous,
    /// The deadline passed before the irreversible step.
    Expired,
}

/// One attempt to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = DeliveryAttempt))]
pub struct Attempt {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; absent while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How it ended; absent while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why, in the channel's words without personal data: a status code, or what could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The channel's own name for the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

/// What a channel reported about an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub cause: Option<String>,
    /// The channel's own name for the message.
    pub receipt: Option<String>,
}

/// The delivery of one notification over one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Where it stands.
    pub state: State,
    /// After this it is not sent any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// What to do when an outcome is not known.
    pub if_unknown: IfUnknown,
    /// The fence of the last claim; 0 before the first.
    pub fence: u64,
    /// The attempts so far, the oldest first: at most [`ATTEMPTS`].
    pub attempts: Vec<Attempt>,
    /// Why it ended as it did, unless it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is yours to send, with this fence.
    Granted {
        /// To be shown with the report.
        fence: u64,
    },
    /// It is not due, or another has it.
    NotNow,
    /// It has just become final, or was put off: store it, do not send it.
    Changed,
}

/// A delivery that is not dead, or was dead for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRetried {
    /// It is not dead.
    NotDead,
    /// Its deadline is over.
    Late,
    /// What it would have said is forgotten.
    Forgotten,
}

/// A report came with an old fence: another worker has taken over, or the delivery is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenced;

impl Delivery {
    /// A new one: due at once, or at `send_at`.
    pub fn new(
        now: Timestamp,
        send_at: Option<Timestamp>,
        deadline: Option<Timestamp>,
        if_unknown: IfUnknown,
    ) -> Delivery {
        let state = match send_at {
            Some(due_at) if due_at > now => State::Scheduled { due_at },
            _ => State::Accepted,
        };
        Delivery { state, deadline, if_unknown, fence: 0, attempts: Vec::new(), cause: None }
    }

    /// When somebody has to look at it again, if ever. `accepted_at` is when it was made.
    pub fn due_at(&self, accepted_at: Timestamp) -> Option<Timestamp> {
        let due_at = match self.state {
            State::Accepted => accepted_at,
            State::Scheduled { due_at } => due_at,
            // A running attempt is not cut short by the deadline: the channel was told about it.
            State::Claimed { until, .. } => return Some(until),
            State::Dead { until } => return until,
            _ => return None,
        };
        Some(self.deadline.map_or(due_at, |deadline| due_at.min(deadline)))
    }

    /// Takes it for an attempt by the process `by`, which must be reported before `until`. `jitter` is
    /// uniform in 0..1 and spreads the delay when a lost claim is put off.
    pub fn claim(&mut self, now: Timestamp, until: Timestamp, by: &str, jitter: f64) -> Claim {
        match self.state {
            State::Claimed { until, .. } if until <= now => {
                self.settle(now, jitter, lost());
                return Claim::Changed;
            }
            State::Dead { until: Some(until) } if until <= now => {
                self.state = State::Dead { until: None };
                return Claim::Changed;
            }
            State::Accepted => {}
            State::Scheduled { due_at } if due_at <= now => {}
            State::Scheduled { .. } if self.is_late(now) => {}
            _ => return Claim::NotNow,
        }
        if self.is_late(now) {
            self.end(State::Expired, Some("the deadline passed".to_owned()));
            return Claim::Changed;
        }
        self.fence += 1;
        self.attempts.push(Attempt {
            started_at: now,
            ended_at: None,
            outcome: None,
            cause: None,
            receipt: None,
        });
        let (attempt, by) = (self.attempts.len() as u32, by.to_owned());
        self.state = State::Claimed { attempt, fence: self.fence, until, by };
        Claim::Granted { fence: self.fence }
    }

    /// Ends the attempt of another process, which is known to have ended. Says whether there was one.
    pub fn orphan(&mut self, now: Timestamp, own: &str, jitter: f64) -> bool {
        let orphaned = matches!(&self.state, State::Claimed { by, .. } if by != own);
        if orphaned {
            self.settle(now, jitter, lost());
        }
        orphaned
    }

    /// Begins a dead delivery anew: due at once, with all its attempts.
    ///
    /// # Errors
    /// [`NotRetried`]: nothing changes.
    pub fn retry(&mut self, now: Timestamp) -> Result<(), NotRetried> {
        match self.state {
            State::Dead { .. } if self.is_late(now) => Err(NotRetried::Late),
            State::Dead { until: Some(until) } if now < until => {
                self.attempts.clear();
                self.end(State::Accepted, None);
                Ok(())
            }
            State::Dead { .. } => Err(NotRetried::Forgotten),
            _ => Err(NotRetried::NotDead),
        }
    }

    /// Ends the attempt that was claimed with `fence`.
    ///
    /// # Errors
    /// [`Fenced`] when that claim is not the present one: nothing changes.
    pub fn report(&mut self, fence: u64, now: Timestamp, jitter: f64, report: Report) -> Result<(), Fenced> {
        match self.state {
            State::Claimed { fence: present, .. } if present == fence => {
                self.settle(now, jitter, report);
                Ok(())
            }
            _ => Err(Fenced),
        }
    }

    /// Ends it because the recipient does not want it or is gone; not while it is being sent, and not
    /// after the end. Says whether it did.
    pub fn suppress(&mut self, cause: &str) -> bool {
        let waiting = matches!(self.state, State::Accepted | State::Scheduled { .. });
        if waiting {
            self.end(State::Suppressed, Some(cause.to_owned()));
        }
        waiting
    }

    /// Ends it as refused for good before any attempt, because nothing can send it.
    pub fn fail(&mut self, cause: &str) {
        if matches!(self.state, State::Accepted | State::Scheduled { .. }) {
            self.end(State::Failed, Some(cause.to_owned()));
        }
    }

    fn is_late(&self, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    fn settle(&mut self, now: Timestamp, jitter: f64, report: Report) {
        let tried = self.attempts.len() as u32;
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.ended_at = Some(now);
            attempt.outcome = Some(report.outcome);
            attempt.cause = report.cause.clone();
            attempt.receipt = report.receipt;
        }
        match report.outcome {
            Outcome::Sent => self.end(State::Sent { at: now }, None),
            Outcome::Refused => self.end(State::Failed, report.cause),
            Outcome::Expired => self.end(State::Expired, report.cause),
            Outcome::Ambiguous if self.if_unknown == IfUnknown::Hold => {
                self.end(State::Unknown, report.cause)
            }
            Outcome::Ambiguous if tried >= ATTEMPTS => self.end(State::Unknown, report.cause),
            Outcome::Deferred if tried >= ATTEMPTS => {
                // An earlier attempt may have gone out: then nobody can say that it did not.
                let unclear = self.attempts.iter().any(|attempt| attempt.outcome == Some(Outcome::Ambiguous));
                let kept = self.deadline.map_or(now.plus(KEPT), |deadline| deadline.min(now.plus(KEPT)));
                let dead = State::Dead { until: Some(kept) };
                self.end(if unclear { State::Unknown } else { dead }, report.cause);
            }
            Outcome::Ambiguous | Outcome::Deferred => {
                self.state = State::Scheduled { due_at: now.plus(delay(tried, jitter)) };
            }
        }
    }

    fn end(&mut self, state: State, cause: Option<String>) {
        self.state = state;
        self.cause = cause;
    }
}

/// Of an attempt whose worker is gone.
fn lost() -> Report {
    let cause = Some("the worker was lost".to_owned());
    Report { outcome: Outcome::Ambiguous, cause, receipt: None }
}

/// The delay after the attempt with this number: it doubles, and a random half of it is taken off so that
/// what failed together does not return together.
fn delay(attempt: u32, jitter: f64) -> Duration {
    let doubled = FIRST_DELAY.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let full = doubled.min(LONGEST_DELAY);
    full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEASE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + seconds)
    }

    fn report(outcome: Outcome) -> Report {
        Report { outcome, cause: Some("451".into()), receipt: None }
    }

    fn new(deadline: Option<u64>) -> Delivery {
        Delivery::new(at(0), None, deadline.map(at), IfUnknown::Resend)
    }

    fn claim(delivery: &mut Delivery, now: u64) -> Claim {
        delivery.claim(at(now), at(now).plus(LEASE), "p1", 1.0)
    }

    #[test]
    fn a_message_is_claimed_sent_and_done() {
        let mut delivery = new(None);
        assert_eq!(claim(&mut delivery, 0), Claim::Granted { fence: 1 });
        assert_eq!(claim(&mut delivery, 1), Claim::NotNow);
        delivery
            .report(1, at(2), 0.0, Report { receipt: Some("q1".into()), ..report(Outcome::Sent) })
            .unwrap();
        assert_eq!(delivery.state, State::Sent { at: at(2) });
        assert_eq!((delivery.due_at(at(0)), delivery.cause), (None, None));
        assert_eq!(delivery.attempts[0].receipt.as_deref(), Some("q1"));
    }

    #[test]
    fn delays_double_up_to_an_hour_and_then_it_is_dead() {
        let (mut delivery, mut now, mut delays) = (new(None), 0, Vec::new());
        loop {
            let Claim::Granted { fence } = claim(&mut delivery, now) else { panic!("{:?}", delivery.state) };
            delivery.report(fence, at(now), 1.0, report(Outcome::Deferred)).unwrap();
            let State::Scheduled { due_at } = delivery.state else { break };
            delays.push(due_at.since(at(now)).as_secs());
            now += due_at.since(at(now)).as_secs();
        }
        assert_eq!(delays, [15, 30, 60, 120, 240, 480, 960, 1920, 3600]);
        let until = Some(at(now).plus(KEPT));
        assert_eq!((&delivery.state, delivery.cause.as_deref()), (&State::Dead { until }, Some("451")));
    }

    fn dead(deadline: Option<u64>) -> Delivery {
        let mut delivery = new(deadline);
        for attempt in 1..=u64::from(ATTEMPTS) {
            claim(&mut delivery, attempt * 4_000);
            delivery.report(attempt, at(attempt * 4_000), 1.0, report(Outcome::Deferred)).unwrap();
        }
        delivery
    }

    #[test]
    fn a_dead_delivery_begins_anew_on_request_but_not_past_its_deadline_nor_when_it_is_forgotten() {
        let mut delivery = dead(None);
        delivery.retry(at(50_000)).unwrap();
        assert_eq!((&delivery.state, delivery.attempts.len()), (&State::Accepted, 0));
        assert_eq!(delivery.retry(at(50_000)), Err(NotRetried::NotDead));
        assert_eq!(claim(&mut delivery, 50_000), Claim::Granted { fence: u64::from(ATTEMPTS) + 1 });

        let mut delivery = dead(Some(60_000));
        assert_eq!(delivery.clone().retry(at(59_999)), Ok(()));
        assert_eq!(delivery.retry(at(60_000)), Err(NotRetried::Late));

        let mut delivery = dead(None);
        let until = delivery.due_at(at(0)).unwrap();
        assert_eq!(delivery.claim(until, until.plus(LEASE), "p1", 1.0), Claim::Changed);
        assert_eq!((&delivery.state, delivery.due_at(at(0))), (&State::Dead { until: None }, None));
        assert_eq!(delivery.retry(at(50_000)), Err(NotRetried::Forgotten));
    }

    #[test]
    fn the_attempt_of_a_process_that_ended_may_have_gone_out() {
        let mut delivery = new(None);
        claim(&mut delivery, 0);
        assert!(!delivery.orphan(at(1), "p1", 1.0), "it is our own");
        assert!(delivery.orphan(at(1), "p2", 1.0));
        assert_eq!(delivery.attempts[0].outcome, Some(Outcome::Ambiguous));
        assert_eq!(delivery.state, State::Scheduled { due_at: at(16) });
        assert!(!delivery.orphan(at(1), "p2", 1.0));
        assert_eq!(delivery.report(1, at(2), 0.0, report(Outcome::Sent)), Err(Fenced));

        let mut held = Delivery::new(at(0), None, None, IfUnknown::Hold);
        claim(&mut held, 0);
        assert!(held.orphan(at(1), "p2", 1.0));
        assert_eq!(held.state, State::Unknown);
    }

    #[test]
    fn jitter_takes_off_up_to_half() {
        assert_eq!(delay(1, 0.0), Duration::from_millis(7_500));
        assert_eq!(delay(1, 0.5), Duration::from_millis(11_250));
        assert_eq!(delay(1000, 1.0), LONGEST_DELAY);
    }

    #[test]
    fn after_the_deadline_nothing_is_sent() {
        let mut delivery = new(Some(10));
        assert_eq!(delivery.due_at(at(0)), Some(at(0)));
        assert_eq!(claim(&mut delivery, 10), Claim::Changed);
        assert_eq!(delivery.state, State::Expired);

        let mut delivery = new(Some(10));
        assert_eq!(claim(&mut delivery, 5), Claim::Granted { fence: 1 });
        delivery.report(1, at(6), 1.0, report(Outcome::Deferred)).unwrap();
        // The retry would come at 21, but at 10 it is known that there will be none.
        assert_eq!(delivery.due_at(at(0)), Some(at(10)));
        assert_eq!(claim(&mut delivery, 10), Claim::Changed);
        assert_eq!((delivery.state, delivery.attempts.len()), (State::Expired, 1));
    }

    #[test]
    fn a_lost_worker_leaves_an_unknown_outcome() {
        let mut delivery = new(None);
        claim(&mut delivery, 0);
        assert_eq!(delivery.due_at(at(0)), Some(at(60)));
        assert_eq!(claim(&mut delivery, 60), Claim::Changed);
        assert_eq!(delivery.attempts[0].outcome, Some(Outcome::Ambiguous));
        assert_eq!(delivery.report(1, at(61), 0.0, report(Outcome::Sent)), Err(Fenced));
        assert_eq!(claim(&mut delivery, 75), Claim::Granted { fence: 2 });

        let mut delivery = Delivery::new(at(0), None, None, IfUnknown::Hold);
        claim(&mut delivery, 0);
        claim(&mut delivery, 60);
        assert_eq!(delivery.state, State::Unknown);
    }

    #[test]
    fn what_may_have_gone_out_once_is_never_called_dead() {
        let mut delivery = new(None);
        let mut now = 0;
        for attempt in 1..=ATTEMPTS {
            let Claim::Granted { fence } = claim(&mut delivery, now) else { panic!() };
            let outcome = if attempt == 3 { Outcome::Ambiguous } else { Outcome::Deferred };
            delivery.report(fence, at(now), 1.0, report(outcome)).unwrap();
            now += 3600;
        }
        assert_eq!(delivery.state, State::Unknown);
    }

    #[test]
    fn the_stored_form_is_what_it_was() {
        let mut delivery = new(None);
        claim(&mut delivery, 0);
        let json = r#"{"state":{"name":"claimed","attempt":1,"fence":1,"until":"2023-11-14T22:14:20Z","by":"p1"},"if_unknown":"resend","fence":1,"attempts":[{"started_at":"2023-11-14T22:13:20Z"}]}"#;
        assert_eq!(serde_json::to_string(&delivery).unwrap(), json);
        assert_eq!(serde_json::from_str::<Delivery>(json).unwrap(), delivery);
        let older = serde_json::from_str::<State>(r#"{"name":"dead"}"#).unwrap();
        assert_eq!(older, State::Dead { until: None });
    }

    #[derive(Debug, Clone)]
    enum Step {
        Wait(u64),
        Claim,
        Report { behind: u64, outcome: Outcome },
        Suppress,
        Restart,
        Retry,
    }

    fn step() -> impl Strategy<Value = Step> {
        let outcome = prop_oneof![
            1 => Just(Outcome::Sent),
            1 => Just(Outcome::Refused),
            4 => Just(Outcome::Deferred),
            1 => Just(Outcome::Ambiguous),
            1 => Just(Outcome::Expired),
        ];
        prop_oneof![
            2 => (0..5_000u64).prop_map(Step::Wait),
            3 => Just(Step::Claim),
            3 => (0..3u64, outcome).prop_map(|(behind, outcome)| Step::Report { behind, outcome }),
            1 => Just(Step::Suppress),
            1 => Just(Step::Restart),
            1 => Just(Step::Retry),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_the_rules_hold(
            steps in proptest::collection::vec(step(), 1..120),
            deadline in proptest::option::of(0..20_000u64),
            hold in any::<bool>(),
            jitter in 0.0..1.0f64,
        ) {
            let if_unknown = if hold { IfUnknown::Hold } else { IfUnknown::Resend };
            let mut delivery = Delivery::new(at(0), None, deadline.map(at), if_unknown);
            let mut now = 0;
            for step in steps {
                let before = delivery.clone();
                let retried = matches!(step, Step::Retry) && matches!(before.state, State::Dead { .. });
                match step {
                    Step::Wait(seconds) => now += seconds,
                    Step::Claim => {
                        let claim = claim(&mut delivery, now);
                        prop_assert_eq!(claim == Claim::NotNow, delivery == before);
                        if let Claim::Granted { fence } = claim {
                            prop_assert!(deadline.is_none_or(|deadline| now < deadline), "claimed after the deadline");
                            prop_assert!(before.due_at(at(0)).unwrap() <= at(now), "claimed before it was due");
                            prop_assert_eq!(fence, before.fence + 1);
                        }
                    }
                    Step::Report { behind, outcome } => {
                        let present = matches!(before.state, State::Claimed { .. }) && behind == 0;
                        let told = delivery.report(before.fence.saturating_sub(behind), at(now), jitter, report(outcome));
                        prop_assert_eq!(told.is_ok(), present);
                        prop_assert!(present || delivery == before);
                    }
                    Step::Restart => {
                        let claimed = matches!(before.state, State::Claimed { .. });
                        prop_assert_eq!(delivery.orphan(at(now), "p2", jitter), claimed);
                    }
                    Step::Retry => {
                        prop_assert_eq!(delivery.retry(at(now)).is_ok(), delivery != before);
                        let late = deadline.is_some_and(|deadline| deadline <= now);
                        prop_assert!(delivery == before || (retried && !late));
                    }
                    Step::Suppress => {
                        let done = delivery.suppress("preference");
                        prop_assert_eq!(done, delivery != before);
                        let claimed = matches!(before.state, State::Claimed { .. });
                        prop_assert!(!(done && claimed));
                    }
                }
                if before.state.is_final() && !retried {
                    prop_assert_eq!(delivery.state.name(), before.state.name(), "a final state changed");
                }
                prop_assert!(delivery.fence >= before.fence);
                prop_assert!(delivery.attempts.len() <= ATTEMPTS as usize);
                let waits = !delivery.state.is_final() || matches!(delivery.state, State::Dead { until: Some(_) });
                prop_assert_eq!(waits, delivery.due_at(at(0)).is_some());
                let open = delivery.attempts.iter().filter(|attempt| attempt.outcome.is_none()).count();
                prop_assert_eq!(open, usize::from(matches!(delivery.state, State::Claimed { .. })));
                if matches!(delivery.state, State::Dead { .. }) {
                    prop_assert!(delivery.attempts.iter().all(|attempt| attempt.outcome == Some(Outcome::Deferred)));
                }
            }
        }

        #[test]
        fn every_delivery_ends_when_somebody_looks_at_it_whenever_it_is_due(
            outcomes in proptest::collection::vec(0..4u8, 0..40),
            deadline in proptest::option::of(0..20_000u64),
        ) {
            let mut delivery = Delivery::new(at(0), Some(at(7)), deadline.map(at), IfUnknown::Resend);
            let mut outcomes = outcomes.into_iter();
            for _ in 0..3 * ATTEMPTS {
                let Some(due_at) = delivery.due_at(at(0)) else { break };
                if delivery.state.is_final() {
                    break; // a dead one is looked at once more, to forget what it would have said
                }
                if let Claim::Granted { fence } = delivery.claim(due_at, due_at.plus(LEASE), "p1", 0.3) {
                    match outcomes.next() {
                        Some(0) => delivery.report(fence, due_at, 0.3, report(Outcome::Sent)).unwrap(),
                        Some(1) => delivery.report(fence, due_at, 0.3, report(Outcome::Ambiguous)).unwrap(),
                        Some(2) => {} // the worker is lost
                        _ => delivery.report(fence, due_at, 0.3, report(Outcome::Deferred)).unwrap(),
                    }
                }
            }
            prop_assert!(delivery.state.is_final(), "{:?}", delivery);
        }
    }
}
