//! Tests of splitting and parsing together, against a slow model of the rules and against the csv crate. Not the place
//! for tests of a single function.

use proptest::prelude::*;

use crate::chunk::RejectCode;
use crate::csv::structure::Level;
use crate::csv::{Block, Blocks, Dialect, Ending, LineCounter, Parser, Records};

/// A record with its place: number, byte offset and line, each from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed<T> {
    record: u64,
    offset: u64,
    line: u64,
    what: T,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    accepted: Vec<Placed<Vec<Vec<u8>>>>,
    rejected: Vec<Placed<(RejectCode, Vec<u8>, String)>>,
    records: u64,
    lines: u64,
}

impl Outcome {
    fn add(&mut self, parser: &mut Parser, block: &Block, dialect: &Dialect, fields: usize, records: &mut Records) {
        parser.parse(block, records);
        let bytes = &block.bytes;
        let mut counter = LineCounter::new(bytes);
        for row in 0..records.len() {
            let span = records.span(row);
            let values = (0..fields).map(|field| {
                let mut value = Vec::new();
                super::decode::unquote(records.field(bytes, row, field), dialect.quote, &mut value);
                value
            });
            self.accepted.push(Placed {
                record: self.records + u64::from(records.record(row)),
                offset: block.offset + u64::from(span.start),
                line: self.lines + counter.lines_before(span.start),
                what: values.collect(),
            });
        }
        let mut counter = LineCounter::new(bytes);
        for reject in &records.rejects {
            let (start, len) = (reject.span.start as usize, reject.span.len as usize);
            self.rejected.push(Placed {
                record: self.records + u64::from(reject.record),
                offset: block.offset + start as u64,
                line: self.lines + counter.lines_before(reject.span.start),
                what: (reject.code, bytes[start..start + len].to_vec(), reject.reason.clone()),
            });
        }
        self.records += records.total() as u64;
        self.lines += u64::from(records.lines());
    }
}

/// The engine with one buffer for the whole input, and with all instructions that this machine has.
fn whole(input: &[u8], dialect: &Dialect, fields: usize) -> Outcome {
    let block = Block::whole(input.to_vec());
    let of_level = |level: &Level| {
        let mut outcome = Outcome::default();
        let mut parser = Parser::with_level(*dialect, fields, *level);
        outcome.add(&mut parser, &block, dialect, fields, &mut Records::default());
        outcome
    };
    let outcomes: Vec<Outcome> = Level::all().iter().map(of_level).collect();
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "{outcomes:?}");
    outcomes.into_iter().next_back().unwrap_or_default()
}

/// The engine with blocks of that size, filled by reads of no more than `read_bytes`.
fn in_blocks(input: &[u8], dialect: &Dialect, fields: usize, block_bytes: usize, read_bytes: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let (mut parser, mut records) = (Parser::new(*dialect, fields), Records::default());
    let mut blocks = Blocks::new(*dialect, block_bytes);
    let mut rest = input;
    let mut spare = Vec::new();
    while !blocks.is_done() {
        let space = blocks.space();
        assert!(!space.is_empty(), "a read into nothing would look like the end of input");
        assert!(space.len() <= dialect.max_record_bytes + 2 + block_bytes);
        let read = rest.len().min(space.len()).min(read_bytes);
        space[..read].copy_from_slice(&rest[..read]);
        rest = &rest[read..];
        blocks.advance(read);
        while let Some(block) = blocks.take(|| std::mem::take(&mut spare)) {
            assert!(block.bytes.len() <= dialect.max_record_bytes + 2 + block_bytes);
            outcome.add(&mut parser, &block, dialect, fields, &mut records);
            spare = block.bytes;
        }
    }
    outcome
}

/// The blocks of that size.
fn blocks_of(input: &[u8], dialect: &Dialect, block_bytes: usize) -> Vec<Block> {
    let mut blocks = Blocks::new(*dialect, block_bytes);
    let (mut rest, mut taken) = (input, Vec::new());
    while !blocks.is_done() {
        let space = blocks.space();
        let read = rest.len().min(space.len());
        space[..read].copy_from_slice(&rest[..read]);
        rest = &rest[read..];
        blocks.advance(read);
        taken.extend(std::iter::from_fn(|| blocks.take(Vec::new)));
    }
    taken
}

/// What stands between `start` and `next` of an input, by the model.
#[derive(Debug)]
struct Piece {
    start: usize,
    next: usize,
    what: Result<Vec<Vec<u8>>, (RejectCode, Vec<u8>)>,
}

fn line_end(input: &[u8], start: usize, from: usize) -> (usize, usize, usize) {
    match input[from..].iter().position(|byte| *byte == b'\n') {
        None => (input.len(), input.len(), input.len()),
        Some(at) => {
            let line_feed = from + at;
            let bare = line_feed > start && input[line_feed - 1] == b'\r';
            (line_feed - usize::from(bare), line_feed, line_feed + 1)
        }
    }
}

/// The rules, byte by byte and without regard for time: the whole input is at hand, and every record looks for itself.
fn model(input: &[u8], dialect: &Dialect, fields: usize) -> Vec<Piece> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        FieldStart,
        Unquoted,
        Quoted,
        QuoteInQuoted,
    }
    let mut pieces = Vec::new();
    let mut start = 0;
    'records: while start < input.len() {
        let limit = start + dialect.max_record_bytes;
        let mut values = vec![Vec::new()];
        let mut state = State::FieldStart;
        let mut at = start;
        let fault = loop {
            let byte = input.get(at).copied();
            let ends = byte.is_none() || byte == Some(b'\n') || input[at..].starts_with(b"\r\n");
            match state {
                State::Quoted if at >= limit && (byte.is_some() || at > limit) => break RejectCode::RecordTooLong,
                State::Quoted => match byte {
                    None => break RejectCode::UnclosedQuote,
                    Some(byte) if Some(byte) == dialect.quote => state = State::QuoteInQuoted,
                    Some(byte) => values.last_mut().unwrap().push(byte),
                },
                State::QuoteInQuoted if byte.is_some() && byte == dialect.quote => {
                    values.last_mut().unwrap().push(byte.unwrap());
                    state = State::Quoted;
                }
                State::QuoteInQuoted if !ends && byte != Some(dialect.delimiter) => break RejectCode::TextAfterQuote,
                _ if at > limit || at == limit && !ends => {
                    let (_, _, next) = line_end(input, start, at);
                    let what = Err((RejectCode::RecordTooLong, input[start..limit].to_vec()));
                    pieces.push(Piece { start, next, what });
                    start = next;
                    continue 'records;
                }
                _ if ends => {
                    let (end, _, next) = line_end(input, start, at);
                    let record = &input[start..end];
                    if !record.is_empty() {
                        let code = if std::str::from_utf8(record).is_err() {
                            Some(RejectCode::InvalidUtf8)
                        } else if record.contains(&0) {
                            Some(RejectCode::NulByte)
                        } else {
                            match values.len().cmp(&fields) {
                                std::cmp::Ordering::Less => Some(RejectCode::TooFewFields),
                                std::cmp::Ordering::Equal => None,
                                std::cmp::Ordering::Greater => Some(RejectCode::TooManyFields),
                            }
                        };
                        let what = match code {
                            None => Ok(values),
                            Some(code) => Err((code, record.to_vec())),
                        };
                        pieces.push(Piece { start, next, what });
                    }
                    start = next;
                    continue 'records;
                }
                _ if byte == Some(dialect.delimiter) => {
                    values.push(Vec::new());
                    state = State::FieldStart;
                }
                State::FieldStart if byte.is_some() && byte == dialect.quote => state = State::Quoted,
                _ => {
                    values.last_mut().unwrap().push(byte.unwrap());
                    state = State::Unquoted;
                }
            }
            at += 1;
        };
        let (end, _, next) = line_end(input, start, start);
        let what = if end > limit { (RejectCode::RecordTooLong, start..limit) } else { (fault, start..end) };
        pieces.push(Piece { start, next, what: Err((what.0, input[what.1].to_vec())) });
        start = next;
    }
    pieces
}

fn agrees_with_model(input: &[u8], dialect: &Dialect, fields: usize, outcome: &Outcome) {
    let lines_before = |at: usize| input[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
    let mut expected = Outcome::default();
    for piece in model(input, dialect, fields) {
        let (record, offset, line) = (expected.records, piece.start as u64, lines_before(piece.start));
        match piece.what {
            Ok(what) => expected.accepted.push(Placed { record, offset, line, what }),
            Err((code, raw)) => {
                // Sentences are no matter of the model.
                let reason = outcome.rejected.get(expected.rejected.len()).map(|reject| reject.what.2.clone());
                let what = (code, raw, reason.unwrap_or_default());
                expected.rejected.push(Placed { record, offset, line, what });
            }
        }
        expected.records += 1;
    }
    expected.lines = lines_before(input.len());
    assert_eq!(*outcome, expected, "{:?}", String::from_utf8_lossy(input));
}

/// Short strings of what matters to a CSV reader.
fn dirt(tokens: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::sample::select(tokens), 0..60).prop_map(|tokens| tokens.concat())
}

const ODD: &[&[u8]] = &[
    b"\"",
    b"\"",
    b"\"\"",
    b",",
    b",",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"a",
    b"bcd",
    b"\",\"",
    b",\"",
    b"\",",
    b"\"\n",
    b"a\",\"b\n",
    b"x,y\n",
    b"x,y\n",
    b"\xC3\xA9",
    b"\0",
    b"\xFF",
];

/// Fields, delimiters and line ends in any order that is well-formed.
fn sound() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof!["[a \u{e9}]{0,3}", "a[\"a]{0,3}", "\"([a,\n]|\r\n|\"\"){0,4}\""];
    let separator = proptest::sample::select(&[",", ",", "\n", "\r\n", "\n\n"][..]);
    proptest::collection::vec((field, separator), 0..30).prop_map(|parts| {
        parts.into_iter().flat_map(|(field, separator)| [field.into_bytes(), separator.into()]).flatten().collect()
    })
}

fn dialects() -> impl Strategy<Value = Dialect> {
    let quote = prop_oneof![4 => Just(Some(b'"')), 1 => Just(None)];
    let limit = prop_oneof![1usize..40, Just(1 << 20)];
    (quote, limit).prop_map(|(quote, max_record_bytes)| Dialect { quote, max_record_bytes, ..Dialect::default() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_blocks_give_what_the_model_gives(
        input in dirt(ODD), dialect in dialects(), fields in 1usize..4,
        block_bytes in 1usize..70, read_bytes in 1usize..70,
    ) {
        let outcome = whole(&input, &dialect, fields);
        agrees_with_model(&input, &dialect, fields, &outcome);
        let blockwise = in_blocks(&input, &dialect, fields, block_bytes, read_bytes);
        prop_assert_eq!(outcome, blockwise);
    }

    #[test]
    fn a_block_may_be_cut_where_a_block_of_another_size_ends(
        input in dirt(ODD), dialect in dialects(), fields in 1usize..4, size in 1usize..70, other in 1usize..70,
    ) {
        // What is wrong with a quote that is open at the cut may be seen only behind it; that it is wrong is seen anyway.
        let without_reasons = |outcome: Outcome| {
            let rejected: Vec<_> = outcome
                .rejected
                .into_iter()
                .map(|placed| (placed.record, placed.offset, placed.line, placed.what.1))
                .collect();
            (outcome.accepted, rejected, outcome.records, outcome.lines)
        };
        let expected = without_reasons(in_blocks(&input, &dialect, fields, size, usize::MAX));
        for cut in blocks_of(&input, &dialect, other).iter().map(|block| block.end) {
            let mut outcome = Outcome::default();
            let (mut parser, mut records) = (Parser::new(dialect, fields), Records::default());
            for mut block in blocks_of(&input, &dialect, size) {
                if block.offset < cut && cut < block.end {
                    let front = block.take_front(cut);
                    prop_assert_eq!((front.end, block.offset), (cut, cut));
                    outcome.add(&mut parser, &front, &dialect, fields, &mut records);
                }
                outcome.add(&mut parser, &block, &dialect, fields, &mut records);
            }
            prop_assert_eq!(without_reasons(outcome), expected.clone());
        }
    }

    #[test]
    fn good_input_means_what_it_means_to_the_csv_crate(input in sound(), fields in 1usize..4) {
        let dialect = Dialect::default();
        let outcome = whole(&input, &dialect, fields);
        let shape = [RejectCode::TooFewFields, RejectCode::TooManyFields];
        prop_assert!(outcome.rejected.iter().all(|reject| shape.contains(&reject.what.0)));
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&input[..]);
        let records: Vec<_> = reader.byte_records().map(|record| record.unwrap()).collect();
        prop_assert_eq!(outcome.records, records.len() as u64);
        let expected: Vec<Vec<Vec<u8>>> = records
            .iter()
            .filter(|record| record.len() == fields)
            .map(|record| record.iter().map(<[u8]>::to_vec).collect())
            .collect();
        let accepted: Vec<_> = outcome.accepted.into_iter().map(|placed| placed.what).collect();
        prop_assert_eq!(accepted, expected);
    }

    #[test]
    fn what_is_settled_stays_whatever_follows(
        input in dirt(ODD),
        more in dirt(ODD),
        line_end in proptest::sample::select(&["\n", "\r\n"][..]),
        dialect in dialects(),
        fields in 1usize..4,
        block_bytes in 1usize..40,
    ) {
        let mut blocks = Blocks::new(dialect, block_bytes);
        let mut rest = &input[..];
        while !blocks.is_done() {
            let space = blocks.space();
            let read = space.len().min(rest.len());
            space[..read].copy_from_slice(&rest[..read]);
            rest = &rest[read..];
            blocks.advance(read);
            while blocks.take(Vec::new).is_some() {}
        }
        let (start, between) = match blocks.ending() {
            Ending::Undecided => return Ok(()),
            Ending::Settled => (input.len(), ""),
            Ending::Open => (input.len() + line_end.len(), line_end),
        };
        let mut resumed = whole(&input, &dialect, fields);
        resumed.lines += u64::from(!between.is_empty());
        let behind = Block::at(start as u64, more.clone());
        resumed.add(&mut Parser::new(dialect, fields), &behind, &dialect, fields, &mut Records::default());
        let all = [&input[..], between.as_bytes(), &more].concat();
        prop_assert_eq!(resumed, whole(&all, &dialect, fields));
    }

    #[test]
    fn rejected_lines_make_no_difference_to_the_others(input in dirt(ODD), dialect in dialects(), fields in 1usize..4) {
        let mut clean = Vec::new();
        for piece in model(&input, &dialect, fields).iter().filter(|piece| piece.what.is_ok()) {
            clean.extend_from_slice(&input[piece.start..piece.next]);
        }
        let values = |outcome: Outcome| outcome.accepted.into_iter().map(|placed| placed.what).collect::<Vec<_>>();
        let of_clean = whole(&clean, &dialect, fields);
        prop_assert_eq!(&of_clean.rejected, &vec![]);
        prop_assert_eq!(values(whole(&input, &dialect, fields)), values(of_clean));
    }
}

/// Checks an input in one piece and in blocks of many sizes; the result is written as `field|field` for good records
/// and as `code:raw` for bad ones, in order.
fn check(input: &[u8], max_record_bytes: usize, fields: usize, expected: &[&str]) {
    let dialect = Dialect { max_record_bytes, ..Dialect::default() };
    let outcome = whole(input, &dialect, fields);
    agrees_with_model(input, &dialect, fields, &outcome);
    for block_bytes in 1..=input.len().min(70) + 1 {
        assert_eq!(in_blocks(input, &dialect, fields, block_bytes, usize::MAX), outcome, "blocks of {block_bytes}");
    }
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let good = outcome
        .accepted
        .iter()
        .map(|placed| (placed.record, placed.what.iter().map(|value| text(value)).collect::<Vec<_>>().join("|")));
    let bad =
        outcome.rejected.iter().map(|placed| (placed.record, format!("{}:{}", placed.what.0, text(&placed.what.1))));
    let mut all: Vec<(u64, String)> = good.chain(bad).collect();
    all.sort();
    let all: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(all, expected, "{}", text(input));
}

#[test]
fn hostile_input() {
    const ROOMY: usize = 1000;
    check(b"", ROOMY, 2, &[]);
    check(b"\n\r\n\n", ROOMY, 2, &[]);
    check(b"a,b", ROOMY, 2, &["a|b"]);
    check(b"a,b\r\nc,d\r\n", ROOMY, 2, &["a|b", "c|d"]);
    check(b"\na,b\n\n\r\nc,d", ROOMY, 2, &["a|b", "c|d"]);
    check(b"a,b\r", ROOMY, 2, &[r"a|b\r"]);
    check(b"a\rb,c\n", ROOMY, 2, &[r"a\rb|c"]);
    check(b"a,b\r\r\n", ROOMY, 2, &[r"a|b\r"]);
    check(b"\"\"\n", ROOMY, 1, &[""]);
    check(b",\n", ROOMY, 2, &["|"]);
    check(b"\"a,\n\"\"b\"\"\",c\n", ROOMY, 2, &[r#"a,\n\"b\"|c"#]);
    check(b"\"a\"\r\n", ROOMY, 1, &["a"]);
    check(b"5\" pipe,a\"b\"\n", ROOMY, 2, &[r#"5\" pipe|a\"b\""#]);
    check(b" \"a\",b\n", ROOMY, 2, &[r#" \"a\"|b"#]);
    check(b"\"a\"b,c\nd,e\n", ROOMY, 2, &[r#"text_after_quote:\"a\"b,c"#, "d|e"]);
    check(b"\"a\" ,c\nd,e\n", ROOMY, 2, &[r#"text_after_quote:\"a\" ,c"#, "d|e"]);
    check(b"\"a\"\rb,c\nd,e\n", ROOMY, 2, &[r#"text_after_quote:\"a\"\rb,c"#, "d|e"]);
    check(b"\"a\"\r", ROOMY, 1, &[r#"text_after_quote:\"a\"\r"#]);
    check(b"a,\"b\nc,d\r\ne,f", ROOMY, 2, &[r#"unclosed_quote:a,\"b"#, "c|d", "e|f"]);
    check(b"\"", ROOMY, 1, &[r#"unclosed_quote:\""#]);
    check(b"a,\"b\r\n", ROOMY, 2, &[r#"unclosed_quote:a,\"b"#]);
    check(b"a,\"b\nc,d\nx\"y,z\n", ROOMY, 2, &[r#"text_after_quote:a,\"b"#, "c|d", r#"x\"y|z"#]);
    check(b"a\na,b,c\na,b\n", ROOMY, 2, &["too_few_fields:a", "too_many_fields:a,b,c", "a|b"]);
    check(b"a\0,b\nc,d\n", ROOMY, 2, &[r"nul_byte:a\x00,b", "c|d"]);
    check(b"a\xFF,b\nc,d\n", ROOMY, 2, &[r"invalid_utf8:a\xff,b", "c|d"]);
    check(
        b"\xFF\0\n\0\n\"\xFF\"x\n",
        ROOMY,
        2,
        &[r"invalid_utf8:\xff\x00", r"nul_byte:\x00", r#"text_after_quote:\"\xff\"x"#],
    );
    check(b"\xEF\xBB\xBFa,b\n", ROOMY, 2, &[r"\xef\xbb\xbfa|b"]);
}

#[test]
fn records_at_the_limit_and_one_past_it() {
    check(b"abc,d\nx,y\n", 5, 2, &["abc|d", "x|y"]);
    check(b"abc,d\r\nx,y", 5, 2, &["abc|d", "x|y"]);
    check(b"abc,de\nx,y\n", 5, 2, &["record_too_long:abc,d", "x|y"]);
    check(b"abc,d\r\r\nx,y\n", 5, 2, &["record_too_long:abc,d", "x|y"]);
    check(b"abc,d\r", 5, 2, &["record_too_long:abc,d"]);
    check(b"\"a\",b\nx,y\n", 5, 2, &["a|b", "x|y"]);
    check(b"\"ab\",\nx,y\n", 5, 2, &["ab|", "x|y"]);
    check(b"a,\"b\"\r\nx,y\n", 5, 2, &["a|b", "x|y"]);
    check(b"a,\"\nb\"\nx,y\n", 6, 2, &[r"a|\nb", "x|y"]);
    check(b"a,\"\nbc\"\nx,y\n", 6, 2, &[r#"record_too_long:a,\""#, r#"too_few_fields:bc\""#, "x|y"]);
    // Past the limit outside quotes the rest of the line goes, whatever quotes are in it.
    check(b"\"a\nb\",cc,\"\nx,y\n", 6, 2, &[r#"record_too_long:\"a\nb\","#, "x|y"]);
}

#[test]
fn the_reason_for_a_long_record_gives_its_whole_length() {
    let dialect = Dialect { max_record_bytes: 10, ..Dialect::default() };
    for (first, input) in [(b'a', 5000), (b'"', 5000), (b'a', 11), (b'"', 11)] {
        let mut bytes = vec![b'a'; input];
        bytes[0] = first;
        bytes.extend_from_slice(b"\nx\n");
        for block_bytes in [1, 7, 64, 10_000] {
            let outcome = in_blocks(&bytes, &dialect, 1, block_bytes, usize::MAX);
            assert_eq!(outcome.accepted.len(), 1);
            assert_eq!(outcome.accepted[0].offset, input as u64 + 1);
            let (code, raw, reason) = &outcome.rejected[0].what;
            assert_eq!((*code, raw.len()), (RejectCode::RecordTooLong, 10));
            assert_eq!(*reason, format!("{input} bytes long; the limit is 10, and what is behind it is not kept"));
        }
    }
}

#[test]
fn long_lines_and_many_windows_agree_with_the_model() {
    let dialect = Dialect::default();
    let mut input = Vec::new();
    for row in 0..9000 {
        input.extend_from_slice(format!("{row},some text,{}\r\n", row * 7).as_bytes());
        if row % 1000 == 500 {
            input.extend_from_slice(format!("{row},{},\n", "long ".repeat(8000)).as_bytes());
            input.extend_from_slice(b"1,2\n");
        }
    }
    input.extend_from_slice(b"the,last,line");
    let outcome = whole(&input, &dialect, 3);
    assert_eq!((outcome.accepted.len(), outcome.rejected.len()), (9010, 9));
    agrees_with_model(&input, &dialect, 3, &outcome);
    assert_eq!(in_blocks(&input, &dialect, 3, 4096, 1000), outcome);
}

#[test]
fn a_line_of_open_quotes_for_each_record_is_not_read_once_for_each() {
    // Every line opens a quote that none behind it closes: looked at one by one, this is a trillion bytes.
    let input = b"a\",\"b\n".repeat(1 << 20);
    let dialect = Dialect { max_record_bytes: 1 << 22, ..Dialect::default() };
    let outcome = in_blocks(&input, &dialect, 2, 1 << 18, usize::MAX);
    assert_eq!(outcome.rejected.len(), 1 << 20);
}
