//! Every limit in one place, each with the reason for its value.

use std::time::Duration;

/// Body of an HTTP request: what axum and nginx users expect, far above any document of ours.
pub const BODY_BYTES: usize = 2 * 1024 * 1024;
/// Body of a request from who is not signed in: a login with every character escaped has 8 KiB.
pub const OPEN_BODY_BYTES: usize = 16 * 1024;
/// Memory for all larger bodies that are being read or worked on: 128 of the largest.
pub const BODY_MEMORY_BYTES: usize = 256 * 1024 * 1024;
/// Time for a whole body: 2 MiB at 70 kB/s.
pub const BODY_TIME: Duration = Duration::from_secs(30);
/// Depth of JSON: a quarter of serde_json's own guard; our deepest format is a targeting rule.
pub const JSON_DEPTH: usize = 32;
/// Values and keys of one JSON document: a batch of 8,190 transfers has 122,853 of them.
pub const JSON_VALUES: usize = 150_000;
/// Keys of one JSON object: no object of ours has as many, and what a thousand of the same hash cost is nothing.
pub const JSON_KEYS: usize = 1_000;
/// Items on a page when the caller does not say.
pub const PAGE_DEFAULT: usize = 50;
/// Items on a page at most: about a millisecond of a store's time.
pub const PAGE_MAX: usize = 500;

/// Bytes of a document's id: leaves room for a composed key and fits every engine's key limit.
pub const KEY_BYTES: usize = 512;
/// Bytes of an index entry: PostgreSQL's b-tree takes at most about 2,700, two of them fit.
pub const INDEX_ENTRY_BYTES: usize = 1_000;
/// Index entries of one document over all its indexes: search tokens of a profile, members of a role.
pub const INDEX_ENTRIES: usize = 256;
/// Bytes of a document's body: a page of 8,190 ledger frames (1.05 MB) and some air.
pub const DOCUMENT_BYTES: usize = 4 * 1024 * 1024;
/// Expects, and writes, in one batch: what fits a single round trip.
pub const BATCH_OPERATIONS: usize = 20_000;
/// Bytes of all bodies, entries and events in one batch.
pub const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Events of one batch; the index of an event inside its commit is a `u16`.
pub const BATCH_EVENTS: usize = 1_000;
/// Bytes of one event with its envelope: FIFO and Kafka peers take at least this.
pub const EVENT_BYTES: usize = 32 * 1024;
/// Documents of one scan.
pub const SCAN_DOCUMENTS: usize = 1_000;
/// Keys of one `get`.
pub const GET_KEYS: usize = 20_000;
/// Times a command is decided anew after a conflict.
pub const COMMAND_ATTEMPTS: u32 = 16;

/// Bytes of an idempotency key.
pub const IDEMPOTENCY_KEY_BYTES: usize = 255;
/// How long an idempotency record answers.
pub const IDEMPOTENCY_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Shortest password (NIST SP 800-63B-4, a password alone).
pub const PASSWORD_MIN_BYTES: usize = 15;
/// Longest password: bounds the cost of hashing what a stranger sends.
pub const PASSWORD_MAX_BYTES: usize = 1_024;
/// Depth of roles within roles.
pub const ROLE_DEPTH: usize = 16;
/// Waiting hash computations; one more is answered with 503 at once.
pub const HASH_QUEUE: usize = 64;
/// How long a spent refresh token still answers with its successor.
pub const REFRESH_REPLAY_WINDOW: Duration = Duration::from_secs(10);
/// Failed logins per account and address before the lock.
pub const LOGIN_FAILURES: u32 = 10;

/// Transfers of one page of the ledger (TigerBeetle's 1 MiB message holds 8,190).
pub const LEDGER_PAGE_TRANSFERS: usize = 8_190;

/// Bytes of the name of a store, a collection or an index: PostgreSQL cuts names at 63.
pub const STORE_NAME_BYTES: usize = 48;
/// Stores whose positions a read waits for: the seven domains' and an application's own.
pub const POSITIONS: usize = 64;

/// Bytes of an e-mail address (RFC 5321, 4.5.3.1.3, without the brackets).
pub const EMAIL_BYTES: usize = 254;
/// Bytes of any name that a person gives to something.
pub const NAME_BYTES: usize = 200;

/// Connections at once: each costs about 15 KiB and a file descriptor.
pub const CONNECTIONS: usize = 10_000;
/// Connections at once of one address: an office behind one address has fewer.
pub const CONNECTIONS_PER_ADDRESS: usize = 1_000;
/// Requests at once over all connections: with their bodies up to 16 KiB they take at most some 100 MB.
pub const REQUESTS: usize = 4_000;
/// Requests at once of one address: a quarter of them, so that no single one takes all.
pub const REQUESTS_PER_ADDRESS: usize = 1_000;
/// Bytes of the head of a request over HTTP/1.1, which is also the read buffer of its connection: four times what
/// browsers send.
pub const HEAD_BYTES: usize = 32 * 1024;
/// Bytes of a header list of HTTP/2 (hyper's default).
pub const HEADER_LIST_BYTES: u32 = 16 * 1024;
/// Requests at once on one HTTP/2 connection: RFC 9113, 6.5.2, recommends 100 and more.
pub const STREAMS: u32 = 128;
/// Streams that a peer may reset before we have looked at them (rapid reset, CVE-2023-44487).
pub const PENDING_RESETS: usize = 20;
/// Requests of one HTTP/2 connection that its peer may take back before it is closed, when they are most of
/// all it asked for: a browser that leaves a page takes back a few dozen.
pub const STREAM_RESETS: u64 = 100;
/// Requests that wait for the answer of one upstream: 256 at 10 ms each are 25,600 a second.
pub const UPSTREAM_WAITING: usize = 256;
