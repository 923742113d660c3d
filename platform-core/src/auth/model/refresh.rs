//! Refresh tokens: a family is a session, each token is spent once (RFC 9700, 4.14.2).

use serde::{Deserialize, Serialize};

use crate::kernel::{Sealed, SessionId, Timestamp, UserId, limits};

/// What is stored of a refresh token, under the SHA-256 of the token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::auth) struct RefreshToken {
    /// The family.
    pub session_id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// When it was given out.
    pub issued_at: Timestamp,
    /// When it ends unused.
    pub expires_at: Timestamp,
    /// When it was used, and what it was exchanged for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Spent>,
}

/// The use of a refresh token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::auth) struct Spent {
    /// When.
    pub at: Timestamp,
    /// The token that replaced it, sealed: a client that asks twice at once gets the same answer.
    pub successor: Sealed,
}

/// What a refresh token is answered with.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::auth) enum Answer {
    /// It is exchanged for a new one.
    Rotate,
    /// It was exchanged a moment ago: the same successor again.
    Replay(Sealed),
    /// It was exchanged long ago: somebody has a copy. The family ends.
    Reused,
    /// It has ended, or its session has.
    Refused,
}

impl RefreshToken {
    /// Decides. `session_lives` is whether the session is there and not past its end.
    pub(in crate::auth) fn answer(&self, session_lives: bool, now: Timestamp) -> Answer {
        if !session_lives || self.expires_at <= now {
            return Answer::Refused;
        }
        match &self.spent {
            None => Answer::Rotate,
            Some(spent) if now.since(spent.at) <= limits::REFRESH_REPLAY_WINDOW => {
                Answer::Replay(spent.successor.clone())
            }
            Some(_) => Answer::Reused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::RawId;
    use proptest::prelude::*;
    use std::time::Duration;

    /// A family as the store would hold it; the index of a token is its name.
    struct Family {
        tokens: Vec<RefreshToken>,
        lives: bool,
    }

    #[derive(Debug, PartialEq)]
    enum Outcome {
        Token(usize),
        Ended,
        Refused,
    }

    impl Family {
        fn token(now: Timestamp) -> RefreshToken {
            RefreshToken {
                session_id: SessionId(RawId([1; 16])),
                user_id: UserId(RawId([2; 16])),
                issued_at: now,
                expires_at: now.plus(Duration::from_secs(3_600)),
                spent: None,
            }
        }

        fn refresh(&mut self, index: usize, now: Timestamp) -> Outcome {
            match self.tokens[index].answer(self.lives, now) {
                Answer::Rotate => {
                    let next = self.tokens.len();
                    let successor = Sealed::from_bytes(next.to_be_bytes().to_vec());
                    self.tokens[index].spent = Some(Spent { at: now, successor });
                    self.tokens.push(Family::token(now));
                    Outcome::Token(next)
                }
                Answer::Replay(successor) => {
                    Outcome::Token(usize::from_be_bytes(successor.as_bytes().try_into().unwrap()))
                }
                Answer::Reused => {
                    self.lives = false;
                    Outcome::Ended
                }
                Answer::Refused => Outcome::Refused,
            }
        }
    }

    proptest! {
        #[test]
        fn a_family_has_one_live_token_and_dies_of_a_late_second_use(
            steps in proptest::collection::vec((any::<proptest::sample::Index>(), 0u64..15), 1..60),
        ) {
            let mut now = Timestamp::from_secs(1_000);
            let mut family = Family { tokens: vec![Family::token(now)], lives: true };
            let mut first_use: Vec<Option<(Timestamp, usize)>> = vec![None];
            let mut dead = false;
            for (which, pause) in steps {
                now = now.plus(Duration::from_secs(pause));
                let index = which.index(family.tokens.len());
                let outcome = family.refresh(index, now);
                // The model: by hand, without the state above.
                let expected = if dead {
                    Outcome::Refused
                } else {
                    match first_use[index] {
                        None => {
                            first_use[index] = Some((now, first_use.len()));
                            first_use.push(None);
                            Outcome::Token(first_use.len() - 1)
                        }
                        Some((at, successor)) if now.since(at).as_secs() <= 10 => Outcome::Token(successor),
                        Some(_) => { dead = true; Outcome::Ended }
                    }
                };
                prop_assert_eq!(outcome, expected);
                prop_assert_eq!(family.tokens.iter().filter(|token| token.spent.is_none()).count(), 1);
            }
        }
    }

    #[test]
    fn nothing_is_given_for_an_ended_session_or_an_old_token() {
        let now = Timestamp::from_secs(1_000);
        let token = Family::token(now);
        assert_eq!(token.answer(false, now), Answer::Refused);
        assert_eq!(token.answer(true, token.expires_at), Answer::Refused);
        assert_eq!(token.answer(true, now), Answer::Rotate);
    }
}
