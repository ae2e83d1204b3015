//! Character encodings other than UTF-8, turned into UTF-8 as the bytes come. Knows the labels of the WHATWG encoding
//! standard; does not guess.

use std::io::{self, Read};

use encoding_rs::Decoder;
use encoding_rs::DecoderResult;

use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::source::Stream;

/// How much undecoded text is read at a time.
const READ_BYTES: usize = 64 << 10;

/// What stands for bytes that mean nothing in an encoding. It is never valid UTF-8, so that the record is rejected where
/// a replacement character would be loaded as if it had been there.
const MALFORMED: u8 = 0xff;

/// Labels for messages.
const EXAMPLES: [&str; 12] = [
    "utf-8",
    "utf-16le",
    "utf-16be",
    "windows-1252",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "windows-1251",
    "gbk",
    "big5",
    "shift_jis",
    "euc-kr",
];

/// A character encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Encoding {
    /// UTF-8, which needs no decoding.
    pub const UTF_8: Self = Encoding(encoding_rs::UTF_8);

    /// The encoding of a label, in any case.
    pub fn parse(label: &str) -> Result<Self> {
        match encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()) {
            Some(encoding) => Ok(Encoding(encoding)),
            None => {
                let known = format!("known are, among others, {}", EXAMPLES.join(", "));
                let help = match did_you_mean(label, EXAMPLES) {
                    Some(hint) => format!("{hint} {known}"),
                    None => known,
                };
                Err(Error::new(ErrorKind::Pipeline, format!("there is no encoding `{label}`")).help(help))
            }
        }
    }

    pub(super) fn decode(self, stream: Stream) -> Stream {
        if self == Encoding::UTF_8 {
            return stream;
        }
        let decoder = self.0.new_decoder_with_bom_removal();
        let input = vec![0; READ_BYTES].into_boxed_slice();
        Box::new(Transcoder { stream, decoder, input, output: Vec::new(), given: 0, ended: false })
    }
}

/// Decodes a block at a time into a buffer of its own and gives from that, so that any buffer it is asked to fill will do.
struct Transcoder {
    stream: Stream,
    decoder: Decoder,
    input: Box<[u8]>,
    output: Vec<u8>,
    /// How much of `output` has been given away.
    given: usize,
    ended: bool,
}

impl Transcoder {
    fn refill(&mut self) -> io::Result<()> {
        let count = self.stream.read(&mut self.input)?;
        self.ended = count == 0;
        let mut rest = &self.input[..count];
        let mut written = 0;
        loop {
            let room = self.decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(usize::MAX);
            self.output.resize(written + room, 0);
            let (result, read, wrote) =
                self.decoder.decode_to_utf8_without_replacement(rest, &mut self.output[written..], self.ended);
            rest = &rest[read..];
            written += wrote;
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    self.output.truncate(written);
                    self.output.push(MALFORMED);
                    written += 1;
                }
            }
        }
        self.output.truncate(written);
        self.given = 0;
        Ok(())
    }
}

impl Read for Transcoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.output.len() && !self.ended {
            self.refill()?;
        }
        let count = buffer.len().min(self.output.len() - self.given);
        buffer[..count].copy_from_slice(&self.output[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}
