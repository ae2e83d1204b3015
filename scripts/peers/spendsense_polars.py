"""The spendsense pipeline in polars: the signals of every user in two windows, and the personas that follow from them.

Money is whole cents, and every quotient is of two integers where it can be, so that doubles are as exact as they get.

spendsense_polars.py FOLDER OUT [--reference-date DATE]
"""

import argparse
import datetime
import json
import sqlite3
from pathlib import Path

import polars as pl

WINDOWS = [30, 180]
# Recurring merchants and the rhythm of pay are looked for in the longer one.
LONG = 180
TRANSFER = "Savings Transfer"

# Lowest number wins. Each: its name, when it matches, and the signals that it looks at.
PERSONAS = [
    ("high_utilization", pl.col("credit_max_utilization_pct") >= 50, ["credit_max_utilization_pct"]),
    (
        "young_professional",
        (pl.col("transaction_history_days") < 200) | (pl.col("credit_total_limits") < 3000),
        ["transaction_history_days", "credit_total_limits"],
    ),
    (
        "irregular_income",
        (pl.col("income_median_pay_gap_days") > 45) | (pl.col("income_payroll_count_30d") < 2),
        ["income_median_pay_gap_days", "income_payroll_count_30d"],
    ),
    ("low_savings", pl.col("savings_emergency_fund_months") < 3, ["savings_emergency_fund_months"]),
    ("subscription_heavy", pl.col("subscription_share_pct") >= 20, ["subscription_share_pct"]),
    (
        "cash_flow_optimizer",
        (pl.col("savings_emergency_fund_months") >= 6) & (pl.col("credit_max_utilization_pct") < 10),
        ["savings_emergency_fund_months", "credit_max_utilization_pct"],
    ),
]


def cents(name: str) -> pl.Expr:
    """Money with two decimals, in whole cents."""
    return (pl.col(name) * 100).round().cast(pl.Int64)


def steady(median: pl.Expr, least: int, most: int) -> pl.Expr:
    return (median >= least) & (median <= most)


def read(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The users, their accounts, and their transactions with the days as numbers."""
    users = pl.read_csv(folder / "users.csv", columns=["user_id"])
    money = ["balance", "credit_limit", "minimum_payment", "last_payment"]
    accounts = pl.read_csv(folder / "accounts.csv", schema_overrides={name: pl.Float64 for name in [*money, "apr"]})
    accounts = accounts.with_columns(cents(name) for name in money)
    transactions = (
        pl.scan_csv(folder / "transactions.csv", schema_overrides={"date": pl.Date, "amount": pl.Float64})
        .join(accounts.lazy().select("account_id", "user_id"), on="account_id")
        .select("user_id", "date", cents("amount"), "merchant_name", "category")
        .collect(engine="streaming")
    )
    return users, accounts, transactions


def gaps(rows: pl.LazyFrame, keys: list[str]) -> pl.LazyFrame:
    """The median and the population deviation of the days between the dates of each group."""
    gap = (pl.col("date") - pl.col("date").shift().over(keys)).dt.total_days()
    return (
        rows.sort(*keys, "date")
        .with_columns(gap=gap)
        .group_by(keys)
        .agg(median_gap=pl.col("gap").median(), stddev_gap=pl.col("gap").std(ddof=0))
    )


def signals(folder: Path, reference_date: datetime.date) -> pl.DataFrame:
    """One row for each user and window."""
    users, accounts, transactions = read(folder)
    amount, merchant = pl.col("amount"), pl.col("merchant_name")
    rows = transactions.lazy()

    def within(days: int) -> pl.Expr:
        first = reference_date - datetime.timedelta(days=days)
        return (pl.col("date") > first) & (pl.col("date") <= reference_date)

    spending = rows.filter(amount < 0, merchant != TRANSFER).with_columns(-amount)
    payments = rows.filter(amount > 0, (pl.col("category") == "INCOME") | (amount >= 500_00))
    transfers = rows.filter(merchant == TRANSFER)

    by_merchant = ["user_id", "merchant_name"]
    charges = spending.filter(within(LONG))
    median, stddev = pl.col("median_gap"), pl.col("stddev_gap")
    recurring = (
        charges.group_by(by_merchant)
        .agg(count=pl.len(), mean=amount.mean(), stddev=amount.std())
        .filter(pl.col("count") >= 3, pl.col("stddev") <= 0.20 * pl.col("mean"))
        .join(gaps(charges, by_merchant), on=by_merchant)
        .filter((steady(median, 25, 35) & (stddev <= 7)) | (steady(median, 5, 9) & (stddev <= 3)))
        .select(by_merchant)
    )
    pay = (
        payments.filter(within(LONG))
        .group_by("user_id")
        .agg(payments=pl.len(), income_variability_cv=amount.std() / amount.mean())
        .join(gaps(payments.filter(within(LONG)), ["user_id"]), on="user_id")
        .select(
            "user_id",
            "income_variability_cv",
            income_median_pay_gap_days=median,
            is_regular=(pl.col("payments") >= 2)
            & (stddev <= 7)
            & (steady(median, 5, 9) | steady(median, 12, 16) | steady(median, 28, 32)),
        )
    )
    last = pl.lit(reference_date)
    history = rows.group_by("user_id").agg(transaction_history_days=(last - pl.col("date").min()).dt.total_days())
    of_accounts = users.lazy().join(held(accounts), on="user_id", how="left")

    windows = []
    for days in WINDOWS:
        spent = spending.filter(within(days)).group_by("user_id").agg(spent=amount.sum())
        charged = (
            spending.filter(within(days))
            .join(recurring, on=by_merchant)
            .group_by("user_id")
            .agg(subscriptions=merchant.n_unique(), charged=amount.sum())
        )
        inflow = transfers.filter(within(days)).group_by("user_id").agg(inflow=-amount.sum())
        paid = payments.filter(within(days)).group_by("user_id").agg(paid=pl.len())
        frame = of_accounts
        for part in [spent, charged, inflow, paid, pay, history]:
            frame = frame.join(part, on="user_id", how="left")
        # Without any spending there is no row, and so no value.
        zero = ["subscriptions", "charged", "inflow", "paid", "saved", "deposits", "credit_cards"]
        frame = frame.with_columns(pl.col(zero).fill_null(0), window_days=pl.lit(days, pl.Int64))
        spent, inflow, saved = pl.col("spent"), pl.col("inflow"), pl.col("saved")
        counts = ["credit_high_count", "credit_very_high_count", "credit_minimum_payment_only_count"]
        windows.append(
            frame.select(
                "user_id",
                "window_days",
                subscription_count="subscriptions",
                monthly_recurring_spend=pl.col("charged") * 30 / (100 * days),
                subscription_share_pct=100 * pl.col("charged") / spent,
                savings_net_inflow=inflow / 100,
                savings_balance=saved / 100,
                savings_growth_rate=pl.when(saved > inflow).then(inflow / (saved - inflow)),
                savings_emergency_fund_months=saved * days / (30 * spent),
                credit_cards="credit_cards",
                credit_max_utilization_pct="credit_max_utilization_pct",
                credit_aggregate_utilization_pct="credit_aggregate_utilization_pct",
                **{name: pl.col(name).fill_null(0) for name in [*counts, "credit_overdue_count", "credit_has_apr"]},
                credit_total_limits="credit_total_limits",
                income_payroll_count="paid",
                income_median_pay_gap_days="income_median_pay_gap_days",
                income_variability_cv="income_variability_cv",
                income_is_regular=pl.col("is_regular").fill_null(False),
                income_buffer_months=pl.col("deposits") * days / (30 * spent),
                transaction_history_days="transaction_history_days",
            )
        )
    return pl.concat(pl.collect_all(windows)).sort("user_id", "window_days")


def held(accounts: pl.DataFrame) -> pl.LazyFrame:
    """What the users have and owe."""
    balance, limit = pl.col("balance"), pl.col("credit_limit")
    minimum, last_payment = pl.col("minimum_payment"), pl.col("last_payment")
    savings = pl.col("subtype").is_in(["savings", "money_market", "cd", "hsa"])
    is_card = (pl.col("type") == "credit") & (limit > 0)
    cards = (
        accounts.lazy()
        .filter(is_card)
        .group_by("user_id")
        .agg(
            credit_cards=pl.len(),
            credit_max_utilization_pct=(100 * balance / limit).max(),
            credit_aggregate_utilization_pct=100 * balance.sum() / limit.sum(),
            credit_high_count=(100 * balance >= 50 * limit).sum(),
            credit_very_high_count=(100 * balance >= 80 * limit).sum(),
            credit_minimum_payment_only_count=((minimum > 0) & (100 * last_payment <= 105 * minimum)).sum(),
            credit_overdue_count=pl.col("is_overdue").sum(),
            credit_has_apr=pl.col("apr").is_not_null().any(),
            credit_total_limits=limit.sum() / 100,
        )
    )
    deposits = (
        accounts.lazy()
        .filter(pl.col("type") == "depository")
        .group_by("user_id")
        .agg(deposits=balance.sum(), saved=balance.filter(savings).sum())
    )
    return deposits.join(cards, on="user_id", how="full", coalesce=True)


def personas(signals: pl.DataFrame) -> pl.DataFrame:
    """One row for each user: the first persona that matches, all that match, and the signals that those look at. A signal
    that is missing matches nothing."""
    monthly = signals.filter(window_days=30).select("user_id", income_payroll_count_30d="income_payroll_count")
    rows = signals.filter(window_days=180).join(monthly, on="user_id").sort("user_id")
    matches = rows.select(**{name: when.fill_null(False) for name, when, _ in PERSONAS})
    assigned = []
    for row, match in zip(rows.iter_rows(named=True), matches.iter_rows()):
        matched = [(name, looked_at) for (name, _, looked_at), holds in zip(PERSONAS, match) if holds]
        names = [name for name, _ in matched]
        evidence = {signal: row[signal] for _, looked_at in matched for signal in looked_at}
        assigned.append((row["user_id"], names[0] if names else "none", compact(names), compact(evidence)))
    return pl.DataFrame(assigned, schema=["user_id", "persona", "matched", "evidence"], orient="row")


def compact(value: list | dict) -> str:
    """JSON as SQLite writes it."""
    return json.dumps(value, separators=(",", ":"))


def write(out: Path, tables: dict[str, pl.DataFrame]) -> None:
    """Writes the tables into a new database, in one transaction."""
    out.unlink(missing_ok=True)
    connection = sqlite3.connect(out)
    with connection:
        for name, frame in tables.items():
            connection.execute(f"CREATE TABLE {name} ({', '.join(frame.columns)})")
            stored = frame.with_columns(pl.col(pl.Boolean).cast(pl.Int64))
            connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * frame.width)})", stored.iter_rows())
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="the folder of the three feeds")
    parser.add_argument("out", type=Path, help="the SQLite database to write")
    parser.add_argument("--reference-date", type=datetime.date.fromisoformat, default=datetime.date(2025, 11, 4))
    args = parser.parse_args()
    user_signals = signals(args.folder, args.reference_date)
    write(args.out, {"user_signals": user_signals, "persona_assignments": personas(user_signals)})


if __name__ == "__main__":
    main()
