//! Domain events: CloudEvents 1.0 with our extensions.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Actor, CorrelationId, Error, EventId, JsonText, Result, Timestamp, limits};

/// The number of a commit in its store: gapless, in commit order, from 1.
pub type Position = u64;

/// Where an event stands: its commit, and its index within that commit.
///
/// Text form `00000000000000000042.00003`: compared as text it sorts like the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventPosition {
    /// The commit.
    pub commit: Position,
    /// The index within the commit, from 0.
    pub index: u16,
}

impl EventPosition {
    /// Before every event.
    pub const START: EventPosition = EventPosition { commit: 0, index: 0 };

    /// The last that an event of this commit can have.
    pub const fn end_of(commit: Position) -> EventPosition {
        EventPosition { commit, index: u16::MAX }
    }
}

impl fmt::Display for EventPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}.{:05}", self.commit, self.index)
    }
}

impl FromStr for EventPosition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || Error::invalid("event.invalid_position", "a position is COMMIT.INDEX");
        let (commit, index) = text.split_once('.').ok_or_else(invalid)?;
        Ok(EventPosition {
            commit: commit.parse().map_err(|_| invalid())?,
            index: index.parse().map_err(|_| invalid())?,
        })
    }
}

impl Serialize for EventPosition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventPosition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::from_text(deserializer)
    }
}

/// The data of one type of event: a domain declares its own in `events.rs`.
pub trait EventData: Serialize + DeserializeOwned {
    /// `domain.what_happened`, in the past tense.
    const TYPE: &'static str;

    /// What it is about: an id. Also the partition key unless [`EventData::key`] says otherwise.
    fn subject(&self) -> String;

    /// Events of one key keep their order.
    fn key(&self) -> String {
        self.subject()
    }
}

/// An event as its publisher makes it; store and position come with the commit.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Its id.
    pub id: EventId,
    /// `domain.what_happened`.
    pub event_type: String,
    /// What it is about.
    pub subject: String,
    /// Events of one key keep their order.
    pub key: String,
    /// When it happened.
    pub time: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// The request.
    pub correlation_id: CorrelationId,
    /// The event that caused it.
    pub causation_id: Option<EventId>,
    /// What happened: personal data only sealed.
    pub data: JsonText,
}

impl NewEvent {
    /// The envelope without store and position: what the outbox keeps.
    ///
    /// # Errors
    /// `event.too_large` above [`limits::EVENT_BYTES`].
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let json = Envelope::of(self, None).to_json();
        if json.len() > limits::EVENT_BYTES {
            return Err(Error::limit("event.too_large", "an event is at most 32 KiB")
                .with("type", &self.event_type)
                .with("bytes", json.len()));
        }
        Ok(json)
    }
}

/// An event as its readers see it. Its clones share what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The store whose commit published it; also the name of its topic.
    pub store: Arc<str>,
    /// Where in that store.
    pub position: EventPosition,
    /// The rest.
    pub new: Arc<NewEvent>,
}

impl std::ops::Deref for Event {
    type Target = NewEvent;

    fn deref(&self) -> &NewEvent {
        &self.new
    }
}

impl Event {
    /// The CloudEvents JSON format.
    pub fn to_json(&self) -> Vec<u8> {
        let stored = (!self.store.is_empty()).then_some((&*self.store, self.position));
        Envelope::of(&self.new, stored).to_json()
    }

    /// Reads the CloudEvents JSON format.
    ///
    /// # Errors
    /// `event.invalid`.
    pub fn from_json(json: &[u8]) -> Result<Event> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            specversion: Cow<'a, str>,
            id: EventId,
            #[serde(rename = "type")]
            event_type: String,
            subject: String,
            time: Timestamp,
            partitionkey: String,
            actor: Actor,
            correlationid: CorrelationId,
            causationid: Option<EventId>,
            #[serde(borrow, default)]
            store: Cow<'a, str>,
            #[serde(default)]
            position: EventPosition,
            data: JsonText,
        }
        let invalid = || Error::data_loss("event.invalid", "not a CloudEvents 1.0 event of ours");
        let wire: Wire<'_> = serde_json::from_slice(json).map_err(|error| invalid().because(error))?;
        if wire.specversion != "1.0" {
            return Err(invalid().with("specversion", wire.specversion));
        }
        if wire.store.is_empty() && wire.position != EventPosition::START {
            return Err(invalid().with("position", wire.position));
        }
        Ok(Event {
            store: wire.store.into(),
            position: wire.position,
            new: Arc::new(NewEvent {
                id: wire.id,
                event_type: wire.event_type,
                subject: wire.subject,
                key: wire.partitionkey,
                time: wire.time,
                actor: wire.actor,
                correlation_id: wire.correlationid,
                causation_id: wire.causationid,
                data: wire.data,
            }),
        })
    }

    /// The data, when the event is of type `T`; `None` when it is of another.
    ///
    /// # Errors
    /// `event.invalid` when the type is right and the data are not.
    pub fn decode<T: EventData>(&self) -> Result<Option<T>> {
        if self.event_type != T::TYPE {
            return Ok(None);
        }
        self.data.read().map(Some).map_err(|error| {
            Error::data_loss("event.invalid", "the data are not what the type says")
                .with("type", T::TYPE)
                .because(error)
        })
    }
}

/// The CloudEvents JSON format as it is written; the fields are in the order of their names.
#[derive(Serialize)]
struct Envelope<'a> {
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<EventId>,
    correlationid: &'a CorrelationId,
    data: &'a JsonText,
    datacontenttype: &'static str,
    id: EventId,
    partitionkey: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<EventPosition>,
    #[serde(serialize_with = "write_source")]
    source: &'a str,
    specversion: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<&'a str>,
    subject: &'a str,
    time: Timestamp,
    #[serde(rename = "type")]
    event_type: &'a str,
}

impl<'a> Envelope<'a> {
    fn of(event: &'a NewEvent, stored: Option<(&'a str, EventPosition)>) -> Envelope<'a> {
        Envelope {
            actor: &event.actor,
            causationid: event.causation_id,
            correlationid: &event.correlation_id,
            data: &event.data,
            datacontenttype: "application/json",
            id: event.id,
            partitionkey: &event.key,
            position: stored.map(|(_, position)| position),
            source: event.event_type.split('.').next().unwrap_or_default(),
            specversion: "1.0",
            store: stored.map(|(store, _)| store),
            subject: &event.subject,
            time: event.time,
            event_type: &event.event_type,
        }
    }

    fn to_json(&self) -> Vec<u8> {
        // Texts and numbers: nothing of it can fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn write_source<S: Serializer>(domain: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("/platform/{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::RawId;

    fn event() -> Event {
        Event {
            store: "users".into(),
            position: EventPosition { commit: 42, index: 3 },
            new: Arc::new(NewEvent {
                id: EventId(RawId([1; 16])),
                event_type: "users.profile_created".into(),
                subject: "user_1".into(),
                key: "user_1".into(),
                time: Timestamp::from_secs(1_700_000_000),
                actor: Actor::System,
                correlation_id: "req_1".parse().unwrap(),
                causation_id: None,
                data: serde_json::json!({"n": 1}).into(),
            }),
        }
    }

    #[test]
    fn the_envelope_is_what_it_was() {
        assert_eq!(
            String::from_utf8(event().to_json()).unwrap(),
            r#"{"actor":"system","correlationid":"req_1","data":{"n":1},"datacontenttype":"application/json","id":"event_01040g2081040g2081040g2081","partitionkey":"user_1","position":"00000000000000000042.00003","source":"/platform/users","specversion":"1.0","store":"users","subject":"user_1","time":"2023-11-14T22:13:20Z","type":"users.profile_created"}"#
        );
    }

    #[test]
    fn the_envelope_round_trips() {
        assert_eq!(Event::from_json(&event().to_json()).unwrap(), event());
        assert_eq!(Event::from_json(b"{}").unwrap_err().code(), "event.invalid");
    }

    #[test]
    fn a_large_event_is_refused() {
        let mut new = NewEvent::clone(&event().new);
        new.data = serde_json::Value::String("x".repeat(limits::EVENT_BYTES)).into();
        assert_eq!(new.to_json().unwrap_err().code(), "event.too_large");
    }
}
