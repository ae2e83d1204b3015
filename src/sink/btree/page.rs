//! Pages: one under construction, and those that are done and wait to be written. Knows nothing of trees.

use std::ops::Range;

use crate::sink::btree::Format;
use crate::sink::btree::bytes::put;
use crate::sink::direct_file::{AlignedBytes, aligned_bytes};

/// What a page is (section 1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageKind {
    TableLeaf,
    TableInterior,
    IndexLeaf,
    IndexInterior,
}

impl PageKind {
    fn flag(self) -> u8 {
        match self {
            PageKind::IndexInterior => 2,
            PageKind::TableInterior => 5,
            PageKind::IndexLeaf => 10,
            PageKind::TableLeaf => 13,
        }
    }

    fn has_children(self) -> bool {
        matches!(self, PageKind::IndexInterior | PageKind::TableInterior)
    }

    fn header_bytes(self) -> usize {
        if self.has_children() { 12 } else { 8 }
    }
}

/// The fewest bytes of a cell.
const CELL_MIN: usize = 4;

/// The bytes of a cell's place.
const POINTER_BYTES: usize = 2;

/// A page under construction.
#[derive(Debug)]
pub(super) struct Page {
    kind: PageKind,
    format: Format,
    image: Vec<u8>,
    /// Where the place of the next cell goes.
    pointers_end: usize,
    /// Where the last cell begins.
    content: usize,
}

impl Page {
    pub(super) fn new(kind: PageKind, format: Format) -> Self {
        Page {
            kind,
            format,
            image: vec![0; format.page_size],
            pointers_end: kind.header_bytes(),
            content: format.usable,
        }
    }

    /// Whether there is room for a cell of so many bytes.
    #[inline]
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.content - self.pointers_end >= bytes.max(CELL_MIN) + POINTER_BYTES
    }

    /// Appends a cell that fits, given in parts.
    #[inline(always)]
    pub(super) fn push(&mut self, parts: &[&[u8]]) {
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>();
        self.content -= bytes.max(CELL_MIN);
        let mut at = self.content;
        for part in parts {
            put(part, &mut self.image[at..]);
            at += part.len();
        }
        if bytes < CELL_MIN {
            self.image[at..self.content + CELL_MIN].fill(0);
        }
        let place = (self.content as u16).to_be_bytes();
        self.image[self.pointers_end..self.pointers_end + POINTER_BYTES].copy_from_slice(&place);
        self.pointers_end += POINTER_BYTES;
    }

    /// Takes the last cell back.
    pub(super) fn pop(&mut self) -> Vec<u8> {
        let end = if self.pointers_end > self.kind.header_bytes() + POINTER_BYTES {
            let before = self.pointers_end - 2 * POINTER_BYTES;
            usize::from(u16::from_be_bytes([self.image[before], self.image[before + 1]]))
        } else {
            self.format.usable
        };
        let mut cell = self.image[self.content..end].to_vec();
        // Only cells of an index's leaf are taken back that may have been lengthened: one byte of length, then the payload.
        if cell.len() == CELL_MIN && self.kind == PageKind::IndexLeaf {
            cell.truncate(1 + usize::from(cell[0]));
        }
        self.pointers_end -= POINTER_BYTES;
        self.content = end;
        cell
    }

    /// Writes the page's header, hands the page over, and begins the next one.
    pub(super) fn close(&mut self, rightmost: Option<u32>, out: &mut PageBuffer) -> u32 {
        let header = self.kind.header_bytes();
        let cells = ((self.pointers_end - header) / POINTER_BYTES) as u16;
        self.image[0] = self.kind.flag();
        self.image[1..3].fill(0);
        self.image[3..5].copy_from_slice(&cells.to_be_bytes());
        // 65,536 is written as 0, which is what the cast makes of it.
        self.image[5..7].copy_from_slice(&(self.content as u16).to_be_bytes());
        self.image[7] = 0;
        if let Some(child) = rightmost {
            self.image[8..12].copy_from_slice(&child.to_be_bytes());
        }
        // What an earlier page has left there would make files of equal content differ.
        self.image[self.pointers_end..self.content].fill(0);
        self.pointers_end = header;
        self.content = self.format.usable;
        out.append(&self.image)
    }
}

/// Pages that are done and lie one behind the other in the file.
#[derive(Debug)]
pub(in crate::sink) struct PageBuffer {
    format: Format,
    /// How many pages the file has in front of them, and with them.
    behind: u32,
    page_count: u32,
    /// Aligned, so that they can be written past the page cache.
    images: AlignedBytes,
}

impl PageBuffer {
    /// An empty buffer for the pages of a file that has none yet.
    pub(in crate::sink) fn new(format: Format) -> Self {
        PageBuffer { format, behind: 0, page_count: 0, images: aligned_bytes() }
    }

    /// Empties the buffer; the next pages come behind the `page_count` pages of a file.
    pub(in crate::sink) fn restart_behind(&mut self, page_count: u32) {
        self.images.clear();
        (self.behind, self.page_count) = (page_count, page_count);
    }

    /// Takes a page and gives it its number.
    pub(super) fn append(&mut self, image: &[u8]) -> u32 {
        self.page_count += 1;
        if self.page_count == self.format.lock_byte_page() {
            self.page_count += 1;
        }
        self.images.extend_from_slice(image);
        self.page_count
    }

    /// Stretches of pages that lie one behind the other in the file: the number of the first, and where the pages are
    /// among the images.
    pub(in crate::sink) fn stretches(&self) -> impl Iterator<Item = (u32, Range<usize>)> + use<> {
        // The lock-byte page is the only gap that there can be.
        let gap = self.format.lock_byte_page();
        let pages_before = (gap - 1).saturating_sub(self.behind) as usize;
        let bytes_before = (pages_before * self.format.page_size).min(self.images.len());
        [(self.behind + 1, 0..bytes_before), (gap.max(self.behind) + 1, bytes_before..self.images.len())]
            .into_iter()
            .filter(|(_, images)| !images.is_empty())
    }

    /// The pages.
    pub(in crate::sink) fn images(&mut self) -> &mut AlignedBytes {
        &mut self.images
    }

    /// Their bytes in all.
    pub(in crate::sink) fn bytes(&self) -> usize {
        self.images.len()
    }

    /// How many pages the file has in front of these.
    pub(in crate::sink) fn behind(&self) -> u32 {
        self.behind
    }

    /// How many pages the file has with these.
    pub(in crate::sink) fn page_count(&self) -> u32 {
        self.page_count
    }

    /// The sizes of its pages.
    pub(in crate::sink) fn format(&self) -> Format {
        self.format
    }
}
