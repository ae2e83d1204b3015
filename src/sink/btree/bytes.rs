//! Copies of short byte strings without a call for each: a large table is made of hundreds of millions of them. Knows nothing
//! of what is in them.

/// Copies bytes to the beginning of `out`, which is as long at least.
#[inline]
pub(super) fn put(bytes: &[u8], out: &mut [u8]) {
    let out = &mut out[..bytes.len()];
    match bytes.len() {
        0 => {}
        1..4 => bytes.iter().zip(out).for_each(|(byte, out)| *out = *byte),
        4..=8 => put_ends::<4>(bytes, out),
        9..=16 => put_ends::<8>(bytes, out),
        17..=32 => put_ends::<16>(bytes, out),
        33..=64 => put_ends::<32>(bytes, out),
        _ => out.copy_from_slice(bytes),
    }
}

/// Copies the first and the last `N` bytes, which together are all of them.
#[inline]
fn put_ends<const N: usize>(bytes: &[u8], out: &mut [u8]) {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) {
        if let Some(out) = out.first_chunk_mut::<N>() {
            *out = *first;
        }
        if let Some(out) = out.last_chunk_mut::<N>() {
            *out = *last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_put_whole_and_nothing_behind_them_changes() {
        for len in 0..200 {
            let bytes: Vec<u8> = (1..=len).collect();
            let mut out = [0; 220];
            put(&bytes, &mut out);
            assert_eq!(out[..bytes.len()], bytes);
            assert!(out[bytes.len()..].iter().all(|byte| *byte == 0), "{len}");
        }
    }
}
