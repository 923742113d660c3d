//! The facade over the in-memory store, in a simulated world.

mod appending;
mod damage;
mod denials;
mod exports;
mod origin;
mod queries;
mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::tables::{segment_key, tile_key};
use super::tlog::EntryBundle;
use super::worker::EventAppender;
use super::*;
use crate::backbone::{Backbone, Handler};
use crate::kernel::merkle::{self, leaf_hash};
use crate::kernel::{
    Actor, CorrelationId, Event, EventId, EventPosition, NewEvent, Permissions, Principal, RawId, Timestamp,
    UserId,
};
use crate::ports::MemoryBackends;
use crate::ports::runtime::SimRuntime;
use crate::ports::store::{Batch, Body, DocKey, Document, Work, Write, command};

struct World {
    sim: SimRuntime,
    db: Database,
    audit: Audit,
    backbone: Backbone,
}

fn world() -> World {
    let sim = SimRuntime::new(1);
    sim.clone().block_on(async {
        let backends = MemoryBackends::new(sim.runtime()).backends().await.unwrap();
        let audit = Audit::open(&backends, AuditConfig::default()).await.unwrap();
        let db = audit.database().clone();
        let backbone = Backbone::new(backends);
        backbone.add(&db, audit.parts()).unwrap();
        World { sim, db, audit, backbone }
    })
}

fn event(number: u64) -> Event {
    let user = UserId(RawId([(number % 3) as u8; 16]));
    Event {
        store: "users".into(),
        position: EventPosition { commit: number, index: 0 },
        new: Arc::new(NewEvent {
            id: EventId(RawId(u128::from(number).to_be_bytes())),
            event_type: format!("users.thing_{}", number % 5),
            subject: format!("user_{}", number % 7),
            key: "key".into(),
            time: Timestamp::from_secs(1_767_225_600 + number * 7),
            actor: Actor::User(user),
            correlation_id: "req_1".parse().unwrap(),
            causation_id: None,
            data: json!({"n": number}).into(),
        }),
    }
}

impl World {
    fn record(&self, numbers: std::ops::Range<u64>) {
        let events: Vec<_> = numbers.map(event).collect();
        self.sim.block_on(async {
            command(&self.db, &Context::system(), "test", &(), async |mut work: Work| {
                EventAppender(self.audit.clone()).handle(&events, &mut work).await?;
                work.reply(())
            })
            .await
            .unwrap();
        });
    }

    fn verify(&self) -> Report {
        self.sim.block_on(verify(&*self.db.store, None)).unwrap()
    }

    fn events(&self, query: EventsQuery, limit: usize) -> Vec<AuditEntry> {
        let mut all = Vec::new();
        let mut page = PageRequest { limit: Some(limit), cursor: None };
        loop {
            let found = self.sim.block_on(self.audit.events(&Context::system(), &query, &page)).unwrap();
            assert!(found.items.len() <= limit);
            all.extend(found.items);
            match found.next_cursor {
                None => return all,
                cursor => page.cursor = cursor,
            }
        }
    }

    fn body(&self, key: &DocKey) -> Option<Vec<u8>> {
        let doc = self.sim.block_on(self.db.store.get(std::slice::from_ref(key))).unwrap().pop().flatten();
        doc.map(|doc| doc.body.as_bytes().to_vec())
    }

    fn overwrite(&self, write: Write) {
        let batch = Batch { writes: vec![write], ..Batch::default() };
        self.sim.block_on(self.db.store.commit(batch)).unwrap();
    }

    fn overwrite_body(&self, key: DocKey, body: Vec<u8>) {
        self.overwrite(Write::Put { key, body: Body::Binary(body), entries: Vec::new() });
    }
}

fn user_context(permissions: Permissions) -> Context {
    let actor = Actor::User(UserId(RawId([9; 16])));
    Context::new(Principal { actor, session: None, permissions }, CorrelationId::from_raw(RawId([2; 16])))
}
