//! Which of several values a row takes: CASE, COALESCE, NULLIF, GREATEST, LEAST. Only fixed-width values are blended
//! in vectorised loops; text is picked span by span.

use std::sync::Arc;

use crate::chunk::{Physical, Span, Text, Values};
use crate::expr::kernels::logic::{holds, truth};
use crate::expr::kernels::{Argument, Evaluated, Fault, Operand, Side, TextSide, build, map2, merge_faults, strict};
use crate::expr::program::Comparison;

/// The value of the first branch whose condition is true, or else `otherwise`. Only what is evaluated on the way there
/// counts for faults.
pub(in crate::expr) fn case(
    branches: &[(Argument<'_>, Argument<'_>)],
    otherwise: Argument<'_>,
    physical: Physical,
    len: usize,
) -> Evaluated {
    let masks: Vec<Vec<bool>> = branches.iter().map(|(condition, _)| truth(condition.operand, len)).collect();
    let masks: Vec<&[bool]> = masks.iter().map(Vec::as_slice).collect();
    let values: Vec<Argument<'_>> = branches.iter().map(|(_, value)| *value).chain([otherwise]).collect();
    let operands: Vec<Operand<'_>> = values.iter().map(|value| value.operand).collect();
    let validities: Vec<Side<'_, bool>> = operands.iter().map(|operand| operand.validity()).collect();
    let mut result = choose(&masks, &operands, &validities, physical, len);
    if branches.iter().any(|(condition, _)| !condition.faults.is_empty()) || has_faults(&values) {
        let taken = first_set(&masks, len);
        let mut faults = Vec::new();
        for (place, (condition, _)) in branches.iter().enumerate() {
            merge_counting(&mut faults, condition.faults, |row| taken[row] as usize >= place);
        }
        for (place, value) in values.iter().enumerate() {
            merge_counting(&mut faults, value.faults, |row| taken[row] as usize == place);
        }
        result.add_faults(&faults);
    }
    result
}

/// The first argument that is not NULL. Faults behind it do not count.
pub(in crate::expr) fn coalesce(arguments: &[Argument<'_>], physical: Physical, len: usize) -> Evaluated {
    let Some((last, others)) = arguments.split_last() else { unreachable!("the binder gave COALESCE arguments") };
    let (mut masks, mut candidates): (Vec<&[bool]>, Vec<Argument<'_>>) = (Vec::new(), Vec::new());
    let mut otherwise = *last;
    for argument in others {
        match argument.operand.validity() {
            Side::Column(flags) => {
                masks.push(flags);
                candidates.push(*argument);
            }
            Side::Scalar(false) => {}
            Side::Scalar(true) => {
                otherwise = *argument;
                break;
            }
        }
    }
    let mut validities = vec![Side::Scalar(true); candidates.len()];
    validities.push(otherwise.operand.validity());
    candidates.push(otherwise);
    let operands: Vec<Operand<'_>> = candidates.iter().map(|candidate| candidate.operand).collect();
    let mut result = choose(&masks, &operands, &validities, physical, len);
    if has_faults(&candidates) {
        let taken = first_set(&masks, len);
        let mut faults = Vec::new();
        for (place, candidate) in candidates.iter().enumerate() {
            merge_counting(&mut faults, candidate.faults, |row| taken[row] as usize >= place);
        }
        result.add_faults(&faults);
    }
    result
}

fn has_faults(arguments: &[Argument<'_>]) -> bool {
    arguments.iter().any(|argument| !argument.faults.is_empty())
}

fn merge_counting(faults: &mut Vec<Fault>, more: &[Fault], counts: impl Fn(usize) -> bool) {
    let counting: Vec<Fault> = more.iter().filter(|(row, _)| counts(*row as usize)).copied().collect();
    merge_faults(faults, &counting);
}

/// For each row the value of the first operand whose mask is set, or of the last operand, which has none.
fn choose(
    masks: &[&[bool]],
    operands: &[Operand<'_>],
    validities: &[Side<'_, bool>],
    physical: Physical,
    len: usize,
) -> Evaluated {
    let all_valid = validities.iter().all(|validity| matches!(validity, Side::Scalar(true)));
    let validity = if all_valid { None } else { Some(blend_all(masks, validities, len)) };
    let values = match physical {
        Physical::Int => Values::Int(blend_all(masks, &sides(operands, Operand::ints), len)),
        Physical::Double => Values::Double(blend_all(masks, &sides(operands, Operand::doubles), len)),
        Physical::Bool => Values::Bool(blend_all(masks, &sides(operands, Operand::bools), len)),
        Physical::Text => {
            let texts: Vec<TextSide<'_>> = operands.iter().map(|operand| operand.texts()).collect();
            return pick(&texts, &first_set(masks, len), validity);
        }
    };
    Evaluated::new(values, validity)
}

fn sides<'a, T>(operands: &[Operand<'a>], side: impl Fn(Operand<'a>) -> Side<'a, T>) -> Vec<Side<'a, T>> {
    operands.iter().map(|operand| side(*operand)).collect()
}

/// The place of the first mask that is set in each row, or the number of masks.
fn first_set(masks: &[&[bool]], len: usize) -> Vec<u32> {
    let mut first = vec![masks.len() as u32; len];
    for (place, mask) in masks.iter().enumerate().rev() {
        first.iter_mut().zip(*mask).for_each(|(first, set)| *first = if *set { place as u32 } else { *first });
    }
    first
}

/// From the last to the first, so that the first mask that is set has the last word.
fn blend_all<T: Copy>(masks: &[&[bool]], sides: &[Side<'_, T>], len: usize) -> Vec<T> {
    let Some((otherwise, sides)) = sides.split_last() else { unreachable!("there is always a last operand") };
    let mut blended: Option<Vec<T>> = None;
    for (mask, side) in masks.iter().zip(sides).rev() {
        let below = blended.as_deref().map_or(*otherwise, Side::Column);
        blended = Some(blend(mask, *side, below));
    }
    blended.unwrap_or_else(|| map2(*otherwise, Side::Scalar(()), len, |value, ()| value))
}

fn blend<T: Copy>(mask: &[bool], a: Side<'_, T>, b: Side<'_, T>) -> Vec<T> {
    let rows = mask.iter();
    match (a, b) {
        (Side::Column(a), Side::Column(b)) => {
            rows.zip(a).zip(b).map(|((set, a), b)| if *set { *a } else { *b }).collect()
        }
        (Side::Column(a), Side::Scalar(b)) => rows.zip(a).map(|(set, a)| if *set { *a } else { b }).collect(),
        (Side::Scalar(a), Side::Column(b)) => rows.zip(b).map(|(set, b)| if *set { a } else { *b }).collect(),
        (Side::Scalar(a), Side::Scalar(b)) => rows.map(|set| if *set { a } else { b }).collect(),
    }
}

/// The text that each row takes. Where all texts lie in one buffer, only spans are copied.
fn pick(texts: &[TextSide<'_>], taken: &[u32], validity: Option<Vec<bool>>) -> Evaluated {
    let mut buffer: Option<&Arc<Vec<u8>>> = None;
    let one_buffer = texts.iter().all(|text| match text {
        TextSide::Scalar(value) => value.is_empty(),
        TextSide::Column(text) => Arc::ptr_eq(buffer.get_or_insert(&text.bytes), &text.bytes),
    });
    match buffer {
        Some(bytes) if one_buffer => {
            let span = |(row, place): (usize, &u32)| match texts[*place as usize] {
                TextSide::Column(text) => text.spans[row],
                TextSide::Scalar(_) => Span::default(),
            };
            let spans = taken.iter().enumerate().map(span).collect();
            Evaluated::new(Values::Text(Text { bytes: Arc::clone(bytes), spans }), validity)
        }
        _ => build(validity, taken.len(), |row, bytes| {
            bytes.extend_from_slice(texts[taken[row] as usize].get(row));
            Ok(())
        }),
    }
}

pub(super) fn null_if(a: Operand<'_>, b: Operand<'_>, physical: Physical, len: usize) -> Evaluated {
    let equal = holds(Comparison::Eq, a, b, physical, len);
    let equal = map2(Side::Column(&equal), b.validity(), len, |equal, valid| equal & valid);
    let validity = map2(a.validity(), Side::Column(&equal), len, |valid, equal| valid & !equal);
    Evaluated::new(a.to_values(physical, len), validity.contains(&false).then_some(validity))
}

/// The greatest or least of the values that are not NULL, two at a time.
pub(super) fn extreme(operands: &[Operand<'_>], physical: Physical, greatest: bool, len: usize) -> Evaluated {
    let (first, others) = (operands[0], &operands[1..]);
    let mut result: Option<Evaluated> = None;
    for other in others {
        let so_far = result.as_ref().map_or(first, |result| Operand::Column(&result.column));
        result = Some(extreme_of_two(so_far, *other, physical, greatest, len));
    }
    result.unwrap_or_else(|| Evaluated::new(first.to_values(physical, len), strict(&[first], len)))
}

fn extreme_of_two(a: Operand<'_>, b: Operand<'_>, physical: Physical, greatest: bool, len: usize) -> Evaluated {
    let valid = (a.validity(), b.validity());
    let validity = match valid {
        (Side::Scalar(true), _) | (_, Side::Scalar(true)) => None,
        (a, b) => Some(map2(a, b, len, |a, b| a | b)),
    };
    let values = match (physical, greatest) {
        (Physical::Int, true) => Values::Int(merge(a.ints(), b.ints(), valid, len, i64::max)),
        (Physical::Int, false) => Values::Int(merge(a.ints(), b.ints(), valid, len, i64::min)),
        (Physical::Double, true) => Values::Double(merge(a.doubles(), b.doubles(), valid, len, f64::max)),
        (Physical::Double, false) => Values::Double(merge(a.doubles(), b.doubles(), valid, len, f64::min)),
        (Physical::Bool, true) => Values::Bool(merge(a.bools(), b.bools(), valid, len, |a, b| a | b)),
        (Physical::Bool, false) => Values::Bool(merge(a.bools(), b.bools(), valid, len, |a, b| a & b)),
        (Physical::Text, _) => {
            let wanted = if greatest { Comparison::Ge } else { Comparison::Le };
            let first = holds(wanted, a, b, physical, len);
            let (valid_a, valid_b) = valid;
            let taken = (0..len).map(|row| u32::from(!(valid_a.get(row) && (first[row] || !valid_b.get(row)))));
            return pick(&[a.texts(), b.texts()], &taken.collect::<Vec<u32>>(), validity);
        }
    };
    Evaluated::new(values, validity)
}

/// `pick` of both values, or the one that is not NULL: a NULL is first replaced by the other value.
#[inline]
fn merge<T: Copy>(
    a: Side<'_, T>,
    b: Side<'_, T>,
    (valid_a, valid_b): (Side<'_, bool>, Side<'_, bool>),
    len: usize,
    pick: impl Fn(T, T) -> T,
) -> Vec<T> {
    let fill = |value: Side<'_, T>, valid: Side<'_, bool>, other: Side<'_, T>| match valid {
        Side::Scalar(true) => None,
        Side::Scalar(false) => Some(map2(other, Side::Scalar(()), len, |other, ()| other)),
        Side::Column(flags) => Some(blend(flags, value, other)),
    };
    let (filled_a, filled_b) = (fill(a, valid_a, b), fill(b, valid_b, a));
    let a = filled_a.as_deref().map_or(a, Side::Column);
    let b = filled_b.as_deref().map_or(b, Side::Column);
    map2(a, b, len, pick)
}
