//! Money movement: assets, accounts, transfers.

use platform_core::TransferProof;
use platform_core::kernel::{AccountId, Asset, Cursor, Page, Result, Timestamp, TransferId, UserId};
use platform_core::transactions::{
    Account, BatchResult, LEDGER_ACCOUNTS, LEDGER_READ, LEDGER_TRANSFER, LedgerCheck, LedgerVerification,
    NewAccount, PostTransfer, Transfer, TransferBatch, TransferRequest, VoidTransfer,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Access, Body, Call, Created, Endpoint, Json, Paging, Path, Query, page};

pub(super) fn endpoints() -> Vec<Endpoint> {
    // Owners read what is theirs without a permission: the facade decides.
    let signed_in = || Access::SignedIn;
    let accounts = || Access::Permission(LEDGER_ACCOUNTS);
    let moves = || Access::Permission(LEDGER_TRANSFER);
    let reads = || Access::Permission(LEDGER_READ);
    vec![
        Endpoint::put("/v1/assets/{code}", accounts(), "Registers an asset", put_asset),
        Endpoint::get("/v1/assets/{code}", signed_in(), "Reads an asset", asset),
        Endpoint::post("/v1/accounts", accounts(), "Opens an account", open).idempotent(),
        Endpoint::get("/v1/accounts", signed_in(), "Lists the accounts of an owner", owned),
        Endpoint::get("/v1/accounts/{id}", signed_in(), "Reads an account, as of now or a moment", account),
        Endpoint::get(
            "/v1/accounts/{id}/transfers",
            signed_in(),
            "Lists an account's transfers, newest first",
            transfers,
        ),
        Endpoint::post("/v1/transfers", moves(), "Makes a transfer", transfer).idempotent(),
        Endpoint::post("/v1/transfers/batch", moves(), "Makes transfers together", batch).idempotent(),
        Endpoint::get("/v1/transfers/{id}", signed_in(), "Reads a transfer", read),
        Endpoint::get(
            "/v1/transfers/{id}/proof",
            signed_in(),
            "Proves a transfer by its page and the audit log",
            proof,
        ),
        Endpoint::post("/v1/transfers/{id}/post", moves(), "Posts a pending transfer", post).idempotent(),
        Endpoint::post("/v1/transfers/{id}/void", moves(), "Voids a pending transfer", void).idempotent(),
        Endpoint::get("/v1/ledger/check", reads(), "Compares the sums of debits and credits", check),
        Endpoint::get("/v1/ledger/verification", reads(), "Recomputes the whole ledger", verify),
    ]
}

/// What an asset is registered with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AssetScale {
    /// Digits behind the decimal point, 0 to 18.
    scale: u8,
}

/// An asset.
#[derive(Debug, Serialize, ToSchema)]
struct AssetView {
    /// Its code.
    id: String,
    /// Digits behind the decimal point.
    scale: u8,
}

impl From<Asset> for AssetView {
    fn from(asset: Asset) -> Self {
        AssetView { id: asset.code, scale: asset.scale }
    }
}

/// As of when.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Moment {
    /// A moment of the past; now when absent.
    at: Option<Timestamp>,
}

/// Whose accounts, and which page of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Owned {
    /// The owner; the signed-in user when absent.
    owner: Option<UserId>,
    limit: Option<usize>,
    cursor: Option<Cursor>,
}

async fn put_asset(
    call: Call,
    Path(code): Path<String>,
    Body(request): Body<AssetScale>,
) -> Result<Json<AssetView>> {
    let asset = Asset { code, scale: request.scale };
    Ok(Json::new(call.platform().transactions().put_asset(&call.context, &asset).await?.into()))
}

async fn asset(call: Call, Path(code): Path<String>) -> Result<Json<AssetView>> {
    Ok(Json::new(call.platform().transactions().read_asset(&call.context, &code).await?.into()))
}

async fn open(call: Call, Body(new): Body<NewAccount>) -> Result<Created<Account>> {
    Ok(Created::new(call.platform().transactions().open_account(&call.context, &new).await?))
}

async fn owned(call: Call, Query(query): Query<Owned>) -> Result<Json<Page<Account>>> {
    let owner = query.owner.map_or_else(|| call.context.user(), Ok)?;
    let page = page(query.limit, query.cursor)?;
    Ok(Json::new(call.platform().transactions().accounts_of(&call.context, owner, &page).await?))
}

async fn account(
    call: Call,
    Path(id): Path<AccountId>,
    Query(moment): Query<Moment>,
) -> Result<Json<Account>> {
    Ok(Json::new(call.platform().transactions().account(&call.context, id, moment.at).await?))
}

async fn transfers(
    call: Call,
    Path(id): Path<AccountId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Transfer>>> {
    let page = paging.page()?;
    Ok(Json::new(call.platform().transactions().transfers_of(&call.context, id, &page).await?))
}

/// A repetition answers like the first time: 201 with the original.
async fn transfer(call: Call, Body(request): Body<TransferRequest>) -> Result<Created<Transfer>> {
    Ok(Created::new(call.platform().transactions().transfer(&call.context, &request).await?.transfer))
}

async fn batch(call: Call, Body(request): Body<TransferBatch>) -> Result<Created<BatchResult>> {
    Ok(Created::new(call.platform().transactions().transfer_batch(&call.context, &request).await?))
}

async fn read(call: Call, Path(id): Path<TransferId>) -> Result<Json<Transfer>> {
    Ok(Json::new(call.platform().transactions().read_transfer(&call.context, id).await?))
}

async fn proof(call: Call, Path(id): Path<TransferId>) -> Result<Json<TransferProof>> {
    Ok(Json::new(call.platform().transfer_proof(&call.context, id).await?))
}

async fn post(
    call: Call,
    Path(id): Path<TransferId>,
    Body(request): Body<PostTransfer>,
) -> Result<Created<Transfer>> {
    Ok(Created::new(call.platform().transactions().post(&call.context, id, &request).await?))
}

async fn void(
    call: Call,
    Path(id): Path<TransferId>,
    Body(VoidTransfer {}): Body<VoidTransfer>,
) -> Result<Created<Transfer>> {
    Ok(Created::new(call.platform().transactions().void(&call.context, id).await?))
}

async fn check(call: Call) -> Result<Json<LedgerCheck>> {
    Ok(Json::new(call.platform().transactions().check(&call.context)?))
}

async fn verify(call: Call) -> Result<Json<LedgerVerification>> {
    Ok(Json::new(call.platform().transactions().verify(&call.context).await?))
}
