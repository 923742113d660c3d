//! Points in time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: microseconds since 1970-01-01T00:00:00Z. Text form: RFC 3339 in UTC.
///
/// ```
/// use platform_core::kernel::Timestamp;
/// let at: Timestamp = "2026-11-22T12:00:00.000001Z".parse().unwrap();
/// assert_eq!(at.to_string(), "2026-11-22T12:00:00.000001Z");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The first moment.
    pub const EPOCH: Timestamp = Timestamp(0);

    /// The last moment that has a text form: 9999-12-30T00:00:00Z, within what jiff formats.
    pub const MAX: Timestamp = Timestamp(253_402_128_000_000_000);

    /// From microseconds since 1970.
    pub const fn from_micros(micros: u64) -> Timestamp {
        Timestamp(micros)
    }

    /// From milliseconds since 1970.
    pub const fn from_millis(millis: u64) -> Timestamp {
        Timestamp(millis.saturating_mul(1_000))
    }

    /// From seconds since 1970.
    pub const fn from_secs(secs: u64) -> Timestamp {
        Timestamp(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// Seconds since 1970.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Later by this much; stops at [`Timestamp::MAX`].
    #[must_use]
    pub fn plus(self, duration: Duration) -> Timestamp {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Timestamp(self.0.saturating_add(micros).min(Timestamp::MAX.0))
    }

    /// Earlier by this much; stops at [`Timestamp::EPOCH`].
    #[must_use]
    pub fn minus(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is before.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0.min(Timestamp::MAX.0) as i64) {
            Ok(at) => at.fmt(f),
            Err(_) => write!(f, "@{}us", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = super::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid =
            || super::Error::invalid("request.invalid_time", "a time is RFC 3339, from 1970 to 9999-12-30");
        let at: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
        let at = u64::try_from(at.as_microsecond()).map(Timestamp).map_err(|_| invalid())?;
        if at <= Timestamp::MAX { Ok(at) } else { Err(invalid()) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::from_text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn offsets_are_read_and_times_before_1970_are_refused() {
        assert_eq!("1970-01-01T02:00:01+02:00".parse::<Timestamp>().unwrap(), Timestamp::from_secs(1));
        assert!("1969-12-31T23:59:59Z".parse::<Timestamp>().is_err());
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn the_last_moment_has_a_text_form() {
        assert_eq!(Timestamp::MAX.to_string().parse::<Timestamp>().unwrap(), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.plus(Duration::from_secs(1)), Timestamp::MAX);
        assert!("9999-12-30T00:00:00.000001Z".parse::<Timestamp>().is_err(), "it would print as another");
    }

    proptest! {
        #[test]
        fn text_form_round_trips(micros in 0..=Timestamp::MAX.0) {
            let at = Timestamp::from_micros(micros);
            prop_assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        }
    }
}
