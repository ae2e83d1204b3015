//! Entries, which are a key and a payload each, as bytes that lie one behind the other: the lengths of both (LEB128), then
//! these. And entries in memory that can be sorted. Knows nothing of files.

use std::cmp::Ordering;
use std::hint::black_box;

use crate::chunk::prefix;
use crate::sort::radix;

/// A key, and what belongs to it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a [u8],
    pub(super) payload: &'a [u8],
    /// Both of them, and their lengths in front.
    pub(super) bytes: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The first of the entries that lie one behind the other; `None` if it is not there as a whole.
    #[inline]
    fn first_of(bytes: &'a [u8]) -> Option<Self> {
        let Shape { key_at, payload_at, end } = Shape::of(bytes)?;
        let bytes = bytes.get(..end)?;
        Some(Entry { key: &bytes[key_at..payload_at], payload: &bytes[payload_at..], bytes })
    }

    /// All of the entries that lie one behind the other.
    #[inline]
    pub(super) fn all_of(mut bytes: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let entry = Entry::first_of(bytes)?;
            bytes = &bytes[entry.bytes.len()..];
            Some(entry)
        })
    }
}

/// The bytes of an entry's lengths are no more.
pub(super) const LENGTHS_MAX: usize = 2 * (u64::BITS as usize).div_ceil(7);

/// Appends an entry.
#[inline]
pub(super) fn write_entry(key: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    write_lengths(key, payload, out);
    out.extend_from_slice(key);
    out.extend_from_slice(payload);
}

/// Appends what an entry begins with.
#[inline]
pub(super) fn write_lengths(key: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    let lengths = [key.len(), payload.len()];
    // Nearly always.
    if lengths.iter().all(|number| *number < 0x80) {
        return out.extend_from_slice(&lengths.map(|number| number as u8));
    }
    for mut number in lengths {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    }
}

/// Takes a number off the front of `bytes`; `None` if it is not there as a whole.
#[inline]
fn read_number(bytes: &mut &[u8]) -> Option<usize> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

/// Where the parts of an entry lie.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    pub(super) key_at: usize,
    pub(super) payload_at: usize,
    pub(super) end: usize,
}

impl Shape {
    /// The parts of the entry at the beginning of `bytes`, which may not have all of it; `None` without its lengths.
    #[inline]
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let (key_len, payload_len, key_at) = match bytes {
            // Nearly always.
            [key_len @ ..0x80, payload_len @ ..0x80, ..] => (usize::from(*key_len), usize::from(*payload_len), 2),
            _ => {
                let mut rest = bytes;
                (read_number(&mut rest)?, read_number(&mut rest)?, bytes.len() - rest.len())
            }
        };
        Some(Shape { key_at, payload_at: key_at + key_len, end: key_at + key_len + payload_len })
    }
}

/// Entries in memory.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// One behind the other.
    bytes: Vec<u8>,
    /// In the order in which they are handed out.
    places: Vec<EntryPlace>,
    /// What sorting needs, kept for its allocation.
    spare: Vec<EntryPlace>,
}

#[derive(Debug, Clone, Copy, Default)]
struct EntryPlace {
    /// Some of the first bytes of its key, which mostly decide.
    prefix: u64,
    /// Where it lies among the bytes.
    at: u32,
}

/// In which order entries came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Ascending,
    /// And no two of one key.
    Descending,
    Mixed,
}

impl EntryPlace {
    #[inline]
    fn key_in(self, bytes: &[u8]) -> &[u8] {
        Entry::first_of(&bytes[self.at as usize..]).unwrap_or_default().key
    }
}

impl Entries {
    /// The memory that the place of an entry takes, with as much as it needs to be sorted.
    pub(super) const PLACE_BYTES: usize = 2 * size_of::<EntryPlace>();

    /// Appends an entry. The bytes of those before are no more than a `u32` can count.
    #[inline]
    pub(super) fn push(&mut self, key: &[u8], payload: &[u8]) {
        self.places.push(EntryPlace { prefix: prefix(key), at: self.bytes.len() as u32 });
        write_entry(key, payload, &mut self.bytes);
    }

    /// The memory that they take.
    #[inline]
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.len() + Entries::PLACE_BYTES * self.places.len()
    }

    /// Takes other entries, whose bytes `fill` appends to an empty vector.
    pub(super) fn refill<E>(&mut self, fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        self.bytes.clear();
        self.places.clear();
        fill(&mut self.bytes)?;
        let mut at = 0;
        self.places.extend(Entry::all_of(&self.bytes).map(|entry| {
            let place = EntryPlace { prefix: prefix(entry.key), at: at as u32 };
            at += entry.bytes.len();
            place
        }));
        Ok(())
    }

    /// Puts them into the order of their keys; entries of one key into that in which they came. Says how they came.
    pub(super) fn sort(&mut self) -> Arrival {
        self.skip_shared_bytes();
        let Entries { bytes, places, spare } = self;
        let compare = |left: &EntryPlace, right: &EntryPlace| {
            let by_prefix = left.prefix.cmp(&right.prefix);
            by_prefix.then_with(|| left.key_in(bytes).cmp(right.key_in(bytes)).then(left.at.cmp(&right.at)))
        };
        if places.is_sorted_by(|left, right| compare(left, right) != Ordering::Greater) {
            return Arrival::Ascending;
        }
        radix::sort_by(places, spare, |place| place.prefix, compare);
        if places.is_sorted_by(|left, right| left.at > right.at) { Arrival::Descending } else { Arrival::Mixed }
    }

    /// Lets the prefixes begin behind bytes that all keys share, and that decide nothing, where these are half of them.
    fn skip_shared_bytes(&mut self) {
        let Entries { bytes, places, .. } = self;
        let Some(first) = places.first().copied() else { return };
        let mut skipped = 0;
        while skipped < first.key_in(bytes).len() {
            let first_prefix = places[0].prefix;
            let differing = places.iter().fold(0, |differing, place| differing | (place.prefix ^ first_prefix));
            let shared = (differing.leading_zeros() / u8::BITS) as usize;
            if shared < size_of_val(&first_prefix) / 2 {
                return;
            }
            skipped += shared;
            for place in &mut *places {
                place.prefix = prefix(place.key_in(bytes).get(skipped..).unwrap_or_default());
            }
        }
    }

    /// The entries, in order.
    ///
    /// Batch by batch: before one is handed out, a pass over it only loads, so that the processor has many cache misses
    /// under way at once.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Entry<'_>> {
        const BATCH: usize = 64;
        self.places.chunks(BATCH).flat_map(|places| {
            black_box(places.iter().fold(0, |all, place| all | self.bytes[place.at as usize]));
            places.iter().map(|place| Entry::first_of(&self.bytes[place.at as usize..]).unwrap_or_default())
        })
    }
}
