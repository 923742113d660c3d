//! Tiles of hashes, bundles of entries, and their paths (C2SP tlog-tiles 0.1).

use std::fmt;
use std::str::FromStr;

use super::super::error;
use crate::kernel::{Error, Result};

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Bytes of an entry at most: its length is a `u16`.
pub const ENTRY_BYTES: usize = 65_535;
/// The highest level that a path may name.
const MAX_LEVEL: u8 = 63;

/// Part of a level: the hashes `index * 256 ..` of the level `8 * level`, `width` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// The level of tiles: one for eight levels of the tree.
    pub level: u8,
    /// The number among its level.
    pub index: u64,
    /// The hashes in it, 1 to 256.
    pub width: u16,
}

/// What a log serves under a path of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `checkpoint`.
    Checkpoint,
    /// `tile/LEVEL/INDEX[.p/WIDTH]`.
    Tile(Tile),
    /// `tile/entries/INDEX[.p/WIDTH]`: the entries of that tile of level 0.
    Entries {
        /// The number of the bundle.
        index: u64,
        /// The entries in it, 1 to 256.
        width: u16,
    },
}

impl Tile {
    /// How many hashes of this tile a log of `size` entries has: 0 to 256.
    pub fn width_at(level: u8, index: u64, size: u64) -> u16 {
        let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        let before = index.saturating_mul(TILE_WIDTH);
        hashes.saturating_sub(before).min(TILE_WIDTH) as u16
    }

    /// Every tile of a log of `size` entries, level by level, the partial ones with their width.
    pub fn all(size: u64) -> impl Iterator<Item = Tile> {
        let levels = (0..8u8).take_while(move |level| size >> (8 * u32::from(*level)) > 0);
        levels.flat_map(move |level| {
            let tiles = (size >> (8 * u32::from(level))).div_ceil(TILE_WIDTH);
            (0..tiles).map(move |index| Tile { level, index, width: Tile::width_at(level, index, size) })
        })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match self {
            Resource::Checkpoint => return f.write_str("checkpoint"),
            Resource::Tile(tile) => {
                write!(f, "tile/{}/", tile.level)?;
                (tile.index, tile.width)
            }
            Resource::Entries { index, width } => {
                f.write_str("tile/entries/")?;
                (*index, *width)
            }
        };
        let mut groups = vec![index % 1_000];
        let mut rest = index / 1_000;
        while rest > 0 {
            groups.push(rest % 1_000);
            rest /= 1_000;
        }
        while let Some(group) = groups.pop() {
            let more = !groups.is_empty();
            write!(f, "{}{group:03}{}", if more { "x" } else { "" }, if more { "/" } else { "" })?;
        }
        if u64::from(width) < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

impl FromStr for Resource {
    type Err = Error;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        // One text for one path: whatever reads as a path and is not written so is none.
        parse(path).filter(|resource| resource.to_string() == path).ok_or_else(error::invalid_path)
    }
}

fn parse(path: &str) -> Option<Resource> {
    if path == "checkpoint" {
        return Some(Resource::Checkpoint);
    }
    let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let (number, width) = match rest.split_once(".p/") {
        Some((number, width)) => (number, width.parse().ok().filter(|width| (1..256).contains(width))?),
        None => (rest, TILE_WIDTH as u16),
    };
    let mut index: u64 = 0;
    for group in number.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        index = index.checked_mul(1_000)?.checked_add(digits.parse().ok().filter(|group| *group < 1_000)?)?;
    }
    if kind == "entries" {
        return Some(Resource::Entries { index, width });
    }
    let level = kind.parse().ok().filter(|level| *level <= MAX_LEVEL)?;
    Some(Resource::Tile(Tile { level, index, width }))
}

/// Entries one after the other, each with its length in front as a big-endian `u16`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EntryBundle;

impl EntryBundle {
    /// Appends an entry.
    ///
    /// # Errors
    /// `audit.entry_too_large` above [`ENTRY_BYTES`].
    pub fn push(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<()> {
        let length = u16::try_from(entry.len()).map_err(|_| error::entry_too_large(entry.len()))?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
        Ok(())
    }

    /// The entries; `None` when the lengths do not fit the bytes.
    pub fn entries(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
        let mut entries = Vec::new();
        while !bundle.is_empty() {
            let (entry, rest) = EntryBundle::first(bundle)?;
            entries.push(entry);
            bundle = rest;
        }
        Some(entries)
    }

    /// The first entry and what follows it; `None` when the length does not fit the bytes.
    pub fn first(bundle: &[u8]) -> Option<(&[u8], &[u8])> {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
    }
}
