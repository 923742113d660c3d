//! Looking up what was committed, in memory and in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use crate::kernel::{Position, RawId, Result, Timestamp, TransferId};
use crate::ports::store::{Doc, DocKey, Store};

use super::blocks;
use super::filter::hash;
use super::frame::{Balances, Frame};
use super::page::Known;
use super::rows;
use super::state::Recorded;
use super::storage::{ACCOUNT_RUNS, BLOCK_FRAMES, ID_RUNS, damaged, decode_frames, frame_of_block, part};
use super::view::{ACCOUNT_ROW, ID_ROW, RunPair, View};

/// Blocks of ids of one read from the store: about 1.5 MiB.
const READ_BLOCKS: usize = 64;

/// Reads the ledger.
#[derive(Clone)]
pub struct Reader {
    store: Arc<dyn Store>,
    view: Arc<View>,
}

/// A transfer with what ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traced {
    /// Its frame.
    pub created: Recorded,
    /// The frame that ended it, when it was pending.
    pub resolved: Option<Recorded>,
}

impl Reader {
    /// Over a store and what is in memory of it.
    pub fn new(store: Arc<dyn Store>, view: Arc<View>) -> Reader {
        Reader { store, view }
    }

    /// The last commit of the store, as it moves.
    pub fn committed(&self) -> watch::Receiver<Position> {
        self.store.committed()
    }

    /// What the runs say of these ids. Ids that are surely in none cost no read.
    ///
    /// # Errors
    /// `store.unavailable`, `ledger.damaged`.
    pub async fn known(&self, ids: impl IntoIterator<Item = RawId>) -> Result<Known> {
        let runs = Arc::clone(&self.view.read().runs);
        let mut wanted: BTreeMap<DocKey, Vec<RawId>> = BTreeMap::new();
        if !runs.is_empty() {
            for id in ids {
                let hash = hash(id);
                for pair in runs.iter() {
                    if pair.ids.filter.as_ref().is_none_or(|filter| filter.may_contain(hash)) {
                        for block in pair.ids.blocks_of(&id.0) {
                            wanted.entry(part(&ID_RUNS, pair.entry.run, block)).or_default().push(id);
                        }
                    }
                }
            }
        }
        let mut found: Vec<(RawId, u64)> = Vec::new();
        let keys: Vec<DocKey> = wanted.keys().cloned().collect();
        for keys in keys.chunks(READ_BLOCKS) {
            for (key, doc) in keys.iter().zip(self.store.get(keys).await?) {
                let doc = doc.ok_or_else(|| damaged("block of ids"))?;
                let block =
                    rows::rows::<ID_ROW>(doc.body.as_bytes()).ok_or_else(|| damaged("block of ids"))?;
                for id in wanted.get(key).into_iter().flatten() {
                    found.extend(rows::with_prefix(block, &id.0).iter().map(|row| (*id, number_of(row))));
                }
            }
        }
        let frames = self.frames(found.iter().map(|(_, number)| *number)).await?;
        let mut known = Known::of(runs);
        for (id, number) in found {
            if let Some(frame) = frames.get(&number) {
                known.insert(id, Recorded { number, frame: *frame });
            }
        }
        Ok(known)
    }

    /// The frames with these numbers, as far as they exist.
    ///
    /// # Errors
    /// `store.unavailable`, `ledger.damaged`.
    pub async fn frames(&self, numbers: impl IntoIterator<Item = u64>) -> Result<BTreeMap<u64, Frame>> {
        let mut frames = BTreeMap::new();
        let mut stored: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        let next = {
            let seen = self.view.read();
            for number in numbers {
                match seen.tail.get(number) {
                    Some(recorded) => drop(frames.insert(number, recorded.frame)),
                    None if number < seen.tail.next() => {
                        stored.entry(number / BLOCK_FRAMES).or_default().insert(number);
                    }
                    None => {}
                }
            }
            seen.head.next
        };
        let wanted: Vec<u64> = stored.keys().copied().collect();
        let read = blocks::read(self.store.as_ref(), &wanted, next).await?;
        for (numbers, block) in stored.values().zip(read) {
            let block = block.ok_or_else(|| damaged("frame block"))?;
            for number in numbers {
                if let Some(frame) = frame_of_block(&block, *number)? {
                    frames.insert(*number, frame);
                }
            }
        }
        Ok(frames)
    }

    /// The frames from `from` to before `to`, as far as they exist.
    ///
    /// # Errors
    /// `store.unavailable`, `ledger.damaged`.
    pub async fn stretch(&self, from: u64, to: u64) -> Result<Vec<Recorded>> {
        let to = to.min(self.view.read().tail.next());
        let frames = self.frames(from..to).await?;
        Ok(frames.into_iter().map(|(number, frame)| Recorded { number, frame }).collect())
    }

    /// Transfers by id, with what ended them; `None` where there is none.
    ///
    /// # Errors
    /// `store.unavailable`, `ledger.damaged`.
    pub async fn traced(&self, ids: &[TransferId]) -> Result<Vec<Option<Traced>>> {
        let mut out: Vec<(Option<Recorded>, Option<Recorded>)> = {
            let seen = self.view.read();
            ids.iter().map(|id| (seen.tail.created(*id), seen.tail.resolved(*id))).collect()
        };
        // What was created in the tail cannot have been ended before it.
        let elsewhere =
            ids.iter().zip(&out).filter(|(_, (created, _))| created.is_none()).map(|(id, _)| id.0);
        let known = self.known(elsewhere).await?;
        for (id, (created, resolved)) in ids.iter().zip(&mut out) {
            *created = created.or_else(|| known.created(*id));
            *resolved = resolved.or_else(|| known.resolved(*id));
        }
        Ok(out
            .into_iter()
            .map(|(created, resolved)| created.map(|created| Traced { created, resolved }))
            .collect())
    }

    /// The newest frame of an idempotency key.
    ///
    /// # Errors
    /// `store.unavailable`, `ledger.damaged`.
    pub async fn key(&self, key: RawId) -> Result<Option<Recorded>> {
        if let Some(found) = self.view.read().tail.key(key) {
            return Ok(Some(found));
        }
        Ok(self.known([key]).await?.key(key))
    }

    /// The frames that moved something of an account, newest first, beginning below the number `before`.
    ///
    /// # Errors
    /// `store.unavailable`, `ledger.damaged`.
    pub async fn of_account(&self, account: u32, before: u64, limit: usize) -> Result<Vec<Recorded>> {
        let (mut found, runs) = {
            let seen = self.view.read();
            let found: Vec<Recorded> = seen.tail.of_account(account, before).take(limit).collect();
            (found, Arc::clone(&seen.runs))
        };
        let mut numbers: Vec<u64> = Vec::new();
        for pair in runs.iter().rev().filter(|pair| pair.entry.first < before) {
            if found.len() + numbers.len() >= limit {
                break;
            }
            self.of_run(pair, account, before, limit - found.len(), &mut numbers).await?;
        }
        let frames = self.frames(numbers.iter().copied()).await?;
        found.extend(numbers.iter().filter_map(|number| {
            frames.get(number).map(|frame| Recorded { number: *number, frame: *frame })
        }));
        Ok(found)
    }

    /// The number of the first frame that is later than `time`.
    ///
    /// # Errors
    /// `store.unavailable`, `ledger.damaged`.
    pub async fn after(&self, time: Timestamp) -> Result<u64> {
        let first = {
            let seen = self.view.read();
            match seen.tail.after(time) {
                Some(number) => return Ok(number),
                None => seen.tail.first(),
            }
        };
        // The first frame of the tail is later: bisect the blocks before it by their first frames.
        let (mut low, mut high) = (0, first.div_ceil(BLOCK_FRAMES));
        while low < high {
            let middle = low.midpoint(high);
            let block = self.block(middle).await?;
            if block.first().is_some_and(|frame| frame.time <= time) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        let Some(last) = low.checked_sub(1) else { return Ok(0) };
        let within = self.block(last).await?.partition_point(|frame| frame.time <= time) as u64;
        Ok((last * BLOCK_FRAMES + within).min(first))
    }

    /// What an account held just before the frame with the number `before`.
    ///
    /// # Errors
    /// `store.unavailable`, `ledger.damaged`.
    pub async fn held_before(&self, account: u32, before: u64) -> Result<Balances> {
        let last = self.of_account(account, before, 1).await?.pop();
        Ok(last.map_or_else(Balances::default, |recorded| {
            let frame = recorded.frame;
            if frame.debit == account { frame.debit_after } else { frame.credit_after }
        }))
    }

    /// Appends the numbers of an account's frames in a run, newest first, until there are `limit`.
    async fn of_run(
        &self,
        pair: &RunPair,
        account: u32,
        before: u64,
        limit: usize,
        numbers: &mut Vec<u64>,
    ) -> Result<()> {
        let mut below = account_row(account, before);
        while let Some(block) = pair.accounts.block_below(&below) {
            let key = part(&ACCOUNT_RUNS, pair.entry.run, block);
            let doc = self.one(key).await?.ok_or_else(|| damaged("block of accounts"))?;
            let block =
                rows::rows::<ACCOUNT_ROW>(doc.body.as_bytes()).ok_or_else(|| damaged("block of accounts"))?;
            let end = block.partition_point(|row| *row < below);
            for row in block.get(..end).unwrap_or_default().iter().rev() {
                if !row.starts_with(&account.to_be_bytes()) || numbers.len() >= limit {
                    return Ok(());
                }
                numbers.push(number_of(row));
            }
            let Some(first) = block.first() else { return Ok(()) };
            below = *first;
        }
        Ok(())
    }

    async fn block(&self, block: u64) -> Result<Vec<Frame>> {
        let next = self.view.read().head.next;
        let read = blocks::read(self.store.as_ref(), &[block], next).await?.pop().flatten();
        decode_frames(&read.ok_or_else(|| damaged("frame block"))?)
    }

    async fn one(&self, key: DocKey) -> Result<Option<Doc>> {
        Ok(self.store.get(&[key]).await?.pop().flatten())
    }
}

/// A row of ids.
pub fn id_row(id: RawId, number: u64) -> [u8; ID_ROW] {
    let mut row = [0; ID_ROW];
    let (head, tail) = row.split_at_mut(16);
    head.copy_from_slice(&id.0);
    tail.copy_from_slice(number.to_be_bytes().split_at(2).1);
    row
}

/// A row of accounts.
pub fn account_row(account: u32, number: u64) -> [u8; ACCOUNT_ROW] {
    let mut row = [0; ACCOUNT_ROW];
    let (head, tail) = row.split_at_mut(4);
    head.copy_from_slice(&account.to_be_bytes());
    // Numbers have 48 bits: 9,000 years at a million frames a second.
    tail.copy_from_slice(number.min((1 << 48) - 1).to_be_bytes().split_at(2).1);
    row
}

/// The number at the end of a row.
fn number_of<const W: usize>(row: &[u8; W]) -> u64 {
    row.iter().skip(W.saturating_sub(6)).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
