"""The sales pipeline in polars, on the streaming engine, all tables in one pass.  sales_polars.py FEED OUT"""

import polars as pl

import sales

TYPES = {"order_date": pl.Date, "quantity": pl.Int64, "unit_price": pl.Float64, "discount": pl.Float64}


def main() -> None:
    args = sales.arguments()
    feed = pl.scan_csv(args.feed, schema={name: TYPES.get(name, pl.String) for name in sales.ALL}).select(
        "store_id",
        "product_id",
        "product_name",
        "category",
        "order_date",
        "quantity",
        segment=pl.concat_str("region", pl.lit("/"), "category"),
        month=pl.col("order_date").dt.strftime("%Y-%m"),
        revenue=pl.col("quantity") * pl.col("unit_price") * (1 - pl.col("discount")),
    )
    measures = {
        "orders": pl.len(),
        "units": pl.col("quantity").sum(),
        "revenue": pl.col("revenue").sum(),
        "avg_order_value": pl.col("revenue").mean(),
    }
    queries = [feed.group_by(keys).agg(**measures) for keys in sales.TABLES.values()]
    frames = pl.collect_all(queries, engine="streaming")
    tables = {
        table: frame.with_columns(pl.col(pl.Date).cast(pl.String)).rows() for table, frame in zip(sales.TABLES, frames)
    }
    sales.write(args.out, tables)


if __name__ == "__main__":
    main()
