//! Money: unsigned amounts, signed balances, checked arithmetic only.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Error, Result};

/// An amount in an asset's minor units (cents of EUR, satoshi of BTC). Never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(u128);

/// A balance in minor units: credits minus debits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Balance(i128);

/// An asset: its code and the number of digits behind the decimal point.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// 1 to 16 characters `A-Z 0-9 _`; ISO 4217 codes are built in.
    pub code: String,
    /// Digits behind the decimal point, 0 to 18.
    pub scale: u8,
}

impl Asset {
    /// Most digits behind the decimal point (ether's 18).
    pub const SCALE_MAX: u8 = 18;

    /// Checks code and scale.
    ///
    /// # Errors
    /// `ledger.invalid_asset`.
    pub fn new(code: &str, scale: u8) -> Result<Asset> {
        let valid = (1..=16).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
            && scale <= Asset::SCALE_MAX;
        if valid {
            Ok(Asset { code: code.to_owned(), scale })
        } else {
            Err(Error::invalid(
                "ledger.invalid_asset",
                "an asset is 1 to 16 of A-Z, 0-9, _ and a scale of 0 to 18",
            ))
        }
    }
}

fn invalid_amount() -> Error {
    Error::invalid(
        "ledger.invalid_amount",
        "an amount is a decimal string with at most the asset's digits behind the point",
    )
}

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);
    /// The most that a text can carry: it fits a [`Balance`] with either sign.
    pub const MAX: Amount = Amount(i128::MAX as u128);

    /// From minor units.
    ///
    /// # Errors
    /// `ledger.invalid_amount` above [`Amount::MAX`].
    pub fn from_minor(minor: u128) -> Result<Amount> {
        if minor <= Amount::MAX.0 { Ok(Amount(minor)) } else { Err(invalid_amount()) }
    }

    /// The minor units.
    pub const fn minor(self) -> u128 {
        self.0
    }

    /// Reads `"12.34"`: digits, and at most `scale` of them behind a point.
    ///
    /// ```
    /// use platform_core::kernel::Amount;
    /// assert_eq!(Amount::parse("12.3", 2).unwrap().minor(), 1230);
    /// assert!(Amount::parse("12.345", 2).is_err());
    /// ```
    ///
    /// # Errors
    /// `ledger.invalid_amount`.
    pub fn parse(text: &str, scale: u8) -> Result<Amount> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| !part.is_empty() && part.len() <= 39 && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(invalid_amount());
        }
        let fraction = if text.contains('.') { fraction } else { "" };
        let missing = usize::from(scale).checked_sub(fraction.len()).ok_or_else(invalid_amount)?;
        let mut minor: u128 = 0;
        for byte in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing)) {
            minor = minor
                .checked_mul(10)
                .and_then(|minor| minor.checked_add(u128::from(byte - b'0')))
                .ok_or_else(invalid_amount)?;
        }
        Amount::from_minor(minor)
    }

    /// Writes it with all `scale` digits: `"12.30"`.
    pub fn format(self, scale: u8) -> String {
        Decimal { negative: false, minor: self.0, scale }.to_string()
    }

    /// The sum, or `None` above [`Amount::MAX`].
    pub fn checked_add(self, other: Amount) -> Option<Amount> {
        self.0.checked_add(other.0).map(Amount).filter(|sum| *sum <= Amount::MAX)
    }

    /// The difference, or `None` below zero.
    pub fn checked_sub(self, other: Amount) -> Option<Amount> {
        self.0.checked_sub(other.0).map(Amount)
    }
}

impl Balance {
    /// Nothing.
    pub const ZERO: Balance = Balance(0);

    /// From minor units.
    pub const fn from_minor(minor: i128) -> Balance {
        Balance(minor)
    }

    /// The minor units.
    pub const fn minor(self) -> i128 {
        self.0
    }

    /// Reads `"-12.34"`.
    ///
    /// # Errors
    /// `ledger.invalid_amount`.
    pub fn parse(text: &str, scale: u8) -> Result<Balance> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let minor = Amount::parse(digits, scale)?.0 as i128;
        Ok(Balance(if negative { -minor } else { minor }))
    }

    /// Writes it with all `scale` digits.
    pub fn format(self, scale: u8) -> String {
        Decimal { negative: self.0 < 0, minor: self.0.unsigned_abs(), scale }.to_string()
    }

    /// After a credit, or `None` when it does not fit.
    pub fn credit(self, amount: Amount) -> Option<Balance> {
        self.0.checked_add(i128::try_from(amount.0).ok()?).map(Balance)
    }

    /// After a debit, or `None` when it does not fit.
    pub fn debit(self, amount: Amount) -> Option<Balance> {
        self.0.checked_sub(i128::try_from(amount.0).ok()?).map(Balance)
    }
}

struct Decimal {
    negative: bool,
    minor: u128,
    scale: u8,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10u128.checked_pow(u32::from(self.scale)).unwrap_or(u128::MAX);
        let sign = if self.negative { "-" } else { "" };
        if self.scale == 0 {
            return write!(f, "{sign}{}", self.minor);
        }
        write!(
            f,
            "{sign}{}.{:0width$}",
            self.minor / unit,
            self.minor % unit,
            width = usize::from(self.scale)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", " 1", "1 ", "0x1", "1.234", "१"] {
            assert!(Amount::parse(text, 2).is_err(), "{text}");
        }
        assert!(Amount::parse(&"9".repeat(40), 0).is_err());
        assert!(Amount::parse("1.0", 0).is_err());
    }

    #[test]
    fn balances_carry_their_sign() {
        assert_eq!(Balance::parse("-0.05", 2).unwrap().minor(), -5);
        assert_eq!(Balance::from_minor(-5).format(2), "-0.05");
        assert_eq!(Balance::from_minor(7).format(0), "7");
    }

    proptest! {
        #[test]
        fn amounts_round_trip_as_text(minor in 0..=Amount::MAX.0, scale in 0..=18u8) {
            let amount = Amount::from_minor(minor).unwrap();
            prop_assert_eq!(Amount::parse(&amount.format(scale), scale).unwrap(), amount);
        }

        #[test]
        fn a_credit_and_its_debit_cancel(start in -1_000_000i128..1_000_000, minor in 0u128..1_000_000) {
            let amount = Amount::from_minor(minor).unwrap();
            let balance = Balance::from_minor(start);
            prop_assert_eq!(balance.credit(amount).unwrap().debit(amount).unwrap(), balance);
        }
    }
}
