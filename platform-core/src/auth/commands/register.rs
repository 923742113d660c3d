//! Registration: reserve the address, make the profile, activate the account.

use serde::{Deserialize, Serialize};

use crate::kernel::{Context, Result, Secret, UserId};
use crate::ports::store::{Stored, command};
use crate::users::{Email, NewProfile, USERS_WRITE};

use super::super::events::AccountRegistered;
use super::super::model::password::{self, Verdict};
use super::super::tables::{Account, AccountState};
use super::super::{Auth, error};

/// A registration.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The address: unique without regard to case.
    pub email: Email,
    /// 15 to 1,024 bytes, not the address.
    pub password: Secret,
    /// What the person is called.
    #[serde(default)]
    pub name: Option<String>,
}

/// The answer to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Registered {
    /// The user.
    pub user_id: UserId,
}

impl Auth {
    /// Registers: reserves the address, makes the profile, activates the account. What a crash leaves
    /// half done is completed at the next start, at the next login, or by the same request again.
    /// The password is no part of an idempotent request's fingerprint: no trace of it is kept.
    ///
    /// # Errors
    /// `auth.email_taken`, `auth.password_too_weak`, `auth.password_too_long`, `users.invalid_name`,
    /// `auth.registration_closed`, `runtime.busy`.
    pub async fn register(&self, ctx: &Context, request: &RegisterRequest) -> Result<Registered> {
        if !self.config.registration_open && ctx.require(&USERS_WRITE).is_err() {
            return Err(error::registration_closed());
        }
        self.open_account(ctx, request).await
    }

    pub(super) async fn open_account(&self, ctx: &Context, request: &RegisterRequest) -> Result<Registered> {
        let RegisterRequest { email, password, name } = request;
        password::check_policy(password, email)?;
        crate::users::check_name(name.as_deref())?;
        let user_id = match self.half_registered(email, password).await? {
            Some(user_id) => self.resume(ctx, request, user_id).await?,
            None => self.reserve(ctx, request).await?,
        };
        self.complete(ctx, user_id).await?;
        Ok(Registered { user_id })
    }

    /// A registration of this address with this password that was not completed.
    async fn half_registered(&self, email: &Email, password: &Secret) -> Result<Option<UserId>> {
        let Some(account) = self.account_of(email).await? else { return Ok(None) };
        let resumable = account.state == AccountState::Reserved
            && self.verify_password(password, &account.password_hash).await? != Verdict::Wrong;
        Ok(resumable.then_some(account.id))
    }

    /// Remembers the answer, before the account becomes active: then the same request would find its
    /// address taken.
    async fn resume(&self, ctx: &Context, request: &RegisterRequest, user: UserId) -> Result<UserId> {
        if ctx.idempotency_key.is_none() {
            return Ok(user);
        }
        let fingerprint = (&request.email, &request.name);
        let remembered =
            command(&self.db, ctx, "auth.register", &fingerprint, |work| async move { work.reply(user) });
        Ok(remembered.await?.value)
    }

    async fn reserve(&self, ctx: &Context, request: &RegisterRequest) -> Result<UserId> {
        let password_hash = self.hash_password(&request.password).await?;
        let fingerprint = (&request.email, &request.name);
        let password_hash = &password_hash;
        let done = command(&self.db, ctx, "auth.register", &fingerprint, |mut work| async move {
            let account = Account {
                id: work.new_id(),
                email: request.email.clone(),
                name: request.name.clone(),
                password_hash: password_hash.clone(),
                password_version: 1,
                state: AccountState::Reserved,
                created_at: work.now(),
            };
            work.create(&account)?;
            work.reply(account.id)
        })
        .await;
        done.map(|done| done.value)
            .map_err(|error| if error.code() == "store.not_unique" { error::email_taken() } else { error })
    }

    /// Makes the profile of a reserved account and activates it; nothing happens to an active one.
    /// When the address belongs to another profile, the reservation is given back.
    pub(in crate::auth) async fn complete(&self, ctx: &Context, user: UserId) -> Result<()> {
        let Some(Stored { value: account, .. }) = self.db.get::<Account>(*user.as_bytes()).await? else {
            return Err(error::email_taken());
        };
        if account.state == AccountState::Active {
            return Ok(());
        }
        let new = NewProfile { id: Some(user), email: account.email, name: account.name };
        if let Err(error) = self.users.create(&self.own_context(ctx), &new).await {
            if error.code() != "users.email_taken" {
                return Err(error);
            }
            self.give_back(ctx, user).await?;
            return Err(error::email_taken());
        }
        self.activate(ctx, user).await
    }

    async fn activate(&self, ctx: &Context, user: UserId) -> Result<()> {
        let once = Context { idempotency_key: None, ..ctx.clone() };
        command(&self.db, &once, "auth.activate", &user, |mut work| async move {
            let Some(mut account) = work.load::<Account>(*user.as_bytes()).await? else {
                return Err(error::email_taken());
            };
            if account.state == AccountState::Active {
                return work.reply(());
            }
            account.state = AccountState::Active;
            let person = user.to_string();
            let name = match account.name.take() {
                Some(name) => Some(work.seal_for(&person, AccountRegistered::NAME_PLACE, &name).await?),
                None => None,
            };
            let email = work.seal_for(&person, AccountRegistered::EMAIL_PLACE, &account.email).await?;
            work.put(&account.value)?;
            work.publish(&AccountRegistered { user_id: user, email, name })?;
            work.reply(())
        })
        .await
        .map(|_| ())
    }

    async fn give_back(&self, ctx: &Context, user: UserId) -> Result<()> {
        let once = Context { idempotency_key: None, ..ctx.clone() };
        command(&self.db, &once, "auth.give_back", &user, |mut work| async move {
            let account = work.load::<Account>(*user.as_bytes()).await?;
            if account.is_some_and(|account| account.state == AccountState::Reserved) {
                work.delete::<Account>(*user.as_bytes());
            }
            work.reply(())
        })
        .await
        .map(|_| ())
    }
}
