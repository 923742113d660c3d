//! Money: debits equal credits, floors are held, what was acknowledged is there once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use platform_core::kernel::{AccountId, Balance, Context, Error, ErrorKind, PageRequest, TransferId};
use platform_core::transactions::{LedgerConfig, Transactions, Transfer, TransferStatus};

use crate::workload::Model;
use crate::workload::ledger::{Known, Sent, money};
use crate::world::{Node, World};

/// Digits behind the point of the one asset.
const SCALE: u8 = 2;

/// After each step, from the memory of a node.
pub(super) async fn sums(world: &World, node: &Node, model: &Arc<Mutex<Model>>) -> Result<(), Error> {
    let (ctx, transactions) = (Context::system(), node.platform.transactions());
    let check = transactions.check(&ctx)?;
    if !check.balanced {
        world.stage.violated(format!("ledger: the debits are not the credits: {check:?}"));
    }
    let accounts = model.lock().ledger.accounts.clone();
    for (id, floor) in accounts {
        let account = match transactions.account(&ctx, id, None).await {
            Ok(account) => account,
            // A node that is not alone sees what others opened with its next page.
            Err(error) if !node.alone && error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                world.stage.violated(format!("ledger: {id} was opened and does not read: {error:?}"));
                continue;
            }
        };
        let posted = Balance::parse(&account.posted, SCALE)?.minor();
        if floor.is_some_and(|floor| posted < i128::from(floor)) {
            world.stage.violated(format!("ledger: {id} is below its floor of {floor:?}: {posted}"));
        }
    }
    Ok(())
}

/// In peace, from the first frame on, as a node that was just started sees it.
pub(super) async fn history(world: &World, model: &Arc<Mutex<Model>>) -> Result<(), Error> {
    let ctx = Context::system();
    let transactions = Transactions::open(&world.observer().await?, LedgerConfig::default()).await?;
    transactions.verify(&ctx).await?;
    let (accounts, sent) = {
        let model = model.lock();
        (model.ledger.accounts.clone(), model.ledger.sent.clone())
    };
    let mut books = Books::default();
    for (id, sent) in &sent {
        let found = match transactions.read_transfer(&ctx, *id).await {
            Ok(transfer) => Some(transfer),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let Some(flaw) = flaw_of(sent, found.as_ref()) {
            world.stage.violated(format!("ledger: {id} {flaw}: sent {sent:?}, found {found:?}"));
        }
        if let Some(known) = model.lock().ledger.sent.get_mut(id) {
            known.known = if found.is_some() { Known::Made } else { Known::Refused };
            if sent.known == Known::Unknown && found.is_none() {
                // It never happened, but the same request may still be sent again.
                known.known = Known::Unknown;
            }
        }
        if let Some(transfer) = found {
            books.enter(&transfer)?;
        }
    }
    for (id, floor) in accounts {
        let account = transactions.account(&ctx, id, None).await?;
        let book = books.accounts.remove(&id).unwrap_or_default();
        let is = (
            Balance::parse(&account.posted, SCALE)?.minor(),
            Balance::parse(&account.pending, SCALE)?.minor(),
        );
        if is != (book.posted, book.pending) {
            world.stage.violated(format!("ledger: {id} holds {is:?}, its transfers say {book:?}"));
        }
        if floor.is_some_and(|floor| book.posted - book.reserved < i128::from(floor)) {
            world.stage.violated(format!("ledger: {id} is below its floor of {floor:?}: {book:?}"));
        }
        listed(world, &transactions, id, &book.transfers).await?;
    }
    Ok(())
}

/// What one account was given and has given.
#[derive(Debug, Default)]
struct Book {
    posted: i128,
    pending: i128,
    reserved: i128,
    transfers: BTreeSet<TransferId>,
}

#[derive(Default)]
struct Books {
    accounts: BTreeMap<AccountId, Book>,
}

impl Books {
    fn enter(&mut self, transfer: &Transfer) -> Result<(), Error> {
        let amount = match (transfer.status, &transfer.posted_amount) {
            (TransferStatus::Posted, Some(part)) => part,
            _ => &transfer.amount,
        };
        let cents = Balance::parse(amount, SCALE)?.minor();
        for (account, sign) in [(transfer.debit_account, -1), (transfer.credit_account, 1)] {
            let book = self.accounts.entry(account).or_default();
            book.transfers.insert(transfer.id);
            match transfer.status {
                TransferStatus::Posted => book.posted += sign * cents,
                TransferStatus::Pending => book.pending += sign * cents,
                TransferStatus::Voided | TransferStatus::Expired => {}
            }
            if transfer.status == TransferStatus::Pending && sign < 0 {
                book.reserved += cents;
            }
        }
        Ok(())
    }
}

/// What is wrong with a transfer, by what its client was told.
fn flaw_of(sent: &Sent, found: Option<&Transfer>) -> Option<&'static str> {
    match (&sent.known, found) {
        (Known::Made, None) => Some("was acknowledged and is not there"),
        (Known::Refused, Some(_)) => Some("was refused and is there"),
        (_, None) => None,
        (_, Some(found)) => {
            let same = (found.debit_account, found.credit_account, found.amount.as_str())
                == (sent.debit, sent.credit, money(sent.cents).as_str());
            match () {
                () if !same => Some("is another one"),
                () if sent.ended.is_some_and(|ended| ended != found.status) => Some("was ended otherwise"),
                () => None,
            }
        }
    }
}

/// The list of an account has its transfers, and none that nobody sent.
async fn listed(
    world: &World,
    transactions: &Transactions,
    account: AccountId,
    expected: &BTreeSet<TransferId>,
) -> Result<(), Error> {
    let mut found = BTreeSet::new();
    let mut page = PageRequest { limit: Some(500), cursor: None };
    loop {
        let list = transactions.transfers_of(&Context::system(), account, &page).await?;
        found.extend(list.items.iter().map(|transfer| transfer.id));
        page.cursor = list.next_cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    if found != *expected {
        let odd: Vec<_> = found.symmetric_difference(expected).collect();
        world.stage.violated(format!("ledger: the list of {account} differs by {odd:?}"));
    }
    Ok(())
}
