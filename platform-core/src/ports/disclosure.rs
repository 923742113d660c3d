//! Who was shown whose personal data: told by the domains that show it, taken down by the one that keeps
//! the trail.
//!
//! # Behavior
//! - Telling never waits and never fails.
//! - What the platform itself reads to do its work is not told, nor what a person reads of themselves.
//! - The latest [`Witness`] hears everything from then on. Without one (a build without a trail) nobody does.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::kernel::{Actor, Context, UserId};

/// People that one disclosure names; of more than these only the number is told.
const NAMED: usize = 50;

/// Somebody was shown personal data of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosure {
    /// What was done, as events are named: `users.profile_read`.
    pub action: &'static str,
    /// Whose data, or which list of them.
    pub subject: String,
    /// Whose data: the first of them.
    pub people: Vec<UserId>,
    /// How many things were shown.
    pub shown: u64,
}

/// Takes disclosures down.
pub trait Witness: Send + Sync {
    /// Takes one down, without waiting.
    fn disclosed(&self, context: &Context, disclosure: Disclosure);
}

/// Where domains tell of disclosures. All clones are the same.
#[derive(Clone, Default)]
pub struct Disclosures(Arc<RwLock<Option<Arc<dyn Witness>>>>);

impl Disclosures {
    /// From now on this one hears.
    pub fn attach(&self, witness: Arc<dyn Witness>) {
        *self.0.write() = Some(witness);
    }

    /// Data of one person were shown.
    pub fn of(&self, context: &Context, action: &'static str, person: UserId) {
        if context.principal.actor != Actor::User(person) {
            self.among(context, action, person.to_string(), 1, [person]);
        }
    }

    /// A list of things was shown: `people` are those whose data were in it, each once or more often.
    pub fn among(
        &self,
        context: &Context,
        action: &'static str,
        subject: String,
        shown: u64,
        people: impl IntoIterator<Item = UserId>,
    ) {
        if context.principal.actor == Actor::System {
            return;
        }
        let Some(witness) = self.0.read().clone() else { return };
        let mut named: Vec<UserId> = Vec::new();
        for person in people {
            if named.len() < NAMED && !named.contains(&person) {
                named.push(person);
            }
        }
        witness.disclosed(context, Disclosure { action, subject, people: named, shown });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{CorrelationId, RawId};
    use parking_lot::Mutex;

    #[derive(Default)]
    struct Notes(Mutex<Vec<Disclosure>>);

    impl Witness for Notes {
        fn disclosed(&self, _: &Context, disclosure: Disclosure) {
            self.0.lock().push(disclosure);
        }
    }

    fn user(number: u8) -> UserId {
        UserId(RawId([number; 16]))
    }

    fn reader(number: u8) -> Context {
        let mut context = Context::anonymous(CorrelationId::from_raw(RawId([0; 16])));
        context.principal.actor = Actor::User(user(number));
        context
    }

    #[test]
    fn what_others_read_is_told_and_what_one_reads_of_oneself_is_not() {
        let (notes, disclosures) = (Arc::new(Notes::default()), Disclosures::default());
        disclosures.of(&reader(1), "users.profile_read", user(2));
        disclosures.attach(notes.clone());
        disclosures.of(&reader(1), "users.profile_read", user(1));
        disclosures.of(&Context::system(), "users.profile_read", user(1));
        disclosures.of(&reader(1), "users.profile_read", user(2));
        let told = notes.0.lock().clone();
        let people = vec![user(2)];
        let subject = user(2).to_string();
        assert_eq!(told, [Disclosure { action: "users.profile_read", subject, people, shown: 1 }]);
    }

    #[test]
    fn a_long_list_names_some_and_counts_all() {
        let (notes, disclosures) = (Arc::new(Notes::default()), Disclosures::default());
        disclosures.attach(notes.clone());
        let people = (0..200).map(|number| user(number / 2));
        disclosures.among(&reader(1), "users.searched", "users".to_owned(), 200, people);
        let told = notes.0.lock().pop().unwrap();
        assert_eq!((told.people.len(), told.shown), (NAMED, 200));
    }
}
