//! The sort against std's, whatever spills, and runs that are merged within bounds.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Order {
    AsTheyAre,
    Ascending,
    Descending,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn sorting_is_that_of_std_whatever_spills(
        key_bytes in prop_oneof![Just(2usize), Just(12)],
        entries in prop::collection::vec(
            (prop::collection::vec(0u8..3, 0..12), prop::collection::vec(any::<u8>(), 0..20)), 0..400),
        order in prop_oneof![Just(Order::AsTheyAre), Just(Order::Ascending), Just(Order::Descending)],
        long in prop::collection::vec((0usize..200, 60_000usize..140_000), 0..3),
        memory_bytes in prop_oneof![Just(1usize), 1usize..3000, Just(200_000), Just(1 << 20)],
    ) {
        let mut entries = entries;
        entries.iter_mut().for_each(|(key, _)| key.truncate(key_bytes));
        match order {
            Order::AsTheyAre => {}
            Order::Ascending => entries.sort(),
            Order::Descending => entries.sort_by(|left, right| right.cmp(left)),
        }
        for (place, len) in long {
            if place < entries.len() {
                entries[place].1 = vec![place as u8; len];
            }
        }
        let directory = TempDir::new().unwrap();
        let mut sorter = Sorter::new(memory_bytes, directory.path());
        for (key, payload) in &entries {
            sorter.push(key, payload).unwrap();
        }
        let mut sorted = Vec::new();
        sorter.for_each(|key, payload, repeats| {
            let before = sorted.last().map(|(key, _): &(Vec<u8>, Vec<u8>)| &key[..]);
            assert_eq!(before == Some(key), repeats);
            sorted.push((key.to_vec(), payload.to_vec()));
            Ok(())
        }).unwrap();
        entries.sort_by(|left, right| left.0.cmp(&right.0));
        prop_assert!(sorted == entries);
        prop_assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_radix_sort_is_that_of_std_whichever_bits_differ(
        words in prop::collection::vec(any::<u64>(), 1..5000),
        mask in prop_oneof![Just(0), Just(u64::MAX), Just(0xff), Just(0xff << 56), Just(1 << 63 | 1), any::<u64>()],
        shared in any::<u64>(),
    ) {
        let word_of = |(word, _): &(u64, usize)| *word;
        let mut items: Vec<(u64, usize)> = words.iter().map(|word| word & mask | shared & !mask).zip(0..).collect();
        let mut expected = items.clone();
        expected.sort_by_key(word_of);
        // What is left of an earlier sort does not matter.
        let mut spare = vec![(7, 7); 100];
        radix::sort_by(&mut items, &mut spare, word_of, Ord::cmp);
        prop_assert!(items == expected);
    }
}

#[test]
fn partitions_fit_into_memory_and_are_seldom_split_whatever_the_order_of_keys() {
    const ENTRIES: u64 = 200_000;
    const MEMORY_BYTES: usize = 1 << 19;
    let directory = TempDir::new().unwrap();
    let scattered = |nth: u64| (nth * 7_919) % ENTRIES;
    let orders: [(&str, &dyn Fn(u64) -> u64); 7] = [
        ("ascending", &|nth| nth),
        ("descending", &|nth| ENTRIES - nth),
        ("scattered", &scattered),
        ("nearly ascending", &|nth| nth + scattered(nth) % 1000),
        ("scattered, behind each other", &|nth| (nth / 20_000) << 32 | scattered(nth)),
        ("mostly one key", &|nth| if nth.is_multiple_of(3) { nth } else { ENTRIES / 2 }),
        ("scattered, in front of each other", &|nth| (u64::MAX - nth / 20_000) << 32 | scattered(nth)),
    ];
    for (name, key_of) in orders {
        let key = |nth| format!("key {:016x}", key_of(nth)).into_bytes();
        let mut first = Entries::default();
        (0..1000).for_each(|nth| first.push(&key(nth), &[0; 8]));
        first.sort();
        let mut partitions = Partitions::of(&first, MEMORY_BYTES, directory.path()).unwrap();
        (1000..ENTRIES).for_each(|nth| partitions.push(&key(nth), &nth.to_be_bytes()).unwrap());
        let bytes = ENTRIES * (2 + 20 + 8);
        assert!(partitions.file_bytes() < 3 * bytes, "{name}: {} of {bytes}", partitions.file_bytes());
        let mut count = 0;
        let largest = |entries: &Entries| {
            assert!(entries.memory_bytes() <= MEMORY_BYTES / 4 * 3 + 100, "{name}: {}", entries.memory_bytes());
            count += entries.iter().count() as u64;
            true
        };
        partitions.for_each(largest).unwrap();
        assert_eq!(count, ENTRIES);
    }
}

#[test]
fn more_entries_of_one_key_than_fit_into_memory_are_sorted() {
    const MEMORY_BYTES: usize = 1 << 18;
    let directory = TempDir::new().unwrap();
    let mut sorter = Sorter::new(MEMORY_BYTES, directory.path());
    let key_of = |nth: u64| if nth.is_multiple_of(3) { nth.to_be_bytes() } else { 90_000u64.to_be_bytes() };
    (0..100_000).for_each(|nth| sorter.push(&key_of(nth), &nth.to_be_bytes()).unwrap());
    let mut sorted = Vec::new();
    sorter
        .for_each(|key, payload, _| {
            sorted.push((key.to_vec(), u64::from_be_bytes(payload.try_into().unwrap())));
            Ok(())
        })
        .unwrap();
    let mut expected: Vec<_> = (0..100_000).map(|nth| (key_of(nth).to_vec(), nth)).collect();
    expected.sort();
    assert!(sorted == expected);
}

#[test]
fn a_directory_that_is_missing_is_named() {
    let directory = TempDir::new().unwrap().path().join("missing");
    let mut sorter = Sorter::new(1, &directory);
    let error = sorter.push(b"a", &[]).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

/// A run of these keys, each with a payload of so many bytes.
fn run_of(file: &mut RunFile, entries: &[(&[u8], usize)]) -> Run {
    let mut writer = file.writer();
    entries.iter().for_each(|(key, len)| writer.push(key, &vec![b'x'; *len]).unwrap());
    let run = writer.finish().unwrap();
    file.add(&run);
    run
}

#[test]
fn long_entries_take_the_memory_that_there_is_for_them_and_give_it_back() {
    const LONG: usize = 1 << 20;
    let mut file = RunFile::create(&std::env::temp_dir()).unwrap();
    let runs = [
        run_of(&mut file, &[(b"a", 1), (b"b", LONG), (b"c", 1), (b"d", LONG)]),
        run_of(&mut file, &[(b"a", LONG), (b"c", LONG), (b"e", 0)]),
    ];
    let merged = |long_bytes| -> io::Result<Vec<(Vec<u8>, usize)>> {
        let mut merge = Merge::new(&runs, long_bytes)?;
        let mut entries = Vec::new();
        while let Some((key, payload)) = merge.next()? {
            entries.push((key.to_vec(), payload.len()));
        }
        Ok(entries)
    };
    let expected = [("a", 1), ("a", LONG), ("b", LONG), ("c", 1), ("c", LONG), ("d", LONG), ("e", 0)];
    let expected: Vec<(Vec<u8>, usize)> = expected.iter().map(|(key, len)| (key.as_bytes().to_vec(), *len)).collect();
    assert_eq!(merged(2 * LONG + 4096).unwrap(), expected);
    assert_eq!(merged(LONG - 4096).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
}

#[test]
fn a_truncated_run_is_an_error() {
    let named = tempfile::NamedTempFile::new().unwrap();
    let mut file = RunFile::of(named.reopen().unwrap());
    let run = run_of(&mut file, &[(b"a", 10), (b"b", 10)]);
    named.as_file().set_len(run.bytes() - 1).unwrap();
    assert_eq!(Merge::new(&[run], 0).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_file_that_takes_nothing_is_an_error() {
    let named = tempfile::NamedTempFile::new().unwrap();
    let file = RunFile::of(std::fs::File::open(named.path()).unwrap());
    for len in [1, 1 << 20] {
        let mut writer = file.writer();
        assert!(writer.push(b"a", &vec![0; len]).and_then(|()| writer.finish()).is_err());
    }
}
