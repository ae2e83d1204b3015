//! `structure` and `lanes` with the vector instructions of x86-64: the one file with `unsafe` in it. Each function finds what
//! the portable one finds, which the tests compare.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8,
    _mm512_add_epi32, _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask, _mm512_cvtepu8_epi32, _mm512_extracti32x4_epi32,
    _mm512_loadu_si512, _mm512_maskz_compress_epi8, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_storeu_si512,
};

use crate::csv::lanes::{Kind, Lanes};
use crate::csv::structure::{Found, STEP, for_each_step, push_places};

/// Whether this machine can run what has AVX2 in its name here.
pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt")
}

/// Whether this machine can run what has AVX-512 in its name here.
pub(super) fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vbmi2")
}

/// `structure::find_portable` with AVX2.
///
/// # Panics
/// If the machine has no AVX2.
pub(super) fn find_avx2(bytes: &[u8], delimiter: u8, first: u32, places: &mut [u32]) -> Found {
    assert!(has_avx2());
    // SAFETY: the machine has the instructions, as was asked just now.
    unsafe { avx2(bytes, delimiter, first, places) }
}

/// `structure::find_portable` with AVX-512.
///
/// # Panics
/// If the machine has no AVX-512 with VBMI2.
pub(super) fn find_avx512(bytes: &[u8], delimiter: u8, first: u32, places: &mut [u32]) -> Found {
    assert!(has_avx512());
    // SAFETY: the machine has the instructions, as was asked just now.
    unsafe { avx512(bytes, delimiter, first, places) }
}

/// `Lanes::compute` with AVX2.
///
/// # Panics
/// If the machine has no AVX2.
pub(super) fn compute_avx2(lanes: &mut Lanes, kind: &Kind) {
    assert!(has_avx2());
    // SAFETY: the machine has the instructions, as was asked just now.
    unsafe { lanes_avx2(lanes, kind) }
}

/// `Lanes::compute` with AVX-512.
///
/// # Panics
/// If the machine has no AVX-512 with VBMI2.
pub(super) fn compute_avx512(lanes: &mut Lanes, kind: &Kind) {
    assert!(has_avx512());
    // SAFETY: the machine has the instructions, as was asked just now.
    unsafe { lanes_avx512(lanes, kind) }
}

#[target_feature(enable = "avx2,bmi1,popcnt")]
fn lanes_avx2(lanes: &mut Lanes, kind: &Kind) {
    lanes.compute(kind);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi2,avx2,bmi1,popcnt")]
fn lanes_avx512(lanes: &mut Lanes, kind: &Kind) {
    lanes.compute(kind);
}

#[target_feature(enable = "avx2,bmi1,popcnt")]
fn avx2(bytes: &[u8], delimiter: u8, first: u32, places: &mut [u32]) -> Found {
    let (delimiters, feeds) = (_mm256_set1_epi8(delimiter as i8), _mm256_set1_epi8(b'\n' as i8));
    let mut found = Found::NOTHING;
    for_each_step(bytes, |base, step, used| {
        let (halves, _) = step.as_chunks::<{ STEP / 2 }>();
        let [low, high] = [load_half(&halves[0]), load_half(&halves[1])];
        let mask = |wanted| {
            let half = |bytes| u64::from(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, wanted)) as u32);
            (half(low) | half(high) << 32) & used
        };
        let feeds = mask(feeds);
        let bits = mask(delimiters) | feeds;
        push_places(bits, first + base, &mut places[found.all..]);
        found.add(bits, feeds);
    });
    found
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi2,avx2,bmi1,popcnt")]
fn avx512(bytes: &[u8], delimiter: u8, first: u32, places: &mut [u32]) -> Found {
    let (delimiters, feeds) = (_mm512_set1_epi8(delimiter as i8), _mm512_set1_epi8(b'\n' as i8));
    let offsets = load(&std::array::from_fn(|offset| offset as u8));
    let mut found = Found::NOTHING;
    for_each_step(bytes, |base, step, used| {
        let step = load(step);
        let feeds = _mm512_cmpeq_epi8_mask(step, feeds) & used;
        let bits = _mm512_cmpeq_epi8_mask(step, delimiters) & used | feeds;
        // The offsets of the bits, one byte each, move to the front; sixteen at a time become places.
        let packed = _mm512_maskz_compress_epi8(bits, offsets);
        let mut store = |at: usize, sixteen: __m128i| {
            let wide = _mm512_add_epi32(_mm512_cvtepu8_epi32(sixteen), _mm512_set1_epi32((first + base) as i32));
            store_sixteen(&mut places[found.all + at..][..16], wide);
        };
        store(0, _mm512_castsi512_si128(packed));
        if bits.count_ones() > 16 {
            store(16, _mm512_extracti32x4_epi32::<1>(packed));
            store(32, _mm512_extracti32x4_epi32::<2>(packed));
            store(48, _mm512_extracti32x4_epi32::<3>(packed));
        }
        found.add(bits, feeds);
    });
    found
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_half(bytes: &[u8; STEP / 2]) -> __m256i {
    // SAFETY: the array has the 32 bytes that are read, and the instruction needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; STEP]) -> __m512i {
    // SAFETY: the array has the 64 bytes that are read, and the instruction needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_sixteen(slots: &mut [u32], values: __m512i) {
    assert_eq!(slots.len(), 16);
    // SAFETY: the slice has the 64 bytes that are written, and the instruction needs no alignment.
    unsafe { _mm512_storeu_si512(slots.as_mut_ptr().cast(), values) }
}
