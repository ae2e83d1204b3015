//! Text functions on characters and bytes, with SQLite's rules. Patterns are in `pattern`.

use std::ops::Range;
use std::sync::Arc;

use memchr::memmem::{self, Finder};

use crate::chunk::{Span, Text, Values};
use crate::expr::kernels::{Evaluated, MAX_TEXT_BYTES, Operand, Side, TextSide, build, is_valid, strict, try_each};
use crate::expr::program::{FaultKind, TrimSide};

pub(super) fn concat(operands: &[Operand<'_>], len: usize) -> Evaluated {
    let texts: Vec<TextSide<'_>> = operands.iter().map(|operand| operand.texts()).collect();
    build(strict(operands, len), len, |row, bytes| {
        texts.iter().for_each(|text| bytes.extend_from_slice(text.get(row)));
        Ok(())
    })
}

pub(super) fn concat_skipping_null(operands: &[Operand<'_>], len: usize) -> Evaluated {
    let texts: Vec<(TextSide<'_>, Side<'_, bool>)> =
        operands.iter().map(|operand| (operand.texts(), operand.validity())).collect();
    build(None, len, |row, bytes| {
        for (text, valid) in &texts {
            if valid.get(row) {
                bytes.extend_from_slice(text.get(row));
            }
        }
        Ok(())
    })
}

pub(super) fn lower(a: Operand<'_>, len: usize) -> Evaluated {
    in_case(a, len, <[u8]>::make_ascii_lowercase)
}

pub(super) fn upper(a: Operand<'_>, len: usize) -> Evaluated {
    in_case(a, len, <[u8]>::make_ascii_uppercase)
}

fn in_case(a: Operand<'_>, len: usize, change: impl Fn(&mut [u8])) -> Evaluated {
    let texts = a.texts();
    build(strict(&[a], len), len, |row, bytes| {
        let start = bytes.len();
        bytes.extend_from_slice(texts.get(row));
        change(&mut bytes[start..]);
        Ok(())
    })
}

/// trim(text) or trim(text, characters).
pub(super) fn trim(operands: &[Operand<'_>], side: TrimSide, len: usize) -> Evaluated {
    let characters = operands.get(1).map_or(TextSide::Scalar(b" "), |operand| operand.texts());
    part(operands, len, |row, text| {
        let characters = characters.get(row);
        let start = if side == TrimSide::End { 0 } else { trimmed_start(text, characters) };
        let end = if side == TrimSide::Start { text.len() } else { trimmed_end(text, start, characters) };
        start..end
    })
}

fn trimmed_start(text: &[u8], characters: &[u8]) -> usize {
    let mut start = 0;
    while start < text.len() {
        let next = start + character_len(&text[start..]);
        if !contains(characters, &text[start..next]) {
            break;
        }
        start = next;
    }
    start
}

fn trimmed_end(text: &[u8], start: usize, characters: &[u8]) -> usize {
    let mut end = text.len();
    while end > start {
        let last = text[..end].iter().rposition(|byte| !is_continuation(*byte)).unwrap_or(0);
        if !contains(characters, &text[last..end]) {
            break;
        }
        end = last;
    }
    end
}

fn contains(characters: &[u8], character: &[u8]) -> bool {
    let mut rest = characters;
    while !rest.is_empty() {
        let (first, others) = rest.split_at(character_len(rest));
        if first == character {
            return true;
        }
        rest = others;
    }
    false
}

pub(super) fn replace(a: Operand<'_>, from: Operand<'_>, to: Operand<'_>, len: usize) -> Evaluated {
    let (texts, from_texts, to_texts) = (a.texts(), from.texts(), to.texts());
    let fixed = if let TextSide::Scalar(from) = from_texts { Some(Finder::new(from)) } else { None };
    build(strict(&[a, from, to], len), len, |row, bytes| {
        let (text, from, to) = (texts.get(row), from_texts.get(row), to_texts.get(row));
        if from.is_empty() {
            bytes.extend_from_slice(text);
            return Ok(());
        }
        let own;
        let finder = match &fixed {
            Some(finder) => finder,
            None => {
                own = Finder::new(from);
                &own
            }
        };
        let (first, mut rest) = (bytes.len(), 0);
        for at in finder.find_iter(text) {
            bytes.extend_from_slice(&text[rest..at]);
            bytes.extend_from_slice(to);
            rest = at + from.len();
            if bytes.len() - first > MAX_TEXT_BYTES {
                return Err(FaultKind::Overflow);
            }
        }
        bytes.extend_from_slice(&text[rest..]);
        Ok(())
    })
}

/// substr(text, start) or substr(text, start, length).
pub(super) fn substr(operands: &[Operand<'_>], len: usize) -> Evaluated {
    let starts = operands[1].ints();
    let lengths = operands.get(2).map_or(Side::Scalar(i64::MAX), |operand| operand.ints());
    part(operands, len, |row, text| {
        let characters = characters_between(text, starts.get(row), lengths.get(row));
        let start = byte_of_character(text, characters.start);
        start..start + byte_of_character(&text[start..], characters.end - characters.start)
    })
}

/// The characters that SQLite's substr takes: a negative start counts from the end; start 0 is a place in front of the
/// first character; a negative length takes what is in front of the start.
fn characters_between(text: &[u8], start: i64, length: i64) -> Range<u64> {
    let start = match start {
        ..0 => i128::from(start) + i128::from(characters_in(text)),
        0 => -1,
        _ => i128::from(start) - 1,
    };
    let length = i128::from(length);
    let (from, to) = if length < 0 { (start + length, start) } else { (start, start + length) };
    let place = |at: i128| u64::try_from(at.max(0)).unwrap_or(u64::MAX);
    place(from)..place(to).max(place(from))
}

/// The byte at which a character starts, or the length of the text if it has fewer characters.
fn byte_of_character(text: &[u8], character: u64) -> usize {
    let limit = usize::try_from(character).unwrap_or(usize::MAX);
    if text[..limit.min(text.len())].is_ascii() {
        return limit.min(text.len());
    }
    let mut at = 0;
    for _ in 0..limit {
        if at >= text.len() {
            break;
        }
        at += character_len(&text[at..]);
    }
    at
}

pub(super) fn length(a: Operand<'_>, len: usize) -> Evaluated {
    let texts = a.texts();
    try_each(&[a], len, Values::Int, |row| Ok(Some(characters_in(texts.get(row)))))
}

pub(super) fn strpos(a: Operand<'_>, part: Operand<'_>, len: usize) -> Evaluated {
    let (texts, parts) = (a.texts(), part.texts());
    try_each(&[a, part], len, Values::Int, |row| {
        let text = texts.get(row);
        Ok(Some(memmem::find(text, parts.get(row)).map_or(0, |at| characters_in(&text[..at]) + 1)))
    })
}

pub(super) fn starts_with(a: Operand<'_>, prefix: Operand<'_>, len: usize) -> Evaluated {
    let (texts, prefixes) = (a.texts(), prefix.texts());
    let values = (0..len).map(|row| texts.get(row).starts_with(prefixes.get(row))).collect();
    Evaluated::new(Values::Bool(values), strict(&[a, prefix], len))
}

/// A strict function whose result is a part of its first argument: of a column no byte is copied.
fn part(operands: &[Operand<'_>], len: usize, range: impl Fn(usize, &[u8]) -> Range<usize>) -> Evaluated {
    let validity = strict(operands, len);
    match operands[0].texts() {
        TextSide::Scalar(text) => build(validity, len, |row, bytes| {
            bytes.extend_from_slice(&text[range(row, text)]);
            Ok(())
        }),
        TextSide::Column(text) => {
            let span = |row: usize| {
                if !is_valid(&validity, row) {
                    return Span::default();
                }
                let part = range(row, text.get(row));
                sub_span(text.spans[row], part)
            };
            let spans = (0..len).map(span).collect();
            Evaluated::new(Values::Text(Text { bytes: Arc::clone(&text.bytes), spans }), validity)
        }
    }
}

/// A part of a span.
pub(super) fn sub_span(span: Span, part: Range<usize>) -> Span {
    Span { start: span.start + part.start as u32, len: part.len() as u32 }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

fn characters_in(text: &[u8]) -> i64 {
    text.iter().filter(|byte| !is_continuation(**byte)).count() as i64
}

/// How many bytes the first character of a text has.
pub(super) fn character_len(text: &[u8]) -> usize {
    1 + text[1..].iter().take_while(|byte| is_continuation(**byte)).count()
}
