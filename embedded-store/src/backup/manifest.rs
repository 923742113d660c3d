//! What a backup holds, and the proof that it still does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use platform_core::kernel::{Error, Result, Timestamp};
use serde::{Deserialize, Serialize};

use super::failed;

const NAME: &str = "manifest.json";
/// The form of the manifest and of the folder.
const FORMAT: u32 = 1;

/// The list of a backup's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The form of this file.
    pub format: u32,
    /// The version of the program that made it.
    pub version: String,
    /// The moment of the cut.
    pub taken_at: Timestamp,
    /// The folders; some are empty and yet needed.
    pub folders: Vec<String>,
    /// The files, by their path within the backup.
    pub files: BTreeMap<String, CopiedFile>,
    /// SHA-256 over the lines `sha256  path` of all files.
    pub content_sha256: String,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopiedFile {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Over all files below `folder`.
    pub(super) fn of(folder: &Path, taken_at: Timestamp) -> Result<Manifest> {
        let mut files = BTreeMap::new();
        let tree = Tree::of(folder)?;
        for path in tree.files {
            let copied = measure(&folder.join(&path))?;
            files.insert(path.display().to_string(), copied);
        }
        let folders = tree.folders.iter().map(|path| path.display().to_string()).collect();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let content_sha256 = content(&files);
        Ok(Manifest { format: FORMAT, version, taken_at, folders, files, content_sha256 })
    }

    /// Writes it into the backup; its presence says that the backup is complete.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed("no manifest", &path, error))?;
        std::fs::write(&path, text)
            .map_err(|error| failed("the manifest cannot be written", &path, error))?;
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(|error| failed("the manifest cannot be synced", &path, error))
    }

    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// `backup.invalid` when the folder is no complete backup of a form that is known here.
    pub fn read(folder: &Path) -> Result<Manifest> {
        let text = std::fs::read(folder.join(NAME))
            .map_err(|error| invalid(folder, format!("not a complete backup: {NAME}: {error}")))?;
        Manifest::parse(&text, folder)
    }

    /// Reads the text of a manifest of the backup in `folder`.
    pub(crate) fn parse(text: &[u8], folder: &Path) -> Result<Manifest> {
        let invalid = |why| invalid(folder, why);
        let manifest: Manifest = serde_json::from_slice(text)
            .map_err(|error| invalid(format!("{NAME} cannot be read: {error}")))?;
        if manifest.format != FORMAT {
            return Err(invalid(format!(
                "the backup has form {}, this program knows form {FORMAT}",
                manifest.format
            )));
        }
        Ok(manifest)
    }

    /// Compares every file with the manifest: nothing changed, nothing missing, nothing added.
    ///
    /// # Errors
    /// `backup.damaged`, with the first file that is not what it was.
    pub(super) fn check(&self, folder: &Path) -> Result<()> {
        self.check_itself()?;
        for (path, copied) in &self.files {
            let found = measure(&folder.join(path)).map_err(|_| damaged(path, "a file is missing"))?;
            if found != *copied {
                return Err(damaged(path, "a file is not what was copied"));
            }
        }
        for path in Tree::of(folder)?.files {
            let path = path.display().to_string();
            if path != NAME && !self.files.contains_key(&path) {
                return Err(damaged(&path, "a file was added"));
            }
        }
        Ok(())
    }

    /// Whether its paths stay within the backup, and its sums belong together.
    ///
    /// # Errors
    /// `backup.damaged`.
    pub(crate) fn check_itself(&self) -> Result<()> {
        for path in self.files.keys().chain(&self.folders) {
            // A path must not lead out of the folder that it is restored to.
            if !Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_))) {
                return Err(damaged(path, "a path leads out of the backup"));
            }
        }
        if content(&self.files) != self.content_sha256 {
            return Err(damaged(NAME, "the manifest contradicts itself"));
        }
        Ok(())
    }
}

fn invalid(folder: &Path, why: String) -> Error {
    Error::invalid("backup.invalid", why).with("path", folder.display())
}

fn damaged(path: &str, why: &'static str) -> Error {
    Error::data_loss("backup.damaged", why).with("file", path)
}

fn content(files: &BTreeMap<String, CopiedFile>) -> String {
    let mut lines = String::new();
    for (path, copied) in files {
        // Writing to a String does not fail.
        let _ = writeln!(lines, "{}  {path}", copied.sha256);
    }
    let mut hash = Context::new(&SHA256);
    hash.update(lines.as_bytes());
    hexadecimal(hash.finish().as_ref())
}

pub(super) fn measure(path: &Path) -> Result<CopiedFile> {
    let cannot = |error| failed("a file cannot be read", path, error);
    let mut file = File::open(path).map_err(cannot)?;
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(cannot)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
        bytes += read as u64;
    }
    Ok(CopiedFile { bytes, sha256: hexadecimal(hash.finish().as_ref()) })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is below a folder, by paths relative to it and in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) folders: Vec<PathBuf>,
    pub(super) files: Vec<PathBuf>,
}

impl Tree {
    /// Links are not followed: a backup has none.
    pub(super) fn of(root: &Path) -> Result<Tree> {
        let mut tree = Tree::default();
        let mut open = vec![PathBuf::new()];
        while let Some(inner) = open.pop() {
            let path = root.join(&inner);
            let cannot = |error| failed("a folder cannot be read", &path, error);
            for entry in std::fs::read_dir(&path).map_err(cannot)? {
                let entry = entry.map_err(cannot)?;
                let kind = entry.file_type().map_err(cannot)?;
                let below = inner.join(entry.file_name());
                if kind.is_dir() {
                    tree.folders.push(below.clone());
                    open.push(below);
                } else if kind.is_file() {
                    tree.files.push(below);
                } else {
                    let what = "there is something that is no file and no folder";
                    return Err(Error::invalid("backup.invalid", what).with("path", entry.path().display()));
                }
            }
        }
        tree.folders.sort();
        tree.files.sort();
        Ok(tree)
    }
}
