//! Whole feeds through the reference engine, by plans built by hand. Single functions are tested where they are.

use std::path::PathBuf;

use super::*;
use crate::aggregate::{Aggregate, AggregateFunction};
use crate::chunk::{DataType, Field};
use crate::csv::Dialect;
use crate::expr::bind::Parameters;
use crate::expr::sql::{SourceFile, SqlText};
use crate::expr::{Comparison, Function, NodeId, Op, Program};
use crate::plan::{Check, Limits, Origin, RowLoad, TablePlan};

const MONEY: DataType = DataType::Decimal { precision: 6, scale: 2 };

fn column(name: &str, data_type: DataType) -> FeedColumn {
    FeedColumn { name: name.to_owned(), data_type, not_null: false, nullify: false, used: true }
}

/// A feed of id INTEGER NOT NULL CHECK (id > 0), kind TEXT, amount DECIMAL(6,2), day DATE nullified, unread INTEGER.
/// Table 0 has id + id of the rows with an amount; table 1 counts and sums by kind, for rows whose day is known.
fn plan() -> Plan {
    let mut program = Program::default();
    let columns = vec![
        FeedColumn { not_null: true, ..column("id", DataType::Integer) },
        column("kind", DataType::Text),
        column("amount", MONEY),
        FeedColumn { nullify: true, ..column("day", DataType::Date) },
        FeedColumn { used: false, ..column("unread", DataType::Integer) },
    ];
    let inputs: Vec<NodeId> =
        columns.iter().enumerate().map(|(place, column)| program.add(Op::Input(place), column.data_type)).collect();
    let [id, kind, amount, day, _] = inputs[..] else { unreachable!() };
    let zero = program.literal(Scalar::Int(0), DataType::Integer);
    let positive = program.call(Function::Compare(Comparison::Gt), vec![id, zero], DataType::Boolean);
    let twice = program.call(Function::Add, vec![id, id], DataType::Integer);
    let known = |program: &mut Program, node| {
        let missing = program.call(Function::IsNull, vec![node], DataType::Boolean);
        (missing, program.call(Function::Not, vec![missing], DataType::Boolean))
    };
    let (_, has_amount) = known(&mut program, amount);
    let (no_day, has_day) = known(&mut program, day);

    let mut keys_program = Program::default();
    let key = keys_program.add(Op::Input(0), DataType::Text);
    let shouted = keys_program.call(Function::Upper, vec![key], DataType::Text);
    let rows = Aggregate { function: AggregateFunction::CountRows, argument: DataType::Integer };
    let sum = Aggregate { function: AggregateFunction::Sum, argument: MONEY };
    let outputs = vec![
        FeedOutput { table: 0, filter: Some(has_amount), kind: OutputKind::Rows { columns: vec![twice] } },
        FeedOutput {
            table: 1,
            filter: Some(has_day),
            kind: OutputKind::Groups {
                keys: vec![kind],
                aggregates: vec![(rows, None), (sum, Some(amount))],
                program: keys_program,
                columns: vec![GroupColumn::Key(shouted), GroupColumn::Aggregate(1), GroupColumn::Aggregate(0)],
            },
        },
    ];
    let file = SourceFile { name: String::new(), text: "".into() };
    let text = SqlText::new(file, 0..0, String::new());
    let table = |name: &str, staging: Vec<Field>| TablePlan {
        name: name.to_owned(),
        primary_key: Vec::new(),
        without_rowid: false,
        is_temporary: false,
        part: None,
        origin: Origin::Feed { columns: Vec::new(), staging, finish: None, text: text.clone() },
    };
    let feed = FeedPlan {
        name: "f".to_owned(),
        files: Vec::new(),
        dialect: Dialect { max_record_bytes: 40, ..Dialect::default() },
        encoding: None,
        nulls: vec![String::new(), "NA".to_owned()],
        columns,
        program,
        derived: Vec::new(),
        checks: vec![Check { column: "id".to_owned(), predicate: positive, text: "id > 0".to_owned() }],
        counters: vec![("no_day".to_owned(), no_day)],
        outputs,
        primary_key: Vec::new(),
        load: None,
        incremental: None,
        definition: String::new(),
    };
    let groups = vec![
        Field::new("kind", DataType::Text),
        Field::new("amount", DataType::Double),
        Field::new("n", DataType::Integer),
    ];
    Plan {
        path: PathBuf::new(),
        parameters: Parameters::new(),
        sql_lookups: Vec::new(),
        reports: Vec::new(),
        only: None,
        warnings: Vec::new(),
        lookups: Vec::new(),
        feeds: vec![feed],
        tables: vec![table("t", vec![Field::new("twice", DataType::Integer)]), table("g", groups)],
        limits: Limits::default(),
    }
}

fn run(plan: &Plan, members: &[&[u8]]) -> Result<FeedResult> {
    let mut reference = Reference::new(plan, 0);
    for (number, stream) in members.iter().enumerate() {
        reference.read("in.zip", &format!("m{number}"), *stream)?;
    }
    reference.finish()
}

/// Member, line, record, code, column and value of each reject.
fn rejects(result: &FeedResult) -> Vec<String> {
    let shown = |reject: &ReferenceReject| {
        let ReferenceReject { member, line, record, code, column, value, .. } = reject;
        format!("{member} {line} {record} {code} {column}={}", String::from_utf8_lossy(value))
    };
    result.rejects.iter().map(shown).collect()
}

#[test]
fn good_rows_reach_their_tables_and_bad_ones_are_placed() {
    let plan = plan();
    let first = b"day,unread,amount,kind,id\n\
        2025-01-01,x,0.10,b,1\n\
        2025-01-02,,0.20,b,2\n\
        never,,NA,b,3\n\
        2025-01-03,,1,NA,4\n\
        2025-01-03,,oops,b,-1\n\
        2025-01-03,,1,b,-1\n\
        2025-01-03,,1,b\n\
        never,,1.005,b,\n\
        2025-01-03,,1,\"b\"x,9\n";
    let second = b"id,kind,amount,day,unread\n\
        9223372036854775807,a,1,2025-01-03,\n\
        9223372036854775807,a,,2025-01-03,\n\
        \xff,\0,,2025-01-03,,,\n\
        1,\0,,\n\
        1,a,,2025-01-03,,,\n\
        1,12345678901234567890123456789,,2025-01-03\n";
    let result = run(&plan, &[first, second]).unwrap();
    assert_eq!(
        rejects(&result),
        [
            "m0 6 5 invalid_decimal amount=oops",
            "m0 7 6 check_failed id=-1",
            "m0 8 7 too_few_fields =",
            "m0 9 8 null_value id=",
            "m0 10 9 text_after_quote =",
            "m1 2 1 overflow =",
            "m1 4 3 invalid_utf8 =",
            "m1 5 4 nul_byte =",
            "m1 6 5 too_many_fields =",
            "m1 7 6 record_too_long =",
        ]
    );
    assert_eq!((result.read, result.loaded, result.filtered, result.rejected), (15, 4, 1, 10));
    assert_eq!(result.nullified, BTreeMap::from([("day".to_owned(), 2)]));
    assert_eq!(result.counters, [("no_day".to_owned(), 1)]);
    let text = |text: &str| Scalar::Text(text.as_bytes().into());
    assert_eq!(
        result.tables,
        [
            ReferenceTable { table: 0, rows: [2, 4, 8].map(|twice| vec![Scalar::Int(twice)]).to_vec() },
            ReferenceTable {
                table: 1,
                rows: vec![
                    vec![Scalar::Null, Scalar::Double(1.0), Scalar::Int(1)],
                    vec![text("A"), Scalar::Null, Scalar::Int(1)],
                    vec![text("B"), Scalar::Double(0.3), Scalar::Int(2)],
                ],
            },
        ]
    );
    let reject = &result.rejects[1];
    assert_eq!(reject.raw, b"2025-01-03,,1,b,-1");
    assert_eq!((reject.byte_offset, reject.byte_length), (124, 18));
    assert_eq!(&first[124..142], reject.raw);
}

#[test]
fn a_load_keeps_the_first_row_of_each_key() {
    let mut plan = plan();
    let feed = &mut plan.feeds[0];
    feed.outputs.truncate(1);
    feed.outputs[0].kind = OutputKind::Rows { columns: [1, 0, 2].map(NodeId).to_vec() };
    feed.load = Some(RowLoad { key: vec![("amount".to_owned(), 2), ("kind".to_owned(), 0)] });
    let header = "id,kind,amount,day,unread\n";
    let first = format!("{header}1,a,0.10,,\n2,b,0.10,,\n3,a,1e-1,,\n4,,0.10,,\n5,,,,\n-6,a,0.10,,\n7,a,,,\n");
    let long = "x".repeat(30);
    let second = format!("{header}8,b,.1,,\n9,b,-0.05,2025-01-01,\n10,{long},2,,\n11,{long},2,,\n12,b,-0.05,,\n");
    let result = run(&plan, &[first.as_bytes(), second.as_bytes()]).unwrap();
    assert_eq!(
        rejects(&result),
        [
            "m0 4 3 duplicate_key amount,kind=0.10,a",
            "m0 5 4 null_value kind=",
            "m0 7 6 check_failed id=-6",
            "m1 2 1 duplicate_key amount,kind=0.10,b",
            &format!("m1 5 4 duplicate_key amount,kind=2.00,{long}"),
            "m1 6 5 duplicate_key amount,kind=-0.05,b",
        ]
    );
    let FeedResult { read, loaded, duplicate, filtered, rejected, .. } = result;
    assert_eq!([read, loaded, duplicate, filtered, rejected], [12, 4, 4, 2, 2]);
    // The filtered ones and the duplicates count, the rejected ones do not.
    assert_eq!(result.counters, [("no_day".to_owned(), 9)]);
    let ids: Vec<Scalar> = result.tables[0].rows.iter().map(|row| row[1].clone()).collect();
    assert_eq!(ids, [1, 2, 9, 10].map(Scalar::Int));
}

#[test]
fn a_load_without_a_key_keeps_every_row() {
    let mut plan = plan();
    plan.feeds[0].outputs.truncate(1);
    plan.feeds[0].load = Some(RowLoad { key: Vec::new() });
    let result = run(&plan, &[b"id,kind,amount,day,unread\n1,,1,,\n1,,1,,\n"]).unwrap();
    assert_eq!((result.loaded, result.duplicate, rejects(&result)), (2, 0, vec![]));
}

#[test]
fn headers_are_matched_by_name() {
    let plan = plan();
    for (stream, expected) in [
        ("", "there is no header"),
        ("\n", "there is no header"),
        ("id,kind,amount,day\n", "there is no column unread"),
        ("id,kind,id,amount,day,unread\n", "there are 2 columns id"),
        ("id,\"kind,amount,day,unread\n", "the header is malformed"),
    ] {
        let error = run(&plan, &[stream.as_bytes()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert_eq!(error.to_string(), format!("in.zip (m0): {expected}"));
    }
    let result = run(&plan, &[b"\xEF\xBB\xBFid,kind,amount,day,unread,more,more\n\n1,,1,,,,\n"]).unwrap();
    assert_eq!((result.read, result.loaded, rejects(&result)), (1, 1, vec![]));
}

#[test]
fn without_a_header_columns_go_by_place() {
    let mut plan = plan();
    plan.feeds[0].dialect.header = false;
    let result = run(&plan, &[b"1,a,1,,\n1,a,1,\n"]).unwrap();
    assert_eq!(rejects(&result), ["m0 2 2 too_few_fields ="]);
    assert_eq!(result.tables[0].rows, [vec![Scalar::Int(2)]]);
}

#[test]
fn a_result_that_does_not_fit_ends_the_run() {
    let mut plan = plan();
    let feed = &mut plan.feeds[0];
    let id = feed.program.add(Op::Input(0), DataType::Integer);
    let sum = Aggregate { function: AggregateFunction::Sum, argument: DataType::Integer };
    let columns = vec![GroupColumn::Aggregate(0)];
    let aggregates = vec![(sum, Some(id))];
    let kind = OutputKind::Groups { keys: Vec::new(), aggregates, program: Program::default(), columns };
    feed.outputs = vec![FeedOutput { table: 1, filter: None, kind }];
    let header = "id,kind,amount,day,unread\n";
    let error = run(&plan, &[format!("{header}{max},,,,\n{max},,,,\n", max = i64::MAX).as_bytes()]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    // Without rows there is one group nevertheless.
    assert_eq!(run(&plan, &[header.as_bytes()]).unwrap().tables[0].rows, [vec![Scalar::Null]]);
}
