//! The methods of transactions.

use std::collections::BTreeMap;

use platform_core::kernel::{AccountId, Asset, Timestamp, TransferId, UserId};
use platform_core::transactions::ledger::page::Outcome;
use platform_core::transactions::{
    BatchItem, LedgerCounts, NewAccount, PageProofs, PostTransfer, TransferBatch, TransferReply,
    TransferRequest,
};
use serde_json::{Value, json};

use crate::shapes::{plain, with};
use crate::table::methods;

methods! { transactions:
    call put_asset(; asset: Asset) |platform, context|
        platform.transactions().put_asset(&context, &asset).await => plain;
    call read_asset(code: String) |platform, context|
        platform.transactions().read_asset(&context, &code).await => plain;
    call open_account(; new: NewAccount) |platform, context|
        platform.transactions().open_account(&context, &new).await => plain;
    call transfer(; request: TransferRequest) |platform, context|
        platform.transactions().transfer(&context, &request).await => reply;
    call transfer_batch(; batch: TransferBatch) |platform, context|
        platform.transactions().transfer_batch(&context, &batch).await => |result|
            plain(result.items.into_iter().map(item).collect::<Vec<_>>());
    call submit(; batch: TransferBatch) |platform, context| {
        let prepared = platform.transactions().prepare(&context, &batch.transfers).await?;
        platform.transactions().submit(&context, prepared, batch.linked).await
    } => outcomes;
    call post(id: TransferId; request: PostTransfer) |platform, context|
        platform.transactions().post(&context, id, &request).await => plain;
    call void(id: TransferId) |platform, context| platform.transactions().void(&context, id).await => plain;
    call account(id: AccountId, at: Option<Timestamp>) |platform, context|
        platform.transactions().account(&context, id, at).await => plain;
    list accounts_of(owner: UserId) |platform, context, page|
        platform.transactions().accounts_of(&context, owner, &page).await => plain;
    call read_transfer(id: TransferId) |platform, context|
        platform.transactions().read_transfer(&context, id).await => plain;
    list transfers_of(account: AccountId) |platform, context, page|
        platform.transactions().transfers_of(&context, account, &page).await => plain;
    call check() |platform, context| platform.transactions().check(&context) => plain;
    call verify() |platform, context| platform.transactions().verify(&context).await => plain;
    call counts() |platform, context| platform.transactions().counts(&context) => counts;
    call page_proofs(id: TransferId) |platform, context|
        platform.transactions().page_proofs(&context, id).await => proofs;
}

fn reply(reply: TransferReply) -> Value {
    with(plain(reply.transfer), "existed", json!(reply.existed))
}

fn item(item: BatchItem) -> Value {
    match item {
        BatchItem::Created(transfer) => json!({"result": "created", "transfer": transfer}),
        BatchItem::Exists(transfer) => json!({"result": "exists", "transfer": transfer}),
        BatchItem::Rejected { code, detail } => json!({"result": "rejected", "code": code, "detail": detail}),
    }
}

fn outcomes(outcomes: Vec<Outcome>) -> Value {
    let (mut created, mut existed, mut failed) = (0, 0, Vec::new());
    for (index, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Outcome::Created(_) => created += 1,
            Outcome::Exists(_) => existed += 1,
            Outcome::Rejected(rejection) => failed.push(json!({"index": index, "code": rejection.code()})),
        }
    }
    json!({"created": created, "existed": existed, "rejected": failed.len(), "failed": failed})
}

fn counts(counts: LedgerCounts) -> Value {
    json!({"posted": counts.posted, "rejected": counts.rejected.into_iter().collect::<BTreeMap<_, _>>()})
}

fn proofs(proofs: PageProofs) -> Value {
    let ended = proofs.ended.map(|(proof, _)| proof);
    json!({"id": proofs.id, "ledger": proofs.ledger, "created": proofs.created.0, "ended": ended})
}
