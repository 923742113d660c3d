//! Writing full segments of the tail to runs, and the snapshot of accounts: by a worker, in small commits.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::kernel::{AccountId, Amount, Balance, RawId, Result, Timestamp, TransferId};
use crate::ports::store::{Batch, Collection, DocKey, Document, Expect, Store, Write};

use super::filter::{Filter, hash};
use super::frame::{AssetCode, Balances, Kind};
use super::load;
use super::reader::{account_row, id_row};
use super::rows::{self, Written};
use super::state::{Account, Pending, State};
use super::storage::{
    ACCOUNT_RUNS, BLOCK_FRAMES, Checkpoint, FENCES, ID_FILTERS, ID_RUNS, OPEN_PENDING, RunEntry,
    account_block, damaged, part, put,
};
use super::tail::Segment;
use super::view::RunPair;

/// Bytes of one commit of the worker: a page that waits behind it waits a few milliseconds.
const COMMIT_BYTES: usize = 768 * 1024;

/// Bytes of an account in the snapshot.
const ACCOUNT_BYTES: usize = 81;
/// Bytes of an open pending transfer in the snapshot.
const PENDING_BYTES: usize = 56;
/// Open pending transfers of a block.
const PENDING_PER_BLOCK: usize = 1_024;

/// The state as of the last checkpoint, and where it is stored.
pub struct Checkpointer {
    store: Arc<dyn Store>,
    /// The stored document.
    pub checkpoint: Checkpoint,
    /// Its version.
    pub expect: Expect,
    /// The state as of it.
    pub state: State,
}

impl Checkpointer {
    /// From what was loaded.
    pub fn new(store: Arc<dyn Store>, checkpoint: Checkpoint, expect: Expect, state: State) -> Checkpointer {
        Checkpointer { store, checkpoint, expect, state }
    }

    /// Writes a segment to runs and snapshots; its runs, when that is durable.
    ///
    /// # Errors
    /// `store.…`, `ledger.damaged`. The checkpointer is then of no use any more: load it anew.
    pub async fn write(&mut self, segment: &Segment) -> Result<RunPair> {
        let mut touched = BTreeSet::new();
        if segment.first() != self.checkpoint.upto {
            return Err(damaged("order of segments"));
        }
        self.advance(segment, &mut touched)?;
        let run = self.begin().await?;
        let (ids, accounts) = (ids_of(run, segment), accounts_of(run, segment));
        let filters = ids.run.filter_chunks();
        let entry = RunEntry {
            run,
            first: segment.first(),
            end: segment.end(),
            filter_chunks: filters.len() as u32,
            id_blocks: ids.blocks.len() as u32,
            account_blocks: accounts.blocks.len() as u32,
        };
        let mut writes = Vec::new();
        let numbered = |blocks: Vec<Vec<u8>>, collection: &'static Collection| {
            blocks.into_iter().zip(0..).map(move |(block, number)| put(part(collection, run, number), block))
        };
        writes.extend(numbered(filters, &ID_FILTERS));
        writes.push(put(part(&ID_RUNS, run, FENCES), ids.run.fence_bytes()));
        writes.extend(numbered(ids.blocks, &ID_RUNS));
        writes.push(put(part(&ACCOUNT_RUNS, run, FENCES), accounts.run.fence_bytes()));
        writes.extend(numbered(accounts.blocks, &ACCOUNT_RUNS));
        writes.extend(touched.into_iter().map(|block| put(account_block(block), self.account_bytes(block))));
        let pending = self.pending_blocks();
        let old = (self.checkpoint.upto, self.checkpoint.pending_blocks);
        self.checkpoint.pending_blocks = pending.len() as u32;
        writes.extend(
            pending
                .into_iter()
                .zip(0..)
                .map(|(block, number)| put(part(&OPEN_PENDING, segment.end(), number), block)),
        );
        self.checkpoint.upto = segment.end();
        self.checkpoint.unfinished.retain(|unfinished| *unfinished != run);
        self.checkpoint.accounts = self.state.accounts().len() as u64;
        self.checkpoint.runs.push(entry.clone());
        self.commit(writes, old).await?;
        Ok(RunPair { entry, ids: ids.run, accounts: accounts.run })
    }

    /// Applies the frames of a segment to the state of the checkpoint.
    fn advance(&mut self, segment: &Segment, touched: &mut BTreeSet<u64>) -> Result<()> {
        let mut ends = segment.ends().iter().peekable();
        for (number, frame) in (segment.first()..).zip(segment.frames()) {
            let ended = ends.next_if(|(end, _)| *end == number).map(|(_, id)| *id);
            self.state.replay(number, frame, ended).ok_or_else(|| damaged("frame"))?;
            if frame.kind.moves() || frame.kind == Kind::Account {
                touched.insert(u64::from(frame.debit) / BLOCK_FRAMES);
            }
            if frame.kind.moves() {
                touched.insert(u64::from(frame.credit) / BLOCK_FRAMES);
            }
        }
        Ok(())
    }

    /// Takes a number for a run. From here on nobody writes to it but who took it: every commit of a
    /// worker expects the version of the checkpoint that it has itself written last.
    async fn begin(&mut self) -> Result<u64> {
        let run = self.checkpoint.next_run;
        self.checkpoint.next_run += 1;
        self.checkpoint.unfinished.push(run);
        self.save(Batch::default()).await?;
        Ok(run)
    }

    /// Commits a batch together with the checkpoint.
    async fn save(&mut self, mut batch: Batch) -> Result<()> {
        let key = Checkpoint::key(self.checkpoint.id());
        batch.expects.push((key.clone(), self.expect));
        batch.writes.push(Write::Put { key, body: self.checkpoint.to_body()?, entries: Vec::new() });
        self.expect = Expect::Version(self.store.commit(batch).await?.position);
        Ok(())
    }

    /// Commits in steps; the checkpoint itself comes last, so what was written before counts only then.
    async fn commit(&mut self, writes: Vec<Write>, (upto, blocks): (u64, u32)) -> Result<()> {
        let key = Checkpoint::key(self.checkpoint.id());
        let fenced = || Batch { expects: vec![(key.clone(), self.expect)], ..Batch::default() };
        let mut batch = fenced();
        let mut bytes = 0;
        for write in writes {
            if let Write::Put { body, .. } = &write {
                bytes += body.as_bytes().len();
            }
            batch.writes.push(write);
            if bytes >= COMMIT_BYTES {
                bytes = 0;
                self.store.commit(std::mem::replace(&mut batch, fenced())).await?;
            }
        }
        batch.expects.clear();
        if upto != self.checkpoint.upto {
            let old = (0..blocks).map(|block| Write::Delete { key: part(&OPEN_PENDING, upto, block) });
            batch.writes.extend(old);
        }
        self.save(batch).await
    }

    fn account_bytes(&self, block: u64) -> Vec<u8> {
        let from = (block * BLOCK_FRAMES) as usize;
        let to = self.state.accounts().len().min(from + BLOCK_FRAMES as usize);
        self.state.accounts().get(from..to).unwrap_or_default().iter().flat_map(account_bytes).collect()
    }

    fn pending_blocks(&self) -> Vec<Vec<u8>> {
        let bytes: Vec<u8> = self.state.open().flat_map(pending_bytes).collect();
        bytes.chunks(PENDING_BYTES * PENDING_PER_BLOCK).map(<[u8]>::to_vec).collect()
    }
}

fn ids_of(run: u64, segment: &Segment) -> Written<22> {
    let mut ids = Vec::with_capacity(segment.frames().len() + segment.ends().len());
    for (number, frame) in (segment.first()..).zip(segment.frames()) {
        if !matches!(frame.kind, Kind::Account | Kind::Expire) {
            ids.push(id_row(frame.id, number));
        }
    }
    ids.extend(segment.ends().iter().map(|(number, id)| id_row(id.0, *number)));
    ids.sort_unstable();
    let mut filter = Filter::for_ids(ids.len());
    for row in &ids {
        if let Some(id) = row.first_chunk::<16>() {
            filter.add(hash(RawId(*id)));
        }
    }
    rows::write(run, &ids, Some(filter))
}

fn accounts_of(run: u64, segment: &Segment) -> Written<10> {
    let mut accounts = Vec::with_capacity(segment.frames().len() * 2);
    for (number, frame) in (segment.first()..).zip(segment.frames()).filter(|(_, frame)| frame.kind.moves()) {
        accounts.push(account_row(frame.debit, number));
        accounts.push(account_row(frame.credit, number));
    }
    accounts.sort_unstable();
    rows::write(run, &accounts, None)
}

fn account_bytes(account: &Account) -> [u8; ACCOUNT_BYTES] {
    let mut out = [0; ACCOUNT_BYTES];
    let floor = account.floor.unwrap_or_default();
    let parts = [
        account.id.0.0,
        account.asset.0,
        floor.minor().to_le_bytes(),
        account.held.posted.minor().to_le_bytes(),
        account.held.pending.minor().to_le_bytes(),
    ];
    for (to, from) in
        out.iter_mut().zip(parts.as_flattened().iter().chain([&u8::from(account.floor.is_some())]))
    {
        *to = *from;
    }
    out
}

/// The accounts of a block of the snapshot; what is reserved follows from the open pending transfers.
///
/// # Errors
/// `ledger.damaged`.
pub fn accounts_from(block: &[u8]) -> Result<Vec<Account>> {
    let (accounts, rest) = block.as_chunks::<ACCOUNT_BYTES>();
    let read = |bytes: &[u8; ACCOUNT_BYTES]| {
        let (parts, flag) = bytes.as_chunks::<16>();
        let [id, asset, floor, posted, pending] = <[[u8; 16]; 5]>::try_from(parts).ok()?;
        let balance = |bytes| Balance::from_minor(i128::from_le_bytes(bytes));
        Some(Account {
            id: AccountId(RawId(id)),
            asset: AssetCode(asset),
            floor: (flag == [1]).then(|| balance(floor)),
            held: Balances { posted: balance(posted), pending: balance(pending) },
            reserved: Amount::ZERO,
        })
    };
    let read: Option<Vec<Account>> = accounts.iter().map(read).collect();
    read.filter(|_| rest.is_empty()).ok_or_else(|| damaged("account block"))
}

fn pending_bytes(pending: &Pending) -> [u8; PENDING_BYTES] {
    let mut out = [0; PENDING_BYTES];
    let (ids, numbers) = out.split_at_mut(32);
    let (id, amount) = ids.split_at_mut(16);
    id.copy_from_slice(&pending.id.0.0);
    amount.copy_from_slice(&pending.amount.minor().to_le_bytes());
    let expires = pending.expires_at.map_or(0, Timestamp::as_micros);
    let accounts = u64::from(pending.debit) << 32 | u64::from(pending.credit);
    for (to, from) in numbers.chunks_mut(8).zip([pending.number, expires, accounts]) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    out
}

/// The open pending transfers of a block.
///
/// # Errors
/// `ledger.damaged`.
pub fn pending_from(block: &[u8]) -> Result<Vec<Pending>> {
    let (all, rest) = block.as_chunks::<PENDING_BYTES>();
    let read = |bytes: &[u8; PENDING_BYTES]| {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |at: usize| words.get(at).map(|word| u64::from_le_bytes(*word));
        let (ids, _) = bytes.as_chunks::<16>();
        let (number, expires, accounts) = (word(4)?, word(5)?, word(6)?);
        Some(Pending {
            id: TransferId(RawId(*ids.first()?)),
            amount: Amount::from_minor(u128::from_le_bytes(*ids.get(1)?)).ok()?,
            number,
            debit: (accounts >> 32) as u32,
            credit: accounts as u32,
            expires_at: (expires > 0).then(|| Timestamp::from_micros(expires)),
        })
    };
    let read: Option<Vec<Pending>> = all.iter().map(read).collect();
    read.filter(|_| rest.is_empty()).ok_or_else(|| damaged("open pending transfers"))
}

/// Removes what an interrupted worker left behind. The checkpoint is written anew before: a worker that
/// still lives somewhere (of a process that was taken for dead) can write nothing any more.
///
/// # Errors
/// `store.…`.
pub async fn sweep(
    store: &Arc<dyn Store>,
    checkpoint: Checkpoint,
    expect: Expect,
) -> Result<(Checkpoint, Expect)> {
    let mut stray: Vec<DocKey> = load::keys_of(store.as_ref(), &OPEN_PENDING, None).await?;
    stray.retain(|key| !key.id.starts_with(&checkpoint.upto.to_be_bytes()));
    for run in &checkpoint.unfinished {
        for collection in [&ID_RUNS, &ID_FILTERS, &ACCOUNT_RUNS] {
            stray.extend(load::keys_of(store.as_ref(), collection, Some(*run)).await?);
        }
    }
    if stray.is_empty() && checkpoint.unfinished.is_empty() {
        return Ok((checkpoint, expect));
    }
    let mut sweeper = Checkpointer::new(Arc::clone(store), checkpoint, expect, State::default());
    sweeper.save(Batch::default()).await?;
    for keys in stray.chunks(32) {
        let writes = keys.iter().map(|key| Write::Delete { key: key.clone() }).collect();
        let expects = vec![(Checkpoint::key(sweeper.checkpoint.id()), sweeper.expect)];
        store.commit(Batch { expects, writes, ..Batch::default() }).await?;
    }
    sweeper.checkpoint.unfinished.clear();
    sweeper.save(Batch::default()).await?;
    Ok((sweeper.checkpoint, sweeper.expect))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn snapshots_round_trip(id in any::<[u8; 16]>(), code in any::<[u8; 16]>(), floor in any::<Option<i128>>(), held in any::<(i128, i128)>(),
                                amount in 0..=Amount::MAX.minor(), numbers in any::<(u64, u32, u32)>(), expires in proptest::option::of(1u64..)) {
            let account = Account {
                id: AccountId(RawId(id)), asset: AssetCode(code), floor: floor.map(Balance::from_minor),
                held: Balances { posted: Balance::from_minor(held.0), pending: Balance::from_minor(held.1) }, reserved: Amount::ZERO,
            };
            prop_assert_eq!(accounts_from(&account_bytes(&account)).unwrap(), [account]);
            let pending = Pending {
                id: TransferId(RawId(id)), number: numbers.0, debit: numbers.1, credit: numbers.2,
                amount: Amount::from_minor(amount).unwrap(), expires_at: expires.map(Timestamp::from_micros),
            };
            prop_assert_eq!(pending_from(&pending_bytes(&pending)).unwrap(), [pending]);
        }
    }
}
