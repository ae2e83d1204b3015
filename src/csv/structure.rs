//! Where the delimiters and line feeds of bytes without quotes are. The innermost loop of reading; says nothing about
//! what they delimit.

/// What `find` needs behind the last position that it returns.
pub(super) const SLACK: usize = 8;

/// Writes the offsets of all delimiters and line feeds, ascending, and returns how many there are.
///
/// `positions` is at least `SLACK` longer than `bytes`; what it holds behind the positions means nothing.
pub(super) fn find(bytes: &[u8], delimiter: u8, positions: &mut [u32]) -> usize {
    let mut found = 0;
    let (chunks, rest) = bytes.as_chunks::<64>();
    for (index, chunk) in chunks.iter().enumerate() {
        let mut bits = mask(chunk, delimiter);
        let count = bits.count_ones() as usize;
        let base = index as u32 * 64;
        let mut written = 0;
        // Eight at a time, some of them in vain: cheaper than a branch for each that is seldom predicted.
        while written < count {
            for slot in &mut positions[found + written..][..SLACK] {
                *slot = base + bits.trailing_zeros();
                bits &= bits.wrapping_sub(1);
            }
            written += SLACK;
        }
        found += count;
    }
    let base = bytes.len() - rest.len();
    for (index, byte) in rest.iter().enumerate() {
        positions[found] = (base + index) as u32;
        found += usize::from(*byte == delimiter || *byte == b'\n');
    }
    found
}

/// Bit `i` says whether byte `i` is a delimiter or line feed.
#[inline]
fn mask(chunk: &[u8; 64], delimiter: u8) -> u64 {
    let mut hits = [0u8; 64];
    for (hit, byte) in hits.iter_mut().zip(chunk) {
        *hit = u8::from(*byte == delimiter) | u8::from(*byte == b'\n');
    }
    let (words, _) = hits.as_chunks::<8>();
    // The product brings the eight lowest bits of the bytes together in the highest byte.
    words
        .iter()
        .rev()
        .fold(0, |mask, word| (mask << 8) | (u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_loop_finds(
            bytes in proptest::collection::vec(prop_oneof![Just(b','), Just(b'\n'), any::<u8>()], 0..300),
        ) {
            let mut positions = vec![0; bytes.len() + SLACK];
            let found = find(&bytes, b',', &mut positions);
            let expected: Vec<u32> =
                (0..bytes.len() as u32).filter(|at| matches!(bytes[*at as usize], b',' | b'\n')).collect();
            prop_assert_eq!(&positions[..found], &expected[..]);
        }
    }
}
