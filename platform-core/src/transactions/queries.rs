//! What is read of the ledger.

use std::collections::BTreeMap;

use crate::kernel::{
    AccountId, Amount, Asset, Context, Cursor, Error, Page, PageRequest, Result, Timestamp, TransferId,
    UserId,
};
use crate::ports::store::IndexRange;

use super::ledger::frame::{Balances, Kind};
use super::ledger::reader::Traced;
use super::ledger::state::{Pending, Recorded};
use super::ledger::view::SeenAccount;
use super::model::{Account, AccountBalances, Transfer, TransferStatus};
use super::tables::{AccountDocument, BY_OWNER};
use super::{LEDGER_READ, Transactions, error};

impl Transactions {
    /// An account with what it holds, or held at a moment of the past (the end of the microsecond `at`).
    ///
    /// # Errors
    /// `auth.…` for neither its owner nor a holder of [`LEDGER_READ`]; `ledger.account_not_found`.
    pub async fn account(&self, context: &Context, id: AccountId, at: Option<Timestamp>) -> Result<Account> {
        self.require_read(context, &[id]).await?;
        self.account_unchecked(id, at).await
    }

    /// The accounts of an owner, oldest first.
    ///
    /// # Errors
    /// `auth.…` for neither the owner nor a holder of [`LEDGER_READ`]; `request.invalid_…`.
    pub async fn accounts_of(
        &self,
        context: &Context,
        owner: UserId,
        page: &PageRequest,
    ) -> Result<Page<Account>> {
        context.require_self_or(owner, &LEDGER_READ)?;
        let range = IndexRange::index("accounts", BY_OWNER).exactly(owner.as_bytes());
        let range = range.limit(page.limit()?).after(page.cursor.clone());
        let found: Page<_> = self.db.scan::<AccountDocument>(&range).await?;
        Ok(found.map(|stored| {
            let held = self.seen(stored.id).map_or_else(Balances::default, |account| account.held);
            account_view(stored.value, held)
        }))
    }

    /// A transfer.
    ///
    /// # Errors
    /// `auth.…` for neither an owner of one of its accounts nor a holder of [`LEDGER_READ`];
    /// `ledger.transfer_not_found`.
    pub async fn read_transfer(&self, context: &Context, id: TransferId) -> Result<Transfer> {
        let transfer = match self.transfer_unchecked(id).await {
            Ok(transfer) => transfer,
            // Who may not read may not learn what exists.
            Err(error) => return context.require(&LEDGER_READ).and(Err(error)),
        };
        self.require_read(context, &[transfer.debit_account, transfer.credit_account]).await?;
        Ok(transfer)
    }

    /// The transfers from and to an account, newest first.
    ///
    /// # Errors
    /// As [`Transactions::account`]; `request.invalid_limit`, `request.invalid_cursor`.
    pub async fn transfers_of(
        &self,
        context: &Context,
        account: AccountId,
        page: &PageRequest,
    ) -> Result<Page<Transfer>> {
        self.require_read(context, &[account]).await?;
        let limit = page.limit()?;
        let mut before = page.cursor.as_ref().map_or(Ok(u64::MAX), read_cursor)?;
        let ordinal = self.ledger.view().read().ordinal(account);
        let ordinal = ordinal.ok_or_else(|| error::account_not_found(account))?;
        let mut created: Vec<Recorded> = Vec::with_capacity(limit + 1);
        // Ends of pending transfers are frames of their own; the transfer itself is listed once.
        loop {
            let missing = limit + 1 - created.len();
            let frames = self.ledger.reader().of_account(ordinal, before, missing).await?;
            let is_last = frames.len() < missing;
            before = frames.last().map_or(before, |last| last.number);
            created.extend(frames.into_iter().filter(|recorded| !recorded.frame.kind.resolves()));
            if is_last || created.len() > limit {
                break;
            }
        }
        let more = created.len() > limit;
        created.truncate(limit);
        let next_cursor = created.last().filter(|_| more).map(|last| write_cursor(last.number));
        let mut items = Vec::with_capacity(created.len());
        let ids: Vec<TransferId> = created
            .iter()
            .filter(|recorded| recorded.frame.kind == Kind::Pending)
            .map(|recorded| recorded.frame.transfer_id())
            .collect();
        let traced = self.ledger.reader().traced(&ids).await?;
        let ends: BTreeMap<TransferId, Recorded> =
            ids.into_iter().zip(traced).filter_map(|(id, traced)| Some((id, traced?.resolved?))).collect();
        for created in created {
            let resolved = ends.get(&created.frame.transfer_id()).copied();
            items.push(self.view_of(&Traced { created, resolved }).await?);
        }
        Ok(Page { items, next_cursor })
    }

    pub(super) async fn account_unchecked(&self, id: AccountId, at: Option<Timestamp>) -> Result<Account> {
        let missing = || error::account_not_found(id);
        let document = self.db.get::<AccountDocument>(id.as_bytes().as_slice()).await?.ok_or_else(missing)?;
        let held = match at {
            None => self.seen(id).ok_or_else(missing)?.held,
            Some(at) => {
                let ordinal = self.ledger.view().read().ordinal(id).ok_or_else(missing)?;
                let reader = self.ledger.reader();
                reader.held_before(ordinal, reader.after(at).await?).await?
            }
        };
        Ok(account_view(document.value, held))
    }

    pub(super) async fn transfer_unchecked(&self, id: TransferId) -> Result<Transfer> {
        let missing = || error::transfer_not_found(id);
        let traced = self.ledger.reader().traced(&[id]).await?.pop().flatten().ok_or_else(missing)?;
        match traced.created.frame.kind {
            Kind::Transfer | Kind::Pending => self.view_of(&traced).await,
            // The id of an end leads to the transfer that it ended.
            Kind::Post | Kind::Void => {
                let number = traced.created.frame.reference;
                let frames = self.ledger.reader().frames([number]).await?;
                let frame = *frames.get(&number).ok_or_else(missing)?;
                self.view_of(&Traced { created: Recorded { number, frame }, resolved: Some(traced.created) })
                    .await
            }
            _ => Err(missing()),
        }
    }

    /// The scale of the asset that a transfer moves.
    pub(super) async fn scale_of(&self, id: TransferId) -> Result<Option<u8>> {
        let Some(traced) = self.ledger.reader().traced(&[id]).await?.pop().flatten() else { return Ok(None) };
        match self.account_of(traced.created.frame.debit) {
            Some(account) => Ok(Some(self.asset(&account.asset.text()).await?.scale)),
            None => Ok(None),
        }
    }

    pub(super) async fn view_of(&self, traced: &Traced) -> Result<Transfer> {
        let frame = &traced.created.frame;
        let unknown = || Error::data_loss("ledger.damaged", "a frame names an account that does not exist");
        let debit = self.account_of(frame.debit).ok_or_else(unknown)?;
        let credit = self.account_of(frame.credit).ok_or_else(unknown)?;
        let asset = self.asset(&debit.asset.text()).await?;
        Ok(transfer_view(traced, debit.id, credit.id, &asset))
    }

    fn account_of(&self, ordinal: u32) -> Option<SeenAccount> {
        self.ledger.view().read().account(ordinal).copied()
    }

    fn seen(&self, id: AccountId) -> Option<SeenAccount> {
        let seen = self.ledger.view().read();
        seen.account(seen.ordinal(id)?).copied()
    }

    /// Demands [`LEDGER_READ`], or to own one of the accounts.
    async fn require_read(&self, context: &Context, accounts: &[AccountId]) -> Result<()> {
        let refused = match context.require(&LEDGER_READ) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        let Ok(user) = context.user() else { return Err(refused) };
        let ids = accounts.iter().map(|id| id.as_bytes().to_vec());
        let documents = self.db.get_all::<AccountDocument>(ids).await?;
        let owns = documents.iter().flatten().any(|document| document.owner == Some(user));
        if owns { Ok(()) } else { Err(refused) }
    }
}

fn account_view(document: AccountDocument, held: Balances) -> Account {
    let AccountBalances { posted, pending } = AccountBalances::of(held, document.asset.scale);
    Account {
        id: document.id,
        name: document.name,
        asset: document.asset.code,
        posted,
        pending,
        min_balance: document.min_balance,
        owner: document.owner,
        opened_at: document.opened_at,
    }
}

fn transfer_view(traced: &Traced, debit: AccountId, credit: AccountId, asset: &Asset) -> Transfer {
    let (created, end) = (&traced.created.frame, traced.resolved.map(|resolved| resolved.frame));
    let format = |amount: Amount| amount.format(asset.scale);
    let latest = end.as_ref().unwrap_or(created);
    Transfer {
        id: created.transfer_id(),
        debit_account: debit,
        credit_account: credit,
        asset: asset.code.clone(),
        amount: format(created.amount),
        status: match (created.kind, end.map(|end| end.kind)) {
            (_, Some(Kind::Void)) => TransferStatus::Voided,
            (_, Some(Kind::Expire)) => TransferStatus::Expired,
            (Kind::Pending, None) => TransferStatus::Pending,
            _ => TransferStatus::Posted,
        },
        posted_amount: end.filter(|end| end.kind == Kind::Post).map(|end| format(end.amount)),
        created_at: created.time,
        expires_at: Pending::of(traced.created.number, created)
            .expires_at
            .filter(|_| created.kind == Kind::Pending),
        resolved_at: end.map(|end| end.time),
        debit_balance: AccountBalances::of(latest.debit_after, asset.scale),
        credit_balance: AccountBalances::of(latest.credit_after, asset.scale),
    }
}

fn write_cursor(number: u64) -> Cursor {
    Cursor::from_bytes(number.to_be_bytes().to_vec())
}

fn read_cursor(cursor: &Cursor) -> Result<u64> {
    let bytes = cursor.as_bytes().try_into();
    bytes
        .map(u64::from_be_bytes)
        .map_err(|_| Error::invalid("request.invalid_cursor", "not a cursor of this list"))
}
