"""The sales pipeline in ClickHouse, within the process: chdb.  sales_chdb.py FEED OUT"""

import chdb

import sales

TYPES = {"order_date": "Date", "quantity": "Int64", "unit_price": "Float64", "discount": "Float64"}


def main() -> None:
    args = sales.arguments()
    structure = ", ".join(f"{name} {TYPES.get(name, 'String')}" for name in sales.ALL)
    feed = f"file('{args.feed}', 'CSVWithNames', '{structure}')"
    query = sales.QUERY.format(feed=feed, month="formatDateTime(order_date, '%Y-%m')", day="toString(order_date)")
    # Keys that a row does not have are NULL only when asked for.
    rows = chdb.query(f"{query} SETTINGS group_by_use_nulls = 1", "ArrowTable")
    sales.write_sets(args.out, zip(*(column.to_pylist() for column in rows.columns)))


if __name__ == "__main__":
    main()
