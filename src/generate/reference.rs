//! The lookup tables of the transactions feed: SKU groups and US zip codes. Not a gazetteer: the codes are of the real
//! places, but a run of numbers may hold a few that no post office uses.

use std::fmt::Write;

/// The code that stands for every address outside the United States.
const INTERNATIONAL: &str = "00000,International,XX,false";

/// The groups that SKUs belong to, by category; four to each.
const CATEGORIES: [(&str, [&str; 4]); 8] = [
    ("Electronics", ["Phones", "Laptops", "Audio", "Cameras"]),
    ("Home", ["Kitchen", "Bedding", "Lighting", "Storage"]),
    ("Apparel", ["Menswear", "Womenswear", "Footwear", "Outerwear"]),
    ("Beauty", ["Skincare", "Haircare", "Fragrance", "Makeup"]),
    ("Grocery", ["Snacks", "Beverages", "Pantry", "Frozen"]),
    ("Sports", ["Fitness", "Cycling", "Camping", "Team Sports"]),
    ("Toys", ["Puzzles", "Building Sets", "Dolls", "Board Games"]),
    ("Garden", ["Tools", "Plants", "Furniture", "Grills"]),
];
const GROUPS: u32 = 32;

/// One SKU in so many is of high priority, in every group alike.
const HIGH_PRIORITY_EVERY: u32 = 5;

/// Zip codes of one city, numbered without a gap.
pub(super) struct Place {
    city: &'static str,
    pub(super) state: &'static str,
    first_zip: u32,
    zips: u32,
}

impl Place {
    /// The codes. The text has five digits, zeros in front included.
    pub(super) fn zips(&self) -> impl Iterator<Item = u32> + use<> {
        self.first_zip..self.first_zip + self.zips
    }
}

/// `sku_groups.csv`: a group for each of the SKUs, by number alone, so that every seed's data fits every seed's table.
pub(super) fn sku_groups_csv(skus: u32) -> String {
    let mut csv = String::from("sku_id,sku_group,category,is_high_priority\n");
    for sku in 1..=skus {
        let (category, groups) = CATEGORIES[(sku % GROUPS / 4) as usize];
        let group = groups[(sku % 4) as usize];
        let is_high_priority = (sku / GROUPS).is_multiple_of(HIGH_PRIORITY_EVERY);
        // Writing to a String cannot fail.
        let _ = writeln!(csv, "SKU_{sku:05},{group},{category},{is_high_priority}");
    }
    csv
}

/// `us_zip_codes.csv`: every place's codes, and the one for the rest of the world.
pub(super) fn us_zip_codes_csv() -> String {
    let mut csv = format!("zip_code,city,state,is_us\n{INTERNATIONAL}\n");
    for place in PLACES {
        for zip in place.zips() {
            let _ = writeln!(csv, "{zip:05},{},{},true", place.city, place.state);
        }
    }
    csv
}

const fn place(city: &'static str, state: &'static str, first_zip: u32, zips: u32) -> Place {
    Place { city, state, first_zip, zips }
}

/// The larger cities of the larger states, and more of California than its share.
#[rustfmt::skip]
pub(super) const PLACES: &[Place] = &[
    place("Los Angeles", "CA", 90_001, 40),
    place("Santa Monica", "CA", 90_401, 5),
    place("Long Beach", "CA", 90_802, 8),
    place("Pasadena", "CA", 91_101, 7),
    place("Glendale", "CA", 91_201, 8),
    place("Burbank", "CA", 91_501, 6),
    place("San Diego", "CA", 92_101, 24),
    place("San Bernardino", "CA", 92_404, 2),
    place("Riverside", "CA", 92_501, 9),
    place("Irvine", "CA", 92_602, 3),
    place("Santa Ana", "CA", 92_701, 7),
    place("Anaheim", "CA", 92_801, 8),
    place("Bakersfield", "CA", 93_301, 14),
    place("Fresno", "CA", 93_701, 11),
    place("San Francisco", "CA", 94_102, 33),
    place("Oakland", "CA", 94_601, 13),
    place("Berkeley", "CA", 94_702, 9),
    place("San Jose", "CA", 95_110, 30),
    place("Stockton", "CA", 95_202, 11),
    place("Modesto", "CA", 95_350, 9),
    place("Sacramento", "CA", 95_811, 28),
    place("Boston", "MA", 2_108, 12),
    place("Hartford", "CT", 6_103, 4),
    place("Newark", "NJ", 7_102, 7),
    place("Jersey City", "NJ", 7_302, 6),
    place("New York", "NY", 10_001, 12),
    place("Brooklyn", "NY", 11_201, 12),
    place("Buffalo", "NY", 14_201, 12),
    place("Pittsburgh", "PA", 15_201, 12),
    place("Philadelphia", "PA", 19_102, 12),
    place("Washington", "DC", 20_001, 12),
    place("Baltimore", "MD", 21_201, 12),
    place("Richmond", "VA", 23_219, 12),
    place("Raleigh", "NC", 27_601, 10),
    place("Charlotte", "NC", 28_202, 12),
    place("Charleston", "SC", 29_401, 7),
    place("Atlanta", "GA", 30_303, 12),
    place("Jacksonville", "FL", 32_204, 8),
    place("Orlando", "FL", 32_801, 12),
    place("Miami", "FL", 33_125, 12),
    place("Tampa", "FL", 33_602, 12),
    place("Birmingham", "AL", 35_203, 10),
    place("Nashville", "TN", 37_201, 12),
    place("Memphis", "TN", 38_103, 12),
    place("Louisville", "KY", 40_202, 12),
    place("Columbus", "OH", 43_201, 12),
    place("Cleveland", "OH", 44_102, 12),
    place("Cincinnati", "OH", 45_202, 12),
    place("Indianapolis", "IN", 46_201, 12),
    place("Detroit", "MI", 48_201, 12),
    place("Milwaukee", "WI", 53_202, 12),
    place("Minneapolis", "MN", 55_401, 12),
    place("Chicago", "IL", 60_601, 12),
    place("St. Louis", "MO", 63_101, 12),
    place("Kansas City", "MO", 64_105, 10),
    place("Omaha", "NE", 68_102, 12),
    place("New Orleans", "LA", 70_112, 12),
    place("Little Rock", "AR", 72_201, 12),
    place("Oklahoma City", "OK", 73_102, 12),
    place("Dallas", "TX", 75_201, 12),
    place("Fort Worth", "TX", 76_102, 12),
    place("Houston", "TX", 77_002, 12),
    place("San Antonio", "TX", 78_201, 12),
    place("Austin", "TX", 78_721, 12),
    place("El Paso", "TX", 79_901, 12),
    place("Denver", "CO", 80_202, 12),
    place("Salt Lake City", "UT", 84_101, 12),
    place("Phoenix", "AZ", 85_003, 12),
    place("Tucson", "AZ", 85_701, 12),
    place("Albuquerque", "NM", 87_102, 12),
    place("Las Vegas", "NV", 89_101, 12),
    place("Honolulu", "HI", 96_813, 10),
    place("Portland", "OR", 97_201, 12),
    place("Seattle", "WA", 98_101, 12),
    place("Spokane", "WA", 99_201, 8),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn records(csv: &str) -> Vec<Vec<&str>> {
        csv.lines().skip(1).map(|line| line.split(',').collect()).collect()
    }

    #[test]
    fn every_sku_has_a_group() {
        let csv = sku_groups_csv(5_000);
        let records = records(&csv);
        assert_eq!(records.len(), 5_000);
        assert_eq!((records[0][0], records[4_999][0]), ("SKU_00001", "SKU_05000"));
        let distinct = |column: usize| records.iter().map(|record| record[column]).collect::<HashSet<_>>().len();
        assert_eq!([0, 1, 2, 3].map(distinct), [5_000, GROUPS as usize, CATEGORIES.len(), 2]);
        let high = records.iter().filter(|record| record[3] == "true").count();
        assert!((900..1100).contains(&high));
    }

    #[test]
    fn a_smaller_catalogue_is_the_start_of_a_larger_one() {
        assert!(sku_groups_csv(100).starts_with(&sku_groups_csv(10)));
    }

    #[test]
    fn zip_codes_are_unique_and_cover_the_country() {
        let csv = us_zip_codes_csv();
        let records = records(&csv);
        assert!(records.iter().all(|record| record.len() == 4 && record[0].len() == 5));
        let codes: HashSet<&str> = records.iter().map(|record| record[0]).collect();
        assert_eq!(codes.len(), records.len());
        let states: HashSet<&str> = records.iter().map(|record| record[2]).collect();
        assert!(states.len() > 30);
        let abroad: Vec<_> = records.iter().filter(|record| record[3] == "false").collect();
        assert_eq!(abroad, [&["00000", "International", "XX", "false"]]);
    }
}
