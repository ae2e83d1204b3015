//! Random feeds with random dirt in them, as proptest strategies. Says nothing of what is to become of them.

use proptest::prelude::*;
use proptest::sample::select;

/// What the columns of the feeds are called, in the order of their declaration.
pub(crate) const COLUMNS: [&str; 7] = ["i", "t", "d", "f", "dd", "ts", "b"];

/// Their declaration, with every kind of constraint.
pub(crate) const DECLARATION: &str = "i INTEGER NOT NULL CHECK (i <> 2), t TEXT, d DECIMAL(8,2), f DOUBLE, dd DATE, \
                               ts TIMESTAMP, b BOOLEAN, CHECK (d < 5000)";

/// A line of a feed: a record with what is done to it, or no record at all.
#[derive(Debug, Clone)]
pub(crate) enum Line {
    Record { fields: Vec<String>, fault: Fault, end: &'static str },
    Noise(Vec<u8>),
}

/// What is done to the line of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    None,
    FieldLess,
    FieldMore,
    BadUtf8,
    StrayQuote,
    OpenQuote,
    QuoteBehind,
}

/// A feed file: the order of its columns, its lines, and whether it begins with a byte order mark or ends in the middle
/// of a line.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) order: Vec<usize>,
    pub(crate) byte_order_mark: bool,
    pub(crate) lines: Vec<Line>,
    pub(crate) last_line_ends: bool,
}

impl Feed {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.byte_order_mark {
            out.extend("\u{feff}".bytes());
        }
        let header: Vec<&str> = self.order.iter().map(|column| COLUMNS[*column]).collect();
        out.extend(header.join(",").bytes());
        out.push(b'\n');
        for line in &self.lines {
            match line {
                Line::Noise(bytes) => out.extend(bytes),
                Line::Record { fields, fault, end } => {
                    let mut fields: Vec<&str> = self.order.iter().map(|column| fields[*column].as_str()).collect();
                    match fault {
                        Fault::FieldLess => drop(fields.pop()),
                        Fault::FieldMore => fields.push("more"),
                        _ => {}
                    }
                    let mut text = fields.join(",").into_bytes();
                    match fault {
                        Fault::BadUtf8 => text.push(0xff),
                        Fault::StrayQuote => text.insert(text.len() / 2, b'"'),
                        Fault::OpenQuote => text.insert(0, b'"'),
                        Fault::QuoteBehind => text.extend(b"\"x"),
                        _ => {}
                    }
                    out.extend(text);
                    out.extend(end.bytes());
                }
            }
        }
        if !self.last_line_ends && out.ends_with(b"\n") && !self.lines.is_empty() {
            out.pop();
        }
        out
    }
}

/// Feeds of up to so many lines.
pub(crate) fn feeds(lines: usize) -> impl Strategy<Value = Feed> {
    let order = Just((0..COLUMNS.len()).collect::<Vec<_>>()).prop_shuffle();
    (order, prop::bool::weighted(0.2), prop::collection::vec(line(), 0..lines), prop::bool::weighted(0.8)).prop_map(
        |(order, byte_order_mark, lines, last_line_ends)| Feed { order, byte_order_mark, lines, last_line_ends },
    )
}

fn line() -> impl Strategy<Value = Line> {
    let fault = prop_oneof![
        20 => Just(Fault::None),
        1 => Just(Fault::FieldLess),
        1 => Just(Fault::FieldMore),
        1 => Just(Fault::BadUtf8),
        1 => Just(Fault::StrayQuote),
        1 => Just(Fault::OpenQuote),
        1 => Just(Fault::QuoteBehind),
    ];
    let end = select(vec!["\n", "\n", "\n", "\r\n", "\n\n", "\r\n\r\n"]);
    let fields = prop_oneof![4 => record(19, 1), 1 => record(2, 1)];
    let noise = prop::collection::vec(
        select(vec!["a", "\"", "\"\"", ",", ",\"", "\",", "\n", "\r\n", "\r", "\0", "1,,,,,,", "\n\""]),
        1..8,
    );
    prop_oneof![
        24 => (fields, fault, end).prop_map(|(fields, fault, end)| Line::Record { fields, fault, end }),
        1 => noise.prop_map(|parts| Line::Noise(parts.concat().into_bytes())),
        1 => (30usize..1100).prop_map(|length| Line::Noise(vec![b'a'; length])),
        1 => prop::collection::vec(any::<u8>(), 1..30).prop_map(Line::Noise),
    ]
}

/// The fields of a record in the order of declaration; of each `clean + dirty`, `clean` are what they should be.
fn record(clean: u32, dirty: u32) -> impl Strategy<Value = Vec<String>> {
    let text = |values: &'static [&'static str]| select(values).prop_map(str::to_owned);
    let columns: [(BoxedStrategy<String>, &[&str]); 7] = [
        (
            (-5i64..50).prop_map(|value| value.to_string()).boxed(),
            &["2", "+4", " 5", "007", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1.0", "x"],
        ),
        (
            text(&["a", "b", "abc", "Ab12", "\"q,\n\"\"z\"", "\u{e9}x", "", "12.5z"]).boxed(),
            &["%x_", "  q ", "1e3", "2025-01-01", "\"a\"b", "a\"b", "\r", "\0", "\u{feff}", "\u{1f600}z", "\"x\r\ny\""],
        ),
        (
            (-900i64..9900).prop_map(|cents| format!("{}.{:02}", cents / 100, cents.abs() % 100)).boxed(),
            &["1e2", "99999.99", "100000", "1.005", ".5", "5.", "abc", "\"3.5\"", "12345e-2", "1e-9", "0e999", "-0.05"],
        ),
        (
            (-5e6..5e6f64).prop_map(|value| value.to_string()).boxed(),
            &["1e300", "-1e300", "1e-300", "-0", "nan", "inf", "1e400", "2.675", "12345678901234567", "1e16", "0x1"],
        ),
        (
            (1u32..13, 1u32..29).prop_map(|(month, day)| format!("2025-{month:02}-{day:02}")).boxed(),
            &["2024-02-29", "2025-02-29", "1969-12-31", "0000-01-01", "9999-12-31", "x", "2025-1-1", "20250101"],
        ),
        (
            (1u32..13, 1u32..29, 0u32..24, 0u32..60)
                .prop_map(|(month, day, hour, minute)| format!("2025-{month:02}-{day:02} {hour:02}:{minute:02}"))
                .boxed(),
            &[
                "2025-01-01T10:00:00Z",
                "2024-02-29 23:59:59.5",
                "2025-01-01 00:30+01:00",
                "0000-01-01 00:00",
                "9999-12-31 23:59:59",
                "2025-01-01 25:00",
                "x",
            ],
        ),
        (text(&["true", "f", "0", "1"]).boxed(), &["YES", "maybe", "T", "2"]),
    ];
    let anywhere = &["", "NA", " ", "\"\"", "\"", "\"\r\n\"", "\"1\"", "\"x,y\""];
    columns
        .into_iter()
        .map(|(good, bad)| prop_oneof![clean => good, dirty => prop_oneof![2 => text(bad), 1 => text(anywhere)]])
        .collect::<Vec<_>>()
}
