//! Transactions: accounts with and without floors, transfers at once and in two steps, linked batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform_core::kernel::{AccountId, BoxFuture, RawId, Result, TransferId};
use platform_core::transactions::{
    BatchItem, NewAccount, PostTransfer, TransferBatch, TransferRequest, TransferStatus,
};

use super::{Call, Op, Scene, is_unknown};
use crate::random::Random;

/// Accounts at most.
const ACCOUNTS: usize = 10;
/// The one asset; two digits behind the point.
const ASSET: &str = "EUR";

/// What is known of a transfer that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nobody answered.
    Unknown,
    /// It was made.
    Made,
    /// It was refused: it never happens.
    Refused,
}

/// A transfer, as its client knows it.
#[derive(Debug, Clone)]
pub struct Sent {
    /// From.
    pub debit: AccountId,
    /// To.
    pub credit: AccountId,
    /// In cents.
    pub cents: u64,
    /// Whether it was only reserved.
    pub pending: bool,
    /// What became of it.
    pub known: Known,
    /// How it was ended, as that was answered.
    pub ended: Option<TransferStatus>,
}

/// Accounts and transfers.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Accounts, and their floors in cents.
    pub accounts: Vec<(AccountId, Option<i64>)>,
    /// Transfers that were sent.
    pub sent: BTreeMap<TransferId, Sent>,
}

impl Ledger {
    /// Chooses a command.
    pub fn plan(&mut self, random: &mut Random) -> Arc<dyn Op> {
        let open_one = self.accounts.len() < 3 || (self.accounts.len() < ACCOUNTS && random.happens(40));
        if open_one {
            let floor = match self.accounts.len() {
                // Somebody has to be able to give.
                0 | 1 => None,
                _ => [Some(0), Some(-500), None].get(random.below(3) as usize).copied().flatten(),
            };
            return Arc::new(LedgerOp::Open { floor });
        }
        let waiting: Vec<TransferId> = self
            .sent
            .iter()
            .filter(|(_, sent)| sent.pending && sent.known == Known::Made && sent.ended.is_none())
            .map(|(id, _)| *id)
            .collect();
        match (random.below(100), random.pick(&waiting)) {
            (0..10, Some(id)) => {
                let part = random.happens(300).then(|| random.within(1, 300));
                Arc::new(LedgerOp::Post { id: *id, part })
            }
            (10..15, Some(id)) => Arc::new(LedgerOp::Void { id: *id }),
            (15..27, _) => {
                let count = random.within(2, 5);
                let transfers = (0..count).map(|_| self.draw(random)).collect();
                Arc::new(LedgerOp::Batch { transfers, linked: random.happens(500) })
            }
            _ => Arc::new(LedgerOp::Transfer { transfer: self.draw(random) }),
        }
    }

    fn draw(&self, random: &mut Random) -> Drawn {
        let account = |random: &mut Random| {
            random.pick(&self.accounts).map_or(AccountId(RawId([1; 16])), |(id, _)| *id)
        };
        let mut id = [0; 16];
        id.iter_mut().zip(random.next().to_be_bytes()).for_each(|(to, from)| *to = from);
        id.iter_mut().skip(8).zip(random.next().to_be_bytes()).for_each(|(to, from)| *to = from);
        let pending = random.happens(250);
        Drawn {
            id: TransferId(RawId(id)),
            debit: account(random),
            credit: account(random),
            cents: random.within(1, 300),
            pending,
            expires_in_s: (pending && random.happens(500)).then(|| random.within(1, 90) as u32),
        }
    }
}

/// A transfer with all its values.
#[derive(Debug, Clone)]
struct Drawn {
    id: TransferId,
    debit: AccountId,
    credit: AccountId,
    cents: u64,
    pending: bool,
    expires_in_s: Option<u32>,
}

impl Drawn {
    fn request(&self) -> TransferRequest {
        TransferRequest {
            id: Some(self.id),
            debit_account: self.debit,
            credit_account: self.credit,
            asset: ASSET.to_owned(),
            amount: money(self.cents),
            pending: self.pending,
            expires_in_s: self.expires_in_s,
        }
    }

    fn begin(&self, scene: &Scene) {
        scene.model.lock().ledger.sent.entry(self.id).or_insert(Sent {
            debit: self.debit,
            credit: self.credit,
            cents: self.cents,
            pending: self.pending,
            known: Known::Unknown,
            ended: None,
        });
    }

    /// It was answered: an answer never contradicts an earlier one.
    fn learn(&self, scene: &Scene, known: Known) {
        let mut model = scene.model.lock();
        let Some(sent) = model.ledger.sent.get_mut(&self.id) else { return };
        if sent.known != Known::Unknown && sent.known != known {
            let (before, id) = (&sent.known, self.id);
            scene.stage.violated(format!("ledger: {id} was {before:?} and is {known:?} now"));
        }
        sent.known = known;
    }
}

/// Cents as a decimal string.
pub fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// A command to the ledger.
#[derive(Debug, Clone)]
enum LedgerOp {
    Open { floor: Option<i64> },
    Transfer { transfer: Drawn },
    Batch { transfers: Vec<Drawn>, linked: bool },
    Post { id: TransferId, part: Option<u64> },
    Void { id: TransferId },
}

impl Op for LedgerOp {
    fn run<'a>(&'a self, scene: &'a Scene, call: &'a Call) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            match self {
                LedgerOp::Open { floor } => open(scene, call, *floor).await,
                LedgerOp::Transfer { transfer } => self::transfer(scene, call, transfer).await,
                LedgerOp::Batch { transfers, linked } => batch(scene, call, transfers, *linked).await,
                LedgerOp::Post { id, part } => {
                    let request = PostTransfer { amount: part.map(money) };
                    let posted = scene.platform.transactions().post(&call.ctx, *id, &request).await?;
                    ended(scene, *id, posted.status, TransferStatus::Posted);
                    Ok(posted.id.to_string())
                }
                LedgerOp::Void { id } => {
                    let voided = scene.platform.transactions().void(&call.ctx, *id).await?;
                    ended(scene, *id, voided.status, TransferStatus::Voided);
                    Ok(voided.id.to_string())
                }
            }
        })
    }

    fn takes_key(&self) -> bool {
        true
    }
}

async fn open(scene: &Scene, call: &Call, floor: Option<i64>) -> Result<String> {
    let min_balance = floor.map(|cents| match cents {
        0.. => money(cents.unsigned_abs()),
        _ => format!("-{}", money(cents.unsigned_abs())),
    });
    let new = NewAccount { asset: ASSET.to_owned(), name: None, min_balance, owner: None };
    let account = scene.platform.transactions().open_account(&call.ctx, &new).await?;
    let mut model = scene.model.lock();
    if !model.ledger.accounts.iter().any(|(id, _)| *id == account.id) {
        model.ledger.accounts.push((account.id, floor));
    }
    Ok(account.id.to_string())
}

async fn transfer(scene: &Scene, call: &Call, drawn: &Drawn) -> Result<String> {
    drawn.begin(scene);
    let result = scene.platform.transactions().transfer(&call.ctx, &drawn.request()).await;
    match &result {
        Ok(reply) => {
            drawn.learn(scene, Known::Made);
            let made = &reply.transfer;
            let same = (made.id, made.debit_account, made.credit_account, made.amount.as_str())
                == (drawn.id, drawn.debit, drawn.credit, money(drawn.cents).as_str());
            if !same {
                scene.stage.violated(format!("ledger: {} was answered as {made:?}", drawn.id));
            }
        }
        Err(error) if is_unknown(error.kind()) => {}
        Err(_) => drawn.learn(scene, Known::Refused),
    }
    result.map(|reply| reply.transfer.id.to_string())
}

async fn batch(scene: &Scene, call: &Call, transfers: &[Drawn], linked: bool) -> Result<String> {
    transfers.iter().for_each(|drawn| drawn.begin(scene));
    let request = TransferBatch { transfers: transfers.iter().map(Drawn::request).collect(), linked };
    match scene.platform.transactions().transfer_batch(&call.ctx, &request).await {
        Ok(results) => {
            if results.items.len() != transfers.len() {
                scene.stage.violated("ledger: a batch has another number of answers");
            }
            for (drawn, item) in transfers.iter().zip(&results.items) {
                let known = match item {
                    BatchItem::Created(_) | BatchItem::Exists(_) => Known::Made,
                    BatchItem::Rejected { .. } => Known::Refused,
                };
                drawn.learn(scene, known);
            }
            let made = |item: &BatchItem| !matches!(item, BatchItem::Rejected { .. });
            Ok(results.items.iter().map(|item| if made(item) { '+' } else { '-' }).collect())
        }
        Err(error) => {
            if !is_unknown(error.kind()) {
                transfers.iter().for_each(|drawn| drawn.learn(scene, Known::Refused));
            }
            Err(error)
        }
    }
}

/// A pending transfer was ended, in this manner and no other.
fn ended(scene: &Scene, id: TransferId, is: TransferStatus, wanted: TransferStatus) {
    if is != wanted {
        scene.stage.violated(format!("ledger: {id} was to be {wanted:?} and was answered as {is:?}"));
    }
    let mut model = scene.model.lock();
    let Some(sent) = model.ledger.sent.get_mut(&id) else { return };
    if sent.ended.is_some_and(|before| before != is) {
        scene.stage.violated(format!("ledger: {id} was ended twice"));
    }
    sent.ended = Some(is);
}
