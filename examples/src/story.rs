//! The story of the platform in one process: open a folder, and seven domains are there.

use std::path::Path;
use std::sync::Arc;

use embedded_store::open_backends;
use platform_core::Platform;
use platform_core::audit::EventsQuery;
use platform_core::auth::{LoginRequest, RegisterRequest, SetupRequest, TokenPair};
use platform_core::flags::EvaluationContext;
use platform_core::gateway::{RequestHead, Resolution, Route};
use platform_core::kernel::{Context, CorrelationId, Error, PageRequest, Result, Secret};
use platform_core::transactions::{NewAccount, TransferRequest};
use platform_core::users::RoleDefinition;
use platform_server::smtp::SmtpChannel;
use serde_json::json;

/// What the story comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Ending {
    /// What the purse holds.
    pub balance: String,
    /// The code of the transfer that was refused.
    pub refused: String,
    /// Where the route led before, with and after the flag.
    pub targets: [String; 3],
    /// Entries of the audit log about Ada.
    pub entries: usize,
    /// Whether the registration is proven to stand in the log.
    pub is_proven: bool,
}

/// Opens the platform in a folder; its mail goes to `smtp_url`.
///
/// # Errors
/// What opening returns.
pub async fn open(folder: &Path, smtp_url: &str) -> Result<Platform> {
    let mail = SmtpChannel::new(&Secret::new(smtp_url), "Story <story@example.org>")?;
    let backends = open_backends(folder, vec![Arc::new(mail)]).await?;
    let platform = Platform::builder(backends).build().await?;
    platform.start().await?;
    Ok(platform)
}

/// Tells the story on an empty platform.
///
/// # Errors
/// Whatever goes wrong in it.
pub async fn tell(platform: &Platform) -> Result<Ending> {
    let (auth, users) = (platform.auth(), platform.users());

    // Set-up: the one-time token makes the first administrator.
    let token =
        auth.setup_token().await?.ok_or_else(|| Error::conflict("story.told", "the folder is not empty"))?;
    let password = || Secret::new("a long enough password");
    let setup = SetupRequest { token, email: "root@example.org".parse()?, password: password() };
    let admin = signed_in(platform, &auth.setup(&nobody(), &setup).await?).await?;

    // Ada registers; a mail welcomes her as soon as the event has been handled.
    let email = "ada@example.org".parse()?;
    let register = RegisterRequest { email, password: password(), name: Some("Ada".to_owned()) };
    let ada_id = auth.register(&nobody(), &register).await?.user_id;
    let login = LoginRequest { email: "ada@example.org".parse()?, password: password() };
    let pair = auth.login(&nobody(), &login).await?;

    // She completes her profile; the administrator gives her a role, effective at once.
    let ada = signed_in(platform, &pair).await?;
    let patch = parsed(json!({"name": "Ada Lovelace", "locale": "en-GB"}))?;
    users.update(&ada, ada_id, None, &patch).await?;
    let teller = "teller".parse()?;
    let definition: RoleDefinition = parsed(
        json!({"permissions": ["ledger:accounts", "ledger:transfer", "ledger:read"], "includes": []}),
    )?;
    users.put_role(&admin, &teller, None, &definition).await?;
    users.grant(&admin, ada_id, &teller).await?;
    let ada = signed_in(platform, &pair).await?;

    // Money: a transfer, and one that would break the floor of the purse.
    let ledger = platform.transactions();
    let account = |value| parsed::<NewAccount>(value);
    let bank = ledger.open_account(&ada, &account(json!({"asset": "EUR", "name": "bank"}))?).await?.id;
    let floor = json!({"asset": "EUR", "name": "purse", "min_balance": "0.00"});
    let purse = ledger.open_account(&ada, &account(floor)?).await?.id;
    let transfer = |from, to, amount: &str| TransferRequest {
        id: None,
        debit_account: from,
        credit_account: to,
        asset: "EUR".to_owned(),
        amount: amount.to_owned(),
        pending: false,
        expires_in_s: None,
    };
    ledger.transfer(&ada, &transfer(bank, purse, "12.50")).await?;
    let too_much = ledger.transfer(&ada, &transfer(purse, bank, "12.51")).await;
    let refused = too_much.err().map_or_else(String::new, |error| error.code().to_owned());
    let balance = ledger.account(&ada, purse, None).await?.posted;

    // A flag switches where a route of the gateway leads.
    let route: Route = parsed(json!({
        "match": {"path": "/shop"}, "access": "open", "target": {"upstreams": ["http://old.example"]},
        "flag": {"key": "new-shop", "variants": {"on": {"upstreams": ["http://new.example"]}}},
    }))?;
    let switch =
        |state| json!({"state": state, "variants": {"on": "on", "off": "off"}, "defaultVariant": "on"});
    let flag = "new-shop".parse()?;
    platform.flags().put(&admin, &flag, None, &switch("DISABLED")).await?;
    platform.gateway().put(&admin, &"shop".parse()?, None, &route).await?;
    let before = target(platform, &ada)?;
    platform.flags().put(&admin, &flag, None, &switch("ENABLED")).await?;
    let with = target(platform, &ada)?;
    let subject = EvaluationContext::of_key(&ada_id.to_string());
    platform.flags().evaluate(&ada, "new-shop", &subject)?;
    platform.flags().kill(&admin, &flag, None).await?;
    let after = target(platform, &ada)?;

    // When everybody has heard of everything, all of it is in the audit log, and provable.
    platform.settled().await?;
    let about_ada = EventsQuery { subject: Some(ada_id.to_string()), ..EventsQuery::default() };
    let entries = platform.audit().events(&admin, &about_ada, &PageRequest::default()).await?.items;
    let registered = entries.iter().find(|entry| entry.what.action == "auth.account_registered");
    let is_proven = match registered {
        Some(entry) => platform.audit().proof(&admin, entry.index).await?.index == entry.index,
        None => false,
    };
    Ok(Ending { balance, refused, targets: [before, with, after], entries: entries.len(), is_proven })
}

/// A request of nobody who has signed in.
fn nobody() -> Context {
    Context::anonymous(request_id())
}

/// A request of who holds the token.
async fn signed_in(platform: &Platform, pair: &TokenPair) -> Result<Context> {
    Ok(Context::new(platform.auth().authenticate(&pair.access_token).await?, request_id()))
}

fn request_id() -> CorrelationId {
    CorrelationId::from_raw(platform_core::kernel::RawId([7; 16]))
}

/// Where a request to `/shop` would go.
fn target(platform: &Platform, context: &Context) -> Result<String> {
    let table = platform.gateway().table();
    let head = RequestHead { method: "GET", path: "/shop", ..RequestHead::default() };
    match table.resolve(&head) {
        Resolution::Route(route) => {
            let pool = platform.gateway().pool(&route, &context.principal, None);
            Ok(pool.endpoints().first().map(|endpoint| endpoint.url().host().to_owned()).unwrap_or_default())
        }
        _ => Err(Error::not_found("story.no_route", "there is no route")),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::invalid("story.invalid", error.to_string()))
}
