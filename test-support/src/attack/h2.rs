//! HTTP/2 frames, made and read by hand (RFC 9113): what no client's library would send.

use std::sync::Arc;
use std::time::Duration;

use super::front::Front;
use super::line::Line;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) const CANCEL: [u8; 4] = [0, 0, 0, 8];

const NAMES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// A frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The fields of a GET (RFC 7541): the method and the scheme from the static table, path and authority in
/// words. A path and an authority are below 127 bytes.
pub(super) fn get(path: &str) -> Vec<u8> {
    let mut fields = vec![0x82, 0x86, 0x04, path.len() as u8];
    fields.extend(path.as_bytes());
    fields.extend([0x01, 1, b'a']);
    fields
}

/// A field in words, not kept in a table.
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0x00, name.len() as u8];
    bytes.extend(name.as_bytes());
    bytes.push(value.len() as u8);
    bytes.extend(value.as_bytes());
    bytes
}

/// The beginning of a connection, with settings of ours: `(identifier, value)`.
pub(super) fn preface(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (identifier, value) in settings {
        payload.extend(identifier.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(SETTINGS, 0, 0, &payload)].concat()
}

/// What came over a connection, read as frames: tallies why it or its streams were ended. Listens for so
/// long; false when it was closed.
pub(super) async fn listen(line: &mut Line, rest: &mut Vec<u8>, span: Duration, front: &Arc<Front>) -> bool {
    let is_open = line.hear(span).await;
    rest.extend(line.take());
    let mut read = 0;
    while let Some((length, kind, payload)) = next(rest.get(read..).unwrap_or_default()) {
        match kind {
            GOAWAY => front.note(format!("GOAWAY {}", reason(payload.get(4..8)))),
            RST_STREAM => front.note(format!("RST_STREAM {}", reason(payload.get(..4)))),
            // The status stands in front, from the static table or as a number.
            HEADERS => front.note("answered"),
            _ => {}
        }
        read += length;
    }
    rest.drain(..read);
    is_open
}

fn next(bytes: &[u8]) -> Option<(usize, u8, &[u8])> {
    let (head, payload) = bytes.split_first_chunk::<9>()?;
    let [a, b, c, kind, ..] = *head;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    Some((9 + length, kind, payload.get(..length)?))
}

fn reason(code: Option<&[u8]>) -> &'static str {
    let code = code.and_then(|code| code.first_chunk::<4>()).map(|code| u32::from_be_bytes(*code));
    code.and_then(|code| NAMES.get(code as usize)).copied().unwrap_or("of an unknown kind")
}
