//! LIKE and regular expressions over text. Regular expressions come compiled.

use std::sync::Arc;

use regex::bytes::Regex;

use crate::chunk::{Span, Text, Values};
use crate::expr::kernels::text::{character_len, sub_span};
use crate::expr::kernels::{Evaluated, Operand, TextSide, build, is_valid, strict};

pub(super) fn like(a: Operand<'_>, pattern: Operand<'_>, escape: Option<char>, len: usize) -> Evaluated {
    let (texts, patterns) = (a.texts(), pattern.texts());
    let validity = strict(&[a, pattern], len);
    let values = match patterns {
        TextSide::Scalar(pattern) => {
            let pattern = LikePattern::new(pattern, escape);
            (0..len).map(|row| is_valid(&validity, row) && pattern.matches(texts.get(row))).collect()
        }
        TextSide::Column(patterns) => {
            let matches = |row| LikePattern::new(patterns.get(row), escape).matches(texts.get(row));
            (0..len).map(|row| is_valid(&validity, row) && matches(row)).collect()
        }
    };
    Evaluated::new(Values::Bool(values), validity)
}

pub(super) fn matches(a: Operand<'_>, pattern: &Regex, len: usize) -> Evaluated {
    let texts = a.texts();
    let validity = strict(&[a], len);
    let values = (0..len).map(|row| is_valid(&validity, row) && pattern.is_match(texts.get(row))).collect();
    Evaluated::new(Values::Bool(values), validity)
}

/// The part that a group of the first match takes. Of a column no byte is copied.
pub(super) fn extract(a: Operand<'_>, pattern: &Regex, group: usize, len: usize) -> Evaluated {
    let given = strict(&[a], len);
    let texts = a.texts();
    let mut locations = pattern.capture_locations();
    let mut spans = vec![Span::default(); len];
    let mut validity = vec![false; len];
    for (row, (part, valid)) in spans.iter_mut().zip(&mut validity).enumerate() {
        if !is_valid(&given, row) {
            continue;
        }
        let text = texts.get(row);
        let range = match group {
            0 => pattern.find(text).map(|found| found.range()),
            _ => pattern
                .captures_read(&mut locations, text)
                .and_then(|_| locations.get(group))
                .map(|(start, end)| start..end),
        };
        if let Some(range) = range {
            let whole = match texts {
                TextSide::Column(text) => text.spans[row],
                TextSide::Scalar(text) => Span { start: 0, len: text.len() as u32 },
            };
            *part = sub_span(whole, range);
            *valid = true;
        }
    }
    let bytes = match texts {
        TextSide::Column(text) => Arc::clone(&text.bytes),
        TextSide::Scalar(text) => Arc::new(text.to_vec()),
    };
    Evaluated::new(Values::Text(Text { bytes, spans }), validity.contains(&false).then_some(validity))
}

pub(super) fn replace(a: Operand<'_>, pattern: &Regex, replacement: &[u8], all: bool, len: usize) -> Evaluated {
    let texts = a.texts();
    let limit = usize::from(!all);
    build(strict(&[a], len), len, |row, bytes| {
        bytes.extend_from_slice(&pattern.replacen(texts.get(row), limit, replacement));
        Ok(())
    })
}

/// A LIKE pattern, read once.
struct LikePattern {
    tokens: Vec<Token>,
    /// The pattern ends in its ESCAPE character, and matches nothing.
    broken: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// `%`
    Anything,
    /// `_`
    Character,
    /// This byte, ASCII letters in lower case.
    Byte(u8),
}

impl LikePattern {
    fn new(pattern: &[u8], escape: Option<char>) -> Self {
        let mut buffer = [0; 4];
        let escape: Option<&[u8]> = escape.map(|escape| escape.encode_utf8(&mut buffer).as_bytes());
        let mut tokens = Vec::with_capacity(pattern.len());
        let mut rest = pattern;
        while !rest.is_empty() {
            let (character, behind) = rest.split_at(character_len(rest));
            rest = behind;
            if Some(character) == escape {
                if rest.is_empty() {
                    return LikePattern { tokens, broken: true };
                }
                let (escaped, behind) = rest.split_at(character_len(rest));
                tokens.extend(escaped.iter().map(|byte| Token::Byte(byte.to_ascii_lowercase())));
                rest = behind;
            } else {
                match character {
                    b"%" => tokens.push(Token::Anything),
                    b"_" => tokens.push(Token::Character),
                    _ => tokens.extend(character.iter().map(|byte| Token::Byte(byte.to_ascii_lowercase()))),
                }
            }
        }
        LikePattern { tokens, broken: false }
    }

    /// Goes through text and pattern side by side. Where they part, the last `%` takes one more character: an earlier
    /// one never has to.
    fn matches(&self, text: &[u8]) -> bool {
        let tokens = &self.tokens;
        let (mut at, mut token) = (0, 0);
        let mut resume: Option<(usize, usize)> = None;
        while at < text.len() || token < tokens.len() {
            let step = match tokens.get(token) {
                Some(Token::Anything) => {
                    token += 1;
                    resume = Some((at, token));
                    continue;
                }
                Some(Token::Character) if at < text.len() => Some(character_len(&text[at..])),
                Some(Token::Byte(byte)) if text.get(at).is_some_and(|other| other.to_ascii_lowercase() == *byte) => {
                    Some(1)
                }
                _ => None,
            };
            match (step, resume) {
                (Some(step), _) => {
                    at += step;
                    token += 1;
                }
                (None, Some((start, behind))) if start < text.len() => {
                    at = start + character_len(&text[start..]);
                    token = behind;
                    resume = Some((at, behind));
                }
                (None, _) => return false,
            }
        }
        !self.broken
    }
}
