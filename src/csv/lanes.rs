//! Numbers, dates and timestamps of many rows at once: the same arithmetic on every field and no branch, which a compiler
//! makes vector instructions of. Reads the usual ways to write them, as `chunk::parse` does, which alone decides what a value
//! is; the rest is marked.

use crate::chunk::DataType;
use crate::chunk::calendar::MICROS_PER_DAY;
use crate::chunk::decimal::{digit_pairs, number_of_pairs};
use crate::csv::number::POWERS_OF_TEN;
#[cfg(target_arch = "x86_64")]
use crate::csv::simd;
use crate::csv::structure::Level;

/// So many rows at once: their bytes and what is made of them stay in the first cache.
pub(super) const LANES: usize = 128;

/// How the fields of a column are read.
#[derive(Debug)]
pub(super) enum Kind {
    /// `-?digits[.digits]` of up to eight bytes.
    Number(NumberFormat),
    /// `YYYY-MM-DD`.
    Date,
    /// `YYYY-MM-DD HH:MM:SS`, also with a `T` between the two or a `Z` behind them.
    Timestamp,
}

impl Kind {
    /// For columns of a type; `None` for types that are not read so.
    pub(super) fn of(data_type: DataType) -> Option<Kind> {
        match data_type {
            DataType::Integer => Some(Kind::Number(NumberFormat::integer())),
            DataType::Decimal { precision, scale } => Some(Kind::Number(NumberFormat::decimal(precision, scale))),
            DataType::Date => Some(Kind::Date),
            DataType::Timestamp => Some(Kind::Timestamp),
            DataType::Double | DataType::Boolean | DataType::Text => None,
        }
    }
}

/// What numbers a column takes.
#[derive(Debug)]
pub(super) struct NumberFormat {
    /// What the digits are multiplied by: without a point, with one behind them, and then with one, two and more digits behind
    /// it. Zero where that is not read here.
    factors: [u64; 1 + BYTES],
    /// So many digits behind a point are one too many, whatever is in front of them.
    places: usize,
    /// No product is as great.
    limit: u64,
}

/// Bytes of a word, the longest number that is read here.
const BYTES: usize = size_of::<u64>();

impl NumberFormat {
    /// Whole numbers without a point.
    fn integer() -> Self {
        let mut factors = [0; 1 + BYTES];
        factors[0] = 1;
        NumberFormat { factors, places: 0, limit: u64::MAX }
    }

    /// Numbers of that precision, in units of the last one of `scale` digits behind the point.
    fn decimal(precision: u8, scale: u8) -> Self {
        let factor = |behind: usize| {
            let missing = usize::from(scale).checked_sub(behind)?;
            // The product of eight digits with a greater one may leave 64 bits.
            u32::try_from(*POWERS_OF_TEN.get(missing)?).ok()
        };
        let factors = std::array::from_fn(|place| factor(place.saturating_sub(1)).map_or(0, u64::from));
        let limit = POWERS_OF_TEN.get(usize::from(precision)).map_or(0, |limit| *limit as u64);
        NumberFormat { factors, places: BYTES.min(usize::from(scale) + 1), limit }
    }
}

/// Fields of up to `LANES` rows, and what they say.
#[derive(Debug)]
pub(super) struct Lanes {
    level: Level,
    /// Of a number the eight bytes in front of its end, of a date all but its first two.
    words: [u64; LANES],
    /// Of a date the first two bytes.
    centuries: [u64; LANES],
    /// Of a timestamp the eight bytes of the time of day.
    times: [u64; LANES],
    /// Their lengths, of a timestamp that of its date; zero for those that are not read here.
    lens: [u64; LANES],
    values: [i64; LANES],
    /// Zero for those of which there is a value.
    unread: [u64; LANES],
}

impl Lanes {
    pub(super) fn new(level: Level) -> Self {
        let (words, values) = ([0; LANES], [0; LANES]);
        Lanes { level, words, centuries: words, times: words, lens: words, values, unread: words }
    }

    /// Reads fields, given by start and end, no more than `LANES` of them. Returns a value for each, and a flag that is not zero
    /// where the value means nothing because the field is written in another way, or has none.
    pub(super) fn read(
        &mut self,
        kind: &Kind,
        bytes: &[u8],
        fields: impl ExactSizeIterator<Item = (usize, usize)>,
    ) -> (&[i64], &mut [u64]) {
        let rows = fields.len();
        match kind {
            Kind::Number(_) => self.load_numbers(bytes, fields),
            Kind::Date => self.load_dates(bytes, fields),
            Kind::Timestamp => self.load_timestamps(bytes, fields),
        }
        match self.level {
            Level::Portable => self.compute(kind),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => simd::compute_avx2(self, kind),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => simd::compute_avx512(self, kind),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => unreachable!("not a level of this machine"),
        }
        (&self.values[..rows], &mut self.unread[..rows])
    }

    // The loops that load are functions of their own, which leaves each of them all registers.

    #[inline(never)]
    fn load_numbers(&mut self, bytes: &[u8], fields: impl Iterator<Item = (usize, usize)>) {
        for ((start, end), lane) in fields.zip(0..LANES) {
            let last = bytes[..end].last_chunk();
            self.words[lane] = last.map_or(0, |last| u64::from_le_bytes(*last));
            self.lens[lane] = if last.is_some() { (end - start) as u64 } else { 0 };
        }
    }

    #[inline(never)]
    fn load_dates(&mut self, bytes: &[u8], fields: impl Iterator<Item = (usize, usize)>) {
        for ((start, end), lane) in fields.zip(0..LANES) {
            self.lens[lane] = 0;
            if let Some(date) = bytes[start..end].first_chunk::<10>() {
                (self.centuries[lane], self.words[lane]) = date_words(date);
                self.lens[lane] = (end - start) as u64;
            }
        }
    }

    #[inline(never)]
    fn load_timestamps(&mut self, bytes: &[u8], fields: impl Iterator<Item = (usize, usize)>) {
        for ((start, end), lane) in fields.zip(0..LANES) {
            let field = &bytes[start..end];
            self.lens[lane] = 0;
            if let Some(text) = field.first_chunk::<19>()
                && matches!(text[10], b' ' | b'T')
                && matches!(field[19..], [] | [b'Z'])
                && let (Some(date), Some(of_day)) = (text.first_chunk::<10>(), text.last_chunk())
            {
                (self.centuries[lane], self.words[lane]) = date_words(date);
                self.times[lane] = u64::from_le_bytes(*of_day);
                self.lens[lane] = 10;
            }
        }
    }

    /// What the fields say that were loaded. Inlined, so that each level has it in its own instructions.
    #[inline(always)]
    pub(super) fn compute(&mut self, kind: &Kind) {
        match kind {
            // Fewer places where a point may stand are fewer comparisons.
            Kind::Number(format) => match format.places {
                0 => self.compute_numbers::<0>(format),
                1..=3 => self.compute_numbers::<3>(format),
                _ => self.compute_numbers::<BYTES>(format),
            },
            Kind::Date => self.compute_dates(),
            Kind::Timestamp => {
                self.compute_dates();
                self.add_times();
            }
        }
    }

    /// Numbers with a point in front of fewer than `PLACES` digits.
    #[inline(always)]
    fn compute_numbers<const PLACES: usize>(&mut self, format: &NumberFormat) {
        const LAST_BIT_OF_BYTES: u64 = bytes_of(0x80);
        for lane in 0..LANES {
            let (word, len) = (self.words[lane], self.lens[lane]);
            let negative = u64::from(word >> bits_in_front(len) & 0xFF == u64::from(b'-'));
            let digits = len.wrapping_sub(negative);
            let in_text = !0 << bits_in_front(digits);
            let word = word & in_text | bytes_of(b'0') & !in_text;
            // The last bit of the first byte that is a point.
            let points = word ^ bytes_of(b'.');
            let found = points.wrapping_sub(bytes_of(1)) & !points & LAST_BIT_OF_BYTES;
            let point = found & found.wrapping_neg();
            // The digits in front of the point move up by one byte, over it.
            let in_front = (point >> 7).wrapping_sub(1);
            let up_to_point = in_front << 8 | 0xFF;
            let without_point = word & !up_to_point | (word & in_front) << 8 | u64::from(b'0');
            let (pairs, wrong) = pairs_of_digits(if point == 0 { word } else { without_point });
            let mut factor = if point == 0 { format.factors[0] } else { 0 };
            for behind in 0..PLACES {
                let is_there = point == 0x80 << (8 * (BYTES - 1 - behind));
                factor |= if is_there { format.factors[1 + behind] } else { 0 };
            }
            // That it has no more than 32 bits makes one multiplication of it, and not three.
            let units = number_of_pairs(pairs) * (factor & 0xFFFF_FFFF);
            self.values[lane] = (units ^ negative.wrapping_neg()).wrapping_add(negative) as i64;
            self.unread[lane] = wrong
                | u64::from(factor == 0)
                | u64::from(units >= format.limit)
                | u64::from(len > BYTES as u64)
                | u64::from(digits.wrapping_sub(1) >= BYTES as u64)
                | u64::from(point != 0) & u64::from(digits == 1);
        }
    }

    #[inline(always)]
    fn compute_dates(&mut self) {
        for lane in 0..LANES {
            let (rest, not_dashes) = three_parts(self.words[lane], b'-');
            let (pairs, wrong) = pairs_of_digits(self.centuries[lane] | rest << 16);
            let pair = |place: u32| (pairs >> (16 * place)) as u32 & 0xFF;
            let (century, year_of_century, month, day) = (pair(0), pair(1), pair(2), pair(3));
            let leap = u32::from((if year_of_century == 0 { century } else { year_of_century }).is_multiple_of(4));
            // From August on it is the even months that are long.
            let last = if month == 2 { 28 + leap } else { 30 + ((month + (month >> 3)) & 1) };
            // Years that begin in March, counted from 400 years before year 0 so that nothing is negative; the leap day is then
            // the last day of its year.
            let early = u32::from(month <= 2);
            let year = century * 100 + year_of_century + 400 - early;
            let centuries = century + 4 - (early & u32::from(year_of_century == 0));
            let month_from_march = month.wrapping_add(12 * early).wrapping_sub(3);
            let days = (year * 365 + (year >> 2) - centuries + (centuries >> 2))
                .wrapping_add(153u32.wrapping_mul(month_from_march).wrapping_add(2) / 5)
                .wrapping_add(day)
                .wrapping_sub(1);
            self.values[lane] = i64::from(days) - DAYS_TO_1970;
            self.unread[lane] = wrong
                | not_dashes
                | u64::from(self.lens[lane] != 10)
                | u64::from(month.wrapping_sub(1) >= 12)
                | u64::from(day.wrapping_sub(1) >= last);
        }
    }

    /// Makes timestamps of dates.
    #[inline(always)]
    fn add_times(&mut self) {
        for lane in 0..LANES {
            let (digits, not_colons) = three_parts(self.times[lane], b':');
            let (pairs, wrong) = pairs_of_digits(digits | bytes_of(b'0') << 48);
            let pair = |place: u32| (pairs >> (16 * place)) as u32 & 0xFF;
            let (hour, minute, second) = (pair(0), pair(1), pair(2));
            let seconds = hour * 3600 + minute * 60 + second;
            self.values[lane] = self.values[lane] * MICROS_PER_DAY + i64::from(seconds) * 1_000_000;
            self.unread[lane] |=
                wrong | not_colons | u64::from(hour > 23) | u64::from(minute > 59) | u64::from(second > 59);
        }
    }
}

/// Days of March of the year -400 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468 + 146_097;

/// Every byte of a word the same.
const fn bytes_of(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Eight digits as four numbers of two, in 16 bits each, and something else than zero if not all of them are digits.
#[inline(always)]
fn pairs_of_digits(word: u64) -> (u64, u64) {
    // High nibbles are 3 for digits and some more, and still are with six added only for digits.
    let high = bytes_of(0xF0);
    let wrong = (word & high | (word.wrapping_add(bytes_of(6)) & high) >> 4) ^ bytes_of(0x33);
    (digit_pairs(word & bytes_of(0x0F)), wrong)
}

/// The six bytes of three parts of two, and something else than zero if not all that stands between them is `separator`.
#[inline(always)]
fn three_parts(word: u64, separator: u8) -> (u64, u64) {
    const SEPARATORS: u64 = 0x0000_FF00_00FF_0000;
    let parts = word & 0xFFFF | (word >> 24 & 0xFFFF) << 16 | word >> 48 << 32;
    (parts, (word ^ bytes_of(separator)) & SEPARATORS)
}

/// How many bits of a word stand in front of its last bytes, of which there are one to eight.
#[inline(always)]
fn bits_in_front(len: u64) -> u64 {
    u64::from(u64::BITS).wrapping_sub(len.wrapping_mul(8)) & 63
}

/// The first two bytes of a date, and the others.
#[inline(always)]
fn date_words(date: &[u8; 10]) -> (u64, u64) {
    let [first, second, rest @ ..] = *date;
    (u64::from(u16::from_le_bytes([first, second])), u64::from_le_bytes(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Scalar, calendar, parse};
    use proptest::prelude::*;

    /// Reads texts that stand one behind the other, with bytes around them that could belong to them.
    fn read(texts: &[String], data_type: DataType, level: Level) -> Vec<Option<i64>> {
        let mut bytes = b"2024-12-".to_vec();
        let mut fields = Vec::new();
        for text in texts {
            bytes.extend_from_slice(b"9.-1");
            fields.push((bytes.len(), bytes.len() + text.len()));
            bytes.extend_from_slice(text.as_bytes());
        }
        let kind = Kind::of(data_type).unwrap();
        let mut lanes = Lanes::new(level);
        let chunks = fields.chunks(LANES).flat_map(|fields| {
            let (values, unread) = lanes.read(&kind, &bytes, fields.iter().copied());
            let read = |(value, unread): (&i64, &mut u64)| (*unread == 0).then_some(*value);
            values.iter().zip(unread).map(read).collect::<Vec<_>>()
        });
        chunks.collect()
    }

    fn definition(text: &str, data_type: DataType) -> Option<i64> {
        match parse::parse(text.as_bytes(), data_type) {
            Ok(Scalar::Int(value)) => Some(value),
            _ => None,
        }
    }

    /// All of them are read, and say what they should.
    #[track_caller]
    fn assert_read(texts: &[String], data_type: DataType) {
        let expected: Vec<_> = texts.iter().map(|text| definition(text, data_type)).collect();
        for level in Level::all() {
            for ((read, expected), text) in read(texts, data_type, *level).iter().zip(&expected).zip(texts) {
                assert_eq!(read, expected, "{text} as {data_type}, {level:?}");
            }
        }
    }

    const DECIMAL: DataType = DataType::Decimal { precision: 12, scale: 2 };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_read_is_what_the_definition_says(
            texts in proptest::collection::vec(
                prop_oneof![
                    "[+-]?[0-9]{0,10}",
                    "-?[0-9]{0,5}\\.[0-9]{0,5}",
                    "[0-9.-]{0,9}",
                    "[0-9/:;.-]{10}",
                    "[0-9]{4}-[01][0-9]-[0-3][0-9]",
                    "[0-9]{4}-[01][0-9]-[0-3][0-9][ T_][0-2][0-9]:[0-6][0-9]:[0-6][0-9][Z0.]{0,2}",
                    "[0-9]{0,3}[^0-9][0-9]{0,3}",
                    "\\PC{0,10}",
                ],
                0..2 * LANES,
            ),
            precision in 1u8..=18, scale in 0u8..=18,
        ) {
            let decimal = DataType::Decimal { precision, scale: scale.min(precision) };
            for data_type in [DataType::Integer, decimal, DataType::Date, DataType::Timestamp] {
                for level in Level::all() {
                    for (text, read) in texts.iter().zip(read(&texts, data_type, *level)) {
                        if read.is_some() {
                            prop_assert_eq!(read, definition(text, data_type), "{} as {}, {:?}", text, data_type, level);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_of_up_to_eight_bytes_are_read() {
        let digits = |from: usize, to: usize| &"1234567"[from..to];
        for sign in ["", "-"] {
            let longest = 8 - sign.len();
            let whole: Vec<String> = (1..longest).map(|len| format!("{sign}{}", digits(0, len))).collect();
            assert_read(&whole, DataType::Integer);
            assert_read(&whole, DECIMAL);
            for behind in 0..=2 {
                let lens = behind.max(1)..longest;
                let number = |len| format!("{sign}{}.{}", digits(0, len - behind), digits(len - behind, len));
                assert_read(&lens.map(number).collect::<Vec<_>>(), DECIMAL);
            }
        }
        assert_read(&["12345678", "00000000"].map(str::to_owned), DataType::Integer);
        assert_read(&["9.5", "-9.9", "0"].map(str::to_owned), DataType::Decimal { precision: 2, scale: 1 });
    }

    #[test]
    fn every_day_is_read_and_no_other() {
        for year in [0, 1, 4, 99, 100, 400, 1582, 1600, 1899, 1900, 1970, 1999, 2000, 2023, 2024, 9999] {
            let days = (0..100).flat_map(|month| (0..100).map(move |day| format!("{year:04}-{month:02}-{day:02}")));
            assert_read(&days.collect::<Vec<_>>(), DataType::Date);
        }
        let [first, last] = ["0000-01-01", "9999-12-31"].map(|text| definition(text, DataType::Date).unwrap());
        let days = (first..=last).step_by(11).map(|days| {
            let mut text = Vec::new();
            calendar::write_date(&mut text, days);
            String::from_utf8(text).unwrap()
        });
        assert_read(&days.collect::<Vec<_>>(), DataType::Date);
    }

    #[test]
    fn every_second_of_a_day_is_read_and_no_other() {
        for hour in 0..100 {
            let minutes = (0..100).flat_map(|minute| [0, 1, 9, 10, 59, 60, 99].map(|second| (minute, second)));
            let times = minutes.map(|(minute, second)| format!("2024-02-29T{hour:02}:{minute:02}:{second:02}"));
            assert_read(&times.collect::<Vec<_>>(), DataType::Timestamp);
        }
        let texts = ["0000-01-01 00:00:00", "9999-12-31 23:59:59", "1969-12-31T23:59:59Z", "2023-01-31 10:20:30Z"];
        assert_read(&texts.map(str::to_owned), DataType::Timestamp);
    }

    #[test]
    fn what_stands_at_either_end_of_a_block_is_read_or_left() {
        for (text, data_type) in [("7", DataType::Integer), ("1.5", DECIMAL), ("2024-02-29", DataType::Date)] {
            for level in Level::all() {
                let mut lanes = Lanes::new(*level);
                let (values, unread) =
                    lanes.read(&Kind::of(data_type).unwrap(), text.as_bytes(), [(0, text.len())].into_iter());
                assert!(unread[0] != 0 || Some(values[0]) == definition(text, data_type), "{text}");
            }
        }
    }
}
