//! Random typed programs, evaluated here, by SQLite and by a slow interpreter; known values for what SQLite lacks.

use std::collections::HashMap;

use proptest::prelude::*;
use rusqlite::types::Value;

use super::*;
use crate::chunk::calendar::{Interval, parse_date, parse_timestamp};
use crate::chunk::{Field, Physical, Values};
use crate::expr::check_strftime;
use crate::expr::program::{Comparison, DatePart, TrimSide};

const COLUMNS: [DataType; 8] = [
    DataType::Integer,
    DataType::Integer,
    DataType::Double,
    DataType::Double,
    DataType::Text,
    DataType::Text,
    DataType::Boolean,
    DataType::Date,
];

type Row = Vec<Scalar>;

fn text(value: &str) -> Scalar {
    Scalar::Text(value.as_bytes().into())
}

fn date(value: &str) -> Scalar {
    Scalar::Int(parse_date(value.as_bytes()).unwrap())
}

// ---- Random rows ----------------------------------------------------------------------------------------------------

fn integers() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        4 => -4i64..5,
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, 1 << 53, 3_037_000_500]),
        1 => any::<i64>(),
    ]
    .prop_map(Scalar::Int)
}

fn finite_doubles() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-1_000_000i64..1_000_000, 0i32..5).prop_map(|(units, scale)| units as f64 / 10f64.powi(scale)),
        (-64i64..64).prop_map(|eighths| eighths as f64 / 8.0),
        any::<u64>().prop_map(|bits| f64::from_bits(bits) + 0.0).prop_filter("finite", |value| value.is_finite()),
        (any::<i64>(), -30i32..30).prop_map(|(units, scale)| units as f64 * 10f64.powi(scale)),
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(|value| value + 0.0),
        prop::sample::select(vec![
            0.0,
            0.5,
            1.5,
            2.5,
            -0.5,
            0.1,
            1.005,
            2.675,
            1e15,
            1e16,
            1e17,
            1e18,
            1e20,
            1e22,
            1e-4,
            1e-5,
            9.995,
            0.045,
            4_503_599_627_370_495.5,
            4_503_599_627_370_497.0,
            9_007_199_254_740_993.0,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            49.47,
            0.3,
            1.0 / 3.0,
            123_456_789_012_345.68,
            1e23,
            1e100,
            1e-100,
        ]),
    ]
}

fn texts() -> impl Strategy<Value = Scalar> {
    let pool = vec![
        "",
        " ",
        "a",
        "A",
        "ab",
        "aB%",
        "a_b",
        "  b a ",
        "%",
        "_",
        "!",
        "12",
        "-7",
        "+3.5e2xyz",
        " 42 ",
        "1e400",
        ".5",
        "5.",
        ".",
        "-",
        "1e",
        "0x1F",
        "99999999999999999999",
        "\u{e4}\u{f6}\u{fc}",
        "\u{65e5}\u{672c}\u{8a9e}",
        "a\u{1f600}b",
        "\u{c4}a",
        "US-90210",
        "90210-1234",
        "2025-02-28",
        "2025-02-30",
        "true",
        "xxax",
        "aaaa",
    ];
    prop_oneof![3 => prop::sample::select(pool).prop_map(str::to_owned), 1 => "[ -~\u{e4}\u{df}\u{65e5}\u{1f600}]{0,7}"]
        .prop_map(|value| text(&value))
}

fn cells(data_type: DataType) -> BoxedStrategy<Scalar> {
    let values = match data_type {
        DataType::Double => finite_doubles().prop_map(Scalar::Double).boxed(),
        DataType::Text => texts().boxed(),
        DataType::Boolean => any::<bool>().prop_map(Scalar::Bool).boxed(),
        DataType::Date => {
            prop_oneof![20_000i64..20_100, Just(-719_528i64), Just(2_932_896i64)].prop_map(Scalar::Int).boxed()
        }
        _ => integers().boxed(),
    };
    prop_oneof![1 => Just(Scalar::Null), 4 => values].boxed()
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(COLUMNS.map(cells).to_vec(), 1..12)
}

fn columns_of(rows: &[&Row]) -> Vec<Option<Column>> {
    let column = |(place, data_type): (usize, &DataType)| {
        let mut builder = ColumnBuilder::new(data_type.physical(), rows.len());
        rows.iter().for_each(|row| builder.push(row[place].as_cell()));
        Some(builder.finish())
    };
    COLUMNS.iter().enumerate().map(column).collect()
}

// ---- Random programs ------------------------------------------------------------------------------------------------

/// Makes a program and its SQL from a list of numbers, so that shrinking the list shrinks the program.
struct Maker<'a> {
    tape: &'a [u32],
    program: Program,
    /// Whether only what SQLite has is used.
    sqlite: bool,
}

type Made = (NodeId, String);

impl Maker<'_> {
    fn choose(&mut self, choices: u32) -> u32 {
        let Some((first, rest)) = self.tape.split_first() else { return 0 };
        self.tape = rest;
        first % choices
    }

    fn call(&mut self, function: Function, arguments: &[NodeId], data_type: DataType, sql: String) -> Made {
        (self.program.call(function, arguments.to_vec(), data_type), sql)
    }

    fn leaf(&mut self, data_type: DataType) -> Made {
        let (literal, sql) = match (data_type, self.choose(4)) {
            (DataType::Integer, 2) => (Scalar::Int(3), "3".to_owned()),
            (DataType::Integer, 3) => (Scalar::Null, "NULL".to_owned()),
            (DataType::Double, 2) => (Scalar::Double(2.5), "2.5".to_owned()),
            (DataType::Double, 3) => (Scalar::Null, "NULL".to_owned()),
            (DataType::Text, 2) => {
                let value = ["a", "", " ", "%a_%", "ab", "a!%", "\u{e4}"][self.choose(7) as usize];
                (text(value), format!("'{value}'"))
            }
            (DataType::Text, 3) if self.choose(3) == 1 => (Scalar::Null, "NULL".to_owned()),
            (DataType::Boolean, 2) => (Scalar::Bool(false), "FALSE".to_owned()),
            (DataType::Boolean, 3) => (Scalar::Bool(true), "TRUE".to_owned()),
            (DataType::Date, 2) => (date("2025-01-31"), String::new()),
            (_, choice) => {
                let places: Vec<usize> = (0..COLUMNS.len()).filter(|place| COLUMNS[*place] == data_type).collect();
                let place = places[choice as usize % places.len()];
                return (self.program.add(Op::Input(place), data_type), format!("c{place}"));
            }
        };
        (self.program.literal(literal, data_type), sql)
    }

    fn any_type(&mut self) -> DataType {
        let types = [DataType::Text, DataType::Integer, DataType::Boolean, DataType::Double, DataType::Date];
        let choices = if self.sqlite { 4 } else { 5 };
        types[self.choose(choices) as usize]
    }

    fn comparison(&mut self) -> (Comparison, &'static str) {
        [
            (Comparison::Eq, "="),
            (Comparison::Ne, "<>"),
            (Comparison::Lt, "<"),
            (Comparison::Le, "<="),
            (Comparison::Gt, ">"),
            (Comparison::Ge, ">="),
        ][self.choose(6) as usize]
    }

    fn make(&mut self, data_type: DataType, depth: u32) -> Made {
        if depth == 0 || self.choose(8) == 0 {
            return self.leaf(data_type);
        }
        let below = depth - 1;
        if self.choose(4) == 1 {
            return self.make_general(data_type, below);
        }
        match data_type {
            DataType::Integer => self.make_integer(below),
            DataType::Double => self.make_double(below),
            DataType::Text => self.make_text(below),
            DataType::Boolean => self.make_boolean(below),
            _ => self.make_date(below),
        }
    }

    fn make_general(&mut self, data_type: DataType, depth: u32) -> Made {
        let (a, a_sql) = self.make(data_type, depth);
        let (b, b_sql) = self.make(data_type, depth);
        match self.choose(if self.sqlite { 4 } else { 6 }) {
            0 => self.call(Function::Coalesce, &[a, b], data_type, format!("coalesce({a_sql}, {b_sql})")),
            1 => {
                let (when, when_sql) = self.make(DataType::Boolean, depth);
                let op = Op::Case { branches: vec![(when, a)], otherwise: b };
                let sql = format!("CASE WHEN {when_sql} THEN {a_sql} ELSE {b_sql} END");
                (self.program.add(op, data_type), sql)
            }
            2 => {
                let (when, when_sql) = self.make(DataType::Boolean, depth);
                let (or_when, or_when_sql) = self.make(DataType::Boolean, depth);
                let otherwise = self.program.literal(Scalar::Null, data_type);
                let op = Op::Case { branches: vec![(when, a), (or_when, b)], otherwise };
                let sql = format!("CASE WHEN {when_sql} THEN {a_sql} WHEN {or_when_sql} THEN {b_sql} END");
                (self.program.add(op, data_type), sql)
            }
            3 => self.call(Function::NullIf, &[a, b], data_type, format!("nullif({a_sql}, {b_sql})")),
            4 => self.call(Function::Greatest, &[a, b], data_type, String::new()),
            _ => {
                let (c, _) = self.make(data_type, depth);
                self.call(Function::Least, &[a, b, c], data_type, String::new())
            }
        }
    }

    fn make_integer(&mut self, depth: u32) -> Made {
        let integer = DataType::Integer;
        match self.choose(if self.sqlite { 11 } else { 16 }) {
            choice @ 0..=4 => {
                let (a, a_sql) = self.make(integer, depth);
                let (b, b_sql) = self.make(integer, depth);
                let (function, sql) = match choice {
                    0 => (Function::Add, "+"),
                    1 => (Function::Subtract, "-"),
                    2 => (Function::Multiply, "*"),
                    3 => (Function::Divide, "/"),
                    _ => (Function::Modulo, "%"),
                };
                self.call(function, &[a, b], integer, format!("({a_sql} {sql} {b_sql})"))
            }
            5 => {
                let (a, sql) = self.make(integer, depth);
                self.call(Function::Abs, &[a], integer, format!("abs({sql})"))
            }
            6 => {
                let (a, sql) = self.make(integer, depth);
                self.call(Function::Negate, &[a], integer, format!("(- {sql})"))
            }
            7 => {
                let (a, sql) = self.make(DataType::Text, depth);
                self.call(Function::Length, &[a], integer, format!("length({sql})"))
            }
            8 => {
                let (a, a_sql) = self.make(DataType::Text, depth);
                let (b, b_sql) = self.make(DataType::Text, depth);
                self.call(Function::StrPos, &[a, b], integer, format!("instr({a_sql}, {b_sql})"))
            }
            9 => {
                let from = [DataType::Text, DataType::Double, DataType::Boolean][self.choose(3) as usize];
                let (a, sql) = self.make(from, depth);
                self.call(Function::Cast, &[a], integer, format!("CAST({sql} AS INTEGER)"))
            }
            10 => {
                let (a, sql) = self.make(DataType::Text, depth);
                self.call(Function::Cast, &[a], integer, format!("CAST({sql} AS INTEGER)"))
            }
            11 => {
                let (a, _) = self.make(DataType::Text, depth);
                self.call(Function::TryCast, &[a], integer, String::new())
            }
            12 => {
                let (key, _) = self.make(integer, depth);
                (self.program.add(Op::Lookup { lookup: 1, column: Some(1), key }, integer), String::new())
            }
            13 => {
                let (a, _) = self.make(DataType::Date, depth);
                let part = [DatePart::Year, DatePart::Week, DatePart::DayOfYear][self.choose(3) as usize];
                self.call(Function::Extract(part), &[a], integer, String::new())
            }
            _ => {
                let (a, _) = self.make(DataType::Date, depth);
                let (b, _) = self.make(DataType::Date, depth);
                self.call(Function::DaysBetween, &[a, b], integer, String::new())
            }
        }
    }

    fn make_double(&mut self, depth: u32) -> Made {
        let double = DataType::Double;
        match self.choose(10) {
            choice @ 0..=3 => {
                let (a, a_sql) = self.make(double, depth);
                let (b, b_sql) = self.make(double, depth);
                let (function, sql) = match choice {
                    0 => (Function::Add, "+"),
                    1 => (Function::Subtract, "-"),
                    2 => (Function::Multiply, "*"),
                    _ => (Function::Divide, "/"),
                };
                self.call(function, &[a, b], double, format!("({a_sql} {sql} {b_sql})"))
            }
            choice @ 4..=6 => {
                let (a, sql) = self.make(double, depth);
                let (function, name) = match choice {
                    4 => (Function::Abs, "abs"),
                    5 => (Function::Floor, "floor"),
                    _ => (Function::Ceil, "ceil"),
                };
                self.call(function, &[a], double, format!("{name}({sql})"))
            }
            7 => {
                let (a, sql) = self.make(double, depth);
                let digits = self.choose(5) as u8;
                self.call(Function::Round { digits }, &[a], double, format!("round({sql}, {digits})"))
            }
            _ => {
                let from = [DataType::Text, DataType::Integer][self.choose(2) as usize];
                let (a, sql) = self.make(from, depth);
                self.call(Function::Cast, &[a], double, format!("CAST({sql} AS REAL)"))
            }
        }
    }

    fn make_text(&mut self, depth: u32) -> Made {
        let data_type = DataType::Text;
        let (a, a_sql) = self.make(data_type, depth);
        match self.choose(if self.sqlite { 9 } else { 14 }) {
            0 => self.call(Function::Lower, &[a], data_type, format!("lower({a_sql})")),
            1 => self.call(Function::Upper, &[a], data_type, format!("upper({a_sql})")),
            2 => {
                let (side, name) = [(TrimSide::Both, "trim"), (TrimSide::Start, "ltrim"), (TrimSide::End, "rtrim")]
                    [self.choose(3) as usize];
                self.call(Function::Trim(side), &[a], data_type, format!("{name}({a_sql})"))
            }
            3 => {
                let (side, name) = [(TrimSide::Both, "trim"), (TrimSide::Start, "ltrim"), (TrimSide::End, "rtrim")]
                    [self.choose(3) as usize];
                let (b, b_sql) = self.make(data_type, depth);
                self.call(Function::Trim(side), &[a, b], data_type, format!("{name}({a_sql}, {b_sql})"))
            }
            4 => {
                let (b, b_sql) = self.make(data_type, depth);
                // With an empty second and a NULL third argument SQLite gives the first; here replace is strict.
                let to = ["", "xy", "\u{e4}"][self.choose(3) as usize];
                let c = self.program.literal(text(to), data_type);
                self.call(Function::Replace, &[a, b, c], data_type, format!("replace({a_sql}, {b_sql}, '{to}')"))
            }
            5 => {
                let (b, b_sql) = self.make(DataType::Integer, depth);
                self.call(Function::Substr, &[a, b], data_type, format!("substr({a_sql}, {b_sql})"))
            }
            6 => {
                let (b, b_sql) = self.make(DataType::Integer, depth);
                let (c, c_sql) = self.make(DataType::Integer, depth);
                self.call(Function::Substr, &[a, b, c], data_type, format!("substr({a_sql}, {b_sql}, {c_sql})"))
            }
            7 => {
                let (b, b_sql) = self.make(data_type, depth);
                self.call(Function::Concat, &[a, b], data_type, format!("({a_sql} || {b_sql})"))
            }
            8 => {
                let from = [DataType::Double, DataType::Integer, DataType::Boolean][self.choose(3) as usize];
                let (b, b_sql) = self.make(from, depth);
                self.call(Function::Cast, &[b], data_type, format!("CAST({b_sql} AS TEXT)"))
            }
            9 => {
                let (b, _) = self.make(data_type, depth);
                self.call(Function::ConcatSkippingNull, &[a, b], data_type, String::new())
            }
            10 => {
                let pattern = regex::bytes::Regex::new("([a-z0-9]+)([^a-z])?").unwrap();
                let group = self.choose(3) as usize;
                self.call(Function::RegexpExtract { pattern, group }, &[a], data_type, String::new())
            }
            11 => {
                let pattern = regex::bytes::Regex::new("[ab]").unwrap();
                let (replacement, all) = (b"<$0>".as_slice().into(), self.choose(2) == 0);
                self.call(Function::RegexpReplace { pattern, replacement, all }, &[a], data_type, String::new())
            }
            12 => {
                let op = Op::Lookup { lookup: 0, column: Some(1), key: a };
                (self.program.add(op, data_type), String::new())
            }
            _ => {
                let (b, _) = self.make(DataType::Date, depth);
                let format = "%Y/%m/%d week %V".into();
                self.call(Function::Strftime { format }, &[b], data_type, String::new())
            }
        }
    }

    fn make_boolean(&mut self, depth: u32) -> Made {
        let boolean = DataType::Boolean;
        match self.choose(if self.sqlite { 7 } else { 11 }) {
            0 => {
                let operands = self.any_type();
                let (a, a_sql) = self.make(operands, depth);
                let (b, b_sql) = self.make(operands, depth);
                let (comparison, sql) = self.comparison();
                self.call(Function::Compare(comparison), &[a, b], boolean, format!("({a_sql} {sql} {b_sql})"))
            }
            choice @ (1 | 2) => {
                let (a, a_sql) = self.make(boolean, depth);
                let (b, b_sql) = self.make(boolean, depth);
                let (function, sql) = if choice == 1 { (Function::And, "AND") } else { (Function::Or, "OR") };
                self.call(function, &[a, b], boolean, format!("({a_sql} {sql} {b_sql})"))
            }
            3 => {
                let (a, sql) = self.make(boolean, depth);
                self.call(Function::Not, &[a], boolean, format!("(NOT {sql})"))
            }
            4 => {
                let operands = self.any_type();
                let (a, sql) = self.make(operands, depth);
                self.call(Function::IsNull, &[a], boolean, format!("({sql} IS NULL)"))
            }
            5 => {
                let operands = self.any_type();
                let (a, a_sql) = self.make(operands, depth);
                let (b, b_sql) = self.make(operands, depth);
                self.call(Function::IsDistinctFrom, &[a, b], boolean, format!("({a_sql} IS NOT {b_sql})"))
            }
            6 => {
                let (a, a_sql) = self.make(DataType::Text, depth);
                let (b, b_sql) = self.make(DataType::Text, depth);
                let (escape, sql) =
                    [(None, ""), (Some('!'), " ESCAPE '!'"), (Some('%'), " ESCAPE '%'")][self.choose(3) as usize];
                self.call(Function::Like { escape }, &[a, b], boolean, format!("({a_sql} LIKE {b_sql}{sql})"))
            }
            7 => {
                let (a, _) = self.make(DataType::Text, depth);
                let (b, _) = self.make(DataType::Text, depth);
                self.call(Function::StartsWith, &[a, b], boolean, String::new())
            }
            8 => {
                let (a, _) = self.make(DataType::Text, depth);
                let pattern = regex::bytes::Regex::new("^[0-9]+$").unwrap();
                self.call(Function::RegexpMatches { pattern }, &[a], boolean, String::new())
            }
            9 => {
                let (key, _) = self.make(DataType::Text, depth);
                (self.program.add(Op::Lookup { lookup: 0, column: None, key }, boolean), String::new())
            }
            _ => {
                let (a, _) = self.make(DataType::Text, depth);
                self.call(Function::Cast, &[a], boolean, String::new())
            }
        }
    }

    fn make_date(&mut self, depth: u32) -> Made {
        let data_type = DataType::Date;
        match self.choose(4) {
            0 => {
                let (a, _) = self.make(DataType::Text, depth);
                let function = if self.choose(2) == 0 { Function::Cast } else { Function::TryCast };
                self.call(function, &[a], data_type, String::new())
            }
            1 => {
                let (a, _) = self.make(data_type, depth);
                let interval = [
                    Interval { months: 0, days: 3, micros: 0 },
                    Interval { months: 1, days: -1, micros: 0 },
                    Interval { months: 0, days: i64::MAX, micros: 0 },
                ][self.choose(3) as usize];
                self.call(Function::Shift(interval), &[a], data_type, String::new())
            }
            2 => {
                let (a, _) = self.make(data_type, depth);
                let part = [DatePart::Year, DatePart::Month, DatePart::Week][self.choose(3) as usize];
                self.call(Function::DateTrunc(part), &[a], data_type, String::new())
            }
            _ => {
                let (a, _) = self.make(data_type, depth);
                let (b, _) = self.make(DataType::Integer, depth);
                self.call(Function::AddDays, &[a, b], data_type, String::new())
            }
        }
    }
}

fn programs(tape: &[u32], roots: usize, sqlite: bool) -> (Program, Vec<Made>) {
    let mut maker = Maker { tape, program: Program::default(), sqlite };
    let roots = (0..roots)
        .map(|_| {
            let data_type = maker.any_type();
            maker.make(data_type, 4)
        })
        .collect();
    (maker.program, roots)
}

fn lookups() -> [Lookup; 2] {
    let column = |physical, values: &[Scalar]| {
        let mut builder = ColumnBuilder::new(physical, values.len());
        values.iter().for_each(|value| builder.push(value.as_cell()));
        builder.finish()
    };
    let fields = |data_type| vec![Field::new("key", data_type), Field::new("value", data_type)];
    let keys = [text("a"), text("ab"), text(""), text("90210")];
    let values = [text("first"), Scalar::Null, text("empty"), text("a")];
    let texts = vec![column(Physical::Text, &keys), column(Physical::Text, &values)];
    let numbers = [Scalar::Int(1), Scalar::Int(-2), Scalar::Int(i64::MAX)];
    let integers = vec![column(Physical::Int, &numbers), column(Physical::Int, &numbers)];
    [
        Lookup::new(fields(DataType::Text), texts, 0).unwrap(),
        Lookup::new(fields(DataType::Integer), integers, 0).unwrap(),
    ]
}

// ---- The slow interpreter -------------------------------------------------------------------------------------------

/// One row at a time, arguments from left to right, nothing that is not needed: where faults count follows from that.
fn interpret(program: &Program, lookups: &[Lookup], row: &Row, id: NodeId) -> Result<Scalar, FaultKind> {
    let node = program.node(id);
    let value_of = |id: &NodeId| interpret(program, lookups, row, *id);
    match &node.op {
        Op::Input(place) => Ok(row[*place].clone()),
        Op::Literal(value) => Ok(value.clone()),
        Op::Lookup { lookup, column, key } => {
            let key = value_of(key)?;
            let found = lookups[*lookup].find(key.as_cell());
            Ok(match (column, found) {
                (None, found) => Scalar::Bool(found.is_some()),
                (Some(_), None) => Scalar::Null,
                (Some(column), Some(row)) => lookups[*lookup].columns()[*column].get(row as usize).to_scalar(),
            })
        }
        Op::Case { branches, otherwise } => {
            for (when, then) in branches {
                if value_of(when)? == Scalar::Bool(true) {
                    return value_of(then);
                }
            }
            value_of(otherwise)
        }
        Op::Call(function @ (Function::And | Function::Or), arguments) => {
            let deciding = matches!(function, Function::Or);
            let mut result = Scalar::Bool(!deciding);
            for argument in arguments {
                match value_of(argument)? {
                    Scalar::Null => result = Scalar::Null,
                    Scalar::Bool(value) if value == deciding => return Ok(Scalar::Bool(deciding)),
                    _ => {}
                }
            }
            Ok(result)
        }
        Op::Call(Function::Coalesce, arguments) => {
            for argument in arguments {
                match value_of(argument)? {
                    Scalar::Null => {}
                    value => return Ok(value),
                }
            }
            Ok(Scalar::Null)
        }
        Op::Call(function, arguments) => {
            let values = arguments.iter().map(value_of).collect::<Result<Vec<Scalar>, FaultKind>>()?;
            let cells: Vec<Cell<'_>> = values.iter().map(Scalar::as_cell).collect();
            let types: Vec<DataType> = arguments.iter().map(|id| program.data_type(*id)).collect();
            call_scalar(function, &cells, &types, node.data_type)
        }
    }
}

// ---- Properties -----------------------------------------------------------------------------------------------------

fn evaluated(results: Results<'_>, root: NodeId, row: usize) -> Result<Scalar, FaultKind> {
    let value = results.view(root).get(row).to_scalar();
    match results.faults(root).iter().find(|(faulty, _)| *faulty as usize == row) {
        Some((_, kind)) => {
            assert_eq!(value, Scalar::Null, "a row with a fault is NULL");
            Err(*kind)
        }
        None => Ok(value),
    }
}

/// Doubles are compared by value.
fn from_sqlite(value: Value, data_type: DataType) -> Scalar {
    match (value, data_type) {
        (Value::Null, _) => Scalar::Null,
        (Value::Integer(value), DataType::Boolean) => Scalar::Bool(value != 0),
        (Value::Integer(value), _) => Scalar::Int(value),
        (Value::Real(value), _) => Scalar::Double(value),
        (Value::Text(value), _) => text(&value),
        (Value::Blob(_), _) => panic!("no expression gives a blob"),
    }
}

fn to_sqlite(value: &Scalar) -> Value {
    match value {
        Scalar::Null => Value::Null,
        Scalar::Int(value) => Value::Integer(*value),
        Scalar::Double(value) => Value::Real(*value),
        Scalar::Bool(value) => Value::Integer(i64::from(*value)),
        Scalar::Text(value) => Value::Text(String::from_utf8(value.to_vec()).unwrap()),
    }
}

fn sqlite_table(rows: &[Row]) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    // The bundled SQLite is built without these two.
    for (name, function) in [("floor", f64::floor as fn(f64) -> f64), ("ceil", f64::ceil)] {
        let flags = rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
        connection
            .create_scalar_function(name, 1, flags, move |context| Ok(context.get::<Option<f64>>(0)?.map(function)))
            .unwrap();
    }
    let columns: Vec<String> =
        COLUMNS.iter().enumerate().map(|(place, data_type)| format!("c{place} {}", data_type.sqlite_name())).collect();
    connection.execute_batch(&format!("CREATE TABLE t (id INTEGER PRIMARY KEY, {})", columns.join(", "))).unwrap();
    for (id, row) in rows.iter().enumerate() {
        let values = std::iter::once(Value::Integer(id as i64)).chain(row.iter().map(to_sqlite));
        connection
            .execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rusqlite::params_from_iter(values))
            .unwrap();
    }
    connection
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn expressions_mean_what_sqlite_says(
        rows in rows(),
        tape in prop::collection::vec(any::<u32>(), 0..60),
    ) {
        let (program, roots) = programs(&tape, 1, true);
        let (root, sql) = &roots[0];
        let connection = sqlite_table(&rows);
        let mut statement = connection.prepare(&format!("SELECT {sql} FROM t WHERE id = ?")).unwrap();
        let lookups = lookups();
        let mut evaluator = Evaluator::new(&program, lookups.iter().collect(), &[*root]);
        let columns = columns_of(&rows.iter().collect::<Vec<_>>());
        let results = evaluator.evaluate(&columns, rows.len());
        for (row, values) in rows.iter().enumerate() {
            // Where SQLite goes on with a double, or stops the query, there is a fault here.
            let expected = statement.query_row([row as i64], |row| row.get::<_, Value>(0));
            let expected = expected.map(|value| from_sqlite(value, program.data_type(*root)));
            if let (Ok(actual), Ok(expected)) = (evaluated(results, *root, row), expected) {
                prop_assert_eq!(actual, expected, "{} of {:?}", sql, values);
            }
        }
    }

    #[test]
    fn no_result_depends_on_the_domain_or_on_chunks(
        pool in rows(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..80),
        sizes in prop::collection::vec(1usize..20, 1..6),
        tape in prop::collection::vec(any::<u32>(), 0..120),
    ) {
        let (program, roots) = programs(&tape, 3, false);
        let roots: Vec<NodeId> = roots.into_iter().map(|(root, _)| root).chain([NodeId(0)]).collect();
        let lookups = lookups();
        let rows: Vec<&Row> = picks.iter().map(|pick| pick.get(&pool)).collect();
        for limits in [
            DictionaryLimits::default(),
            DictionaryLimits { window_rows: 0, ..DictionaryLimits::default() },
            DictionaryLimits { entries: 0, ..DictionaryLimits::default() },
            DictionaryLimits { entries: 3, ..DictionaryLimits::default() },
            DictionaryLimits { bytes: 8, ..DictionaryLimits::default() },
            DictionaryLimits { window_rows: 1, ..DictionaryLimits::default() },
        ] {
            let mut evaluator = Evaluator::with_limits(&program, lookups.iter().collect(), &roots, limits);
            let mut known: HashMap<(NodeId, u64), Vec<Scalar>> = HashMap::new();
            let (mut rest, mut sizes) = (rows.as_slice(), sizes.iter().cycle());
            while !rest.is_empty() {
                let (chunk, behind) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                rest = behind;
                let columns = columns_of(chunk);
                let results = evaluator.evaluate(&columns, chunk.len());
                for root in &roots {
                    for (row, values) in chunk.iter().enumerate() {
                        let expected = interpret(&program, &lookups, values, *root);
                        let actual = evaluated(results, *root, row);
                        prop_assert_eq!(actual, expected, "{:?} {:?}", program.node(*root), limits);
                    }
                    if let ColumnView::Encoded { entries, generation, .. } = results.view(*root) {
                        let now: Vec<Scalar> = (0..entries.len()).map(|entry| entries.get(entry).to_scalar()).collect();
                        let before = known.insert((*root, generation), now.clone()).unwrap_or_default();
                        prop_assert!(now.starts_with(&before), "entries of a generation are only appended to");
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn doubles_are_written_and_rounded_as_sqlite_does(values in prop::collection::vec(finite_doubles(), 200)) {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let mut statement = connection.prepare("SELECT CAST(?1 AS TEXT), round(?1, ?2)").unwrap();
        for (index, value) in values.into_iter().enumerate() {
            let digits = (index % 12) as u8;
            let (written, rounded): (String, f64) = statement
                .query_row(rusqlite::params![value, digits], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap();
            let double = |function, result| call_scalar(&function, &[Cell::Double(value)], &[DataType::Double], result);
            prop_assert_eq!(double(Function::Cast, DataType::Text), Ok(text(&written)), "{:e}", value);
            let ours = double(Function::Round { digits }, DataType::Double);
            prop_assert_eq!(ours, Ok(Scalar::Double(rounded)), "round({:e}, {})", value, digits);
        }
    }

    #[test]
    fn text_functions_over_a_small_alphabet_do_what_sqlite_does(
        values in prop::collection::vec(
            ("[aAb%_!\u{e4}\u{65e5}]{0,6}", "[aA%_!\u{e4}]{0,4}", -8i64..9, -8i64..9),
            200,
        ),
    ) {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let sql = "SELECT ?1 LIKE ?2, ?1 LIKE ?2 ESCAPE '!', ?1 LIKE ?2 ESCAPE '_', substr(?1, ?3), substr(?1, ?3, ?4),
                   trim(?1, ?2), ltrim(?1, ?2), rtrim(?1, ?2), replace(?1, ?2, 'xyz'), instr(?1, ?2), length(?1)";
        let mut statement = connection.prepare(sql).unwrap();
        let (integer, boolean, string) = (DataType::Integer, DataType::Boolean, DataType::Text);
        let like = |escape| (Function::Like { escape }, vec![0, 1], boolean);
        let calls = [
            like(None),
            like(Some('!')),
            like(Some('_')),
            (Function::Substr, vec![0, 2], string),
            (Function::Substr, vec![0, 2, 3], string),
            (Function::Trim(TrimSide::Both), vec![0, 1], string),
            (Function::Trim(TrimSide::Start), vec![0, 1], string),
            (Function::Trim(TrimSide::End), vec![0, 1], string),
            (Function::Replace, vec![0, 1, 4], string),
            (Function::StrPos, vec![0, 1], integer),
            (Function::Length, vec![0], integer),
        ];
        let types = [string, string, integer, integer, string];
        for (value, other, start, length) in values {
            let scalars = [text(&value), text(&other), Scalar::Int(start), Scalar::Int(length), text("xyz")];
            let expected: Vec<Value> = statement
                .query_row(rusqlite::params![value, other, start, length], |row| {
                    (0..calls.len()).map(|at| row.get(at)).collect()
                })
                .unwrap();
            for ((function, places, result), expected) in calls.iter().zip(expected) {
                let cells: Vec<Cell<'_>> = places.iter().map(|place| scalars[*place].as_cell()).collect();
                let types: Vec<DataType> = places.iter().map(|place| types[*place]).collect();
                let actual = call_scalar(function, &cells, &types, *result);
                prop_assert_eq!(actual, Ok(from_sqlite(expected, *result)), "{:?} {:?}", function, scalars);
            }
        }
    }

    #[test]
    fn integer_and_decimal_arithmetic_is_exact_or_a_fault(
        pairs in prop::collection::vec((integers(), integers()), 50),
        precision in 1u8..19,
    ) {
        let decimal = DataType::Decimal { precision, scale: 0 };
        let limit = 10i128.pow(u32::from(precision));
        for (a, b) in pairs {
            let (Scalar::Int(x), Scalar::Int(y)) = (&a, &b) else { unreachable!() };
            let (x, y) = (i128::from(*x), i128::from(*y));
            for (function, exact) in [
                (Function::Add, x + y),
                (Function::Subtract, x - y),
                (Function::Multiply, x * y),
                (Function::Negate, -x),
                (Function::Abs, x.abs()),
            ] {
                let arguments = if matches!(function, Function::Negate | Function::Abs) { 1 } else { 2 };
                let cells = &[a.as_cell(), b.as_cell()][..arguments];
                let integer = i64::try_from(exact).map(Scalar::Int).map_err(|_| FaultKind::Overflow);
                let of_integers = call_scalar(&function, cells, &[DataType::Integer; 2], DataType::Integer);
                prop_assert_eq!(of_integers, integer.clone());
                let expected = if exact.abs() < limit { integer } else { Err(FaultKind::Overflow) };
                prop_assert_eq!(call_scalar(&function, cells, &[decimal; 2], decimal), expected);
            }
        }
    }
}

// ---- Known values ---------------------------------------------------------------------------------------------------

fn timestamp(value: &str) -> Scalar {
    Scalar::Int(parse_timestamp(value.as_bytes()).unwrap())
}

fn call_one(function: &Function, argument: &Scalar, from: DataType, to: DataType) -> Result<Scalar, FaultKind> {
    call_scalar(function, &[argument.as_cell()], &[from], to)
}

#[test]
fn casts_of_what_sqlite_lacks() {
    let decimal = |precision, scale| DataType::Decimal { precision, scale };
    let (overflow, invalid) = (Err(FaultKind::Overflow), Err(FaultKind::InvalidCast));
    for (value, from, to, expected) in [
        (Scalar::Int(-12_345), decimal(9, 2), DataType::Text, Ok(text("-123.45"))),
        (Scalar::Int(-5), decimal(9, 2), DataType::Text, Ok(text("-0.05"))),
        (Scalar::Int(-199), decimal(9, 2), DataType::Integer, Ok(Scalar::Int(-1))),
        (Scalar::Int(125), decimal(9, 2), decimal(9, 1), Ok(Scalar::Int(13))),
        (Scalar::Int(-125), decimal(9, 2), decimal(9, 1), Ok(Scalar::Int(-13))),
        (Scalar::Int(9_950), decimal(9, 2), decimal(2, 0), overflow.clone()),
        (Scalar::Int(100), DataType::Integer, decimal(4, 2), overflow.clone()),
        (Scalar::Int(99), DataType::Integer, decimal(4, 2), Ok(Scalar::Int(9900))),
        // A hundred times as many leave 84 in 64 bits.
        (Scalar::Int(184_467_440_737_095_517), DataType::Integer, decimal(18, 2), overflow.clone()),
        (Scalar::Double(0.125), DataType::Double, decimal(9, 2), Ok(Scalar::Int(13))),
        (Scalar::Double(-0.125), DataType::Double, decimal(9, 2), Ok(Scalar::Int(-13))),
        (Scalar::Double(0.004), DataType::Double, decimal(9, 2), Ok(Scalar::Int(0))),
        (Scalar::Double(0.000_4), DataType::Double, decimal(9, 2), Ok(Scalar::Int(0))),
        (Scalar::Double(1e300), DataType::Double, decimal(18, 0), overflow.clone()),
        (Scalar::Double(1e18), DataType::Double, decimal(18, 0), overflow.clone()),
        (Scalar::Double(-999_999.0), DataType::Double, decimal(6, 0), Ok(Scalar::Int(-999_999))),
        (Scalar::Double(9.3e18), DataType::Double, DataType::Integer, overflow.clone()),
        (Scalar::Double(-9_223_372_036_854_775_808.0), DataType::Double, DataType::Integer, Ok(Scalar::Int(i64::MIN))),
        (text("12.345"), DataType::Text, decimal(9, 2), invalid.clone()),
        (text(" 12.340"), DataType::Text, decimal(9, 2), Ok(Scalar::Int(1234))),
        (text("12345678"), DataType::Text, decimal(9, 2), overflow.clone()),
        (text("99999999999999999999"), DataType::Text, DataType::Integer, overflow.clone()),
        (text("1e999"), DataType::Text, DataType::Double, overflow),
        (text("no"), DataType::Text, DataType::Boolean, Ok(Scalar::Bool(false))),
        (text("maybe"), DataType::Text, DataType::Boolean, invalid.clone()),
        (text("2024-02-29"), DataType::Text, DataType::Date, Ok(date("2024-02-29"))),
        (text("2025-02-29"), DataType::Text, DataType::Date, invalid),
        (date("2024-02-29"), DataType::Date, DataType::Text, Ok(text("2024-02-29"))),
        (date("1969-12-31"), DataType::Date, DataType::Timestamp, Ok(timestamp("1969-12-31 00:00:00"))),
        (timestamp("1969-12-31 23:59:59.5"), DataType::Timestamp, DataType::Date, Ok(date("1969-12-31"))),
        (timestamp("2025-01-02 03:04:05"), DataType::Timestamp, DataType::Text, Ok(text("2025-01-02 03:04:05"))),
        (Scalar::Bool(true), DataType::Boolean, DataType::Text, Ok(text("1"))),
        (Scalar::Int(-3), DataType::Integer, DataType::Boolean, Ok(Scalar::Bool(true))),
        (Scalar::Null, DataType::Text, DataType::Date, Ok(Scalar::Null)),
    ] {
        let case = format!("{value:?} from {from} to {to}");
        assert_eq!(call_one(&Function::Cast, &value, from, to), expected, "{case}");
        let tried = call_one(&Function::TryCast, &value, from, to);
        assert_eq!(tried, Ok(expected.unwrap_or(Scalar::Null)), "TRY_CAST of {case}");
    }
    let tried = call_one(&Function::TryCast, &text("12abc"), DataType::Text, DataType::Integer);
    assert_eq!(tried, Ok(Scalar::Null), "TRY_CAST takes whole numbers only");
}

#[test]
fn decimals_round_half_away_from_zero() {
    let from = DataType::Decimal { precision: 9, scale: 2 };
    for (units, to_scale, rounded, floor, ceil) in
        [(1250, 1, 125, 12, 13), (1255, 1, 126, 12, 13), (-1255, 1, -126, -13, -12), (1200, 0, 12, 12, 12)]
    {
        let to = |scale| DataType::Decimal { precision: 9, scale };
        let value = Scalar::Int(units);
        let round = Function::Round { digits: to_scale };
        assert_eq!(call_one(&round, &value, from, to(to_scale)), Ok(Scalar::Int(rounded)));
        assert_eq!(call_one(&Function::Floor, &value, from, to(0)), Ok(Scalar::Int(floor)));
        assert_eq!(call_one(&Function::Ceil, &value, from, to(0)), Ok(Scalar::Int(ceil)));
    }
}

#[test]
fn parts_and_starts_of_dates() {
    let moment = timestamp("2024-12-30 23:59:58.75");
    for (part, extracted, start) in [
        (DatePart::Year, 2024, "2024-01-01"),
        (DatePart::Quarter, 4, "2024-10-01"),
        (DatePart::Month, 12, "2024-12-01"),
        (DatePart::Week, 1, "2024-12-30"),
        (DatePart::Day, 30, "2024-12-30"),
        (DatePart::Hour, 23, "2024-12-30 23:00"),
        (DatePart::Minute, 59, "2024-12-30 23:59"),
        (DatePart::Second, 58, "2024-12-30 23:59:58"),
    ] {
        let (integer, data_type) = (DataType::Integer, DataType::Timestamp);
        assert_eq!(call_one(&Function::Extract(part), &moment, data_type, integer), Ok(Scalar::Int(extracted)));
        assert_eq!(
            call_one(&Function::DateTrunc(part), &moment, data_type, data_type),
            Ok(timestamp(start)),
            "{part:?}"
        );
    }
    for (part, extracted) in [
        (DatePart::DayOfWeek, 0),
        (DatePart::IsoDayOfWeek, 7),
        (DatePart::DayOfYear, 366 - 2),
        (DatePart::Epoch, 1_735_430_400),
        (DatePart::Hour, 0),
    ] {
        let result = call_one(&Function::Extract(part), &date("2024-12-29"), DataType::Date, DataType::Integer);
        assert_eq!(result, Ok(Scalar::Int(extracted)), "{part:?}");
    }
    let first = date("0000-01-01");
    let week = call_one(&Function::DateTrunc(DatePart::Week), &first, DataType::Date, DataType::Date);
    assert_eq!(week, Err(FaultKind::Overflow), "the Monday of the first week lies before the year 0");
    let before_the_epoch = timestamp("1969-12-31 23:59:59.5");
    let epoch =
        call_one(&Function::Extract(DatePart::Epoch), &before_the_epoch, DataType::Timestamp, DataType::Integer);
    assert_eq!(epoch, Ok(Scalar::Int(-1)));
}

#[test]
fn formats_of_dates_are_checked_in_advance() {
    for (format, good) in
        [("%Y-%m", true), ("%Q", false), ("%Z", false), ("100%%", true), ("%", false), ("%H:%M:%S%.f", true)]
    {
        assert_eq!(check_strftime(format), good, "{format}");
    }
    let format: Box<str> = "%d.%m.%Y %H:%M".into();
    let function = Function::Strftime { format };
    let written = call_one(&function, &date("2025-03-01"), DataType::Date, DataType::Text);
    assert_eq!(written, Ok(text("01.03.2025 00:00")));
    let written = call_one(&function, &timestamp("2025-03-01 12:30"), DataType::Timestamp, DataType::Text);
    assert_eq!(written, Ok(text("01.03.2025 12:30")));
}

#[test]
fn dates_leave_the_calendar_with_a_fault() {
    let shift = |value: &Scalar, months, days| {
        call_one(&Function::Shift(Interval { months, days, micros: 0 }), value, DataType::Date, DataType::Date)
    };
    assert_eq!(shift(&date("2025-01-31"), 1, 0), Ok(date("2025-02-28")));
    assert_eq!(shift(&date("9999-12-30"), 0, 1), Ok(date("9999-12-31")));
    assert_eq!(shift(&date("9999-12-31"), 0, 1), Err(FaultKind::Overflow));
    assert_eq!(shift(&date("0000-01-01"), 0, -1), Err(FaultKind::Overflow));
    assert_eq!(shift(&date("2025-01-01"), 0, i64::MAX), Err(FaultKind::Overflow));
    assert_eq!(shift(&date("0000-01-01"), -1, 0), Err(FaultKind::Overflow));
}

#[test]
fn greatest_and_least_skip_nulls() {
    let data_type = DataType::Text;
    let cells = [text("b"), Scalar::Null, text("ab"), text("c")];
    let cells: Vec<Cell<'_>> = cells.iter().map(Scalar::as_cell).collect();
    let of = |function, cells: &[Cell<'_>]| call_scalar(&function, cells, &[data_type; 4], data_type);
    assert_eq!(of(Function::Greatest, &cells), Ok(text("c")));
    assert_eq!(of(Function::Least, &cells), Ok(text("ab")));
    assert_eq!(of(Function::Least, &cells[1..2]), Ok(Scalar::Null));
    assert_eq!(of(Function::Greatest, &[Cell::Null, Cell::Null]), Ok(Scalar::Null));
}

#[test]
fn a_text_may_not_grow_without_bound() {
    let long = vec![b'a'; 1 << 16];
    let arguments = [Cell::Text(&long), Cell::Text(b"a"), Cell::Text(&long[..1000])];
    let replaced = call_scalar(&Function::Replace, &arguments, &[DataType::Text; 3], DataType::Text);
    assert_eq!(replaced, Err(FaultKind::Overflow));
}

// ---- Dictionaries ---------------------------------------------------------------------------------------------------

fn upper_of_column() -> (Program, NodeId) {
    let mut program = Program::default();
    let input = program.add(Op::Input(0), DataType::Text);
    let upper = program.call(Function::Upper, vec![input], DataType::Text);
    (program, upper)
}

fn text_column(values: impl Iterator<Item = String>) -> Vec<Option<Column>> {
    let mut builder = ColumnBuilder::new(Physical::Text, 0);
    values.for_each(|value| builder.push(Cell::Text(value.as_bytes())));
    vec![Some(builder.finish())]
}

/// The number of entries and the generation, if the root is encoded.
fn entries(view: ColumnView<'_>) -> Option<(usize, u64)> {
    match view {
        ColumnView::Rows(_) => None,
        ColumnView::Encoded { entries, generation, .. } => Some((entries.len(), generation)),
    }
}

#[test]
fn repeated_values_are_remembered_and_unique_ones_given_up() {
    let (program, root) = upper_of_column();
    let limits = DictionaryLimits { window_rows: 100, ..DictionaryLimits::default() };
    let mut repeated = Evaluator::with_limits(&program, Vec::new(), &[root], limits);
    for _ in 0..10 {
        let columns = text_column((0..100).map(|row| format!("value {}", row % 7)));
        assert_eq!(entries(repeated.evaluate(&columns, 100).view(root)), Some((7, 0)));
    }
    let mut unique = Evaluator::with_limits(&program, Vec::new(), &[root], limits);
    let seen: Vec<Option<(usize, u64)>> = (0..4)
        .map(|chunk| {
            let columns = text_column((0..100).map(|row| format!("value {}", chunk * 100 + row)));
            entries(unique.evaluate(&columns, 100).view(root))
        })
        .collect();
    assert_eq!(seen, [Some((100, 0)), Some((200, 0)), None, None], "the first window does not count");
}

#[test]
fn a_full_dictionary_starts_over_in_a_new_generation() {
    let (program, root) = upper_of_column();
    let columns = |first: usize| text_column((first..first + 10).map(|value| format!("{value:04}")));
    for (limits, expected) in [
        (DictionaryLimits { entries: 20, ..DictionaryLimits::default() }, [(10, 0), (20, 0), (30, 0), (10, 1)]),
        (DictionaryLimits { entries: 19, ..DictionaryLimits::default() }, [(10, 0), (20, 0), (10, 1), (20, 1)]),
        // Four bytes for each value and four for what is computed from it.
        (DictionaryLimits { bytes: 160, ..DictionaryLimits::default() }, [(10, 0), (20, 0), (30, 0), (10, 1)]),
        (DictionaryLimits { bytes: 159, ..DictionaryLimits::default() }, [(10, 0), (20, 0), (10, 1), (20, 1)]),
    ] {
        let mut evaluator = Evaluator::with_limits(&program, Vec::new(), &[root], limits);
        for (chunk, expected) in expected.into_iter().enumerate() {
            let columns = columns(chunk * 10);
            assert_eq!(entries(evaluator.evaluate(&columns, 10).view(root)), Some(expected), "{limits:?}");
        }
    }
}

#[test]
fn a_literal_root_is_one_entry() {
    let mut program = Program::default();
    let root = program.literal(text("client_1"), DataType::Text);
    let mut evaluator = Evaluator::new(&program, Vec::new(), &[root]);
    let results = evaluator.evaluate(&[], 3);
    assert_eq!(entries(results.view(root)), Some((1, 0)));
    assert_eq!(results.view(root).get(2), Cell::Text(b"client_1"));
    assert!(results.faults(root).is_empty());
}

#[test]
fn a_chunk_may_be_empty() {
    let (program, root) = upper_of_column();
    let mut evaluator = Evaluator::new(&program, Vec::new(), &[root]);
    let columns = text_column(std::iter::empty());
    assert_eq!(entries(evaluator.evaluate(&columns, 0).view(root)), Some((0, 0)));
}

#[test]
fn columns_that_no_root_needs_may_be_absent() {
    let mut program = Program::default();
    let unused = program.add(Op::Input(0), DataType::Text);
    program.call(Function::Upper, vec![unused], DataType::Text);
    let number = program.add(Op::Input(1), DataType::Integer);
    let root = program.call(Function::Add, vec![number, number], DataType::Integer);
    let mut evaluator = Evaluator::new(&program, Vec::new(), &[root]);
    let columns = [None, Some(Column::new(Values::Int(vec![1, i64::MAX, 3])))];
    let results = evaluator.evaluate(&columns, 3);
    assert_eq!(results.faults(root), [(1, FaultKind::Overflow)]);
    assert_eq!(
        (0..3).map(|row| results.view(root).get(row)).collect::<Vec<_>>(),
        [Cell::Int(2), Cell::Null, Cell::Int(6)]
    );
}

#[test]
fn what_overflows_harms_nobody_else() {
    let double = DataType::Double;
    let mut program = Program::default();
    let input = program.add(Op::Input(0), double);
    let square = program.call(Function::Multiply, vec![input, input], double);
    let none = program.call(Function::Subtract, vec![square, square], double);
    let rounded = program.call(Function::Round { digits: 2 }, vec![none], double);
    let root = program.call(Function::Cast, vec![rounded], DataType::Decimal { precision: 9, scale: 2 });
    let mut evaluator = Evaluator::new(&program, Vec::new(), &[root]);
    let columns = [Some(Column::new(Values::Double(vec![1.0, 1e300, -1e300])))];
    let results = evaluator.evaluate(&columns, 3);
    assert_eq!(results.faults(root), [(1, FaultKind::Overflow), (2, FaultKind::Overflow)]);
    assert_eq!(
        (0..3).map(|row| results.view(root).get(row)).collect::<Vec<_>>(),
        [Cell::Int(0), Cell::Null, Cell::Null]
    );
}
