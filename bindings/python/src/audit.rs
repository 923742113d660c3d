//! `platform.audit`.

use platform_core::audit::{
    AuditEntry as CoreEntry, ConsistencyProof as CoreConsistency, EntryProof as CoreProof, EventsQuery,
    Outcome, Source,
};
use platform_core::kernel::{Actor, Error, EventId, Result};

use crate::domain::domain;
use crate::record::record;
use crate::values::{Bytes, Id, Json, Many, Time, literal};

literal! {
    /// How what was attempted ended.
    AuditOutcome: Outcome { Success = "success", Failure = "failure", Denied = "denied" }
}

record! {
    /// The place of an event in the store that published it.
    AuditSource(it: Source) {
        /// The store.
        store: String = it.store.clone();
        /// The commit.
        commit: u64 = it.position.commit;
        /// The index in the commit.
        index: u16 = it.position.index;
    }
}

record! {
    /// An entry of the audit log.
    AuditEntry(it: CoreEntry) {
        /// Its number in the log, from 0, gapless.
        index: u64 = it.index;
        /// The id of the event, or one of its own.
        id: Id<EventId> = Id(it.what.id);
        /// When it happened.
        time: Time = Time(it.what.time);
        /// What was done: the type of the event, or what was attempted.
        action: String = it.what.action.clone();
        /// Who did it.
        actor: String = it.what.actor.to_string();
        /// What it was done to.
        subject: String = it.what.subject.clone();
        /// How it ended.
        outcome: AuditOutcome = AuditOutcome(it.what.outcome);
        /// The request it belongs to.
        correlation_id: String = it.what.correlation_id.to_string();
        /// The event that caused it.
        causation_id: Option<Id<EventId>> = it.what.causation_id.map(Id);
        /// Where the event was published; ``None`` when there was no event.
        source: Option<AuditSource> = it.what.source.clone().map(AuditSource);
        /// How many equal occurrences this one stands for; ``None`` for one.
        count: Option<u64> = it.what.count;
        /// The data of the event: personal data only sealed under the person's key.
        data: Json = Json(it.what.data.clone());
    }
}

record! {
    /// Proof that an entry is in the log of a signed checkpoint. Hashes are base 64.
    EntryProof(it: CoreProof) {
        /// The number of the entry.
        index: u64 = it.index;
        /// The number of entries of the log that it is proven to be in.
        tree_size: u64 = it.tree_size;
        /// The entry: exactly the text whose bytes are hashed.
        entry: String = it.entry.clone();
        /// ``SHA256(0x00 ‖ entry)``.
        leaf_hash: String = it.leaf_hash.to_string();
        /// The hashes from the leaf to the root.
        proof: Vec<String> = it.proof.iter().map(ToString::to_string).collect();
        /// The root that they lead to.
        root: String = it.root.to_string();
        /// The signed checkpoint with that size and root.
        checkpoint: String = it.checkpoint.clone();
    }
}

record! {
    /// Proof that nothing was changed between two sizes of the log. Hashes are base 64.
    ConsistencyProof(it: CoreConsistency) {
        /// The smaller size.
        from_size: u64 = it.from;
        /// Its root.
        from_root: String = it.from_root.to_string();
        /// The larger size.
        to_size: u64 = it.to;
        /// Its root.
        to_root: String = it.to_root.to_string();
        /// The hashes of RFC 6962, 2.1.2.
        proof: Vec<String> = it.proof.iter().map(ToString::to_string).collect();
        /// A signed checkpoint over at least ``to_size`` entries.
        checkpoint: String = it.checkpoint.clone();
    }
}

domain! {
    /// The audit trail: a log that only grows, with proofs. What happens is in it milliseconds later (``settled`` waits for
    /// that).
    Audit, AsyncAudit;

    /// The entries that fit everything that is given, newest first (permission ``audit:read``). ``from_time`` is inclusive,
    /// ``to_time`` is not.
    pages events(
        ;
        actor: Option<String> = None,
        subject: Option<String> = None,
        action: Option<String> = None,
        from_time: Option<Time> = None,
        to_time: Option<Time> = None
    ) -> AuditEntry,
    example {
        /// >>> p.settled()
        /// >>> [entry.action for entry in p.audit.events(subject=ada.id)]
        /// ['users.profile_created']
    },
    |platform, context, page| {
        let (from, to) = (from_time.map(|time| time.0), to_time.map(|time| time.0));
        let query = EventsQuery { actor, subject, action, from, to };
        platform.audit().events(&context, &query, &page).await
    };

    /// One entry (permission ``audit:read``).
    ///
    /// Raises ``NotFoundError`` (``audit.not_found``).
    query event(index: u64) -> AuditEntry,
    example {
        /// >>> p.audit.event(0).index
        /// 0
    },
    |platform, context| platform.audit().event(&context, index).await;

    /// The signed checkpoint over all entries (C2SP tlog-checkpoint; permission ``audit:read``).
    query checkpoint() -> String,
    example {
        /// >>> p.audit.checkpoint().splitlines()[0].startswith("localhost/audit")
        /// True
    },
    |platform, context| platform.audit().checkpoint(&context).await;

    /// The key that checks the checkpoints, as a C2SP verifier key (permission ``audit:read``).
    query verifier_key() -> String,
    example {
        /// >>> p.audit.verifier_key().startswith("localhost/audit")
        /// True
    },
    |platform, context| platform.audit().verifier_key(&context).await.map(|key| key.to_string());

    /// Proof that an entry is in the log; it is verified before it is given out (permission ``audit:read``).
    ///
    /// Raises ``NotFoundError`` (``audit.not_found``), ``DataLossError`` (``audit.damaged``).
    query proof(index: u64) -> EntryProof,
    example {
        /// >>> p.audit.proof(0).index
        /// 0
    },
    |platform, context| platform.audit().proof(&context, index).await;

    /// Proofs of several entries under the same checkpoint, in their order (permission ``audit:read``).
    ///
    /// Raises as ``proof`` does.
    query proofs(indexes: Vec<u64>) -> Many<CoreProof, EntryProof>,
    example {
        /// >>> [proof.index for proof in p.audit.proofs([0])]
        /// [0]
    },
    |platform, context| platform.audit().proofs(&context, &indexes).await;

    /// Proof that the log of ``from_size`` entries is the beginning of the log of ``to_size`` entries (of all that are signed
    /// when absent; permission ``audit:read``).
    ///
    /// Raises ``InvalidInputError`` (``audit.invalid_range``), ``DataLossError`` (``audit.damaged``).
    query consistency(from_size: u64; to_size: Option<u64> = None) -> ConsistencyProof,
    example {
        /// >>> p.audit.consistency(1).from_size
        /// 1
    },
    |platform, context| platform.audit().consistency(&context, from_size, to_size).await;

    /// A part of the log under its path of C2SP tlog-tiles: ``checkpoint``, ``tile/…``, ``tile/entries/…`` (permission
    /// ``audit:read``).
    ///
    /// Raises ``InvalidInputError`` (``audit.invalid_path``), ``NotFoundError`` (``audit.not_found``).
    query resource(path: String) -> Bytes,
    example {
        /// >>> p.audit.resource("checkpoint").decode() == p.audit.checkpoint()
        /// True
    },
    |platform, context| platform.audit().resource(&context, &path).await.map(Bytes);

    /// Records that whoever acts was refused something by the application: ``action`` is what was attempted (a method and a
    /// route), ``subject`` what it was attempted on, without anything personal. It never waits; above ten a second of one
    /// client denials become counted entries.
    memory record_denied(action: String, subject: String) -> (),
    example {
        /// >>> p.acting_as(Principal.anonymous()).audit.record_denied("GET /orders", "orders")
    },
    |platform, context| {
        let denial = match context.principal.actor {
            Actor::Anonymous => Error::unauthenticated("auth.not_signed_in", "sign in first"),
            _ => Error::forbidden("auth.forbidden", "the permission is missing"),
        };
        platform.audit().record_denied(context, &action, &subject, &denial);
        Result::Ok(())
    };

    /// Begins a new log with an origin and a key of its own (permission ``audit:manage``); gives its verifier key.
    query reorigin() -> String,
    example {
        /// >>> before = p.audit.verifier_key()
        /// >>> p.audit.reorigin() != before
        /// True
    },
    |platform, context| platform.audit().reorigin(&context).await.map(|key| key.to_string());

    /// Writes and signs what was denied or shown so far, which happens by itself within 1.5 seconds.
    query flush() -> (),
    example {
        /// >>> p.acting_as(Principal.anonymous()).audit.record_denied("GET /orders", "orders")
        /// >>> p.audit.flush()
        /// >>> [entry.action for entry in p.audit.events(subject="orders")]
        /// ['GET /orders']
    },
    |platform, _context| platform.audit().flush().await;
}
