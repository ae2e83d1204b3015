"""The transactions pipeline with the standard library alone: a row at a time, and revenue in whole cents, so that every
figure is the double nearest to the exact result. It shows what is right, not how fast one can be.

python transactions_python.py FEED STATIC OUT
"""

import csv
import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import processed_sales

ZIP_CODE = re.compile(r"(?:US-)?([0-9]{5})(?:-[0-9]{4})?")


def records(feed: Path) -> Iterator[dict[str, str]]:
    """The feed's records."""
    if feed.suffix != ".zip":
        with feed.open(encoding="utf-8", newline="") as text:
            yield from csv.DictReader(text)
        return
    with zipfile.ZipFile(feed) as archive, archive.open(archive.namelist()[0]) as member:
        yield from csv.DictReader(io.TextIOWrapper(member, encoding="utf-8", newline=""))


def lookup(path: Path, key: str, value: str) -> dict[str, str]:
    """Two columns of a lookup table."""
    with path.open(encoding="utf-8", newline="") as text:
        return {record[key]: record[value] for record in csv.DictReader(text)}


@cache
def zip_code(raw: str) -> str:
    """The five digits, or 00000 for whatever is no US code."""
    match = ZIP_CODE.fullmatch(raw.replace(" ", ""))
    return match[1] if match else "00000"


@cache
def matures_on(sold: str, maturity: str) -> str:
    """Three days after the sale where unknown, and never before the sale. ISO dates sort like the days they name."""
    try:
        date.fromisoformat(maturity)
    except ValueError:
        maturity = (date.fromisoformat(sold) + timedelta(days=3)).isoformat()
    return max(maturity, sold)


def aggregate(feed: Path, static: Path, client: str) -> Iterator[tuple]:
    """The rows of processed_sales."""
    sku_groups = lookup(static / "sku_groups.csv", "sku_id", "sku_group")
    states = lookup(static / "us_zip_codes.csv", "zip_code", "state")
    groups = defaultdict(lambda: [0, 0, 0])
    for record in records(feed):
        sold = record["transaction_date"]
        local = states.get(zip_code(record["zip_code_raw"])) == "CA"
        key = sold, matures_on(sold, record["maturity_date"]), sku_groups.get(record["sku_id"]), int(local)
        sums = groups[key]
        sums[0] += int(record["quantity_sold"])
        sums[1] += int(Decimal(record["revenue_usd"]).scaleb(2))
        sums[2] += 1

    cents_of_day = defaultdict(list)
    for (sold, *_), (_, cents, _) in groups.items():
        cents_of_day[sold].append(cents)
    ranks = {
        sold: {cents: rank for rank, cents in enumerate(sorted(set(all_cents), reverse=True), 1)}
        for sold, all_cents in cents_of_day.items()
    }
    totals = {sold: sum(all_cents) for sold, all_cents in cents_of_day.items()}
    for (sold, matures, sku_group, local), (quantity, cents, count) in groups.items():
        yield (
            client, sold, matures, sku_group, local,
            # Python rounds the quotient of two integers once, to the nearest double.
            quantity, cents / 100, count, quantity / count, cents / (100 * count),
            (date.fromisoformat(matures) - date.fromisoformat(sold)).days,
            cents / totals[sold] if totals[sold] else None,
            ranks[sold][cents],
        )  # fmt: skip


def main() -> None:
    args = processed_sales.arguments()
    processed_sales.write(args.out, aggregate(args.feed, args.static, args.client))


if __name__ == "__main__":
    main()
