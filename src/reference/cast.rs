//! CAST and TRY_CAST. Reading whole texts is in `values`, the starts of texts in `text`.

use num_bigint::BigInt;

use crate::chunk::{DataType, RejectCode, Scalar};
use crate::expr::FaultKind;
use crate::reference::eval::{Value, finite, fit, rescale, text_of, text_value};
use crate::reference::{dates, doubles, exact, text, values};

/// CAST of a value that is not NULL.
pub(super) fn cast(value: &Scalar, from: DataType, to: DataType) -> Value {
    use DataType::{Boolean, Date, Decimal, Double, Integer, Text, Timestamp};
    match (value, from, to) {
        (_, _, Text) => Ok(text_value(&values::to_text(value, from))),
        (Scalar::Text(_), _, Integer) => integer_prefix(&text_of(value)),
        (Scalar::Text(_), _, Double) => number_prefix(&text_of(value)),
        (Scalar::Text(_), _, _) => whole_text(&text_of(value), to),
        (Scalar::Double(number), _, Double) => finite(*number),
        (Scalar::Double(number), _, Integer) => {
            let whole = exact::scaled(number.trunc(), 0);
            i64::try_from(whole).map(Scalar::Int).map_err(|_| FaultKind::Overflow)
        }
        (Scalar::Double(number), _, Decimal { scale, .. }) => {
            fit(doubles::to_units(*number, scale).ok_or(FaultKind::Overflow)?, to)
        }
        (Scalar::Double(number), _, Boolean) => Ok(Scalar::Bool(*number != 0.0)),
        (Scalar::Bool(_), _, Boolean) => Ok(value.clone()),
        (Scalar::Bool(flag), _, _) => cast(&Scalar::Int(i64::from(*flag)), Integer, to),
        (Scalar::Int(_), Date, Date) | (Scalar::Int(_), Timestamp, Timestamp) => Ok(value.clone()),
        (Scalar::Int(count), Date | Timestamp, Date | Timestamp) => {
            let moment = dates::moment(*count, from);
            moment.and_then(|moment| dates::value_of(moment, to)).map(Scalar::Int).ok_or(FaultKind::Overflow)
        }
        (Scalar::Int(units), Integer | Decimal { .. }, Integer) => {
            Ok(Scalar::Int(units / 10i64.pow(from.scale().into())))
        }
        (Scalar::Int(units), Integer | Decimal { .. }, Decimal { scale, .. }) => {
            fit(rescale(i128::from(*units), from.scale(), scale), to)
        }
        (Scalar::Int(units), Integer | Decimal { .. }, Double) => {
            finite(exact::ratio(&BigInt::from(*units), &exact::power_of_ten(from.scale().into())))
        }
        (Scalar::Int(units), Integer | Decimal { .. }, Boolean) => Ok(Scalar::Bool(*units != 0)),
        _ => panic!("a CAST of {from} to {to}, which the binder should have refused"),
    }
}

/// TRY_CAST of a value that is not NULL.
pub(super) fn try_cast(value: &Scalar, from: DataType, to: DataType) -> Scalar {
    let result = match value {
        Scalar::Text(_) => whole_text(&text_of(value), to),
        _ => cast(value, from, to),
    };
    result.unwrap_or(Scalar::Null)
}

fn whole_text(text: &str, to: DataType) -> Value {
    values::parse(text, to).map_err(|code| match code {
        RejectCode::OutOfRange => FaultKind::Overflow,
        _ => FaultKind::InvalidCast,
    })
}

fn integer_prefix(text: &str) -> Value {
    match text::integer_prefix(text) {
        "" => Ok(Scalar::Int(0)),
        number => number.parse().map(Scalar::Int).map_err(|_| FaultKind::Overflow),
    }
}

fn number_prefix(text: &str) -> Value {
    match text::number_prefix(text) {
        "" => Ok(Scalar::Double(0.0)),
        number => finite(number.parse().unwrap_or(f64::NAN)),
    }
}
