//! The rows of the transactions feed, as CSV text: clean where a shop's own system writes them, dirty where people
//! type. Not where the files are made; this neither reads nor writes anything but a buffer.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};

use super::random::{Dice, WeightedChoice, eighty_twenty};
use super::reference::PLACES;
use super::text::{DateText, Words, date_text, push_cents, push_padded};

/// The first line of every file.
pub(super) const HEADER: &[u8] =
    b"transaction_id,transaction_date,sku_id,quantity_sold,revenue_usd,maturity_date,zip_code_raw\n";

/// No row is longer, whatever the options: about 60 is usual, 80 takes the largest client, row and SKU numbers allowed.
pub(super) const MAX_ROW_BYTES: u64 = 96;

/// The days around a transaction that its maturity can fall on.
pub(super) const DAYS_BEFORE: u32 = 5;
pub(super) const DAYS_AFTER: u32 = 30;

/// Rows that are made together: the unit of parallel work, and of the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// From 1.
    pub(super) client: u32,
    /// From 1.
    pub(super) day: u32,
    /// Among the batches of the day, from 0.
    pub(super) index: u64,
    /// How many rows the client has before this batch.
    pub(super) rows_before: u64,
    pub(super) rows: u64,
}

impl Batch {
    /// Whether the client's files begin with this batch, and so whether the header goes before it.
    pub(super) fn is_first_of_client(&self) -> bool {
        (self.day, self.index) == (1, 0)
    }

    /// Whether both go into the same day's file.
    pub(super) fn is_of_same_day(&self, other: &Batch) -> bool {
        (self.client, self.day) == (other.client, other.day)
    }
}

/// When a sale matures, in percent of the rows.
#[derive(Clone, Copy)]
enum Maturity {
    OnTime,
    Late,
    BeforeSale,
    Missing,
}
const MATURITIES: [(Maturity, f64); 4] =
    [(Maturity::OnTime, 87.0), (Maturity::Late, 3.0), (Maturity::BeforeSale, 4.0), (Maturity::Missing, 6.0)];

/// How a zip code was typed, in percent of the rows.
#[derive(Clone, Copy)]
enum ZipStyle {
    /// `94105`
    Plain,
    /// `94105-1234`
    Plus4,
    /// `941 05`, ` 94105`, `94105 `
    Spaced,
    /// `US-94105`
    CountryPrefix,
    /// `CA94105`, which is no zip code however one reads it.
    StatePrefix,
    /// A code that the lookup table does not have.
    Unlisted,
    /// `INTL`, `CAN-K1A`
    International,
    Missing,
}
const ZIP_STYLES: [(ZipStyle, f64); 8] = [
    (ZipStyle::Plain, 62.0),
    (ZipStyle::Plus4, 12.0),
    (ZipStyle::Spaced, 6.0),
    (ZipStyle::CountryPrefix, 5.0),
    (ZipStyle::StatePrefix, 3.0),
    (ZipStyle::Unlisted, 1.0),
    (ZipStyle::International, 6.0),
    (ZipStyle::Missing, 5.0),
];

/// Military and island codes: five digits, and not in the lookup table.
const UNLISTED_ZIPS: [&str; 5] = ["00901", "09007", "34002", "96201", "96799"];
const INTERNATIONAL_MARKS: [&str; 8] =
    ["INTL", "CAN-K1A", "UK-SW1A", "DE-10115", "FR-75001", "MEX-06600", "JP-100", "AUS-2000"];

/// Percent of the zip codes that are of California.
const CALIFORNIA: f64 = 45.0;

/// Everything that a row draws from. Built once, shared by all threads.
pub(super) struct TransactionRows {
    seed: u64,
    /// In the order of their popularity, which is that of `popularity`.
    sku_ids: Words,
    popularity: WeightedChoice,
    /// From `DAYS_BEFORE` days before the first day of the feed on.
    calendar: Vec<DateText>,
    maturity: WeightedChoice,
    /// One list of codes for each state, and the state's odds.
    zips: Vec<(&'static str, Vec<u32>)>,
    state: WeightedChoice,
    zip_style: WeightedChoice,
}

impl TransactionRows {
    /// Rows for `days` days from `start` on. The calendar must have room for `DAYS_BEFORE` and `DAYS_AFTER` around
    /// them.
    pub(super) fn new(seed: u64, skus: u32, start: NaiveDate, days: u32) -> Self {
        let mut ranking: Vec<u32> = (1..=skus).collect();
        // Otherwise the popular SKUs would be those with the lowest numbers. The empty path is this draw's alone.
        Dice::new(seed, &[]).shuffle(&mut ranking);
        let mut sku_ids = Words::default();
        for sku in ranking {
            sku_ids.push_with(|out| {
                out.extend_from_slice(b"SKU_");
                push_padded(out, u64::from(sku), 5);
            });
        }
        let first = start - Days::new(u64::from(DAYS_BEFORE));
        let calendar = first.iter_days().take((DAYS_BEFORE + days + DAYS_AFTER) as usize).map(date_text).collect();

        let mut zips: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for place in PLACES {
            zips.entry(place.state).or_default().extend(place.zips());
        }
        let zips: Vec<_> = zips.into_iter().collect();
        let elsewhere: usize = zips.iter().filter(|(state, _)| *state != "CA").map(|(_, zips)| zips.len()).sum();
        let state_weights: Vec<f64> = zips
            .iter()
            .map(|(state, zips)| match *state {
                "CA" => CALIFORNIA,
                _ => (100.0 - CALIFORNIA) * zips.len() as f64 / elsewhere as f64,
            })
            .collect();

        TransactionRows {
            seed,
            sku_ids,
            popularity: WeightedChoice::new(&eighty_twenty(skus)),
            calendar,
            maturity: WeightedChoice::new(&MATURITIES.map(|(_, percent)| percent)),
            zips,
            state: WeightedChoice::new(&state_weights),
            zip_style: WeightedChoice::new(&ZIP_STYLES.map(|(_, percent)| percent)),
        }
    }

    /// Appends the rows of `batch`, each with its line feed. They depend on the seed and the batch, and on nothing
    /// else.
    pub(super) fn push_batch(&self, out: &mut Vec<u8>, batch: &Batch) {
        let mut dice = Dice::new(self.seed, &[u64::from(batch.client), u64::from(batch.day), batch.index]);
        let id_prefix = format!("c{}-", batch.client);
        let first_id = batch.rows_before + 1;
        for id in first_id..first_id + batch.rows {
            self.push_row(out, &mut dice, id_prefix.as_bytes(), id, batch.day);
        }
    }

    fn push_row(&self, out: &mut Vec<u8>, dice: &mut Dice, id_prefix: &[u8], id: u64, day: u32) {
        let sold_on = DAYS_BEFORE + day - 1;
        out.extend_from_slice(id_prefix);
        push_padded(out, id, 8);
        out.push(b',');
        out.extend_from_slice(&self.calendar[sold_on as usize]);
        out.push(b',');
        out.extend_from_slice(self.sku_ids.get(self.popularity.draw(dice)));
        out.push(b',');
        push_padded(out, u64::from(dice.between(1, 10)), 1);
        out.push(b',');
        push_cents(out, dice.between(500, 50_000));
        out.push(b',');
        self.push_maturity(out, dice, sold_on);
        out.push(b',');
        self.push_zip(out, dice);
        out.push(b'\n');
    }

    fn push_maturity(&self, out: &mut Vec<u8>, dice: &mut Dice, sold_on: u32) {
        let matures_on = match MATURITIES[self.maturity.draw(dice)].0 {
            Maturity::OnTime => sold_on + dice.between(0, 10),
            Maturity::Late => sold_on + dice.between(11, DAYS_AFTER),
            Maturity::BeforeSale => sold_on - dice.between(1, DAYS_BEFORE),
            Maturity::Missing => return,
        };
        out.extend_from_slice(&self.calendar[matures_on as usize]);
    }

    fn push_zip(&self, out: &mut Vec<u8>, dice: &mut Dice) {
        let style = ZIP_STYLES[self.zip_style.draw(dice)].0;
        let (state, zips) = &self.zips[self.state.draw(dice)];
        let zip = u64::from(*dice.pick(zips));
        match style {
            ZipStyle::Plain => push_padded(out, zip, 5),
            ZipStyle::Plus4 => {
                push_padded(out, zip, 5);
                out.push(b'-');
                push_padded(out, u64::from(dice.between(1, 9_999)), 4);
            }
            ZipStyle::Spaced => {
                let start = out.len();
                push_padded(out, zip, 5);
                out.insert(start + *dice.pick(&[0, 3, 5]), b' ');
            }
            ZipStyle::CountryPrefix => {
                out.extend_from_slice(b"US-");
                push_padded(out, zip, 5);
            }
            ZipStyle::StatePrefix => {
                out.extend_from_slice(state.as_bytes());
                push_padded(out, zip, 5);
            }
            ZipStyle::Unlisted => out.extend_from_slice(dice.pick(&UNLISTED_ZIPS).as_bytes()),
            ZipStyle::International => out.extend_from_slice(dice.pick(&INTERNATIONAL_MARKS).as_bytes()),
            ZipStyle::Missing => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::super::reference::us_zip_codes_csv;
    use super::*;

    const START: NaiveDate = NaiveDate::from_ymd_opt(2025, 10, 1).unwrap();

    struct Row {
        id: String,
        sold_on: NaiveDate,
        sku_id: String,
        quantity: u32,
        revenue: String,
        matures_on: Option<NaiveDate>,
        zip: String,
    }

    /// Rows of client 2 on day 3, read back by the csv crate.
    fn sample(rows: u64) -> Vec<Row> {
        let mut text = HEADER.to_vec();
        let batch = Batch { client: 2, day: 3, index: 0, rows_before: 1_000, rows };
        TransactionRows::new(1, 5_000, START, 10).push_batch(&mut text, &batch);
        assert!(text.split(|&byte| byte == b'\n').all(|row| (row.len() as u64) < MAX_ROW_BYTES));
        let date = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").unwrap();
        csv::Reader::from_reader(&text[..])
            .records()
            .map(|record| {
                let record = record.unwrap();
                Row {
                    id: record[0].to_owned(),
                    sold_on: date(&record[1]),
                    sku_id: record[2].to_owned(),
                    quantity: record[3].parse().unwrap(),
                    revenue: record[4].to_owned(),
                    matures_on: (!record[5].is_empty()).then(|| date(&record[5])),
                    zip: record[6].to_owned(),
                }
            })
            .collect()
    }

    fn share(rows: &[Row], holds: impl Fn(&Row) -> bool) -> f64 {
        rows.iter().filter(|row| holds(row)).count() as f64 / rows.len() as f64
    }

    #[test]
    fn ids_count_the_rows_of_the_client() {
        let ids: Vec<String> = sample(3).into_iter().map(|row| row.id).collect();
        assert_eq!(ids, ["c2-00001001", "c2-00001002", "c2-00001003"]);
    }

    #[test]
    fn a_fifth_of_the_skus_makes_four_fifths_of_the_rows() {
        let rows = sample(200_000);
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for row in &rows {
            *counts.entry(&row.sku_id).or_default() += 1;
        }
        let mut counts: Vec<usize> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let top = counts.iter().take(1_000).sum::<usize>() as f64 / rows.len() as f64;
        assert!((0.75..0.85).contains(&top), "{top}");
        // A long tail, and no best seller that is the whole feed.
        assert!(counts.len() > 4_500 && counts[0] < rows.len() / 8, "{} {}", counts.len(), counts[0]);
    }

    #[test]
    fn amounts_stay_in_range_and_reach_its_ends() {
        let rows = sample(100_000);
        assert_eq!(rows.iter().map(|row| row.quantity).collect::<HashSet<_>>(), (1..=10).collect());
        let cents = |row: &Row| -> u32 {
            let (whole, decimals) = row.revenue.split_once('.').unwrap();
            assert_eq!(decimals.len(), 2);
            whole.parse::<u32>().unwrap() * 100 + decimals.parse::<u32>().unwrap()
        };
        let (least, most) = (rows.iter().map(cents).min().unwrap(), rows.iter().map(cents).max().unwrap());
        assert!((500..=510).contains(&least) && (49_990..=50_000).contains(&most), "{least} {most}");
    }

    #[test]
    fn maturity_is_on_time_late_early_or_missing() {
        let rows = sample(50_000);
        assert!(rows.iter().all(|row| row.sold_on == START + Days::new(2)));
        let delay = |row: &Row| row.matures_on.map(|date| (date - row.sold_on).num_days());
        assert!((share(&rows, |row| delay(row).is_none()) - 0.06).abs() < 0.01);
        let delays: HashSet<i64> = rows.iter().filter_map(delay).collect();
        assert_eq!(delays, (-5..=30).collect());
        assert!((share(&rows, |row| delay(row).is_some_and(|days| days < 0)) - 0.04).abs() < 0.01);
        assert!((share(&rows, |row| delay(row).is_some_and(|days| (0..=10).contains(&days))) - 0.87).abs() < 0.01);
    }

    #[test]
    fn zip_codes_are_typed_in_every_way() {
        let rows = sample(50_000);
        let zips = us_zip_codes_csv();
        let california: HashSet<&str> =
            zips.lines().filter(|line| line.contains(",CA,")).map(|line| &line[..5]).collect();
        let listed: HashSet<&str> = zips.lines().skip(2).map(|line| &line[..5]).collect();
        let matches = |pattern: &str| {
            let pattern = regex::Regex::new(pattern).unwrap();
            share(&rows, |row| pattern.is_match(&row.zip))
        };
        let near = |share: f64, percent: f64| assert!((share * 100.0 - percent).abs() < 1.0, "{share} for {percent}%");
        near(share(&rows, |row| listed.contains(&row.zip[..])), 62.0);
        near(share(&rows, |row| california.contains(&row.zip[..])), 62.0 * CALIFORNIA / 100.0);
        near(matches("^[0-9]{5}-[0-9]{4}$"), 12.0);
        for spaced in ["^ [0-9]{5}$", "^[0-9]{3} [0-9]{2}$", "^[0-9]{5} $"] {
            near(matches(spaced), 2.0);
        }
        near(matches("^US-[0-9]{5}$"), 5.0);
        near(matches("^[A-Z]{2}[0-9]{5}$"), 3.0);
        near(share(&rows, |row| UNLISTED_ZIPS.contains(&&row.zip[..]) && !listed.contains(&row.zip[..])), 1.0);
        for mark in INTERNATIONAL_MARKS {
            near(share(&rows, |row| row.zip == mark), 0.75);
        }
        near(share(&rows, |row| row.zip.is_empty()), 5.0);
    }
}
