use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::kernel::Secret;
use crate::kernel::merkle::{Frontier, empty_root, leaf_hash};

const WORDS: [&str; 15] = [
    "one", "two", "three", "four", "five", "six", "seven", "eit", "nain", "ten", "ileven", "twelf",
    "threeten", "fourten", "fivten",
];
const KEY: &str =
    "PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg";
const VERIFIER: &str = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";

fn key() -> SigningKey {
    SigningKey::from_text(&Secret::new(KEY)).unwrap()
}

fn checkpoint(frontier: &Frontier) -> Checkpoint {
    Checkpoint {
        origin: key().verifier().name().to_owned(),
        size: frontier.size(),
        root: frontier.root(),
        extensions: Vec::new(),
    }
}

#[test]
fn the_golden_log_is_rebuilt_byte_for_byte() {
    let Some(data) = crate::testdata::folder() else {
        eprintln!("skipped: no test data");
        return;
    };
    let log = data.join("tlog-tiles/log");
    let golden = |path: &dyn AsRef<Path>| std::fs::read(log.join(path)).unwrap();
    let (mut frontier, mut bundle, mut tile) = (Frontier::default(), Vec::new(), Vec::new());
    let signed = |frontier: &Frontier| checkpoint(frontier).sign(&key()).unwrap().to_string();
    assert_eq!(signed(&frontier).into_bytes(), golden(&"checkpoint.0"));
    for (width, word) in (1..).zip(WORDS) {
        EntryBundle::push(&mut bundle, word.as_bytes()).unwrap();
        let hash = leaf_hash(word.as_bytes());
        tile.extend_from_slice(hash.as_bytes());
        frontier.append(hash);
        assert_eq!(bundle, golden(&Resource::Entries { index: 0, width }.to_string()));
        assert_eq!(tile, golden(&Resource::Tile(Tile { level: 0, index: 0, width }).to_string()));
        assert_eq!(signed(&frontier).into_bytes(), golden(&format!("checkpoint.{width}")));
    }
    assert_eq!(signed(&frontier).into_bytes(), golden(&"checkpoint"));
    assert_eq!(EntryBundle::entries(&bundle).unwrap(), WORDS.map(str::as_bytes));
}

#[test]
fn a_checkpoint_opens_only_with_the_key_of_its_log() {
    let note = checkpoint(&Frontier::default()).sign(&key()).unwrap().to_string();
    let opened = Checkpoint::open(&note, &VERIFIER.parse().unwrap()).unwrap();
    assert_eq!((opened.size, opened.root), (0, empty_root()));
    let other = SigningKey::from_seed("example.com/log/testdata", &[1; 32]).unwrap();
    assert_eq!(Checkpoint::open(&note, other.verifier()).unwrap_err().code(), "audit.not_signed");
    let mut foreign = checkpoint(&Frontier::default());
    foreign.origin = "example.com/other".into();
    let note = foreign.sign(&key()).unwrap().to_string();
    assert_eq!(Checkpoint::open(&note, key().verifier()).unwrap_err().code(), "audit.invalid_checkpoint");
}

#[test]
fn keys_read_and_write_in_their_text_form_and_stay_secret() {
    let key = key();
    assert_eq!(key.verifier().to_string(), VERIFIER);
    assert!(!format!("{key:?}").contains("PRIVATE"));
    for bad in [
        "",
        "a+b",
        "example.com/log/testdata+33d7b497+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
        "example.com/log/testdata+33D7B496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
        "example.com log+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
        "example.com/log/testdata+33d7b496+BuHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
    ] {
        assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
    }
    assert!(SigningKey::from_text(&Secret::new(VERIFIER)).is_err());
    assert!(SigningKey::from_seed("a b", &[0; 32]).is_err());
}

#[test]
fn notes_of_other_shapes_are_refused() {
    let good = checkpoint(&Frontier::default()).sign(&key()).unwrap().to_string();
    assert!(good.parse::<SignedNote>().is_ok());
    let line = good.lines().last().unwrap();
    for bad in [
        "".to_owned(),
        "\n\n".to_owned(),
        "text\n".to_owned(),
        format!("text\n{line}\n"),
        format!("text\n\n{line}"),
        format!("text\n\n{line}\n\n"),
        format!("te\txt\n\n{line}\n"),
        format!("text\r\n\r\n{line}\n"),
        good.replace('\u{2014}', "-"),
        "text\n\n\u{2014} name AAAA\n".to_owned(),
        "text\n\n\u{2014} na+me AAAAAAAA\n".to_owned(),
    ] {
        assert!(bad.parse::<SignedNote>().is_err(), "{bad:?}");
    }
}

#[test]
fn checkpoints_of_other_shapes_are_refused() {
    let root = empty_root();
    for bad in [
        format!("origin\n0\n{root}"),
        format!("\n0\n{root}\n"),
        format!("origin\n00\n{root}\n"),
        format!("origin\n+1\n{root}\n"),
        format!("origin\n18446744073709551616\n{root}\n"),
        "origin\n0\nAAAA\n".to_owned(),
        format!("origin\n0\n{root}\n\n"),
    ] {
        assert!(bad.parse::<Checkpoint>().is_err(), "{bad:?}");
    }
    let extended: Checkpoint = format!("origin\n7\n{root}\nmore\n").parse().unwrap();
    assert_eq!((extended.size, extended.extensions), (7, vec!["more".to_owned()]));
}

#[test]
fn paths_are_those_of_the_standard() {
    let tile = |level, index, width| Resource::Tile(Tile { level, index, width });
    for (path, resource) in [
        ("checkpoint", Resource::Checkpoint),
        ("tile/0/x001/x234/067", tile(0, 1_234_067, 256)),
        ("tile/0/000.p/1", tile(0, 0, 1)),
        ("tile/63/x001/000.p/255", tile(63, 1_000, 255)),
        ("tile/entries/x273/112.p/9", Resource::Entries { index: 273_112, width: 9 }),
    ] {
        assert_eq!(resource.to_string(), path);
        assert_eq!(path.parse::<Resource>().unwrap(), resource);
    }
    for bad in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/1000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/64/000",
        "tile/00/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/+01",
        "tile/entries/000/",
        "/tile/0/000",
        "tile/-1/000",
        "tile/0/x18/x446/x744/x073/x709/x551/616",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "checkpoint/",
    ] {
        assert!(bad.parse::<Resource>().is_err(), "{bad}");
    }
}

#[test]
fn the_tiles_of_70_000_entries_are_those_of_the_standards_example() {
    let tiles: Vec<_> = Tile::all(70_000).collect();
    let of = |level: u8| tiles.iter().filter(move |tile| tile.level == level);
    assert_eq!(of(0).filter(|tile| tile.width == 256).count(), 273);
    assert_eq!(of(0).next_back(), Some(&Tile { level: 0, index: 273, width: 112 }));
    assert_eq!(of(1).filter(|tile| tile.width == 256).count(), 1);
    assert_eq!(of(1).next_back(), Some(&Tile { level: 1, index: 1, width: 17 }));
    assert_eq!(of(2).collect::<Vec<_>>(), [&Tile { level: 2, index: 0, width: 1 }]);
    assert_eq!(tiles.iter().map(|tile| tile.level).max(), Some(2));
    assert_eq!(
        Tile::all(256).collect::<Vec<_>>(),
        [Tile { level: 0, index: 0, width: 256 }, Tile { level: 1, index: 0, width: 1 }]
    );
    assert_eq!(Tile::all(0).count(), 0);
}

#[test]
fn an_entry_above_the_limit_is_refused() {
    let mut bundle = Vec::new();
    assert!(EntryBundle::push(&mut bundle, &vec![0; ENTRY_BYTES]).is_ok());
    assert_eq!(
        EntryBundle::push(&mut bundle, &vec![0; ENTRY_BYTES + 1]).unwrap_err().code(),
        "audit.entry_too_large"
    );
    assert_eq!(EntryBundle::entries(&bundle).unwrap().len(), 1);
}

proptest! {
    #[test]
    fn paths_round_trip(level in 0u8..64, index in any::<u64>(), width in 1u16..=256, entries in any::<bool>()) {
        let resource =
            if entries { Resource::Entries { index, width } } else { Resource::Tile(Tile { level, index, width }) };
        prop_assert_eq!(resource.to_string().parse::<Resource>().unwrap(), resource);
    }

    #[test]
    fn whatever_reads_as_a_path_is_written_so(path in "(tile/)?(entries|[0-9+]{0,2})/[x0-9/+]{0,12}(\\.p/[0-9]{0,3})?") {
        if let Ok(resource) = path.parse::<Resource>() {
            prop_assert_eq!(resource.to_string(), path);
        }
    }

    #[test]
    fn parsers_take_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,80}") {
        let lossy = String::from_utf8_lossy(&bytes);
        for text in [lossy.as_ref(), &text, &format!("{lossy}\n\n\u{2014} a {text}\n")] {
            let _ = (text.parse::<Resource>().is_ok(), text.parse::<VerifierKey>().is_ok());
            if let Ok(note) = text.parse::<SignedNote>() {
                prop_assert_eq!(note.to_string().parse::<SignedNote>().unwrap(), note);
            }
            if let Ok(checkpoint) = text.parse::<Checkpoint>() {
                prop_assert_eq!(checkpoint.to_string(), text);
            }
        }
        if let Some(entries) = EntryBundle::entries(&bytes) {
            let mut again = Vec::new();
            entries.iter().for_each(|entry| EntryBundle::push(&mut again, entry).unwrap());
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn a_signed_checkpoint_with_one_bit_changed_does_not_open(at in any::<usize>(), bit in 0u8..8) {
        let checkpoint = checkpoint(&Frontier::from_parts(1, vec![leaf_hash(b"one")]).unwrap());
        let note = checkpoint.sign(&key()).unwrap().to_string();
        let mut bytes = note.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let opened = String::from_utf8(bytes).ok().and_then(|note| Checkpoint::open(&note, key().verifier()).ok());
        prop_assert!(opened.is_none());
    }
}
