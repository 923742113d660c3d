//! Opening the ledger: runs and snapshots as of the last checkpoint, and the frames behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kernel::{Error, Result, Timestamp, limits, merkle};
use crate::ports::store::{Collection, Doc, DocKey, Document, Expect, IndexRange, Store};

use super::blocks;
use super::checkpoint::{Checkpointer, accounts_from, pending_from, sweep};
use super::filter::Filter;
use super::frame::{Frame, Kind};
use super::rows::{self, Run};
use super::state::State;
use super::storage::{
    ACCOUNT_RUNS, BLOCK_FRAMES, Checkpoint, FENCES, Head, ID_FILTERS, ID_RUNS, MAIN, OPEN_PENDING, RunEntry,
    account_block, damaged, decode_frames, part,
};
use super::tail::Tail;
use super::view::{RunPair, Seen};

/// Documents of one read.
const READ_DOCS: usize = 64;

/// The ledger as it was found.
pub struct Loaded {
    /// What readers see.
    pub seen: Seen,
    /// The state behind the last frame.
    pub state: State,
    /// The version of the head.
    pub expect: Expect,
    /// The frames of the last block, when it is not full.
    pub partial: Vec<Frame>,
    /// The state as of the last checkpoint.
    pub checkpointer: Checkpointer,
}

/// Loads the ledger; again, when another process writes a checkpoint meanwhile.
///
/// # Errors
/// `store.…`, `ledger.damaged`.
pub async fn load(store: &Arc<dyn Store>) -> Result<Loaded> {
    for _ in 1..limits::COMMAND_ATTEMPTS {
        match attempt(store).await {
            Err(error) if error.code() == "store.conflict" => {}
            loaded => return loaded,
        }
    }
    attempt(store).await
}

async fn attempt(store: &Arc<dyn Store>) -> Result<Loaded> {
    let keys = [Head::key(MAIN), Checkpoint::key(MAIN)];
    let mut docs = store.get(&keys).await?.into_iter();
    let (head, expect) = read::<Head>(docs.next().flatten())?;
    let (checkpoint, checkpoint_expect) = read::<Checkpoint>(docs.next().flatten())?;
    let head =
        head.unwrap_or_else(|| Head { page: 0, next: 0, time: Timestamp::EPOCH, hash: merkle::empty_root() });
    let (checkpoint, checkpoint_expect) =
        sweep(store, checkpoint.unwrap_or_default(), checkpoint_expect).await?;
    let loaded = read_behind(store, head, expect, checkpoint, checkpoint_expect).await;
    if loaded.is_err() && version_of_checkpoint(store).await? != checkpoint_expect {
        // Whoever wrote another one has removed what belonged to this one.
        return Err(Error::conflict("store.conflict", "a checkpoint was written meanwhile"));
    }
    loaded
}

async fn version_of_checkpoint(store: &Arc<dyn Store>) -> Result<Expect> {
    let doc = store.get(&[Checkpoint::key(MAIN)]).await?.pop().flatten();
    Ok(doc.map_or(Expect::Absent, |doc| Expect::Version(doc.version)))
}

/// Reads what a checkpoint names, and the frames behind it.
async fn read_behind(
    store: &Arc<dyn Store>,
    head: Head,
    expect: Expect,
    checkpoint: Checkpoint,
    checkpoint_expect: Expect,
) -> Result<Loaded> {
    let mut runs = Vec::new();
    for entry in &checkpoint.runs {
        runs.push(Arc::new(run(store.as_ref(), entry).await?));
    }
    let snapshot = snapshot(store.as_ref(), &checkpoint).await?;
    let (state, tail, partial) = replay(store.as_ref(), snapshot.clone(), checkpoint.upto, head.next).await?;
    Ok(Loaded {
        seen: Seen::new(head, tail, runs, &state),
        state,
        expect,
        partial,
        checkpointer: Checkpointer::new(Arc::clone(store), checkpoint, checkpoint_expect, snapshot),
    })
}

/// Loads the checkpoint alone.
///
/// # Errors
/// `store.…`, `ledger.damaged`.
pub async fn load_checkpoint(store: &Arc<dyn Store>) -> Result<Checkpointer> {
    let doc = store.get(&[Checkpoint::key(MAIN)]).await?.pop().flatten();
    let (checkpoint, expect) = read::<Checkpoint>(doc)?;
    let checkpoint = checkpoint.unwrap_or_default();
    let state = snapshot(store.as_ref(), &checkpoint).await?;
    Ok(Checkpointer::new(Arc::clone(store), checkpoint, expect, state))
}

/// The keys of a collection, or those of one run in it.
///
/// # Errors
/// `store.…`.
pub async fn keys_of(store: &dyn Store, collection: &Collection, run: Option<u64>) -> Result<Vec<DocKey>> {
    let mut range = IndexRange::ids(collection.name).limit(READ_DOCS);
    if let Some(run) = run {
        range = range.prefix(&run.to_be_bytes());
    }
    let mut keys = Vec::new();
    loop {
        let page = store.scan(&range).await?;
        keys.extend(page.docs.into_iter().map(|doc| DocKey::new(collection.name, doc.id)));
        match page.next {
            Some(next) => range = range.after(Some(next)),
            None => return Ok(keys),
        }
    }
}

fn read<T: Document>(doc: Option<Doc>) -> Result<(Option<T>, Expect)> {
    match doc {
        Some(doc) => Ok((Some(T::from_body(&doc.body)?), Expect::Version(doc.version))),
        None => Ok((None, Expect::Absent)),
    }
}

/// Loads what of a run is in memory.
///
/// # Errors
/// `store.…`, `ledger.damaged`.
pub async fn run(store: &dyn Store, entry: &RunEntry) -> Result<RunPair> {
    let mut keys = vec![part(&ID_RUNS, entry.run, FENCES), part(&ACCOUNT_RUNS, entry.run, FENCES)];
    keys.extend((0..entry.filter_chunks).map(|chunk| part(&ID_FILTERS, entry.run, chunk)));
    let docs = all(store, &keys).await?;
    let mut docs = docs.iter().map(|doc| doc.body.as_bytes());
    let mut fences = || docs.next().ok_or_else(|| damaged("fences"));
    let (ids, accounts) = (fences()?, fences()?);
    let filter: Vec<u8> = docs.flatten().copied().collect();
    Ok(RunPair {
        entry: entry.clone(),
        ids: Run {
            number: entry.run,
            fences: rows::rows(ids).ok_or_else(|| damaged("fences"))?.to_vec(),
            filter: Some(Filter::from_bytes(&filter).ok_or_else(|| damaged("filter"))?),
        },
        accounts: Run {
            number: entry.run,
            fences: rows::rows(accounts).ok_or_else(|| damaged("fences"))?.to_vec(),
            filter: None,
        },
    })
}

async fn snapshot(store: &dyn Store, checkpoint: &Checkpoint) -> Result<State> {
    let mut state = State::default();
    let blocks: Vec<DocKey> = (0..checkpoint.accounts.div_ceil(BLOCK_FRAMES)).map(account_block).collect();
    for doc in all(store, &blocks).await? {
        for account in accounts_from(doc.body.as_bytes())? {
            state.insert_account(account);
        }
    }
    let blocks: Vec<DocKey> =
        (0..checkpoint.pending_blocks).map(|block| part(&OPEN_PENDING, checkpoint.upto, block)).collect();
    for doc in all(store, &blocks).await? {
        for pending in pending_from(doc.body.as_bytes())? {
            state.insert_pending(pending).ok_or_else(|| damaged("open pending transfer"))?;
        }
    }
    Ok(state)
}

/// Applies the frames from `from` to before `to`.
async fn replay(
    store: &dyn Store,
    mut state: State,
    from: u64,
    to: u64,
) -> Result<(State, Tail, Vec<Frame>)> {
    let mut tail = Tail::new(from);
    let mut partial = Vec::new();
    let mut open: BTreeMap<u64, _> = state.open().map(|pending| (pending.number, pending.id)).collect();
    let numbers: Vec<u64> = (from / BLOCK_FRAMES..to.div_ceil(BLOCK_FRAMES)).collect();
    let mut number = from / BLOCK_FRAMES * BLOCK_FRAMES;
    for numbers in numbers.chunks(READ_DOCS) {
        for block in blocks::read(store, numbers, to).await? {
            partial.clear();
            for frame in decode_frames(&block.ok_or_else(|| damaged("frame block"))?)? {
                if number >= to {
                    break;
                }
                partial.push(frame);
                if number >= from {
                    let ended = if frame.kind.resolves() { open.remove(&frame.reference) } else { None };
                    state.replay(number, &frame, ended).ok_or_else(|| damaged("frame"))?;
                    if frame.kind == Kind::Pending {
                        open.insert(number, frame.transfer_id());
                    }
                    tail.push(frame, ended);
                }
                number += 1;
            }
        }
    }
    if number != to.max(from / BLOCK_FRAMES * BLOCK_FRAMES) {
        return Err(damaged("missing frames"));
    }
    if to.is_multiple_of(BLOCK_FRAMES) {
        partial.clear();
    }
    Ok((state, tail, partial))
}

/// The documents under these keys: all of them must be there.
async fn all(store: &dyn Store, keys: &[DocKey]) -> Result<Vec<Doc>> {
    let mut docs = Vec::with_capacity(keys.len());
    for keys in keys.chunks(READ_DOCS) {
        for (key, doc) in keys.iter().zip(store.get(keys).await?) {
            docs.push(doc.ok_or_else(|| damaged("document").with("collection", key.collection))?);
        }
    }
    Ok(docs)
}
