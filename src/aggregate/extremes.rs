//! The least or greatest value of each group.

use crate::aggregate::format::{self, Damaged, Reader};
use crate::aggregate::{ordered, rows};
use crate::chunk::{Cell, ColumnView, Physical, Selection};

/// Which end of the order is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The least value.
    Least,
    /// The greatest value.
    Greatest,
}

/// What an allocation costs beside its bytes, about.
const ALLOCATION_BYTES: usize = 16;

/// One value for each group.
#[derive(Debug, Clone)]
pub(super) enum Extremes {
    /// Words of `ordered`; for the greatest, their complements, so that the least word is always the one to keep.
    Words { physical: Physical, complement: u64, words: Vec<u64>, seen: Vec<bool> },
    /// Text.
    Texts { end: End, texts: Vec<Option<Box<[u8]>>>, bytes: usize },
}

impl Extremes {
    pub(super) fn new(end: End, physical: Physical) -> Self {
        let complement = if end == End::Greatest { u64::MAX } else { 0 };
        match physical {
            Physical::Text => Extremes::Texts { end, texts: Vec::new(), bytes: 0 },
            _ => Extremes::Words { physical, complement, words: Vec::new(), seen: Vec::new() },
        }
    }

    pub(super) fn resize(&mut self, groups: usize) {
        match self {
            Extremes::Words { words, seen, .. } => {
                words.resize(groups, u64::MAX);
                seen.resize(groups, false);
            }
            Extremes::Texts { texts, .. } => texts.resize(groups, None),
        }
    }

    pub(super) fn update(&mut self, groups: &[u32], view: &ColumnView<'_>, selection: &Selection) {
        match self {
            Extremes::Words { physical, complement, words, seen } => {
                ordered::for_each_word(*physical, groups, view, selection, |group, word| {
                    words[group] = words[group].min(word ^ *complement);
                    seen[group] = true;
                });
            }
            Extremes::Texts { end, texts, bytes } => {
                let values = rows::texts(view);
                rows::for_each_value(groups, view, selection, |group, place| {
                    keep_text(*end, &mut texts[group], values.get(place), bytes);
                });
            }
        }
    }

    pub(super) fn merge(&mut self, other: Extremes, group_of_group: &[u32]) {
        match (self, other) {
            (Extremes::Words { words, seen, .. }, Extremes::Words { words: from, seen: from_seen, .. }) => {
                for ((group, word), was_seen) in group_of_group.iter().zip(from).zip(from_seen) {
                    let group = *group as usize;
                    words[group] = words[group].min(word);
                    seen[group] |= was_seen;
                }
            }
            (Extremes::Texts { end, texts, bytes }, Extremes::Texts { texts: from, .. }) => {
                for (group, text) in group_of_group.iter().zip(from) {
                    if let Some(text) = text {
                        keep_text(*end, &mut texts[*group as usize], &text, bytes);
                    }
                }
            }
            _ => panic!("states of one aggregation"),
        }
    }

    /// The value of a group, NULL without one.
    pub(super) fn get(&self, group: u32) -> Cell<'_> {
        let group = group as usize;
        match self {
            Extremes::Words { physical, complement, words, seen } if seen[group] => {
                ordered::to_cell(words[group] ^ complement, *physical)
            }
            Extremes::Words { .. } => Cell::Null,
            Extremes::Texts { texts, .. } => texts[group].as_deref().map_or(Cell::Null, Cell::Text),
        }
    }

    pub(super) fn store(&self, group: u32, out: &mut Vec<u8>) {
        let group = group as usize;
        match self {
            Extremes::Words { complement, words, seen, .. } if seen[group] => {
                format::put(out, 1);
                format::put_word(out, words[group] ^ complement);
            }
            Extremes::Texts { texts, .. } => match &texts[group] {
                Some(text) => {
                    format::put(out, 1 + text.len() as u64);
                    out.extend_from_slice(text);
                }
                None => format::put(out, 0),
            },
            Extremes::Words { .. } => format::put(out, 0),
        }
    }

    pub(super) fn take_stored(&mut self, group: u32, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let group = group as usize;
        let Some(len) = reader.number()?.checked_sub(1) else { return Ok(()) };
        match self {
            Extremes::Words { complement, words, seen, .. } => {
                words[group] = words[group].min(reader.word()? ^ *complement);
                seen[group] = true;
            }
            Extremes::Texts { end, texts, bytes } => {
                let text = reader.bytes(usize::try_from(len).map_err(|_| Damaged)?)?;
                keep_text(*end, &mut texts[group], text, bytes);
            }
        }
        Ok(())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Extremes::Words { words, seen, .. } => words.capacity() * size_of::<u64>() + seen.capacity(),
            Extremes::Texts { texts, bytes, .. } => texts.capacity() * size_of::<Option<Box<[u8]>>>() + bytes,
        }
    }
}

fn keep_text(end: End, held: &mut Option<Box<[u8]>>, text: &[u8], bytes: &mut usize) {
    match held {
        Some(held) => {
            let further = match end {
                End::Least => text < &**held,
                End::Greatest => text > &**held,
            };
            if further && text.len() == held.len() {
                held.copy_from_slice(text);
            } else if further {
                *bytes = *bytes - held.len() + text.len();
                *held = text.into();
            }
        }
        None => {
            *bytes += text.len() + ALLOCATION_BYTES;
            *held = Some(text.into());
        }
    }
}
