"""The job of `feedmill generate transactions`, the way one writes it with numpy and polars.

A peer to compare speeds with: same columns, same kinds of noise, same cumulative archives; other random numbers.
Needs numpy and polars.  python generate_transactions.py OUT [--base-rows N] [--daily-rows N] ...
"""

import argparse
import datetime
import time
import zipfile
from pathlib import Path

import numpy as np
import polars as pl

CATEGORIES = {
    "Electronics": ["Phones", "Laptops", "Audio", "Cameras"],
    "Home": ["Kitchen", "Bedding", "Lighting", "Storage"],
    "Apparel": ["Menswear", "Womenswear", "Footwear", "Outerwear"],
    "Beauty": ["Skincare", "Haircare", "Fragrance", "Makeup"],
    "Grocery": ["Snacks", "Beverages", "Pantry", "Frozen"],
    "Sports": ["Fitness", "Cycling", "Camping", "Team Sports"],
    "Toys": ["Puzzles", "Building Sets", "Dolls", "Board Games"],
    "Garden": ["Tools", "Plants", "Furniture", "Grills"],
}
PLACES = [
    ("Los Angeles", "CA", 90001, 40), ("San Diego", "CA", 92101, 24), ("San Francisco", "CA", 94102, 33),
    ("San Jose", "CA", 95110, 30), ("Sacramento", "CA", 95811, 28), ("Boston", "MA", 2108, 20),
    ("New York", "NY", 10001, 40), ("Philadelphia", "PA", 19102, 50), ("Miami", "FL", 33125, 26),
    ("Chicago", "IL", 60601, 47), ("Houston", "TX", 77002, 35), ("Denver", "CO", 80202, 22),
    ("Phoenix", "AZ", 85003, 22), ("Seattle", "WA", 98101, 26),
]
UNLISTED = ["00901", "09007", "34002", "96201", "96799"]
INTERNATIONAL = ["INTL", "CAN-K1A", "UK-SW1A", "DE-10115", "FR-75001", "MEX-06600", "JP-100", "AUS-2000"]


def lookups(out: Path, skus: int) -> pl.DataFrame:
    """Writes both lookup tables, and returns the zip codes."""
    static = out / "static"
    static.mkdir(parents=True, exist_ok=True)
    groups = [(group, category) for category, groups in CATEGORIES.items() for group in groups]
    pl.DataFrame(
        [(f"SKU_{n:05}", *groups[n % 32], (n // 32) % 5 == 0) for n in range(1, skus + 1)],
        schema=["sku_id", "sku_group", "category", "is_high_priority"],
        orient="row",
    ).write_csv(static / "sku_groups.csv")
    zips = pl.DataFrame(
        [("00000", "International", "XX", False)]
        + [(f"{first + i:05}", city, state, True) for city, state, first, count in PLACES for i in range(count)],
        schema=["zip_code", "city", "state", "is_us"],
        orient="row",
    )
    zips.write_csv(static / "us_zip_codes.csv")
    return zips


def day_rows(rng, client, day, rows_before, rows, date, popularity, sku_ids, zips) -> pl.DataFrame:
    """The new rows of one day."""
    california = zips.filter(pl.col("state") == "CA")["zip_code"].to_numpy()
    elsewhere = zips.filter((pl.col("state") != "CA") & pl.col("is_us"))["zip_code"].to_numpy()
    zip_code = np.where(rng.random(rows) < 0.45, rng.choice(california, rows), rng.choice(elsewhere, rows))
    kind = rng.choice(4, rows, p=[0.87, 0.03, 0.04, 0.06])
    offset = np.select(
        [kind == 0, kind == 1, kind == 2],
        [rng.integers(0, 11, rows), rng.integers(11, 31, rows), -rng.integers(1, 6, rows)],
    )
    frame = pl.DataFrame(
        {
            "number": np.arange(rows_before + 1, rows_before + rows + 1),
            "transaction_date": np.full(rows, date.isoformat()),
            "sku_id": sku_ids[rng.choice(len(sku_ids), rows, p=popularity)],
            "quantity_sold": rng.integers(1, 11, rows),
            "revenue_usd": np.round(rng.integers(500, 50_001, rows) / 100, 2),
            "offset": offset,
            "missing": kind == 3,
            "zip": zip_code,
            "style": rng.choice(10, rows, p=[0.62, 0.12, 0.02, 0.02, 0.02, 0.05, 0.03, 0.01, 0.06, 0.05]),
            "plus4": rng.integers(1, 10_000, rows),
            "unlisted": rng.choice(np.array(UNLISTED), rows),
            "international": rng.choice(np.array(INTERNATIONAL), rows),
        }
    )
    zip_, style = pl.col("zip"), pl.col("style")
    return frame.select(
        pl.format("c{}-{}", pl.lit(client), pl.col("number").cast(pl.String).str.zfill(8)).alias("transaction_id"),
        "transaction_date",
        "sku_id",
        "quantity_sold",
        "revenue_usd",
        pl.when(~pl.col("missing"))
        .then((pl.lit(date) + pl.duration(days=pl.col("offset"))).dt.strftime("%Y-%m-%d"))
        .alias("maturity_date"),
        pl.when(style == 0).then(zip_)
        .when(style == 1).then(pl.format("{}-{}", zip_, pl.col("plus4").cast(pl.String).str.zfill(4)))
        .when(style == 2).then(pl.format(" {}", zip_))
        .when(style == 3).then(pl.format("{} {}", zip_.str.slice(0, 3), zip_.str.slice(3)))
        .when(style == 4).then(pl.format("{} ", zip_))
        .when(style == 5).then(pl.format("US-{}", zip_))
        .when(style == 6).then(pl.format("CA{}", zip_))
        .when(style == 7).then(pl.col("unlisted"))
        .when(style == 8).then(pl.col("international"))
        .alias("zip_code_raw"),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--base-rows", type=int, default=1_000_000)
    parser.add_argument("--daily-rows", type=int, default=100_000)
    parser.add_argument("--skus", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args()

    started = time.perf_counter()
    start_date = datetime.date(2025, 10, 1)
    rng = np.random.default_rng(args.seed)
    zips = lookups(args.out, args.skus)
    sku_ids = np.array([f"SKU_{n:05}" for n in rng.permutation(args.skus) + 1])
    popularity = np.arange(1, args.skus + 1) ** -0.966
    popularity /= popularity.sum()

    size = 0
    for client in range(1, args.clients + 1):
        folder = args.out / f"client_{client}"
        folder.mkdir(parents=True, exist_ok=True)
        cumulative = None
        for day in range(1, args.days + 1):
            rows = args.base_rows if day == 1 else args.daily_rows
            before = 0 if cumulative is None else cumulative.height
            date = start_date + datetime.timedelta(days=day - 1)
            new = day_rows(rng, client, day, before, rows, date, popularity, sku_ids, zips)
            cumulative = new if cumulative is None else pl.concat([cumulative, new])
            text = folder / f"transactions_day_{day}.csv"
            cumulative.write_csv(text, float_precision=2)
            with zipfile.ZipFile(text.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
                archive.write(text, text.name)
            text.unlink()
            size += text.with_suffix(".zip").stat().st_size
    print(f"{time.perf_counter() - started:.1f} s, {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
