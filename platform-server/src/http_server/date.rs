//! The field `Date` (RFC 9110, 6.6.1).

use std::cell::RefCell;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

use crate::http1::write_field;

thread_local! {
    /// The second and its text: made anew when it has passed.
    static WRITTEN: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// Writes the field with the time of now.
pub(super) fn write(out: &mut Vec<u8>) {
    let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    WRITTEN.with_borrow_mut(|(of, text)| {
        if *of != second || text.is_empty() {
            let time = UNIX_EPOCH + Duration::from_secs(second);
            text.clear();
            // Writing to a String does not fail.
            let _ = write!(text, "{}", HttpDate::from(time));
            *of = second;
        }
        write_field(out, "date", text.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_as_http_has_it() {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        let date = text.strip_prefix("date: ").unwrap().strip_suffix(" GMT\r\n").unwrap();
        assert_eq!(date.len(), "Sun, 06 Nov 1994 08:49:37".len());
        let said = httpdate::parse_http_date(&format!("{date} GMT")).unwrap();
        assert!(said.elapsed().unwrap() < Duration::from_secs(5));
    }
}
