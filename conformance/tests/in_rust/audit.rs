//! The methods of audit.

use platform_core::audit::{ConsistencyProof, EventsQuery};
use platform_core::kernel::{Actor, Error, Result, Timestamp};
use serde_json::Value;

use crate::shapes::{plain, renamed};
use crate::table::methods;

methods! { audit:
    list events(
        actor: Option<String>, subject: Option<String>, action: Option<String>,
        from_time: Option<Timestamp>, to_time: Option<Timestamp>
    ) |platform, context, page| {
        let (actor, subject, action) = (actor.clone(), subject.clone(), action.clone());
        let query = EventsQuery { actor, subject, action, from: from_time, to: to_time };
        platform.audit().events(&context, &query, &page).await
    } => plain;
    call event(index: u64) |platform, context| platform.audit().event(&context, index).await => plain;
    call checkpoint() |platform, context| platform.audit().checkpoint(&context).await => plain;
    call verifier_key() |platform, context|
        platform.audit().verifier_key(&context).await => |key| plain(key.to_string());
    call proof(index: u64) |platform, context| platform.audit().proof(&context, index).await => plain;
    call proofs(indexes: Vec<u64>) |platform, context| platform.audit().proofs(&context, &indexes).await => plain;
    call consistency(from_size: u64, to_size: Option<u64>) |platform, context|
        platform.audit().consistency(&context, from_size, to_size).await => consistency;
    call resource(path: String) |platform, context|
        platform.audit().resource(&context, &path).await => |bytes| plain(String::from_utf8_lossy(&bytes));
    call record_denied(action: String, subject: String) |platform, context| {
        let denial = match context.principal.actor {
            Actor::Anonymous => Error::unauthenticated("auth.not_signed_in", "sign in first"),
            _ => Error::forbidden("auth.forbidden", "the permission is missing"),
        };
        platform.audit().record_denied(&context, &action, &subject, &denial);
        Result::Ok(())
    } => plain;
    call reorigin() |platform, context| platform.audit().reorigin(&context).await => |key| plain(key.to_string());
    call flush() |platform, _context| platform.audit().flush().await => plain;
}

fn consistency(proof: ConsistencyProof) -> Value {
    renamed(plain(proof), &[("from", "from_size"), ("to", "to_size")])
}
