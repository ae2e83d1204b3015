//! Tables that are written as whole pages against the same tables written by INSERT, as SQLite sees both. What a table
//! means, and what a crash leaves behind, is tested elsewhere.

#![allow(clippy::unwrap_used, reason = "clippy knows tests by their attribute, which helpers do not have")]

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use feedmill::chunk::{Column, ColumnBuilder, ColumnView, DataType, Scalar, Selection};
use feedmill::error::Result;
use feedmill::sink::{KeyState, LoadLedger, Mode, Sink, SqliteOptions, SqliteSink, TableId, TableLayout, Writer};
use proptest::prelude::*;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use tempfile::TempDir;

const TYPES: [DataType; 9] = [
    DataType::Text,
    DataType::Integer,
    DataType::Decimal { precision: 18, scale: 0 },
    DataType::Decimal { precision: 18, scale: 3 },
    DataType::Decimal { precision: 18, scale: 18 },
    DataType::Double,
    DataType::Date,
    DataType::Timestamp,
    DataType::Boolean,
];

/// How many bytes of long texts a table has at most; what is tested is where they end, not how many there are.
const LONG_BYTES: usize = 2 << 20;

const STATEMENTS: usize = 1000;

/// A table to write.
#[derive(Debug, Clone)]
struct Table {
    types: Vec<DataType>,
    /// The places of the key's columns, in the order of the key.
    key: Vec<usize>,
    rows: usize,
    /// Whether it is a load, whose rows stay as they came, or a table whose rows end up in the order of the key.
    is_load: bool,
    without_rowid: bool,
    /// Texts are mostly short, and sometimes up to this long.
    text_max: usize,
    seed: u64,
}

/// The database that the tables are added to.
#[derive(Debug, Clone, Copy)]
struct Base {
    page_size: usize,
    reserved: usize,
    has_wal: bool,
}

/// What must not matter.
#[derive(Debug, Clone, Copy)]
struct Manner {
    rows_per_call: usize,
    sort_bytes: usize,
    cache_bytes: usize,
    /// One run for each table, or one for all of them, whose rows come in turns.
    in_one_run: bool,
}

/// Values that are likely to be stored wrongly.
struct Values {
    random: Xoshiro256PlusPlus,
    text_max: usize,
    long_bytes: usize,
}

impl Values {
    fn new(seed: u64, text_max: usize) -> Self {
        Values { random: Xoshiro256PlusPlus::seed_from_u64(seed), text_max, long_bytes: LONG_BYTES }
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random.next_u64() % end as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// A value of a type, never NULL. Those of a key differ in the database if they differ here, except in the sign of
    /// zero.
    fn value(&mut self, data_type: DataType, is_key: bool) -> Scalar {
        let is_odd = self.below(50) == 0 && !is_key;
        match data_type {
            DataType::Text => Scalar::Text(self.text().into()),
            DataType::Integer => Scalar::Int(self.integer()),
            // Up to 15 digits every number is another double.
            DataType::Decimal { .. } if self.below(8) > 0 => Scalar::Int(self.integer() % 1_000_000_000_000_000),
            DataType::Decimal { .. } => Scalar::Int(self.one_of(&[999_999_999_999_999_999, -999_999_999_999_999_999])),
            DataType::Double => Scalar::Double(self.double()),
            // What has no year of four digits is an empty text.
            DataType::Date | DataType::Timestamp if is_odd => {
                Scalar::Int(self.one_of(&[i64::MIN, i64::MAX, 2_932_897]))
            }
            DataType::Date => Scalar::Int(self.below(3_652_425) as i64 - 719_528),
            DataType::Timestamp => {
                let day = self.below(3_652_425) as i64 - 719_528;
                let fraction = self.one_of(&[0, 1, 999_999]);
                Scalar::Int(day * 86_400_000_000 + self.below(86_400) as i64 * 1_000_000 + fraction)
            }
            DataType::Boolean => Scalar::Bool(self.below(2) == 1),
        }
    }

    fn value_or_null(&mut self, data_type: DataType, is_key: bool) -> Scalar {
        if self.below(if is_key { 24 } else { 8 }) == 0 { Scalar::Null } else { self.value(data_type, is_key) }
    }

    fn integer(&mut self) -> i64 {
        let edge = self.one_of(&[0, 1, 7, 8, 15, 16, 23, 24, 31, 32, 47, 48, 63]);
        let near = (1i64 << edge).wrapping_add(self.below(3) as i64 - 1);
        match self.below(4) {
            0 => near,
            1 => near.wrapping_neg(),
            2 => self.random.next_u64() as i64 >> self.below(64),
            _ => self.below(1000) as i64 - 500,
        }
    }

    fn double(&mut self) -> f64 {
        match self.below(4) {
            0 => self.integer() as f64,
            1 => self.integer() as f64 / 8.0,
            2 => self.one_of(&[0.0, -0.0, 0.1, 1e18, -1e19, 2.5e300, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324]),
            _ => match f64::from_bits(self.random.next_u64()) {
                value if value.is_finite() => value,
                _ => 0.5,
            },
        }
    }

    fn text(&mut self) -> Vec<u8> {
        let letters = [0, 1, b'a', b'b', b'z', 0x7f];
        let edge = self.text_max.saturating_sub(self.below(64));
        let long = if self.below(2) == 0 { edge } else { self.below(self.text_max + 1) };
        let (len, is_any) = match self.below(16) {
            0 => return Vec::new(),
            1 => return "\u{e9}\u{0}\u{10ffff}".into(),
            2 | 3 if long <= self.long_bytes => (long, false),
            _ => (self.below(12), true),
        };
        if is_any {
            return (0..len).map(|_| self.one_of(&letters)).collect();
        }
        self.long_bytes -= len;
        let mut text = vec![self.one_of(&letters); len];
        // Long keys differ at their ends.
        text.extend(self.below(1 << 20).to_string().bytes());
        text
    }
}

impl Table {
    fn layout(&self, name: &str) -> TableLayout {
        TableLayout {
            name: name.to_owned(),
            columns: (0..).zip(&self.types).map(|(place, data_type)| (column(place), Some(*data_type))).collect(),
            primary_key: self.key_names(),
            without_rowid: self.without_rowid,
            definition: "as generated".to_owned(),
            ..TableLayout::default()
        }
    }

    fn key_names(&self) -> Vec<String> {
        self.key.iter().copied().map(column).collect()
    }

    /// What tells its rows apart, in SQL.
    fn identity(&self) -> String {
        if self.without_rowid { self.key_names().join(", ") } else { "rowid".to_owned() }
    }

    fn row(&self, values: &mut Values) -> Vec<Scalar> {
        let value = |(place, data_type): (usize, &DataType)| match self.key.contains(&place) {
            true if self.without_rowid => values.value(*data_type, true),
            is_key => values.value_or_null(*data_type, is_key),
        };
        self.types.iter().enumerate().map(value).collect()
    }

    /// The rows; no two have the same key, but for those with a NULL in it.
    fn rows(&self) -> Vec<Vec<Scalar>> {
        let mut values = Values::new(self.seed, self.text_max);
        let mut keys = HashSet::new();
        let mut rows: Vec<Vec<Scalar>> = (0..self.rows).map(|_| self.row(&mut values)).collect();
        rows.retain(|row| {
            let of_key = |place: &usize| match &row[*place] {
                Scalar::Double(value) => Scalar::Double(value + 0.0),
                value => value.clone(),
            };
            let key: Vec<Scalar> = self.key.iter().map(of_key).collect();
            // The order of rows whose keys are alike, which SQLite may change when it sorts them, is not compared.
            let may_repeat = key.is_empty() || self.is_load && key.contains(&Scalar::Null);
            may_repeat || keys.insert(format!("{key:?}"))
        });
        rows
    }
}

impl Base {
    /// Makes the database, with a table of somebody else and pages that are free.
    fn make(self, path: &Path) {
        let Base { page_size, reserved, has_wal } = self;
        let empty = format!("PRAGMA page_size = {page_size}; CREATE TABLE x (a); DROP TABLE x; VACUUM");
        Connection::open(path).unwrap().execute_batch(&empty).unwrap();
        // SQLite has no statement for it: the bytes that are not used at the end of a page, and where the cells of the
        // first page, which has none, would end.
        let mut bytes = fs::read(path).unwrap();
        assert_eq!(bytes.len(), page_size);
        bytes[20] = reserved as u8;
        bytes[105..107].copy_from_slice(&((page_size - reserved) as u16).to_be_bytes());
        fs::write(path, bytes).unwrap();
        let theirs = Connection::open(path).unwrap();
        let fill = format!(
            "PRAGMA synchronous = OFF; PRAGMA journal_mode = {}; \
             CREATE TABLE theirs (a, b UNIQUE); CREATE TABLE gone (a); BEGIN; \
             WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 50) \
             INSERT INTO theirs SELECT n, 'row ' || n FROM n; \
             INSERT INTO gone SELECT randomblob(1000) FROM theirs; DROP TABLE gone; COMMIT",
            if has_wal { "WAL" } else { "DELETE" }
        );
        theirs.execute_batch(&fill).unwrap();
        assert_sound(&theirs);
        assert!(theirs.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0)).unwrap() > 0);
    }
}

fn column(place: usize) -> String {
    format!("c{place}")
}

/// Makes tables in a sink and writes their rows, in turns, in all the forms that a call may have.
fn write(path: &Path, tables: &[(String, &Table)], manner: Manner, writer: Writer) -> Result<()> {
    let Manner { rows_per_call, sort_bytes, cache_bytes, .. } = manner;
    let options = SqliteOptions { writer, sort_bytes, cache_bytes, ..SqliteOptions::default() };
    let mut sink = SqliteSink::open(path, &options)?;
    sink.begin()?;
    let mut waiting = Vec::new();
    for (name, table) in tables {
        let layout = table.layout(name);
        let (id, key) = if table.is_load {
            let load = sink.open_load(&layout)?;
            (load.table, load.key)
        } else {
            (sink.create_table(&layout)?, KeyState::Unkeyed)
        };
        waiting.push((*table, id, key, table.rows()));
    }
    let calls = waiting.iter().map(|(_, _, _, rows)| rows.len().div_ceil(rows_per_call)).max().unwrap_or(0);
    for call in 0..calls {
        for (table, id, _, rows) in &waiting {
            if let Some(rows) = rows.chunks(rows_per_call).nth(call) {
                write_rows(&mut sink, table, *id, rows, call)?;
            }
        }
    }
    for (_, id, key, _) in &waiting {
        if *key == KeyState::Deferred {
            sink.build_key(*id)?;
        }
    }
    for (table, id, _, _) in &waiting {
        if table.is_load {
            sink.write_ledger(*id, &LoadLedger { load: 1, is_finished: true, ..LoadLedger::default() })?;
        }
    }
    sink.commit()
}

/// Writes rows as they are, or encoded, or among others that are not selected.
fn write_rows(sink: &mut SqliteSink, table: &Table, id: TableId, rows: &[Vec<Scalar>], call: usize) -> Result<()> {
    let (is_encoded, has_others) = (call & 1 == 1, call & 2 == 2);
    let len = rows.len() as u32;
    let selection = if has_others {
        Selection::Rows((0..len).map(|row| 2 * row + 1).collect())
    } else {
        Selection::All(rows.len())
    };
    let row_at = |at: u32| if has_others { at / 2 } else { at };
    let places = if has_others { 2 * len } else { len };
    // The other way round, so that an entry and its row have different numbers.
    let codes: Vec<u32> =
        (0..places).map(|at| if has_others && at & 1 == 0 { 0 } else { len - 1 - row_at(at) }).collect();
    let columns: Vec<Column> = (0..table.types.len())
        .map(|place| {
            let mut builder = ColumnBuilder::new(table.types[place].physical(), rows.len());
            if is_encoded {
                rows.iter().rev().for_each(|row| builder.push(row[place].as_cell()));
            } else {
                (0..places).for_each(|at| builder.push(rows[row_at(at) as usize][place].as_cell()));
            }
            builder.finish()
        })
        .collect();
    let view = |column| match is_encoded {
        true => ColumnView::Encoded { codes: &codes, entries: column, generation: 0 },
        false => ColumnView::Rows(column),
    };
    let views: Vec<ColumnView<'_>> = columns.iter().map(view).collect();
    Ok(sink.rows(id, &views, &selection)?)
}

/// Asserts that SQLite finds nothing wrong.
#[track_caller]
fn assert_sound(database: &Connection) {
    assert_eq!(query(database, "PRAGMA integrity_check"), [[Value::Text("ok".to_owned())]]);
    assert_eq!(query(database, "PRAGMA foreign_key_check").len(), 0);
}

fn query(database: &Connection, sql: &str) -> Vec<Vec<Value>> {
    query_with(database, sql, &[])
}

fn query_with(database: &Connection, sql: &str, parameters: &[Value]) -> Vec<Vec<Value>> {
    let mut statement = database.prepare_cached(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    let width = statement.column_count();
    let rows = statement.query_map(params_from_iter(parameters), |row| (0..width).map(|at| row.get(at)).collect());
    rows.unwrap().map(|row| row.unwrap_or_else(|error| panic!("{error}: {sql}"))).collect()
}

/// Asserts that two databases answer alike, and that no zero has another sign.
#[track_caller]
fn same(databases: &[Connection; 2], sql: &str, parameters: &[Value]) -> Vec<Vec<Value>> {
    let [left, right] = databases.each_ref().map(|database| query_with(database, sql, parameters));
    assert_eq!(left.len(), right.len(), "{sql}");
    for (left, right) in left.iter().zip(&right) {
        assert_eq!(left, right, "{sql}");
        for pair in left.iter().zip(right) {
            if let (Value::Real(left), Value::Real(right)) = pair {
                assert_eq!(left.to_bits(), right.to_bits(), "{sql}");
            }
        }
    }
    left
}

/// Asserts that a table is the same in both databases, by rows and by its key.
fn assert_same(databases: &[Connection; 2], name: &str, table: &Table, random: &mut Values) {
    same(databases, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name", &[]);
    same(databases, "SELECT * FROM _feedmill_tables ORDER BY name", &[]);
    let identity = table.identity();
    let rows = same(databases, &format!("SELECT * FROM {name} ORDER BY {identity}"), &[]);
    if table.key.is_empty() {
        return;
    }
    let index = format!("sqlite_autoindex_{name}_1");
    // The other is the index of the key itself.
    let [by_index, by_table] = match table.without_rowid {
        true => [String::new(), String::new()],
        false => [format!("INDEXED BY {index}"), "NOT INDEXED".to_owned()],
    };
    let conditions: Vec<String> = table.key.iter().map(|place| format!("c{place} IS ?")).collect();
    let [found, looked] = [&by_index, &by_table]
        .map(|how| format!("SELECT * FROM {name} {how} WHERE {} ORDER BY {identity}", conditions.join(" AND ")));
    let plan: Vec<String> = databases[0]
        .prepare(&format!("EXPLAIN QUERY PLAN {found}"))
        .unwrap()
        .query_map(params_from_iter(table.key.iter().map(|_| Value::Null)), |row| row.get(3))
        .unwrap()
        .map(|row| row.unwrap())
        .collect();
    let used = if table.without_rowid { "PRIMARY KEY" } else { &index };
    assert!(plan[0].starts_with("SEARCH") && plan[0].contains(used), "{plan:?}");
    for _ in 0..20 {
        // A key that is there, and one that likely is not.
        if !rows.is_empty() {
            let row = &rows[random.below(rows.len())];
            let key: Vec<Value> = table.key.iter().map(|place| row[*place].clone()).collect();
            let alike = same(databases, &found, &key);
            assert!(alike.contains(row), "{key:?} is not in the index");
            assert!(alike.len() == 1 || key.contains(&Value::Null), "{key:?} is not unique");
        }
        let row = table.row(random);
        let key: Vec<Value> = table.key.iter().map(|place| sql_value(&row[*place], table.types[*place])).collect();
        assert_eq!(same(databases, &found, &key), same(databases, &looked, &key));
    }
    let (first, key) = (column(table.key[0]), table.key_names().join(", "));
    for range in [">", "<=", "IS NOT"] {
        let bound = [sql_value(&table.row(random)[table.key[0]], table.types[table.key[0]])];
        // What comes from the index is only in the index.
        let [from_index, from_table] = [&by_index, &by_table].map(|how| {
            let sql = format!("SELECT {key} FROM {name} {how} WHERE {first} {range} ?1 ORDER BY {key}, {identity}");
            same(databases, &sql, &bound)
        });
        assert!(from_index == from_table, "{first} {range} {bound:?}");
    }
}

/// A value for a statement; not what feedmill stores, but of the same type.
fn sql_value(value: &Scalar, data_type: DataType) -> Value {
    match value {
        Scalar::Null => Value::Null,
        Scalar::Int(units) => match data_type {
            DataType::Integer => Value::Integer(*units),
            DataType::Decimal { scale, .. } => Value::Real(*units as f64 / 10f64.powi(i32::from(scale))),
            _ => Value::Text(units.to_string()),
        },
        Scalar::Double(value) => Value::Real(*value),
        Scalar::Bool(value) => Value::Integer(i64::from(*value)),
        Scalar::Text(text) => Value::Text(String::from_utf8(text.to_vec()).unwrap()),
    }
}

/// Does the same at random to a table in both databases: it succeeds in both, or fails for the same reason.
fn change(databases: &[Connection; 2], name: &str, table: &Table, random: &mut Values) {
    let width = table.types.len();
    let insert = format!("INSERT INTO {name} VALUES ({})", vec!["?"; width].join(", "));
    let identity = table.identity();
    // Some rows in a row, from a place on.
    let rows = |count: usize| {
        format!("({identity}) IN (SELECT {identity} FROM {name} ORDER BY {identity} LIMIT {count} OFFSET ?1)")
    };
    for _ in 0..STATEMENTS {
        let row = table.row(random);
        let mut values: Vec<Value> =
            row.iter().zip(&table.types).map(|(value, data_type)| sql_value(value, *data_type)).collect();
        let place = Value::Integer(random.below(table.rows + 20) as i64);
        let (sql, parameters) = match random.below(8) {
            0..=2 => (insert.clone(), values),
            3..=5 => {
                let column = random.below(width);
                (format!("UPDATE {name} SET c{column} = ?2 WHERE {}", rows(1)), vec![place, values.swap_remove(column)])
            }
            6 => (format!("DELETE FROM {name} WHERE {}", rows(1)), vec![place]),
            // Enough of them for pages to be merged.
            _ => (format!("DELETE FROM {name} WHERE {}", rows(9)), vec![place]),
        };
        let [left, right] = databases.each_ref().map(|database| {
            let changed = database.prepare_cached(&sql).unwrap().execute(params_from_iter(&parameters));
            changed.map_err(|error| error.to_string())
        });
        assert_eq!(left, right, "{sql} {parameters:?}");
    }
}

/// Writes tables in both ways and compares; then, if asked to, changes both and compares again.
fn compare(base: Option<Base>, tables: &[Table], manner: Manner, has_changes: bool) {
    let directory = TempDir::new().unwrap();
    let named: Vec<(String, &Table)> = (0..).map(|nth: usize| format!("t{nth}")).zip(tables).collect();
    let databases = [Writer::Bulk, Writer::Insert].map(|writer| {
        let path = directory.path().join(format!("{writer:?}.db"));
        if let Some(base) = base {
            base.make(&path);
        }
        for run in named.chunks(if manner.in_one_run { named.len() } else { 1 }) {
            write(&path, run, manner, writer).unwrap();
        }
        let database = Connection::open(path).unwrap();
        database.execute_batch("PRAGMA synchronous = OFF").unwrap();
        database
    });
    let mut random = Values::new(tables[0].seed ^ 1, tables[0].text_max);
    let assert_same = |random: &mut Values| {
        databases.iter().for_each(assert_sound);
        named.iter().for_each(|(name, table)| assert_same(&databases, name, table, random));
        if base.is_some() {
            same(&databases, "SELECT rowid, * FROM theirs ORDER BY b", &[]);
        }
    };
    assert_same(&mut random);
    databases.iter().for_each(|database| database.execute_batch("ANALYZE").unwrap());
    same(&databases, "SELECT * FROM sqlite_stat1 ORDER BY tbl, idx", &[]);
    if has_changes {
        databases.iter().for_each(|database| database.execute_batch("BEGIN").unwrap());
        named.iter().for_each(|(name, table)| change(&databases, name, table, &mut random));
        databases.iter().for_each(|database| database.execute_batch("COMMIT").unwrap());
        assert_same(&mut random);
    }
    databases.iter().for_each(|database| database.execute_batch("VACUUM").unwrap());
    assert_same(&mut random);
}

fn base() -> impl Strategy<Value = Option<Base>> {
    let made = (9u32..=16, prop_oneof![2 => Just(0usize), 1 => 1usize..=32, 1 => Just(255)], any::<bool>());
    let made = made.prop_map(|(shift, reserved, has_wal)| {
        let page_size = 1 << shift;
        // SQLite demands 480 bytes.
        Some(Base { page_size, reserved: reserved.min(page_size - 480), has_wal })
    });
    prop_oneof![1 => Just(None), 8 => made]
}

/// Tables for pages of that size.
fn table(page_size: usize, rows_max: usize) -> impl Strategy<Value = Table> {
    let types = prop_oneof![9 => prop::collection::vec(prop::sample::select(&TYPES[..]), 1..=12),
        1 => prop::collection::vec(prop::sample::select(&TYPES[..]), 100..=140)];
    let rows = prop_oneof![1 => 0usize..=1, 1 => 2usize..40, 3 => 40usize..=rows_max];
    // A quarter of a page is about what an entry of an index may have there, and a page what a row may.
    let text_max = prop::sample::select(vec![20, page_size / 4, page_size, 4 * page_size]);
    let key = prop::collection::vec(any::<prop::sample::Index>(), 0..=3);
    let ways = (any::<bool>(), prop::bool::weighted(0.3));
    (types, key, rows, ways, text_max, any::<u64>()).prop_map(
        |(types, key, rows, (is_load, without_rowid), text_max, seed)| {
            let without_rowid = without_rowid && !key.is_empty();
            let mut places: Vec<usize> = Vec::new();
            for place in key.into_iter().map(|index| index.index(types.len())) {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            let rows = if types.len() > 12 { rows / 8 } else { rows };
            Table { types, key: places, rows, is_load, without_rowid, text_max, seed }
        },
    )
}

fn manner() -> impl Strategy<Value = Manner> {
    let sort_bytes = prop_oneof![Just(1usize), Just(10_000), Just(32 << 20)];
    let cache_bytes = prop_oneof![Just(64usize << 10), Just(4 << 20)];
    (1usize..400, sort_bytes, cache_bytes, any::<bool>()).prop_map(
        |(rows_per_call, sort_bytes, cache_bytes, in_one_run)| Manner {
            rows_per_call,
            sort_bytes,
            cache_bytes,
            in_one_run,
        },
    )
}

fn case(rows_max: usize) -> impl Strategy<Value = (Option<Base>, Vec<Table>, Manner)> {
    (base(), manner()).prop_flat_map(move |(base, manner)| {
        let page_size = base.map_or(16_384, |base| base.page_size);
        let tables = prop::collection::vec(table(page_size, rows_max), 1..=2);
        (Just(base), tables, Just(manner))
    })
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(100))]
    #[test]
    fn a_table_of_pages_is_one_that_was_inserted((base, tables, manner) in case(3000)) {
        compare(base, &tables, manner, false);
    }
}

proptest! {
    #![proptest_config(cases(24))]
    #[test]
    fn a_table_of_pages_can_be_changed_as_one_that_was_inserted((base, tables, manner) in case(2000)) {
        compare(base, &tables, manner, true);
    }
}

/// A load of `rows` rows of one text of so many bytes, which is the key if it has one.
fn texts(rows: usize, bytes: usize, is_keyed: bool) -> (Table, Column) {
    let mut column = ColumnBuilder::new(DataType::Text.physical(), rows);
    (0..rows).for_each(|row| column.push(Scalar::Text(format!("{row:0bytes$}").into_bytes().into()).as_cell()));
    let key = if is_keyed { vec![0] } else { Vec::new() };
    let table =
        Table { types: vec![DataType::Text], key, rows, is_load: false, without_rowid: false, text_max: 0, seed: 0 };
    (table, column.finish())
}

#[test]
fn trees_of_every_size_are_whole() {
    // 480 bytes hold four of the longest entries that have no overflow page, and 20 pairs of a child and a rowid;
    // shorter ones fill pages to the last byte at one length or another.
    let base = Base { page_size: 512, reserved: 32, has_wal: false };
    for bytes in [94, 91, 60, 33, 8] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("out.db");
        base.make(&path);
        let counts: Vec<usize> = (0..130).chain(530..560).chain([2000]).collect();
        let mut sink =
            SqliteSink::open(&path, &SqliteOptions { writer: Writer::Bulk, ..SqliteOptions::default() }).unwrap();
        sink.begin().unwrap();
        for rows in &counts {
            let (table, column) = texts(*rows, bytes, true);
            let id = sink.create_table(&table.layout(&format!("t{rows}"))).unwrap();
            sink.rows(id, &[ColumnView::Rows(&column)], &Selection::All(*rows)).unwrap();
        }
        sink.commit().unwrap();
        let database = Connection::open(&path).unwrap();
        assert_sound(&database);
        for rows in counts {
            for how in ["NOT INDEXED", &format!("INDEXED BY sqlite_autoindex_t{rows}_1")] {
                let sql =
                    format!("SELECT c0 FROM t{rows} {how} ORDER BY {}", if how.len() < 12 { "rowid" } else { "c0" });
                let found = query(&database, &sql);
                let row = |row: usize| vec![Value::Text(format!("{row:0bytes$}"))];
                assert!(
                    found.len() == rows && (0..rows).all(|at| found[at] == row(at)),
                    "{rows} rows, {bytes} bytes: {how}"
                );
            }
        }
    }
}

/// Writes a table of texts, whose keys these are, or not.
fn write_texts(path: &Path, writer: Writer, is_load: bool, keys: &[Option<&str>]) -> Result<()> {
    let (table, _) = texts(0, 0, true);
    let mut sink = SqliteSink::open(path, &SqliteOptions { writer, ..SqliteOptions::default() })?;
    sink.begin()?;
    let layout = table.layout("t");
    let id = if is_load { sink.open_load(&layout)?.table } else { sink.create_table(&layout)? };
    let mut column = ColumnBuilder::new(DataType::Text.physical(), keys.len());
    for key in keys {
        column.push(key.map_or(Scalar::Null, |key| Scalar::Text(key.as_bytes().into())).as_cell());
    }
    sink.rows(id, &[ColumnView::Rows(&column.finish())], &Selection::All(keys.len()))?;
    if is_load {
        sink.build_key(id)?;
    }
    sink.commit()
}

#[test]
fn equal_keys_are_an_error_whichever_way_they_are_written() {
    for is_load in [false, true] {
        let directory = TempDir::new().unwrap();
        let keys = [Some("b"), Some("a"), None, Some("c"), Some("a"), None, Some("b")];
        let [bulk, insert] = [Writer::Bulk, Writer::Insert].map(|writer| {
            let error = write_texts(&directory.path().join("out.db"), writer, is_load, &keys).unwrap_err();
            assert_eq!(directory.path().read_dir().unwrap().count(), 0);
            error.to_string()
        });
        assert!(bulk.contains("c0 = 'a'"), "{bulk}");
        assert_eq!(bulk, insert);
    }
}

#[test]
fn keys_with_a_null_are_never_equal() {
    for is_load in [false, true] {
        let directory = TempDir::new().unwrap();
        for writer in [Writer::Bulk, Writer::Insert] {
            let path = directory.path().join(format!("{writer:?}.db"));
            write_texts(&path, writer, is_load, &[None, Some("a"), None, Some(""), None]).unwrap();
            let database = Connection::open(path).unwrap();
            assert_sound(&database);
            let nulls = query(&database, "SELECT count(*) FROM t INDEXED BY sqlite_autoindex_t_1 WHERE c0 IS NULL");
            assert_eq!(nulls, [[Value::Integer(3)]], "{writer:?}");
        }
    }
}

/// Makes a database of so many pages, all free but two, which takes hardly any room on the disk.
fn make_long(path: &Path, page_size: usize, pages: u32) {
    let empty = format!("PRAGMA page_size = {page_size}; CREATE TABLE x (a); DROP TABLE x; VACUUM");
    Connection::open(path).unwrap().execute_batch(&empty).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(u64::from(pages) * page_size as u64).unwrap();
    // The second page is the trunk of the list of free pages, and all others are leaves, which nobody looks at.
    let leaves = pages - 2;
    assert!(leaves as usize <= page_size / 4 - 2);
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    file.write_all_at(&words(&[pages, 2, leaves + 1]), 28).unwrap();
    let trunk: Vec<u32> = [0, leaves].into_iter().chain(3..=pages).collect();
    file.write_all_at(&words(&trunk), page_size as u64).unwrap();
    assert_sound(&Connection::open(path).unwrap());
}

#[test]
fn the_page_at_one_gibibyte_stays_empty() {
    const PAGE_SIZE: usize = 65_536;
    const LOCK_BYTE_PAGE: u32 = (1 << 30) / PAGE_SIZE as u32 + 1;
    // It is one of the first pages, which is the last one of a call or the first, or one in a chain.
    for pages_before in [1, 2, 3, 12] {
        for is_load in [false, true] {
            let directory = TempDir::new().unwrap();
            let path = directory.path().join("out.db");
            make_long(&path, PAGE_SIZE, LOCK_BYTE_PAGE - pages_before);
            let (types, key) = (vec![DataType::Text, DataType::Integer], vec![1]);
            let table =
                Table { types, key, rows: 200, is_load, without_rowid: false, text_max: 5 * PAGE_SIZE, seed: 7 };
            let manner = Manner { rows_per_call: 3, sort_bytes: 1 << 20, cache_bytes: 1 << 20, in_one_run: true };
            write(&path, &[("t".to_owned(), &table)], manner, Writer::Bulk).unwrap();

            let mut lock_byte_page = vec![1; PAGE_SIZE];
            File::open(&path).unwrap().read_exact_at(&mut lock_byte_page, 1 << 30).unwrap();
            assert!(lock_byte_page.iter().all(|byte| *byte == 0), "something lies on the page of the locks");
            let long = Connection::open(&path).unwrap();
            assert_sound(&long);
            assert!(long.query_row("PRAGMA page_count", [], |row| row.get::<_, u32>(0)).unwrap() > LOCK_BYTE_PAGE);
            let short = directory.path().join("short.db");
            write(&short, &[("t".to_owned(), &table)], manner, Writer::Insert).unwrap();
            let rows = same(&[long, Connection::open(short).unwrap()], "SELECT rowid, * FROM t ORDER BY rowid", &[]);
            assert!(rows.len() > 100);
        }
    }
}

#[test]
fn what_is_committed_in_batches_is_at_its_path_from_the_start() {
    for (mode, writer, is_beside) in [
        (Mode::Upsert, Writer::Auto, false),
        (Mode::Upsert, Writer::Bulk, false),
        (Mode::Create, Writer::Insert, false),
        (Mode::Create, Writer::Auto, true),
    ] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("out.db");
        let options = SqliteOptions { mode, writer, ..SqliteOptions::default() };
        let mut sink = SqliteSink::open(&path, &options).unwrap();
        sink.begin().unwrap();
        assert_eq!(path.exists(), !is_beside, "{mode:?} {writer:?}");
    }
}
