//! One text for one JSON value: RFC 8785 (JCS), with integers beyond 2⁵³ written exactly.

use serde_json::{Number, Value};

use super::error;
use crate::kernel::{JsonText, Result};

/// The canonical text of a value.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn canonical(value: &Value) -> String {
    let mut out = Vec::new();
    write(value, &mut out);
    // Only texts were written.
    String::from_utf8(out).unwrap_or_default()
}

/// Appends the canonical text of a value.
pub(super) fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Number(number) => write_number(number, out),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            out.push(b'{');
            // The map is in the order of the bytes, which is another only for names beyond ASCII.
            if map.keys().is_sorted_by(|a, b| a.encode_utf16().lt(b.encode_utf16())) {
                write_fields(map.iter(), out);
            } else {
                let mut fields: Vec<_> = map.iter().collect();
                fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
                write_fields(fields.into_iter(), out);
            }
            out.push(b'}');
        }
        Value::String(text) => write_string(text, out),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Null => out.extend_from_slice(b"null"),
    }
}

/// Appends the canonical text of the value that this text says.
///
/// # Errors
/// `audit.unwritable` when it is nested deeper than can be read.
pub(super) fn write_text(text: &JsonText, out: &mut Vec<u8>) -> Result<()> {
    if is_canonical(text.as_str()) {
        out.extend_from_slice(text.as_str().as_bytes());
        return Ok(());
    }
    let value = text.read().map_err(|cause| error::unwritable().because(cause))?;
    write(&value, out);
    Ok(())
}

fn write_fields<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>, out: &mut Vec<u8>) {
    for (at, (name, field)) in fields.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write(field, out);
    }
}

/// serde_json escapes exactly what RFC 8785 wants escaped, and in the same way.
fn write_string(text: &str, out: &mut Vec<u8>) {
    // Writing a text to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

fn write_number(number: &Number, out: &mut Vec<u8>) {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            let mut text = String::new();
            write_float(float, &mut text);
            out.extend_from_slice(text.as_bytes());
        }
        _ => {
            let _ = serde_json::to_writer(out, number);
        }
    }
}

/// `Number::toString` of ECMAScript: the shortest digits that read back as the same number.
fn write_float(float: f64, out: &mut String) {
    if float == 0.0 {
        return out.push('0');
    }
    let scientific = format!("{:e}", float.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let point: i32 = exponent.parse::<i32>().unwrap_or(0) + 1; // digits before the point
    let count = digits.len() as i32;
    if float < 0.0 {
        out.push('-');
    }
    let zeros = |count: i32| "0".repeat(count.max(0) as usize);
    if (-5..=0).contains(&point) {
        out.push_str("0.");
        out.push_str(&zeros(-point));
        out.push_str(&digits);
    } else if (1..=21).contains(&point) {
        let (whole, fraction) = digits.split_at_checked(point as usize).unwrap_or((&digits, ""));
        out.push_str(whole);
        out.push_str(&zeros(point - count));
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(fraction);
        }
    } else {
        let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, ""));
        let dot = if rest.is_empty() { "" } else { "." };
        let sign = if point > 0 { "+" } else { "-" };
        out.push_str(&format!("{first}{dot}{rest}e{sign}{}", (point - 1).abs()));
    }
}

/// Levels of a value that are looked at.
const DEPTH: usize = 32;

/// Whether a text of JSON is surely canonical. Of some that are it is not sure: those with escapes, fractions,
/// large numbers, or names beyond ASCII.
fn is_canonical(text: &str) -> bool {
    after_value(text.as_bytes(), DEPTH) == Some(&[])
}

fn after_value(text: &[u8], depth: usize) -> Option<&[u8]> {
    match text {
        [b'{', rest @ ..] => after_fields(rest, depth.checked_sub(1)?),
        [b'[', rest @ ..] => after_items(rest, depth.checked_sub(1)?),
        [b'"', rest @ ..] => after_string(rest).map(|(_, rest)| rest),
        [b'-', rest @ ..] => after_digits(rest).filter(|_| !rest.starts_with(b"0")),
        [b'0'..=b'9', ..] => after_digits(text),
        _ => [b"true".as_slice(), b"false", b"null"].iter().find_map(|word| text.strip_prefix(*word)),
    }
}

/// The text up to the closing quote, and what follows it.
fn after_string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| matches!(*byte, b'"' | b'\\' | ..0x20))?;
    let (string, rest) = text.split_at_checked(end)?;
    Some((string, rest.strip_prefix(b"\"")?))
}

/// Whole numbers that every reader of JSON takes for what they are.
fn after_digits(text: &[u8]) -> Option<&[u8]> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(count)?;
    let is_plain = (1..=15).contains(&count) && (count == 1 || !digits.starts_with(b"0"));
    (is_plain && !matches!(rest, [b'.' | b'e' | b'E', ..])).then_some(rest)
}

fn after_items(mut text: &[u8], depth: usize) -> Option<&[u8]> {
    if let [b']', rest @ ..] = text {
        return Some(rest);
    }
    loop {
        match after_value(text, depth)? {
            [b',', rest @ ..] => text = rest,
            [b']', rest @ ..] => return Some(rest),
            _ => return None,
        }
    }
}

fn after_fields(mut text: &[u8], depth: usize) -> Option<&[u8]> {
    if let [b'}', rest @ ..] = text {
        return Some(rest);
    }
    let mut last: Option<&[u8]> = None;
    loop {
        let (name, rest) = after_string(text.strip_prefix(b"\"")?)?;
        if !name.is_ascii() || last.is_some_and(|last| last >= name) {
            return None;
        }
        last = Some(name);
        match after_value(rest.strip_prefix(b":")?, depth)? {
            [b',', rest @ ..] => text = rest,
            [b'}', rest @ ..] => return Some(rest),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_example_of_rfc_8785_is_written_as_there() {
        let value = json!({
            "numbers": [333333333.3333333, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u{20ac}$\u{f}\u{a}A'\u{42}\u{22}\u{5c}\\\"/",
            "literals": [null, true, false],
        });
        let expected = concat!(
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
            "\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
        assert_eq!(canonical(&value), expected);
    }

    #[test]
    fn names_are_sorted_by_utf_16_units() {
        let value =
            json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        assert_eq!(
            canonical(&value),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn numbers_are_written_as_ecmascript_does() {
        for (number, text) in [
            (5e-324, "5e-324"),
            (-1.7976931348623157e308, "-1.7976931348623157e+308"),
            (9007199254740992.0, "9007199254740992"),
            (1e21, "1e+21"),
            (999999999999999900000.0, "999999999999999900000"),
            (0.000001, "0.000001"),
            (0.0000001, "1e-7"),
            (123.456, "123.456"),
            (-0.0, "0"),
            (1e20, "100000000000000000000"),
        ] {
            assert_eq!(canonical(&json!(number)), text);
        }
        assert_eq!(canonical(&json!(u64::MAX)), "18446744073709551615");
        assert_eq!(canonical(&json!(i64::MIN)), "-9223372036854775808");
    }

    #[test]
    fn what_is_surely_canonical_is() {
        let sure = r#"{"a":[],"b":{},"c":[1,-20,0,[true]],"d":"ä €","e":null,"f":{"x":false,"y":"z"}}"#;
        assert!(is_canonical(sure));
        assert_eq!(canonical(&serde_json::from_str(sure).unwrap()), sure);
        for unsure in [
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"ä":1}"#,
            r#"{"a": 1}"#,
            r#"["\u0041"]"#,
            "-0",
            "1.0",
            "1e3",
            "1234567890123456",
            "[1,]",
            "[1 ]",
            "{\"a\":1,}",
            " 1",
            "1 ",
            "",
            "{",
            "[[1]",
            "01",
        ] {
            assert!(!is_canonical(unsure), "{unsure}");
        }
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(is_canonical(&deep(DEPTH)) && !is_canonical(&deep(DEPTH + 1)));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u32>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let fields = proptest::collection::vec((".{0,3}", inner.clone()), 0..4);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::from),
                fields.prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_text_is_written_as_its_value(value in any_json(), spaced in any::<bool>()) {
            let text = if spaced { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let mut out = Vec::new();
            write_text(&serde_json::from_str(&text).unwrap(), &mut out).unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(String::from_utf8(out).unwrap(), canonical(&read));
        }

        #[test]
        fn a_number_reads_back_as_itself(bits in any::<u64>()) {
            let float = f64::from_bits(bits);
            prop_assume!(float.is_finite());
            prop_assert_eq!(canonical(&json!(float)).parse::<f64>().unwrap(), float);
        }

        #[test]
        fn the_canonical_text_of_a_canonical_text_is_itself(text in "\\PC{0,20}", number in any::<i64>()) {
            let value = json!({text.clone(): [number, text], "a": {"b": null}});
            let once = canonical(&value);
            prop_assert_eq!(canonical(&serde_json::from_str(&once).unwrap()), once);
        }
    }
}
