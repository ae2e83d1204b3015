//! What the people of the spendsense feed earn, own and buy, drawn user by user, as numbers. Not text: `spendsense`
//! writes it.
//!
//! Money is drawn backwards: a household has a level of spending, and what it saves, owes and earns follows as months or
//! shares of it, so that every kind of household meets the signals that it is meant to show.

use super::random::{Dice, WeightedChoice};

/// Transactions are at most this many days before the reference date.
pub(super) const MAX_AGE_DAYS: u32 = 400;
/// Accounts are at most this much older than that.
pub(super) const MAX_ACCOUNT_DAYS: u32 = 3_650;

const MIN_EVENTS: u32 = 50;
const MAX_EVENTS: u32 = 200;
/// Of those, as many at least that do not come every week or month.
const MIN_PURCHASES: u32 = 10;

/// A user's accounts.
#[derive(Debug, PartialEq)]
pub(super) struct Household {
    /// For how many days before the reference date there are accounts.
    pub(super) days: u32,
    /// Two to five.
    pub(super) accounts: Vec<Account>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Account {
    pub(super) kind: Kind,
    /// What is in it; of a card, what is owed.
    pub(super) balance_cents: i64,
    pub(super) card: Option<Card>,
    /// The oldest first; 50 to 200.
    pub(super) events: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Checking,
    Savings,
    MoneyMarket,
    Cd,
    Hsa,
    CreditCard,
}

/// The terms of a credit card; `None` is not known.
#[derive(Debug, PartialEq)]
pub(super) struct Card {
    pub(super) limit_cents: Option<u32>,
    /// In hundredths of a percent.
    pub(super) apr: Option<u32>,
    pub(super) minimum_cents: Option<u32>,
    pub(super) last_payment_cents: Option<u32>,
    pub(super) is_overdue: bool,
}

/// A transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Days before the reference date.
    pub(super) age: u32,
    /// Below zero where money is spent.
    pub(super) cents: i32,
    pub(super) party: Party,
}

/// Who the money comes from or goes to: a name and a category.
pub(super) type Party = (&'static str, &'static str);

/// How a household gets its money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Income {
    Weekly,
    Biweekly,
    Monthly,
    Gig,
    Jobless,
}

/// A kind of household: ranges that its figures are drawn from, both ends included.
struct Habits {
    /// Percent of all users.
    weight: f64,
    /// Accounts beside the first, which is for checking; what else there is is drawn.
    needs: &'static [Kind],
    incomes: &'static [Income],
    /// Dollars a month.
    spending: (u32, u32),
    /// Tenths of a month's spending.
    saved: (u32, u32),
    /// Percent of the cards' limits.
    used: (u32, u32),
    /// Dollars.
    limits: (u32, u32),
    monthly_subscriptions: (u32, u32),
    weekly_subscriptions: (u32, u32),
    /// Days of history.
    days: (u32, u32),
}

const LONG: (u32, u32) = (MAX_AGE_DAYS, MAX_ACCOUNT_DAYS);
const PAID: &[Income] = &[Income::Biweekly, Income::Biweekly, Income::Biweekly, Income::Weekly];

#[rustfmt::skip]
const HABITS: [Habits; 7] = [
    // Owe much.
    Habits { weight: 24.0, needs: &[Kind::CreditCard], incomes: &[Income::Biweekly, Income::Monthly, Income::Gig], spending: (1_200, 4_500),
        saved: (0, 20), used: (50, 104), limits: (2_000, 12_000), monthly_subscriptions: (1, 5), weekly_subscriptions: (0, 1), days: LONG },
    // Have just begun.
    Habits { weight: 8.0, needs: &[], incomes: PAID, spending: (600, 2_000),
        saved: (0, 25), used: (0, 45), limits: (500, 2_500), monthly_subscriptions: (1, 5), weekly_subscriptions: (0, 1), days: (90, 210) },
    // Have little credit.
    Habits { weight: 6.0, needs: &[Kind::CreditCard], incomes: PAID, spending: (800, 2_500),
        saved: (0, 40), used: (0, 45), limits: (500, 1_400), monthly_subscriptions: (1, 4), weekly_subscriptions: (0, 1), days: LONG },
    // Are paid now and then.
    Habits { weight: 16.0, needs: &[], incomes: &[Income::Gig, Income::Gig, Income::Monthly, Income::Jobless], spending: (900, 3_500),
        saved: (0, 60), used: (0, 45), limits: (3_500, 15_000), monthly_subscriptions: (0, 5), weekly_subscriptions: (0, 1), days: LONG },
    // Save little.
    Habits { weight: 22.0, needs: &[Kind::Savings], incomes: PAID, spending: (1_500, 4_500),
        saved: (0, 24), used: (0, 45), limits: (3_500, 15_000), monthly_subscriptions: (1, 5), weekly_subscriptions: (0, 1), days: LONG },
    // Subscribe to everything.
    Habits { weight: 9.0, needs: &[Kind::CreditCard, Kind::Savings], incomes: PAID, spending: (350, 700),
        saved: (38, 90), used: (15, 45), limits: (3_500, 15_000), monthly_subscriptions: (7, 10), weekly_subscriptions: (1, 2), days: LONG },
    // Save much and owe little, or some of both.
    Habits { weight: 15.0, needs: &[Kind::CreditCard, Kind::Savings], incomes: PAID, spending: (1_800, 5_500),
        saved: (36, 200), used: (0, 30), limits: (3_500, 20_000), monthly_subscriptions: (0, 3), weekly_subscriptions: (0, 1), days: LONG },
];

/// How many accounts there are beside the first, in percent of the users.
const MORE_ACCOUNTS: [(u32, f64); 4] = [(1, 70.0), (2, 21.0), (3, 6.0), (4, 3.0)];
/// What they are when nothing else is needed.
const KINDS: [(Kind, f64); 6] = [
    (Kind::Checking, 8.0),
    (Kind::Savings, 30.0),
    (Kind::MoneyMarket, 8.0),
    (Kind::Cd, 6.0),
    (Kind::Hsa, 8.0),
    (Kind::CreditCard, 40.0),
];

/// Where money is spent as it comes: any day, any amount.
const SHOPS: [Party; 20] = [
    ("Corner Market", "GROCERIES"),
    ("Green Basket", "GROCERIES"),
    ("Save Rite", "GROCERIES"),
    ("Bakery Nord", "GROCERIES"),
    ("Noodle House", "RESTAURANT"),
    ("Taco Stand", "RESTAURANT"),
    ("Coffee Lab", "RESTAURANT"),
    ("Pizza Uno, Inc.", "RESTAURANT"),
    ("Fuel Point", "TRANSPORT"),
    ("City Transit", "TRANSPORT"),
    ("Ride Now", "TRANSPORT"),
    ("House Depot 12", "HOUSEHOLD"),
    ("Nook & Lamp", "HOUSEHOLD"),
    ("Big Box", "SHOPPING"),
    ("Shoe Tree", "SHOPPING"),
    ("Book Nook", "SHOPPING"),
    ("Drug Mart", "HEALTH"),
    ("Dr. Okafor", "HEALTH"),
    ("Sky Air", "TRAVEL"),
    ("Inn \"Zur Post\"", "TRAVEL"),
];
/// Every month, but never the same amount.
const UTILITIES: [Party; 2] = [("Metro Power", "UTILITIES"), ("City Water", "UTILITIES")];

/// What is charged every month, and its price in cents.
const MONTHLY: [(Party, u32); 14] = [
    (("Streamline", "SUBSCRIPTION"), 1_549),
    (("Tunebox", "SUBSCRIPTION"), 1_099),
    (("Cloud Attic", "SUBSCRIPTION"), 299),
    (("Fit Club", "SUBSCRIPTION"), 3_900),
    (("Daily Herald", "SUBSCRIPTION"), 1_700),
    (("Game Vault", "SUBSCRIPTION"), 1_499),
    (("Page Turner", "SUBSCRIPTION"), 999),
    (("Film Shelf", "SUBSCRIPTION"), 799),
    (("Meal Crate", "SUBSCRIPTION"), 4_900),
    (("Phone Co", "SUBSCRIPTION"), 3_500),
    (("Language Hut", "SUBSCRIPTION"), 1_299),
    (("Pet Parcel", "SUBSCRIPTION"), 2_900),
    (("Razor Post", "SUBSCRIPTION"), 900),
    (("Photo Safe", "SUBSCRIPTION"), 499),
];
const WEEKLY: [(Party, u32); 4] = [
    (("Veg Box", "SUBSCRIPTION"), 1_800),
    (("Yoga Loft", "SUBSCRIPTION"), 1_200),
    (("Laundry Run", "SUBSCRIPTION"), 1_500),
    (("Sunday Papers", "SUBSCRIPTION"), 400),
];
/// One subscription in so many began or was cancelled within the history.
const PARTIAL_EVERY: u32 = 4;
/// One in so many got dearer within the history.
const DEARER_EVERY: u32 = 2;

const EMPLOYERS: [Party; 6] = [
    ("Payroll Acme", "INCOME"),
    ("Payroll Globex", "INCOME"),
    ("Payroll Initech", "INCOME"),
    ("Payroll City Hall", "INCOME"),
    ("Payroll St. Mary", "INCOME"),
    ("Payroll Umbrella", "INCOME"),
];
const CLIENTS: [Party; 4] =
    [("Gigster", "INCOME"), ("Courier App", "INCOME"), ("Studio Nine", "INCOME"), ("Freelance Hub", "INCOME")];
const BENEFITS: Party = ("County Aid", "BENEFIT");
const TAX_REFUND: Party = ("Treasury", "REFUND");
const REFUND: Party = ("Big Box", "REFUND");
const INTEREST: Party = ("Interest", "INTEREST");
const DEPOSIT: Party = ("Cash Deposit", "DEPOSIT");
const WITHDRAWAL: Party = ("Cash Machine", "WITHDRAWAL");
const SAVINGS_TRANSFER: Party = ("Savings Transfer", "TRANSFER");

/// Draws households. Built once, shared by all threads.
pub(super) struct Households {
    seed: u64,
    habits: WeightedChoice,
    more_accounts: WeightedChoice,
    kind: WeightedChoice,
}

impl Households {
    pub(super) fn new(seed: u64) -> Self {
        Households {
            seed,
            habits: WeightedChoice::new(&HABITS.map(|habits| habits.weight)),
            more_accounts: WeightedChoice::new(&MORE_ACCOUNTS.map(|(_, percent)| percent)),
            kind: WeightedChoice::new(&KINDS.map(|(_, percent)| percent)),
        }
    }

    /// The household of a user: it depends on the seed and the user's number, and on nothing else.
    pub(super) fn draw(&self, user: u64) -> Household {
        let dice = &mut Dice::new(self.seed, &[user]);
        let habits = &HABITS[self.habits.draw(dice)];
        let days = dice.between(habits.days.0, habits.days.1);
        let mut household = Household { days, accounts: self.open_accounts(dice, habits) };
        let spending = 100 * dice.between(habits.spending.0, habits.spending.1);
        let saved = dice.between(habits.saved.0, habits.saved.1);
        household.fill_savings(u64::from(spending) * u64::from(saved) / 10);
        household.draw_cards(dice, habits);

        let history = Span { first: days.min(MAX_AGE_DAYS), last: 0 };
        let income = *dice.pick(habits.incomes);
        household.accounts[0].balance_cents = i64::from(dice.below(2 * spending)) - i64::from(spending / 20);
        push_income(&mut household.accounts[0].events, dice, income, spending, history);
        push_transfers(&mut household.accounts[0].events, dice, spending, history);
        household.push_subscriptions(dice, habits, history);
        household.push_bills(dice, history);
        household.push_purchases(dice, spending, history);
        for account in &mut household.accounts {
            account.events.sort_by_key(|event| std::cmp::Reverse(event.age));
        }
        household
    }

    fn open_accounts(&self, dice: &mut Dice, habits: &Habits) -> Vec<Account> {
        let more = (MORE_ACCOUNTS[self.more_accounts.draw(dice)].0 as usize).max(habits.needs.len());
        let drawn = std::iter::repeat_with(|| KINDS[self.kind.draw(dice)].0);
        let kinds = [Kind::Checking].into_iter().chain(habits.needs.iter().copied()).chain(drawn).take(1 + more);
        kinds.map(|kind| Account { kind, balance_cents: 0, card: None, events: Vec::new() }).collect()
    }
}

/// Days from `first` down to `last`, both before the reference date and included.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: u32,
    last: u32,
}

impl Span {
    fn draw(self, dice: &mut Dice) -> u32 {
        dice.between(self.last, self.first)
    }

    /// Days that are `gap` apart, give or take `jitter`, starting on any of the first `gap` days.
    fn every(self, dice: &mut Dice, gap: u32, jitter: u32) -> Vec<u32> {
        let start = self.first.saturating_sub(dice.below(gap));
        let at = |number: u32| start.checked_sub(number * gap).filter(|age| *age >= self.last);
        let mut late = |age: u32| age.saturating_sub(dice.below(jitter + 1)).max(self.last);
        (0..).map_while(at).map(&mut late).collect()
    }
}

impl Household {
    fn accounts_of(&mut self, of: impl Fn(Kind) -> bool) -> Vec<&mut Account> {
        self.accounts.iter_mut().filter(|account| of(account.kind)).collect()
    }

    /// Puts savings into the accounts for it, if there are any.
    fn fill_savings(&mut self, cents: u64) {
        let mut accounts = self.accounts_of(Kind::is_savings);
        let share = cents / accounts.len().max(1) as u64;
        for account in &mut accounts {
            account.balance_cents = share as i64;
        }
    }

    fn draw_cards(&mut self, dice: &mut Dice, habits: &Habits) {
        for account in self.accounts_of(|kind| kind == Kind::CreditCard) {
            // Whole hundreds of dollars.
            let limit = 10_000 * dice.between(habits.limits.0 / 100, habits.limits.1 / 100);
            let owed = (u64::from(limit) * u64::from(dice.between(habits.used.0, habits.used.1)) / 100) as u32;
            let owed = owed.saturating_sub(dice.below(100));
            let minimum = if owed == 0 { 0 } else { (owed / 50).max(2_500) };
            let last_payment = match dice.below(10) {
                0 => None,
                1..=3 => Some(minimum),
                4 => Some(minimum + minimum / 20 + dice.below(3)),
                _ => Some(minimum + dice.below(owed.max(1))),
            };
            let has_limit = dice.below(50) > 0;
            account.balance_cents = i64::from(owed);
            account.card = Some(Card {
                // Some limits are not known, and some are none.
                limit_cents: if has_limit { Some(limit) } else { Some(0).filter(|_| dice.below(2) == 0) },
                apr: Some(dice.between(1_199, 2_999)).filter(|_| dice.below(10) > 0),
                minimum_cents: Some(minimum).filter(|_| has_limit),
                last_payment_cents: last_payment,
                is_overdue: dice.below(100) < habits.used.1 / 5,
            });
        }
    }

    /// Adds what is charged every month or week, to the accounts that one pays from, in turn.
    fn push_subscriptions(&mut self, dice: &mut Dice, habits: &Habits, history: Span) {
        let mut accounts = self.accounts_of(Kind::is_paid_from);
        let mut turn = 0;
        let (monthly, weekly) = (habits.monthly_subscriptions, habits.weekly_subscriptions);
        let offers = [(&MONTHLY[..], monthly, 30, 2), (&WEEKLY[..], weekly, 7, 1)];
        for (offers, (least, most), gap, jitter) in offers {
            let mut choice: Vec<_> = offers.to_vec();
            dice.shuffle(&mut choice);
            choice.truncate(dice.between(least, most) as usize);
            for (party, cents) in choice {
                let span = match dice.below(2 * PARTIAL_EVERY) {
                    0 => Span { first: history.draw(dice), ..history },
                    1 => Span { last: history.draw(dice), ..history },
                    _ => history,
                };
                let dearer_from = if dice.below(DEARER_EVERY) == 0 { history.draw(dice) } else { 0 };
                let rise = cents * dice.between(5, 20) / 100;
                let account = turn % accounts.len();
                turn += 1;
                for age in span.every(dice, gap, jitter) {
                    let price = if age < dearer_from { cents + rise } else { cents };
                    accounts[account].push_regular(Event { age, cents: -(price as i32), party });
                }
            }
        }
    }

    /// Adds what is charged every month, but never the same amount.
    fn push_bills(&mut self, dice: &mut Dice, history: Span) {
        for account in self.accounts_of(|kind| kind == Kind::Checking) {
            let party = *dice.pick(&UTILITIES);
            for age in history.every(dice, 30, 3) {
                account.push_regular(Event { age, cents: -(dice.between(2_000, 14_000) as i32), party });
            }
        }
    }

    /// Fills the accounts up to the number of transactions that they are to have: purchases where one pays from them,
    /// small sums elsewhere.
    fn push_purchases(&mut self, dice: &mut Dice, spending: u32, history: Span) {
        let missing: Vec<u32> = self.accounts.iter().map(|account| account.missing_events(dice)).collect();
        let accounts = || self.accounts.iter().zip(&missing);
        let purchases: u32 =
            accounts().filter(|(account, _)| account.kind.is_paid_from()).map(|(_, missing)| *missing).sum();
        let usual = u64::from(spending) * u64::from(history.first) / 30 / u64::from(purchases.max(1));
        let usual = usual.max(100) as u32;
        for (account, missing) in self.accounts.iter_mut().zip(missing) {
            let pays = account.kind.is_paid_from();
            for _ in 0..missing {
                let age = history.draw(dice);
                let (cents, party) = match dice.below(40) {
                    0 if pays => (dice.between(500, 6_000) as i32, REFUND),
                    _ if pays => (-(dice.between(usual / 5, usual * 9 / 5) as i32), *dice.pick(&SHOPS)),
                    0..15 => (dice.between(1, 900) as i32, INTEREST),
                    15..38 => (dice.between(500, 20_000) as i32, DEPOSIT),
                    _ => (-(dice.between(2_000, 10_000) as i32), WITHDRAWAL),
                };
                account.events.push(Event { age, cents, party });
            }
        }
    }
}

impl Account {
    fn push_regular(&mut self, event: Event) {
        if self.events.len() < (MAX_EVENTS - MIN_PURCHASES) as usize {
            self.events.push(event);
        }
    }

    /// How many more transactions the account gets: many have few, and few have many.
    fn missing_events(&self, dice: &mut Dice) -> u32 {
        let most = dice.between(MIN_EVENTS, MAX_EVENTS);
        let most = dice.between(MIN_EVENTS, most);
        let events = dice.between(MIN_EVENTS, most);
        let regular = self.events.len() as u32;
        // No account has regular payments alone.
        events.max(regular + MIN_PURCHASES).min(MAX_EVENTS) - regular
    }
}

impl Kind {
    fn is_savings(self) -> bool {
        matches!(self, Kind::Savings | Kind::MoneyMarket | Kind::Cd | Kind::Hsa)
    }

    fn is_paid_from(self) -> bool {
        matches!(self, Kind::Checking | Kind::CreditCard)
    }
}

/// Adds what a household earns: a little more than it spends.
fn push_income(events: &mut Vec<Event>, dice: &mut Dice, income: Income, spending: u32, history: Span) {
    let monthly = spending + spending / 100 * dice.between(5, 40);
    let mut push = |age, cents: u32, party| events.push(Event { age, cents: cents as i32, party });
    match income {
        Income::Weekly | Income::Biweekly | Income::Monthly => {
            let (gap, jitter) = match income {
                Income::Weekly => (7, 0),
                Income::Biweekly => (14, 1),
                _ => (30, 1),
            };
            let employer = *dice.pick(&EMPLOYERS);
            for age in history.every(dice, gap, jitter) {
                let pay = monthly * gap / 30;
                push(age, pay + dice.below(pay / 20 + 1), employer);
            }
        }
        Income::Gig => {
            // Some work every week, some every other month.
            let longest = dice.between(20, 110);
            let mut age = history.first;
            while let Some(next) = age.checked_sub(dice.between(3, longest)) {
                age = next;
                push(age, dice.between(monthly / 4, monthly * 2), *dice.pick(&CLIENTS));
            }
        }
        Income::Jobless => {
            for age in history.every(dice, 30, 4) {
                push(age, dice.between(20_000, 49_999), BENEFITS);
            }
        }
    }
    if dice.below(10) == 0 {
        push(history.draw(dice), dice.between(30_000, 250_000), TAX_REFUND);
    }
}

/// Adds what is put aside, and now and then taken back.
fn push_transfers(events: &mut Vec<Event>, dice: &mut Dice, spending: u32, history: Span) {
    if dice.below(3) == 0 {
        return;
    }
    let usual = spending / 100 * dice.between(1, 20);
    for age in history.every(dice, 30, 5) {
        let is_taken_back = dice.below(12) == 0;
        let cents = dice.between(usual / 2, usual * 3 / 2) as i32;
        events.push(Event { age, cents: if is_taken_back { cents } else { -cents }, party: SAVINGS_TRANSFER });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn draw(users: u64) -> Vec<Household> {
        let households = Households::new(1);
        (0..users).map(|user| households.draw(user)).collect()
    }

    #[test]
    fn accounts_and_transactions_keep_to_their_bounds() {
        let (mut accounts_seen, mut fewest, mut most) = (HashSet::new(), MAX_EVENTS, 0);
        for household in draw(3_000) {
            accounts_seen.insert(household.accounts.len());
            assert_eq!(household.accounts[0].kind, Kind::Checking);
            for account in &household.accounts {
                let count = account.events.len() as u32;
                (fewest, most) = (fewest.min(count), most.max(count));
                assert!(account.events.is_sorted_by_key(|event| std::cmp::Reverse(event.age)));
                assert!(account.events.iter().all(|event| event.age <= household.days.min(MAX_AGE_DAYS)));
                assert!(account.events.iter().all(|event| event.cents != 0));
                assert_eq!(account.card.is_some(), account.kind == Kind::CreditCard);
            }
        }
        assert_eq!(accounts_seen, HashSet::from([2, 3, 4, 5]));
        assert!(
            (MIN_EVENTS..MIN_EVENTS + 5).contains(&fewest) && (190..=MAX_EVENTS).contains(&most),
            "{fewest} {most}"
        );
    }

    #[test]
    fn a_household_depends_on_its_number_alone() {
        let households = Households::new(1);
        let later = households.draw(7);
        assert_eq!(households.draw(7), later);
        assert_ne!(households.draw(8), later);
        assert_ne!(Households::new(2).draw(7), later);
    }

    #[test]
    fn cards_are_of_every_kind() {
        let households = draw(3_000);
        let cards: Vec<_> = households
            .iter()
            .flat_map(|household| &household.accounts)
            .filter_map(|account| account.card.as_ref().map(|card| (account.balance_cents, card)))
            .collect();
        let share = |holds: &dyn Fn(i64, &Card) -> bool| {
            cards.iter().filter(|(owed, card)| holds(*owed, card)).count() as f64 / cards.len() as f64
        };
        let used = |owed: i64, card: &Card| owed as f64 / f64::from(card.limit_cents.unwrap_or(0));
        for (what, share) in [
            ("no limit", share(&|_, card| card.limit_cents == Some(0))),
            ("unknown limit", share(&|_, card| card.limit_cents.is_none())),
            ("empty", share(&|owed, _| owed == 0)),
            ("maxed out", share(&|owed, card| card.limit_cents > Some(0) && used(owed, card) > 1.0)),
            ("no rate", share(&|_, card| card.apr.is_none())),
            ("never paid", share(&|_, card| card.last_payment_cents.is_none())),
            ("minimum paid", share(&|_, card| card.last_payment_cents == card.minimum_cents)),
            ("overdue", share(&|_, card| card.is_overdue)),
        ] {
            assert!((0.002..0.5).contains(&share), "{what}: {share}");
        }
        let high = share(&|owed, card| card.limit_cents > Some(0) && used(owed, card) >= 0.5);
        assert!((0.3..0.7).contains(&high), "{high}");
    }

    #[test]
    fn what_comes_regularly_is_apart_by_its_gap() {
        let span = Span { first: 400, last: 0 };
        for (gap, jitter, seed) in [(7, 1, 1), (14, 1, 2), (30, 2, 3), (30, 0, 4)] {
            let dice = &mut Dice::new(seed, &[]);
            let ages = span.every(dice, gap, jitter);
            assert!(ages[0] > 400 - gap - jitter && ages.last().is_some_and(|age| *age < gap));
            assert!(
                ages.windows(2).all(|pair| (gap - jitter..=gap + jitter).contains(&(pair[0] - pair[1]))),
                "{ages:?}"
            );
        }
        assert_eq!(Span { first: 3, last: 3 }.every(&mut Dice::new(1, &[]), 30, 5).into_iter().max(), None);
    }
}
