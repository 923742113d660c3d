//! A whole platform whose stores are on a failing disk: its ledger, its accounts, its keys, its audit trail.

use std::path::{Path, PathBuf};

use disk_faults::{Image, Operation, Plan};
use embedded_store::{key_path, open_backends};
use platform_core::Platform;
use platform_core::kernel::{AccountId, Amount, Context, Error, ErrorKind, RawId, TransferId};
use platform_core::transactions::ledger::page::Outcome;
use platform_core::transactions::ledger::state::{Action, NewTransfer};
use platform_core::transactions::{LedgerConfig, NewAccount};

use super::ground::Ground;
use super::stores::{Found, patiently};

/// Transfers of a run.
const TRANSFERS: u64 = 6;

/// A platform with some accounts.
pub(crate) struct Bank<'g> {
    ground: &'g Ground,
    template: Image,
    accounts: Vec<AccountId>,
    key: PathBuf,
}

/// What one run came to.
pub(crate) struct Ran {
    pub(crate) fired: u64,
    pub(crate) calls: Vec<Operation>,
}

async fn open(path: &Path) -> Result<Platform, Error> {
    let config = LedgerConfig { segment_frames: 2_000, early_frames: 300 };
    let backends = open_backends(path, Vec::new()).await?;
    let platform = Platform::builder(backends).ledger(config).build().await?;
    platform.start().await?;
    Ok(platform)
}

fn is_told(error: &Error) -> Found {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::DataLoss => Ok(()),
        _ => Err(format!("an error of the disk is told as {error:?}")),
    }
}

impl<'g> Bank<'g> {
    pub(crate) async fn new(ground: &'g Ground) -> Bank<'g> {
        let folder = ground.empty();
        let platform = open(&folder.0).await.unwrap();
        let mut accounts = Vec::new();
        for _ in 0..3 {
            let new = NewAccount { asset: "EUR".into(), name: None, min_balance: None, owner: None };
            let opened = platform.transactions().open_account(&Context::service("test"), &new).await;
            accounts.push(opened.unwrap().id);
        }
        platform.stop().await;
        drop(platform);
        Bank { ground, template: Image::of_folder(&folder.0).unwrap(), accounts, key: key_path(&folder.0) }
    }

    fn transfer(&self, number: u64) -> NewTransfer {
        let account = |at: u64| self.accounts[at as usize % self.accounts.len()];
        let action = Action::Transfer {
            debit: account(number),
            credit: account(number + 1),
            amount: Amount::from_minor(u128::from(number) + 1).unwrap(),
            asset: None,
        };
        NewTransfer { id: TransferId(RawId(u128::from(number + 1).to_be_bytes())), action }
    }

    /// Transfers and an account, while the disk fails; then everything that was acknowledged, once.
    pub(crate) async fn run(&self, plan: Option<&Plan>) -> Found<Ran> {
        let session = self.ground.disk(&self.template);
        std::fs::copy(&self.key, key_path(&session.path)).unwrap();
        if let Some(plan) = plan {
            session.disk.fail(plan.clone());
        }
        let context = Context::service("test");
        let mut acknowledged = Vec::new();
        match patiently("a start", open(&session.path)).await? {
            Err(error) => is_told(&error)?,
            Ok(platform) => {
                let ledger = platform.transactions().clone();
                for number in 0..TRANSFERS {
                    let sent = ledger.submit(&context, vec![self.transfer(number)], false);
                    match patiently("a transfer", sent).await? {
                        Ok(_) => acknowledged.push(number),
                        Err(error) => is_told(&error)?,
                    }
                }
                let new = NewAccount { asset: "EUR".into(), name: None, min_balance: None, owner: None };
                if let Err(error) = patiently("an account", ledger.open_account(&context, &new)).await? {
                    is_told(&error)?;
                }
                drop(ledger);
                patiently("a stop", platform.stop()).await?;
            }
        }
        let (calls, fired) = (session.disk.calls(), session.disk.heal());
        self.check(&session.path, &acknowledged, Some(100)).await?;
        Ok(Ran { fired, calls })
    }

    /// What was acknowledged is there, once, and everything balances; one more transfer may be made.
    async fn check(&self, path: &Path, acknowledged: &[u64], more: Option<u64>) -> Found {
        let context = Context::service("test");
        let platform = patiently("a start", open(path))
            .await?
            .map_err(|error| format!("does not open: {error:?} {:?}", error.context().collect::<Vec<_>>()))?;
        let ledger = platform.transactions().clone();
        let failed = |error: Error| format!("on a disk that is well again: {error:?}");
        for number in acknowledged {
            let again = ledger.submit(&context, vec![self.transfer(*number)], false).await.map_err(failed)?;
            if !matches!(again[..], [Outcome::Exists(_)]) {
                return Err(format!("transfer {number} was acknowledged and is lost: {again:?}"));
            }
        }
        if let Some(number) = more {
            let made = ledger.submit(&context, vec![self.transfer(number)], false).await.map_err(failed)?;
            if !matches!(made[..], [Outcome::Created(_)]) {
                return Err(format!("a new transfer came to {made:?}"));
            }
        }
        let check = ledger.check(&context).map_err(failed)?;
        let verified = ledger.verify(&context).await.map_err(failed)?;
        if !check.balanced || verified.frames != check.frames {
            return Err("the ledger does not balance".to_owned());
        }
        drop(ledger);
        patiently("a stop", platform.stop()).await
    }
}
