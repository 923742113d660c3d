//! What a value may be, when some of its writes were answered, some refused, and some neither.

/// A value of the platform, as its clients can know it.
///
/// An answered write takes the place of all that was answered before it began. A write without an
/// answer may have happened, may yet happen, or never will: until the value is looked at in peace.
#[derive(Debug, Clone)]
pub struct Register<T> {
    answers: u64,
    /// With the number of the answer.
    answered: Vec<(u64, T)>,
    open: Vec<Attempt<T>>,
    tickets: u64,
}

#[derive(Debug, Clone)]
struct Attempt<T> {
    ticket: u64,
    began: u64,
    value: T,
}

/// A write on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

impl<T: PartialEq + Clone> Register<T> {
    /// It has this value.
    pub fn new(value: T) -> Register<T> {
        Register { answers: 0, answered: vec![(0, value)], open: Vec::new(), tickets: 0 }
    }

    /// A write begins.
    pub fn begin(&mut self, value: T) -> Ticket {
        self.tickets += 1;
        self.open.push(Attempt { ticket: self.tickets, began: self.answers, value });
        Ticket(self.tickets)
    }

    /// It was answered.
    pub fn acknowledge(&mut self, ticket: Ticket) {
        let Some(at) = self.open.iter().position(|attempt| attempt.ticket == ticket.0) else { return };
        let attempt = self.open.remove(at);
        self.answers += 1;
        self.answered.retain(|(number, _)| *number > attempt.began);
        self.answered.push((self.answers, attempt.value));
    }

    /// It was refused: it never happens.
    pub fn refuse(&mut self, ticket: Ticket) {
        self.open.retain(|attempt| attempt.ticket != ticket.0);
    }

    /// Whether this may be the value.
    pub fn allows(&self, value: &T) -> bool {
        self.answered.iter().any(|(_, known)| known == value)
            || self.open.iter().any(|attempt| attempt.value == *value)
    }

    /// The value, when there is no doubt.
    pub fn certain(&self) -> Option<&T> {
        match (self.answered.as_slice(), self.open.is_empty()) {
            ([(_, value)], true) => Some(value),
            _ => None,
        }
    }

    /// Every value that it may have.
    pub fn possible(&self) -> impl Iterator<Item = &T> {
        self.answered.iter().map(|(_, value)| value).chain(self.open.iter().map(|attempt| &attempt.value))
    }

    /// It was looked at when nothing was on its way.
    pub fn resolve(&mut self, value: T) {
        self.answers += 1;
        self.answered = vec![(self.answers, value)];
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_the_place_of_what_was_answered_before_it_began() {
        let mut register = Register::new(0);
        let (one, two) = (register.begin(1), register.begin(2));
        assert!([0, 1, 2].iter().all(|value| register.allows(value)));
        register.acknowledge(one);
        assert!(register.allows(&1) && register.allows(&2) && !register.allows(&0));
        register.acknowledge(two);
        // They were on their way together: either may have been the last.
        assert!(register.allows(&1) && register.allows(&2));
        let three = register.begin(3);
        register.acknowledge(three);
        assert_eq!(register.certain(), Some(&3));
    }

    #[test]
    fn what_was_never_answered_may_still_come_and_what_was_refused_does_not() {
        let mut register = Register::new(0);
        let (_lost, refused) = (register.begin(1), register.begin(2));
        register.refuse(refused);
        let three = register.begin(3);
        register.acknowledge(three);
        assert!(register.allows(&1) && register.allows(&3) && !register.allows(&2));
        register.resolve(3);
        assert_eq!(register.certain(), Some(&3));
    }
}
