//! Dead letters: shown, and handled again.

use serde::{Deserialize, Serialize};

use super::letters::{Queue, drain, find, list};
use super::{Backbone, DeadLetter, Handler, generation};
use crate::kernel::{Context, Cursor, DeadLetterId, Error, Page, PageRequest, Permission, Result};
use crate::ports::store::{KeyReader, KeyWriter};

/// May see dead letters.
pub const READ: Permission = Permission::literal("deadletters:read");
/// May have dead letters handled again.
pub const REDRIVE: Permission = Permission::literal("deadletters:redrive");

/// The dead letters of all handlers.
pub struct DeadLetters<'a>(pub(super) &'a Backbone);

/// What a redrive came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Redriven {
    /// Letters of the key that were handled now, in order.
    pub handled: u64,
    /// Letters of the key that still wait.
    pub left: u64,
    /// Code of the failure that stopped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

impl Backbone {
    /// The dead letters of all handlers.
    pub fn dead_letters(&self) -> DeadLetters<'_> {
        DeadLetters(self)
    }
}

impl DeadLetters<'_> {
    /// The waiting events of all handlers, handler by handler, and in the order in which those of a
    /// key will be handled.
    ///
    /// # Errors
    /// `auth.forbidden`, `auth.not_signed_in`, `request.invalid_limit`, `request.invalid_cursor`.
    pub async fn list(&self, ctx: &Context, request: &PageRequest) -> Result<Page<DeadLetter>> {
        ctx.require(&READ)?;
        let limit = request.limit()?;
        let handlers = self.0.handlers();
        let (mut at, mut inner) = read_cursor(request.cursor.as_ref())?;
        let mut items = Vec::new();
        while let Some(handler) = handlers.get(at) {
            let generation = generation_of(&**handler).await?;
            let page =
                list(handler.database(), handler.name(), generation, limit - items.len(), inner.take())
                    .await?;
            items.extend(page.items);
            match page.next_cursor {
                Some(next) => inner = Some(next),
                None => at += 1,
            }
            if items.len() >= limit {
                break;
            }
        }
        let next_cursor = (at < handlers.len()).then(|| write_cursor(at, inner.as_ref()));
        Ok(Page { items, next_cursor })
    }

    /// One waiting event.
    ///
    /// # Errors
    /// `auth.forbidden`, `auth.not_signed_in`, `deadletters.not_found`.
    pub async fn get(&self, ctx: &Context, id: DeadLetterId) -> Result<DeadLetter> {
        ctx.require(&READ)?;
        Ok(self.find(id).await?.1)
    }

    /// Handles the waiting events of this letter's key now, in order, until one fails.
    ///
    /// # Errors
    /// `auth.forbidden`, `auth.not_signed_in`, `deadletters.not_found`; `store.…` when the handler's
    /// store is out of reach. A failure of the handler is told in the result.
    pub async fn redrive(&self, ctx: &Context, id: DeadLetterId) -> Result<Redriven> {
        ctx.require(&REDRIVE)?;
        let (handler, letter) = self.find(id).await?;
        let generation = generation_of(&*handler).await?;
        let queue = Queue { handler: handler.name(), generation, store: &letter.store, key: &letter.key };
        let drained = drain(&*handler, &queue).await?;
        Ok(Redriven {
            handled: drained.handled,
            left: drained.left.map_or(0, |parked| parked.count),
            error_code: drained.error.map(|error| error.code().to_owned()),
        })
    }

    async fn find(&self, id: DeadLetterId) -> Result<(std::sync::Arc<dyn Handler>, DeadLetter)> {
        for handler in self.0.handlers() {
            let generation = generation_of(&*handler).await?;
            if let Some(letter) = find(handler.database(), handler.name(), generation, id).await? {
                return Ok((handler, letter));
            }
        }
        Err(Error::not_found("deadletters.not_found", "there is no such dead letter"))
    }
}

async fn generation_of(handler: &dyn Handler) -> Result<u64> {
    match handler.kind() {
        super::Kind::Reactor => Ok(0),
        super::Kind::Projection => generation::live_generation(handler.database(), handler.name()).await,
    }
}

/// A cursor is the number of the handler, and the cursor within it.
fn write_cursor(at: usize, inner: Option<&Cursor>) -> Cursor {
    let key = KeyWriter::new().u64(at as u64);
    let key = match inner {
        Some(inner) => key.bytes(inner.as_bytes()),
        None => key,
    };
    Cursor::from_bytes(key.finish())
}

fn read_cursor(cursor: Option<&Cursor>) -> Result<(usize, Option<Cursor>)> {
    let Some(cursor) = cursor else { return Ok((0, None)) };
    let invalid = |_| Error::invalid("request.invalid_cursor", "not a cursor of this list");
    let (number, rest) = cursor.as_bytes().split_at(cursor.as_bytes().len().min(8));
    let at = KeyReader::new(number).u64().map_err(invalid)?;
    let inner = match rest {
        [] => None,
        rest => Some(Cursor::from_bytes(KeyReader::new(rest).bytes().map_err(invalid)?)),
    };
    Ok((usize::try_from(at).unwrap_or(usize::MAX), inner))
}
