//! Reading: each call is one statement, and so one snapshot.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use platform_core::kernel::{Error, EventPosition, Result, limits};
use platform_core::ports::store::{Body, Doc, DocKey, IndexRange, OutboxEvents, ScanPage};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connection::in_time;
use super::error::{column, damaged, no_connection, position, signed, unavailable};
use super::known::body;
use super::layout::{Layout, body_columns};

/// How long a read may take.
const READ: Duration = Duration::from_secs(30);
/// Connections that are tried: after a restart of the server those of the pool have ended.
const TRIES: usize = 3;

type Value<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// The reading half of a store.
pub(super) struct Reader {
    pub(super) pool: Pool,
    pub(super) layout: Arc<Layout>,
}

impl Reader {
    pub(super) async fn get(&self, keys: &[DocKey]) -> Result<Vec<Option<Doc>>> {
        if keys.len() > limits::GET_KEYS {
            return Err(Error::limit("store.too_large", "a limit of the store is exceeded")
                .with("what", "get")
                .with("is", keys.len())
                .with("limit", limits::GET_KEYS));
        }
        let mut asked: BTreeMap<&'static str, Vec<&[u8]>> = BTreeMap::new();
        for key in keys {
            asked.entry(key.collection).or_default().push(&key.id);
        }
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let mut selects = Vec::with_capacity(asked.len());
        for (at, name) in asked.keys().enumerate() {
            let kind = self.declared(name, None)?.body;
            let (table, body) = (self.layout.table(name), body_columns(kind, "body"));
            selects.push(format!(
                "select id, version, {body}, {at}::int4 from {table} where id = any(${})",
                at + 1
            ));
        }
        let values: Vec<Value<'_>> = asked.values().map(|ids| Box::new(ids) as Value<'_>).collect();
        let names: Vec<&'static str> = asked.keys().copied().collect();
        let mut found: HashMap<DocKey, Doc> = HashMap::new();
        for row in self.rows(&selects.join(" union all "), &values).await? {
            let at = usize::try_from(column::<i32>(&row, 4)?).unwrap_or_default();
            let doc = doc(&row)?;
            if let Some(name) = names.get(at) {
                found.insert(DocKey::new(name, doc.id.clone()), doc);
            }
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    pub(super) async fn scan(&self, range: &IndexRange) -> Result<ScanPage> {
        range.check_limits()?;
        let kind = self.declared(range.collection, range.index)?.body;
        let is_side = self
            .declared(range.collection, None)?
            .index(range.index.unwrap_or_default())
            .is_some_and(|index| index.many);
        let table = self.layout.table(range.collection);
        let (from, entry, id) = match range.index {
            None => (format!("{table} c"), "c.id".to_owned(), "c.id"),
            Some(index) if is_side => {
                let side = self.layout.side(range.collection, index);
                (format!("{side} e join {table} c on c.id = e.id"), "e.entry".to_owned(), "e.id")
            }
            Some(index) => (format!("{table} c"), format!("c.{}", Layout::column(index)), "c.id"),
        };
        let after = range.after_entry()?;
        let (mut conditions, mut values): (Vec<String>, Vec<Value<'_>>) = (Vec::new(), Vec::new());
        if range.index.is_some() && !is_side {
            conditions.push(format!("{entry} is not null"));
        }
        let bounds = [(&range.from, ">=", ">"), (&range.to, "<=", "<")];
        for (bound, included, excluded) in bounds {
            let (operator, bound) = match bound {
                Bound::Unbounded => continue,
                Bound::Included(bound) => (included, bound),
                Bound::Excluded(bound) => (excluded, bound),
            };
            values.push(Box::new(bound));
            conditions.push(format!("{entry} {operator} ${}", values.len()));
        }
        let (direction, operator) = if range.reverse { ("desc", "<") } else { ("asc", ">") };
        if let Some((after_entry, after_id)) = &after {
            values.push(Box::new(after_entry));
            values.push(Box::new(after_id));
            let at = values.len();
            conditions.push(format!("({entry}, {id}) {operator} (${}, ${at})", at - 1));
        }
        let conditions = match conditions.is_empty() {
            true => String::new(),
            false => format!("where {}", conditions.join(" and ")),
        };
        let order = match range.index {
            None => format!("{id} {direction}"),
            Some(_) => format!("{entry} {direction}, {id} {direction}"),
        };
        values.push(Box::new(i64::try_from(range.limit + 1).unwrap_or(i64::MAX)));
        let body = body_columns(kind, "c.body");
        let text = format!(
            "select c.id, c.version, {body}, {entry} from {from} {conditions} order by {order} limit ${}",
            values.len()
        );
        let rows = self.rows(&text, &values).await?;
        let hits = rows.iter().map(|row| Ok((column(row, 4)?, doc(row)?))).collect::<Result<_>>()?;
        Ok(ScanPage::from_hits(range.limit, hits))
    }

    pub(super) async fn outbox(&self, after: EventPosition, limit: usize) -> Result<OutboxEvents> {
        let text = format!(
            "select \"commit\", \"index\", event::text from {} where (\"commit\", \"index\") > ($1, $2) \
             order by \"commit\", \"index\" limit $3",
            self.layout.own("_outbox")
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values: [Value<'_>; 3] =
            [Box::new(signed(after.commit)), Box::new(i32::from(after.index)), Box::new(limit)];
        let event = |row: &Row| {
            let index = u16::try_from(column::<i32>(row, 1)?).map_err(|_| damaged("an event's index"))?;
            let at = EventPosition { commit: position(row, 0)?, index };
            Ok((at, column::<String>(row, 2)?.into_bytes()))
        };
        self.rows(&text, &values).await?.iter().map(event).collect()
    }

    /// Forgets events. Without an fsync of its own: what a crash brings back is known to whoever has it. Both statements
    /// of one request are one transaction, which a failure ends: the connection goes back to the pool.
    pub(super) async fn trim_outbox(&self, upto: EventPosition) -> Result<()> {
        let text = format!(
            "set local synchronous_commit = off; delete from {} where (\"commit\", \"index\") <= ({}, {})",
            self.layout.own("_outbox"),
            signed(upto.commit),
            upto.index
        );
        in_time(READ, async {
            let client = self.connection().await?;
            client.batch_execute(&text).await.map_err(unavailable)
        })
        .await
    }

    fn declared(&self, name: &str, index: Option<&str>) -> Result<&platform_core::ports::store::Collection> {
        let collection = self.layout.declared.collection(name);
        collection
            .filter(|collection| index.is_none_or(|index| collection.index(index).is_some()))
            .ok_or_else(|| {
                Error::invalid("store.undeclared", "not declared in the schema")
                    .with("collection", name)
                    .with("index", index.unwrap_or_default())
            })
    }

    async fn connection(&self) -> Result<Object> {
        self.pool.get().await.map_err(no_connection)
    }

    /// The rows of a statement. Reading twice does no harm: a connection that is lost is replaced.
    async fn rows(&self, text: &str, values: &[Value<'_>]) -> Result<Vec<Row>> {
        let values: Vec<&(dyn ToSql + Sync)> =
            values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        in_time(READ, async {
            let mut tried = 1;
            loop {
                let client = self.connection().await?;
                let done = async {
                    let statement = client.prepare_cached(text).await?;
                    client.query(&statement, &values).await
                };
                match done.await {
                    Ok(rows) => return Ok(rows),
                    Err(_) if client.is_closed() && tried < TRIES => tried += 1,
                    Err(error) => return Err(unavailable(error)),
                }
            }
        })
        .await
    }
}

/// A document in the first columns of a row.
fn doc(row: &Row) -> Result<Doc> {
    let body: Body = body(row)?.ok_or_else(|| damaged("a body"))?;
    Ok(Doc { id: column(row, 0)?, version: position(row, 1)?, body })
}
