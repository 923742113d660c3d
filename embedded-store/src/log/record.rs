//! How a record is stored.
//!
//! Key: a byte that tells records from the log's own rows, topic (u32), partition (u16), offset (u64),
//! big endian: so a partition is a range in order.
//! Value: time (u64, microseconds), total (u64: bytes of the partition up to and with this record),
//! length of the key (u32), key, value, and the FNV-1a (64 bit) of all that, key of the row included.

use bytes::Bytes;
use platform_core::kernel::Timestamp;
use platform_core::ports::log::{NewRecord, Record};

/// A stored record with what retention needs to know.
pub(crate) struct Stored {
    pub(crate) record: Record,
    /// Bytes of the partition up to and with this record, since its beginning.
    pub(crate) total: u64,
}

/// The first byte of a record's key; the log's own rows begin with `/`.
const RECORD: u8 = 0x01;

pub(crate) type RowKey = [u8; 15];

pub(crate) fn row_key(topic: u32, partition: u16, offset: u64) -> RowKey {
    let mut key = [RECORD; 15];
    let (_, rest) = key.split_at_mut(1);
    let (head, rest) = rest.split_at_mut(4);
    let (middle, tail) = rest.split_at_mut(2);
    head.copy_from_slice(&topic.to_be_bytes());
    middle.copy_from_slice(&partition.to_be_bytes());
    tail.copy_from_slice(&offset.to_be_bytes());
    key
}

/// The offset in a row's key.
pub(super) fn offset_of(row_key: &[u8]) -> Option<u64> {
    row_key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

pub(crate) fn encode(row_key: &RowKey, time: Timestamp, total: u64, record: &NewRecord) -> Vec<u8> {
    let mut out = Vec::with_capacity(28 + record.bytes());
    out.extend_from_slice(&time.as_micros().to_be_bytes());
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&(record.key.len() as u32).to_be_bytes());
    out.extend_from_slice(record.key.as_bytes());
    out.extend_from_slice(&record.value);
    let check = checksum(row_key, &out);
    out.extend_from_slice(&check.to_be_bytes());
    out
}

/// `None` when it is damaged.
pub(crate) fn decode(row_key: &[u8], partition: u16, stored: &[u8]) -> Option<Stored> {
    let (body, check) = stored.split_last_chunk::<8>()?;
    if checksum(row_key, body) != u64::from_be_bytes(*check) {
        return None;
    }
    let (time, rest) = body.split_first_chunk::<8>()?;
    let (total, rest) = rest.split_first_chunk::<8>()?;
    let (key_len, rest) = rest.split_first_chunk::<4>()?;
    let (key, value) = rest.split_at_checked(u32::from_be_bytes(*key_len) as usize)?;
    let record = Record {
        partition,
        offset: offset_of(row_key)?,
        time: Timestamp::from_micros(u64::from_be_bytes(*time)),
        key: String::from_utf8(key.to_vec()).ok()?,
        value: Bytes::copy_from_slice(value),
    };
    Some(Stored { record, total: u64::from_be_bytes(*total) })
}

fn checksum(row_key: &[u8], body: &[u8]) -> u64 {
    row_key.iter().chain(body).fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_a_flipped_bit_does_not() {
        let key = row_key(1, 2, 3);
        let stored = encode(&key, Timestamp::from_secs(9), 77, &NewRecord::new("k", "value"));
        let back = decode(&key, 2, &stored).unwrap();
        assert_eq!((back.record.offset, back.total), (3, 77));
        assert_eq!((back.record.key.as_str(), &back.record.value[..]), ("k", b"value".as_slice()));
        for at in 0..stored.len() {
            let mut flipped = stored.clone();
            flipped[at] ^= 1;
            assert!(decode(&key, 2, &flipped).is_none(), "byte {at}");
        }
        assert!(decode(&row_key(1, 2, 4), 2, &stored).is_none(), "a row in another's place");
    }
}
