//! The laws of merging and the results themselves, for every aggregate of every type: against the same rows in another
//! order, cut and shape, and against an oracle that keeps all rows.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::aggregate::{Aggregate, AggregateFunction, AggregationState, Damaged, Groups, Overflow, StoredGroup};
use crate::chunk::{Cell, Column, ColumnBuilder, ColumnView, DataType, Scalar, Selection, calendar, decimal};

const DECIMAL: DataType = DataType::Decimal { precision: 18, scale: 2 };

/// One column of each type: row keys are some of them, arguments all.
const TYPES: [DataType; 7] = [
    DataType::Text,
    DataType::Integer,
    DECIMAL,
    DataType::Double,
    DataType::Date,
    DataType::Timestamp,
    DataType::Boolean,
];

/// Every function of every argument that it is defined for.
fn all_aggregates() -> Vec<(Aggregate, Option<usize>)> {
    use AggregateFunction::{
        Avg, Count, CountDistinct, CountRows, Max, Median, MedianGap, Min, StddevGap, StddevPop, StddevSamp, Sum,
    };
    let mut all = vec![(Aggregate { function: CountRows, argument: DataType::Integer }, None)];
    for (place, argument) in TYPES.into_iter().enumerate() {
        let mut functions = vec![Count, CountDistinct, Min, Max];
        if argument.is_numeric() {
            functions.extend([Sum, Avg, StddevSamp, StddevPop, Median]);
        }
        if argument == DataType::Date {
            functions.extend([MedianGap, StddevGap]);
        }
        all.extend(functions.into_iter().map(|function| (Aggregate { function, argument }, Some(place))));
    }
    all
}

/// A row: a value of each of `TYPES` for the keys, and one for the arguments.
type Row = (Vec<Scalar>, Vec<Scalar>);

fn int(range: std::ops::Range<i64>) -> impl Strategy<Value = Scalar> {
    range.prop_map(Scalar::Int)
}

fn text(pattern: &'static str) -> impl Strategy<Value = Scalar> {
    pattern.prop_map(|text| Scalar::Text(text.into_bytes().into()))
}

fn row(arguments: impl Strategy<Value = Vec<Scalar>>) -> impl Strategy<Value = Row> {
    let keys = (
        text("[ab]{0,2}"),
        prop_oneof![int(-1..2), Just(Scalar::Int(i64::MIN)), Just(Scalar::Int(i64::MAX))],
        int(-2..2),
        prop_oneof![Just(0.0), Just(-0.0), Just(-1.5), Just(f64::MAX)].prop_map(Scalar::Double),
        prop_oneof![int(-1..2), Just(Scalar::Int(-719_528)), Just(Scalar::Int(2_932_896))],
        int(-1..2),
        any::<bool>().prop_map(Scalar::Bool),
    )
        .prop_map(|(a, b, c, d, e, f, g)| vec![a, b, c, d, e, f, g]);
    let nulls = prop::collection::vec(prop::bool::weighted(0.15), 2 * TYPES.len());
    (keys, arguments, nulls).prop_map(|(mut keys, mut arguments, nulls)| {
        let values = keys.iter_mut().chain(&mut arguments);
        values.zip(nulls).filter(|(_, null)| *null).for_each(|(value, _)| *value = Scalar::Null);
        (keys, arguments)
    })
}

/// Arguments from all of the range in which no sum overflows.
fn wild() -> impl Strategy<Value = Vec<Scalar>> {
    let any_double = any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite());
    let doubles = prop_oneof![any_double.prop_map(|value| value.clamp(-1e300, 1e300)), (-1e3..1e3), Just(-0.0)];
    (
        text("\\PC{0,3}"),
        prop_oneof![int(-3..3), int(-1 << 57..1 << 57)],
        int(-999_999_999_999_999_999..999_999_999_999_999_999),
        doubles.prop_map(Scalar::Double),
        int(-719_528..2_932_896),
        any::<i64>().prop_map(Scalar::Int),
        any::<bool>().prop_map(Scalar::Bool),
    )
        .prop_map(|(a, b, c, d, e, f, g)| vec![a, b, c, d, e, f, g])
}

/// Arguments for which plain arithmetic is exact, so that an oracle can use it.
fn tame() -> impl Strategy<Value = Vec<Scalar>> {
    (
        text("[a-c]{0,2}"),
        int(-1000..1000),
        int(-100_000..100_000),
        (-1_000_000..1_000_000i64).prop_map(|units| Scalar::Double(units as f64 / 1024.0)),
        int(0..40),
        int(-5..5),
        any::<bool>().prop_map(Scalar::Bool),
    )
        .prop_map(|(a, b, c, d, e, f, g)| vec![a, b, c, d, e, f, g])
}

/// How rows are handed over: as columns of which all rows are meant, columns of which some are, or encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Whole,
    Selected,
    Encoded,
}

/// An evaluator with a dictionary: some values twice, and every now and then all of them forgotten.
#[derive(Default)]
struct Encoder {
    entries: Vec<Scalar>,
    generation: u64,
    codes: Vec<u32>,
}

impl Encoder {
    fn encode(&mut self, values: impl Iterator<Item = Scalar>) {
        if self.entries.len() > 8 {
            self.entries.clear();
            self.generation += 1;
        }
        self.codes.clear();
        for (row, value) in values.enumerate() {
            let known = self.entries.iter().position(|entry| *entry == value).filter(|_| row % 5 != 4);
            self.codes.push(known.unwrap_or(self.entries.len()) as u32);
            if known.is_none() {
                self.entries.push(value);
            }
        }
    }
}

fn column<'a>(data_type: DataType, values: impl Iterator<Item = &'a Scalar>) -> Column {
    let mut builder = ColumnBuilder::new(data_type.physical(), 0);
    values.for_each(|value| builder.push(value.as_cell()));
    builder.finish()
}

fn types_of(keys: &[usize]) -> Vec<DataType> {
    keys.iter().map(|key| TYPES[*key]).collect()
}

fn empty(keys: &[usize]) -> AggregationState {
    AggregationState::new(&types_of(keys), &all_aggregates())
}

fn encoders(keys: &[usize]) -> Vec<Encoder> {
    (0..keys.len() + TYPES.len()).map(|_| Encoder::default()).collect()
}

fn state(keys: &[usize], rows: &[Row], block: usize, shapes: &[Shape]) -> AggregationState {
    let mut state = empty(keys);
    feed(&mut state, &mut encoders(keys), keys, rows, block, shapes);
    state
}

/// Hands rows over in blocks of `block` rows, in the shapes of `shapes`, in turn.
fn feed(
    state: &mut AggregationState,
    encoders: &mut [Encoder],
    keys: &[usize],
    rows: &[Row],
    block: usize,
    shapes: &[Shape],
) {
    let noise = (vec![Scalar::Null; TYPES.len()], vec![Scalar::Null; TYPES.len()]);
    for (rows, shape) in rows.chunks(block).zip(shapes.iter().cycle()) {
        let rows: Vec<&Row> = match shape {
            Shape::Selected => rows.iter().flat_map(|row| [&noise, row]).collect(),
            Shape::Whole | Shape::Encoded => rows.iter().collect(),
        };
        let selection = match shape {
            Shape::Selected => Selection::Rows((0..rows.len() as u32).filter(|row| row % 2 == 1).collect()),
            Shape::Whole | Shape::Encoded => Selection::All(rows.len()),
        };
        let value = |row: &'_ Row, place: usize| match keys.get(place) {
            Some(key) => row.0[*key].clone(),
            None => row.1[place - keys.len()].clone(),
        };
        let types: Vec<DataType> = types_of(keys).into_iter().chain(TYPES).collect();
        let columns: Vec<Column> = (0..types.len())
            .map(|place| {
                let values: Vec<Scalar> = rows.iter().map(|row| value(row, place)).collect();
                if *shape == Shape::Encoded {
                    encoders[place].encode(values.into_iter());
                    column(types[place], encoders[place].entries.iter())
                } else {
                    column(types[place], values.iter())
                }
            })
            .collect();
        let views: Vec<ColumnView<'_>> = columns
            .iter()
            .zip(&*encoders)
            .map(|(column, encoder)| match shape {
                Shape::Encoded => {
                    ColumnView::Encoded { codes: &encoder.codes, entries: column, generation: encoder.generation }
                }
                Shape::Whole | Shape::Selected => ColumnView::Rows(column),
            })
            .collect();
        state.update(&views[..keys.len()], &views[keys.len()..], &selection);
    }
}

/// All results, as text that is different for different bits.
fn results(state: AggregationState) -> Result<Vec<String>, Overflow> {
    let mut lines = Vec::new();
    for batch in state.finish() {
        let batch = batch?;
        lines.extend((0..batch[0].len()).map(|row| {
            let cells: Vec<String> = batch.iter().map(|column| format!("{:?}", column.get(row))).collect();
            cells.join(" ")
        }));
    }
    Ok(lines)
}

fn some_keys() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![]), Just(vec![0]), Just(vec![1, 6]), prop::collection::vec(0..TYPES.len(), 0..5)]
}

/// Keys, each column once, and an order for them.
fn some_distinct_keys() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    prop::sample::subsequence((0..TYPES.len()).collect::<Vec<_>>(), 0..5)
        .prop_flat_map(|keys| (Just(keys.clone()), Just((0..keys.len()).collect::<Vec<_>>()).prop_shuffle()))
}

fn stored(state: &mut AggregationState, order: &[usize]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut groups = Vec::new();
    let all = state.groups();
    let visited: Result<(), ()> = state.store(order, all, |group| {
        groups.push((group.key.to_vec(), group.state.to_vec()));
        Ok(())
    });
    visited.unwrap();
    groups
}

fn take(state: &mut AggregationState, order: &[usize], groups: &[(Vec<u8>, Vec<u8>)]) {
    let groups: Vec<StoredGroup<'_>> = groups.iter().map(|(key, state)| StoredGroup { key, state }).collect();
    groups.chunks(7).for_each(|groups| state.take_stored(order, groups).unwrap());
}

fn some_shapes() -> impl Strategy<Value = Vec<Shape>> {
    prop::collection::vec(prop_oneof![Just(Shape::Whole), Just(Shape::Selected), Just(Shape::Encoded)], 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn neither_order_nor_cut_nor_shape_nor_merging_can_be_seen(
        keys in some_keys(),
        (rows, shuffled) in prop::collection::vec(row(wild()), 0..60)
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        block in 1..20usize,
        cuts in (0..60usize, 0..60usize),
        shapes in some_shapes(),
    ) {
        let whole = results(state(&keys, &rows, usize::MAX, &[Shape::Whole])).unwrap();
        prop_assert_eq!(&results(state(&keys, &shuffled, block, &shapes)).unwrap(), &whole, "another order and shape");

        let part = |range: std::ops::Range<usize>| state(&keys, &shuffled[range], block, &shapes);
        let (a, b) = (cuts.0.min(cuts.1).min(rows.len()), cuts.0.max(cuts.1).min(rows.len()));
        let (first, second, third) = (part(0..a), part(a..b), part(b..rows.len()));
        let merged = |states: [&AggregationState; 2]| {
            let mut merged = states[0].clone();
            merged.merge(states[1].clone());
            merged
        };
        let left = merged([&merged([&first, &second]), &third]);
        let right = merged([&first, &merged([&second, &third])]);
        let backwards = merged([&third, &merged([&second, &first])]);
        prop_assert_eq!(&results(left.clone()).unwrap(), &whole, "the parts are the whole");
        prop_assert_eq!(&results(right).unwrap(), &whole, "associative");
        prop_assert_eq!(&results(backwards).unwrap(), &whole, "commutative");
        prop_assert_eq!(&results(merged([&left, &empty(&keys)])).unwrap(), &whole, "empty on the right");
        prop_assert_eq!(&results(merged([&empty(&keys), &left])).unwrap(), &whole, "empty on the left");
    }

    #[test]
    fn what_is_stored_and_taken_back_is_what_was_there(
        (keys, order) in some_distinct_keys(),
        rows in prop::collection::vec(row(wild()), 0..60),
        cut in 0..60usize,
        block in 1..20usize,
        shapes in some_shapes(),
    ) {
        let mut whole = state(&keys, &rows, usize::MAX, &[Shape::Whole]);
        let (front, back) = rows.split_at(cut.min(rows.len()));
        let (mut front, mut back) = (state(&keys, front, block, &shapes), state(&keys, back, block, &shapes));
        let mut read = empty(&keys);
        take(&mut read, &order, &stored(&mut front, &order));
        prop_assert_eq!(results(read.clone()).unwrap(), results(front.clone()).unwrap(), "back again");
        take(&mut read, &order, &stored(&mut back, &order));
        take(&mut back, &order, &stored(&mut front, &order));
        prop_assert_eq!(results(read.clone()).unwrap(), results(whole.clone()).unwrap(), "the parts are the whole");
        prop_assert_eq!(results(back.clone()).unwrap(), results(whole.clone()).unwrap(), "in either order");

        let bytes = stored(&mut whole, &order);
        prop_assert!(bytes.is_sorted(), "in the order of the bytes");
        prop_assert_eq!(&stored(&mut read, &order), &bytes, "the same rows give the same bytes");
        prop_assert_eq!(&stored(&mut back, &order), &bytes, "in either order");

        let some = order.len() / 2;
        let prefixes = whole.key_prefixes(&order, some);
        prop_assert!(prefixes.is_sorted() && prefixes.iter().all(|prefix| bytes.iter().any(|(key, _)| key.starts_with(prefix))));
    }

    #[test]
    fn damage_is_told(
        (keys, order) in some_distinct_keys(),
        rows in prop::collection::vec(row(wild()), 1..9),
        cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let (key, bytes) = stored(&mut state(&keys, &rows, 9, &[Shape::Whole]), &order).remove(0);
        let short = &bytes[..cut.index(bytes.len())];
        let long = [&bytes[..], &[0]].concat();
        for damaged in [short, &long] {
            let group = StoredGroup { key: &key, state: damaged };
            prop_assert_eq!(empty(&keys).take_stored(&order, &[group]), Err(Damaged));
        }
        // Whatever the bytes are, they are taken or refused.
        let _ = empty(&keys).take_stored(&order, &[StoredGroup { key: &noise, state: &noise }]);
        let _ = empty(&keys).take_stored(&order, &[StoredGroup { key: &key, state: &noise }]);
    }

    #[test]
    fn a_merged_state_takes_more_rows(
        keys in some_keys(),
        rows in prop::collection::vec(row(wild()), 3..40),
        shapes in some_shapes(),
    ) {
        let whole = results(state(&keys, &rows, usize::MAX, &[Shape::Whole])).unwrap();
        let third = rows.len() / 3;
        let mut encoders = encoders(&keys);
        let mut merged = empty(&keys);
        feed(&mut merged, &mut encoders, &keys, &rows[..third], 5, &[Shape::Encoded]);
        // The larger part comes by merging and from other encoders, whose codes must not outlive it.
        merged.merge(state(&keys, &rows[third + 1..], 5, &shapes));
        feed(&mut merged, &mut encoders, &keys, &rows[third..third + 1], 5, &[Shape::Encoded]);
        prop_assert_eq!(results(merged).unwrap(), whole);
    }

    #[test]
    fn results_are_those_of_an_oracle_that_keeps_all_rows(
        keys in some_keys(),
        rows in prop::collection::vec(row(tame()), 0..60),
        block in 1..20usize,
        shapes in some_shapes(),
    ) {
        let aggregates = all_aggregates();
        let expected = oracle(&keys, &rows);
        let groups: Vec<Vec<Column>> =
            state(&keys, &rows, block, &shapes).finish().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(groups.iter().map(|batch| batch[0].len()).sum::<usize>(), expected.len());
        for (row, (key, values)) in expected.iter().enumerate() {
            let actual: Vec<Cell<'_>> = groups[0].iter().map(|column| column.get(row)).collect();
            let actual_key: Vec<Key> = actual[..keys.len()].iter().map(|cell| Key::of(*cell)).collect();
            prop_assert_eq!(&actual_key, key);
            for (((aggregate, _), expected), actual) in aggregates.iter().zip(values).zip(&actual[keys.len()..]) {
                let near = match (expected, actual) {
                    (Scalar::Double(expected), Cell::Double(actual)) => {
                        // The oracle's deviations round three times, everything else once.
                        let roundings = if matches!(
                            aggregate.function,
                            AggregateFunction::StddevSamp | AggregateFunction::StddevPop | AggregateFunction::StddevGap
                        ) { 2.0 } else { 0.0 };
                        (expected - actual).abs() <= roundings * f64::EPSILON * expected.abs()
                    }
                    (expected, actual) => expected.as_cell() == *actual,
                };
                prop_assert!(near, "{aggregate:?} of {key:?}: expected {expected:?}, got {actual:?}");
            }
        }
    }
}

/// A key, in the order that groups are promised in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Null,
    Int(i64),
    /// Doubles in these tests are whole halves, or the greatest double.
    Double(i128),
    Bool(bool),
    Text(Vec<u8>),
}

impl Key {
    fn of(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Null => Key::Null,
            Cell::Int(value) => Key::Int(value),
            Cell::Double(value) => Key::Double((value * 2.0) as i128),
            Cell::Bool(value) => Key::Bool(value),
            Cell::Text(text) => Key::Text(text.to_vec()),
        }
    }
}

fn oracle(keys: &[usize], rows: &[Row]) -> BTreeMap<Vec<Key>, Vec<Scalar>> {
    let mut groups: BTreeMap<Vec<Key>, Vec<&Row>> = BTreeMap::new();
    if keys.is_empty() {
        groups.insert(vec![], vec![]);
    }
    for row in rows {
        groups.entry(keys.iter().map(|key| Key::of(row.0[*key].as_cell())).collect()).or_default().push(row);
    }
    let result = |rows: &[&Row], aggregate: Aggregate, place: Option<usize>| match place {
        None => Scalar::Int(rows.len() as i64),
        Some(place) => {
            let values = rows.iter().map(|row| row.1[place].clone()).filter(|value| *value != Scalar::Null);
            oracle_of(aggregate, values.collect())
        }
    };
    let results = |rows: Vec<&Row>| {
        all_aggregates().into_iter().map(|(aggregate, place)| result(&rows, aggregate, place)).collect()
    };
    groups.into_iter().map(|(key, rows)| (key, results(rows))).collect()
}

/// What an aggregate of values without NULLs is.
fn oracle_of(aggregate: Aggregate, mut values: Vec<Scalar>) -> Scalar {
    use AggregateFunction::{
        Avg, Count, CountDistinct, CountRows, Max, Median, MedianGap, Min, StddevGap, StddevPop, StddevSamp, Sum,
    };
    let order = |scalar: &Scalar| match scalar {
        Scalar::Double(value) => Key::Int((value * 1024.0) as i64),
        other => Key::of(other.as_cell()),
    };
    values.sort_by_key(order);
    // Numbers as whole units, and how many units make one.
    let units: Vec<i128> = values
        .iter()
        .filter_map(|value| match order(value) {
            Key::Int(units) => Some(i128::from(units)),
            _ => None,
        })
        .collect();
    let unit = match aggregate.argument {
        DataType::Double => 1024,
        other => decimal::pow10(other.scale()),
    };
    let double = |dividend: i128, divisor: i128| Scalar::Double(dividend as f64 / divisor as f64);
    let median = |units: &[i128]| double(units[(units.len() - 1) / 2] + units[units.len() / 2], 2 * unit);
    let deviation = |units: &[i128], divisor: usize| {
        let (count, sum) = (units.len() as i128, units.iter().sum::<i128>());
        let scaled = count * units.iter().map(|value| value * value).sum::<i128>() - sum * sum;
        Scalar::Double((scaled as f64 / (count * divisor as i128 * unit * unit) as f64).sqrt())
    };
    let mut gaps: Vec<i128> = units.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    match (aggregate.function, values.len()) {
        (CountRows | Count, count) => Scalar::Int(count as i64),
        (CountDistinct, _) => {
            values.dedup();
            Scalar::Int(values.len() as i64)
        }
        (_, 0) | (StddevSamp | MedianGap | StddevGap, 1) => Scalar::Null,
        (Min, _) => values[0].clone(),
        (Max, last) => values[last - 1].clone(),
        (Sum, _) if aggregate.argument == DataType::Integer => Scalar::Int(units.iter().sum::<i128>() as i64),
        (Sum, _) => double(units.iter().sum(), unit),
        (Avg, count) => double(units.iter().sum(), count as i128 * unit),
        (StddevSamp, count) => deviation(&units, count - 1),
        (StddevPop, count) => deviation(&units, count),
        (Median, _) => median(&units),
        (MedianGap, _) => median(&gaps),
        (StddevGap, _) => deviation(&gaps, gaps.len()),
    }
}

/// A state with one INTEGER argument and a DATE and a TEXT key, whose rows are given.
fn sums(rows: &[(i64, &str, i64)], argument: DataType) -> AggregationState {
    let sum = Aggregate { function: AggregateFunction::Sum, argument };
    let rows_of = Aggregate { function: AggregateFunction::CountRows, argument: DataType::Integer };
    let mut state =
        AggregationState::new(&[DataType::Date, DataType::Text], &[(rows_of, None), (sum, Some(0)), (sum, Some(0))]);
    let dates: Vec<Scalar> = rows.iter().map(|row| Scalar::Int(row.0)).collect();
    let texts: Vec<Scalar> = rows.iter().map(|row| Scalar::Text(row.1.as_bytes().into())).collect();
    let values: Vec<Scalar> = rows.iter().map(|row| Scalar::Int(row.2)).collect();
    let columns =
        [column(DataType::Date, dates.iter()), column(DataType::Text, texts.iter()), column(argument, values.iter())];
    let views: Vec<ColumnView<'_>> = columns.iter().map(ColumnView::Rows).collect();
    state.update(&views[..2], &views[2..], &Selection::All(rows.len()));
    state
}

#[test]
fn a_sum_that_does_not_fit_names_the_first_group_and_aggregate() {
    let day = calendar::parse_date(b"2025-10-01").unwrap();
    let rows = [(day, "b", i64::MAX), (day, "b", 1), (day, "a", i64::MAX), (day, "a", 1), (day, "a", -1)];
    let overflow = results(sums(&rows, DataType::Integer)).unwrap_err();
    assert_eq!((overflow.aggregate, overflow.data_type), (1, DataType::Integer));
    assert_eq!(overflow.named("total").to_string(), "total is too large for INTEGER in the group (2025-10-01, 'b')");
    assert!(results(sums(&rows[2..], DataType::Integer)).is_ok(), "what comes back into range fits");
    assert!(results(sums(&rows, DECIMAL)).is_ok(), "sums of decimals leave as doubles");
}

#[test]
fn groups_come_in_batches_and_are_all_there() {
    let texts: Vec<String> = (0..Groups::BATCH + 1).map(|number| format!("{:05}", number * 7919 % 10_007)).collect();
    let rows: Vec<(i64, &str, i64)> = texts.iter().map(|text| (0, text.as_str(), 1)).collect();
    let state = sums(&rows, DataType::Integer);
    assert_eq!(state.groups(), Groups::BATCH + 1);
    let groups = state.finish();
    assert_eq!(groups.total(), Groups::BATCH + 1);
    let batches: Vec<Vec<Column>> = groups.map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|batch| batch[1].len()).collect::<Vec<_>>(), [Groups::BATCH, 1]);
    let keys: Vec<String> =
        batches.iter().flat_map(|batch| (0..batch[1].len()).map(|row| format!("{:?}", batch[1].get(row)))).collect();
    assert!(keys.is_sorted());
}

#[test]
fn without_keys_there_is_one_group_even_without_rows() {
    let state = empty(&[]);
    assert_eq!(state.groups(), 1);
    let lines = results(state).unwrap();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("Int(0) Int(0) Int(0) Null Null"), "{}", lines[0]);
    assert_eq!(results(empty(&[0])).unwrap(), Vec::<String>::new());
}

#[test]
fn equal_work_is_done_once() {
    use AggregateFunction::{Avg, Count, CountRows, StddevPop, StddevSamp, Sum};
    let aggregates = [CountRows, Sum, Avg, Avg, StddevSamp, StddevPop, Count]
        .map(|function| (Aggregate { function, argument: DataType::Integer }, (function != CountRows).then_some(0)));
    let mut state = AggregationState::new(&[], &aggregates);
    assert_eq!(state.accumulators.len(), 2, "the deviations' and the count's");
    assert_eq!([state.tally.slot(None), state.tally.slot(Some(0)), state.tally.slot(Some(1))], [0, 1, 2]);
}

#[test]
fn memory_grows_with_groups_and_texts() {
    let texts: Vec<String> = (0..10_000).map(|number| format!("{number:0100}")).collect();
    let rows: Vec<(i64, &str, i64)> = texts.iter().map(|text| (0, text.as_str(), 1)).collect();
    let few = sums(&rows[..1], DataType::Integer).memory_bytes();
    let many = sums(&rows, DataType::Integer).memory_bytes();
    assert!(few < 10_000, "{few}");
    // The texts themselves, two words of key, a count of rows, and a sum with its count; at most twice that.
    let least = 10_000 * (100 + 8 + 8 + 16);
    assert!((least..3 * least).contains(&many), "{many}");
}
