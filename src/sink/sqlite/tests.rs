//! What SQLite makes of a sink: types, ledger, locks, failures.

use super::*;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::chunk::{Cell, Column, ColumnBuilder, Scalar, calendar, quoted_name};
use crate::sink::{FailingSink, KeyState, LettersMark, MemberEntry, ScalarFunction};

const DECIMAL: DataType = DataType::Decimal { precision: 18, scale: 3 };
const TYPES: [DataType; 7] = [
    DataType::Text,
    DataType::Integer,
    DECIMAL,
    DataType::Double,
    DataType::Date,
    DataType::Timestamp,
    DataType::Boolean,
];

/// A directory with a path for a database in it, and the means to look at that database.
struct Scene {
    directory: TempDir,
}

impl Scene {
    fn new() -> Self {
        Scene { directory: TempDir::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("out.db")
    }

    fn sink(&self) -> SqliteSink {
        let mut sink = SqliteSink::open(&self.path(), &SqliteOptions::default()).unwrap();
        sink.begin().unwrap();
        sink
    }

    /// What somebody else does to the database.
    fn execute(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    fn rows(&self, sql: &str) -> Vec<Vec<Scalar>> {
        Database::open(&self.path(), &[]).unwrap().query_rows("test", sql, usize::MAX).unwrap().rows
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The whole content of the database: every schema entry, and every row of every table.
    fn content(&self) -> Vec<Vec<Scalar>> {
        let mut content = self.rows("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name");
        for row in self.rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name") {
            let Scalar::Text(name) = &row[0] else { panic!("a name is a text") };
            let name = quoted_name(std::str::from_utf8(name).unwrap());
            content.extend(self.rows(&format!("SELECT rowid, * FROM {name} ORDER BY rowid")));
        }
        content
    }
}

fn layout(name: &str, columns: &[(&str, DataType)], primary_key: &[&str]) -> TableLayout {
    TableLayout {
        name: name.to_owned(),
        columns: columns.iter().map(|(name, data_type)| ((*name).to_owned(), Some(*data_type))).collect(),
        primary_key: primary_key.iter().map(|name| (*name).to_owned()).collect(),
        definition: format!("made for {name}"),
        ..TableLayout::default()
    }
}

fn select(name: &str, primary_key: &[&str]) -> TableLayout {
    layout(name, &[], primary_key)
}

fn column(data_type: DataType, values: &[Scalar]) -> Column {
    let mut builder = ColumnBuilder::new(data_type.physical(), values.len());
    values.iter().for_each(|value| builder.push(value.as_cell()));
    builder.finish()
}

fn integers(values: impl IntoIterator<Item = i64>) -> Column {
    column(DataType::Integer, &values.into_iter().map(Scalar::Int).collect::<Vec<_>>())
}

fn text(value: &str) -> Scalar {
    Scalar::Text(value.as_bytes().into())
}

fn write_all(sink: &mut dyn Sink, table: TableId, columns: &[Column]) -> Result<()> {
    let views: Vec<_> = columns.iter().map(ColumnView::Rows).collect();
    Ok(sink.rows(table, &views, &Selection::All(columns[0].len()))?)
}

/// Makes and publishes a table of one column of integers.
fn publish(scene: &Scene, name: &str, values: &[i64]) -> Result<()> {
    let mut sink = scene.sink();
    let table = sink.create_table(&layout(name, &[("n", DataType::Integer)], &[]))?;
    write_all(&mut sink, table, &[integers(values.iter().copied())])?;
    sink.commit()
}

fn open_error(path: &Path) -> Error {
    SqliteSink::open(path, &SqliteOptions::default()).unwrap_err()
}

fn assert_error(error: &Error, kind: ErrorKind, part: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

fn value(data_type: DataType) -> BoxedStrategy<Scalar> {
    let days = -719_528..=2_932_896i64;
    let valid = match data_type {
        DataType::Text => ".{0,8}".prop_map(|value| text(&value)).boxed(),
        DataType::Integer => any::<i64>().prop_map(Scalar::Int).boxed(),
        DataType::Decimal { .. } => (-10i64.pow(18) + 1..10i64.pow(18)).prop_map(Scalar::Int).boxed(),
        DataType::Double => (-1e300..1e300f64).prop_map(Scalar::Double).boxed(),
        DataType::Date => days.prop_map(Scalar::Int).boxed(),
        DataType::Timestamp => (days, 0..calendar::MICROS_PER_DAY)
            .prop_map(|(day, micros)| Scalar::Int(day * calendar::MICROS_PER_DAY + micros))
            .boxed(),
        DataType::Boolean => any::<bool>().prop_map(Scalar::Bool).boxed(),
    };
    prop_oneof![1 => Just(Scalar::Null), 4 => valid].boxed()
}

/// What SQLite should say, by other means than the sink's.
fn expected(value: &Scalar, data_type: DataType) -> Scalar {
    match (value, data_type) {
        (Scalar::Int(units), DataType::Decimal { scale, .. }) => {
            Scalar::Double(format!("{units}e-{scale}").parse().unwrap())
        }
        (Scalar::Int(days), DataType::Date) => {
            text(&chrono::DateTime::from_timestamp_secs(days * 86_400).unwrap().format("%Y-%m-%d").to_string())
        }
        (Scalar::Int(micros), DataType::Timestamp) => {
            let format = if micros % 1_000_000 == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.6f" };
            text(&chrono::DateTime::from_timestamp_micros(*micros).unwrap().format(format).to_string())
        }
        (Scalar::Bool(value), _) => Scalar::Int(i64::from(*value)),
        (value, _) => value.clone(),
    }
}

fn table_of_values() -> impl Strategy<Value = Vec<Vec<Scalar>>> {
    let row: Vec<_> = TYPES.iter().map(|data_type| value(*data_type)).collect();
    prop::collection::vec(row, 0..130)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_type_goes_in_and_comes_out(
        rows in table_of_values(),
        keep in prop::collection::vec(any::<bool>(), 130),
        is_encoded: bool,
    ) {
        let scene = Scene::new();
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let columns: Vec<_> = names.into_iter().zip(TYPES).collect();
        let mut sink = scene.sink();
        let table = sink.create_table(&layout("t", &columns, &[])).unwrap();
        let backwards: Vec<u32> = (0..rows.len() as u32).rev().collect();
        let columns: Vec<Column> = (0..TYPES.len())
            .map(|index| {
                let values: Vec<_> = rows.iter().map(|row| row[index].clone()).collect();
                let plain = column(TYPES[index], &values);
                if is_encoded { plain.gather(&backwards) } else { plain }
            })
            .collect();
        let views: Vec<_> = columns
            .iter()
            .map(|column| match is_encoded {
                true => ColumnView::Encoded { codes: &backwards, entries: column, generation: 0 },
                false => ColumnView::Rows(column),
            })
            .collect();
        let selection = Selection::from_flags(&keep[..rows.len()]);
        sink.rows(table, &views, &selection).unwrap();
        sink.commit().unwrap();

        let wanted: Vec<Vec<Scalar>> = (rows.iter().zip(&keep).filter(|(_, keep)| **keep))
            .map(|(row, _)| row.iter().zip(TYPES).map(|(value, data_type)| expected(value, data_type)).collect())
            .collect();
        prop_assert_eq!(scene.rows("SELECT * FROM t ORDER BY rowid"), wanted);
    }
}

#[test]
fn columns_are_declared_and_new_files_have_large_pages() {
    let scene = Scene::new();
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let mut sink = scene.sink();
    let columns: Vec<_> = names.into_iter().zip(TYPES).collect();
    sink.create_table(&layout("t", &columns, &["g", "a"])).unwrap();
    sink.commit().unwrap();
    let declared = scene.rows("SELECT group_concat(type || pk, ' ') FROM pragma_table_info('t')");
    assert_eq!(declared, [[text("TEXT2 INTEGER0 REAL0 REAL0 TEXT0 TEXT0 INTEGER1")]]);
    assert_eq!(scene.rows("SELECT page_size FROM pragma_page_size"), [[Scalar::Int(16384)]]);
    assert_eq!(scene.rows("SELECT journal_mode FROM pragma_journal_mode"), [[text("delete")]]);
    assert_eq!(scene.files(), ["out.db"]);
}

#[test]
fn memory_stays_small_and_the_disk_is_waited_for() {
    let scene = Scene::new();
    scene.execute("CREATE TABLE theirs (n)");
    let sink = scene.sink();
    for (pragma, value) in [("cache_size", -16384), ("temp_store", 1), ("synchronous", 2), ("foreign_keys", 0)] {
        let found: i64 = sink.connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap();
        assert_eq!(found, value, "{pragma}");
    }
}

#[test]
fn a_row_may_have_more_columns_than_a_batch_has_parameters_for() {
    let scene = Scene::new();
    let names: Vec<String> = (0..2000).map(|index| format!("c{index}")).collect();
    let columns: Vec<_> = names.iter().map(|name| (name.as_str(), DataType::Integer)).collect();
    let mut sink = scene.sink();
    let table = sink.create_table(&layout("wide", &columns, &[])).unwrap();
    let data: Vec<Column> = (0..2000).map(|index| integers((0..40).map(|row| row * 10_000 + index))).collect();
    write_all(&mut sink, table, &data).unwrap();
    let one_more: Vec<_> = columns.iter().copied().chain([("x", DataType::Text)]).collect();
    let error = sink.create_table(&layout("wider", &one_more, &[])).unwrap_err();
    assert_error(&error, ErrorKind::Pipeline, "cannot make the table `wider`: too many columns");
    sink.commit().unwrap();
    let sums = scene.rows("SELECT count(*), sum(c0), sum(c1999) FROM wide");
    assert_eq!(sums, [[Scalar::Int(40), Scalar::Int(7_800_000), Scalar::Int(7_800_000 + 40 * 1999)]]);
}

#[test]
fn any_name_is_a_name() {
    let scene = Scene::new();
    for name in ["select", "a \"b\" c", "\u{e4}\u{1f600}", "x;--", "a.b", "[x]", "'", "1"] {
        let mut sink = scene.sink();
        let table = sink.create_table(&layout(name, &[(name, DataType::Integer), ("n", DataType::Date)], &[name]));
        write_all(&mut sink, table.unwrap(), &[integers([1]), integers([0])]).unwrap();
        let quoted = quoted_name(name);
        let copy = select(&format!("{name} copy"), &[name]);
        let sql = format!("SELECT {quoted}, n FROM {quoted}");
        assert_eq!(sink.select_into(&copy, &sql).unwrap(), 1, "{name}");
        sink.commit().unwrap();
        assert_eq!(scene.rows(&sql), [[Scalar::Int(1), text("1970-01-01")]], "{name}");
        assert_eq!(scene.rows(&format!("SELECT * FROM {}", quoted_name(&copy.name))).len(), 1, "{name}");
    }
}

#[test]
fn own_tables_are_replaced_and_those_of_others_are_not() {
    let scene = Scene::new();
    publish(&scene, "Sales", &[1, 2, 3]).unwrap();
    publish(&scene, "sales", &[4]).unwrap();
    assert_eq!(scene.rows("SELECT n FROM sales"), [[Scalar::Int(4)]]);
    let ledger = scene.rows("SELECT name, created, definition FROM _feedmill_tables");
    assert_eq!(ledger, [[text("sales"), text("CREATE TABLE \"sales\" (\"n\" INTEGER)"), text("made for sales")]]);

    for theirs in [
        "CREATE TABLE theirs (n)",
        "CREATE VIEW theirs AS SELECT 1 AS n",
        "DROP TABLE sales; CREATE TABLE sales (mine)",
        "ALTER TABLE sales ADD COLUMN note",
    ] {
        let scene = Scene::new();
        publish(&scene, "sales", &[1]).unwrap();
        scene.execute(theirs);
        let name = if theirs.contains("theirs") { "THEIRS" } else { "sales" };
        let before = scene.content();
        let error = publish(&scene, name, &[5]).unwrap_err();
        assert_error(&error, ErrorKind::Output, "feedmill did not make it");
        assert!(error.help_text().is_some());
        assert_eq!(scene.content(), before, "{theirs}");

        let options = SqliteOptions { mode: Mode::Replace, ..SqliteOptions::default() };
        let mut sink = SqliteSink::open(&scene.path(), &options).unwrap();
        sink.begin().unwrap();
        sink.create_table(&layout(name, &[("n", DataType::Integer)], &[])).unwrap();
        sink.commit().unwrap();
        assert_eq!(scene.rows(&format!("SELECT * FROM {name}")).len(), 0, "{theirs}");
    }
}

#[test]
fn the_ledger_is_no_table_to_publish() {
    let scene = Scene::new();
    let error = publish(&scene, "_Feedmill_Tables", &[1]).unwrap_err();
    assert_error(&error, ErrorKind::Pipeline, "feedmill's own");
}

#[test]
fn replacing_a_table_does_not_cascade() {
    let scene = Scene::new();
    let mut sink = scene.sink();
    let table = sink.create_table(&layout("parent", &[("id", DataType::Integer)], &["id"])).unwrap();
    write_all(&mut sink, table, &[integers([1, 2])]).unwrap();
    sink.commit().unwrap();
    scene.execute("CREATE TABLE child (id REFERENCES parent ON DELETE CASCADE); INSERT INTO child VALUES (1), (2)");
    let mut sink = scene.sink();
    sink.create_table(&layout("parent", &[("id", DataType::Integer)], &["id"])).unwrap();
    sink.commit().unwrap();
    assert_eq!(scene.rows("SELECT count(*) FROM child"), [[Scalar::Int(2)]]);
}

#[test]
fn equal_runs_leave_equal_content() {
    let contents: Vec<_> = (0..2)
        .map(|_| {
            let scene = Scene::new();
            run_everything(&mut scene.sink()).unwrap();
            scene.content()
        })
        .collect();
    assert_eq!(contents[0], contents[1]);
}

/// A run that uses every method, behind `begin`.
fn run_everything(sink: &mut dyn Sink) -> Result<()> {
    let keyed = sink.create_table(&layout("sales", &[("n", DataType::Integer)], &["n"]))?;
    let staged = sink.stage("groups", &[Field::new("day", DataType::Date), Field::new("n", DataType::Integer)])?;
    write_all(sink, keyed, &[integers((0..120).rev())])?;
    write_all(sink, staged, &[integers([1, 2]), integers([10, 20])])?;
    write_all(sink, keyed, &[integers(200..210)])?;
    let mut finished = select("daily", &["day"]);
    finished.columns = vec![("day".to_owned(), Some(DataType::Date)), ("share".to_owned(), None)];
    assert_eq!(sink.select_into(&finished, "SELECT day, n * 1.0 / sum(n) OVER () FROM groups")?, 2);
    sink.select_into(&select("both", &[]), "SELECT day, count(*) AS c FROM daily, sales GROUP BY day -- end")?;
    sink.commit()
}

#[test]
fn a_failure_at_any_call_leaves_the_old_content() {
    let scene = Scene::new();
    scene.execute("CREATE TABLE theirs (n); INSERT INTO theirs VALUES (42)");
    publish(&scene, "sales", &[7, 8]).unwrap();
    let before = scene.content();
    let mut fail_at = 0;
    loop {
        fail_at += 1;
        let sink = SqliteSink::open(&scene.path(), &SqliteOptions::default()).unwrap();
        let mut sink = FailingSink::new(sink, fail_at);
        match sink.begin().and_then(|()| run_everything(&mut sink)) {
            Ok(()) => break,
            Err(error) => assert_error(&error, ErrorKind::Output, "told to fail"),
        }
        drop(sink);
        assert_eq!(scene.content(), before, "call {fail_at}");
    }
    assert_eq!(fail_at, 10, "every call failed once");
    assert_eq!(scene.rows("SELECT count(*), max(n) FROM sales"), [[Scalar::Int(130), Scalar::Int(209)]]);
    assert_eq!(
        scene.rows("SELECT * FROM both"),
        [[text("1970-01-02"), Scalar::Int(130)], [text("1970-01-03"), Scalar::Int(130)]]
    );
    assert_eq!(scene.rows("SELECT n FROM theirs"), [[Scalar::Int(42)]]);
}

#[test]
fn a_failed_run_removes_the_file_that_it_made_and_no_other() {
    let scene = Scene::new();
    let mut sink = scene.sink();
    sink.create_table(&layout("t", &[("n", DataType::Integer)], &[])).unwrap();
    assert_eq!(scene.files(), [".out.db.building"]);
    drop(sink);
    assert!(scene.files().is_empty(), "{:?}", scene.files());
    let options = SqliteOptions { writer: Writer::Insert, ..SqliteOptions::default() };
    let sink = SqliteSink::open(&scene.path(), &options).unwrap();
    assert_eq!(scene.files(), ["out.db"]);
    drop(sink);
    assert!(scene.files().is_empty(), "{:?}", scene.files());
    fs::write(scene.path(), "").unwrap();
    drop(scene.sink());
    assert_eq!(scene.files(), ["out.db"]);
}

#[test]
fn nobody_sees_a_half_made_database() {
    for (mode, meanwhile) in [("delete", None), ("wal", Some(1))] {
        let scene = Scene::new();
        publish(&scene, "t", &[1]).unwrap();
        scene.execute(&format!("PRAGMA journal_mode = {mode}"));
        let reader = Connection::open(scene.path()).unwrap();
        reader.busy_timeout(Duration::ZERO).unwrap();
        let read = || reader.query_row("SELECT n FROM t", [], |row| row.get::<_, i64>(0)).ok();
        let mut sink = scene.sink();
        let table = sink.create_table(&layout("t", &[("n", DataType::Integer)], &[])).unwrap();
        write_all(&mut sink, table, &[integers([2])]).unwrap();
        assert_eq!(read(), meanwhile, "{mode}");
        sink.commit().unwrap();
        assert_eq!(read(), Some(2), "{mode}");
        assert_eq!(scene.rows("SELECT journal_mode FROM pragma_journal_mode"), [[text(mode)]]);
    }
}

#[test]
fn rows_arrive_in_order_of_the_key() {
    let scene = Scene::new();
    let mut sink = scene.sink();
    let table = sink.create_table(&layout("t", &[("id", DataType::Integer)], &["id"])).unwrap();
    let ids: Vec<i64> = (0..500).map(|index| index * 7919 % 503).collect();
    write_all(&mut sink, table, &[integers(ids.iter().copied())]).unwrap();
    sink.commit().unwrap();
    let mut sorted = ids;
    sorted.sort_unstable();
    let wanted: Vec<_> = sorted.into_iter().map(|id| [Scalar::Int(id)]).collect();
    assert_eq!(scene.rows("SELECT id FROM t ORDER BY rowid"), wanted);
}

#[test]
fn a_null_in_a_key_stays_null() {
    let scene = Scene::new();
    let mut sink = scene.sink();
    let table = sink.create_table(&layout("t", &[("id", DataType::Integer)], &["id"])).unwrap();
    let ids = column(DataType::Integer, &[Scalar::Null, Scalar::Int(3), Scalar::Null]);
    write_all(&mut sink, table, &[ids]).unwrap();
    sink.commit().unwrap();
    assert_eq!(scene.rows("SELECT id FROM t"), [[Scalar::Null], [Scalar::Null], [Scalar::Int(3)]]);
}

#[test]
fn equal_keys_are_named() {
    let scene = Scene::new();
    let columns = [("id", DataType::Text), ("day", DataType::Date), ("n", DataType::Integer)];
    let mut sink = scene.sink();
    let table = sink.create_table(&layout("sales", &columns, &["id", "day"])).unwrap();
    let ids = column(DataType::Text, &[text("a"), text("b"), Scalar::Null, text("b"), Scalar::Null]);
    write_all(&mut sink, table, &[ids, integers([0, 1, 0, 1, 0]), integers(0..5)]).unwrap();
    let error = sink.commit().unwrap_err();
    assert_error(&error, ErrorKind::Input, "two rows of table `sales` have the same primary key");
    assert!(error.to_string().ends_with("(id = 'b', day = '1970-01-02')"), "{error}");
    drop(sink);
    assert!(scene.files().is_empty());

    let sql = "SELECT 1 AS a, 2 AS b UNION ALL SELECT 1, 3 -- twice";
    let error = scene.sink().select_into(&select("t", &["a"]), sql).unwrap_err();
    assert_error(&error, ErrorKind::Input, "two rows of table `t` have the same primary key (a = 1)");
}

#[test]
fn what_is_wrong_with_a_select_is_underlined() {
    let readable = ["id".to_owned(), "amount".to_owned()];
    let check = |sql: &str| validate_sql(&select("t", &[]), sql, &[("sales", &readable)], &[]);
    assert_eq!(check("SELECT id, sum(amount) AS total FROM sales GROUP BY id;").unwrap(), ["id", "total"]);
    assert_eq!(check("WITH x AS (SELECT 1 AS one) SELECT * FROM x -- all").unwrap(), ["one"]);
    for (sql, underlined, message) in [
        ("SELECT id, amonut FROM sales", "amonut", "no such column: amonut"),
        ("SELECT \"amonut\" FROM sales", "\"amonut\"", "no such column: \"amonut\""),
        ("SELECT id FRM sales", "sales", "near \"sales\": syntax error"),
        ("SELECT foo(id) FROM sales", "foo", "no such function: foo"),
        ("SELECT id FROM other", "SELECT id FROM other", "no such table: other"),
        ("SELECT id FROM", "SELECT id FROM", "incomplete input"),
        ("SELECT 1; SELECT 2", "SELECT 1; SELECT 2", "Multiple statements"),
        ("SELECT $client", "SELECT $client", "$client has no value"),
        ("DELETE FROM sales", "DELETE FROM sales", "this is not a SELECT"),
        ("PRAGMA page_size", "PRAGMA page_size", "this is not a SELECT"),
        (
            "INSERT INTO sales VALUES (1, 2) RETURNING id",
            "INSERT INTO sales VALUES (1, 2) RETURNING id",
            "not a SELECT",
        ),
        ("", "", "this is not a SELECT"),
    ] {
        let error = check(sql).unwrap_err();
        assert_error(&error, ErrorKind::Pipeline, message);
        let excerpt = error.excerpt().unwrap();
        assert_eq!(&excerpt.text[excerpt.span.clone()], underlined, "{sql}");
    }
    let twice = check("SELECT id, amount AS ID FROM sales").unwrap_err();
    assert_error(&twice, ErrorKind::Pipeline, "two columns of table `t` have the name `ID`");
    let no_key = validate_sql(&select("t", &["key"]), "SELECT 1 AS kex", &[], &[]).unwrap_err();
    assert_eq!(no_key.help_text(), Some("did you mean `kex`?"));
}

#[test]
fn a_select_that_fails_as_it_runs_is_the_fault_of_the_pipeline() {
    let scene = Scene::new();
    let mut sink = scene.sink();
    let error = sink.select_into(&select("t", &[]), "SELECT abs(-9223372036854775807 - 1) AS x").unwrap_err();
    assert_error(&error, ErrorKind::Pipeline, "the SELECT of `t`: integer overflow");
}

fn twice() -> ScalarFunction {
    let call = |arguments: &[Cell<'_>]| match arguments {
        [] => Err("twice() of nothing".to_owned()),
        [Cell::Int(value)] => value.checked_mul(2).map(Scalar::Int).ok_or("too much".to_owned()),
        [Cell::Text(value)] => Ok(Scalar::Text([*value, *value].concat().into())),
        [Cell::Double(value)] => Ok(Scalar::Double(value * 2.0)),
        [Cell::Null] => Ok(Scalar::Null),
        more => Ok(Scalar::Bool(more.len() == 2)),
    };
    ScalarFunction { name: "twice".to_owned(), arity: -1, call: Arc::new(call) }
}

#[test]
fn functions_can_be_called_wherever_sql_runs() {
    let scene = Scene::new();
    let options = SqliteOptions { functions: vec![twice()], ..SqliteOptions::default() };
    let mut sink = SqliteSink::open(&scene.path(), &options).unwrap();
    sink.begin().unwrap();
    let sql = "SELECT twice(21) AS a, twice('xy') AS b, twice(0.5) AS c, twice(NULL) AS d, twice(1, 2) AS e";
    sink.select_into(&select("t", &[]), sql).unwrap();
    sink.commit().unwrap();
    let wanted = [[Scalar::Int(42), text("xyxy"), Scalar::Double(1.0), Scalar::Null, Scalar::Int(1)]];
    assert_eq!(scene.rows("SELECT * FROM t"), wanted);
    assert_eq!(validate_sql(&select("t", &[]), "SELECT twice(1) AS x", &[], &[twice()]).unwrap(), ["x"]);

    let database = Database::open(&scene.path(), &[twice()]).unwrap();
    let run = |sql| database.query_rows("report", sql, 9);
    assert_eq!(run("SELECT twice(a) FROM t").unwrap().rows, [[Scalar::Int(84)]]);
    assert_error(&run("SELECT twice()").unwrap_err(), ErrorKind::Pipeline, "`report`: twice() of nothing");
    assert_error(&run("SELECT twice(x'ff')").unwrap_err(), ErrorKind::Pipeline, "not UTF-8");
}

#[test]
fn queries_stop_at_their_limit_and_change_nothing() {
    let scene = Scene::new();
    publish(&scene, "t", &[1, 2, 3]).unwrap();
    let database = Database::open(&scene.path(), &[]).unwrap();
    for (limit, rows, is_truncated) in [(2, 2, true), (3, 3, false), (0, 0, true)] {
        let result = database.query_rows("q", "SELECT n, n AS n FROM t", limit).unwrap();
        assert_eq!((result.rows.len(), result.is_truncated), (rows, is_truncated), "{limit}");
        assert_eq!(result.columns, ["n", "n"]);
    }
    let error = database.query_rows("q", "DELETE FROM t", 1).unwrap_err();
    assert_error(&error, ErrorKind::Pipeline, "not a SELECT");
    let missing = Database::open(&scene.directory.path().join("none.db"), &[]).unwrap_err();
    assert_error(&missing, ErrorKind::Output, "none.db");
    assert_eq!(scene.files(), ["out.db"]);
}

#[test]
fn a_locked_database_is_called_so() {
    let scene = Scene::new();
    publish(&scene, "t", &[1]).unwrap();
    let other = Connection::open(scene.path()).unwrap();
    let options = SqliteOptions { busy_timeout: Duration::ZERO, ..SqliteOptions::default() };
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = SqliteSink::open(&scene.path(), &options).unwrap().begin().unwrap_err();
    assert_error(&error, ErrorKind::Output, "out.db: the database is locked by another process");
    other.execute_batch("ROLLBACK; BEGIN EXCLUSIVE").unwrap();
    let error = SqliteSink::open(&scene.path(), &options).unwrap_err();
    assert_error(&error, ErrorKind::Output, "locked by another process");
    assert!(error.help_text().is_some());
    // A reader that does not go away would keep the commit from being seen: better to know at once.
    other.execute_batch("ROLLBACK; BEGIN; SELECT * FROM t").unwrap();
    let error = SqliteSink::open(&scene.path(), &options).unwrap().begin().unwrap_err();
    assert_error(&error, ErrorKind::Output, "locked by another process");
}

#[test]
fn paths_that_cannot_be_databases_are_told_apart() {
    let scene = Scene::new();
    let directory = scene.directory.path();
    assert_error(&open_error(directory), ErrorKind::Output, "it is a directory");
    assert_error(&open_error(&directory.join("no/out.db")), ErrorKind::Output, "its directory does not exist");
    fs::write(scene.path(), "id,name\n1,somebody's spreadsheet, longer than the header of a database\n").unwrap();
    let before = fs::read(scene.path()).unwrap();
    assert_error(&open_error(&scene.path()), ErrorKind::Output, "this is not a SQLite database");
    assert_eq!(fs::read(scene.path()).unwrap(), before);
    let options = SqliteOptions { temp_dir: Some(directory.join("none")), ..SqliteOptions::default() };
    let error = SqliteSink::open(&directory.join("new.db"), &options).unwrap_err();
    assert_error(&error, ErrorKind::Output, "cannot put temporary files into");
    assert_eq!(scene.files(), ["out.db"]);
}

#[test]
fn special_names_of_sqlite_are_plain_files() {
    let scene = Scene::new();
    for name in [":memory:", "file:x?mode=memory"] {
        let path = scene.directory.path().join(name);
        let mut sink = SqliteSink::open(&path, &SqliteOptions::default()).unwrap();
        sink.begin().unwrap();
        sink.commit().unwrap();
        assert!(fs::metadata(&path).unwrap().len() > 0, "{name}");
    }
}

#[test]
fn failures_to_write_say_what_to_do() {
    // Permissions do not bind the superuser, so the failure is made with a read-only connection instead.
    let scene = Scene::new();
    publish(&scene, "t", &[1]).unwrap();
    let read_only = Connection::open_with_flags(scene.path(), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let error = read_only.execute_batch("DELETE FROM t").unwrap_err();
    let error = database_error("write", &scene.path(), &error);
    assert_error(&error, ErrorKind::Output, "the database is read-only");
    assert!(error.help_text().unwrap().contains("writable"));
}

#[cfg(unix)]
#[test]
fn what_must_not_be_written_is_refused_before_the_run() {
    use std::os::unix::fs::PermissionsExt;

    let scene = Scene::new();
    publish(&scene, "t", &[1]).unwrap();
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(scene.directory.path(), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(scene.directory.path().join("probe"), "").is_ok() {
        return; // The superuser may write anyway.
    }
    assert_error(&open_error(&scene.path()), ErrorKind::Output, "it is read-only");
    assert_error(&open_error(&scene.directory.path().join("new.db")), ErrorKind::Output, "not writable");
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let mut sink = SqliteSink::open(&scene.path(), &SqliteOptions::default()).unwrap();
    let write = sink.begin().and_then(|()| sink.select_into(&select("u", &[]), "SELECT 1 AS x"));
    assert_error(&write.unwrap_err(), ErrorKind::Output, "cannot write");
    fs::set_permissions(scene.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

const ORDERS: [(&str, DataType); 3] = [("id", DataType::Text), ("n", DataType::Integer), ("x\"y", DataType::Double)];

fn orders(ids: &[&str]) -> [Column; 3] {
    let ids: Vec<Scalar> = ids.iter().map(|id| text(id)).collect();
    let doubles: Vec<Scalar> = (0..ids.len()).map(|n| Scalar::Double(n as f64)).collect();
    [column(DataType::Text, &ids), integers(0..ids.len() as i64), column(DataType::Double, &doubles)]
}

fn sink_in(scene: &Scene, mode: Mode) -> SqliteSink {
    let mut sink = SqliteSink::open(&scene.path(), &SqliteOptions { mode, ..SqliteOptions::default() }).unwrap();
    sink.begin().unwrap();
    sink
}

/// Loads rows and builds the key, as a load does that comes to its end at once.
fn load(scene: &Scene, layout: &TableLayout, ids: &[&str]) -> Result<()> {
    let mut sink = sink_in(scene, Mode::Create);
    let load = sink.open_load(layout)?;
    write_all(&mut sink, load.table, &orders(ids))?;
    if load.key == KeyState::Deferred {
        sink.build_key(load.table)?;
    }
    let ledger = LoadLedger { definition: layout.definition.clone(), load: 1, is_finished: true, ..Default::default() };
    sink.write_ledger(load.table, &ledger)?;
    sink.commit()
}

#[test]
fn a_key_that_is_built_last_is_what_create_table_makes() {
    for (name, key) in [("t", vec!["id"]), ("a \"b\" 'c'", vec!["n", "id"]), ("k", vec!["x\"y", "ID", "n"])] {
        let scene = Scene::new();
        let wanted = layout(name, &ORDERS, &key);
        load(&scene, &wanted, &["b", "a", "c"]).unwrap();

        let plain = Scene::new();
        plain.execute(&statements::create_table(&quoted_name(name), &wanted));
        let schema = |scene: &Scene| {
            scene.rows("SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name NOT LIKE '\\_feedmill%' ESCAPE '\\'")
        };
        assert_eq!(schema(&scene), schema(&plain), "{name}");
        assert_eq!(scene.rows("SELECT * FROM pragma_integrity_check"), [[text("ok")]]);
        let quoted = quoted_name(name);
        let twice = Connection::open(scene.path())
            .unwrap()
            .execute_batch(&format!("INSERT INTO {quoted} SELECT * FROM {quoted}"));
        assert!(twice.unwrap_err().to_string().contains("UNIQUE constraint failed"));
        scene.execute(&format!(
            "INSERT INTO {quoted} VALUES ('d', 7, 7.0); DELETE FROM {quoted} WHERE id = 'a'; VACUUM"
        ));
        let plan = format!("EXPLAIN QUERY PLAN SELECT * FROM {quoted} WHERE id = 'd' AND n = 7 AND \"x\"\"y\" = 7");
        let detail = Connection::open(scene.path()).unwrap().query_row(&plan, [], |row| row.get::<_, String>(3));
        assert!(detail.as_ref().unwrap().contains("INDEX sqlite_autoindex_"), "{detail:?}");
        assert_eq!(scene.rows("SELECT * FROM pragma_integrity_check"), [[text("ok")]]);
    }
}

#[test]
fn keys_that_are_not_distinct_are_found_when_the_key_is_built() {
    let scene = Scene::new();
    let error = load(&scene, &layout("t", &ORDERS, &["id"]), &["a", "b", "a"]).unwrap_err();
    assert_error(&error, ErrorKind::Input, "two rows of table `t` have the same primary key (id = 'a')");
    assert!(scene.files().is_empty());
}

#[test]
fn a_ledger_comes_back_as_it_was_written() {
    let scene = Scene::new();
    let wanted = layout("t", &ORDERS, &["id"]);
    let member = |input: &str, records| MemberEntry {
        input: input.to_owned(),
        member: "a.csv".to_owned(),
        header: vec!["id".to_owned(), "a,\"b\"".to_owned(), String::new()],
        load: 2,
        byte_offset: 77,
        fingerprint: [3; 32],
        is_complete: true,
        records,
        loaded: 1,
        duplicate: 2,
        filtered: 3,
        rejected: 4,
    };
    let letters = LettersMark { bytes: 9, fingerprint: [250; 32] };
    let definition = wanted.definition.clone();
    let letters_before = LettersMark { bytes: 8, fingerprint: [1; 32] };
    let members = vec![member("x", 1)];
    let mut ledger = LoadLedger { definition, load: 2, is_finished: false, letters, letters_before, members };
    let mut sink = sink_in(&scene, Mode::Create);
    let load = sink.open_load(&wanted).unwrap();
    assert_eq!((load.key, &load.ledger), (KeyState::Deferred, &None));
    sink.write_ledger(load.table, &ledger).unwrap();
    sink.commit().unwrap();
    sink.begin().unwrap();
    ledger.members = vec![member("x", 5), member("y", 6)];
    sink.write_ledger(load.table, &ledger).unwrap();
    sink.commit().unwrap();
    drop(sink);
    let reopened = sink_in(&scene, Mode::Create).open_load(&wanted).unwrap();
    assert_eq!((reopened.key, reopened.ledger), (KeyState::Deferred, Some(ledger)));
    // A table that somebody else has put in its place has no ledger.
    scene.execute("DROP TABLE t; CREATE TABLE t (id TEXT PRIMARY KEY, n, \"x\"\"y\")");
    let error = sink_in(&scene, Mode::Create).open_load(&wanted).unwrap_err();
    assert_error(&error, ErrorKind::Output, "there is a table `t`");
    let other = sink_in(&scene, Mode::Append).open_load(&wanted).unwrap();
    assert_eq!((other.key, other.ledger), (KeyState::Indexed, None));
}

/// What is said of keys that a table takes for equal and the pipeline does not.
const LOOSE: &str = "the key column `id` of the table `t`";

#[test]
fn tables_of_others_are_added_to_only_if_they_can_keep_keys_apart() {
    let wanted = layout("t", &ORDERS, &["id", "n"]);
    let columns = "id TEXT, n INTEGER, \"x\"\"y\" REAL, more TEXT DEFAULT 'm'";
    for (declaration, expected) in [
        (format!("CREATE TABLE t ({columns}, PRIMARY KEY (n, id))"), None),
        (format!("CREATE TABLE t ({columns}); CREATE UNIQUE INDEX i ON t (ID, n)"), None),
        (format!("CREATE TABLE t ({columns}, PRIMARY KEY (id, n)) WITHOUT ROWID"), None),
        (format!("CREATE TABLE t ({columns}, UNIQUE (id))"), Some("has no unique index on (\"id\", \"n\")")),
        (
            format!("CREATE TABLE t ({columns}); CREATE UNIQUE INDEX i ON t (id, n) WHERE n > 0"),
            Some("no unique index"),
        ),
        (format!("CREATE TABLE t ({columns}); CREATE UNIQUE INDEX i ON t (id, n, lower(id))"), Some("no unique index")),
        ("CREATE TABLE t (id TEXT, n INTEGER, PRIMARY KEY (id, n))".to_owned(), Some("has no column `x\"y`")),
        ("CREATE VIEW t AS SELECT 1 AS id".to_owned(), Some("there is a view `t`")),
        (format!("CREATE TABLE t ({}, PRIMARY KEY (id, n))", columns.replace("id TEXT", "id INT")), Some(LOOSE)),
        (
            format!("CREATE TABLE t ({}, PRIMARY KEY (id, n))", columns.replace("id TEXT", "id TEXT COLLATE NOCASE")),
            Some(LOOSE),
        ),
        (format!("CREATE TABLE t ({columns}); CREATE UNIQUE INDEX i ON t (n, id COLLATE RTRIM)"), Some(LOOSE)),
    ] {
        for mode in [Mode::Append, Mode::Upsert] {
            let scene = Scene::new();
            scene.execute(&declaration);
            let mut sink = sink_in(&scene, mode);
            match (sink.open_load(&wanted), expected) {
                (Ok(load), None) => {
                    assert_eq!(load.key, KeyState::Indexed, "{declaration}");
                    write_all(&mut sink, load.table, &orders(&["a", "b"])).unwrap();
                    let columns = orders(&["b", "a", "a"]);
                    let key: Vec<_> = columns[..2].iter().map(ColumnView::Rows).collect();
                    let found = sink.find_keys(load.table, &key, &Selection::All(3)).unwrap();
                    assert_eq!(found, [false, false, false], "(b, 0), (a, 1) and (a, 2) are new");
                    let columns = orders(&["a", "b", "a"]);
                    let key: Vec<_> = columns[..2].iter().map(ColumnView::Rows).collect();
                    let found = sink.find_keys(load.table, &key, &Selection::Rows(vec![0, 2])).unwrap();
                    assert_eq!(found, [true, false]);
                    sink.commit().unwrap();
                    assert_eq!(scene.rows("SELECT count(*), min(more) FROM t"), [[Scalar::Int(2), text("m")]]);
                }
                (Ok(_), Some(LOOSE)) if mode == Mode::Upsert => {}
                (Err(error), Some(part)) => assert_error(&error, ErrorKind::Output, part),
                (opened, _) => panic!("{declaration}: {opened:?}"),
            }
        }
    }
}

#[test]
fn the_row_that_a_constraint_refuses_is_told() {
    let scene = Scene::new();
    scene.execute("CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER CHECK (n <> 61), \"x\"\"y\" REAL)");
    let mut sink = sink_in(&scene, Mode::Append);
    let load = sink.open_load(&layout("t", &ORDERS, &["id"])).unwrap();
    let ids: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let columns = orders(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let views: Vec<_> = columns.iter().map(ColumnView::Rows).collect();
    let rows = Selection::Rows((1..100).collect());
    let failed = sink.rows(load.table, &views, &rows).unwrap_err();
    assert_eq!(failed.row, 60, "row 61 of the columns, of which the first is not selected");
    assert_error(&failed.error, ErrorKind::Output, "CHECK constraint failed");
}

#[test]
fn what_others_commit_between_two_transactions_is_noticed() {
    let scene = Scene::new();
    let mut sink = sink_in(&scene, Mode::Create);
    sink.open_load(&layout("t", &ORDERS, &["id"])).unwrap();
    sink.commit().unwrap();
    sink.begin().unwrap();
    sink.commit().unwrap();
    scene.execute("CREATE TABLE other (n)");
    assert_error(&sink.begin().unwrap_err(), ErrorKind::Output, "another program has written to");
}

#[test]
fn a_table_without_a_rowid_takes_no_null_in_its_key() {
    for writer in [Writer::Bulk, Writer::Insert] {
        let scene = Scene::new();
        let options = SqliteOptions { writer, ..SqliteOptions::default() };
        let mut sink = SqliteSink::open(&scene.path(), &options).unwrap();
        sink.begin().unwrap();
        let columns = [("a", DataType::Integer), ("k", DataType::Integer)];
        let layout = TableLayout { without_rowid: true, ..layout("t", &columns, &["k"]) };
        let table = sink.create_table(&layout).unwrap();
        let keys = column(DataType::Integer, &[Scalar::Int(2), Scalar::Null]);
        let written = write_all(&mut sink, table, &[integers([1, 2]), keys]).and_then(|()| sink.commit());
        assert!(written.unwrap_err().to_string().contains("NULL"), "{writer:?}");
        drop(sink);
        assert!(scene.files().is_empty(), "{:?}", scene.files());
    }
}
