//! `generate sales`: one file of a retailer's sales, orders of two years in no order, some of them malformed, and the
//! counts that a loader must reach with it. Not a model of a market: nobody buys more in December.
//!
//! ```text
//! OUT/sales.csv            order_id,order_date,store_id,region,product_id,product_name,category,customer_id,quantity,
//!                          unit_price,discount,payment,note
//! OUT/sales.counts.json    rows, loaded, duplicate, rejected, rejected_by_code
//! ```
//!
//! As with orders, what a row is follows from its number alone: a permutation of the rows puts the malformed ones first.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use chrono::NaiveDate;

use super::counts::{Counts, in_turn, rows_of_share, write_with_counts};
use super::random::{Dice, Permutation, WeightedChoice, eighty_twenty};
use super::text::{DateText, Words, date_text, push_cents, push_padded};
use super::{Error, Progress, Summary};

const HEADER: &[u8] = b"order_id,order_date,store_id,region,product_id,product_name,category,customer_id,quantity,\
                        unit_price,discount,payment,note\n";

/// Rows that are made together: about 1 MB of text. Part of the output: changing it changes every file.
const BATCH_ROWS: u64 = 10_000;

/// About 10 TB of text. Far beyond use, and every count below it is exact in a double.
const MAX_ROWS: u64 = 100_000_000_000;

/// What to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The folder to write into; made if missing. Files of the same names are replaced, others stay.
    pub out: PathBuf,
    /// How many rows, bad ones included.
    pub rows: u64,
    /// The share of the rows that are malformed, from 0 to 1; the number of rows is rounded.
    pub malformed: f64,
    /// The same seed gives the same rows.
    pub seed: u64,
    /// Worker threads; 0 takes one for each core. The output is the same for any number.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { out: PathBuf::from("data"), rows: 1_000_000, malformed: 0.0, seed: 42, threads: 0 }
    }
}

/// Writes the feed and its counts. `progress` is called after every batch and every file.
pub fn generate(options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Summary, Error> {
    let counts = options.counts()?;
    let rows = SaleRows::new(options.seed, Faults::new(options.seed, counts.rows, counts.rejected));
    let push = |batch: &Range<u64>, [text]: &mut [Vec<u8>; 1]| rows.push_batch(text, batch);
    write_with_counts(&options.out, "sales", &counts, BATCH_ROWS, options.threads, push, progress)
}

impl Options {
    /// What a loader must make of the file; nothing is written.
    pub fn counts(&self) -> Result<Counts, Error> {
        let refuse = |option, reason| Err(Error::Option { option, reason });
        if self.rows > MAX_ROWS {
            return refuse("rows", format!("must be at most {MAX_ROWS}, not {}", self.rows));
        }
        if !(0.0..=1.0).contains(&self.malformed) {
            return refuse("malformed", format!("must be from 0 to 1, not {}", self.malformed));
        }
        let rejected = rows_of_share(self.rows, self.malformed);
        Ok(Counts {
            rows: self.rows,
            loaded: self.rows - rejected,
            duplicate: 0,
            rejected,
            rejected_by_code: Faults::new(self.seed, self.rows, rejected).by_code(),
        })
    }
}

/// What is wrong with a malformed row. Each has one fault only, so that there is no question which one is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    TooFewFields,
    TooManyFields,
    NoStore,
    BadDate,
    BadQuantity,
    NoQuantity,
    BadPrice,
    BadDiscount,
    /// The name of the product begins with a quote that nothing closes. To see that, a reader has to look beyond the row.
    OpenQuote,
    /// The name of the product goes on behind its closing quote.
    TextAfterQuote,
    BadUtf8,
}

/// Every fault and its code. Malformed rows take them in turn.
const FAULTS: [(Fault, &str); 11] = [
    (Fault::TooFewFields, "too_few_fields"),
    (Fault::TooManyFields, "too_many_fields"),
    (Fault::NoStore, "null_value"),
    (Fault::BadDate, "invalid_date"),
    (Fault::BadQuantity, "invalid_integer"),
    (Fault::NoQuantity, "check_failed"),
    (Fault::BadPrice, "invalid_decimal"),
    (Fault::BadDiscount, "check_failed"),
    // The row behind has its name in quotes, and the first of them seems to close this one.
    (Fault::OpenQuote, OPEN_QUOTE),
    (Fault::TextAfterQuote, "text_after_quote"),
    (Fault::BadUtf8, "invalid_utf8"),
];
const OPEN_QUOTE: &str = "text_after_quote";
/// The code of an open quote in the last row, which has no row behind it.
const OPEN_QUOTE_AT_END: &str = "unclosed_quote";

/// The first day of all sales, and how many days there are: 2024 and 2025. The compiler evaluates this, so it cannot
/// fail later.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(2024, 1, 1).expect("a day of the calendar");
const DAYS: usize = 731;

const STORES: u32 = 200;
const PRODUCTS: u32 = 20_000;
const CUSTOMERS: u32 = 2_000_000;

const REGIONS: [&str; 6] = ["Africa", "Asia", "Europe", "North America", "Oceania", "South America"];

/// A category, and what it sells.
const CATEGORIES: [(&str, [&str; 8]); 10] = [
    ("Books", ["Atlas", "Cookbook", "Diary", "Dictionary", "Novel", "Poems", "Songbook", "Travel Guide"]),
    ("Clothing", ["Cardigan", "Coat", "Dress", "Jacket", "Jeans", "Pullover", "Scarf", "Shirt"]),
    ("Electronics", ["Camera", "Charger", "Headphones", "Keyboard", "Monitor", "Radio", "Speaker", "Tablet"]),
    ("Furniture", ["Armchair", "Bed Frame", "Bookcase", "Desk", "Dining Table", "Shelf", "Sofa", "Wardrobe"]),
    ("Garden", ["Bench", "Hose", "Lantern", "Mower", "Planter", "Rake", "Shears", "Spade"]),
    ("Grocery", ["Biscuits", "Coffee", "Honey", "Muesli", "Olive Oil", "Pasta", "Rice", "Tea"]),
    ("Kitchen", ["Blender", "Kettle", "Knife Set", "Mixer", "Pan", "Pot", "Scale", "Toaster"]),
    ("Office", ["Binder", "Envelope", "Lamp", "Notebook", "Paper", "Pen Set", "Stapler", "Whiteboard"]),
    ("Sports", ["Backpack", "Bicycle", "Helmet", "Kayak", "Racket", "Rope", "Sleeping Bag", "Tent"]),
    ("Toys", ["Ball", "Board Game", "Castle", "Doll", "Kite", "Puzzle", "Robot", "Train Set"]),
];
const STYLES: [&str; 16] = [
    "Basic", "Classic", "Compact", "Deluxe", "Eco", "Family", "Grand", "Junior", "Light", "Modern", "Nordic",
    "Premium", "Rustic", "Smart", "Travel", "Urban",
];

/// The stream that stores and products are drawn from: two steps, where those of the batches have one.
const CATALOGUE: &[u64] = &[0, 0];

/// The least and the greatest price of a product, in cents. What a customer pays is off by up to a tenth.
const MIN_CENTS: u32 = 199;
const MAX_CENTS: u32 = 90_000;

/// One to twelve units.
const QUANTITIES: [f64; 12] = [55.0, 18.0, 8.0, 5.0, 4.0, 3.0, 1.5, 1.5, 1.0, 1.0, 0.5, 1.5];
/// In steps of 0.05.
const DISCOUNTS: [f64; 11] = [62.0, 8.0, 9.0, 4.0, 6.0, 3.0, 2.0, 1.0, 1.5, 0.5, 3.0];
const PAYMENTS: [(&str, f64); 5] =
    [("card", 55.0), ("cash", 15.0), ("invoice", 10.0), ("paypal", 17.0), ("voucher", 3.0)];

/// What stands in the last column, in percent of the rows.
#[derive(Clone, Copy)]
enum Note {
    None,
    Plain,
    Quoted,
}
const NOTES: [(Note, f64); 3] = [(Note::None, 90.0), (Note::Plain, 8.0), (Note::Quoted, 2.0)];
const PLAIN_NOTES: [&str; 6] =
    ["gift", "ring twice", "leave at the door", "second delivery", "caf\u{e9} opposite", "price match"];
const QUOTED_NOTES: [&str; 5] = [
    r#""call first, then deliver""#,
    r#""asked for ""the blue one"", got it""#,
    r#""floor 3, left""#,
    r#""label says ""fragile""""#,
    r#""two parcels, one ""heavy"", one light""#,
];

const IMPOSSIBLE_DAYS: [&str; 6] = ["2025-02-29", "2024-02-30", "2025-04-31", "2025-13-01", "31.12.2024", "yesterday"];
const NO_NUMBERS: [&str; 6] = ["two", "1.5", "1O", "3 pcs", "-", "0x2"];
const TOO_FEW: [&str; 3] = ["0", "-1", "-12"];
const NO_PRICES: [&str; 6] = ["n/a", "free", "12.5O", "1.2.3", "$20", "9.999"];
const NO_DISCOUNTS: [&str; 4] = ["1.05", "-0.05", "2.00", "9.95"];
const NOT_UTF8: [&[u8]; 4] = [b"Caf\xE9 Table", b"\xFFShirt", b"Tent\xC3", b"D\xE9cor Set"];

/// Which rows are malformed, and how.
struct Faults {
    rows: u64,
    rejected: u64,
    /// Of all rows.
    places: Permutation,
}

impl Faults {
    fn new(seed: u64, rows: u64, rejected: u64) -> Self {
        Faults { rows, rejected, places: Permutation::new(&mut Dice::new(seed, &[]), rows) }
    }

    fn of(&self, row: u64) -> Option<Fault> {
        if self.rejected == 0 {
            return None;
        }
        let place = self.places.place(row);
        (place < self.rejected).then(|| FAULTS[(place % FAULTS.len() as u64) as usize].0)
    }

    fn by_code(&self) -> BTreeMap<&'static str, u64> {
        let mut by_code = in_turn(self.rejected, &FAULTS.map(|(_, code)| code));
        if self.rows.checked_sub(1).and_then(|last| self.of(last)) == Some(Fault::OpenQuote) {
            by_code.insert(OPEN_QUOTE_AT_END, 1);
            by_code.entry(OPEN_QUOTE).and_modify(|rows| *rows -= 1);
        }
        by_code.retain(|_, rows| *rows > 0);
        by_code
    }
}

/// Everything that a row draws from. Built once, shared by all threads.
struct SaleRows {
    seed: u64,
    faults: Faults,
    calendar: Vec<DateText>,
    /// `ST001,Asia`
    stores: Words,
    /// `P00001,Classic Desk 3,Furniture`, in the order of their popularity.
    products: Words,
    product_cents: Vec<u32>,
    popularity: WeightedChoice,
    quantity: WeightedChoice,
    discount: WeightedChoice,
    payment: WeightedChoice,
    note: WeightedChoice,
}

impl SaleRows {
    fn new(seed: u64, faults: Faults) -> Self {
        let mut dice = Dice::new(seed, CATALOGUE);
        let mut stores = Words::default();
        for store in 1..=STORES {
            let region = dice.pick(&REGIONS);
            stores.push_with(|out| {
                out.extend_from_slice(b"ST");
                push_padded(out, u64::from(store), 3);
                out.push(b',');
                out.extend_from_slice(region.as_bytes());
            });
        }
        let mut ranking: Vec<u32> = (1..=PRODUCTS).collect();
        // Otherwise the popular products would be those with the lowest numbers.
        dice.shuffle(&mut ranking);
        let mut products = Words::default();
        for product in &ranking {
            products.push_with(|out| push_product(out, *product));
        }
        // A limit drawn first makes low prices far more frequent than high ones, which still occur.
        let price = |_| {
            let limit = dice.between(MIN_CENTS, MAX_CENTS);
            dice.between(MIN_CENTS, limit)
        };
        SaleRows {
            seed,
            faults,
            product_cents: (0..PRODUCTS).map(price).collect(),
            calendar: FIRST_DAY.iter_days().take(DAYS).map(date_text).collect(),
            stores,
            products,
            popularity: WeightedChoice::new(&eighty_twenty(PRODUCTS)),
            quantity: WeightedChoice::new(&QUANTITIES),
            discount: WeightedChoice::new(&DISCOUNTS),
            payment: WeightedChoice::new(&PAYMENTS.map(|(_, percent)| percent)),
            note: WeightedChoice::new(&NOTES.map(|(_, percent)| percent)),
        }
    }

    /// Appends the rows of a batch, and in front of the first row of all, the header. Returns how many rows.
    fn push_batch(&self, out: &mut Vec<u8>, batch: &Range<u64>) -> u64 {
        if batch.start == 0 {
            out.extend_from_slice(HEADER);
        }
        let mut dice = Dice::new(self.seed, &[batch.start]);
        let mut before = batch.start.checked_sub(1).and_then(|row| self.faults.of(row));
        for row in batch.clone() {
            let fault = self.faults.of(row);
            self.push_row(out, &mut dice, row, fault, before == Some(Fault::OpenQuote));
            before = fault;
        }
        batch.end - batch.start
    }

    fn push_row(&self, out: &mut Vec<u8>, dice: &mut Dice, row: u64, fault: Option<Fault>, behind_open_quote: bool) {
        let has = |other| fault == Some(other);
        out.push(b'S');
        push_padded(out, row + 1, 9);
        out.push(b',');
        if has(Fault::BadDate) {
            out.extend_from_slice(dice.pick(&IMPOSSIBLE_DAYS).as_bytes());
        } else {
            out.extend_from_slice(dice.pick(&self.calendar).as_slice());
        }
        out.push(b',');
        let store = self.stores.get(dice.below(STORES) as usize);
        out.extend_from_slice(if has(Fault::NoStore) { &store[store.len().min(5)..] } else { store });
        out.push(b',');
        let product = self.popularity.draw(dice);
        match fault {
            Some(Fault::OpenQuote | Fault::TextAfterQuote | Fault::BadUtf8) => {
                push_odd_product(out, dice, self.products.get(product), fault, behind_open_quote);
            }
            _ if behind_open_quote => push_odd_product(out, dice, self.products.get(product), fault, true),
            _ => out.extend_from_slice(self.products.get(product)),
        }
        out.extend_from_slice(b",C");
        push_padded(out, u64::from(dice.below(CUSTOMERS)), 7);
        out.push(b',');
        match fault {
            Some(Fault::BadQuantity) => out.extend_from_slice(dice.pick(&NO_NUMBERS).as_bytes()),
            Some(Fault::NoQuantity) => out.extend_from_slice(dice.pick(&TOO_FEW).as_bytes()),
            _ => push_padded(out, self.quantity.draw(dice) as u64 + 1, 1),
        }
        out.push(b',');
        if has(Fault::BadPrice) {
            out.extend_from_slice(dice.pick(&NO_PRICES).as_bytes());
        } else {
            push_cents(out, self.product_cents[product] * dice.between(90, 110) / 100);
        }
        out.push(b',');
        if has(Fault::BadDiscount) {
            out.extend_from_slice(dice.pick(&NO_DISCOUNTS).as_bytes());
        } else {
            push_cents(out, 5 * self.discount.draw(dice) as u32);
        }
        out.push(b',');
        out.extend_from_slice(PAYMENTS[self.payment.draw(dice)].0.as_bytes());
        if !has(Fault::TooFewFields) {
            out.push(b',');
            match NOTES[self.note.draw(dice)].0 {
                // The quotes of a note could close an open one.
                _ if has(Fault::OpenQuote) => {}
                Note::None => {}
                Note::Plain => out.extend_from_slice(dice.pick(&PLAIN_NOTES).as_bytes()),
                Note::Quoted => out.extend_from_slice(dice.pick(&QUOTED_NOTES).as_bytes()),
            }
        }
        if has(Fault::TooManyFields) {
            out.extend_from_slice(b",gift");
        }
        out.push(b'\n');
    }
}

/// `P00001,Classic Desk 3,Furniture`: number and style and what it is follow from each other, so that no two products of a
/// category have the same name.
fn push_product(out: &mut Vec<u8>, product: u32) {
    let (category, goods) = CATEGORIES[product as usize % CATEGORIES.len()];
    let number = product as usize / CATEGORIES.len();
    let (good, style) = (goods[number % goods.len()], STYLES[number / goods.len() % STYLES.len()]);
    out.push(b'P');
    push_padded(out, u64::from(product), 5);
    for text in [",", style, " ", good, " "] {
        out.extend_from_slice(text.as_bytes());
    }
    push_padded(out, (number / goods.len() / STYLES.len()) as u64 + 1, 1);
    out.push(b',');
    out.extend_from_slice(category.as_bytes());
}

/// A product with quotes around its name, or with a fault in it.
fn push_odd_product(out: &mut Vec<u8>, dice: &mut Dice, product: &[u8], fault: Option<Fault>, in_quotes: bool) {
    let mut fields = product.split(|byte| *byte == b',');
    let mut field = || fields.next().unwrap_or_default();
    let (id, name, category) = (field(), field(), field());
    let name = if fault == Some(Fault::BadUtf8) { dice.pick::<&[u8]>(&NOT_UTF8) } else { name };
    let (before, behind): (&[u8], &[u8]) = match fault {
        Some(Fault::OpenQuote) => (b"\"", b""),
        Some(Fault::TextAfterQuote) => (b"\"", b"\" or similar"),
        _ if in_quotes => (b"\"", b"\""),
        _ => (b"", b""),
    };
    for bytes in [id, b",", before, name, behind, b",", category] {
        out.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::fs;

    use super::*;

    const FIELDS: usize = 13;

    /// Makes a feed and gives its text.
    fn make(options: &Options) -> Vec<u8> {
        let out = tempfile::tempdir().unwrap();
        let summary = generate(&Options { out: out.path().to_owned(), ..options.clone() }, &mut |_| {}).unwrap();
        let feed = fs::read(out.path().join("sales.csv")).unwrap();
        let counts = fs::read_to_string(out.path().join("sales.counts.json")).unwrap();
        assert_eq!(counts, options.counts().unwrap().to_json());
        assert_eq!((summary.files, summary.rows, summary.bytes), (2, options.rows, (feed.len() + counts.len()) as u64));
        feed
    }

    fn options(rows: u64, malformed: f64, seed: u64) -> Options {
        Options { rows, malformed, seed, ..Options::default() }
    }

    /// The lines behind the header, without their line feeds: no record has two.
    fn lines(feed: &[u8]) -> Vec<&[u8]> {
        let mut lines = feed.strip_suffix(b"\n").unwrap().split(|&byte| byte == b'\n');
        assert_eq!(lines.next().unwrap(), HEADER.trim_ascii_end());
        lines.collect()
    }

    /// The fields of the first line, or what is wrong with it: a loader of its own, as plain as can be.
    fn read(lines: &[&[u8]]) -> Result<[String; FIELDS], &'static str> {
        // What would be read if the first quote were open: the name, and the lines behind up to the next quote.
        let name = lines[0].splitn(6, |&byte| byte == b',').nth(5).unwrap();
        if let Some(quoted) = name.strip_prefix(b"\"") {
            let behind = [quoted, b"\n", &lines[1..].join(&b'\n')].concat();
            match behind.iter().position(|&byte| byte == b'"') {
                None => return Err("unclosed_quote"),
                Some(end) if behind[end + 1] != b',' => return Err("text_after_quote"),
                Some(_) => {}
            }
        }
        let line = std::str::from_utf8(lines[0]).map_err(|_| "invalid_utf8")?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let record = reader.records().next().unwrap().unwrap();
        let fields: Vec<String> = record.iter().map(str::to_owned).collect();
        let fields: [String; FIELDS] = fields
            .try_into()
            .map_err(|fields: Vec<String>| if fields.len() < FIELDS { "too_few_fields" } else { "too_many_fields" })?;
        let hundredths = |text: &str| -> Option<u32> {
            let (whole, part) = text.split_once('.')?;
            (part.len() == 2).then(|| format!("{whole}{part}").parse().ok())?
        };
        let [_, date, store, .., quantity, price, discount, _, _] = &fields;
        match () {
            () if store.is_empty() => Err("null_value"),
            () if date.parse::<NaiveDate>().is_err() => Err("invalid_date"),
            () if quantity.parse::<i64>().is_err() => Err("invalid_integer"),
            () if quantity.parse::<u32>().is_ok_and(|quantity| quantity > 0) => {
                hundredths(price).ok_or("invalid_decimal")?;
                let discount = hundredths(discount).filter(|hundredths| *hundredths <= 100).ok_or("check_failed")?;
                assert!(discount.is_multiple_of(5) && discount <= 50, "{line}");
                Ok(fields)
            }
            () => Err("check_failed"),
        }
    }

    fn read_all(feed: &[u8]) -> Vec<Result<[String; FIELDS], &'static str>> {
        let lines = lines(feed);
        (0..lines.len()).map(|row| read(&lines[row..lines.len().min(row + 3)])).collect()
    }

    #[test]
    fn counts_are_exact() {
        for (rows, malformed, rejected) in [
            (1, 0.0, 0),
            (1, 1.0, 1),
            (10, 0.44, 4),
            (1_000, 1.0, 1_000),
            (BATCH_ROWS, 0.5, 5_000),
            (20_011, 0.01, 200),
        ] {
            for seed in 0..3 {
                let options = options(rows, malformed, seed);
                let counts = options.counts().unwrap();
                assert_eq!((counts.rows, counts.rejected, counts.loaded), (rows, rejected, rows - rejected));
                let mut by_code: BTreeMap<&str, u64> = BTreeMap::new();
                for code in read_all(&make(&options)).into_iter().filter_map(Result::err) {
                    *by_code.entry(code).or_default() += 1;
                }
                assert_eq!(by_code, counts.rejected_by_code, "{options:?}");
            }
        }
        assert_eq!(make(&options(0, 0.5, 1)), HEADER);
    }

    #[test]
    fn an_open_quote_ends_with_the_file_or_in_the_next_row() {
        let mut seen = HashSet::new();
        for seed in 0..150 {
            let feed = make(&options(30, 0.9, seed));
            let (rows, lines) = (read_all(&feed), lines(&feed));
            for index in (0..30).filter(|index| lines[*index].iter().filter(|&&byte| byte == b'"').count() == 1) {
                assert!(rows[index].as_ref().is_err_and(|code| code.ends_with("quote")), "{index}");
                assert!(lines.get(index + 1).is_none_or(|next| next.contains(&b'"')));
                seen.insert(rows.get(index + 1).map(|next| next.as_ref().err().copied()));
            }
        }
        // None behind it, a good row, and rows with each of the codes.
        let codes: HashSet<&str> = FAULTS.iter().map(|(_, code)| *code).collect();
        assert!(seen.len() >= 2 + codes.len(), "{seen:?}");
    }

    #[test]
    fn the_same_options_give_the_same_bytes_on_any_number_of_threads() {
        let of = |threads, seed| make(&Options { threads, ..options(3 * BATCH_ROWS + 7, 0.05, seed) });
        let one = of(1, 5);
        for threads in [2, 3, 0] {
            assert!(of(threads, 5) == one, "{threads}");
        }
        assert!(of(1, 6) != one);
    }

    #[test]
    fn rows_are_as_long_and_as_varied_as_sales_are() {
        let feed = make(&options(200_000, 0.0, 1));
        let rows: Vec<_> = read_all(&feed).into_iter().map(Result::unwrap).collect();
        let share = |holds: &dyn Fn(&[String; FIELDS]) -> bool| {
            rows.iter().filter(|row| holds(row)).count() as f64 / rows.len() as f64
        };
        let near = |share: f64, percent: f64| assert!((share * 100.0 - percent).abs() < 0.5, "{share} for {percent}%");
        let counts = |fields: Range<usize>| {
            let mut counts: HashMap<&[String], usize> = HashMap::new();
            for row in &rows {
                *counts.entry(&row[fields.clone()]).or_default() += 1;
            }
            counts
        };
        let distinct = |fields| counts(fields).len();
        let length = feed.len() as f64 / rows.len() as f64;
        assert!((90.0..110.0).contains(&length), "{length}");
        assert_eq!((distinct(0..1), distinct(1..2), distinct(11..12)), (rows.len(), DAYS, PAYMENTS.len()));
        // A store is in one region, and a product has one name and one category.
        assert_eq!((distinct(2..3), distinct(2..4), distinct(3..4)), (200, 200, REGIONS.len()));
        let products = distinct(4..5);
        assert!((17_000..=20_000).contains(&products), "{products}");
        assert_eq!((distinct(4..7), distinct(5..7), distinct(6..7)), (products, products, CATEGORIES.len()));
        let mut sold: Vec<usize> = counts(4..5).into_values().collect();
        sold.sort_unstable_by(|a, b| b.cmp(a));
        let top = sold.iter().take(4_000).sum::<usize>() as f64 / rows.len() as f64;
        assert!((0.75..0.85).contains(&top), "{top}");
        assert!(!rows.is_sorted_by_key(|row| row[1].clone()));
        near(share(&|row| row[12].is_empty()), 90.0);
        near(share(&|row| row[12].contains(',')), 1.6);
        near(share(&|row| row[12].contains('"')), 1.2);
        near(share(&|row| row[10] == "0.00"), DISCOUNTS[0]);
        near(share(&|row| row[8] == "1"), QUANTITIES[0]);
    }

    #[test]
    fn progress_ends_at_its_totals() {
        let out = tempfile::tempdir().unwrap();
        let options = Options { out: out.path().join("new/folder"), ..options(BATCH_ROWS + 1, 0.0, 1) };
        let mut reports = Vec::new();
        let summary = generate(&options, &mut |progress| reports.push(progress)).unwrap();
        assert_eq!(reports.len(), 4);
        let last = reports[3];
        assert_eq!((last.rows, last.files, last.bytes), (last.rows_total, last.files_total, summary.bytes));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (bad, named) in [
            (options(MAX_ROWS + 1, 0.0, 1), "rows"),
            (options(1, -0.1, 1), "malformed"),
            (options(1, f64::NAN, 1), "malformed"),
            (options(1, 1.1, 1), "malformed"),
        ] {
            let Err(Error::Option { option, .. }) = bad.counts() else { panic!("{bad:?} is accepted") };
            assert_eq!(option, named, "{bad:?}");
        }
        options(MAX_ROWS, 1.0, 1).counts().unwrap();
    }
}
