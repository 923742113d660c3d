//! Canonical CBOR of JSON: one byte string for each value, however it was written.
//!
//! As bucketing v3 has it: shortest heads, floats in the shortest form that loses nothing, whole
//! numbers as integers, keys shorter first and then bytewise (RFC 8949, 4.2.1 and 4.2.3).

use serde_json::{Number, Value};

/// Writes a value.
pub(in crate::flags) fn write_canonical(value: &Value, out: &mut impl FnMut(&[u8])) {
    match value {
        Value::Null => out(&[0xf6]),
        Value::Bool(value) => write_bool(*value, out),
        Value::Number(number) => write_json_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            write_array_head(items.len(), out);
            for item in items {
                write_canonical(item, out);
            }
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|(a, _), (b, _)| (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes())));
            head(5, entries.len() as u64, out);
            for (key, value) in entries {
                write_text(key, out);
                write_canonical(value, out);
            }
        }
    }
}

/// Writes `true` or `false`.
pub(in crate::flags) fn write_bool(value: bool, out: &mut impl FnMut(&[u8])) {
    out(&[if value { 0xf5 } else { 0xf4 }]);
}

/// Writes a text.
pub(in crate::flags) fn write_text(text: &str, out: &mut impl FnMut(&[u8])) {
    head(3, text.len() as u64, out);
    out(text.as_bytes());
}

/// Begins an array.
pub(in crate::flags) fn write_array_head(items: usize, out: &mut impl FnMut(&[u8])) {
    head(4, items as u64, out);
}

fn write_json_number(number: &Number, out: &mut impl FnMut(&[u8])) {
    if let Some(unsigned) = number.as_u64() {
        head(0, unsigned, out);
    } else if let Some(signed) = number.as_i64() {
        head(1, !signed.cast_unsigned(), out);
    } else {
        write_number(number.as_f64().unwrap_or(f64::NAN), out);
    }
}

/// Writes a number: as an integer when it is whole and fits 64 bits.
pub(in crate::flags) fn write_number(number: f64, out: &mut impl FnMut(&[u8])) {
    // 2^64 and -2^63 are floats exactly; the bounds make the casts lossless.
    if number.fract() == 0.0 && (0.0..18_446_744_073_709_551_616.0).contains(&number) {
        head(0, number as u64, out);
    } else if number.fract() == 0.0 && (-9_223_372_036_854_775_808.0..0.0).contains(&number) {
        head(1, !(number as i64).cast_unsigned(), out);
    } else {
        float(number, out);
    }
}

fn head(major: u8, value: u64, out: &mut impl FnMut(&[u8])) {
    let major = major << 5;
    let [.., b7] = value.to_be_bytes();
    match value {
        0..=23 => out(&[major | b7]),
        24..=0xff => out(&[major | 24, b7]),
        0x100..=0xffff => {
            out(&[major | 25]);
            out(&(value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out(&[major | 26]);
            out(&(value as u32).to_be_bytes());
        }
        _ => {
            out(&[major | 27]);
            out(&value.to_be_bytes());
        }
    }
}

fn float(number: f64, out: &mut impl FnMut(&[u8])) {
    let single = number as f32;
    if f64::from(single) != number {
        out(&[0xfb]);
        out(&number.to_be_bytes());
    } else if let Some(half) = to_half(single) {
        out(&[0xf9]);
        out(&half.to_be_bytes());
    } else {
        out(&[0xfa]);
        out(&single.to_be_bytes());
    }
}

/// The half-precision form (IEEE 754 binary16) of a finite number, when it loses nothing.
fn to_half(single: f32) -> Option<u16> {
    let bits = single.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let exponent = ((bits >> 23) & 0xff) as i32 - 127;
    let mantissa = bits & 0x7f_ffff;
    match exponent {
        -127 if mantissa == 0 => Some(sign),
        -14..=15 if mantissa & 0x1fff == 0 => {
            let exponent = u16::try_from(exponent + 15).ok()?;
            Some(sign | exponent << 10 | (mantissa >> 13) as u16)
        }
        -24..=-15 => {
            let whole = mantissa | 0x80_0000;
            let shift = u32::try_from(-1 - exponent).ok()?;
            let kept = whole.checked_shr(shift)?;
            (kept << shift == whole).then_some(sign | kept as u16)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn hex(value: &Value) -> String {
        let mut text = String::new();
        write_canonical(value, &mut |bytes| text.extend(bytes.iter().map(|byte| format!("{byte:02x}"))));
        text
    }

    #[test]
    fn the_examples_of_rfc_8949_appendix_a() {
        for (value, expected) in [
            (json!(0), "00"),
            (json!(23), "17"),
            (json!(24), "1818"),
            (json!(1000), "1903e8"),
            (json!(1_000_000), "1a000f4240"),
            (json!(1_000_000_000_000_u64), "1b000000e8d4a51000"),
            (json!(u64::MAX), "1bffffffffffffffff"),
            (json!(-1), "20"),
            (json!(-1000), "3903e7"),
            (json!(1.1), "fb3ff199999999999a"),
            (json!(1.5), "f93e00"),
            (json!(5.960464477539063e-8), "f90001"),
            (json!(0.00006103515625), "f90400"),
            (json!(3.4028234663852886e+38), "fa7f7fffff"),
            (json!(1.0e+300), "fb7e37e43c8800759c"),
            (json!(false), "f4"),
            (json!(null), "f6"),
            (json!("IETF"), "6449455446"),
            (json!("水"), "63e6b0b4"),
            (json!([1, [2, 3]]), "8201820203"),
            (json!({"a": 1, "b": [2, 3]}), "a26161016162820203"),
        ] {
            assert_eq!(hex(&value), expected, "{value}");
        }
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_written() {
        assert_eq!(hex(&json!(1.0)), hex(&json!(1)));
        assert_eq!(hex(&json!(-0.0)), hex(&json!(0)));
        assert_eq!(hex(&json!(-2.0)), hex(&json!(-2)));
        assert_eq!(hex(&json!(65_505.0)), "19ffe1");
    }

    #[test]
    fn shorter_keys_come_first() {
        assert_eq!(hex(&json!({"aa": 2, "z": 1})), "a2617a0162616102");
    }

    /// The value of a half-precision number, by the definition of its format.
    fn half_value(bits: u16) -> f64 {
        let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
        let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff));
        match exponent {
            0 => sign * mantissa * 2_f64.powi(-24),
            _ => sign * (1.0 + mantissa / 1024.0) * 2_f64.powi(exponent - 15),
        }
    }

    #[test]
    fn every_half_precision_number_is_recognised() {
        for bits in (0..=u16::MAX).filter(|bits| bits >> 10 & 31 != 31) {
            assert_eq!(to_half(half_value(bits) as f32), Some(bits));
        }
    }

    proptest! {
        #[test]
        fn a_half_is_taken_only_if_it_loses_nothing(bits in any::<u32>()) {
            let single = f32::from_bits(bits);
            prop_assume!(single.is_finite());
            if let Some(half) = to_half(single) {
                prop_assert_eq!(half_value(half), f64::from(single));
            }
        }
    }
}
