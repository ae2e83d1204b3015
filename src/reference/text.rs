//! SQLite's functions of text, on characters one by one. No NULL and no types here.

/// Removes characters from the start of a text for as long as they are among these.
pub(super) fn trim_start<'a>(text: &'a str, characters: &str) -> &'a str {
    text.trim_start_matches(|character| characters.contains(character))
}

/// Removes characters from the end of a text for as long as they are among these.
pub(super) fn trim_end<'a>(text: &'a str, characters: &str) -> &'a str {
    text.trim_end_matches(|character| characters.contains(character))
}

/// replace(): every occurrence; the text itself if `from` is empty; `None` for a text longer than `longest`.
pub(super) fn replace(text: &str, from: &str, to: &str, longest: usize) -> Option<String> {
    if from.is_empty() {
        return Some(text.to_owned());
    }
    // A long text of short occurrences could become longer than any memory.
    let replaced = text.matches(from).count();
    let length = text.len() - replaced * from.len() + replaced * to.len();
    (length <= longest).then(|| text.replace(from, to))
}

/// substr(): characters are numbered 1, 2, ... from the start and -1, -2, ... from the end; a negative length takes
/// the characters in front of the start. A start of 0 is a place in front of the first character.
pub(super) fn substr(text: &str, start: i64, length: Option<i64>) -> String {
    let characters = text.chars().count() as i128;
    let start = i128::from(start);
    let first = if start < 0 { characters + start + 1 } else { start };
    let (from, to) = match length.map(i128::from) {
        None => (first, i128::MAX),
        Some(length) if length < 0 => (first.max(i128::from(start == 0)) + length, first.max(i128::from(start == 0))),
        Some(length) => (first, first + length),
    };
    text.chars().zip(1..).filter(|(_, place)| (from..to).contains(place)).map(|(character, _)| character).collect()
}

/// The place of the first occurrence in characters from 1; 0 without one.
pub(super) fn position(text: &str, part: &str) -> i64 {
    text.find(part).map_or(0, |at| text[..at].chars().count() as i64 + 1)
}

/// text LIKE pattern ESCAPE escape.
pub(super) fn like(text: &str, pattern: &str, escape: Option<char>) -> bool {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            _ if Some(character) == escape => match characters.next() {
                Some(literal) => Token::Character(literal),
                // An escape character with nothing behind it matches nothing.
                None => return false,
            },
            '%' => Token::AnyText,
            '_' => Token::AnyCharacter,
            literal => Token::Character(literal),
        });
    }
    // Which beginnings of the text the tokens so far match, by their lengths.
    let text: Vec<char> = text.chars().collect();
    let mut matched = vec![false; text.len() + 1];
    matched[0] = true;
    for token in tokens {
        let mut next = vec![false; text.len() + 1];
        for end in 0..=text.len() {
            next[end] = match token {
                Token::AnyText => matched[end] || (end > 0 && next[end - 1]),
                Token::AnyCharacter => end > 0 && matched[end - 1],
                Token::Character(wanted) => end > 0 && matched[end - 1] && text[end - 1].eq_ignore_ascii_case(&wanted),
            };
        }
        matched = next;
    }
    matched[text.len()]
}

/// The longest start of a text that is a whole number, behind white space; empty without one.
pub(super) fn integer_prefix(text: &str) -> &str {
    let text = text.trim_start_matches(is_space);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    match count_digits(digits) {
        0 => "",
        length => &text[..text.len() - digits.len() + length],
    }
}

/// The longest start of a text that is a number, behind white space; empty without one.
pub(super) fn number_prefix(text: &str) -> &str {
    let text = text.trim_start_matches(is_space);
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = count_digits(rest);
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = count_digits(fraction);
        if whole + length == 0 {
            return "";
        }
        rest = &fraction[length..];
    } else if whole == 0 {
        return "";
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let length = count_digits(digits);
        if length > 0 {
            rest = &digits[length..];
        }
    }
    &text[..text.len() - rest.len()]
}

enum Token {
    AnyText,
    AnyCharacter,
    Character(char),
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}

fn count_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sqlite<T: rusqlite::types::FromSql>(sql: &str, parameters: impl rusqlite::Params) -> T {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.query_row(sql, parameters, |row| row.get(0)).unwrap()
    }

    #[test]
    fn prefixes_are_the_longest() {
        for (text, integer, number) in [
            ("12.5e3x", "12", "12.5e3"),
            (" \n-7 8", "-7", "-7"),
            ("1e", "1", "1"),
            ("1e+", "1", "1"),
            ("5.e1", "5", "5.e1"),
            (".5", "", ".5"),
            ("+.", "", ""),
            ("-", "", ""),
            ("e5", "", ""),
            ("", "", ""),
            ("0x10", "0", "0"),
        ] {
            assert_eq!(integer_prefix(text), integer, "{text}");
            assert_eq!(number_prefix(text), number, "{text}");
        }
    }

    proptest! {
        #[test]
        fn substr_agrees_with_sqlite(text in "[ab\u{e9}\u{1F600}]{0,5}", start in -7..8i64, length in -7..8i64) {
            let expected: String = sqlite("SELECT substr(?, ?, ?)", (&text, start, length));
            prop_assert_eq!(substr(&text, start, Some(length)), expected);
            let expected: String = sqlite("SELECT substr(?, ?)", (&text, start));
            prop_assert_eq!(substr(&text, start, None), expected);
        }

        #[test]
        fn like_agrees_with_sqlite(
            text in "[abA%_\u{e9}\u{c9}!]{0,6}",
            pattern in "[abA%_\u{e9}\u{c9}!]{0,6}",
            escape in proptest::option::of(prop::sample::select(vec!['!', '%', '_', 'a'])),
        ) {
            let expected: bool = match escape {
                Some(escape) => sqlite("SELECT ? LIKE ? ESCAPE ?", (&text, &pattern, escape.to_string())),
                None => sqlite("SELECT ? LIKE ?", (&text, &pattern)),
            };
            prop_assert_eq!(like(&text, &pattern, escape), expected);
        }

        #[test]
        fn the_rest_agrees_with_sqlite(
            text in "[ab \u{e9}]{0,6}", part in "[ab \u{e9}]{0,2}", with in "[x\u{e9}]{0,2}",
        ) {
            let pair = (text.as_str(), part.as_str());
            prop_assert_eq!(position(&text, &part), sqlite::<i64>("SELECT instr(?, ?)", pair));
            prop_assert_eq!(trim_start(&text, &part), sqlite::<String>("SELECT ltrim(?, ?)", pair));
            prop_assert_eq!(trim_end(&text, &part), sqlite::<String>("SELECT rtrim(?, ?)", pair));
            let replaced: String = sqlite("SELECT replace(?, ?, ?)", (&text, &part, &with));
            prop_assert_eq!(replace(&text, &part, &with, replaced.len()), Some(replaced.clone()));
            if !part.is_empty() && !replaced.is_empty() {
                prop_assert_eq!(replace(&text, &part, &with, replaced.len() - 1), None);
            }
        }

        #[test]
        fn prefixes_agree_with_sqlite(text in "[ \t+-]{0,2}[0-9.eE+x -]{0,8}") {
            let integer = sqlite::<i64>("SELECT CAST(? AS INTEGER)", [&text]);
            prop_assert_eq!(integer_prefix(&text).parse().unwrap_or(0i64), integer);
            let double = sqlite::<f64>("SELECT CAST(? AS REAL)", [&text]);
            prop_assert_eq!(number_prefix(&text).parse().unwrap_or(0f64), double);
        }
    }
}
