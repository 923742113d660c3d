//! The facade over the in-memory store, in a simulated world.

mod api;
mod crashes;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use super::*;
use crate::backbone::Stopper;
use crate::kernel::{
    AccountId, Actor, Context, CorrelationId, Permission, Permissions, Principal, RawId, Timestamp,
    TransferId, UserId,
};
use crate::ports::keys::{EnvelopeKeys, KeyEncryptionKey};
use crate::ports::runtime::SimRuntime;
use crate::ports::store::{MemoryStores, Store, Stores};

/// A world with one store, over which the domain is opened and dropped.
pub(super) struct World {
    pub(super) sim: SimRuntime,
    pub(super) store: Arc<dyn Store>,
    keys: Arc<EnvelopeKeys>,
    config: LedgerConfig,
    stopper: Stopper,
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let sim = SimRuntime::new(seed);
        let stores = MemoryStores::default();
        let (store, keys) = sim.block_on(async {
            let keys = EnvelopeKeys::open(&KeyEncryptionKey([9; 32]), &stores, sim.runtime()).await.unwrap();
            (stores.open(&tables::schema()).await.unwrap(), Arc::new(keys))
        });
        World {
            sim,
            store,
            keys,
            config: LedgerConfig { segment_frames: 40, early_frames: 1 },
            stopper: Stopper::new(),
        }
    }

    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.sim.block_on(future)
    }

    /// Opens the domain on a store: what another one has in memory is not known to it.
    pub(super) fn open_on(&self, store: Arc<dyn Store>) -> Transactions {
        self.run(self.over(store)).unwrap()
    }

    pub(super) async fn over(&self, store: Arc<dyn Store>) -> Result<Transactions> {
        let db = Database { store, runtime: self.sim.runtime(), keys: Arc::clone(&self.keys) as _ };
        let domain = Transactions::over(db, self.config, true).await?;
        for task in domain.parts().tasks {
            task.start(&*self.sim.runtime(), self.stopper.shutdown());
        }
        Ok(domain)
    }

    pub(super) fn open(&self) -> Transactions {
        self.open_on(Arc::clone(&self.store))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.sim.runtime().now()
    }

    pub(super) fn account(&self, domain: &Transactions, asset: &str, min_balance: Option<&str>) -> AccountId {
        let new = NewAccount {
            asset: asset.into(),
            name: None,
            min_balance: min_balance.map(str::to_owned),
            owner: None,
        };
        self.run(domain.open_account(&system(), &new)).unwrap().id
    }

    pub(super) fn held(&self, domain: &Transactions, account: AccountId) -> (String, String) {
        let account = self.run(domain.account(&system(), account, None)).unwrap();
        (account.posted, account.pending)
    }
}

pub(super) fn system() -> Context {
    Context::system()
}

pub(super) fn keyed(key: &str) -> Context {
    system().with_key(key.parse().unwrap())
}

pub(super) fn user(number: u8, permissions: &[&str]) -> Context {
    let set: BTreeSet<Permission> = permissions.iter().map(|name| name.parse().unwrap()).collect();
    let principal = Principal {
        actor: Actor::User(user_id(number)),
        session: None,
        permissions: Permissions::Only(Arc::new(set)),
    };
    Context::new(principal, CorrelationId::from_raw(RawId([0; 16])))
}

pub(super) fn user_id(number: u8) -> UserId {
    UserId(RawId([number; 16]))
}

pub(super) fn request(debit: AccountId, credit: AccountId, amount: &str) -> TransferRequest {
    TransferRequest {
        id: None,
        debit_account: debit,
        credit_account: credit,
        asset: "EUR".into(),
        amount: amount.into(),
        pending: false,
        expires_in_s: None,
    }
}

pub(super) fn reserve(
    debit: AccountId,
    credit: AccountId,
    amount: &str,
    expires_in_s: Option<u32>,
) -> TransferRequest {
    TransferRequest { pending: true, expires_in_s, ..request(debit, credit, amount) }
}

pub(super) fn with_id(mut request: TransferRequest, number: u64) -> TransferRequest {
    request.id = Some(id(number));
    request
}

pub(super) fn id(number: u64) -> TransferId {
    let mut bytes = [0x20; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    TransferId(RawId(bytes))
}
