//! Disks that fail and machines that lose their power, for tests.
//!
//! In reading order:
//! - [`Plan`]: which call to the disk fails, how, and whether it is well again afterwards.
//! - [`Image`]: a folder as its processes see it, and what of it a loss of power would leave.
//! - [`Disk`]: an image under a plan, with the moments at which its power is lost.
//! - [`vfs`]: SQLite on such a disk, by a VFS around SQLite's own.
//! - [`fuse`]: everything else on such a disk, by a file system in user space.
//!
//! Whoever is tested opens its files as always. The model of the disk is Linux': what was written is seen
//! at once and durable after an fsync; before that each sector of 512 bytes may be there in any of its
//! versions since; a name is durable after an fsync of its folder; and after a failed fsync what was
//! written is never tried again, however often fsync is called.

mod content;
mod dice;
mod disk;
pub mod fuse;
mod image;
mod plan;
pub mod vfs;

pub use content::{Content, SECTOR};
pub use dice::Dice;
pub use disk::{Disk, PowerLoss};
pub use image::{Image, Inode};
pub use plan::{Fault, Lasting, Operation, Plan};
