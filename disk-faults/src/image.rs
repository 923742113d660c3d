//! A folder as its processes see it, and what of it is on the disk.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::content::{Content, SECTOR};
use crate::dice::Dice;

/// The number of a file or a folder.
pub type Inode = u64;

/// A name within a folder.
type Name = (Inode, String);

/// A change of a file.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    Length(u64),
}

#[derive(Debug, Clone, Default)]
struct File {
    seen: Content,
    durable: Content,
    /// What was done since it was last synced, in order.
    pending: Vec<Change>,
}

/// A change of a folder: what stands under a name from now on.
#[derive(Debug, Clone)]
struct Named {
    name: Name,
    inode: Option<Inode>,
    /// Changes with the same number are done together: a renaming.
    together: u64,
}

/// Files and folders, with what of them is durable.
#[derive(Debug, Clone)]
pub struct Image {
    /// `None`: a folder.
    nodes: BTreeMap<Inode, Option<File>>,
    seen: BTreeMap<Name, Inode>,
    durable: BTreeMap<Name, Inode>,
    pending: Vec<Named>,
    next: Inode,
    changes: u64,
}

impl Default for Image {
    fn default() -> Image {
        Image {
            nodes: BTreeMap::from([(Image::ROOT, None)]),
            seen: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
            next: Image::ROOT + 1,
            changes: 0,
        }
    }
}

impl Image {
    /// The folder itself.
    pub const ROOT: Inode = 1;

    /// What is in a folder of this machine; all of it is durable.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_folder(path: &Path) -> io::Result<Image> {
        let mut image = Image::default();
        image.take_folder(Image::ROOT, path)?;
        Ok(image.at_rest())
    }

    fn take_folder(&mut self, folder: Inode, path: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                let inner = self.create(folder, &name, true);
                self.take_folder(inner, &entry.path())?;
            } else {
                let file = self.create(folder, &name, false);
                self.take_file(file, &std::fs::File::open(entry.path())?)?;
            }
        }
        Ok(())
    }

    /// The bytes of a file of this machine; zeros become holes.
    fn take_file(&mut self, inode: Inode, file: &std::fs::File) -> io::Result<()> {
        let length = file.metadata()?.len();
        self.set_length(inode, length);
        let mut bytes = vec![0; 1 << 16];
        let mut at = 0;
        while at < length {
            let count = file.read_at(&mut bytes, at)?;
            if count == 0 {
                break;
            }
            let read = bytes.get(..count).unwrap_or_default();
            if read.iter().any(|byte| *byte != 0) {
                self.write(inode, at, read);
            }
            at += count as u64;
        }
        Ok(())
    }

    /// Takes a file of this machine in that is not known yet, as durable.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn adopt(&mut self, name: &str, path: &Path) -> io::Result<Inode> {
        let file = std::fs::File::open(path)?;
        let inode = self.create(Image::ROOT, name, false);
        self.take_file(inode, &file)?;
        self.sync(inode);
        self.sync_folder(Image::ROOT);
        Ok(inode)
    }

    /// Writes what is seen into an empty folder of this machine.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_to(&self, path: &Path) -> io::Result<()> {
        self.write_folder(Image::ROOT, path)
    }

    fn write_folder(&self, folder: Inode, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)?;
        for (name, inode) in self.list(folder) {
            let path = path.join(name);
            match self.nodes.get(&inode) {
                Some(Some(file)) => {
                    let target = std::fs::File::create(path)?;
                    for (offset, bytes) in file.seen.runs() {
                        target.write_all_at(&bytes, offset)?;
                    }
                    target.set_len(file.seen.length())?;
                }
                _ => self.write_folder(inode, &path)?,
            }
        }
        Ok(())
    }

    /// What stands under a name.
    pub fn find(&self, folder: Inode, name: &str) -> Option<Inode> {
        self.seen.get(&(folder, name.to_owned())).copied()
    }

    /// What is in a folder.
    pub fn list(&self, folder: Inode) -> Vec<(String, Inode)> {
        let names = self.seen.range((folder, String::new())..(folder + 1, String::new()));
        names.map(|((_, name), inode)| (name.clone(), *inode)).collect()
    }

    /// Whether it is a folder; `None`: neither that nor a file.
    pub fn is_folder(&self, inode: Inode) -> Option<bool> {
        self.nodes.get(&inode).map(Option::is_none)
    }

    /// The bytes of a file, as its processes see it.
    pub fn content(&self, inode: Inode) -> Option<&Content> {
        self.nodes.get(&inode)?.as_ref().map(|file| &file.seen)
    }

    /// Makes an empty file or a folder.
    pub fn create(&mut self, folder: Inode, name: &str, is_folder: bool) -> Inode {
        let inode = self.next;
        self.next += 1;
        self.nodes.insert(inode, (!is_folder).then(File::default));
        self.name(&[((folder, name.to_owned()), Some(inode))]);
        inode
    }

    /// Removes a name.
    pub fn remove(&mut self, folder: Inode, name: &str) {
        self.name(&[((folder, name.to_owned()), None)]);
    }

    /// Gives a file another name, in place of what stood there.
    pub fn rename(&mut self, from: (Inode, &str), to: (Inode, &str)) {
        let Some(inode) = self.find(from.0, from.1) else { return };
        self.name(&[((from.0, from.1.to_owned()), None), ((to.0, to.1.to_owned()), Some(inode))]);
    }

    fn name(&mut self, changes: &[(Name, Option<Inode>)]) {
        self.changes += 1;
        for (name, inode) in changes {
            set(&mut self.seen, name, *inode);
            self.pending.push(Named { name: name.clone(), inode: *inode, together: self.changes });
        }
    }

    fn file(&mut self, inode: Inode) -> Option<&mut File> {
        self.nodes.get_mut(&inode)?.as_mut()
    }

    /// Writes bytes, not yet durable.
    pub fn write(&mut self, inode: Inode, offset: u64, bytes: &[u8]) {
        self.change(inode, Change::Write { offset, bytes: bytes.to_vec() });
    }

    /// Cuts or lengthens a file, not yet durable.
    pub fn set_length(&mut self, inode: Inode, length: u64) {
        self.change(inode, Change::Length(length));
    }

    fn change(&mut self, inode: Inode, change: Change) {
        if let Some(file) = self.file(inode) {
            change.apply(&mut file.seen);
            file.pending.push(change);
        }
    }

    /// An fsync that succeeds: what was written since the last one is durable.
    pub fn sync(&mut self, inode: Inode) {
        if let Some(file) = self.file(inode) {
            for change in std::mem::take(&mut file.pending) {
                change.apply(&mut file.durable);
            }
        }
    }

    /// An fsync that fails: some of what was written is durable, and the rest never will be. It is still
    /// seen, unless it is `dropped`.
    pub fn fail_sync(&mut self, inode: Inode, dropped: bool, seed: u64) {
        let Some(file) = self.file(inode) else { return };
        file.durable = file.survivor(&mut Dice::new(seed));
        file.pending.clear();
        let length = file.seen.length();
        if dropped {
            file.seen = file.durable.clone();
            file.seen.set_length(length);
        }
        if file.durable.length() != length {
            file.pending.push(Change::Length(length));
        }
    }

    /// An fsync of a folder: its names are durable.
    pub fn sync_folder(&mut self, folder: Inode) {
        let durable: Vec<u64> =
            self.pending.iter().filter(|named| named.name.0 == folder).map(|named| named.together).collect();
        self.make_durable(|named| durable.contains(&named.together));
    }

    fn make_durable(&mut self, is_durable: impl Fn(&Named) -> bool) {
        for named in std::mem::take(&mut self.pending) {
            if is_durable(&named) {
                set(&mut self.durable, &named.name, named.inode);
            } else {
                self.pending.push(named);
            }
        }
    }

    /// The same with everything durable, as after an orderly shutdown.
    #[must_use]
    pub fn at_rest(mut self) -> Image {
        self.durable = self.seen.clone();
        self.pending.clear();
        for file in self.nodes.values_mut().flatten() {
            file.durable = file.seen.clone();
            file.pending.clear();
        }
        self
    }

    /// What a loss of power leaves: of every file some of the writes since its last fsync, whole or by
    /// sectors, in any order; of every folder the changes of its names up to some point.
    #[must_use]
    pub fn after_power_loss(mut self, seed: u64) -> Image {
        let mut dice = Dice::new(seed);
        let how = dice.below(3);
        let mut last = BTreeMap::new();
        for folder in self.pending.iter().map(|named| named.name.0) {
            last.entry(folder).or_insert_with(|| match how {
                0 => 0,
                1 => u64::MAX,
                _ => self.changes.saturating_sub(dice.below(8)),
            });
        }
        self.make_durable(|named| last.get(&named.name.0).is_some_and(|last| named.together <= *last));
        self.pending.clear();
        self.seen = self.durable.clone();
        for file in self.nodes.values_mut().flatten() {
            file.seen = file.survivor(&mut dice);
        }
        self.at_rest()
    }
}

fn set(names: &mut BTreeMap<Name, Inode>, name: &Name, inode: Option<Inode>) {
    match inode {
        Some(inode) => names.insert(name.clone(), inode),
        None => names.remove(name),
    };
}

impl Change {
    fn apply(&self, content: &mut Content) {
        match self {
            Change::Write { offset, bytes } => content.write(*offset, bytes),
            Change::Length(length) => content.set_length(*length),
        }
    }

    /// The sectors that it changes in this content.
    fn sectors(&self, content: &Content) -> Vec<u64> {
        match self {
            Change::Write { offset, bytes } => {
                (offset / SECTOR..(offset + bytes.len() as u64).div_ceil(SECTOR)).collect()
            }
            Change::Length(length) if *length < content.length() => content.sectors_from(length / SECTOR),
            Change::Length(_) => Vec::new(),
        }
    }
}

impl File {
    /// What may be on the disk: every sector in one of its versions since the last fsync, the length in one of
    /// its values.
    fn survivor(&self, dice: &mut Dice) -> Content {
        let mut left = self.durable.clone();
        if self.pending.is_empty() {
            return left;
        }
        let count = self.pending.len() as u64;
        let (how, place) = (dice.below(6), dice.below(count));
        let mut cached = self.durable.clone();
        let mut lengths = vec![cached.length()];
        for (change, number) in self.pending.iter().zip(0..) {
            let sectors = change.sectors(&cached);
            change.apply(&mut cached);
            lengths.push(cached.length());
            let whole = dice.one_in(2);
            for sector in sectors {
                let kept = match how {
                    0 => false,
                    1 => true,
                    // Whole writes; sectors; the first writes, and the last of them torn; all but one.
                    2 => whole,
                    3 => dice.one_in(2),
                    4 => number < place || number == place && dice.one_in(2),
                    _ => number != place,
                };
                if kept {
                    left.take_sector(sector, &cached);
                }
            }
        }
        let at = match how {
            0 => 0,
            1 | 5 => count,
            4 => place + 1,
            _ => dice.below(count + 1),
        };
        left.set_length(lengths.get(at as usize).copied().unwrap_or_else(|| cached.length()));
        left
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn losses(image: &Image) -> Vec<Image> {
        (0..300).map(|seed| image.clone().after_power_loss(seed)).collect()
    }

    fn bytes(image: &Image, name: &str) -> Option<Vec<u8>> {
        let content = image.content(image.find(Image::ROOT, name)?)?;
        Some(content.read(0, content.length()))
    }

    fn file(image: &mut Image, name: &str) -> Inode {
        let inode = image.create(Image::ROOT, name, false);
        image.sync_folder(Image::ROOT);
        inode
    }

    #[test]
    fn what_was_synced_is_there_and_what_was_not_may_be_lost_torn_or_reordered() {
        let mut image = Image::default();
        let inode = file(&mut image, "f");
        image.write(inode, 0, &[1; 2048]);
        image.sync(inode);
        assert!(losses(&image).iter().all(|image| bytes(image, "f") == Some(vec![1; 2048])));
        image.write(inode, 0, &[2; 1024]);
        image.write(inode, 1024, &[3; 1024]);
        let found: BTreeSet<Vec<u8>> = losses(&image)
            .iter()
            .map(|image| bytes(image, "f").unwrap().chunks(512).map(|sector| sector[0]).collect())
            .collect();
        for possible in [[1, 1, 1, 1], [2, 2, 3, 3], [1, 1, 3, 3], [2, 2, 1, 1], [1, 2, 1, 1], [2, 2, 1, 3]] {
            assert!(found.contains(possible.as_slice()), "{possible:?}");
        }
        assert!(found.iter().all(|bytes| bytes.iter().take(2).all(|byte| *byte < 3)));
    }

    #[test]
    fn a_sector_is_never_torn_and_holds_what_was_written_to_it_before() {
        let mut image = Image::default();
        let inode = file(&mut image, "f");
        image.write(inode, 0, &[1; 512]);
        image.sync(inode);
        image.write(inode, 0, &[2; 100]);
        image.write(inode, 100, &[3; 100]);
        let found: BTreeSet<_> = losses(&image).iter().map(|image| bytes(image, "f").unwrap()).collect();
        let versions =
            |counts: [usize; 3]| [vec![2; counts[0]], vec![3; counts[1]], vec![1; counts[2]]].concat();
        assert_eq!(found, [[0, 0, 512], [100, 0, 412], [100, 100, 312]].map(versions).into());
    }

    #[test]
    fn a_length_may_be_lost_or_there_without_its_bytes() {
        let mut image = Image::default();
        let inode = file(&mut image, "f");
        image.write(inode, 0, &[1; 600]);
        let found: BTreeSet<_> = losses(&image).iter().map(|image| bytes(image, "f").unwrap()).collect();
        assert!(found.contains(&Vec::new()));
        assert!(found.contains(&vec![0; 600]), "a file of zeros");
        assert!(found.contains(&vec![1; 600]));
        image.sync(inode);
        image.set_length(inode, 0);
        let found: BTreeSet<_> =
            losses(&image).iter().map(|image| bytes(image, "f").unwrap().len()).collect();
        assert_eq!(found, BTreeSet::from([0, 600]));
    }

    #[test]
    fn a_name_is_durable_after_an_fsync_of_its_folder() {
        let mut image = Image::default();
        let inode = image.create(Image::ROOT, "new", false);
        image.write(inode, 0, b"x");
        image.sync(inode);
        let there = |image: &Image| losses(image).iter().filter(|i| bytes(i, "new").is_some()).count();
        assert!((1..300).contains(&there(&image)));
        image.sync_folder(Image::ROOT);
        assert_eq!(there(&image), 300);
        image.remove(Image::ROOT, "new");
        assert!((1..300).contains(&there(&image)));
    }

    #[test]
    fn a_renaming_is_done_whole_or_not_at_all() {
        let mut image = Image::default();
        for (name, byte) in [("old", 1), ("new", 2)] {
            let inode = file(&mut image, name);
            image.write(inode, 0, &[byte]);
            image.sync(inode);
        }
        image.rename((Image::ROOT, "new"), (Image::ROOT, "old"));
        let found: BTreeSet<_> =
            losses(&image).iter().map(|image| (bytes(image, "old"), bytes(image, "new"))).collect();
        let (before, after) = ((Some(vec![1]), Some(vec![2])), (Some(vec![2]), None));
        assert_eq!(found, [before, after].into());
    }

    #[test]
    fn after_a_failed_fsync_no_further_one_makes_it_durable() {
        for dropped in [false, true] {
            let mut lost = 0;
            for seed in 0..50 {
                let mut image = Image::default();
                let inode = file(&mut image, "f");
                image.write(inode, 0, &[1; 512]);
                image.sync(inode);
                image.write(inode, 0, &[2; 512]);
                image.fail_sync(inode, dropped, seed);
                image.sync(inode);
                let left = bytes(&image.clone().after_power_loss(seed), "f").unwrap()[0];
                lost += u32::from(left == 1);
                assert_eq!(bytes(&image, "f").unwrap()[0], if dropped { left } else { 2 });
            }
            assert!((10..50).contains(&lost), "{lost}");
        }
    }

    #[test]
    fn a_folder_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::create_dir_all(from.join("inner")).unwrap();
        std::fs::write(from.join("inner/file"), vec![7; 100_000]).unwrap();
        std::fs::write(from.join("empty"), b"").unwrap();
        Image::of_folder(&from).unwrap().write_to(&to).unwrap();
        assert_eq!(std::fs::read(to.join("inner/file")).unwrap(), vec![7; 100_000]);
        assert_eq!(std::fs::read(to.join("empty")).unwrap(), b"");
    }
}
