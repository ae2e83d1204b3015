//! `generate orders`: one file of a shop's orders with rows that repeat a key and rows that are malformed, and the
//! counts that a loader must reach with it. Not a model of a shop: the shares of bad rows are exact, and nothing else
//! about the rows matters.
//!
//! ```text
//! OUT/orders.csv            id,created_at,email,amount,currency,status
//! OUT/orders.counts.json    rows, loaded, duplicate, rejected, rejected_by_code
//! ```
//!
//! What a row is follows from its number alone, so that any thread may make any rows, and no memory of keys is needed:
//! a permutation of the rows puts the malformed ones first, then the duplicates, then all others.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use chrono::NaiveDate;

use super::counts::{Counts, in_turn, rows_of_share, write_with_counts};
use super::names::{FIRST_NAMES, LAST_NAMES};
use super::random::{Dice, Permutation, WeightedChoice};
use super::text::{DateText, date_text, push_cents, push_hex, push_padded, push_time};
use super::{Error, Progress, Summary};

const HEADER: &[u8] = b"id,created_at,email,amount,currency,status\n";

/// Rows that are made together: about 0.8 MB of text. Part of the output: changing it changes every file.
const BATCH_ROWS: u64 = 10_000;

/// About 9 TB of text. Far beyond use, and every count below it is exact in a double.
const MAX_ROWS: u64 = 100_000_000_000;

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The folder to write into; made if missing. Files of the same names are replaced, others stay.
    pub out: PathBuf,
    /// How many rows, bad ones included.
    pub rows: u64,
    /// The share of the rows that repeat the id of an earlier, good row; the number of rows is rounded.
    pub duplicates: f64,
    /// The share of the rows that are malformed; the number of rows is rounded.
    pub malformed: f64,
    /// The same seed gives the same rows.
    pub seed: u64,
    /// Worker threads; 0 takes one for each core. The output is the same for any number.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { out: PathBuf::from("data"), rows: 1_000_000, duplicates: 0.01, malformed: 0.01, seed: 42, threads: 0 }
    }
}

/// Writes the feed and its counts. `progress` is called after every batch and every file.
pub fn generate(options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Summary, Error> {
    let counts = options.counts()?;
    let rows = OrderRows::new(options.seed, &counts);
    let push = |batch: &Range<u64>, [text]: &mut [Vec<u8>; 1]| rows.push_batch(text, batch);
    write_with_counts(&options.out, "orders", &counts, BATCH_ROWS, options.threads, push, progress)
}

impl Options {
    /// What a loader must make of the file; nothing is written.
    pub fn counts(&self) -> Result<Counts, Error> {
        let refuse = |option, reason| Err(Error::Option { option, reason });
        if self.rows > MAX_ROWS {
            return refuse("rows", format!("must be at most {MAX_ROWS}, not {}", self.rows));
        }
        for (option, share) in [("duplicates", self.duplicates), ("malformed", self.malformed)] {
            if !(0.0..=1.0).contains(&share) {
                return refuse(option, format!("must be from 0 to 1, not {share}"));
            }
        }
        if self.duplicates + self.malformed >= 1.0 {
            let reason = format!("{} and {} malformed leave no good row", self.duplicates, self.malformed);
            return refuse("duplicates", reason);
        }
        let duplicate = rows_of_share(self.rows, self.duplicates);
        let rejected = rows_of_share(self.rows, self.malformed);
        if duplicate + rejected >= self.rows.max(1) {
            let reason = format!("{duplicate} and {rejected} malformed leave no good row of {}", self.rows);
            return refuse("duplicates", reason);
        }
        let loaded = self.rows - duplicate - rejected;
        let counts = Counts { rows: self.rows, loaded, duplicate, rejected, ..Counts::default() };
        Ok(Counts { rejected_by_code: OrderRows::new(self.seed, &counts).rejected_by_code(), ..counts })
    }
}

/// What is wrong with a malformed row. Each has one fault only, so that there is no question which one is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    TooFewFields,
    TooManyFields,
    NoId,
    BadTime,
    /// The email begins with a quote that nothing closes. To see that, a reader has to look beyond the row.
    OpenQuote,
    BadAmount,
    BadCurrency,
    BadUtf8,
}

/// Every fault and its code. Malformed rows take them in turn, so that each has as many rows as any other, give or take
/// one.
const FAULTS: [(Fault, &str); 8] = [
    (Fault::TooFewFields, "too_few_fields"),
    (Fault::TooManyFields, "too_many_fields"),
    (Fault::NoId, "null_value"),
    (Fault::BadTime, "invalid_timestamp"),
    // The row behind has its email in quotes, and the first of them seems to close this one.
    (Fault::OpenQuote, "text_after_quote"),
    (Fault::BadAmount, "invalid_decimal"),
    (Fault::BadCurrency, "check_failed"),
    (Fault::BadUtf8, "invalid_utf8"),
];
/// The code of an open quote in the last row, which has no row behind it.
const OPEN_QUOTE_AT_END: &str = "unclosed_quote";

/// What a row is to a loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    First,
    Duplicate,
    /// The number is that of one of `FAULTS`.
    Malformed(usize),
}

impl Role {
    fn has(self, fault: Fault) -> bool {
        matches!(self, Role::Malformed(index) if FAULTS[index].0 == fault)
    }
}

/// Names that are reserved for examples, so that no mail reaches anyone.
const MAIL_DOMAINS: [&str; 5] = ["example.com", "example.net", "example.org", "mail.example", "post.example"];
/// One email in so many has no number in it, and is likely to be that of other rows too.
const NO_NUMBER_EVERY: u32 = 10;

const CURRENCIES: [(&str, f64); 4] = [("EUR", 45.0), ("USD", 35.0), ("GBP", 15.0), ("JPY", 5.0)];
const STATUSES: [(&str, f64); 4] = [("new", 10.0), ("paid", 20.0), ("shipped", 60.0), ("returned", 10.0)];

const IMPOSSIBLE_DAYS: [&str; 6] = ["2025-02-29", "2025-02-30", "2025-04-31", "2025-06-31", "2025-00-10", "2025-13-01"];
const NO_AMOUNTS: [&str; 6] = ["n/a", "free", "12.5O", "1.2.3", "$20", "-"];
const OTHER_CURRENCIES: [&str; 6] = ["CHF", "BTC", "SEK", "eur", "EURO", "???"];
const NOT_UTF8: [&[u8]; 4] = [b"pay\xE9", b"\xFFnew", b"paid\xC3", b"exp\xE9di\xE9"];

/// The year of all orders. The compiler evaluates this, so it cannot fail later.
const NEW_YEAR: NaiveDate = NaiveDate::from_ymd_opt(2025, 1, 1).expect("a day of the calendar");
const DAYS: usize = 365;
const SECONDS_A_DAY: u32 = 86_400;
/// 9999.99, in cents.
const MAX_CENTS: u32 = 999_999;

/// How many rows to try for one whose id a duplicate can repeat. Where most rows are good, two are enough; where none
/// was among so many, it is the first row.
const PROBES: usize = 256;

/// Everything that a row draws from. Built once, shared by all threads.
struct OrderRows {
    seed: u64,
    rows: u64,
    rejected: u64,
    duplicate: u64,
    /// Of all rows but the first, which is always good, so that a duplicate always has a row to repeat.
    places: Permutation,
    ids: Permutation,
    calendar: Vec<DateText>,
    currency: WeightedChoice,
    status: WeightedChoice,
}

impl OrderRows {
    fn new(seed: u64, counts: &Counts) -> Self {
        let mut dice = Dice::new(seed, &[]);
        OrderRows {
            seed,
            rows: counts.rows,
            rejected: counts.rejected,
            duplicate: counts.duplicate,
            ids: Permutation::new(&mut dice, u64::MAX),
            places: Permutation::new(&mut dice, counts.rows.saturating_sub(1)),
            calendar: NEW_YEAR.iter_days().take(DAYS).map(date_text).collect(),
            currency: WeightedChoice::new(&CURRENCIES.map(|(_, weight)| weight)),
            status: WeightedChoice::new(&STATUSES.map(|(_, weight)| weight)),
        }
    }

    fn role(&self, row: u64) -> Role {
        let Some(number) = row.checked_sub(1) else { return Role::First };
        match self.places.place(number) {
            place if place < self.rejected => Role::Malformed((place % FAULTS.len() as u64) as usize),
            place if place < self.rejected + self.duplicate => Role::Duplicate,
            _ => Role::First,
        }
    }

    fn rejected_by_code(&self) -> BTreeMap<&'static str, u64> {
        let mut by_code = in_turn(self.rejected, &FAULTS.map(|(_, code)| code));
        if let Some(last) = self.rows.checked_sub(1)
            && let Role::Malformed(index) = self.role(last)
            && FAULTS[index].0 == Fault::OpenQuote
        {
            by_code.insert(OPEN_QUOTE_AT_END, 1);
            by_code.entry(FAULTS[index].1).and_modify(|rows| *rows -= 1);
        }
        by_code.retain(|_, rows| *rows > 0);
        by_code
    }

    /// Appends the rows of a batch, and in front of the first row of all, the header. Returns how many rows.
    fn push_batch(&self, out: &mut Vec<u8>, batch: &Range<u64>) -> u64 {
        if batch.start == 0 {
            out.extend_from_slice(HEADER);
        }
        let mut dice = Dice::new(self.seed, &[batch.start]);
        let mut behind_open_quote = batch.start > 0 && self.role(batch.start - 1).has(Fault::OpenQuote);
        for row in batch.clone() {
            let role = self.role(row);
            self.push_row(out, &mut dice, row, role, behind_open_quote);
            behind_open_quote = role.has(Fault::OpenQuote);
        }
        batch.end - batch.start
    }

    fn push_row(&self, out: &mut Vec<u8>, dice: &mut Dice, row: u64, role: Role, behind_open_quote: bool) {
        if !role.has(Fault::NoId) {
            let of_row = if role == Role::Duplicate { self.earlier_first(dice, row) } else { row };
            push_hex(out, self.ids.place(of_row));
        }
        out.push(b',');
        if role.has(Fault::BadTime) {
            out.extend_from_slice(dice.pick(&IMPOSSIBLE_DAYS).as_bytes());
        } else {
            out.extend_from_slice(dice.pick(&self.calendar).as_slice());
        }
        out.push(b' ');
        push_time(out, dice.below(SECONDS_A_DAY));
        out.push(b',');
        let open_quote = role.has(Fault::OpenQuote);
        if open_quote || behind_open_quote {
            out.push(b'"');
        }
        push_email(out, dice);
        if behind_open_quote && !open_quote {
            out.push(b'"');
        }
        out.push(b',');
        if role.has(Fault::BadAmount) {
            out.extend_from_slice(dice.pick(&NO_AMOUNTS).as_bytes());
        } else {
            // Limits drawn twice make small amounts far more frequent than large ones, which still occur.
            let limit = dice.between(1, MAX_CENTS);
            let limit = dice.between(1, limit);
            push_cents(out, dice.between(1, limit));
        }
        out.push(b',');
        if role.has(Fault::BadCurrency) {
            out.extend_from_slice(dice.pick(&OTHER_CURRENCIES).as_bytes());
        } else {
            out.extend_from_slice(CURRENCIES[self.currency.draw(dice)].0.as_bytes());
        }
        if !role.has(Fault::TooFewFields) {
            out.push(b',');
            if role.has(Fault::BadUtf8) {
                out.extend_from_slice(dice.pick::<&[u8]>(&NOT_UTF8));
            } else {
                out.extend_from_slice(STATUSES[self.status.draw(dice)].0.as_bytes());
            }
        }
        if role.has(Fault::TooManyFields) {
            out.extend_from_slice(b",gift");
        }
        out.push(b'\n');
    }

    /// A row in front of `row` that is the first with its id.
    fn earlier_first(&self, dice: &mut Dice, row: u64) -> u64 {
        let tried = (0..PROBES).map(|_| dice.below_long(row)).find(|earlier| self.role(*earlier) == Role::First);
        tried.unwrap_or(0)
    }
}

fn push_email(out: &mut Vec<u8>, dice: &mut Dice) {
    out.extend_from_slice(dice.pick(&FIRST_NAMES).as_bytes());
    out.push(b'.');
    out.extend_from_slice(dice.pick(&LAST_NAMES).as_bytes());
    if dice.below(NO_NUMBER_EVERY) > 0 {
        push_padded(out, u64::from(dice.below(100_000)), 1);
    }
    out.push(b'@');
    out.extend_from_slice(dice.pick(&MAIL_DOMAINS).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::fs;

    use super::*;

    const FIELDS: usize = 6;

    /// Makes a feed and gives its text and the text of its counts.
    fn make(options: &Options) -> (Vec<u8>, String) {
        let out = tempfile::tempdir().unwrap();
        let summary = generate(&Options { out: out.path().to_owned(), ..options.clone() }, &mut |_| {}).unwrap();
        let feed = fs::read(out.path().join("orders.csv")).unwrap();
        let counts = fs::read_to_string(out.path().join("orders.counts.json")).unwrap();
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 2);
        assert_eq!((summary.files, summary.rows, summary.bytes), (2, options.rows, (feed.len() + counts.len()) as u64));
        (feed, counts)
    }

    fn options(rows: u64, duplicates: f64, malformed: f64, seed: u64) -> Options {
        Options { rows, duplicates, malformed, seed, ..Options::default() }
    }

    fn quotes(line: &[u8]) -> usize {
        line.iter().filter(|&&byte| byte == b'"').count()
    }

    /// The lines behind the header, without their line feeds.
    fn lines(feed: &[u8]) -> Vec<&[u8]> {
        let mut lines = feed.strip_suffix(b"\n").unwrap().split(|&byte| byte == b'\n');
        assert_eq!(lines.next().unwrap(), HEADER.trim_ascii_end());
        lines.collect()
    }

    /// Every row of a feed, or what is wrong with it: a loader of its own, as plain as can be.
    fn read(feed: &[u8]) -> Vec<Result<[String; FIELDS], &'static str>> {
        let lines = lines(feed);
        let fault = |index: usize| match (quotes(lines[index]), lines.len() - 1 - index) {
            (1, 0) => Some("unclosed_quote"),
            (1, _) => Some("text_after_quote"),
            (0 | 2, _) => std::str::from_utf8(lines[index]).is_err().then_some("invalid_utf8"),
            (quotes, _) => panic!("{quotes} quotes"),
        };
        let faults: Vec<_> = (0..lines.len()).map(fault).collect();
        let sound: Vec<&[u8]> =
            lines.iter().zip(&faults).filter(|(_, fault)| fault.is_none()).map(|(line, _)| *line).collect();
        let text = sound.join(&b'\n');
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&text[..]);
        let mut records = reader.records();
        let rows = faults
            .into_iter()
            .map(|fault| fault.map_or_else(|| validate(&records.next().unwrap().unwrap()), Err))
            .collect();
        assert!(records.next().is_none());
        rows
    }

    fn validate(record: &csv::StringRecord) -> Result<[String; FIELDS], &'static str> {
        let fields: Vec<String> = record.iter().map(str::to_owned).collect();
        let fields: [String; FIELDS] = fields
            .try_into()
            .map_err(|fields: Vec<String>| if fields.len() < FIELDS { "too_few_fields" } else { "too_many_fields" })?;
        let [id, created_at, email, amount, currency, status] = &fields;
        if id.is_empty() {
            return Err("null_value");
        }
        if chrono::NaiveDateTime::parse_from_str(created_at, "%Y-%m-%d %H:%M:%S").is_err() {
            return Err("invalid_timestamp");
        }
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let cents = amount
            .split_once('.')
            .filter(|(whole, part)| digits(whole) && digits(part) && part.len() == 2)
            .map(|(whole, part)| format!("{whole}{part}").parse::<u32>().unwrap())
            .ok_or("invalid_decimal")?;
        if !CURRENCIES.iter().any(|(known, _)| currency == known) {
            return Err("check_failed");
        }
        assert!(id.len() == 16 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{id}");
        assert!(created_at.starts_with("2025-") && created_at.len() == 19, "{created_at}");
        assert!(email.contains('@') && email.starts_with(|first: char| first.is_ascii_lowercase()), "{email}");
        assert!((1..=MAX_CENTS).contains(&cents), "{amount}");
        assert!(["new", "paid", "shipped", "returned"].contains(&&status[..]), "{status}");
        Ok(fields)
    }

    /// Counts by reading. Keys are those of good rows only, so every duplicate repeats one in front of it; it must have
    /// other fields of its own.
    fn recount(feed: &[u8]) -> Counts {
        let rows = read(feed);
        let mut counts = Counts { rows: rows.len() as u64, ..Counts::default() };
        let mut firsts: HashMap<String, [String; FIELDS]> = HashMap::new();
        for row in rows {
            match row {
                Err(code) => {
                    counts.rejected += 1;
                    *counts.rejected_by_code.entry(code).or_default() += 1;
                }
                Ok(fields) => match firsts.get(&fields[0]) {
                    Some(first) => {
                        counts.duplicate += 1;
                        assert_ne!(*first, fields);
                    }
                    None => {
                        counts.loaded += 1;
                        firsts.insert(fields[0].clone(), fields);
                    }
                },
            }
        }
        counts
    }

    #[test]
    fn counts_are_exact() {
        let batch = BATCH_ROWS;
        for (rows, duplicates, malformed, expected) in [
            (0, 0.4, 0.5, (0, 0, 0)),
            (1, 0.01, 0.01, (1, 0, 0)),
            (2, 0.5, 0.0, (1, 1, 0)),
            (2, 0.0, 0.5, (1, 0, 1)),
            (10, 0.44, 0.45, (1, 4, 5)),
            (333, 0.1, 0.2, (233, 33, 67)),
            (1_000, 0.9, 0.09, (10, 900, 90)),
            (1_000, 0.0, 0.999, (1, 0, 999)),
            (2_000, 0.999, 0.0, (2, 1_998, 0)),
            (batch, 0.0, 0.0, (batch, 0, 0)),
            (batch + 1, 0.3, 0.3, (4_001, 3_000, 3_000)),
            (100_000, 0.01, 0.01, (98_000, 1_000, 1_000)),
        ] {
            for seed in 0..3 {
                let options = options(rows, duplicates, malformed, seed);
                let counts = options.counts().unwrap();
                assert_eq!((counts.loaded, counts.duplicate, counts.rejected), expected, "{rows}");
                assert_eq!(recount(&make(&options).0), counts, "{options:?}");
            }
        }
    }

    #[test]
    fn every_fault_has_its_share() {
        let counts = options(100_000, 0.0, 0.01, 1).counts().unwrap();
        assert_eq!(counts.rejected_by_code, FAULTS.iter().map(|(_, code)| (*code, 125)).collect());
    }

    #[test]
    fn an_open_quote_ends_with_the_file_or_in_the_next_row() {
        let mut seen = HashSet::new();
        for seed in 0..200 {
            let options = options(40, 0.05, 0.8, seed);
            let (feed, _) = make(&options);
            assert_eq!(recount(&feed), options.counts().unwrap());
            let rows = read(&feed);
            let lines = lines(&feed);
            for (index, _) in lines.iter().enumerate().filter(|(_, line)| quotes(line) == 1) {
                assert!(lines.get(index + 1).is_none_or(|next| quotes(next) > 0));
                seen.insert(rows.get(index + 1).map(|next| next.as_ref().err().copied()));
            }
        }
        // None behind it, a good row, and rows with each of the faults.
        assert!(seen.len() >= 2 + FAULTS.len(), "{seen:?}");
    }

    #[test]
    fn the_same_options_give_the_same_bytes_on_any_number_of_threads() {
        let of = |threads, seed| make(&Options { threads, ..options(2 * BATCH_ROWS + 7, 0.05, 0.05, seed) });
        let one = of(1, 5);
        for threads in [2, 3, 0] {
            assert!(of(threads, 5) == one, "{threads}");
        }
        assert!(of(1, 6).0 != one.0);
    }

    #[test]
    fn bad_rows_are_everywhere_and_duplicates_repeat_far_and_near() {
        let (feed, _) = make(&options(100_000, 0.1, 0.1, 1));
        let (mut rejected, mut duplicate, mut behind) = ([0; 10], [0; 10], [0; 10]);
        let mut firsts = HashMap::new();
        for (row, fields) in read(&feed).into_iter().enumerate() {
            let Ok([id, ..]) = fields else {
                rejected[row / 10_000] += 1;
                continue;
            };
            if let Some(first) = firsts.get(&id) {
                duplicate[row / 10_000] += 1;
                behind[first * 10 / row] += 1;
            } else {
                firsts.insert(id, row);
            }
        }
        for counts in [rejected, duplicate, behind] {
            assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn rows_are_as_long_and_as_varied_as_orders_are() {
        let (feed, _) = make(&options(200_000, 0.0, 0.0, 1));
        let rows: Vec<_> = read(&feed).into_iter().map(|row| row.unwrap()).collect();
        let share = |number: usize| number as f64 / rows.len() as f64;
        let distinct = |field: usize| rows.iter().map(|row| &row[field]).collect::<HashSet<_>>().len();
        assert!((75.0..90.0).contains(&share(feed.len())), "{}", share(feed.len()));
        assert!((0.88..0.97).contains(&share(distinct(2))), "{}", share(distinct(2)));
        assert!(!rows.is_sorted_by_key(|row| &row[0]));
        let days: HashSet<&str> = rows.iter().map(|row| &row[1][..10]).collect();
        assert_eq!(days.len(), DAYS);
        assert!(days.contains("2025-01-01") && days.contains("2025-12-31"));
        let below = |limit: f64| share(rows.iter().filter(|row| row[3].parse::<f64>().unwrap() < limit).count());
        assert!((0.45..0.65).contains(&below(1_000.0)) && below(7_500.0) < 1.0, "{}", below(1_000.0));
        for (field, choices) in [(4, CURRENCIES), (5, STATUSES)] {
            for (word, weight) in choices {
                let found = share(rows.iter().filter(|row| row[field] == word).count());
                assert!((found * 100.0 - weight).abs() < 1.0, "{word} {found}");
            }
        }
    }

    #[test]
    fn progress_ends_at_its_totals() {
        let out = tempfile::tempdir().unwrap();
        let options = Options { out: out.path().join("new/folder"), ..options(BATCH_ROWS + 1, 0.0, 0.0, 1) };
        let mut reports = Vec::new();
        let summary = generate(&options, &mut |progress| reports.push(progress)).unwrap();
        assert_eq!(reports.len(), 4);
        assert!(reports.is_sorted_by_key(|progress| (progress.rows, progress.files, progress.bytes)));
        let last = reports[3];
        assert_eq!((last.rows, last.files, last.bytes), (last.rows_total, last.files_total, summary.bytes));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name_and_writes_nothing() {
        for (bad, named) in [
            (options(MAX_ROWS + 1, 0.0, 0.0, 1), "rows"),
            (options(100, 0.6, 0.4, 1), "duplicates"),
            (options(0, 0.5, 0.5, 1), "duplicates"),
            (options(100, 0.0, 1.0, 1), "duplicates"),
            // Below 1, but not when rounded.
            (options(10, 0.5, 0.49, 1), "duplicates"),
            (options(1, 0.0, 0.6, 1), "duplicates"),
            (options(100, -0.1, 0.0, 1), "duplicates"),
            (options(100, f64::NAN, 0.0, 1), "duplicates"),
            (options(100, 0.0, 1.1, 1), "malformed"),
        ] {
            let out = tempfile::tempdir().unwrap();
            let bad = Options { out: out.path().join("out"), ..bad };
            let Err(Error::Option { option, .. }) = generate(&bad, &mut |_| {}) else { panic!("{bad:?} is accepted") };
            assert_eq!(option, named, "{bad:?}");
            assert!(!bad.out.exists());
        }
        options(MAX_ROWS, 0.5, 0.4, 1).counts().unwrap();
    }

    #[test]
    fn a_folder_in_the_way_is_named_and_no_draft_stays() {
        let out = tempfile::tempdir().unwrap();
        fs::create_dir(out.path().join("orders.csv")).unwrap();
        let options = Options { out: out.path().to_owned(), ..options(10, 0.0, 0.0, 1) };
        let error = generate(&options, &mut |_| {}).unwrap_err();
        assert!(error.to_string().ends_with("orders.csv"), "{error}");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
    }
}
