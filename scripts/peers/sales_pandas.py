"""The sales pipeline in pandas: a chunk of rows at a time, each grouped, and the groups grouped again at the end.

sales_pandas.py FEED OUT
"""

import pandas as pd

import sales

ROWS = 1_000_000
TYPES = {"quantity": "int64", "unit_price": "float64", "discount": "float64"}


def main() -> None:
    args = sales.arguments()
    parts = {table: [] for table in sales.TABLES}
    types = {name: TYPES.get(name, "str") for name in sales.USED}
    for chunk in pd.read_csv(args.feed, usecols=sales.USED, dtype=types, chunksize=ROWS):
        chunk["revenue"] = chunk["quantity"] * chunk["unit_price"] * (1 - chunk["discount"])
        chunk["segment"] = chunk["region"] + "/" + chunk["category"]
        # The dates stay text, which is as good as a key.
        chunk["month"] = chunk["order_date"].str[:7]
        for table, keys in sales.TABLES.items():
            groups = chunk.groupby(keys, sort=False)
            measures = {"orders": ("quantity", "size"), "units": ("quantity", "sum"), "revenue": ("revenue", "sum")}
            parts[table].append(groups.agg(**measures))
    tables = {}
    for table, keys in sales.TABLES.items():
        whole = pd.concat(parts[table]).groupby(level=keys, sort=False).sum().reset_index()
        whole["avg_order_value"] = whole["revenue"] / whole["orders"]
        tables[table] = list(zip(*(whole[name].tolist() for name in whole.columns)))
    sales.write(args.out, tables)


if __name__ == "__main__":
    main()
