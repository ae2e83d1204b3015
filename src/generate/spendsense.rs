//! `generate spendsense`: people with their bank accounts and a bit more than a year of transactions. Says what stands
//! in the files; who has what is `households`' business.
//!
//! ```text
//! OUT/users.csv           user_id,name,created_on
//! OUT/accounts.csv        account_id,user_id,type,subtype,balance,credit_limit,apr,minimum_payment,last_payment,is_overdue
//! OUT/transactions.csv    transaction_id,account_id,date,amount,merchant_name,category
//! ```
//!
//! Accounts and transactions are in the order of the users, transactions of an account in that of their dates.

use std::ops::Range;
use std::path::PathBuf;

use chrono::{Datelike, Days, NaiveDate};

use super::files::{batches, create_folder, write};
use super::households::{Account, Card, Household, Households, Kind, MAX_ACCOUNT_DAYS, MAX_AGE_DAYS};
use super::names::{FIRST_NAMES, LAST_NAMES};
use super::random::Dice;
use super::text::{DateText, date_text, push_cents, push_padded};
use super::{Error, Progress, Summary};

const HEADERS: [&[u8]; 3] = [
    b"user_id,name,created_on\n",
    b"account_id,user_id,type,subtype,balance,credit_limit,apr,minimum_payment,last_payment,is_overdue\n",
    b"transaction_id,account_id,date,amount,merchant_name,category\n",
];

/// Users that are made together: about 1.2 MB of transactions.
const BATCH_USERS: u64 = 100;

/// About 120 TB of text, far beyond use.
const MAX_USERS: u64 = 10_000_000_000;

/// The default reference date. The compiler evaluates this, so it cannot fail later.
const REFERENCE_DATE: NaiveDate = NaiveDate::from_ymd_opt(2025, 11, 4).expect("a day of the calendar");

/// What to generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The folder to write into; made if missing. Files of the same names are replaced, others stay.
    pub out: PathBuf,
    /// How many users; about 200 transactions each.
    pub users: u64,
    /// No transaction is later.
    pub reference_date: NaiveDate,
    /// The same seed gives the same users, however many there are.
    pub seed: u64,
    /// Worker threads; 0 takes one for each core. The output is the same for any number.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { out: PathBuf::from("data"), users: 1_000, reference_date: REFERENCE_DATE, seed: 42, threads: 0 }
    }
}

/// Writes the three files. `progress` counts users, and is called after every batch and at the end.
pub fn generate(options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Summary, Error> {
    options.check()?;
    create_folder(&options.out)?;
    let people = People::new(options);
    let start = Progress { rows_total: options.users, files_total: 3, ..Progress::default() };
    let paths = ["users.csv", "accounts.csv", "transactions.csv"].map(|name| options.out.join(name));
    let push = |batch: &Range<u64>, texts: &mut [Vec<u8>; 3]| people.push_batch(texts, batch);
    let mut written = |batch: &Range<u64>| progress(Progress { rows: batch.end, ..start });
    let batches = batches(options.users, BATCH_USERS);
    let (files, rows) = write(&paths, &batches, options.threads, push, &mut written)?;
    let bytes = files.iter().map(|file| file.file_bytes()).sum();
    progress(Progress { rows: options.users, files: 3, bytes, ..start });
    Ok(Summary { files: 3, rows, rows_in_files: rows, bytes, text_bytes: bytes })
}

impl Options {
    fn check(&self) -> Result<(), Error> {
        if self.users > MAX_USERS {
            let reason = format!("must be at most {MAX_USERS}, not {}", self.users);
            return Err(Error::Option { option: "users", reason });
        }
        let first = self.reference_date.checked_sub_days(Days::new(MAX_ACCOUNT_DAYS.into()));
        if first.is_none_or(|first| first.year() < 0) || self.reference_date.year() > 9999 {
            let reason = format!("{} is not within the years 0 to 9999, with ten years before it", self.reference_date);
            return Err(Error::Option { option: "reference_date", reason });
        }
        Ok(())
    }
}

/// Everything that a row draws from. Built once, shared by all threads.
struct People {
    seed: u64,
    households: Households,
    /// By days before the reference date.
    calendar: Vec<DateText>,
}

impl People {
    fn new(options: &Options) -> Self {
        let before = |age: u32| options.reference_date - Days::new(age.into());
        People {
            seed: options.seed,
            households: Households::new(options.seed),
            calendar: (0..=MAX_ACCOUNT_DAYS.max(MAX_AGE_DAYS)).map(|age| date_text(before(age))).collect(),
        }
    }

    /// Appends the users of a batch with all that is theirs, and in front of the first of them, the headers. Returns how
    /// many rows there are in the three texts.
    fn push_batch(&self, [users, accounts, transactions]: &mut [Vec<u8>; 3], batch: &Range<u64>) -> u64 {
        if batch.start == 0 {
            for (text, header) in [&mut *users, accounts, transactions].into_iter().zip(HEADERS) {
                text.extend_from_slice(header);
            }
        }
        let mut rows = 0;
        for user in batch.clone() {
            let household = self.households.draw(user);
            self.push_user(users, user, &household);
            for (number, account) in (1u8..).zip(&household.accounts) {
                push_account(accounts, user, number, account);
                self.push_transactions(transactions, user, number, account);
                rows += 1 + account.events.len() as u64;
            }
            rows += 1;
        }
        rows
    }

    fn push_user(&self, out: &mut Vec<u8>, user: u64, household: &Household) {
        // Two steps: a stream of its own beside the household's.
        let mut dice = Dice::new(self.seed, &[user, 0]);
        push_user_id(out, user);
        out.push(b',');
        push_capitalised(out, dice.pick(&FIRST_NAMES).as_bytes());
        out.push(b' ');
        push_capitalised(out, dice.pick(&LAST_NAMES).as_bytes());
        out.push(b',');
        out.extend_from_slice(&self.calendar[household.days as usize]);
        out.push(b'\n');
    }

    fn push_transactions(&self, out: &mut Vec<u8>, user: u64, number: u8, account: &Account) {
        let mut id = Vec::with_capacity(16);
        push_account_id(&mut id, user, number);
        for (count, event) in (1u64..).zip(&account.events) {
            out.push(b'T');
            out.extend_from_slice(&id[1..]);
            push_padded(out, count, 3);
            out.push(b',');
            out.extend_from_slice(&id);
            out.push(b',');
            out.extend_from_slice(&self.calendar[event.age as usize]);
            out.push(b',');
            push_signed_cents(out, event.cents.into());
            let (name, category) = event.party;
            out.push(b',');
            push_field(out, name);
            out.push(b',');
            out.extend_from_slice(category.as_bytes());
            out.push(b'\n');
        }
    }
}

fn push_account(out: &mut Vec<u8>, user: u64, number: u8, account: &Account) {
    push_account_id(out, user, number);
    out.push(b',');
    push_user_id(out, user);
    out.push(b',');
    let (kind, subtype): (&[u8], &[u8]) = match account.kind {
        Kind::Checking => (b"depository", b"checking"),
        Kind::Savings => (b"depository", b"savings"),
        Kind::MoneyMarket => (b"depository", b"money_market"),
        Kind::Cd => (b"depository", b"cd"),
        Kind::Hsa => (b"depository", b"hsa"),
        Kind::CreditCard => (b"credit", b"credit_card"),
    };
    for bytes in [kind, b",", subtype, b","] {
        out.extend_from_slice(bytes);
    }
    push_signed_cents(out, account.balance_cents);
    match &account.card {
        None => out.extend_from_slice(b",,,,,"),
        Some(Card { limit_cents, apr, minimum_cents, last_payment_cents, is_overdue }) => {
            for hundredths in [limit_cents, apr, minimum_cents, last_payment_cents] {
                out.push(b',');
                if let Some(hundredths) = hundredths {
                    push_cents(out, *hundredths);
                }
            }
            out.extend_from_slice(if *is_overdue { b",true" } else { b",false" });
        }
    }
    out.push(b'\n');
}

/// `U000123`
fn push_user_id(out: &mut Vec<u8>, user: u64) {
    out.push(b'U');
    push_padded(out, user + 1, 6);
}

/// `A0001232`: the second of a user.
fn push_account_id(out: &mut Vec<u8>, user: u64, number: u8) {
    out.push(b'A');
    push_padded(out, user + 1, 6);
    out.push(b'0' + number);
}

fn push_signed_cents(out: &mut Vec<u8>, cents: i64) {
    if cents < 0 {
        out.push(b'-');
    }
    push_padded(out, cents.unsigned_abs() / 100, 1);
    out.push(b'.');
    push_padded(out, cents.unsigned_abs() % 100, 2);
}

fn push_capitalised(out: &mut Vec<u8>, name: &[u8]) {
    let start = out.len();
    out.extend_from_slice(name);
    out[start..].iter_mut().take(1).for_each(|first| first.make_ascii_uppercase());
}

/// Appends a text, in quotes if it needs them.
fn push_field(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| matches!(byte, b',' | b'"')) {
        out.push(b'"');
        out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::fs;
    use std::path::Path;

    use super::*;

    fn make(options: &Options) -> [String; 3] {
        let out = tempfile::tempdir().unwrap();
        let summary = generate(&Options { out: out.path().to_owned(), ..options.clone() }, &mut |_| {}).unwrap();
        let texts = ["users.csv", "accounts.csv", "transactions.csv"]
            .map(|name| fs::read_to_string(out.path().join(Path::new(name))).unwrap());
        let rows: usize = texts.iter().map(|text| text.lines().count() - 1).sum();
        let bytes: usize = texts.iter().map(String::len).sum();
        assert_eq!((summary.files, summary.rows, summary.bytes), (3, rows as u64, bytes as u64));
        texts
    }

    fn options(users: u64) -> Options {
        Options { users, ..Options::default() }
    }

    fn records(text: &str) -> Vec<csv::StringRecord> {
        csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap).collect()
    }

    #[test]
    fn the_files_belong_together() {
        let [users, accounts, transactions] = make(&options(500)).each_ref().map(|text| records(text));
        assert_eq!((users.len(), &users[0][0], &users[499][0]), (500, "U000001", "U000500"));
        let created: HashMap<&str, &str> = users.iter().map(|user| (&user[0], &user[2])).collect();
        let owners: HashMap<&str, &str> = accounts.iter().map(|account| (&account[0], &account[1])).collect();
        assert_eq!(owners.len(), accounts.len());
        assert_eq!(owners.values().collect::<HashSet<_>>().len(), 500);
        for account in &accounts {
            assert_eq!(&account[2] == "credit", &account[3] == "credit_card");
            assert_eq!(account[9].is_empty(), &account[2] == "depository");
        }
        let ids: HashSet<&str> = transactions.iter().map(|transaction| &transaction[0]).collect();
        assert_eq!(ids.len(), transactions.len());
        for transaction in &transactions {
            let date: NaiveDate = transaction[2].parse().unwrap();
            assert!(transaction[2] >= *created[owners[&transaction[1]]], "{transaction:?}");
            assert!(date <= REFERENCE_DATE && (REFERENCE_DATE - date).num_days() <= MAX_AGE_DAYS.into());
            let (whole, part) = transaction[3].trim_start_matches('-').split_once('.').unwrap();
            assert!(whole.parse::<u32>().is_ok() && part.len() == 2, "{transaction:?}");
        }
        let names: HashSet<&str> = transactions.iter().map(|transaction| &transaction[4]).collect();
        assert!(["Savings Transfer", "Pizza Uno, Inc.", "Inn \"Zur Post\""].iter().all(|name| names.contains(name)));
        let each = transactions.len() / 500;
        assert!((180..230).contains(&each), "{each} transactions a user");
    }

    #[test]
    fn the_same_options_give_the_same_bytes_on_any_number_of_threads() {
        let one = make(&Options { threads: 1, ..options(3 * BATCH_USERS + 7) });
        for threads in [2, 3, 0] {
            assert!(make(&Options { threads, ..options(3 * BATCH_USERS + 7) }) == one, "{threads}");
        }
        assert!(make(&Options { seed: 43, ..options(3 * BATCH_USERS + 7) }) != one);
        let fewer = make(&options(120));
        assert!(one.iter().zip(&fewer).all(|(more, fewer)| more.starts_with(fewer)));
    }

    #[test]
    fn the_reference_date_moves_all_dates() {
        let reference_date = NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
        let [.., transactions] = make(&Options { reference_date, ..options(50) });
        let latest = records(&transactions).iter().map(|transaction| transaction[2].to_owned()).max();
        assert_eq!(latest.as_deref(), Some("2024-02-29"));
        assert_eq!(make(&options(0)).map(String::into_bytes), HEADERS.map(<[u8]>::to_vec));
    }

    #[test]
    fn progress_ends_at_its_totals() {
        let out = tempfile::tempdir().unwrap();
        let options = Options { out: out.path().join("new/folder"), ..options(BATCH_USERS + 1) };
        let mut reports = Vec::new();
        let summary = generate(&options, &mut |progress| reports.push(progress)).unwrap();
        let last = reports[2];
        assert_eq!((reports.len(), last.rows, last.rows_total), (3, 101, 101));
        assert_eq!((last.files, last.files_total, last.bytes), (3, 3, summary.bytes));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let ancient = NaiveDate::from_ymd_opt(9, 1, 1).unwrap();
        for (bad, named) in [
            (options(MAX_USERS + 1), "users"),
            (Options { reference_date: ancient, ..options(1) }, "reference_date"),
            (Options { reference_date: NaiveDate::MAX, ..options(1) }, "reference_date"),
            (Options { reference_date: NaiveDate::MIN, ..options(1) }, "reference_date"),
        ] {
            let Err(Error::Option { option, .. }) = bad.check() else { panic!("{bad:?} is accepted") };
            assert_eq!(option, named, "{bad:?}");
        }
    }
}
