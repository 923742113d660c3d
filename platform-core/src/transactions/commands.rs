//! What changes the ledger.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;

use crate::kernel::{
    AccountId, Actor, Amount, Asset, Balance, Context, Error, RawId, Result, TransferId, limits,
};
use crate::ports::store::{KeyWriter, Work};

use super::events::AccountOpened;
use super::ledger::frame::AssetCode;
use super::ledger::page::{Claim, Opening, Outcome, Transfers};
use super::ledger::reader::Traced;
use super::ledger::rejection::Rejection;
use super::ledger::request::Riders;
use super::ledger::state::{Action, NewTransfer};
use super::model::{
    Account, BatchItem, BatchResult, NewAccount, PostTransfer, Transfer, TransferBatch, TransferReply,
    TransferRequest,
};
use super::tables::AccountDocument;
use super::{LEDGER_ACCOUNTS, LEDGER_TRANSFER, Transactions, error};

impl Transactions {
    /// Opens an account.
    ///
    /// # Errors
    /// `auth.…` without [`LEDGER_ACCOUNTS`], `ledger.asset_not_found`, `ledger.invalid_amount`,
    /// `ledger.invalid_name`, `ledger.too_many_accounts`, `idempotency.key_reused`, `store.…`.
    pub async fn open_account(&self, context: &Context, new: &NewAccount) -> Result<Account> {
        context.require(&LEDGER_ACCOUNTS)?;
        let asset = self.asset(&new.asset).await?;
        let floor = new.min_balance.as_deref().map(|text| Balance::parse(text, asset.scale)).transpose()?;
        if let Some(name) = &new.name
            && (name.is_empty() || name.len() > limits::NAME_BYTES || name.chars().any(char::is_control))
        {
            return Err(error::invalid_name());
        }
        let caller = match context.principal.actor {
            Actor::User(user) => Some(user),
            _ => None,
        };
        let id: AccountId = self.db.new_id();
        let mut work = Work::new(&self.db, Arc::new(context.clone()));
        let document = AccountDocument {
            id,
            name: new.name.clone(),
            asset: asset.clone(),
            owner: new.owner.or(caller),
            min_balance: floor.map(|floor| floor.format(asset.scale)),
            opened_at: work.now(),
        };
        work.put(&document)?;
        work.publish(&AccountOpened {
            account_id: id,
            asset: asset.code.clone(),
            owner: document.owner,
            min_balance: document.min_balance.clone(),
        })?;
        let batch = work.into_batch();
        let claim = claim(context, "open_account", new, Vec::new())?;
        let opening = Opening { id, asset: AssetCode::of(&asset), floor, claim };
        let riders = Riders { writes: batch.writes, events: batch.events };
        let opened = self.ledger.open_account(opening, riders).await?;
        self.collect(context);
        self.account_unchecked(opened, None).await
    }

    /// Makes a transfer.
    ///
    /// # Errors
    /// `auth.…` without [`LEDGER_TRANSFER`]; every [`Rejection`]; `ledger.asset_not_found`,
    /// `ledger.invalid_amount`, `ledger.expiry_without_pending`, `idempotency.key_reused`, `store.…`.
    pub async fn transfer(&self, context: &Context, request: &TransferRequest) -> Result<TransferReply> {
        context.require(&LEDGER_TRANSFER)?;
        let new = self.new_transfer(request, &self.asset(&request.asset).await?)?;
        let claim = claim(context, "transfer", request, vec![request.id.is_none()])?;
        let (created, existed) = match self.one(context, new, claim).await? {
            Outcome::Created(created) => (created, false),
            Outcome::Exists(created) => (created, true),
            Outcome::Rejected(rejection) => return Err(rejection.into()),
        };
        Ok(TransferReply { transfer: self.view_of(&Traced { created, resolved: None }).await?, existed })
    }

    /// Makes transfers together, in their order.
    ///
    /// # Errors
    /// As [`Transactions::transfer`]; of a linked batch the rejection of the one that failed, with its
    /// `index`; `ledger.empty_batch`, `ledger.batch_too_large`.
    pub async fn transfer_batch(&self, context: &Context, batch: &TransferBatch) -> Result<BatchResult> {
        let items = self.prepare(context, &batch.transfers).await?;
        let made_ids = batch.transfers.iter().map(|request| request.id.is_none()).collect();
        let claim = claim(context, "transfer_batch", batch, made_ids)?;
        let outcomes = self.record(context, Transfers { items, linked: batch.linked, claim }).await?;
        if batch.linked {
            check_linked(&outcomes)?;
        }
        let mut results = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            results.push(match outcome {
                Outcome::Created(created) => {
                    BatchItem::Created(self.view_of(&Traced { created, resolved: None }).await?)
                }
                Outcome::Exists(created) => {
                    BatchItem::Exists(self.view_of(&Traced { created, resolved: None }).await?)
                }
                Outcome::Rejected(rejection) => BatchItem::Rejected {
                    code: rejection.code().to_owned(),
                    detail: rejection.message().to_owned(),
                },
            });
        }
        Ok(BatchResult { items: results })
    }

    /// Reads requests into what [`Transactions::submit`] takes; one without an id is given one.
    ///
    /// # Errors
    /// `auth.…` without [`LEDGER_TRANSFER`], `ledger.empty_batch`, `ledger.batch_too_large`; with the `index` of the
    /// first that is wrong: `ledger.asset_not_found`, `ledger.invalid_amount`, `ledger.expiry_without_pending`,
    /// `ledger.invalid_expiry`.
    pub async fn prepare(&self, context: &Context, requests: &[TransferRequest]) -> Result<Vec<NewTransfer>> {
        context.require(&LEDGER_TRANSFER)?;
        check_length(requests.len())?;
        let mut items = Vec::with_capacity(requests.len());
        // Those of a batch mostly move the same.
        let mut last: Option<Asset> = None;
        for (index, request) in requests.iter().enumerate() {
            let at = |error: Error| error.with("index", index);
            let asset = match last.take().filter(|asset| asset.code == request.asset) {
                Some(asset) => asset,
                None => self.asset(&request.asset).await.map_err(at)?,
            };
            items.push(self.new_transfer(request, &asset).map_err(at)?);
            last = Some(asset);
        }
        Ok(items)
    }

    /// Makes transfers together: plain structs in, plain structs out, for callers that count in millions.
    ///
    /// # Errors
    /// `auth.…` without [`LEDGER_TRANSFER`], `ledger.empty_batch`, `ledger.batch_too_large`, `store.…`.
    /// Rejections are in the outcomes.
    pub async fn submit(
        &self,
        context: &Context,
        items: Vec<NewTransfer>,
        linked: bool,
    ) -> Result<Vec<Outcome>> {
        context.require(&LEDGER_TRANSFER)?;
        check_length(items.len())?;
        self.record(context, Transfers { items, linked, claim: None }).await
    }

    /// Posts a pending transfer, in full or in part.
    ///
    /// # Errors
    /// As [`Transactions::transfer`].
    pub async fn post(&self, context: &Context, id: TransferId, request: &PostTransfer) -> Result<Transfer> {
        context.require(&LEDGER_TRANSFER)?;
        let amount = match &request.amount {
            None => None,
            Some(text) => match self.scale_of(id).await? {
                Some(scale) => Some(Amount::parse(text, scale)?),
                None => return Err(Rejection::PendingNotFound.into()),
            },
        };
        let claim = claim(context, "post", &(id, request), vec![true])?;
        self.end(context, id, Action::Post { pending: id, amount }, claim).await
    }

    /// Voids a pending transfer.
    ///
    /// # Errors
    /// As [`Transactions::transfer`].
    pub async fn void(&self, context: &Context, id: TransferId) -> Result<Transfer> {
        context.require(&LEDGER_TRANSFER)?;
        let claim = claim(context, "void", &id, vec![true])?;
        self.end(context, id, Action::Void { pending: id }, claim).await
    }

    async fn end(
        &self,
        context: &Context,
        id: TransferId,
        action: Action,
        claim: Option<Claim>,
    ) -> Result<Transfer> {
        match self.one(context, NewTransfer { id: self.db.new_id(), action }, claim).await? {
            Outcome::Rejected(rejection) => Err(Error::from(rejection).with("transfer", id)),
            Outcome::Created(_) | Outcome::Exists(_) => self.transfer_unchecked(id).await,
        }
    }

    /// Hands transfers to the ledger, and counts what became of them.
    async fn record(&self, context: &Context, transfers: Transfers) -> Result<Vec<Outcome>> {
        let outcomes = self.ledger.transfer(transfers).await?;
        self.counts.count(&outcomes);
        self.collect(context);
        Ok(outcomes)
    }

    async fn one(&self, context: &Context, new: NewTransfer, claim: Option<Claim>) -> Result<Outcome> {
        let outcomes = self.record(context, Transfers { items: vec![new], linked: false, claim }).await?;
        outcomes
            .first()
            .copied()
            .ok_or_else(|| Error::internal("ledger.no_outcome", "a transfer has no outcome"))
    }

    /// Collects the position. The page of this request may be an earlier one; waiting for a few more costs
    /// nothing, and the sequencer need not tell everybody.
    fn collect(&self, context: &Context) {
        context.commits.include(self.db.store.name(), *self.db.store.committed().borrow());
    }

    fn new_transfer(&self, request: &TransferRequest, asset: &Asset) -> Result<NewTransfer> {
        let amount = Amount::parse(&request.amount, asset.scale)?;
        let accounts = (request.debit_account, request.credit_account);
        let code = Some(AssetCode::of(asset));
        let action = Action::moving(accounts, amount, code, request.pending, request.expires_in_s)?;
        Ok(NewTransfer { id: request.id.unwrap_or_else(|| self.db.new_id()), action })
    }
}

fn check_length(transfers: usize) -> Result<()> {
    match transfers {
        0 => Err(error::empty_batch()),
        1..=limits::LEDGER_PAGE_TRANSFERS => Ok(()),
        _ => Err(error::batch_too_large()),
    }
}

/// The error of a linked batch that failed: the reason of the one that made it fail.
fn check_linked(outcomes: &[Outcome]) -> Result<()> {
    let failed = outcomes.iter().enumerate().find_map(|(index, outcome)| match outcome {
        Outcome::Rejected(rejection) if *rejection != Rejection::LinkedFailed => Some((index, *rejection)),
        _ => None,
    });
    failed.map_or(Ok(()), |(index, rejection)| Err(Error::from(rejection).with("index", index)))
}

/// The idempotency key of a request, as the ledger knows it.
fn claim(
    context: &Context,
    operation: &str,
    request: &impl Serialize,
    made_ids: Vec<bool>,
) -> Result<Option<Claim>> {
    let Some(key) = &context.idempotency_key else { return Ok(None) };
    let place =
        KeyWriter::new().text(&context.principal.actor.to_string()).text(operation).text(key.as_str());
    let request = serde_json::to_vec(request).map_err(|error| {
        Error::internal("idempotency.unwritable", "a request has no fingerprint").because(error)
    })?;
    let (place, request) = (digest(&SHA256, &place.finish()), digest(&SHA256, &request));
    let (mut key, mut fingerprint) = ([0; 16], [0; 32]);
    key.iter_mut().zip(place.as_ref()).for_each(|(to, from)| *to = *from);
    fingerprint.iter_mut().zip(request.as_ref()).for_each(|(to, from)| *to = *from);
    Ok(Some(Claim { key: RawId(key), fingerprint, made_ids }))
}
