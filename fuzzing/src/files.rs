//! What lies in a data folder beside the stores' own files: journals, records of the log, manifests, keys.

use embedded_store::fuzzing::{self, decode_record, encode_record};
use platform_core::kernel::Timestamp;
use platform_core::ports::log::NewRecord;

use crate::input::{Input, refused, text};

pub(crate) fn journal(bytes: &[u8]) {
    let (end, whole) = fuzzing::journal(bytes).expect("memory is readable");
    assert!(end <= bytes.len() as u64);
    if !whole {
        // What is cut off there is whole, so that a journal is mended at once.
        assert_eq!(fuzzing::journal(&bytes[..end as usize]).unwrap(), (end, true));
    }
}

pub(crate) fn log_records(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (topic, partition, offset) = (input.u32(), input.u32() as u16, input.u64());
    let (time, total, flip) = (Timestamp::from_micros(input.u64()), input.u64(), input.u32() as usize);
    let record = NewRecord { key: input.text(), value: input.0.to_vec().into() };
    let (row_key, stored) = encode_record(topic, partition, offset, time, total, &record);
    let (read, read_total) = decode_record(&row_key, partition, &stored).expect("what was written reads");
    assert_eq!((read.offset, read.time, read_total, read.partition), (offset, time, total, partition));
    assert_eq!((read.key, read.value), (record.key, record.value));
    let mut changed = stored.clone();
    let at = flip % changed.len();
    changed[at] ^= 1 << (flip % 8);
    assert!(decode_record(&row_key, partition, &changed).is_none(), "a changed record is damaged");
    let mut other_place = row_key.clone();
    other_place[flip % row_key.len()] ^= 1 << (flip % 8);
    assert!(decode_record(&other_place, partition, &stored).is_none(), "a record is bound to its place");
    assert!(decode_record(&row_key, partition, &stored[..at]).is_none(), "half a record is damaged");
    // Foreign bytes.
    if let Some((read, total)) = decode_record(&row_key, partition, bytes) {
        let again = NewRecord { key: read.key, value: read.value };
        assert_eq!(encode_record(topic, partition, offset, read.time, total, &again).1, bytes);
    }
}

pub(crate) fn manifest(bytes: &[u8]) {
    match fuzzing::manifest(bytes) {
        Ok(manifest) => {
            for path in manifest.files.keys().chain(&manifest.folders) {
                let path = std::path::Path::new(path);
                assert!(path.is_relative() && !path.starts_with(".."), "{} leads out", path.display());
                assert!(!path.components().any(|part| part == std::path::Component::ParentDir));
            }
            let written = serde_json::to_vec(&manifest).unwrap();
            assert_eq!(fuzzing::manifest(&written).unwrap(), manifest);
        }
        Err(error) => refused(&error, &["backup.invalid", "backup.damaged"]),
    }
}

pub(crate) fn key_file(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match fuzzing::key_file(text) {
        Ok(key) => {
            use base64::prelude::{BASE64_STANDARD, Engine};
            assert_eq!(BASE64_STANDARD.encode(key.0), text.trim());
        }
        Err(error) => {
            refused(&error, &["keys.invalid"]);
            let shown = format!("{error} {error:?}");
            assert!(text.len() < 20 || !shown.contains(text), "an error does not repeat what may be a key");
        }
    }
}
