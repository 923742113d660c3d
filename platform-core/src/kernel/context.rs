//! Who asks, on whose behalf, and what the request belongs to.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Commits, CorrelationId, Error, EventId, Permission, Positions, RawId, Result, SessionId, Timestamp,
    UserId, limits,
};

/// Who caused something. Text form: `user:user_…`, `service:…`, `anonymous`, `system`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// Nobody signed in.
    Anonymous,
    /// A signed-in user.
    User(UserId),
    /// An application or worker, by name.
    Service(String),
    /// The platform itself.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Anonymous => f.write_str("anonymous"),
            Actor::User(id) => write!(f, "user:{id}"),
            Actor::Service(name) => write!(f, "service:{name}"),
            Actor::System => f.write_str("system"),
        }
    }
}

impl FromStr for Actor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "anonymous" => Ok(Actor::Anonymous),
            None if text == "system" => Ok(Actor::System),
            Some(("user", id)) => Ok(Actor::User(id.parse()?)),
            Some(("service", name)) if !name.is_empty() => Ok(Actor::Service(name.to_owned())),
            _ => Err(Error::invalid(
                "request.invalid_actor",
                "an actor is user:ID, service:NAME, anonymous or system",
            )),
        }
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::from_text(deserializer)
    }
}

/// What a principal may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permissions {
    /// Everything: the role `admin`, and code inside the process that embeds the platform.
    All,
    /// What is listed, and nothing else.
    Only(Arc<BTreeSet<Permission>>),
}

impl Permissions {
    /// Nothing at all.
    pub fn none() -> Permissions {
        // Every request of nobody in particular has it.
        static NONE: LazyLock<Arc<BTreeSet<Permission>>> = LazyLock::new(Arc::default);
        Permissions::Only(Arc::clone(&NONE))
    }

    /// Whether `permission` is held.
    pub fn contains(&self, permission: &Permission) -> bool {
        match self {
            Permissions::All => true,
            Permissions::Only(set) => set.contains(permission),
        }
    }
}

/// An actor with what it may do, as it was established for this request.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Who.
    pub actor: Actor,
    /// The session, when a user signed in.
    pub session: Option<SessionId>,
    /// What they may do.
    pub permissions: Permissions,
}

impl Principal {
    /// Nobody in particular, who may do nothing that is not open to everybody.
    pub fn anonymous() -> Principal {
        Principal { actor: Actor::Anonymous, session: None, permissions: Permissions::none() }
    }
}

/// Where a request came from.
#[derive(Debug, Clone, Default)]
pub struct ClientInfo {
    /// The peer's address, or what a trusted proxy says of it.
    pub address: Option<IpAddr>,
    /// The `User-Agent`, cut to [`limits::NAME_BYTES`].
    pub user_agent: Option<String>,
}

/// A key under which a caller may repeat a request: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (1..=limits::IDEMPOTENCY_KEY_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
        {
            Ok(IdempotencyKey(text.to_owned()))
        } else {
            Err(Error::invalid(
                "idempotency.invalid_key",
                "an idempotency key is 1 to 255 visible ASCII characters",
            ))
        }
    }
}

/// The `traceparent` of W3C Trace Context, level 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace, never zero.
    pub trace_id: u128,
    /// The span, never zero.
    pub span_id: u64,
    /// Bit 0: sampled.
    pub flags: u8,
}

impl FromStr for TraceParent {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid =
            || Error::invalid("request.invalid_traceparent", "not a traceparent of W3C Trace Context");
        let hex = |part: &str, len: usize| {
            let lower =
                part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            if lower { u128::from_str_radix(part, 16).map_err(|_| invalid()) } else { Err(invalid()) }
        };
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or_else(invalid);
        let version = hex(next()?, 2)?;
        let (trace_id, span_id, flags) = (hex(next()?, 32)?, hex(next()?, 16)?, hex(next()?, 2)?);
        let more = parts.next().is_some();
        if version == 0xff || (version == 0 && more) || trace_id == 0 || span_id == 0 {
            return Err(invalid());
        }
        Ok(TraceParent { trace_id, span_id: span_id as u64, flags: flags as u8 })
    }
}

impl TraceParent {
    /// The text, as it stands in the header.
    pub fn to_ascii(self) -> [u8; 55] {
        let mut text = *b"00-________________________________-________________-__";
        let mut write = |place: Range<usize>, bytes: &[u8]| {
            write_hex(text.get_mut(place).unwrap_or_default(), bytes);
        };
        write(3..35, &self.trace_id.to_be_bytes());
        write(36..52, &self.span_id.to_be_bytes());
        write(53..55, &[self.flags]);
        text
    }
}

/// Two digits for each byte.
fn write_hex(text: &mut [u8], bytes: &[u8]) {
    // Wrapping, which it never does: without a check the loop is a few instructions.
    let digit = |nibble: u8| nibble.wrapping_add(if nibble < 10 { b'0' } else { b'a' - 10 });
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        if let [high, low] = pair {
            (*high, *low) = (digit(byte >> 4), digit(byte & 15));
        }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_ascii()).unwrap_or_default())
    }
}

/// What every command and query is given first: who asks, and what the request belongs to.
///
/// A facade method checks the principal by itself ([`Context::require`]): no caller is trusted to
/// have done so before.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who asks.
    pub principal: Principal,
    /// Ties together everything that this request causes: the request id.
    pub correlation_id: CorrelationId,
    /// The event that caused this, when a handler acts.
    pub causation_id: Option<EventId>,
    /// After this nobody waits for the answer any more.
    pub deadline: Option<Timestamp>,
    /// The caller's key for repeating this request.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Where the request came from.
    pub client: ClientInfo,
    /// Why, in the caller's words (`X-Change-Reason`), at most [`limits::NAME_BYTES`].
    pub reason: Option<String>,
    /// The trace this belongs to.
    pub trace: Option<TraceParent>,
    /// Where the commands that were given this context, or a clone of it, have committed.
    pub commits: Commits,
}

impl Context {
    /// A context for a principal.
    pub fn new(principal: Principal, correlation_id: CorrelationId) -> Context {
        Context {
            principal,
            correlation_id,
            causation_id: None,
            deadline: None,
            idempotency_key: None,
            client: ClientInfo::default(),
            reason: None,
            trace: None,
            commits: Commits::default(),
        }
    }

    /// For code inside the process: the application that embeds the platform, with every permission.
    pub fn service(name: &str) -> Context {
        let principal = Principal {
            actor: Actor::Service(name.to_owned()),
            session: None,
            permissions: Permissions::All,
        };
        Context::new(principal, CorrelationId::from_raw(RawId([0; 16])))
    }

    /// For the platform's own workers.
    pub fn system() -> Context {
        let principal = Principal { actor: Actor::System, session: None, permissions: Permissions::All };
        Context::new(principal, CorrelationId::from_raw(RawId([0; 16])))
    }

    /// For a request of nobody in particular.
    pub fn anonymous(correlation_id: CorrelationId) -> Context {
        Context::new(Principal::anonymous(), correlation_id)
    }

    /// The same context with an idempotency key.
    #[must_use]
    pub fn with_key(mut self, key: IdempotencyKey) -> Context {
        self.idempotency_key = Some(key);
        self
    }

    /// How far each store was after the commands that were given this context, or a clone of it: what a
    /// read waits for that is to see them (`Platform::wait_for`).
    pub fn positions(&self) -> Positions {
        self.commits.positions()
    }

    /// The signed-in user.
    ///
    /// # Errors
    /// `auth.not_signed_in`.
    pub fn user(&self) -> Result<UserId> {
        match self.principal.actor {
            Actor::User(id) => Ok(id),
            _ => Err(Error::unauthenticated("auth.not_signed_in", "sign in first")),
        }
    }

    /// Demands a permission.
    ///
    /// # Errors
    /// `auth.not_signed_in` for nobody, `auth.forbidden` without the permission.
    pub fn require(&self, permission: &Permission) -> Result<()> {
        if self.principal.permissions.contains(permission) {
            return Ok(());
        }
        match self.principal.actor {
            Actor::Anonymous => Err(Error::unauthenticated("auth.not_signed_in", "sign in first")),
            _ => Err(Error::forbidden("auth.forbidden", "the permission is missing")
                .with("permission", permission)),
        }
    }

    /// Demands to be this user, or to hold a permission.
    ///
    /// # Errors
    /// As [`Context::require`].
    pub fn require_self_or(&self, user: UserId, permission: &Permission) -> Result<()> {
        if self.principal.actor == Actor::User(user) { Ok(()) } else { self.require(permission) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_to_sign_in_and_somebody_is_refused() {
        let read = Permission::literal("users:read");
        let mut context = Context::anonymous(CorrelationId::from_raw(RawId([0; 16])));
        assert_eq!(context.require(&read).unwrap_err().code(), "auth.not_signed_in");
        context.principal.actor = Actor::User(UserId(RawId([1; 16])));
        assert_eq!(context.require(&read).unwrap_err().code(), "auth.forbidden");
        assert!(context.require_self_or(UserId(RawId([1; 16])), &read).is_ok());
        context.principal.permissions = Permissions::Only(Arc::new([read.clone()].into()));
        assert!(context.require(&read).is_ok());
    }

    #[test]
    fn traceparent_follows_the_recommendation() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(text.parse::<TraceParent>().unwrap().to_string(), text);
        for bad in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
        }
        assert!(
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more".parse::<TraceParent>().is_ok()
        );
    }

    #[test]
    fn actors_round_trip_as_text() {
        for actor in [
            Actor::Anonymous,
            Actor::System,
            Actor::Service("orders".into()),
            Actor::User(UserId(RawId([7; 16]))),
        ] {
            assert_eq!(actor.to_string().parse::<Actor>().unwrap(), actor);
        }
    }
}
