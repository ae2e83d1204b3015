//! Where unpacking a deflate stream can go on, as plain data that is written down. Unpacks nothing.
//!
//! Between two blocks of a deflate stream (RFC 1951) all that the rest depends on is the position in bits and the last 32 KiB
//! of text. A checkpoint has these, and the hashes and check sums of what stands in front of it, so that what follows can
//! be checked like the whole. It is of use as long as the packed bytes in front of it are the same.

use blake3::hazmat::ChainingValue;

use crate::source::prefix::PrefixHash;

/// A place between two blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Whole packed bytes in front of it, without the one that it lies in or, between two bytes, without the last.
    pub(super) packed: u64,
    /// The BLAKE3 hash of these.
    pub(super) packed_hash: [u8; 32],
    /// How many bits of the byte behind them belong to what follows: the upper ones, from 0 to 7.
    pub(super) bits: u8,
    /// The other bits of that byte.
    pub(super) low_bits: u8,
    /// Bytes of text in front of it.
    pub(super) text: u64,
    /// Their CRC-32, once somebody has told.
    pub(super) crc: Option<u32>,
    /// The last of them: at least what the rest refers to, and back to the last border of a piece of `PrefixHash`.
    pub(super) window: Vec<u8>,
    /// The parts of `PrefixHash` up to that border.
    pub(super) parts: Vec<ChainingValue>,
}

/// The version of the bytes below.
const VERSION: u8 = 1;

impl Checkpoint {
    /// The most text that is kept: more than the 32 KiB that a deflate stream refers to.
    pub(super) const WINDOW_BYTES: usize = PrefixHash::PIECE_BYTES;

    /// The bits of the byte that it lies in that stand in front of it.
    pub(super) fn low_bits_of(byte: u8, bits: u8) -> u8 {
        (u16::from(byte) & ((1 << (8 - bits)) - 1)) as u8
    }

    /// The hash of the text in front of it.
    pub(super) fn text_hash(&self) -> Option<PrefixHash> {
        let rest = self.text % PrefixHash::PIECE_BYTES as u64;
        let rest = self.window.len().checked_sub(rest as usize)?;
        Some(PrefixHash::resume(self.text / PrefixHash::PIECE_BYTES as u64, self.parts.clone(), &self.window[rest..]))
    }

    /// As bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.bits, self.low_bits, self.parts.len() as u8];
        out.extend(self.packed.to_le_bytes());
        out.extend(self.packed_hash);
        out.extend(self.text.to_le_bytes());
        out.extend(self.crc.unwrap_or_default().to_le_bytes());
        self.parts.iter().for_each(|part| out.extend(part));
        out.extend(&self.window);
        out
    }

    /// From its bytes; `None` if they are none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let [version, bits, low_bits, parts] = take(&mut rest)?;
        let packed = u64::from_le_bytes(take(&mut rest)?);
        let packed_hash = take(&mut rest)?;
        let text = u64::from_le_bytes(take(&mut rest)?);
        let crc = Some(u32::from_le_bytes(take(&mut rest)?));
        let parts: Vec<ChainingValue> = (0..parts).map(|_| take(&mut rest)).collect::<Option<_>>()?;
        let pieces = text / PrefixHash::PIECE_BYTES as u64;
        let window = u64::try_from(rest.len()).ok()?;
        let is_sound = version == VERSION
            && bits < 8
            && parts.len() == pieces.count_ones() as usize
            && rest.len() <= Checkpoint::WINDOW_BYTES
            && window >= (text % PrefixHash::PIECE_BYTES as u64)
            && window <= text;
        is_sound.then(|| Checkpoint { packed, packed_hash, bits, low_bits, text, crc, window: rest.to_vec(), parts })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}
