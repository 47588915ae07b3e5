//! How Windows wants a command and an environment written: one string each. Pure, and the same on every system.

use std::ffi::OsString;

/// Joins a program and its arguments so that `CommandLineToArgvW` and the C runtime take them apart again: a word with
/// spaces, tabs or quotes is quoted, backslashes are doubled before a quote and nowhere else. `None` when a word holds
/// a NUL, which no command line can.
pub fn command_line(words: &[String]) -> Option<String> {
    if words.iter().any(|word| word.contains('\0')) {
        return None;
    }
    Some(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
}

fn quoted(word: &str) -> String {
    if !word.is_empty() && !word.contains([' ', '\t', '\n', '\u{b}', '"']) {
        return word.to_owned();
    }
    let mut out = String::from('"');
    let mut backslash_count = 0;
    for letter in word.chars() {
        match letter {
            '\\' => backslash_count += 1,
            '"' => {
                // Each backslash before a quote is escaped, and so is the quote.
                out.extend(std::iter::repeat_n('\\', backslash_count + 1));
                backslash_count = 0;
            }
            _ => backslash_count = 0,
        }
        out.push(letter);
    }
    out.extend(std::iter::repeat_n('\\', backslash_count));
    out.push('"');
    out
}

/// Writes an environment as `CREATE_UNICODE_ENVIRONMENT` wants it: `name=value` ended by NUL each, sorted by name
/// without regard to case, a further NUL at the end. Names with `=` or NUL are left out: they cannot be written.
pub fn environment_block(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<u16> {
    let mut entries: Vec<(String, String)> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'))
        .collect();
    entries.sort_by_key(|(name, _)| name.to_uppercase());
    let mut block: Vec<u16> = Vec::new();
    for (name, value) in &entries {
        block.extend(format!("{name}={value}").encode_utf16());
        block.push(0);
    }
    if block.is_empty() {
        block.push(0);
    }
    block.push(0);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str]) -> Option<String> {
        command_line(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn plain_words_stay_and_others_are_quoted() {
        assert_eq!(line(&["palaced.exe", "--palace", "C:\\p"]).unwrap(), "palaced.exe --palace C:\\p");
        assert_eq!(line(&["C:\\my bin\\palaced.exe", ""]).unwrap(), "\"C:\\my bin\\palaced.exe\" \"\"");
        assert_eq!(line(&["a", "nul\0"]), None);
    }

    #[test]
    fn backslashes_count_before_quotes_alone() {
        // The cases of Microsoft's page "Parsing C command-line arguments".
        assert_eq!(line(&["a\\\\b"]).unwrap(), "a\\\\b");
        assert_eq!(line(&["a b\\"]).unwrap(), "\"a b\\\\\"");
        assert_eq!(line(&["a\\\"b"]).unwrap(), "\"a\\\\\\\"b\"");
        assert_eq!(line(&["say \"hi\""]).unwrap(), "\"say \\\"hi\\\"\"");
    }

    #[test]
    fn an_environment_is_sorted_and_ends_twice() {
        let variables = [("b", "2"), ("A", "1"), ("=C:", "C:\\"), ("", "x")];
        let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let text = String::from_utf16(&environment_block(variables)).unwrap();
        assert_eq!(text, "A=1\0b=2\0\0");
        assert_eq!(environment_block([]), [0, 0]);
    }
}
