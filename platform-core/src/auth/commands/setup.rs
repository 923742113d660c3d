//! The first administrator.

use serde::Deserialize;

use crate::kernel::{Context, Result, Secret};
use crate::users::Email;

use super::super::model::password::Verdict;
use super::super::{Auth, LoginRequest, RegisterRequest, TokenPair, error};

/// The first administrator, with the token that the start of the platform printed.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetupRequest {
    /// The setup token.
    pub token: Secret,
    /// The administrator's address.
    pub email: Email,
    /// The administrator's password.
    pub password: Secret,
}

impl Auth {
    /// The setup token, until there is an administrator. It is made anew at each start and is nowhere
    /// but in memory: a copy of an old log opens nothing.
    ///
    /// # Errors
    /// `store.unavailable`.
    pub async fn setup_token(&self) -> Result<Option<Secret>> {
        let needed = !self.users.has_administrator().await?;
        Ok(needed.then(|| self.setup_token.clone()))
    }

    /// Makes the first administrator and signs in. What a crash left half done is completed by the
    /// same request with the next token.
    ///
    /// # Errors
    /// `auth.already_set_up`, `auth.invalid_setup_token`, those of [`Auth::register`] and
    /// [`Auth::login`].
    pub async fn setup(&self, ctx: &Context, request: &SetupRequest) -> Result<TokenPair> {
        if self.users.has_administrator().await? {
            return Err(error::already_set_up());
        }
        if request.token != self.setup_token {
            return Err(error::invalid_setup_token());
        }
        let ctx = &Context { idempotency_key: None, ..ctx.clone() };
        let (email, password) = (&request.email, &request.password);
        let new = RegisterRequest { email: email.clone(), password: password.clone(), name: None };
        let user = match self.open_account(ctx, &new).await {
            Ok(registered) => registered.user_id,
            Err(error) if error.code() == "auth.email_taken" => {
                let known = self.account_of(email).await?.ok_or_else(error::email_taken)?;
                if self.verify_password(password, &known.password_hash).await? == Verdict::Wrong {
                    return Err(error);
                }
                known.id
            }
            Err(error) => return Err(error),
        };
        self.users.grant_first_administrator(&self.own_context(ctx), user).await.map_err(|error| {
            if error.code() == "users.already_set_up" { error::already_set_up() } else { error }
        })?;
        self.login(ctx, &LoginRequest { email: email.clone(), password: password.clone() }).await
    }
}
