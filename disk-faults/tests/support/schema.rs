//! What the stores under test hold, in two versions.

use platform_core::kernel::{Error, Result};
use platform_core::ports::store::{Body, Collection, Entry, Index, Schema};

/// Documents `{"mail": …, "name": …, "tags": […], "text": …}`.
pub(crate) const THINGS: &str = "things";
pub(crate) const BLOCKS: &str = "blocks";
pub(crate) const COUNTERS: &str = "counters";

const FIRST: &[Index] = &[Index::unique("by_mail"), Index::one("by_name")];
/// One index more, and one that is filled anew.
const SECOND: &[Index] = &[Index::unique("by_mail"), Index::one("by_name").version(2), Index::many("by_tag")];

fn field(body: &Body) -> Result<serde_json::Value> {
    serde_json::from_slice(body.as_bytes())
        .map_err(|error| Error::data_loss("store.damaged", "not a thing").because(error))
}

fn first(_id: &[u8], body: &Body) -> Result<Vec<Entry>> {
    let thing = field(body)?;
    let entry = |index, value: &serde_json::Value| value.as_str().map(|text| Entry::new(index, text));
    Ok([entry("by_mail", &thing["mail"]), entry("by_name", &thing["name"])].into_iter().flatten().collect())
}

fn second(id: &[u8], body: &Body) -> Result<Vec<Entry>> {
    let mut entries = first(id, body)?;
    let thing = field(body)?;
    let tags = thing["tags"].as_array().into_iter().flatten();
    entries.extend(tags.filter_map(|tag| tag.as_str()).map(|tag| Entry::new("by_tag", tag)));
    Ok(entries)
}

/// Which schema a process opens the store with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    First,
    Second,
}

impl Version {
    pub(crate) fn schema(self) -> Schema {
        let (version, things) = match self {
            Version::First => (1, Collection::json(THINGS).indexed(FIRST, first)),
            Version::Second => (2, Collection::json(THINGS).indexed(SECOND, second)),
        };
        Schema::new("suite", version, &[things, Collection::binary(BLOCKS), Collection::json(COUNTERS)])
    }
}
