//! A transfer's proof over the whole platform: it holds for every transfer, and for nothing that was changed.
#![cfg(all(feature = "transactions", feature = "audit", feature = "flags"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use platform_core::kernel::{
    AccountId, Actor, Context, CorrelationId, Permission, Permissions, Principal, RawId, Retry, TransferId,
    UserId,
};
use platform_core::ports::MemoryBackends;
use platform_core::ports::runtime::SimRuntime;
use platform_core::transactions::{BatchItem, LedgerConfig, TransferStatus};
use platform_core::{Platform, TransferProof, verify_transfer_proof};
use serde_json::{Value, json};

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn random(world: &SimRuntime, below: u64) -> u64 {
    u64::from_le_bytes(world.runtime().random()) % below
}

async fn platform(memory: &MemoryBackends) -> Platform {
    let config = LedgerConfig { segment_frames: 100, early_frames: 20 };
    Platform::builder(memory.backends().await.unwrap()).ledger(config).build().await.unwrap()
}

async fn accounts(platform: &Platform) -> Vec<AccountId> {
    let mut accounts = Vec::new();
    for _ in 0..3 {
        let open = read(json!({"asset": "EUR"}));
        accounts.push(platform.transactions().open_account(&Context::system(), &open).await.unwrap().id);
    }
    accounts
}

/// Batches of random size with ends and expiries among them, and other events between the pages.
async fn history(world: &SimRuntime, platform: &Platform, accounts: &[AccountId]) -> Vec<TransferId> {
    let (system, ledger) = (Context::system(), platform.transactions());
    let (mut made, mut pending): (Vec<TransferId>, Vec<TransferId>) = (Vec::new(), Vec::new());
    for round in 0..9u64 {
        if round == 6 {
            // Frames go on from where they were; the events tell of an earlier time.
            world.jump_clock(Duration::from_secs(600), true);
        }
        let transfers: Vec<Value> = (0..=random(world, [1, 20, 90][round as usize % 3]))
            .map(|_| {
                let from = random(world, 3) as usize;
                let mut one = json!({"debit_account": accounts[from], "credit_account": accounts[(from + 1) % 3], "asset": "EUR", "amount": "0.01"});
                if random(world, 4) == 0 {
                    one["pending"] = json!(true);
                    one["expires_in_s"] = json!(50 + random(world, 100));
                }
                one
            })
            .collect();
        let batch = read(json!({"transfers": transfers}));
        for item in ledger.transfer_batch(&system, &batch).await.unwrap().items {
            let BatchItem::Created(transfer) = item else { panic!("{item:?}") };
            made.push(transfer.id);
            if transfer.status == TransferStatus::Pending {
                pending.push(transfer.id);
            }
        }
        for id in pending.split_off(pending.len() / 2) {
            match random(world, 2) {
                0 => drop(ledger.post(&system, id, &read(json!({}))).await),
                _ => drop(ledger.void(&system, id).await),
            }
        }
        let flag = json!({"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on", "metadata": {"n": round}});
        platform.flags().put(&system, &"dark".parse().unwrap(), None, &read(flag)).await.unwrap();
        world.runtime().sleep(Duration::from_secs(random(world, 40))).await;
    }
    made
}

#[test]
fn every_transfer_of_a_random_history_is_proven_with_what_ended_it() {
    for seed in 0..2 {
        let world = SimRuntime::new(seed);
        let memory = MemoryBackends::new(world.runtime());
        world.block_on(async {
            let system = Context::system();
            let mut made = Vec::new();
            let mut held = Vec::new();
            for _ in 0..2 {
                let platform = platform(&memory).await;
                platform.start().await.unwrap();
                if held.is_empty() {
                    held = accounts(&platform).await;
                }
                made.extend(history(&world, &platform, &held).await);
                let key = platform.audit().verifier_key(&system).await.unwrap();
                let mut ended = 0;
                for id in &made {
                    let transfer = platform.transactions().read_transfer(&system, *id).await.unwrap();
                    let proof = platform.transfer_proof(&system, *id).await.unwrap();
                    let proven = verify_transfer_proof(&proof, &key).unwrap();
                    assert_eq!((proven.id, proven.created.time), (*id, transfer.created_at));
                    assert_eq!(proven.ended.map(|end| end.time), transfer.resolved_at);
                    ended += usize::from(proof.ended.is_some());
                }
                assert!(ended > 5 && ended < made.len(), "{ended}");
                platform.stop().await;
            }
        });
    }
}

#[test]
fn a_proof_in_which_a_byte_was_changed_does_not_hold() {
    let world = SimRuntime::new(5);
    let memory = MemoryBackends::new(world.runtime());
    world.block_on(async {
        let system = Context::system();
        let platform = platform(&memory).await;
        platform.start().await.unwrap();
        let accounts = accounts(&platform).await;
        let made = history(&world, &platform, &accounts).await;
        let key = platform.audit().verifier_key(&system).await.unwrap();
        let mut proofs = Vec::new();
        for id in &made {
            proofs.push(platform.transfer_proof(&system, *id).await.unwrap());
        }
        let ended = proofs.iter().find(|proof| proof.ended.is_some()).unwrap();
        let text = serde_json::to_string(ended).unwrap();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            let Ok(changed) = serde_json::from_slice::<TransferProof>(&changed) else { continue };
            assert!(verify_transfer_proof(&changed, &key).is_err(), "byte {at} of {text}");
        }
        // Nor does one that was put together from parts of others.
        let other = proofs.iter().find(|proof| proof.ended.is_some() && proof.id != ended.id).unwrap();
        let checkpoint = other.checkpoint.clone();
        for mixed in [
            TransferProof { id: other.id, ..ended.clone() },
            TransferProof { id: other.id, created: other.created.clone(), checkpoint, ..ended.clone() },
            TransferProof { created: ended.ended.clone().unwrap(), ended: None, ..ended.clone() },
        ] {
            let error = verify_transfer_proof(&mixed, &key).unwrap_err();
            assert_eq!(error.code(), "transactions.proof_invalid");
        }
        let stranger = platform.audit().reorigin(&system).await.unwrap();
        assert!(verify_transfer_proof(ended, &stranger).is_err(), "another log's key");
        assert!(verify_transfer_proof(ended, &key).is_ok());
        platform.stop().await;
    });
}

#[test]
fn a_page_that_the_log_has_not_taken_in_is_waited_for_and_then_retried_by_the_caller() {
    let world = SimRuntime::new(6);
    let memory = MemoryBackends::new(world.runtime());
    world.block_on(async {
        let system = Context::system();
        let platform = platform(&memory).await;
        let accounts = accounts(&platform).await;
        let transfer = read(
            json!({"debit_account": accounts[0], "credit_account": accounts[1], "asset": "EUR", "amount": "1"}),
        );
        let id = platform.transactions().transfer(&system, &transfer).await.unwrap().transfer.id;
        let began = world.runtime().monotonic();
        let pending = platform.transfer_proof(&system, id).await.unwrap_err();
        assert_eq!(pending.code(), "transactions.proof_pending");
        assert_eq!(pending.retry_advice(), Retry::After(Duration::from_secs(1)));
        assert!(world.runtime().monotonic() - began < Duration::from_secs(3));
        platform.start().await.unwrap();
        let key = platform.audit().verifier_key(&system).await.unwrap();
        verify_transfer_proof(&platform.transfer_proof(&system, id).await.unwrap(), &key).unwrap();
        let missing = platform.transfer_proof(&system, TransferId(RawId([7; 16]))).await.unwrap_err();
        assert_eq!(missing.code(), "ledger.transfer_not_found");
        for (permissions, code) in [
            (vec![], "auth.forbidden"),
            (vec!["ledger:read"], "auth.forbidden"),
            (vec!["audit:read"], "auth.forbidden"),
        ] {
            let denied = platform.transfer_proof(&somebody(&permissions), id).await.unwrap_err();
            assert_eq!(denied.code(), code, "{permissions:?}");
        }
        platform.transfer_proof(&somebody(&["ledger:read", "audit:read"]), id).await.unwrap();
        platform.stop().await;
    });
}

fn somebody(permissions: &[&str]) -> Context {
    let set: BTreeSet<Permission> = permissions.iter().map(|name| name.parse().unwrap()).collect();
    let actor = Actor::User(UserId(RawId([9; 16])));
    let principal = Principal { actor, session: None, permissions: Permissions::Only(Arc::new(set)) };
    Context::new(principal, CorrelationId::from_raw(RawId([0; 16])))
}
