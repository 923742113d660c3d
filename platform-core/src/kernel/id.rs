//! Ids: TypeID 0.3 (`prefix_base32`) over UUIDv7 (RFC 9562), one newtype per thing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Timestamp;

/// Crockford's base 32, lower case, as TypeID uses it.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The digit of each letter; 255 for what is none.
#[allow(clippy::indexing_slicing, reason = "the compiler computes it")]
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdError {
    prefix: &'static str,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an id of the form {}_ followed by 26 base32 characters", self.prefix)
    }
}

impl std::error::Error for IdError {}

impl From<IdError> for super::Error {
    fn from(error: IdError) -> Self {
        super::Error::invalid("request.invalid_id", error.to_string())
    }
}

/// The 128 bits of an id. Ordered by time of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawId(pub [u8; 16]);

impl RawId {
    /// A UUIDv7 from a time and 10 random bytes.
    pub fn v7(at: Timestamp, random: [u8; 10]) -> RawId {
        let mut bytes = [0; 16];
        let (time, rest) = bytes.split_at_mut(6);
        time.copy_from_slice(at.as_millis().to_be_bytes().split_at(2).1);
        rest.copy_from_slice(&random);
        let mut id = u128::from_be_bytes(bytes);
        id = id & !(0xf << 76) | 7 << 76; // version 7
        id = id & !(0x3 << 62) | 0x2 << 62; // variant 10
        RawId(id.to_be_bytes())
    }

    /// The 26 base32 characters.
    pub fn to_base32(self) -> String {
        self.base32().as_str().to_owned()
    }

    /// The 26 base32 characters, without a heap.
    fn base32(self) -> Base32 {
        let bits = u128::from_be_bytes(self.0);
        let mut digits = [b'0'; 26];
        for (place, digit) in digits.iter_mut().zip((0..26).rev()) {
            *place = ALPHABET.get((bits >> (digit * 5)) as usize & 31).copied().unwrap_or_default();
        }
        Base32(digits)
    }

    /// Writes `prefix_base32`.
    ///
    /// # Errors
    /// Those of the formatter.
    pub fn write_typed(self, prefix: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(prefix)?;
        f.write_str("_")?;
        f.write_str(self.base32().as_str())
    }

    /// Reads 26 base32 characters; `None` if they are not exactly that.
    pub fn from_base32(text: &str) -> Option<RawId> {
        if text.len() != 26 || text.as_bytes().first().is_none_or(|first| *first > b'7') {
            return None;
        }
        let mut bits: u128 = 0;
        for byte in text.bytes() {
            let digit = DIGITS.get(usize::from(byte)).copied().filter(|digit| *digit < 32)?;
            bits = bits << 5 | u128::from(digit);
        }
        Some(RawId(bits.to_be_bytes()))
    }

    /// The time at which a v7 id was made.
    pub fn time(self) -> Timestamp {
        Timestamp::from_millis((u128::from_be_bytes(self.0) >> 80) as u64)
    }
}

/// Base 32 characters of an id.
struct Base32([u8; 26]);

impl Base32 {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Declares an id: a newtype over [`RawId`] with a prefix.
///
/// An application's own domain uses it for its own things:
///
/// ```
/// platform_core::typed_id! {
///     /// An order.
///     OrderId, "order"
/// }
/// let text = "order_01h455vb4pex5vsknk084sn02q";
/// assert_eq!(text.parse::<OrderId>().unwrap().to_string(), text);
/// ```
#[macro_export]
macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $crate::kernel::RawId);

        impl $name {
            /// The prefix of the text form.
            pub const PREFIX: &'static str = $prefix;

            /// The 16 bytes, big endian: ordered by time.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0.0
            }
        }

        impl From<$crate::kernel::RawId> for $name {
            fn from(raw: $crate::kernel::RawId) -> Self {
                $name(raw)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.write_typed($prefix, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::kernel::IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::kernel::RawId::parse_typed(text, $prefix).map($name)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::kernel::from_text(deserializer)
            }
        }

        $crate::__text_schema! { $name, concat!("`", $prefix, "_` followed by 26 base32 characters (TypeID over UUIDv7)") }
    };
}

impl RawId {
    /// Reads `prefix_base32`.
    ///
    /// # Errors
    /// [`IdError`] when the prefix or the 26 characters are not right.
    pub fn parse_typed(text: &str, prefix: &'static str) -> Result<RawId, IdError> {
        text.strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('_'))
            .and_then(RawId::from_base32)
            .ok_or(IdError { prefix })
    }
}

typed_id! {
    /// A user: the same person in every domain.
    UserId, "user"
}
typed_id! {
    /// A signed-in session.
    SessionId, "session"
}
typed_id! {
    /// A ledger account.
    AccountId, "account"
}
typed_id! {
    /// A transfer between two accounts.
    TransferId, "transfer"
}
typed_id! {
    /// A notification.
    NotificationId, "notification"
}
typed_id! {
    /// A domain event.
    EventId, "event"
}
typed_id! {
    /// An event that a handler could not process.
    DeadLetterId, "deadletter"
}

/// What ties together everything that one request caused: 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CorrelationId(String);

impl CorrelationId {
    /// A fresh one, from an id.
    pub fn from_raw(raw: RawId) -> CorrelationId {
        let mut text = String::with_capacity(30);
        text.push_str("req_");
        text.push_str(raw.base32().as_str());
        CorrelationId(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CorrelationId {
    type Err = super::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(CorrelationId(text.to_owned()))
        } else {
            Err(super::Error::invalid(
                "request.invalid_request_id",
                "a request id is 1 to 128 visible ASCII characters",
            ))
        }
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for CorrelationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CorrelationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::from_text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_typeid_specification_reads_and_writes() {
        let raw = RawId(0x0188_9c89_df6b_7f1c_a388_9139_6ec3_14bc_u128.to_be_bytes());
        assert_eq!(raw.to_base32(), "01h2e8kqvbfwea724h75qc655w");
        assert_eq!(RawId::from_base32("01h2e8kqvbfwea724h75qc655w"), Some(raw));
    }

    #[test]
    fn wrong_prefix_length_case_and_overflow_are_refused() {
        for text in
            ["", "user", "user_", "session_01h455vb4pex5vsknk084sn02q", "user_01H455VB4PEX5VSKNK084SN02Q"]
        {
            assert!(text.parse::<UserId>().is_err(), "{text}");
        }
        assert!("user_8zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<UserId>().is_err());
        assert!("user_7zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<UserId>().is_ok());
    }

    #[test]
    fn a_v7_id_carries_its_time_version_and_variant() {
        let raw = RawId::v7(Timestamp::from_millis(1_700_000_000_123), [0xff; 10]);
        assert_eq!(raw.time(), Timestamp::from_millis(1_700_000_000_123));
        assert_eq!(raw.0[6] >> 4, 7);
        assert_eq!(raw.0[8] >> 6, 2);
    }

    proptest! {
        #[test]
        fn text_form_round_trips_and_keeps_order(a in any::<[u8; 16]>(), b in any::<[u8; 16]>()) {
            let (a, b) = (RawId(a), RawId(b));
            prop_assert_eq!(RawId::from_base32(&a.to_base32()), Some(a));
            prop_assert_eq!(a.cmp(&b), a.to_base32().cmp(&b.to_base32()));
        }
    }
}
