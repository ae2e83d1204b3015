//! Names of invented people, in lower case. No list of real ones.

pub(super) const FIRST_NAMES: [&str; 40] = [
    "ada", "ahmed", "alice", "andre", "anna", "ben", "carla", "chen", "clara", "daniel", "diego", "elena", "emma",
    "farid", "felix", "fatima", "grace", "hugo", "ines", "ivan", "jana", "jonas", "julia", "kenji", "lara", "leo",
    "lucia", "marco", "maria", "mei", "nina", "oliver", "omar", "paula", "priya", "sam", "sofia", "tom", "yuki", "zoe",
];
pub(super) const LAST_NAMES: [&str; 40] = [
    "adams", "almeida", "bauer", "becker", "brown", "carter", "chen", "costa", "dubois", "evans", "ferrari", "fischer",
    "garcia", "gupta", "haddad", "hansen", "ito", "jensen", "johnson", "kim", "kowalski", "lopez", "martin", "meyer",
    "miller", "moreau", "nakamura", "novak", "okafor", "olsen", "patel", "ricci", "rossi", "santos", "schmidt",
    "silva", "smith", "tanaka", "weber", "wong",
];
