//! Pages: one under construction, and those that are done and wait to be written. Knows nothing of trees.

use crate::sink::btree::Format;

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
    #[inline]
    pub(super) fn push(&mut self, parts: &[&[u8]]) {
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>();
        self.content -= bytes.max(CELL_MIN);
        let mut at = self.content;
        for part in parts {
            self.image[at..at + part.len()].copy_from_slice(part);
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

/// Pages that are done, one after the other, with their numbers.
#[derive(Debug)]
pub(in crate::sink) struct PageBuffer {
    format: Format,
    next: u32,
    numbers: Vec<u32>,
    images: Vec<u8>,
}

impl PageBuffer {
    /// An empty buffer for the pages of a file that has none yet.
    pub(in crate::sink) fn new(format: Format) -> Self {
        PageBuffer { format, next: 1, numbers: Vec::new(), images: Vec::new() }
    }

    /// Empties the buffer; the next pages come behind the `page_count` pages of a file.
    pub(in crate::sink) fn restart_behind(&mut self, page_count: u32) {
        self.numbers.clear();
        self.images.clear();
        self.next = page_count + 1;
    }

    /// Takes a page and gives it its number.
    pub(super) fn append(&mut self, image: &[u8]) -> u32 {
        if self.next == self.format.lock_byte_page() {
            self.next += 1;
        }
        let number = self.next;
        self.next += 1;
        self.numbers.push(number);
        self.images.extend_from_slice(image);
        number
    }

    /// Stretches of pages that lie one behind the other in the file: the number of the first, and the pages.
    pub(in crate::sink) fn stretches(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let page_size = self.format.page_size;
        // The only gap that there can be.
        let gap = self.numbers.iter().position(|number| *number > self.format.lock_byte_page()).unwrap_or(0);
        let (before, behind) = self.images.split_at(gap * page_size);
        let first_of = |place: usize| self.numbers.get(place).copied().unwrap_or_default();
        [(first_of(0), before), (first_of(gap), behind)].into_iter().filter(|(_, images)| !images.is_empty())
    }

    /// Their bytes in all.
    pub(in crate::sink) fn bytes(&self) -> usize {
        self.images.len()
    }

    /// How many pages the file has with these.
    pub(in crate::sink) fn page_count(&self) -> u32 {
        self.next - 1
    }

    /// The sizes of its pages.
    pub(in crate::sink) fn format(&self) -> Format {
        self.format
    }
}
