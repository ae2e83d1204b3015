//! Kernels: one function over whole columns each, chosen once per node and chunk. They know nothing of programs, of
//! dictionaries or of the faults of their arguments.

mod cast;
mod choice;
mod dates;
mod double;
mod logic;
mod lookup;
mod numeric;
mod pattern;
mod text;

pub(super) use choice::{case, coalesce};
pub use dates::check_strftime;
pub(super) use logic::{Connective, connect};
pub(super) use lookup::lookup;

use crate::chunk::{Cell, Column, DataType, Physical, Text, TextBuilder, Values};
use crate::expr::program::{FaultKind, Function};

/// A row in which an expression has no value, and why.
pub type Fault = (u32, FaultKind);

/// The longest text that an expression may make; a longer one is a fault.
const MAX_TEXT_BYTES: usize = 1 << 24;

/// The largest buffer that one node may fill in one chunk, well below what a span can address.
const MAX_BUFFER_BYTES: usize = 1 << 30;

/// A column and the rows in which it has no value; those are NULL in the column. Faults are in ascending order of rows.
#[derive(Debug, Clone)]
pub(super) struct Evaluated {
    pub(super) column: Column,
    pub(super) faults: Vec<Fault>,
}

/// An argument: literals stay what they are, and are not expanded to columns.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operand<'a> {
    Column(&'a Column),
    Scalar(Cell<'a>),
}

/// An operand, its type and the rows in which it has no value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Argument<'a> {
    pub(super) operand: Operand<'a>,
    pub(super) data_type: DataType,
    pub(super) faults: &'a [Fault],
}

/// A function whose faults are those of all its arguments and its own; only the latter are returned.
pub(super) fn call(function: &Function, arguments: &[Argument<'_>], result: DataType, len: usize) -> Evaluated {
    let operands: Vec<Operand<'_>> = arguments.iter().map(|argument| argument.operand).collect();
    let first = arguments[0].data_type;
    match function {
        Function::And | Function::Or | Function::Coalesce => {
            unreachable!("{function:?} decides which faults of its arguments count")
        }
        Function::Not => logic::not(operands[0], len),
        Function::IsNull => logic::is_null(operands[0], len),
        Function::Compare(comparison) => logic::compare(*comparison, operands[0], operands[1], first.physical(), len),
        Function::IsDistinctFrom => logic::is_distinct(operands[0], operands[1], first.physical(), len),
        Function::NullIf => choice::null_if(operands[0], operands[1], first.physical(), len),
        Function::Greatest => choice::extreme(&operands, result.physical(), true, len),
        Function::Least => choice::extreme(&operands, result.physical(), false, len),
        Function::Add => numeric::add(operands[0], operands[1], result, len),
        Function::Subtract => numeric::subtract(operands[0], operands[1], result, len),
        Function::Multiply => numeric::multiply(operands[0], operands[1], result, len),
        Function::Divide => numeric::divide(operands[0], operands[1], result, len),
        Function::Modulo => numeric::modulo(operands[0], operands[1], len),
        Function::Negate => numeric::negate(operands[0], result, len),
        Function::Abs => numeric::abs(operands[0], result, len),
        Function::Round { digits } => numeric::round(operands[0], first, result, *digits, len),
        Function::Floor => numeric::floor(operands[0], first, result, len),
        Function::Ceil => numeric::ceil(operands[0], first, result, len),
        Function::Cast => cast::cast(operands[0], first, result, cast::OnFailure::Fault, len),
        Function::TryCast => cast::cast(operands[0], first, result, cast::OnFailure::Null, len),
        Function::Concat => text::concat(&operands, len),
        Function::ConcatSkippingNull => text::concat_skipping_null(&operands, len),
        Function::Lower => text::lower(operands[0], len),
        Function::Upper => text::upper(operands[0], len),
        Function::Trim(side) => text::trim(&operands, *side, len),
        Function::Replace => text::replace(operands[0], operands[1], operands[2], len),
        Function::Substr => text::substr(&operands, len),
        Function::Length => text::length(operands[0], len),
        Function::StrPos => text::strpos(operands[0], operands[1], len),
        Function::StartsWith => text::starts_with(operands[0], operands[1], len),
        Function::Like { escape } => pattern::like(operands[0], operands[1], *escape, len),
        Function::RegexpExtract { pattern, group } => pattern::extract(operands[0], pattern, *group, len),
        Function::RegexpReplace { pattern, replacement, all } => {
            pattern::replace(operands[0], pattern, replacement, *all, len)
        }
        Function::RegexpMatches { pattern } => pattern::matches(operands[0], pattern, len),
        Function::Strftime { format } => dates::strftime(operands[0], first, format, len),
        Function::DateTrunc(part) => dates::truncate(operands[0], first, *part, len),
        Function::Extract(part) => dates::extract(operands[0], first, *part, len),
        Function::Shift(interval) => dates::shift(operands[0], first, *interval, len),
        Function::AddDays => dates::add_days(operands[0], operands[1], len),
        Function::DaysBetween => dates::days_between(operands[0], operands[1], len),
    }
}

impl Evaluated {
    /// A column without faults.
    fn new(values: Values, validity: Option<Vec<bool>>) -> Self {
        Evaluated { column: Column { values, validity }, faults: Vec::new() }
    }

    /// Adds faults; where a row has one already, that one stays. Rows with faults become NULL.
    pub(super) fn add_faults(&mut self, faults: &[Fault]) {
        merge_faults(&mut self.faults, faults);
        self.clear_faulty_rows();
    }

    fn clear_faulty_rows(&mut self) {
        if self.faults.is_empty() {
            return;
        }
        let len = self.column.len();
        let validity = self.column.validity.get_or_insert_with(|| vec![true; len]);
        for (row, _) in &self.faults {
            validity[*row as usize] = false;
        }
    }
}

/// The union of faults in order of rows; where both have a row, the one that was there first stays.
fn merge_faults(faults: &mut Vec<Fault>, more: &[Fault]) {
    if more.is_empty() {
        return;
    }
    faults.extend_from_slice(more);
    // The sort is stable, so that of two faults of a row the earlier one stays in front, and is kept.
    faults.sort_by_key(|(row, _)| *row);
    faults.dedup_by_key(|(row, _)| *row);
}

/// One value for each row, or the same for all.
#[derive(Debug, Clone, Copy)]
enum Side<'a, T> {
    Column(&'a [T]),
    Scalar(T),
}

/// The same for text.
#[derive(Debug, Clone, Copy)]
enum TextSide<'a> {
    Column(&'a Text),
    Scalar(&'a [u8]),
}

impl<T: Copy> Side<'_, T> {
    #[inline]
    fn get(&self, row: usize) -> T {
        match self {
            Side::Column(values) => values[row],
            Side::Scalar(value) => *value,
        }
    }
}

impl<'a> TextSide<'a> {
    #[inline]
    fn get(&self, row: usize) -> &'a [u8] {
        match self {
            TextSide::Column(text) => text.get(row),
            TextSide::Scalar(value) => value,
        }
    }
}

/// An operand as values of one type; a NULL literal is some value of it, which means nothing.
macro_rules! side {
    ($name:ident, $kind:ident, $type:ty, $null:expr) => {
        fn $name(self) -> Side<'a, $type> {
            match self {
                Operand::Column(Column { values: Values::$kind(values), .. }) => Side::Column(values),
                Operand::Scalar(Cell::$kind(value)) => Side::Scalar(value),
                Operand::Scalar(Cell::Null) => Side::Scalar($null),
                other => unreachable!("the binder gave a kernel for {} {other:?}", stringify!($kind)),
            }
        }
    };
}

impl<'a> Operand<'a> {
    side!(ints, Int, i64, 0);
    side!(doubles, Double, f64, 0.0);
    side!(bools, Bool, bool, false);

    fn texts(self) -> TextSide<'a> {
        match self {
            Operand::Column(Column { values: Values::Text(text), .. }) => TextSide::Column(text),
            Operand::Scalar(Cell::Text(value)) => TextSide::Scalar(value),
            Operand::Scalar(Cell::Null) => TextSide::Scalar(b""),
            other => unreachable!("the binder gave a kernel for text {other:?}"),
        }
    }

    /// Which rows are not NULL.
    fn validity(self) -> Side<'a, bool> {
        match self {
            Operand::Column(Column { validity: Some(flags), .. }) => Side::Column(flags),
            Operand::Column(_) => Side::Scalar(true),
            Operand::Scalar(cell) => Side::Scalar(cell != Cell::Null),
        }
    }

    /// Its values as a column of their own.
    fn to_values(self, physical: Physical, len: usize) -> Values {
        match self {
            Operand::Column(column) => column.values.clone(),
            Operand::Scalar(cell) => Column::repeat(&cell.to_scalar(), physical, len).values,
        }
    }
}

/// Which rows of the result of a strict function are not NULL.
fn strict(operands: &[Operand<'_>], len: usize) -> Option<Vec<bool>> {
    let mut validity: Option<Vec<bool>> = None;
    for operand in operands {
        match (operand.validity(), &mut validity) {
            (Side::Scalar(true), _) => {}
            (Side::Scalar(false), _) => return Some(vec![false; len]),
            (Side::Column(flags), None) => validity = Some(flags.to_vec()),
            (Side::Column(flags), Some(validity)) => {
                validity.iter_mut().zip(flags).for_each(|(valid, flag)| *valid &= flag);
            }
        }
    }
    validity
}

/// Whether a row is not NULL.
#[inline]
fn is_valid(validity: &Option<Vec<bool>>, row: usize) -> bool {
    validity.as_ref().is_none_or(|flags| flags[row])
}

/// `map` of every value.
#[inline]
fn map<A: Copy, R: Clone>(a: Side<'_, A>, len: usize, mut map: impl FnMut(A) -> R) -> Vec<R> {
    match a {
        Side::Column(a) => a.iter().map(|a| map(*a)).collect(),
        Side::Scalar(a) => vec![map(a); len],
    }
}

/// `map` of every two values. The four shapes are told apart once, and each is a loop that vectorises.
#[inline]
fn map2<A: Copy, B: Copy, R: Clone>(
    a: Side<'_, A>,
    b: Side<'_, B>,
    len: usize,
    mut map: impl FnMut(A, B) -> R,
) -> Vec<R> {
    match (a, b) {
        (Side::Column(a), Side::Column(b)) => a.iter().zip(b).map(|(a, b)| map(*a, *b)).collect(),
        (Side::Column(a), Side::Scalar(b)) => a.iter().map(|a| map(*a, b)).collect(),
        (Side::Scalar(a), Side::Column(b)) => b.iter().map(|b| map(a, *b)).collect(),
        (Side::Scalar(a), Side::Scalar(b)) => vec![map(a, b); len],
    }
}

/// `map2` with a function that also tells whether its result is wrong. The loop only notes that one was; the rows are
/// looked for in the rare second pass, which leaves out NULLs.
#[inline]
fn checked2<A: Copy, B: Copy, R: Clone>(
    (a, b): (Side<'_, A>, Side<'_, B>),
    validity: &Option<Vec<bool>>,
    len: usize,
    map: impl Fn(A, B) -> (R, bool),
) -> (Vec<R>, Vec<Fault>) {
    let mut any_wrong = false;
    let values = map2(a, b, len, |a, b| {
        let (value, wrong) = map(a, b);
        any_wrong |= wrong;
        value
    });
    let faults = if any_wrong {
        (0..len)
            .filter(|row| is_valid(validity, *row) && map(a.get(*row), b.get(*row)).1)
            .map(|row| (row as u32, FaultKind::Overflow))
            .collect()
    } else {
        Vec::new()
    };
    (values, faults)
}

/// `checked2` of one argument.
#[inline]
fn checked<A: Copy, R: Clone>(
    a: Side<'_, A>,
    validity: &Option<Vec<bool>>,
    len: usize,
    map: impl Fn(A) -> (R, bool),
) -> (Vec<R>, Vec<Fault>) {
    checked2((a, Side::Scalar(())), validity, len, |a, ()| map(a))
}

/// What a kernel that goes row by row makes of a value.
type Outcome<T> = Result<Option<T>, FaultKind>;

/// A strict kernel that goes row by row, NULLs left out: a value, NULL or a fault for each.
#[inline]
fn try_each<T: Copy + Default>(
    operands: &[Operand<'_>],
    len: usize,
    wrap: impl Fn(Vec<T>) -> Values,
    mut each: impl FnMut(usize) -> Outcome<T>,
) -> Evaluated {
    let mut validity = strict(operands, len);
    let mut faults = Vec::new();
    let mut values = vec![T::default(); len];
    for (row, value) in values.iter_mut().enumerate() {
        if is_valid(&validity, row) {
            match each(row) {
                Ok(Some(result)) => *value = result,
                Ok(None) => validity.get_or_insert_with(|| vec![true; len])[row] = false,
                Err(kind) => faults.push((row as u32, kind)),
            }
        }
    }
    let mut result = Evaluated { column: Column { values: wrap(values), validity }, faults };
    result.clear_faulty_rows();
    result
}

/// Builds the text of each row that is not NULL; a text that gets too long is a fault.
fn build(
    validity: Option<Vec<bool>>,
    len: usize,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<(), FaultKind>,
) -> Evaluated {
    let mut builder = TextBuilder::with_capacity(len);
    let mut faults = Vec::new();
    for row in 0..len {
        builder.push_with(|bytes| {
            if !is_valid(&validity, row) {
                return;
            }
            let start = bytes.len();
            let written = write(row, bytes).and_then(|()| {
                let fits = bytes.len() - start <= MAX_TEXT_BYTES && bytes.len() <= MAX_BUFFER_BYTES;
                fits.then_some(()).ok_or(FaultKind::Overflow)
            });
            if let Err(kind) = written {
                bytes.truncate(start);
                faults.push((row as u32, kind));
            }
        });
    }
    let mut result = Evaluated { column: Column { values: Values::Text(builder.finish()), validity }, faults };
    result.clear_faulty_rows();
    result
}
