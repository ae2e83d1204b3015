//! The fields of a block to typed columns. What a value is, is defined by `chunk::parse`; this file only gets there
//! faster and without copying text.

use std::ops::Range;
use std::sync::Arc;

use memchr::memchr;

use crate::chunk::{Column, DataType, Physical, Reject, RejectCode, Scalar, Span, Text, Values, parse};
use crate::csv::lanes::{Kind, LANES, Lanes};
use crate::csv::parse::Records;
use crate::csv::structure::Level;
use crate::csv::{Dialect, number};

/// A column to decode.
#[derive(Debug, Clone)]
pub struct DecodeColumn {
    /// Its name, for rejects.
    pub name: String,
    /// Its place among the fields of a record.
    pub field: usize,
    /// Its type.
    pub data_type: DataType,
    /// Whether NULL rejects the record.
    pub not_null: bool,
    /// Whether an invalid value is NULL instead of rejecting the record.
    pub nullify: bool,
}

/// Decodes the used columns of blocks.
#[derive(Debug)]
pub struct Decoder {
    columns: Vec<DecodeColumn>,
    nulls: Nulls,
    quote: Option<u8>,
    /// A value whose quotes had to be undone.
    scratch: Vec<u8>,
    /// The numbers and dates at hand.
    lanes: Box<Lanes>,
}

/// A block in columns.
#[derive(Debug)]
pub struct Decoded {
    /// A column for each `DecodeColumn`, with a row for each good record of the block.
    pub columns: Vec<Column>,
    /// Records with an invalid value, ascending, and for each the first column that is at fault.
    pub rejects: Vec<Reject>,
    /// How many invalid values became NULL, for each column. Records that are rejected count as well.
    pub nullified: Vec<u64>,
    /// The block, unaltered, with texts behind it whose quotes had to be undone. All text columns point here: once they
    /// are dropped, `Arc::into_inner` gives the buffer back.
    pub bytes: Arc<Vec<u8>>,
}

impl Decoder {
    /// A decoder of these columns, in the order in which they were declared, all of them among the fields that the
    /// parser looks for. A text of `nulls` means NULL, quoted or not.
    pub fn new(columns: Vec<DecodeColumn>, nulls: &[String], dialect: &Dialect) -> Self {
        Decoder::with_level(columns, nulls, dialect, Level::best())
    }

    /// The same with these instructions, which change nothing about the values.
    pub(super) fn with_level(columns: Vec<DecodeColumn>, nulls: &[String], dialect: &Dialect, level: Level) -> Self {
        let lanes = Box::new(Lanes::new(level));
        Decoder { columns, nulls: Nulls::new(nulls), quote: dialect.quote, scratch: Vec::new(), lanes }
    }

    /// Decodes a block from its bytes and what `Parser::parse` found in them. Records with an invalid value are no longer
    /// among the good ones then, so that nobody behind has to pass them over.
    pub fn decode(&mut self, records: &mut Records, mut bytes: Vec<u8>) -> Decoded {
        let mut faults = Faults::default();
        let Decoder { nulls, quote, scratch, lanes, .. } = self;
        let mut passes: Vec<Pass<'_>> = self.columns.iter().map(|column| Pass::new(column, records)).collect();
        for start in (0..records.len()).step_by(TILE_ROWS) {
            let rows = start..records.len().min(start + TILE_ROWS);
            for pass in &mut passes {
                let mut context = Context { records, nulls, quote: *quote, scratch, lanes, faults: &mut faults };
                pass.decode(rows.clone(), &mut bytes, &mut context);
            }
        }
        let bytes = Arc::new(bytes);
        let nullified = passes.iter().map(|pass| pass.progress.nullified).collect();
        let mut columns: Vec<Column> = passes.into_iter().map(|pass| pass.into_column(&bytes)).collect();
        let rows = faults.rows();
        if !rows.is_empty() {
            columns.iter_mut().for_each(|column| column.remove(&rows));
            records.remove(&rows);
            faults.rejects.sort_unstable_by_key(|reject| reject.record);
        }
        Decoded { columns, rejects: faults.rejects, nullified, bytes }
    }
}

/// All columns of so many rows are decoded before any of the next ones: their bytes stay in the first cache.
const TILE_ROWS: usize = LANES;

/// What all columns share.
struct Context<'a> {
    records: &'a Records,
    nulls: &'a Nulls,
    quote: Option<u8>,
    scratch: &'a mut Vec<u8>,
    lanes: &'a mut Lanes,
    faults: &'a mut Faults,
}

/// One column on its way through the rows.
struct Pass<'a> {
    values: Values,
    /// In which way many of its fields are read at once; none for a type that is not read so.
    kind: Option<Kind>,
    progress: Progress<'a>,
}

/// What there is to a column on its way besides its values.
struct Progress<'a> {
    column: &'a DecodeColumn,
    quoted: Quoted<'a>,
    validity: Option<Vec<bool>>,
    nullified: u64,
}

impl<'a> Pass<'a> {
    fn new(column: &'a DecodeColumn, records: &'a Records) -> Self {
        let rows = records.len();
        let values = match column.data_type.physical() {
            Physical::Int => Values::Int(Vec::with_capacity(rows)),
            Physical::Double => Values::Double(Vec::with_capacity(rows)),
            Physical::Bool => Values::Bool(Vec::with_capacity(rows)),
            Physical::Text => Values::Text(Text { bytes: Arc::default(), spans: Vec::with_capacity(rows) }),
        };
        let progress = Progress { column, quoted: Quoted::new(records), validity: None, nullified: 0 };
        Pass { values, kind: Kind::of(column.data_type), progress }
    }

    /// The column, when all rows are decoded.
    fn into_column(mut self, bytes: &Arc<Vec<u8>>) -> Column {
        if let Values::Text(text) = &mut self.values {
            text.bytes = Arc::clone(bytes);
        }
        Column { values: self.values, validity: self.progress.validity }
    }

    /// Decodes the next rows.
    fn decode(&mut self, rows: Range<usize>, bytes: &mut Vec<u8>, context: &mut Context<'_>) {
        let Pass { values, kind, progress } = self;
        match (values, kind) {
            (Values::Text(text), _) => progress.texts(rows, bytes, &mut text.spans, context),
            (Values::Int(values), Some(kind)) => progress.many(rows, bytes, values, context, kind),
            (Values::Int(values), None) => progress.one_by_one(rows, bytes, values, context, int),
            (Values::Double(values), _) => progress.one_by_one(rows, bytes, values, context, double),
            (Values::Bool(values), _) => progress.one_by_one(rows, bytes, values, context, boolean),
        }
    }
}

impl Progress<'_> {
    /// Nothing is read of a text that has no quotes. Apart from the others, which leaves its loop all registers.
    #[inline(never)]
    fn texts(&mut self, rows: Range<usize>, bytes: &mut Vec<u8>, spans: &mut Vec<Span>, context: &mut Context<'_>) {
        let span = |field: Range<usize>| Span { start: field.start as u32, len: field.len() as u32 };
        spans.extend(context.records.column(self.column.field, rows.clone()).map(|(start, end)| span(start..end)));
        for row in self.quoted.until(rows.end) {
            spans[row] = span(context.unquoted(bytes, spans[row].range()));
        }
        // Few columns have a NULL in every tile.
        let is_some_empty = spans[rows.clone()].iter().fold(false, |is_some, text| is_some | (text.len == 0));
        if context.nulls.are_in(is_some_empty) {
            for row in rows {
                if context.nulls.contain(bytes, &spans[row].range()) {
                    self.null(row, context);
                }
            }
        }
    }

    /// Values that `lanes` reads where it can, `number` where that cannot, and `chunk::parse` where neither can, as with
    /// quotes.
    fn many(
        &mut self,
        rows: Range<usize>,
        bytes: &[u8],
        values: &mut Vec<i64>,
        context: &mut Context<'_>,
        kind: &Kind,
    ) {
        const ONLY_SLOWLY: u64 = u64::MAX;
        let (records, field) = (context.records, self.column.field);
        let (read, unread) = context.lanes.read(kind, bytes, records.column(field, rows.clone()));
        values.extend_from_slice(read);
        for row in self.quoted.until(rows.end) {
            if context.quote.is_some_and(|quote| records.field(bytes, row, field).first() == Some(&quote)) {
                unread[row - rows.start] = ONLY_SLOWLY;
            }
        }
        if !context.nulls.others.is_empty() {
            for (row, unread) in rows.clone().zip(&mut *unread) {
                if context.nulls.contain(bytes, &records.range(row, field)) {
                    *unread = ONLY_SLOWLY;
                }
            }
        }
        if unread.iter().fold(0, |all, unread| all | unread) == 0 {
            return;
        }
        let unread: Vec<(usize, u64)> = rows.zip(unread.iter().copied()).filter(|(_, unread)| *unread != 0).collect();
        for (row, unread) in unread {
            let field = records.range(row, field);
            let one =
                if unread == ONLY_SLOWLY { None } else { number::read(&bytes[field.clone()], self.column.data_type) };
            let value = one.or_else(|| self.slow(row, &bytes[field], context).as_ref().map(int));
            values[row] = value.unwrap_or_default();
        }
    }

    /// Values that `chunk::parse` reads.
    fn one_by_one<T: Default>(
        &mut self,
        rows: Range<usize>,
        bytes: &[u8],
        values: &mut Vec<T>,
        context: &mut Context<'_>,
        from_scalar: impl Fn(&Scalar) -> T,
    ) {
        let fields = context.records.column(self.column.field, rows.clone());
        values.extend(rows.zip(fields).map(|(row, (start, end))| {
            self.slow(row, &bytes[start..end], context).as_ref().map(&from_scalar).unwrap_or_default()
        }));
    }

    #[cold]
    fn slow(&mut self, row: usize, field: &[u8], context: &mut Context<'_>) -> Option<Scalar> {
        let mut text = std::mem::take(context.scratch);
        text.clear();
        unquote(field, context.quote, &mut text);
        let value = if context.nulls.contain(&text, &(0..text.len())) {
            self.null(row, context);
            None
        } else {
            parse::parse(&text, self.column.data_type).map_err(|code| self.invalid(row, &text, code, context)).ok()
        };
        *context.scratch = text;
        value
    }

    fn null(&mut self, row: usize, context: &mut Context<'_>) {
        self.validity.get_or_insert_with(|| vec![true; context.records.len()])[row] = false;
        if self.column.not_null {
            let reason = format!("NULL in {}, which is NOT NULL", self.column.name);
            context.faults.reject(context.records, row, self.column, RejectCode::NullValue, b"", reason);
        }
    }

    fn invalid(&mut self, row: usize, value: &[u8], code: RejectCode, context: &mut Context<'_>) {
        if self.column.nullify {
            self.nullified += 1;
            self.null(row, context);
        } else {
            let reason = parse::reason(code, self.column.data_type);
            context.faults.reject(context.records, row, self.column, code, value, reason);
        }
    }
}

impl Context<'_> {
    /// Where the text of a field of a record with quotes is; behind the block, if it is not in the block as it stands.
    fn unquoted(&mut self, bytes: &mut Vec<u8>, field: Range<usize>) -> Range<usize> {
        let Some(quote) = self.quote.filter(|quote| bytes[field.clone()].first() == Some(quote)) else { return field };
        let inner = field.start + 1..field.end - 1;
        if memchr(quote, &bytes[inner.clone()]).is_none() {
            return inner;
        }
        self.scratch.clear();
        unquote(&bytes[field], self.quote, self.scratch);
        bytes.extend_from_slice(self.scratch);
        bytes.len() - self.scratch.len()..bytes.len()
    }
}

/// The texts that mean NULL.
#[derive(Debug)]
struct Nulls {
    /// Nearly always the only one.
    empty: bool,
    others: Vec<Box<[u8]>>,
}

impl Nulls {
    fn new(texts: &[String]) -> Self {
        let others = texts.iter().filter(|text| !text.is_empty()).map(|text| text.as_bytes().into()).collect();
        Nulls { empty: texts.iter().any(String::is_empty), others }
    }

    /// Whether one of some texts may mean NULL, of which one or none is empty.
    fn are_in(&self, is_some_empty: bool) -> bool {
        self.empty && is_some_empty || !self.others.is_empty()
    }

    #[inline]
    fn contain(&self, bytes: &[u8], text: &Range<usize>) -> bool {
        if text.is_empty() { self.empty } else { self.others.iter().any(|null| **null == bytes[text.clone()]) }
    }
}

/// The records with quotes, on the way through all of them.
struct Quoted<'a>(std::iter::Copied<std::slice::Iter<'a, u32>>, Option<u32>);

impl<'a> Quoted<'a> {
    fn new(records: &'a Records) -> Self {
        let mut rows = records.quoted().iter().copied();
        let first = rows.next();
        Quoted(rows, first)
    }

    /// The next rows with quotes that stand in front of `end`.
    fn until(&mut self, end: usize) -> impl Iterator<Item = usize> {
        std::iter::from_fn(move || {
            let row = self.1.filter(|row| (*row as usize) < end)?;
            self.1 = self.0.next();
            Some(row as usize)
        })
    }
}

/// The rows with an invalid value so far.
#[derive(Default)]
struct Faults {
    /// Empty while there is none, else a flag for each row.
    good: Vec<bool>,
    rejects: Vec<Reject>,
}

impl Faults {
    fn reject(
        &mut self,
        records: &Records,
        row: usize,
        column: &DecodeColumn,
        code: RejectCode,
        value: &[u8],
        reason: String,
    ) {
        self.good.resize(records.len(), true);
        if std::mem::replace(&mut self.good[row], false) {
            let value = value[..value.len().min(Reject::MAX_VALUE_BYTES)].to_vec();
            let (record, span) = (records.record(row), records.span(row));
            let byte_length = u64::from(span.len);
            self.rejects.push(Reject { record, span, byte_length, code, column: column.name.clone(), value, reason });
        }
    }

    /// The rows themselves, ascending.
    fn rows(&self) -> Vec<u32> {
        (0..).zip(&self.good).filter(|(_, good)| !**good).map(|(row, _)| row).collect()
    }
}

/// Appends what a field means: without its quotes, and doubled quotes as one. The quoting is sound.
pub fn unquote(field: &[u8], quote: Option<u8>, out: &mut Vec<u8>) {
    match (field, quote) {
        ([first, inner @ .., _], Some(quote)) if *first == quote => {
            let mut rest = inner;
            while let Some(at) = memchr(quote, rest) {
                out.extend_from_slice(&rest[..=at]);
                rest = rest.get(at + 2..).unwrap_or_default();
            }
            out.extend_from_slice(rest);
        }
        _ => out.extend_from_slice(field),
    }
}

fn int(value: &Scalar) -> i64 {
    if let Scalar::Int(value) = value { *value } else { 0 }
}

fn double(value: &Scalar) -> f64 {
    if let Scalar::Double(value) = value { *value } else { 0.0 }
}

fn boolean(value: &Scalar) -> bool {
    *value == Scalar::Bool(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Cell;
    use crate::csv::{Block, Parser};
    use proptest::prelude::*;

    const DECIMAL: DataType = DataType::Decimal { precision: 6, scale: 2 };

    fn column(field: usize, name: &str, data_type: DataType) -> DecodeColumn {
        DecodeColumn { name: name.to_owned(), field, data_type, not_null: false, nullify: false }
    }

    fn decode(input: &str, fields: usize, columns: &[DecodeColumn], nulls: &[&str]) -> (Records, Decoded) {
        let nulls: Vec<String> = nulls.iter().map(|null| (*null).to_owned()).collect();
        let dialect = Dialect::default();
        let block = Block::whole(input.as_bytes().to_vec());
        let decode = |level: &Level| {
            let mut records = Records::default();
            Parser::new(dialect, fields).parse(&block, &mut records);
            let mut decoder = Decoder::with_level(columns.to_vec(), &nulls, &dialect, *level);
            let decoded = decoder.decode(&mut records, block.bytes.clone());
            assert!(decoded.columns.iter().all(|column| column.len() == records.len()));
            (records, decoded)
        };
        let (last, others) = Level::all().split_last().unwrap();
        let (records, decoded) = decode(last);
        for level in others {
            let (_, other) = decode(level);
            assert_eq!((&other.rejects, &other.nullified), (&decoded.rejects, &decoded.nullified));
            for (other, column) in other.columns.iter().zip(&decoded.columns) {
                assert!((0..records.len()).all(|row| other.get(row) == column.get(row)), "{level:?}");
            }
        }
        (records, decoded)
    }

    #[test]
    fn every_type_is_decoded_quoted_or_not() {
        let input = "12,1.5,2.25,2024-02-29,2024-02-29 12:00,yes,a\n\
                     \"-3\",\"1.50\",\"2e3\",\"1970-01-01\",\"1970-01-01\",\"f\",\"b,\"\"c\"\"\"\n";
        let types = [
            DataType::Integer,
            DECIMAL,
            DataType::Double,
            DataType::Date,
            DataType::Timestamp,
            DataType::Boolean,
            DataType::Text,
        ];
        let columns: Vec<_> =
            types.iter().enumerate().map(|(field, data_type)| column(field, "c", *data_type)).collect();
        let (records, decoded) = decode(input, 7, &columns, &[""]);
        assert_eq!(decoded.rejects, []);
        let row = |row: usize| decoded.columns.iter().map(|column| column.get(row)).collect::<Vec<_>>();
        let day = 19_782;
        assert_eq!(
            row(0),
            [
                Cell::Int(12),
                Cell::Int(150),
                Cell::Double(2.25),
                Cell::Int(day),
                Cell::Int(day * 86_400_000_000 + 43_200_000_000),
                Cell::Bool(true),
                Cell::Text(b"a"),
            ]
        );
        assert_eq!(
            row(1),
            [
                Cell::Int(-3),
                Cell::Int(150),
                Cell::Double(2000.0),
                Cell::Int(0),
                Cell::Int(0),
                Cell::Bool(false),
                Cell::Text(b"b,\"c\""),
            ]
        );
        assert!(decoded.bytes.starts_with(input.as_bytes()), "raw bytes stay as they are, for dead letters");
        assert_eq!(Some(records.span(1).start as usize), input.find('\n').map(|at| at + 1));
    }

    #[test]
    fn the_first_column_at_fault_in_declared_order_rejects_the_record() {
        let mut columns = vec![column(2, "third", DataType::Date), column(0, "first", DataType::Integer)];
        columns.push(DecodeColumn { not_null: true, ..column(1, "second", DataType::Text) });
        let input = "1,a,2024-01-01\nx,,2024-13-01\n2\n1,,2024-01-01\nx,a,\n\"1\"\"\",b,\n9223372036854775808,b,\n";
        let (records, decoded) = decode(input, 3, &columns, &[""]);
        let rejects: Vec<_> = decoded
            .rejects
            .iter()
            .map(|reject| (reject.record, reject.code, reject.column.as_str(), reject.value.as_slice()))
            .collect();
        assert_eq!(
            rejects,
            [
                (1, RejectCode::InvalidDate, "third", &b"2024-13-01"[..]),
                (3, RejectCode::NullValue, "second", b""),
                (4, RejectCode::InvalidInteger, "first", b"x"),
                (5, RejectCode::InvalidInteger, "first", b"1\""),
                (6, RejectCode::OutOfRange, "first", b"9223372036854775808"),
            ]
        );
        assert_eq!(decoded.rejects[0].reason, parse::reason(RejectCode::InvalidDate, DataType::Date));
        let Span { start, len } = decoded.rejects[1].span;
        assert_eq!(&decoded.bytes[start as usize..(start + len) as usize], b"1,,2024-01-01");
        assert_eq!((records.len(), records.record(0), records.total()), (1, 0, 7));
    }

    #[test]
    fn invalid_values_become_null_where_that_is_wanted() {
        let loose = DecodeColumn { nullify: true, ..column(0, "a", DataType::Integer) };
        let strict = DecodeColumn { nullify: true, not_null: true, ..column(1, "b", DataType::Integer) };
        let (_, decoded) = decode("1,1\nx,1\n,1\n1,x\n", 2, &[loose, strict], &[""]);
        assert_eq!(decoded.nullified, [1, 1]);
        assert_eq!(decoded.columns[0].validity, Some(vec![true, false, false]));
        assert_eq!(
            decoded.rejects.iter().map(|reject| (reject.record, reject.code)).collect::<Vec<_>>(),
            [(3, RejectCode::NullValue)]
        );
    }

    #[test]
    fn null_is_what_the_list_says_in_every_type_quoted_or_not() {
        let input = "NA,NA\n\"NA\",\"NA\"\n-1,-1\n\"-1\",\"-1\"\n\"\"\"\",\"\"\"\"\n7,\n\"-\"\"1\",x\n";
        let columns =
            vec![DecodeColumn { nullify: true, ..column(0, "a", DataType::Integer) }, column(1, "b", DataType::Text)];
        let (_, decoded) = decode(input, 2, &columns, &["NA", "-1", "\""]);
        assert_eq!(decoded.columns[0].validity, Some(vec![false, false, false, false, false, true, false]));
        assert_eq!(decoded.nullified, [1, 0]);
        assert_eq!(decoded.columns[1].validity, Some(vec![false, false, false, false, false, true, true]));
        let (_, decoded) = decode("a,\n", 2, &[column(1, "b", DataType::Text)], &[]);
        assert_eq!(decoded.columns[0].get(0), Cell::Text(b""));
    }

    #[test]
    fn long_values_are_cut_in_rejects() {
        let input = format!("{}\n", "x".repeat(Reject::MAX_VALUE_BYTES + 1));
        let (_, decoded) = decode(&input, 1, &[column(0, "a", DataType::Integer)], &[""]);
        assert_eq!(decoded.rejects[0].value.len(), Reject::MAX_VALUE_BYTES);
    }

    #[test]
    fn quotes_and_nulls_are_found_in_every_tile() {
        let text = |row: usize| match row % 11 {
            0 => String::new(),
            3 | 7 => format!("\"{row},\"\"\""),
            8 => "\"\"".to_owned(),
            _ => row.to_string(),
        };
        let rows = 3 * TILE_ROWS;
        let input: String = (0..rows).map(|row| format!("{row},{}\n", text(row))).collect();
        let columns = vec![column(0, "a", DataType::Integer), column(1, "b", DataType::Text)];
        let (_, decoded) = decode(&input, 2, &columns, &[""]);
        for row in 0..rows {
            let value = match row % 11 {
                0 | 8 => Scalar::Null,
                3 | 7 => Scalar::Text(format!("{row},\"").into_bytes().into()),
                _ => Scalar::Text(row.to_string().into_bytes().into()),
            };
            assert_eq!(decoded.columns[1].get(row).to_scalar(), value, "row {row}");
            assert_eq!(decoded.columns[0].get(row), Cell::Int(row as i64));
        }
    }

    #[test]
    fn a_quote_may_look_like_a_digit() {
        let dialect = Dialect { quote: Some(b'5'), ..Dialect::default() };
        let mut records = Records::default();
        let block = Block::whole(b"1234567,12345675\n5175,5225\n65,75\n".to_vec());
        Parser::new(dialect, 2).parse(&block, &mut records);
        let columns = vec![column(0, "a", DataType::Integer), column(1, "b", DECIMAL)];
        let decoded = Decoder::new(columns, &[], &dialect).decode(&mut records, block.bytes);
        let row = |row: usize| decoded.columns.iter().map(|column| column.get(row)).collect::<Vec<_>>();
        assert_eq!(decoded.rejects.len(), 1, "too large for its precision: {:?}", decoded.rejects);
        assert_eq!([row(0), row(1)], [[Cell::Int(17), Cell::Int(2200)], [Cell::Int(65), Cell::Int(7500)]]);
    }

    #[test]
    fn the_buffer_comes_back() {
        let (_, decoded) = decode("a\n\"b\"\"\"\n", 1, &[column(0, "a", DataType::Text)], &[""]);
        drop(decoded.columns);
        assert_eq!(Arc::into_inner(decoded.bytes).unwrap(), b"a\n\"b\"\"\"\nb\"");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Good records among those that the parser rejects and those that are rejected here, with and without quotes.
        #[test]
        fn good_records_know_their_places(lines in proptest::collection::vec(0..5_usize, 0..40)) {
            let input: String = lines.iter().map(|line| ["1,a\n", "1,\"a\"\n", "1\n", "x,a\n", "x,\"a\"\n"][*line]).collect();
            let columns = [column(0, "a", DataType::Integer), column(1, "b", DataType::Text)];
            let (records, decoded) = decode(&input, 2, &columns, &[""]);
            let places = |is_wanted: fn(usize) -> bool| -> Vec<u32> {
                (0..).zip(&lines).filter(|(_, line)| is_wanted(**line)).map(|(place, _)| place).collect()
            };
            let found: Vec<u32> = (0..records.len()).map(|row| records.record(row)).collect();
            prop_assert_eq!(&found, &places(|line| line < 2));
            for (row, place) in found.iter().enumerate() {
                let start: usize = input.split_inclusive('\n').take(*place as usize).map(str::len).sum();
                prop_assert_eq!(records.span(row).start as usize, start);
                prop_assert_eq!((decoded.columns[0].get(row), decoded.columns[1].get(row)), (Cell::Int(1), Cell::Text(b"a")));
            }
            let rejected: Vec<u32> = decoded.rejects.iter().map(|reject| reject.record).collect();
            prop_assert_eq!(rejected, places(|line| line > 2));
            let quoted = places(|line| line < 2).iter().map(|place| lines[*place as usize] == 1).collect::<Vec<_>>();
            prop_assert!((0..records.len()).all(|row| records.quoted().contains(&(row as u32)) == quoted[row]));
            prop_assert_eq!(records.total(), lines.len());
        }

        /// Any values, written by the csv crate, against `chunk::parse` value by value.
        #[test]
        fn columns_hold_what_the_definition_says(
            rows in proptest::collection::vec(
                (
                    "-?[0-9]{0,12}|x|NA",
                    "-?[0-9]{1,5}(\\.[0-9]{0,3})?|\"",
                    "20[0-9]{2}-[0-1][0-9]-[0-3][0-9]|NA?",
                    "[a-c,\"\n\u{e9}]{0,5}|NA",
                ),
                1..20,
            ),
        ) {
            let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
            for (a, b, c, d) in &rows {
                writer.write_record([a, b, c, d]).unwrap();
            }
            let input = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let types = [DataType::Integer, DECIMAL, DataType::Date, DataType::Text];
            let columns: Vec<_> = types.iter().enumerate().map(|(field, data_type)| column(field, "c", *data_type)).collect();
            let (records, decoded) = decode(&input, 4, &columns, &["", "NA"]);
            let (mut rejects, mut row) = (decoded.rejects.iter(), 0);
            for (record, (a, b, c, d)) in (0..).zip(&rows) {
                let (mut values, mut fault) = (Vec::new(), None);
                for (text, data_type) in [a, b, c, d].into_iter().zip(types) {
                    if text.is_empty() || text == "NA" {
                        values.push(Scalar::Null);
                        continue;
                    }
                    match parse::parse(text.as_bytes(), data_type) {
                        Ok(value) => values.push(value),
                        Err(code) => fault = fault.or(Some((record, code, text.as_bytes()))),
                    }
                }
                match fault {
                    None => {
                        let found: Vec<_> = decoded.columns.iter().map(|column| column.get(row).to_scalar()).collect();
                        prop_assert_eq!((records.record(row), found), (record, values));
                        row += 1;
                    }
                    Some(expected) => {
                        let reject = rejects.next().unwrap();
                        prop_assert_eq!((reject.record, reject.code, reject.value.as_slice()), expected);
                    }
                }
            }
            prop_assert_eq!((row, rejects.next()), (records.len(), None));
        }
    }
}
