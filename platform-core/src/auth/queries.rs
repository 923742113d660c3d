//! What is read of sessions and keys.

use serde::{Deserialize, Serialize};

use crate::kernel::{Context, Page, PageRequest, Result, SessionId, Timestamp, UserId};
use crate::ports::store::{Document, IndexRange};

use super::tables::{BY_USER, Session};
use super::{Auth, Jwks, SESSIONS_READ};

/// A session as its user sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    /// The session.
    pub id: SessionId,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// When it was refreshed last.
    pub last_used_at: Timestamp,
    /// When it ends unless it is refreshed before.
    pub ends_at: Timestamp,
    /// The address of the last login or refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The program of the last login or refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Whether the request itself belongs to it.
    pub current: bool,
}

impl Auth {
    /// A user's sessions: one's own, or with the permission `sessions:read`.
    ///
    /// # Errors
    /// `request.invalid_limit`, `request.invalid_cursor`, `auth.forbidden`.
    pub async fn sessions(
        &self,
        ctx: &Context,
        user: UserId,
        page: &PageRequest,
    ) -> Result<Page<SessionView>> {
        ctx.require_self_or(user, &SESSIONS_READ)?;
        let now = self.db.runtime.now();
        let range = IndexRange::index(Session::COLLECTION.name, BY_USER)
            .exactly(user.as_bytes())
            .limit(page.limit()?)
            .after(page.cursor.clone());
        let found = self.db.scan::<Session>(&range).await?;
        let items = found
            .items
            .into_iter()
            .filter(|session| session.over_at() > now)
            .map(|session| SessionView {
                id: session.id,
                created_at: session.created_at,
                last_used_at: session.last_used_at,
                ends_at: session.over_at(),
                address: session.value.address.clone(),
                user_agent: session.value.user_agent.clone(),
                current: ctx.principal.session == Some(session.value.id),
            })
            .collect();
        Ok(Page { items, next_cursor: found.next_cursor })
    }

    /// The public keys that verify our access tokens (RFC 7517). Open to everybody.
    pub fn jwks(&self) -> Jwks {
        self.ring.load().jwks()
    }
}
