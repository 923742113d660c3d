//! Changes of seeds, from a number that begins with the target's name.

/// Makes inputs.
pub(crate) struct Mutator {
    state: u64,
}

/// Bytes that decoders have a meaning for.
const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\n\r \"'%&+,-./0129:;<=>?@[\\]_{|}";

impl Mutator {
    pub(crate) fn new(name: &str) -> Mutator {
        let state = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Mutator { state }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// One of the seeds, with one to four changes.
    pub(crate) fn change(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            self.once(&mut input, seeds);
        }
        input
    }

    fn once(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let to = (at + 1 + self.below(8)).min(input.len());
        let byte = match self.below(2) {
            0 => TELLING[self.below(TELLING.len())],
            _ => self.next() as u8,
        };
        match self.below(9) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = byte,
            2 => input.insert(at, byte),
            3 if at < to => drop(input.drain(at..to)),
            4 => input.truncate(at),
            5 if at < to => {
                let part = input[at..to].to_vec();
                let place = self.below(input.len() + 1);
                input.splice(place..place, part);
            }
            6 => {
                let part = vec![byte; 1 + self.below(64)];
                input.splice(at..at, part);
            }
            7 if at < input.len() => input[at] = input[at].wrapping_add(1).wrapping_sub(2 * (byte & 1)),
            _ => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
}
