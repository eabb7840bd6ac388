//! Reads Zstandard files within a bound on memory.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// The frames of a Zstandard file one after the other (RFC 8878 section 3): the decoder ends after the first.
pub struct ZstdFrames<R: BufRead> {
    now: Option<StreamingDecoder<R, FrameDecoder>>,
    rest: Option<R>,
    window_bytes_max: u64,
}

impl<R: BufRead> ZstdFrames<R> {
    /// Reads `input`. A frame that needs a larger window, which is kept in memory, is refused.
    pub fn new(input: R, window_bytes_max: u64) -> Self {
        ZstdFrames { now: None, rest: Some(input), window_bytes_max }
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(mut rest) = self.rest.take() {
                if rest.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                let frame = StreamingDecoder::new_with_max_window_size(rest, self.window_bytes_max);
                self.now = Some(frame.map_err(|error| io::Error::other(format!("zstd: {error}")))?);
            }
            let Some(frame) = &mut self.now else { return Ok(0) };
            match frame.read(buffer)? {
                0 if !buffer.is_empty() => self.rest = self.now.take().map(checked).transpose()?,
                read => return Ok(read),
            }
        }
    }
}

/// The data after a frame, if the frame's checksum is right: the decoder does not check it.
fn checked<R: BufRead>(frame: StreamingDecoder<R, FrameDecoder>) -> io::Result<R> {
    let (rest, decoder) = frame.into_parts();
    match decoder.get_checksum_from_data() {
        Some(said) if decoder.get_calculated_checksum() != Some(said) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "zstd: its checksum is another"))
        }
        _ => Ok(rest),
    }
}
