//! What every parser and decoder has to do with any bytes.
//!
//! A target is a function of bytes that panics when something is not as it has to be: what was decoded and
//! encoded decodes to the same; encoded keys sort as their values do; what is refused is refused with a
//! stable code; nothing that was changed passes for what was signed or sealed. `fuzz/` runs the targets with
//! cargo-fuzz, `tests/` runs them over their seeds and over changes of those.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "to panic is what a target does when it finds something"
)]

mod audit;
mod files;
mod flags;
mod gateway;
mod input;
mod kernel;
mod ledger;
mod server;
mod store;
mod templates;
mod tokens;

/// What a target is.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its seeds' folder.
pub const TARGETS: &[(&str, Target)] = &[
    ("ids", kernel::ids),
    ("names", kernel::names),
    ("timestamps", kernel::timestamps),
    ("amounts", kernel::amounts),
    ("cursors", kernel::cursors),
    ("positions", kernel::positions),
    ("event_envelope", kernel::event_envelope),
    ("sealed", kernel::sealed),
    ("merkle_proofs", kernel::merkle_proofs),
    ("key_codec", store::key_codec),
    ("stored_documents", store::stored_documents),
    ("journal", files::journal),
    ("log_records", files::log_records),
    ("manifest", files::manifest),
    ("key_file", files::key_file),
    ("frames", ledger::frames),
    ("ledger_runs", ledger::runs),
    ("ledger_pages", ledger::pages),
    ("canonical_json", audit::canonical_json),
    ("audit_entry", audit::entry),
    ("audit_segment", audit::segment),
    ("tile_paths", audit::tile_paths),
    ("checkpoint", audit::checkpoint),
    ("signed_note", audit::signed_note),
    ("flag_definition", flags::definition),
    ("flag_set", flags::set),
    ("targeting", flags::targeting),
    ("templates", templates::templates),
    ("routes", gateway::routes),
    ("route_patterns", gateway::route_patterns),
    ("request_path", gateway::request_path),
    ("upstream_url", gateway::upstream_url),
    ("access_token", tokens::access_token),
    ("config", server::config),
    ("networks", server::networks),
    ("json_body", server::json_body),
    ("audit_filters", server::audit_filters),
    ("request_headers", server::request_headers),
    ("forwarded_headers", server::forwarded_headers),
    ("client_request", server::client_request),
    ("upstream_answer", server::upstream_answer),
    ("smtp_reply", server::smtp_reply),
    ("smtp_url", server::smtp_url),
];

/// Runs a target.
pub fn run(name: &str, bytes: &[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = found.unwrap_or_else(|| panic!("there is no target {name}"));
    target(bytes);
}
