//! `platform.transactions`.

use platform_core::kernel::{self, AccountId, TransferId, UserId, limits};
use platform_core::transactions::{
    Account as CoreAccount, AccountBalances as CoreBalances, AssetCheck as CoreAssetCheck,
    BatchItem as CoreItem, LedgerCheck as CoreCheck, LedgerCounts as CoreCounts,
    LedgerVerification as CoreVerification, NewAccount, PageProof as CoreProof, PageProofs as CoreProofs,
    PostTransfer, Transfer as CoreTransfer, TransferBatch, TransferReply, TransferRequest,
    TransferStatus as CoreStatus,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::domain::domain;
use crate::record::record;
use crate::submit::{Submission, Submitted, Transfers};
use crate::typed::Typed;
use crate::values::{Decimal, Id, Many, Mapping, Time, literal};

literal! {
    /// Where a transfer stands.
    TransferStatus: CoreStatus { Posted = "posted", Pending = "pending", Voided = "voided", Expired = "expired" }
}

record! {
    /// An asset: what accounts count.
    Asset(it: kernel::Asset) {
        /// Its code: of ISO 4217, or a registered one.
        code: String = it.code.clone();
        /// Digits behind the decimal point.
        scale: u8 = it.scale;
    }
}

record! {
    /// What an account holds: credits minus debits.
    AccountBalances(it: CoreBalances) {
        /// What has moved.
        posted: Decimal = Decimal(it.posted.clone());
        /// What is reserved.
        pending: Decimal = Decimal(it.pending.clone());
    }
}

record! {
    /// An account.
    Account(it: CoreAccount) {
        /// Its id.
        id: Id<AccountId> = Id(it.id);
        /// A name for people.
        name: Option<String> = it.name.clone();
        /// What it counts.
        asset: String = it.asset.clone();
        /// What has moved: credits minus debits.
        posted: Decimal = Decimal(it.posted.clone());
        /// What is reserved: pending credits minus pending debits.
        pending: Decimal = Decimal(it.pending.clone());
        /// The least it may hold, reserved amounts deducted; ``None``: there is no floor.
        min_balance: Option<Decimal> = it.min_balance.clone().map(Decimal);
        /// Whose it is.
        owner: Option<Id<UserId>> = it.owner.map(Id);
        /// When it was opened.
        opened_at: Time = Time(it.opened_at);
    }
}

record! {
    /// A transfer.
    Transfer(it: TransferReply) {
        /// Its id.
        id: Id<TransferId> = Id(it.transfer.id);
        /// The account that gives.
        debit_account: Id<AccountId> = Id(it.transfer.debit_account);
        /// The account that receives.
        credit_account: Id<AccountId> = Id(it.transfer.credit_account);
        /// What moves.
        asset: String = it.transfer.asset.clone();
        /// How much moved, or was reserved.
        amount: Decimal = Decimal(it.transfer.amount.clone());
        /// Where it stands.
        status: TransferStatus = TransferStatus(it.transfer.status);
        /// What was posted of a pending transfer.
        posted_amount: Option<Decimal> = it.transfer.posted_amount.clone().map(Decimal);
        /// When it was recorded.
        created_at: Time = Time(it.transfer.created_at);
        /// When it is (or would have been) released by itself.
        expires_at: Option<Time> = it.transfer.expires_at.map(Time);
        /// When a pending transfer ended.
        resolved_at: Option<Time> = it.transfer.resolved_at.map(Time);
        /// What the account that gives held after it (after its end, when it was pending and has ended).
        debit_balance: AccountBalances = AccountBalances(it.transfer.debit_balance.clone());
        /// What the account that receives held after it (after its end, when it was pending and has ended).
        credit_balance: AccountBalances = AccountBalances(it.transfer.credit_balance.clone());
        /// Whether it was there before the call.
        existed: bool = it.existed;
    }
}

record! {
    /// What became of one transfer of a batch.
    BatchItem(it: CoreItem) {
        /// Recorded now, recorded before with the same fields, or refused.
        result: ItemResult = ItemResult(match it {
            CoreItem::Created(_) => ItemKind::Created,
            CoreItem::Exists(_) => ItemKind::Exists,
            CoreItem::Rejected { .. } => ItemKind::Rejected,
        });
        /// The transfer, unless it was refused.
        transfer: Option<Transfer> = match it {
            CoreItem::Created(transfer) => Some(Transfer(TransferReply { transfer: transfer.clone(), existed: false })),
            CoreItem::Exists(transfer) => Some(Transfer(TransferReply { transfer: transfer.clone(), existed: true })),
            CoreItem::Rejected { .. } => None,
        };
        /// Why it was refused: the stable code.
        code: Option<String> = match it {
            CoreItem::Rejected { code, .. } => Some(code.clone()),
            _ => None,
        };
        /// Why it was refused: a sentence for people.
        detail: Option<String> = match it {
            CoreItem::Rejected { detail, .. } => Some(detail.clone()),
            _ => None,
        };
    }
}

/// What may become of a transfer of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemKind {
    Created,
    Exists,
    Rejected,
}

literal! {
    /// What became of a transfer of a batch.
    ItemResult: ItemKind { Created = "created", Exists = "exists", Rejected = "rejected" }
}

record! {
    /// The sums of an asset over all accounts: zero, because what one gives another receives.
    AssetCheck(it: CoreAssetCheck) {
        /// The asset.
        asset: String = it.asset.clone();
        /// The sum of all credits minus all debits, in minor units.
        posted_minor: String = it.posted_minor.clone();
        /// The same of what is reserved.
        pending_minor: String = it.pending_minor.clone();
    }
}

record! {
    /// The sums of the ledger at one moment.
    LedgerCheck(it: CoreCheck) {
        /// Whether the debits equal the credits, for every asset.
        balanced: bool = it.balanced;
        /// Accounts.
        accounts: u64 = it.accounts;
        /// Frames.
        frames: u64 = it.frames;
        /// Pages.
        pages: u64 = it.pages;
        /// The sums of each asset.
        assets: Vec<AssetCheck> = it.assets.iter().cloned().map(AssetCheck).collect();
    }
}

record! {
    /// What a reading of every frame came to.
    LedgerVerification(it: CoreVerification) {
        /// Frames.
        frames: u64 = it.frames;
        /// Pages.
        pages: u64 = it.pages;
        /// The hash over all pages, in base 64.
        hash: String = it.hash.to_string();
    }
}

record! {
    /// What became of transfers since the platform was opened.
    LedgerCounts(it: CoreCounts) {
        /// Recorded.
        posted: u64 = it.posted;
        /// Refused, by the stable code of the reason; only those that occurred.
        rejected: Mapping<&'static str, u64> = it.rejected.clone().into();
    }
}

record! {
    /// That a frame is in its page.
    PageProof(it: CoreProof) {
        /// The number of the frame in the ledger, from 0.
        number: u64 = it.number;
        /// The frame's 128 bytes, in base 64.
        frame: String = it.frame.clone();
        /// The hashes of RFC 6962, 2.1.1, from the frame to the root of its page, in base 64.
        path: Vec<String> = it.path.iter().map(ToString::to_string).collect();
    }
}

record! {
    /// The proofs of the frames of a transfer.
    PageProofs(it: CoreProofs) {
        /// The transfer itself: what the id of an end (a post, a void) belongs to.
        id: Id<TransferId> = Id(it.id);
        /// The ledger that it is in.
        ledger: String = it.ledger.to_owned();
        /// Of the frame that recorded it.
        created: PageProof = PageProof(it.created.0.clone());
        /// Of the frame that ended it, when it was pending and has ended.
        ended: Option<PageProof> = it.ended.clone().map(|(proof, _)| PageProof(proof));
    }
}

record! {
    /// A transfer to be made in a batch.
    NewTransfer(it: TransferRequest)
    new "def __new__(cls, debit_account: AccountId, credit_account: AccountId, asset: str, amount: Decimal | int | str, *, id: TransferId | None = None, pending: bool = False, expires_in_s: int | None = None) -> NewTransfer: ..."
    {
        /// The account that gives.
        debit_account: Id<AccountId> = Id(it.debit_account);
        /// The account that receives.
        credit_account: Id<AccountId> = Id(it.credit_account);
        /// What moves: both accounts must count it.
        asset: String = it.asset.clone();
        /// How much, more than zero.
        amount: Decimal = Decimal(it.amount.clone());
        /// Its id, when the caller makes it: sending the same again then changes nothing.
        id: Option<Id<TransferId>> = it.id.map(Id);
        /// Only reserve it: to be posted or voided later.
        pending: bool = it.pending;
        /// Seconds after which a pending transfer is released by itself; never when ``None``.
        expires_in_s: Option<u32> = it.expires_in_s;
    }
}

#[pymethods]
impl NewTransfer {
    #[new]
    #[pyo3(signature = (debit_account, credit_account, asset, amount, *, id = None, pending = false, expires_in_s = None))]
    fn new(
        debit_account: Id<AccountId>,
        credit_account: Id<AccountId>,
        asset: String,
        amount: Decimal,
        id: Option<Id<TransferId>>,
        pending: bool,
        expires_in_s: Option<u32>,
    ) -> NewTransfer {
        NewTransfer(TransferRequest {
            id: id.map(|id| id.0),
            debit_account: debit_account.0,
            credit_account: credit_account.0,
            asset,
            amount: amount.0,
            pending,
            expires_in_s,
        })
    }
}

/// The transfers of a batch: `NewTransfer`s, or tuples of debit account, credit account, asset and amount.
#[derive(Clone)]
pub(crate) struct Batch(pub(crate) Vec<TransferRequest>);

impl Typed for Batch {
    fn output() -> String {
        "Iterable[NewTransfer | tuple[AccountId, AccountId, str, Decimal | int | str]]".to_owned()
    }
}

impl FromPyObject<'_, '_> for Batch {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Batch> {
        // One more than may be: the ledger says so.
        let items = object.try_iter()?.take(limits::LEDGER_PAGE_TRANSFERS + 1);
        items.map(|item| request(&item?)).collect::<PyResult<_>>().map(Batch)
    }
}

fn request(item: &Bound<'_, PyAny>) -> PyResult<TransferRequest> {
    if let Ok(new) = item.cast::<NewTransfer>() {
        return Ok(new.get().0.clone());
    }
    let tuple = item.cast::<PyTuple>().ok().filter(|tuple| tuple.len() == 4).ok_or_else(|| {
        PyTypeError::new_err("a transfer is a NewTransfer, or a tuple (debit, credit, asset, amount)")
    })?;
    let (debit, credit, asset, amount) =
        tuple.extract::<(Id<AccountId>, Id<AccountId>, String, Decimal)>()?;
    Ok(NewTransfer::new(debit, credit, asset, amount, None, false, None).0)
}

impl From<CoreTransfer> for Transfer {
    /// One that was read or ended.
    fn from(transfer: CoreTransfer) -> Transfer {
        Transfer(TransferReply { transfer, existed: true })
    }
}

domain! {
    /// Assets, accounts, and a ledger of double-entry transfers. Amounts are ``Decimal``; an ``int`` and a decimal text are
    /// taken, too, a ``float`` never.
    Transactions, AsyncTransactions;

    /// Registers an asset (permission ``ledger:accounts``). Doing it again is no error; its scale never changes. Those of
    /// ISO 4217 are built in.
    ///
    /// Raises ``InvalidInputError`` (``ledger.invalid_asset``), ``ConflictError`` (``ledger.asset_scale_fixed``).
    command put_asset(code: String, scale: u8) -> Asset,
    example {
        /// >>> p.transactions.put_asset("POINTS", 0)
        /// Asset(code='POINTS', scale=0)
    },
    |platform, context| {
        let asset = kernel::Asset { code, scale };
        platform.transactions().put_asset(&context, &asset).await
    };

    /// An asset by its code. Anybody who is signed in may know which there are.
    ///
    /// Raises ``NotFoundError`` (``ledger.asset_not_found``).
    query read_asset(code: String) -> Asset,
    example {
        /// >>> p.transactions.read_asset("JPY").scale
        /// 0
    },
    |platform, context| platform.transactions().read_asset(&context, &code).await;

    /// Opens an account (permission ``ledger:accounts``). It may fall to ``min_balance``, or to any depth without one. Its
    /// owner is the signed-in user when nothing is said.
    ///
    /// Raises ``NotFoundError`` (``ledger.asset_not_found``), ``InvalidInputError`` (``ledger.invalid_amount``,
    /// ``ledger.invalid_name``).
    command open_account(
        asset: String;
        name: Option<String> = None,
        min_balance: Option<Decimal> = None,
        owner: Option<Id<UserId>> = None
    ) -> Account,
    example {
        /// >>> p.transactions.open_account("EUR", name="Till", min_balance=0).min_balance
        /// Decimal('0.00')
    },
    |platform, context| {
        let min_balance = min_balance.map(|amount| amount.0);
        let new = NewAccount { asset, name, min_balance, owner: owner.map(|id| id.0) };
        platform.transactions().open_account(&context, &new).await
    };

    /// Makes a transfer (permission ``ledger:transfer``). It is durable when this returns, and both balances are those after
    /// it. ``pending`` only reserves the amount, until it is posted, voided or ``expires_in_s`` seconds are over. With an
    /// ``id`` of the caller's, sending the same again changes nothing.
    ///
    /// Raises ``ConflictError`` (``ledger.insufficient_funds`` and others), ``NotFoundError``
    /// (``ledger.debit_account_not_found`` and others), ``InvalidInputError`` (``ledger.invalid_amount`` and others).
    command transfer(
        debit_account: Id<AccountId>,
        credit_account: Id<AccountId>,
        asset: String,
        amount: Decimal;
        id: Option<Id<TransferId>> = None,
        pending: bool = false,
        expires_in_s: Option<u32> = None
    ) -> Transfer,
    example {
        /// >>> moved = p.transactions.transfer(bank.id, purse.id, "EUR", Decimal("12.50"))
        /// >>> moved.credit_balance.posted
        /// Decimal('12.50')
    },
    |platform, context| {
        let new = NewTransfer::new(debit_account, credit_account, asset, amount, id, pending, expires_in_s);
        platform.transactions().transfer(&context, &new.0).await
    };

    /// Makes transfers together, in their order, 8,190 at most (permission ``ledger:transfer``): ``NewTransfer``s, or tuples
    /// of debit account, credit account, asset and amount. ``linked``: all or none. What was refused is told by its item.
    ///
    /// Raises ``InvalidInputError`` (``ledger.empty_batch``), ``LimitExceededError`` (``ledger.batch_too_large``); of a linked batch what refused
    /// the one that failed, with its ``index`` in the context.
    command transfer_batch(transfers: Batch; linked: bool = false) -> Many<CoreItem, BatchItem>,
    example {
        /// >>> done = p.transactions.transfer_batch([
        /// ...     (bank.id, purse.id, "EUR", "1.00"),
        /// ...     (purse.id, bank.id, "EUR", Decimal("1000.00")),
        /// ... ])
        /// >>> [(item.result, item.code) for item in done]
        /// [('created', None), ('rejected', 'ledger.insufficient_funds')]
    },
    |platform, context| {
        let batch = TransferBatch { transfers: transfers.0, linked };
        platform.transactions().transfer_batch(&context, &batch).await.map(|result| result.items)
    };

    /// Makes transfers together as ``transfer_batch`` does, 8,190 at most, without an object for each that comes back; for
    /// callers that count in millions (permission ``ledger:transfer``). They are ``NewTransfer``s or tuples as there, or the
    /// rows of a structured array of NumPy, which cost no object either:
    ///
    /// - ``debit_account``, ``credit_account``: ``V16``, the bytes of ``id_bytes``; or ``S34``, the text.
    /// - ``amount_minor``: ``u8`` or ``i8``, in minor units (cents of EUR).
    /// - ``asset`` (may be left out): ``S16``; both accounts must count it. Without it they only must count the same.
    /// - ``id`` (may be left out): ``V16`` or ``S35``.
    /// - ``pending`` (may be left out): ``?``. ``expires_in_s`` (may be left out): ``u4``; 0 is never.
    ///
    /// What is to be sent again without harm needs ids of the caller's own: there is no ``idempotency_key``. ``linked``: all or
    /// none. What was refused is told by the result, also of a linked batch.
    ///
    /// Raises ``InvalidInputError`` (``ledger.empty_batch``; ``ledger.invalid_amount``, ``request.invalid_id`` and others, with
    /// the ``index`` in the context), ``LimitExceededError`` (``ledger.batch_too_large``), ``TypeError`` for a field of
    /// another name or type.
    query submit(transfers: Transfers; linked: bool = false) -> Submission,
    example {
        /// >>> done = p.transactions.submit([
        /// ...     (bank.id, purse.id, "EUR", "1.00"),
        /// ...     (purse.id, bank.id, "EUR", Decimal("1000.00")),
        /// ... ])
        /// >>> done.created, list(done.codes), [(row.index, row.code) for row in done.failed]
        /// (1, [0, 25], [(1, 'ledger.insufficient_funds')])
    },
    |platform, context| {
        let transfers = transfers.prepare(&platform, &context).await?;
        let ids = Submitted::ids_of(&transfers);
        let outcomes = platform.transactions().submit(&context, transfers, linked).await;
        outcomes.map(|outcomes| Submitted::new(ids, outcomes))
    };

    /// Posts a pending transfer, all of it or a part; the rest is released (permission ``ledger:transfer``).
    ///
    /// Raises ``NotFoundError`` (``ledger.pending_not_found``), ``ConflictError`` (``ledger.already_posted`` and others).
    command post(id: Id<TransferId>; amount: Option<Decimal> = None) -> Transfer,
    example {
        /// >>> held = p.transactions.transfer(bank.id, purse.id, "EUR", 10, pending=True)
        /// >>> p.transactions.post(held.id, amount=4).posted_amount
        /// Decimal('4.00')
    },
    |platform, context| {
        let request = PostTransfer { amount: amount.map(|amount| amount.0) };
        platform.transactions().post(&context, id.0, &request).await
    };

    /// Voids a pending transfer: what was reserved is released (permission ``ledger:transfer``).
    ///
    /// Raises as ``post`` does.
    command void(id: Id<TransferId>) -> Transfer,
    example {
        /// >>> held = p.transactions.transfer(bank.id, purse.id, "EUR", 10, pending=True)
        /// >>> p.transactions.void(held.id).status
        /// 'voided'
    },
    |platform, context| platform.transactions().void(&context, id.0).await;

    /// An account with what it holds, or held at a moment of the past: its owner's, or with the permission ``ledger:read``.
    ///
    /// Raises ``NotFoundError`` (``ledger.account_not_found``).
    query account(id: Id<AccountId>; at: Option<Time> = None) -> Account,
    example {
        /// >>> before = datetime.now(timezone.utc)
        /// >>> moved = p.transactions.transfer(bank.id, purse.id, "EUR", 5)
        /// >>> p.transactions.account(purse.id).posted, p.transactions.account(purse.id, at=before).posted
        /// (Decimal('5.00'), Decimal('0.00'))
    },
    |platform, context| platform.transactions().account(&context, id.0, at.map(|at| at.0)).await;

    /// The accounts of an owner, oldest first: one's own, or with the permission ``ledger:read``.
    pages accounts_of(owner: Id<UserId>) -> Account,
    example {
        /// >>> [account.name for account in p.transactions.accounts_of(ada.id)]
        /// ['Purse']
    },
    |platform, context, page| platform.transactions().accounts_of(&context, owner.0, &page).await;

    /// A transfer: for the owners of its accounts, or with the permission ``ledger:read``.
    ///
    /// Raises ``NotFoundError`` (``ledger.transfer_not_found``).
    query read_transfer(id: Id<TransferId>) -> Transfer,
    example {
        /// >>> moved = p.transactions.transfer(bank.id, purse.id, "EUR", 5)
        /// >>> p.transactions.read_transfer(moved.id).amount
        /// Decimal('5.00')
    },
    |platform, context| platform.transactions().read_transfer(&context, id.0).await;

    /// The transfers from and to an account, newest first: its owner's, or with the permission ``ledger:read``.
    ///
    /// Raises ``NotFoundError`` (``ledger.account_not_found``).
    pages transfers_of(account: Id<AccountId>) -> Transfer,
    example {
        /// >>> for amount in (1, 2):
        /// ...     moved = p.transactions.transfer(bank.id, purse.id, "EUR", amount)
        /// >>> [transfer.amount for transfer in p.transactions.transfers_of(purse.id)]
        /// [Decimal('2.00'), Decimal('1.00')]
    },
    |platform, context, page| platform.transactions().transfers_of(&context, account.0, &page).await;

    /// The sums over all accounts, from memory (permission ``ledger:read``).
    memory check() -> LedgerCheck,
    example {
        /// >>> p.transactions.check().balanced
        /// True
    },
    |platform, context| platform.transactions().check(context);

    /// Reads every frame from the first on and checks hashes and balances (permission ``ledger:read``). It takes its time.
    ///
    /// Raises ``DataLossError`` when something is damaged.
    query verify() -> LedgerVerification,
    example {
        /// >>> p.transactions.verify().frames > 0
        /// True
    },
    |platform, context| platform.transactions().verify(&context).await;

    /// What became of transfers since the platform was opened (permission ``ledger:read``).
    memory counts() -> LedgerCounts,
    example {
        /// >>> p.transactions.counts()
        /// LedgerCounts(posted=0, rejected={})
    },
    |platform, context| platform.transactions().counts(context);

    /// Proofs that the frames of a transfer are in their pages: for whoever may read the transfer.
    ///
    /// Raises ``NotFoundError`` (``ledger.transfer_not_found``).
    query page_proofs(id: Id<TransferId>) -> PageProofs,
    example {
        /// >>> moved = p.transactions.transfer(bank.id, purse.id, "EUR", 5)
        /// >>> p.transactions.page_proofs(moved.id).ledger
        /// 'main'
    },
    |platform, context| platform.transactions().page_proofs(&context, id.0).await;
}
