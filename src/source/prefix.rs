//! The BLAKE3 hash of the beginning of a stream, which can be asked for at any byte and goes on behind it. Reads nothing.
//!
//! `Hasher` of the blake3 crate does that, too. What it does not do is take over parts that others have hashed, on other
//! cores, and be written down: here the tree of the hash (section 2.1 of the BLAKE3 paper) is kept by its finished parts.

use std::collections::VecDeque;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// A hash of bytes that keeps coming. Its result is that of `blake3::hash` over all bytes so far.
#[derive(Debug, Clone, Default)]
pub struct PrefixHash {
    /// The finished parts of the tree, the largest first: each is larger than all behind it together.
    parts: Vec<ChainingValue>,
    /// Whole pieces in `parts`.
    pieces: u64,
    /// What stands behind them: at least a byte, unless there are none at all. Which part of the tree the last piece ends
    /// depends on whether anything follows.
    rest: Vec<u8>,
    /// `parts` as they were a few pieces ago, with the number of pieces then.
    earlier: VecDeque<(u64, Vec<ChainingValue>)>,
}

/// How many earlier states are remembered.
const EARLIER: usize = 32;

impl PrefixHash {
    /// The size of a piece: what is hashed in one go.
    pub const PIECE_BYTES: usize = 64 << 10;

    /// The size of a section: so many pieces that handing one to another core costs nothing beside hashing it.
    pub const SECTION_BYTES: usize = 16 * PrefixHash::PIECE_BYTES;

    /// Goes on behind so many pieces that have these parts, and a part of a piece.
    pub(super) fn resume(pieces: u64, parts: Vec<ChainingValue>, rest: &[u8]) -> Self {
        PrefixHash { parts, pieces, rest: rest.to_vec(), earlier: VecDeque::new() }
    }

    /// The parts that it had behind so many pieces, if that is not too long ago.
    pub(super) fn parts_at(&self, pieces: u64) -> Option<Vec<ChainingValue>> {
        if pieces == self.pieces {
            return Some(self.parts.clone());
        }
        self.earlier.iter().find(|(at, _)| *at == pieces).map(|(_, parts)| parts.clone())
    }

    /// How many bytes it has taken.
    pub fn bytes(&self) -> u64 {
        self.pieces * PrefixHash::PIECE_BYTES as u64 + self.rest.len() as u64
    }

    /// Takes more bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.rest.len() == PrefixHash::PIECE_BYTES {
                let piece = std::mem::take(&mut self.rest);
                self.push(hash_part(self.pieces * PrefixHash::PIECE_BYTES as u64, &piece), 1);
                self.rest = piece;
                self.rest.clear();
            }
            let (now, later) = bytes.split_at(bytes.len().min(PrefixHash::PIECE_BYTES - self.rest.len()));
            self.rest.extend_from_slice(now);
            bytes = later;
        }
    }

    /// Takes a section that `hash_section` has hashed, behind whole sections, with more bytes to follow.
    pub fn update_section(&mut self, section: &ChainingValue) {
        debug_assert!(self.rest.is_empty(), "sections lie behind sections");
        self.push(*section, (PrefixHash::SECTION_BYTES / PrefixHash::PIECE_BYTES) as u64);
    }

    /// The hash of all bytes so far.
    pub fn finish(&self) -> [u8; 32] {
        let Some((first, parts)) = self.parts.split_first() else {
            return *blake3::hash(&self.rest).as_bytes();
        };
        let rest = hash_part(self.pieces * PrefixHash::PIECE_BYTES as u64, &self.rest);
        let right = parts.iter().rev().fold(rest, |right, left| merge_subtrees_non_root(left, &right, Mode::Hash));
        *merge_subtrees_root(first, &right, Mode::Hash).as_bytes()
    }

    /// Takes a part of so many pieces, a power of two, with something behind it: no two parts are the root's.
    fn push(&mut self, part: ChainingValue, pieces: u64) {
        if self.earlier.len() == EARLIER {
            self.earlier.pop_front();
        }
        self.earlier.push_back((self.pieces, self.parts.clone()));
        self.pieces += pieces;
        let mut part = part;
        while self.parts.len() >= self.pieces.count_ones() as usize
            && let Some(left) = self.parts.pop()
        {
            part = merge_subtrees_non_root(&left, &part, Mode::Hash);
        }
        self.parts.push(part);
    }
}

/// Hashes a section that begins at `offset`, with more bytes behind it.
pub fn hash_section(offset: u64, bytes: &[u8]) -> ChainingValue {
    debug_assert!(bytes.len() == PrefixHash::SECTION_BYTES, "a whole section");
    hash_part(offset, bytes)
}

fn hash_part(offset: u64, bytes: &[u8]) -> ChainingValue {
    Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|index| (index % 251) as u8).collect()
    }

    #[test]
    fn the_hash_is_that_of_blake3_at_every_border() {
        let all = bytes(PrefixHash::SECTION_BYTES * 3 + 1);
        let piece = PrefixHash::PIECE_BYTES;
        let mut hash = PrefixHash::default();
        let mut taken = 0;
        for end in (0..=48).flat_map(|count| [count * piece, count * piece + 1]) {
            hash.update(&all[taken..end]);
            taken = end;
            assert_eq!(hash.finish(), *blake3::hash(&all[..end]).as_bytes(), "{end}");
            assert_eq!(hash.bytes(), end as u64);
        }
    }

    #[test]
    fn sections_of_others_are_as_good_as_bytes() {
        let all = bytes(PrefixHash::SECTION_BYTES * 7 + PrefixHash::PIECE_BYTES * 3 + 5);
        for sections in 0..=7 {
            let mut hash = PrefixHash::default();
            for section in 0..sections {
                let start = section * PrefixHash::SECTION_BYTES;
                let end = start + PrefixHash::SECTION_BYTES;
                hash.update_section(&hash_section(start as u64, &all[start..end]));
            }
            hash.update(&all[sections * PrefixHash::SECTION_BYTES..]);
            assert_eq!(hash.finish(), *blake3::hash(&all).as_bytes(), "{sections}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn the_hash_is_that_of_blake3_however_the_bytes_come(lens in prop::collection::vec(0..200_000usize, 0..8)) {
            let all = bytes(lens.iter().sum());
            let (mut hash, mut taken) = (PrefixHash::default(), 0);
            for len in lens {
                hash.update(&all[taken..taken + len]);
                taken += len;
                prop_assert_eq!(hash.finish(), *blake3::hash(&all[..taken]).as_bytes());
            }
        }
    }
}
