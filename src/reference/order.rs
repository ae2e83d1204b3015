//! Values in an order: what BTreeMap keys, MIN, MAX and comparisons go by. Values of different types do not meet.

use std::cmp::Ordering;

use crate::chunk::Scalar;

/// A value as a key: NULL first, then numbers by value, text by bytes, false before true.
#[derive(Debug, Clone)]
pub(super) struct Ordered(pub(super) Scalar);

/// The order of two values of the same type; NULL is equal to NULL, and before everything else.
pub(super) fn compare(a: &Scalar, b: &Scalar) -> Ordering {
    match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => a.cmp(b),
        // Adding zero makes the two zeros one.
        (Scalar::Double(a), Scalar::Double(b)) => (a + 0.0).total_cmp(&(b + 0.0)),
        (Scalar::Bool(a), Scalar::Bool(b)) => a.cmp(b),
        (Scalar::Text(a), Scalar::Text(b)) => a.cmp(b),
        (Scalar::Null, Scalar::Null) => Ordering::Equal,
        (Scalar::Null, _) => Ordering::Less,
        (_, Scalar::Null) => Ordering::Greater,
        (a, b) => panic!("{a:?} and {b:?} are not of one type, which the binder should have seen to"),
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}
