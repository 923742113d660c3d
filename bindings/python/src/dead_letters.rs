//! `platform.dead_letters`.

use platform_core::backbone::{DeadLetter as CoreLetter, LetterState, Redriven as CoreRedriven};
use platform_core::kernel::DeadLetterId;

use crate::domain::domain;
use crate::record::record;
use crate::values::{Id, Json, Time, literal};

literal! {
    /// What becomes of an event that was not handled.
    DeadLetterState: LetterState { Retrying = "retrying", Dead = "dead", Queued = "queued" }
}

record! {
    /// An event that a handler could not process, or that queues behind such a one.
    DeadLetter(it: CoreLetter) {
        /// Its id.
        id: Id<DeadLetterId> = Id(it.id);
        /// The handler.
        handler: String = it.handler.clone();
        /// The store that published the event.
        store: String = it.store.clone();
        /// The key whose events wait.
        key: String = it.key.clone();
        /// The event's place in its store.
        position: String = it.position.to_string();
        /// It is tried again by itself, waits for ``redrive``, or queues behind an earlier one of its key.
        state: DeadLetterState = DeadLetterState(it.state);
        /// How often it failed; 0 while it is queued.
        attempts: u32 = it.attempts;
        /// Code of the last failure.
        error_code: Option<String> = it.error_code.clone();
        /// The last failure in words.
        error_message: Option<String> = it.error_message.clone();
        /// When it failed last.
        failed_at: Option<Time> = it.failed_at.map(Time);
        /// When it is tried again by itself.
        retry_at: Option<Time> = it.retry_at.map(Time);
        /// When it was put here.
        parked_at: Time = Time(it.parked_at);
        /// The event, as CloudEvents write it.
        event: Json = Json(it.event.clone());
    }
}

record! {
    /// What a redrive came to.
    Redriven(it: CoreRedriven) {
        /// Letters of the key that were handled now, in order.
        handled: u64 = it.handled;
        /// Letters of the key that still wait.
        left: u64 = it.left;
        /// Code of the failure that stopped it.
        error_code: Option<String> = it.error_code.clone();
    }
}

domain! {
    /// Events that could not be handled.
    DeadLetters, AsyncDeadLetters;

    /// The waiting events of all handlers, those of a key in the order in which they will be handled (permission
    /// ``deadletters:read``).
    pages list() -> DeadLetter,
    example {
        /// >>> list(p.dead_letters.list())
        /// []
    },
    |platform, context, page| platform.dead_letters().list(&context, &page).await;

    /// One waiting event (permission ``deadletters:read``).
    ///
    /// Raises ``NotFoundError`` (``deadletters.not_found``).
    query get(id: Id<DeadLetterId>) -> DeadLetter,
    example {
        /// >>> try:
        /// ...     p.dead_letters.get(DeadLetterId("deadletter_01041040g2081040g2081040g2"))
        /// ... except NotFoundError as error:
        /// ...     error.code
        /// 'deadletters.not_found'
    },
    |platform, context| platform.dead_letters().get(&context, id.0).await;

    /// Handles the waiting events of this letter's key now, in order, until one fails (permission ``deadletters:redrive``).
    ///
    /// Raises ``NotFoundError`` (``deadletters.not_found``).
    query redrive(id: Id<DeadLetterId>) -> Redriven,
    example {
        /// >>> try:
        /// ...     p.dead_letters.redrive(DeadLetterId("deadletter_01041040g2081040g2081040g2"))
        /// ... except NotFoundError as error:
        /// ...     error.code
        /// 'deadletters.not_found'
    },
    |platform, context| platform.dead_letters().redrive(&context, id.0).await;
}
