//! `generate transactions`: a shop's daily exports, each of them holding everything since the first day. Says which
//! rows go into which file; what is in a row is `rows`' business, and how files share their bytes is `archive`'s.
//!
//! ```text
//! OUT/static/sku_groups.csv                  sku_id,sku_group,category,is_high_priority
//! OUT/static/us_zip_codes.csv                zip_code,city,state,is_us
//! OUT/client_1/transactions_day_1.zip        transactions_day_1.csv: the base rows
//! OUT/client_1/transactions_day_2.zip        transactions_day_2.csv: day 1, byte for byte, and new rows
//! OUT/client_2/...
//! ```

use std::io;
use std::path::{Path, PathBuf};

use chrono::{Datelike, Days, NaiveDate};

use super::archive::{Draft, Packer, Packing, Published, Segment};
use super::files::{create_folder, write_text};
use super::reference::{sku_groups_csv, us_zip_codes_csv};
use super::rows::{Batch, DAYS_AFTER, DAYS_BEFORE, HEADER, MAX_ROW_BYTES, TransactionRows};
use super::workers::{Results, in_order};
use super::{Error, Progress, Summary};

/// Rows in a batch. About 3 MB of text: long enough that a deflate window which starts empty costs nothing (0.1%),
/// short enough that a day of the default size keeps two threads busy. Part of the output: changing it changes every
/// file.
const BATCH_ROWS: u64 = 50_000;

/// As many rows as a client may have: about 7 TB of text. Far beyond use, and nothing overflows below it.
const MAX_CLIENT_ROWS: u64 = 100_000_000_000;
const MAX_CLIENTS: u32 = 10_000;
const MAX_DAYS: u32 = 100_000;
const MAX_SKUS: u32 = 1_000_000;

/// The default first day. The compiler evaluates this, so it cannot fail later.
const START_DATE: NaiveDate = NaiveDate::from_ymd_opt(2025, 10, 1).expect("a day of the calendar");

/// What to generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The folder to write into; made if missing. Files of the same names are replaced, others stay.
    pub out: PathBuf,
    /// How many clients, each with a folder of its own.
    pub clients: u32,
    /// How many files for each client, one a day.
    pub days: u32,
    /// Rows of the first day.
    pub base_rows: u64,
    /// New rows of every later day.
    pub daily_rows: u64,
    /// How many different SKUs there are.
    pub skus: u32,
    /// The date of the first day.
    pub start_date: NaiveDate,
    /// The same seed gives the same rows. Rows do not depend on `days`, so a longer feed begins like a shorter one.
    pub seed: u64,
    /// How hard to deflate, 0 to 9. 6 is what `zip` and Python's zipfile do unasked, so feeds in the field look like
    /// that.
    pub level: u32,
    /// Write `.csv` files instead of `.zip` archives.
    pub plain: bool,
    /// Worker threads; 0 takes one for each core. The output is the same for any number.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            out: PathBuf::from("data"),
            clients: 2,
            days: 10,
            base_rows: 1_000_000,
            daily_rows: 100_000,
            skus: 5_000,
            start_date: START_DATE,
            seed: 42,
            level: 6,
            plain: false,
            threads: 0,
        }
    }
}

/// Writes the feed and its lookup tables. `progress` is called after every batch and every file.
pub fn generate(options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Summary, Error> {
    options.check()?;
    let packing = if options.plain { Packing::Plain } else { Packing::Zip { level: options.level } };
    let rows = TransactionRows::new(options.seed, options.skus, options.start_date, options.days);
    let batches = options.batches();
    let new_worker = || {
        let mut text = Vec::new();
        let mut packer = Packer::new(packing);
        let rows = &rows;
        move |batch: &Batch| {
            text.clear();
            if batch.is_first_of_client() {
                text.extend_from_slice(HEADER);
            }
            rows.push_batch(&mut text, batch);
            packer.pack(&text)
        }
    };
    let mut writer = Writer::new(options, packing, progress);
    writer.write_lookups()?;
    in_order(&batches, options.threads, new_worker, |segments| writer.write_clients(&batches, segments))?;
    Ok(writer.summary)
}

impl Options {
    fn check(&self) -> Result<(), Error> {
        let within = |option, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::Option { option, reason: format!("must be from {least} to {most}, not {value}") })
        };
        within("clients", self.clients.into(), 1, MAX_CLIENTS.into())?;
        within("days", self.days.into(), 1, MAX_DAYS.into())?;
        within("skus", self.skus.into(), 1, MAX_SKUS.into())?;
        within("level", self.level.into(), 0, 9)?;
        within("base_rows", self.base_rows, 0, MAX_CLIENT_ROWS)?;
        within("daily_rows", self.daily_rows, 0, (MAX_CLIENT_ROWS - self.base_rows) / u64::from(self.days))?;

        let has_four_digits = |date: Option<NaiveDate>| date.is_some_and(|date| (0..=9999).contains(&date.year()));
        let first = self.start_date.checked_sub_days(Days::new(DAYS_BEFORE.into()));
        let last = self.start_date.checked_add_days(Days::new(u64::from(self.days) + u64::from(DAYS_AFTER)));
        if !has_four_digits(first) || !has_four_digits(last) {
            let reason =
                format!("{} leaves no room for {} days within the years 0 to 9999", self.start_date, self.days);
            return Err(Error::Option { option: "start_date", reason });
        }
        Ok(())
    }

    /// Rows of one client up to day `day`, which are those in that day's file.
    fn rows_until(&self, day: u32) -> u64 {
        self.base_rows + u64::from(day - 1) * self.daily_rows
    }

    /// All batches, in the order in which they are written. A day has at least one, if of no rows: day 1 has a header.
    fn batches(&self) -> Vec<Batch> {
        let mut batches = Vec::new();
        for client in 1..=self.clients {
            let mut rows_before = 0;
            for day in 1..=self.days {
                let day_rows = self.rows_until(day) - rows_before;
                for index in 0..day_rows.div_ceil(BATCH_ROWS).max(1) {
                    let rows = BATCH_ROWS.min(day_rows - index * BATCH_ROWS);
                    batches.push(Batch { client, day, index, rows_before, rows });
                    rows_before += rows;
                }
            }
        }
        batches
    }
}

/// Puts segments into files, on the calling thread, and keeps count.
struct Writer<'a> {
    options: &'a Options,
    packing: Packing,
    report: &'a mut dyn FnMut(Progress),
    progress: Progress,
    summary: Summary,
}

impl<'a> Writer<'a> {
    fn new(options: &'a Options, packing: Packing, report: &'a mut dyn FnMut(Progress)) -> Self {
        let clients = u64::from(options.clients);
        let progress = Progress {
            rows_total: clients * options.rows_until(options.days),
            files_total: clients * u64::from(options.days) + 2,
            ..Progress::default()
        };
        Writer { options, packing, report, progress, summary: Summary::default() }
    }

    fn write_lookups(&mut self) -> Result<(), Error> {
        let folder = self.options.out.join("static");
        create_folder(&folder)?;
        self.count_file(&write_text(&folder.join("sku_groups.csv"), &sku_groups_csv(self.options.skus))?);
        self.count_file(&write_text(&folder.join("us_zip_codes.csv"), &us_zip_codes_csv())?);
        Ok(())
    }

    /// Writes every file of every client. `segments` are those of `batches`.
    fn write_clients(&mut self, batches: &[Batch], segments: &mut Results<io::Result<Segment>>) -> Result<(), Error> {
        let mut previous = None;
        for batches_of_day in batches.chunk_by(Batch::is_of_same_day) {
            let first = &batches_of_day[0];
            let folder = self.options.out.join(format!("client_{}", first.client));
            if first.is_first_of_client() {
                create_folder(&folder)?;
                previous = None;
            }
            let extension = if self.options.plain { "csv" } else { "zip" };
            let path = folder.join(format!("transactions_day_{}.{extension}", first.day));
            let published =
                self.write_day(&path, previous.as_ref(), batches_of_day, segments).map_err(Error::writing(&path))?;
            self.count_file(&published);
            previous = Some(published);
        }
        Ok(())
    }

    /// Writes one file: what `previous` has, and the new rows.
    fn write_day(
        &mut self,
        path: &Path,
        previous: Option<&Published>,
        batches: &[Batch],
        segments: &mut Results<io::Result<Segment>>,
    ) -> io::Result<Published> {
        let day = batches[0].day;
        let rows = self.options.rows_until(day);
        let member = format!("transactions_day_{day}.csv");
        let mut draft = Draft::create(path, self.packing, &member, HEADER.len() as u64 + rows * MAX_ROW_BYTES)?;
        if let Some(previous) = previous {
            draft.append_published(previous)?;
        }
        for batch in batches {
            draft.append(&segments.next()??)?;
            self.summary.rows += batch.rows;
            self.progress.rows += batch.rows;
            (self.report)(self.progress);
        }
        self.summary.rows_in_files += rows;
        draft.publish()
    }

    fn count_file(&mut self, published: &Published) {
        self.summary.files += 1;
        self.summary.bytes += published.file_bytes();
        self.summary.text_bytes += published.text_bytes();
        self.progress.files = self.summary.files;
        self.progress.bytes = self.summary.bytes;
        (self.report)(self.progress);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::{self, File};
    use std::io::Read;

    use super::*;

    fn small(out: &Path) -> Options {
        Options {
            out: out.to_owned(),
            days: 3,
            base_rows: 2 * BATCH_ROWS + 5,
            daily_rows: 700,
            skus: 50,
            ..Options::default()
        }
    }

    fn quietly(options: &Options) -> Summary {
        generate(options, &mut |_| {}).unwrap()
    }

    /// All files below `folder`, by their path within it.
    fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(within) = folders.pop() {
            for entry in fs::read_dir(within).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(path).unwrap());
                }
            }
        }
        files
    }

    /// The text of a day's archive.
    fn unzip(out: &Path, client: u32, day: u32) -> String {
        let path = out.join(format!("client_{client}/transactions_day_{day}.zip"));
        let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
        assert_eq!(archive.len(), 1);
        let mut text = String::new();
        archive.by_name(&format!("transactions_day_{day}.csv")).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn threads_do_not_change_a_byte() {
        let outs = [1, 2, 3].map(|threads| {
            let out = tempfile::tempdir().unwrap();
            quietly(&Options { threads, ..small(out.path()) });
            files(out.path())
        });
        assert_eq!(outs[0].len(), 2 + 2 * 3);
        // Not assert_eq: nobody wants to read megabytes.
        assert!(outs[0] == outs[1] && outs[0] == outs[2]);
    }

    #[test]
    fn each_day_starts_with_the_day_before() {
        let out = tempfile::tempdir().unwrap();
        let options = small(out.path());
        let summary = quietly(&options);
        let mut text_bytes = 0;
        for client in 1..=2 {
            let mut before = String::from_utf8(HEADER.to_vec()).unwrap();
            for day in 1..=3 {
                let text = unzip(out.path(), client, day);
                assert_eq!(text.lines().count() as u64, 1 + options.rows_until(day));
                let new = text.strip_prefix(&before).unwrap();
                assert!(new.lines().all(|row| row.contains(&format!(",2025-10-0{day},SKU_"))));
                text_bytes += text.len() as u64;
                before = text;
            }
            let ids: Vec<&str> = before.lines().skip(1).map(|row| row.split_once(',').unwrap().0).collect();
            assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
        }
        let files = files(out.path());
        let lookups = files.iter().filter(|(path, _)| path.starts_with("static")).map(|(_, bytes)| bytes.len() as u64);
        assert_eq!(summary.text_bytes, text_bytes + lookups.sum::<u64>());
        assert_eq!(summary.bytes, files.values().map(|bytes| bytes.len() as u64).sum::<u64>());
        assert_eq!((summary.files, summary.rows), (8, 2 * options.rows_until(3)));
        assert_eq!(summary.rows_in_files, 2 * (1..=3).map(|day| options.rows_until(day)).sum::<u64>());
    }

    #[test]
    fn plain_files_hold_what_the_archives_hold() {
        let (zipped, plain) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        quietly(&small(zipped.path()));
        quietly(&Options { plain: true, ..small(plain.path()) });
        for (client, day) in [(1, 1), (1, 3), (2, 2)] {
            let path = plain.path().join(format!("client_{client}/transactions_day_{day}.csv"));
            assert!(fs::read_to_string(path).unwrap() == unzip(zipped.path(), client, day));
        }
    }

    #[test]
    fn clients_and_seeds_differ_but_a_longer_feed_begins_the_same() {
        let outs = [(42, 1), (43, 1), (42, 2)].map(|(seed, days)| {
            let out = tempfile::tempdir().unwrap();
            quietly(&Options { seed, days, base_rows: 100, ..small(out.path()) });
            (
                unzip(out.path(), 1, 1),
                unzip(out.path(), 2, 1).replace(
                    "
c2-", "
c1-",
                ),
            )
        });
        assert_ne!(outs[0].0, outs[0].1);
        assert_ne!(outs[0].0, outs[1].0);
        assert_eq!(outs[0], outs[2]);
    }

    #[test]
    fn days_without_rows() {
        let out = tempfile::tempdir().unwrap();
        quietly(&Options { base_rows: 0, daily_rows: 0, ..small(out.path()) });
        assert_eq!(unzip(out.path(), 2, 3).as_bytes(), HEADER);
        quietly(&Options { base_rows: 0, daily_rows: 1, ..small(out.path()) });
        assert_eq!(unzip(out.path(), 2, 3).lines().count(), 3);
    }

    #[test]
    fn progress_ends_at_its_totals() {
        let out = tempfile::tempdir().unwrap();
        let mut reports = Vec::new();
        let summary = generate(&small(out.path()), &mut |progress| reports.push(progress)).unwrap();
        assert!(reports.is_sorted_by_key(|progress| (progress.rows, progress.files, progress.bytes)));
        let last = reports.last().unwrap();
        assert_eq!((last.rows, last.files), (last.rows_total, last.files_total));
        assert_eq!((last.rows, last.files, last.bytes), (summary.rows, summary.files, summary.bytes));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let fine = Options::default();
        let far = NaiveDate::from_ymd_opt(9999, 12, 20).unwrap();
        for (bad, named) in [
            (Options { clients: 0, ..fine.clone() }, "clients"),
            (Options { days: 0, ..fine.clone() }, "days"),
            (Options { skus: 0, ..fine.clone() }, "skus"),
            (Options { level: 10, ..fine.clone() }, "level"),
            (Options { base_rows: u64::MAX, ..fine.clone() }, "base_rows"),
            (Options { daily_rows: MAX_CLIENT_ROWS, ..fine.clone() }, "daily_rows"),
            (Options { start_date: far, ..fine.clone() }, "start_date"),
            (Options { start_date: NaiveDate::MAX, ..fine.clone() }, "start_date"),
        ] {
            let Err(Error::Option { option, .. }) = bad.check() else { panic!("{bad:?} is accepted") };
            assert_eq!(option, named);
        }
        fine.check().unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let out = tempfile::tempdir().unwrap();
        fs::write(out.path().join("client_1"), "not a folder").unwrap();
        let error = generate(&small(out.path()), &mut |_| {}).unwrap_err();
        assert!(error.to_string().ends_with("client_1"), "{error}");
    }
}
