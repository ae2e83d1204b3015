"""The sales pipeline in DataFusion, which is told, as is its default, that no quoted field has a line feed in it.

sales_datafusion.py FEED OUT
"""

import pyarrow
from datafusion import SessionContext

import sales

TYPES = {
    "order_date": pyarrow.date32(),
    "quantity": pyarrow.int64(),
    "unit_price": pyarrow.float64(),
    "discount": pyarrow.float64(),
}


def main() -> None:
    args = sales.arguments()
    context = SessionContext()
    schema = pyarrow.schema([(name, TYPES.get(name, pyarrow.string())) for name in sales.ALL])
    context.register_csv("feed", str(args.feed), schema=schema, has_header=True)
    query = sales.QUERY.format(
        feed="feed", month="to_char(order_date, '%Y-%m')", day="CAST(order_date AS VARCHAR)"
    )
    batches = context.sql(query).collect()
    sales.write_sets(args.out, (row for batch in batches for row in zip(*(column.to_pylist() for column in batch.columns))))


if __name__ == "__main__":
    main()
