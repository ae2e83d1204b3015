//! Keys against the order of their values, numbers against their definition. Trees are tested where
//! SQLite can read them: in `sqlite/tests.rs` and `tests/pages.rs`.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::Format;
use super::key;
use super::page::PageBuffer;
use super::record::{varint_bytes, write_varint};
use crate::sink::stored::Stored;

/// A value that owns its bytes.
#[derive(Debug, Clone, PartialEq)]
enum Owned {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
}

impl Owned {
    fn stored(&self) -> Stored<'_> {
        match self {
            Owned::Null => Stored::Null,
            Owned::Integer(value) => Stored::Integer(*value),
            Owned::Real(value) => Stored::Real(*value),
            Owned::Text(text) => Stored::Text(text),
        }
    }

    fn from(value: Stored<'_>) -> Self {
        match value {
            Stored::Null => Owned::Null,
            Stored::Integer(value) => Owned::Integer(value),
            Stored::Real(value) => Owned::Real(value),
            Stored::Text(text) => Owned::Text(text.to_vec()),
        }
    }

    /// How SQLite compares two values of one column: https://www.sqlite.org/datatype3.html, section 4.1.
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Owned::Integer(left), Owned::Integer(right)) => left.cmp(right),
            (Owned::Real(left), Owned::Real(right)) => left.partial_cmp(right).unwrap(),
            (Owned::Text(left), Owned::Text(right)) => left.cmp(right),
            (left, right) => (*right == Owned::Null).cmp(&(*left == Owned::Null)),
        }
    }
}

fn integer() -> impl Strategy<Value = Owned> {
    prop_oneof![
        1 => Just(Owned::Null),
        3 => any::<i64>().prop_map(Owned::Integer),
        3 => (-3i64..3).prop_map(Owned::Integer),
        1 => prop::sample::select(vec![i64::MIN, i64::MAX]).prop_map(Owned::Integer),
    ]
}

fn real() -> impl Strategy<Value = Owned> {
    prop_oneof![
        1 => Just(Owned::Null),
        3 => any::<f64>().prop_filter("a number", |value| value.is_finite()).prop_map(Owned::Real),
        3 => prop::sample::select(vec![0.0, -0.0, 1.0, -1.0, 0.5, f64::MIN_POSITIVE, f64::MAX, f64::MIN]).prop_map(Owned::Real),
    ]
}

fn text() -> impl Strategy<Value = Owned> {
    prop_oneof![
        1 => Just(Owned::Null),
        4 => prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xfe, 0xff]), 0..6).prop_map(Owned::Text),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Owned::Text),
    ]
}

type Values = Vec<Owned>;

/// Two keys of the same columns.
fn keys() -> impl Strategy<Value = (Values, Values)> {
    let column = || prop_oneof![(integer(), integer()).boxed(), (real(), real()).boxed(), (text(), text()).boxed()];
    prop::collection::vec((column(), any::<bool>()), 1..4).prop_map(|columns| {
        let same = |((left, right), is_same)| if is_same { (Owned::clone(&left), left) } else { (left, right) };
        columns.into_iter().map(same).unzip()
    })
}

fn encode(values: &[Owned]) -> Vec<u8> {
    let mut key = Vec::new();
    for (nth, value) in values.iter().enumerate() {
        key::write(value.stored(), nth + 1 == values.len(), &mut key);
    }
    key
}

proptest! {
    #[test]
    fn keys_have_the_order_of_their_values((left, right) in keys()) {
        let by_value = left.iter().zip(&right).map(|(left, right)| left.compare(right)).find(|order| order.is_ne());
        prop_assert_eq!(encode(&left).cmp(&encode(&right)), by_value.unwrap_or(Ordering::Equal), "{:?} {:?}", left, right);
    }

    #[test]
    fn keys_are_read_back((values, _) in keys()) {
        let mut back = Vec::new();
        key::read(&encode(&values), values.len(), &mut Vec::new(), |value| back.push(Owned::from(value)));
        // 0.0 == -0.0, which is what an index has.
        prop_assert_eq!(&back, &values);
        prop_assert_eq!(key::has_null(&encode(&values), values.len()), values.contains(&Owned::Null));
    }

    #[test]
    fn varints_are_read_back(shift in 0u32..64, value in any::<u64>(), cut in 0usize..9) {
        let value = value >> shift;
        let mut bytes = Vec::new();
        write_varint(value, &mut bytes);
        prop_assert_eq!(bytes.len() as u64, varint_bytes(value));
        prop_assert_eq!(read_varint(&bytes), Some((value, bytes.len())));
        prop_assert_eq!(read_varint(&bytes[..cut.min(bytes.len() - 1)]), None);
    }
}

/// Reads a number that `write_varint` has written, and how many bytes it took; `None` if they are not all there.
fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    if let Some(byte @ 0..0x80) = bytes.first() {
        return Some((u64::from(*byte), 1));
    }
    let mut value = 0;
    for (nth, byte) in bytes.iter().take(9).enumerate() {
        if nth == 8 {
            return Some((value << 8 | u64::from(*byte), 9));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, nth + 1));
        }
    }
    None
}

#[test]
fn varints_are_as_documented() {
    for (value, bytes) in [
        (0, &[0][..]),
        (0x7f, &[0x7f]),
        (0x80, &[0x81, 0]),
        (0x3fff, &[0xff, 0x7f]),
        (0x4000, &[0x81, 0x80, 0]),
        ((1 << 56) - 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        (1 << 56, &[0x80, 0xc0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0]),
        (u64::MAX, &[0xff; 9]),
    ] {
        let mut written = Vec::new();
        write_varint(value, &mut written);
        assert_eq!(written, bytes, "{value}");
    }
}

#[test]
fn no_page_lies_on_the_lock_byte_page_and_stretches_end_before_it() {
    for page_size in [512, 65_536] {
        let mut pages = PageBuffer::new(Format { page_size, usable: page_size });
        let lock_byte_page = (1 << 30) / page_size as u32 + 1;
        for (page_count, expected) in [
            (lock_byte_page - 3, vec![(lock_byte_page - 2, 2), (lock_byte_page + 1, 2)]),
            (lock_byte_page - 1, vec![(lock_byte_page + 1, 4)]),
            (lock_byte_page, vec![(lock_byte_page + 1, 4)]),
            (7, vec![(8, 4)]),
        ] {
            pages.restart_behind(page_count);
            let numbers: Vec<u32> = (0..4).map(|fill| pages.append(&vec![fill; page_size])).collect();
            let stretches: Vec<(u32, usize)> =
                pages.stretches().map(|(first, images)| (first, images.len() / page_size)).collect();
            assert_eq!(stretches, expected);
            let written = stretches.iter().flat_map(|(first, pages)| *first..*first + *pages as u32);
            assert_eq!(numbers, written.collect::<Vec<_>>());
            assert_eq!(pages.page_count(), numbers[3]);
        }
    }
}
