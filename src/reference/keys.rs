//! The keys that rows are de-duplicated by: when SQLite takes two of them for equal, and how they are shown. Knows no rows.

use num_bigint::BigInt;

use crate::chunk::{DataType, Scalar};
use crate::reference::order::Ordered;
use crate::reference::{exact, values};

/// A key, as SQLite stores and compares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(Vec<Ordered>);

impl Key {
    /// The key of these values, none of which is NULL.
    pub(super) fn new(values: &[(&Scalar, DataType)]) -> Self {
        Key(values.iter().map(|(value, data_type)| Ordered(stored(value, *data_type))).collect())
    }
}

/// A value as it is stored: a decimal is the double next to it.
fn stored(value: &Scalar, data_type: DataType) -> Scalar {
    match (value, data_type) {
        (Scalar::Int(units), DataType::Decimal { scale, .. }) => {
            Scalar::Double(exact::ratio(&BigInt::from(*units), &exact::power_of_ten(scale.into())))
        }
        (value, _) => value.clone(),
    }
}

/// The values as a dead letter shows them.
pub(super) fn to_text(values: &[(&Scalar, DataType)]) -> String {
    let text = |(value, data_type): &(&Scalar, DataType)| match value {
        // The shortest digits that read back as the same number, and not those of SQLite.
        Scalar::Double(number) => number.to_string(),
        value => values::to_text(value, *data_type),
    };
    values.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Scalar {
        Scalar::Text(text.as_bytes().into())
    }

    #[test]
    fn keys_are_equal_as_sqlite_stores_them() {
        use DataType::{Boolean, Double, Integer, Text};
        let decimal = |precision, scale| DataType::Decimal { precision, scale };
        let big = (1 << 53) + 1;
        for (first, second, data_type, are_equal) in [
            (Scalar::Int(big), Scalar::Int(big - 1), decimal(18, 0), true),
            (Scalar::Int(big), Scalar::Int(big - 1), Integer, false),
            (Scalar::Int(1), Scalar::Int(2), decimal(18, 18), false),
            (Scalar::Double(0.0), Scalar::Double(-0.0), Double, true),
            (Scalar::Double(0.1), Scalar::Double(0.1 + f64::EPSILON), Double, false),
            (Scalar::Bool(true), Scalar::Bool(false), Boolean, false),
            (text("a"), text("A"), Text, false),
            (text("a"), text("a "), Text, false),
        ] {
            let (first, second) = (Key::new(&[(&first, data_type)]), Key::new(&[(&second, data_type)]));
            assert_eq!(first == second, are_equal, "{first:?} {second:?} {data_type}");
        }
    }

    #[test]
    fn the_columns_of_a_key_stay_apart() {
        let (a, bc, ab, c) = (text("a"), text("bc"), text("ab"), text("c"));
        let key = |first, second| Key::new(&[(first, DataType::Text), (second, DataType::Text)]);
        assert_ne!(key(&a, &bc), key(&ab, &c));
        assert_ne!(key(&a, &c), key(&c, &a));
    }

    #[test]
    fn keys_are_shown_with_all_their_digits() {
        let values = [
            (Scalar::Int(-5), DataType::Decimal { precision: 8, scale: 2 }),
            (Scalar::Int(-5), DataType::Integer),
            (Scalar::Int(0), DataType::Date),
            (Scalar::Int(1), DataType::Timestamp),
            (Scalar::Bool(true), DataType::Boolean),
            (Scalar::Double(-0.0), DataType::Double),
            (text("x,y"), DataType::Text),
        ];
        let values: Vec<_> = values.iter().map(|(value, data_type)| (value, *data_type)).collect();
        assert_eq!(to_text(&values), "-0.05,-5,1970-01-01,1970-01-01 00:00:00.000001,1,-0,x,y");
    }
}
