//! Deflate streams that can be taken up in the middle, and the places where that is possible. The decoder is the one of the
//! miniz_oxide crate, because it tells where blocks end; whoever needs no such places uses a faster one.

use std::io::Read;
use std::io::{self, BufRead};
use std::sync::{Arc, Mutex};

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{BlockBoundaryState, DecompressorOxide, decompress};

use crate::source::checkpoint::Checkpoint;
use crate::source::prefix::PrefixHash;

/// How far in front of the end of the text blocks are looked at. Longer blocks are unusual.
const ZONE_BYTES: u64 = 1 << 20;

/// So much text follows a checkpoint. What stands at the very end is packed in another way when more follows: the last
/// block is not the last any more, and the compressor looks ahead.
const MARGIN_BYTES: u64 = 4 << 10;

/// Text that is unpacked in one go.
const OUTPUT_BYTES: usize = 256 << 10;

/// The last place to go on from so far; whoever knows them adds the check sum and the hash of the text in front of it.
pub(super) type Latest = Arc<Mutex<Option<Checkpoint>>>;

/// Unpacks a stream of which the size is known.
pub(super) struct Inflater<R> {
    packed: R,
    decoder: Box<DecompressorOxide>,
    /// What was taken of the packed bytes, but for the last byte of it.
    packed_hash: PrefixHash,
    last: Option<u8>,
    /// Text that was unpacked, some of it read already: the last `Checkpoint::WINDOW_BYTES` stay.
    output: Box<[u8]>,
    read: usize,
    filled: usize,
    /// Bytes of text up to `filled`.
    text: u64,
    size: u64,
    is_done: bool,
    latest: Latest,
}

impl<R: BufRead> Inflater<R> {
    /// From the beginning, to a text of that size.
    pub(super) fn new(packed: R, size: u64, latest: Latest) -> Self {
        Inflater {
            packed,
            decoder: Box::default(),
            packed_hash: PrefixHash::default(),
            last: None,
            output: vec![0; Checkpoint::WINDOW_BYTES + OUTPUT_BYTES].into(),
            read: 0,
            filled: 0,
            text: 0,
            size,
            is_done: false,
            latest,
        }
    }

    /// From a checkpoint: `packed` begins behind the byte that it lies in, `byte`, and `packed_hash` has taken what stands in
    /// front of that.
    pub(super) fn resume(
        packed: R,
        size: u64,
        latest: Latest,
        checkpoint: &Checkpoint,
        packed_hash: PrefixHash,
        byte: u8,
    ) -> Self {
        let state = BlockBoundaryState {
            num_bits: checkpoint.bits,
            bit_buf: (u16::from(byte) >> (8 - checkpoint.bits)) as u8,
            ..BlockBoundaryState::default()
        };
        let mut inflater = Inflater::new(packed, size, latest);
        *inflater.decoder = DecompressorOxide::from_block_boundary_state(&state);
        inflater.output[..checkpoint.window.len()].copy_from_slice(&checkpoint.window);
        (inflater.read, inflater.filled) = (checkpoint.window.len(), checkpoint.window.len());
        (inflater.packed_hash, inflater.last, inflater.text) = (packed_hash, Some(byte), checkpoint.text);
        inflater
    }

    /// Unpacks some more, up to the end of a block where that is of interest.
    fn unpack(&mut self) -> io::Result<()> {
        if self.filled == self.output.len() {
            self.output.copy_within(self.filled - Checkpoint::WINDOW_BYTES.., 0);
            (self.read, self.filled) = (Checkpoint::WINDOW_BYTES, Checkpoint::WINDOW_BYTES);
        }
        let is_near = self.text + ZONE_BYTES > self.size;
        let input = self.packed.fill_buf()?;
        let mut flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        flags |= if is_near { TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY } else { 0 };
        flags |= if input.is_empty() { 0 } else { TINFL_FLAG_HAS_MORE_INPUT };
        let (status, taken, written) = decompress(&mut self.decoder, input, &mut self.output, self.filled, flags);
        let is_end = input.is_empty();
        if let Some((last, front)) = input[..taken].split_last() {
            self.packed_hash.update(self.last.as_slice());
            self.packed_hash.update(front);
            self.last = Some(*last);
        }
        self.packed.consume(taken);
        self.filled += written;
        self.text += written as u64;
        match status {
            TINFLStatus::Done => self.is_done = true,
            TINFLStatus::BlockBoundary => self.remember(),
            TINFLStatus::HasMoreOutput => {}
            TINFLStatus::NeedsMoreInput if !is_end => {}
            TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "corrupt deflate stream")),
        }
        Ok(())
    }

    /// Remembers where it is, between two blocks, unless that is too near to the end.
    fn remember(&mut self) {
        let (Some(state), Some(byte)) = (self.decoder.block_boundary_state(), self.last) else { return };
        if self.text + MARGIN_BYTES > self.size {
            return;
        }
        let window = self.filled.min(Checkpoint::WINDOW_BYTES);
        let checkpoint = Checkpoint {
            packed: self.packed_hash.bytes(),
            packed_hash: self.packed_hash.finish(),
            bits: state.num_bits,
            low_bits: Checkpoint::low_bits_of(byte, state.num_bits),
            text: self.text,
            crc: None,
            window: self.output[self.filled - window..self.filled].to_vec(),
            parts: Vec::new(),
        };
        if let Ok(mut latest) = self.latest.lock() {
            // An empty block has brought no text, whose check sum is known then.
            let crc = latest.as_ref().filter(|before| before.text == checkpoint.text).and_then(|before| before.crc);
            *latest = Some(Checkpoint { crc, ..checkpoint });
        }
    }
}

impl<R: BufRead> Read for Inflater<R> {
    /// Never reads across a checkpoint, so that whoever counts can tell where it lies.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.filled {
            if self.is_done || buffer.is_empty() {
                return Ok(0);
            }
            self.unpack()?;
        }
        let count = buffer.len().min(self.filled - self.read);
        buffer[..count].copy_from_slice(&self.output[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}
