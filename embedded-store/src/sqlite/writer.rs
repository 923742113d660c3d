//! Writing: a group of batches as one transaction.

use std::sync::Arc;

use platform_core::kernel::{Error, EventPosition, Position, Result};
use platform_core::ports::store::{
    Body, Change, DocKey, Entry, Merged, Planner, Prepared, Previous, Schema, StateReader, StoreTimings,
    Written,
};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};

use super::checkpoints::Checkpoints;
use super::connection::leave_log;
use super::error::{concerns_everything, is_failed_sync, nothing_was_synced, storage};
use super::reader::{body_at, place_of, version_at};
use super::tables::{Table, Tables};
use crate::group::{Answers, Engine, Failure};
use crate::store::Trim;
use crate::timed::timed;

/// The one connection of a store that writes.
pub(super) struct SqliteWriter {
    pub(super) connection: Connection,
    pub(super) checkpoints: Checkpoints,
    /// A failed fsync of the file itself: nothing more is acknowledged.
    pub(super) lost: Option<rusqlite::Error>,
    pub(super) schema: Arc<Schema>,
    pub(super) tables: Arc<Tables>,
    pub(super) position: Position,
    /// Up to where the outbox is to be forgotten; done with the next group.
    pub(super) trim: Trim,
    /// Up to where it is forgotten.
    pub(super) trimmed: EventPosition,
    pub(super) timings: Arc<StoreTimings>,
}

impl Engine for SqliteWriter {
    fn commit(&mut self, batches: &[Prepared]) -> Result<Answers, Failure> {
        let answers = self.commit_group(batches);
        if matches!(answers, Err(Failure::Lost(_) | Failure::Unknown(_))) {
            leave_log(&self.connection, true);
        }
        answers
    }

    fn position(&self) -> Position {
        self.position
    }

    /// Forgets what is trimmed, moves the log into the file and empties it: so that what was deleted
    /// is gone from the log too.
    fn idle(&mut self) {
        if self.lost.is_some() {
            return;
        }
        let trim = self.trim.get();
        match self.trim_alone(trim) {
            Ok(()) => self.trimmed = self.trimmed.max(trim),
            Err(error) if is_failed_sync(&error) => return self.lose(error),
            Err(error) => tracing::warn!(%error, "the outbox was not trimmed"),
        }
        if let Err(error) = self.checkpoints.finish(&self.connection) {
            self.lose(error);
        }
    }

    fn after_commit(&mut self) {
        if self.lost.is_none()
            && let Err(error) = self.checkpoints.after_commit(&self.connection)
        {
            self.lose(error);
        }
    }
}

impl SqliteWriter {
    /// After a failed fsync of the file itself: the next commit says so, and nothing more is written.
    fn lose(&mut self, error: rusqlite::Error) {
        leave_log(&self.connection, true);
        self.lost = Some(error);
    }

    fn commit_group(&mut self, batches: &[Prepared]) -> Result<Answers, Failure> {
        if let Some(error) = self.lost.take() {
            return Err(Failure::Lost(storage(error)));
        }
        self.execute("BEGIN IMMEDIATE").map_err(|error| Failure::Refused(storage(error)))?;
        let mut planner = Planner::new(&self.schema, self.position);
        let mut state = Committed { connection: &self.connection, tables: &self.tables };
        let answers: Answers = batches.iter().map(|batch| planner.offer(&mut state, batch)).collect();
        let merged = planner.merged();
        let position = merged.position;
        if position == self.position {
            self.roll_back()?;
            return Ok(answers);
        }
        // A read that failed has rolled the transaction back: what is written now would be committed by itself.
        if self.connection.is_autocommit() {
            return Err(Failure::RolledBack(Error::unavailable("store.unavailable", "a read failed")));
        }
        let trim = self.trim.get();
        let applied = self.apply(&merged).and_then(|()| self.trim_to(trim));
        drop(merged);
        if let Err(error) = applied {
            self.roll_back()?;
            let everything = concerns_everything(&error);
            let cause = storage(error);
            return Err(if everything { Failure::Refused(cause) } else { Failure::RolledBack(cause) });
        }
        if let Err(error) = timed(&self.timings.sync, || self.execute("COMMIT")) {
            if nothing_was_synced(&error) {
                self.roll_back()?;
                return Err(Failure::Refused(storage(error)));
            }
            return Err(Failure::Unknown(storage(error)));
        }
        self.position = position;
        self.trimmed = self.trimmed.max(trim);
        Ok(answers)
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(|_| ())
    }

    /// A transaction that cannot be rolled back leaves the store in an unknown state.
    fn roll_back(&self) -> Result<(), Failure> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.execute("ROLLBACK").map_err(|error| Failure::Unknown(storage(error)))
    }

    /// Forgets events up to there; how many.
    fn trim_to(&self, trim: EventPosition) -> rusqlite::Result<usize> {
        if trim <= self.trimmed {
            return Ok(0);
        }
        self.connection.prepare_cached("DELETE FROM _outbox WHERE place <= ?1")?.execute([place_of(trim)])
    }

    /// The same as a transaction of its own. The last event may go, which told the position.
    fn trim_alone(&self, trim: EventPosition) -> rusqlite::Result<()> {
        if trim <= self.trimmed {
            return Ok(());
        }
        let transaction = self.connection.unchecked_transaction()?;
        self.trim_to(trim)?;
        self.set_position(self.position)?;
        transaction.commit()
    }

    /// Notes the position. A commit with events needs it not: its last event stands at its position.
    fn set_position(&self, position: Position) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE _meta SET value = ?1 WHERE name = 'position'")?
            .execute([position.cast_signed()])
            .map(drop)
    }

    fn apply(&self, merged: &Merged<'_>) -> rusqlite::Result<()> {
        // Old entries first: a unique entry may move from one document to another.
        for change in merged.changes.iter().filter(|change| change.before.is_some()) {
            self.remove_old(change)?;
        }
        for change in &merged.changes {
            if let Some(written) = &change.after {
                self.write(change, written)?;
            }
        }
        let Some((last, _)) = merged.events.last() else { return self.set_position(merged.position) };
        let mut insert =
            self.connection.prepare_cached("INSERT INTO _outbox (place, event) VALUES (?1, ?2)")?;
        for (position, event) in &merged.events {
            insert.raw_bind_parameter(1, place_of(*position))?;
            insert.raw_bind_parameter(2, ToSqlOutput::Borrowed(ValueRef::Text(event)))?;
            insert.raw_execute()?;
        }
        // The last batch of the group may have had no events.
        if last.commit == merged.position { Ok(()) } else { self.set_position(merged.position) }
    }

    fn table(&self, key: &DocKey) -> rusqlite::Result<&Table> {
        // The planner has seen that it is declared.
        self.tables.of(key.collection).map_err(|_| rusqlite::Error::InvalidQuery)
    }

    fn remove_old(&self, change: &Change<'_>) -> rusqlite::Result<()> {
        let table = self.table(change.key)?;
        let id = &change.key.id;
        let Some(written) = &change.after else {
            for side in &table.sides {
                self.connection.prepare_cached(&side.delete_all)?.execute([id])?;
            }
            return self.connection.prepare_cached(&table.delete)?.execute([id]).map(|_| ());
        };
        let old = change.before.iter().flat_map(|before| &before.entries);
        if old.into_iter().any(|entry| table.side(entry.index).is_none() && !written.entries.contains(entry))
        {
            self.connection.prepare_cached(&table.clear_uniques)?.execute([id])?;
        }
        for side in &table.sides {
            let mut entries_of = self.connection.prepare_cached(&side.entries_of)?;
            let old = entries_of
                .query_map([id], |row| row.get::<_, Vec<u8>>(0))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let mut delete = self.connection.prepare_cached(&side.delete)?;
            for entry in old {
                let stays = |e: &Entry| e.index == side.index.name && e.entry == entry;
                if !written.entries.iter().any(stays) {
                    delete.execute(params![entry, id])?;
                }
            }
        }
        Ok(())
    }

    fn write(&self, change: &Change<'_>, written: &Written<'_>) -> rusqlite::Result<()> {
        let table = self.table(change.key)?;
        let id = &change.key.id;
        let sql = if change.before.is_some() { &table.update } else { &table.insert };
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.raw_bind_parameter(1, id)?;
        statement.raw_bind_parameter(2, written.version.cast_signed())?;
        for (index, parameter) in table.columns.iter().zip(3..) {
            let entry = written.entries.iter().find(|entry| entry.index == index.name);
            statement.raw_bind_parameter(parameter, entry.map(|entry| entry.entry.as_slice()))?;
        }
        let body = match written.body.as_ref() {
            Body::Json(text) => ValueRef::Text(text.as_bytes()),
            Body::Binary(bytes) => ValueRef::Blob(bytes),
        };
        statement.raw_bind_parameter(table.columns.len() + 3, ToSqlOutput::Borrowed(body))?;
        statement.raw_execute()?;
        for side in &table.sides {
            let mut insert = self.connection.prepare_cached(&side.insert)?;
            for entry in written.entries.iter().filter(|entry| entry.index == side.index.name) {
                insert.execute(params![entry.entry, id])?;
            }
        }
        Ok(())
    }
}

/// The committed state, read within the transaction of the group before it writes.
struct Committed<'a> {
    connection: &'a Connection,
    tables: &'a Tables,
}

impl StateReader for Committed<'_> {
    /// With the entries of the unique indexes; the others stand in columns or are read when they are
    /// replaced.
    fn previous(&mut self, key: &DocKey) -> Result<Option<Previous>> {
        let table = self.tables.of(key.collection)?;
        let previous = self
            .connection
            .prepare_cached(&table.previous)
            .and_then(|mut statement| {
                statement
                    .query_row([&key.id], |row| {
                        let uniques = table.columns.iter().filter(|index| index.unique);
                        let mut entries = Vec::new();
                        for (index, column) in uniques.zip(1..) {
                            if let Some(entry) = row.get::<_, Option<Vec<u8>>>(column)? {
                                entries.push(Entry { index: index.name, entry });
                            }
                        }
                        Ok(Previous { version: version_at(row, 0)?, entries })
                    })
                    .optional()
            })
            .map_err(storage)?;
        let Some(mut previous) = previous else { return Ok(None) };
        for side in table.sides.iter().filter(|side| side.index.unique) {
            let mut statement = self.connection.prepare_cached(&side.entries_of).map_err(storage)?;
            let entries = statement
                .query_map([&key.id], |row| Ok(Entry { index: side.index.name, entry: row.get(0)? }))
                .and_then(|rows| rows.collect::<rusqlite::Result<Vec<_>>>())
                .map_err(storage)?;
            previous.entries.extend(entries);
        }
        Ok(Some(previous))
    }

    fn body(&mut self, key: &DocKey) -> Result<Option<Body>> {
        let table = self.tables.of(key.collection)?;
        self.connection
            .prepare_cached(&table.body)
            .and_then(|mut statement| {
                statement.query_row([&key.id], |row| body_at(row, 0, table.collection.body)).optional()
            })
            .map_err(storage)
    }

    fn unique_owner(
        &mut self,
        collection: &'static str,
        index: &'static str,
        entry: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        let table = self.tables.of(collection)?;
        let owner = |sql: &str| {
            self.connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.query_row([entry], |row| row.get(0)).optional())
                .map_err(storage)
        };
        if let Some(side) = table.side(index) {
            return owner(&side.owner);
        }
        let sql = table.owners.iter().find(|(name, _)| *name == index).map(|(_, sql)| sql.as_str());
        owner(sql.ok_or_else(|| Error::internal("store.undeclared", "a unique index is not declared"))?)
    }
}
