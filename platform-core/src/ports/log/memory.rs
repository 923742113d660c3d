//! The in-memory log: for tests, and for platforms that are not to outlive their process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{EventLog, Groups, NewRecord, Record, Source, Subscription, Topic, partition_of, undeclared};
use crate::kernel::{BoxFuture, Error, Result};
use crate::ports::runtime::Runtime;

/// A log in memory. Clones share it: keep one to "restart" over the same records.
#[derive(Clone)]
pub struct MemoryLog {
    state: Arc<Mutex<State>>,
    runtime: Arc<dyn Runtime>,
    groups: Groups,
}

#[derive(Default)]
struct State {
    topics: BTreeMap<String, (Topic, Vec<Partition>)>,
    offsets: BTreeMap<(String, String, u16), u64>,
}

#[derive(Default)]
struct Partition {
    first: u64,
    bytes: u64,
    records: VecDeque<Record>,
    end: watch::Sender<u64>,
}

impl Partition {
    fn drop_first(&mut self) {
        if let Some(record) = self.records.pop_front() {
            self.first = record.offset + 1;
            self.bytes -= size(&record);
        }
    }
}

fn size(record: &Record) -> u64 {
    (record.key.len() + record.value.len()) as u64
}

impl MemoryLog {
    /// An empty log.
    pub fn new(runtime: Arc<dyn Runtime>) -> MemoryLog {
        MemoryLog { state: Arc::default(), runtime, groups: Groups::default() }
    }

    fn add(&self, topic: &str, records: Vec<NewRecord>) -> Result<Vec<u64>> {
        records.iter().try_for_each(NewRecord::check)?;
        let time = self.runtime.now();
        let mut state = self.state.lock();
        let (declared, partitions) = state.topics.get_mut(topic).ok_or_else(|| undeclared(topic))?;
        let mut offsets = Vec::with_capacity(records.len());
        for NewRecord { key, value } in records {
            let number = partition_of(&key, declared.partitions);
            let partition = partitions.get_mut(usize::from(number)).ok_or_else(|| undeclared(topic))?;
            let offset = *partition.end.borrow();
            let record = Record { partition: number, offset, time, key, value };
            partition.bytes += size(&record);
            partition.records.push_back(record);
            partition.end.send_replace(offset + 1);
            offsets.push(offset);
        }
        Ok(offsets)
    }
}

impl Source for MemoryLog {
    fn read<'a>(
        &'a self,
        topic: &'a str,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>>> {
        Box::pin(async move {
            let state = self.state.lock();
            let partition = state
                .topics
                .get(topic)
                .and_then(|(_, partitions)| partitions.get(usize::from(partition)))
                .ok_or_else(|| undeclared(topic))?;
            let skip = usize::try_from(from.saturating_sub(partition.first)).unwrap_or(usize::MAX);
            Ok(partition.records.iter().skip(skip).take(limit).cloned().collect())
        })
    }

    fn offset<'a>(&'a self, group: &'a str, topic: &'a str, partition: u16) -> BoxFuture<'a, Result<u64>> {
        let key = (group.to_owned(), topic.to_owned(), partition);
        Box::pin(async move { Ok(self.state.lock().offsets.get(&key).copied().unwrap_or_default()) })
    }

    fn set_offset<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
        partition: u16,
        offset: u64,
    ) -> BoxFuture<'a, Result<()>> {
        let key = (group.to_owned(), topic.to_owned(), partition);
        Box::pin(async move {
            let mut state = self.state.lock();
            let declared = state.topics.get(topic).map_or(0, |(declared, _)| declared.partitions);
            if partition >= declared {
                return Err(undeclared(topic));
            }
            state.offsets.insert(key, offset);
            Ok(())
        })
    }
}

impl EventLog for MemoryLog {
    fn declare<'a>(&'a self, topic: &'a Topic) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            topic.check()?;
            let mut state = self.state.lock();
            match state.topics.get_mut(&topic.name) {
                Some((declared, _)) if declared.partitions != topic.partitions => Err(Error::precondition(
                    "log.partitions_differ",
                    "the number of partitions of a topic is fixed by its first declaration",
                )
                .with("topic", &topic.name)
                .with("partitions", declared.partitions)),
                Some((declared, _)) => {
                    *declared = topic.clone();
                    Ok(())
                }
                None => {
                    let partitions = (0..topic.partitions).map(|_| Partition::default()).collect();
                    state.topics.insert(topic.name.clone(), (topic.clone(), partitions));
                    Ok(())
                }
            }
        })
    }

    fn append<'a>(&'a self, topic: &'a str, records: Vec<NewRecord>) -> BoxFuture<'a, Result<Vec<u64>>> {
        Box::pin(async move { self.add(topic, records) })
    }

    fn read<'a>(
        &'a self,
        topic: &'a str,
        partition: u16,
        from: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Record>>> {
        Source::read(self, topic, partition, from, limit)
    }

    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<(u64, u64)>>> {
        Box::pin(async move {
            let state = self.state.lock();
            let (_, partitions) = state.topics.get(topic).ok_or_else(|| undeclared(topic))?;
            Ok(partitions.iter().map(|partition| (partition.first, *partition.end.borrow())).collect())
        })
    }

    fn ends(&self, topic: &str) -> Result<Vec<watch::Receiver<u64>>> {
        let state = self.state.lock();
        let (_, partitions) = state.topics.get(topic).ok_or_else(|| undeclared(topic))?;
        Ok(partitions.iter().map(|partition| partition.end.subscribe()).collect())
    }

    fn retain(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let now = self.runtime.now();
            for (topic, partitions) in self.state.lock().topics.values_mut() {
                for partition in partitions {
                    while let Some(record) = partition.records.front() {
                        let too_old = topic.max_age.is_some_and(|age| now.since(record.time) > age);
                        let too_much = topic.max_bytes.is_some_and(|bytes| partition.bytes > bytes);
                        if !too_old && !too_much {
                            break;
                        }
                        partition.drop_first();
                    }
                }
            }
            Ok(())
        })
    }

    fn subscribe<'a>(
        &'a self,
        group: &'a str,
        topic: &'a str,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>>> {
        Box::pin(async move {
            let ends = self.ends(topic)?;
            Ok(self.groups.join(Arc::new(self.clone()), group, topic, ends))
        })
    }
}
