//! Makes a short query out of what a model sends as one.
//!
//! Models paste whole prompts into `query`; their embedding means nothing. The rule is the peer's: short text as it
//! is, otherwise its last question, otherwise its last line of substance, otherwise its end.

/// Text up to this many characters is searched as it is.
const PLAIN_CHARS_MAX: usize = 200;
/// A query is cut to this many characters.
const QUERY_CHARS_MAX: usize = 250;
/// A line shorter than this is no line of substance.
const LINE_CHARS_MIN: usize = 10;

/// A query as it is searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanQuery {
    /// The text to search for.
    pub text: String,
    /// How it was made.
    pub method: Method,
    /// Characters of the text it was made from.
    pub original_chars: usize,
}

/// How a query was made from what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Searched as sent.
    Passthrough,
    /// The last question in it.
    QuestionExtraction,
    /// The last line of substance.
    TailSentence,
    /// Its last characters.
    TailTruncation,
}

impl Method {
    /// Returns the peer's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Passthrough => "passthrough",
            Method::QuestionExtraction => "question_extraction",
            Method::TailSentence => "tail_sentence",
            Method::TailTruncation => "tail_truncation",
        }
    }
}

/// Returns the query to search for; its text is empty when `raw` holds nothing but white space.
pub fn clean(raw: &str) -> CleanQuery {
    let raw = raw.trim();
    let original_chars = raw.chars().count();
    let made = |text: &str, method| CleanQuery { text: bounded(text), method, original_chars };
    if original_chars <= PLAIN_CHARS_MAX {
        return made(raw, Method::Passthrough);
    }
    let lines = || raw.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let asks = |part: &&str| part.trim_end_matches(['"', '\'']).ends_with(['?', '？']);
    let substantial = |part: &&str| part.chars().count() >= LINE_CHARS_MIN;
    let question = lines().find(asks).map(|line| {
        line.split_inclusive(['.', '!', '?', '？']).map(str::trim).rev().find(asks).unwrap_or(line)
    });
    if let Some(question) = question.filter(substantial) {
        return made(question, Method::QuestionExtraction);
    }
    match lines().find(substantial) {
        Some(line) if line.chars().count() <= QUERY_CHARS_MAX => made(line, Method::TailSentence),
        _ => made(raw, Method::TailTruncation),
    }
}

/// Returns the last [`QUERY_CHARS_MAX`] characters without wrapping quotes.
fn bounded(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(QUERY_CHARS_MAX);
    let tail: String = text.chars().skip(skip).collect();
    tail.trim().trim_matches(['"', '\'']).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, text: &str, method: Method) {
        let query = clean(raw);
        assert_eq!((query.text.as_str(), query.method), (text, method));
    }

    #[test]
    fn short_text_is_searched_as_it_is() {
        check("  where is the key? ", "where is the key?", Method::Passthrough);
        check("", "", Method::Passthrough);
    }

    #[test]
    fn a_pasted_prompt_is_reduced_to_its_question_or_its_end() {
        let noise = "You are a helpful assistant with many rules\n".repeat(20);
        check(
            &format!("{noise}What did we decide about auth?"),
            "What did we decide about auth?",
            Method::QuestionExtraction,
        );
        check(&format!("{noise}auth migration decision"), "auth migration decision", Method::TailSentence);
        let wall = "x".repeat(600);
        check(&wall, &"x".repeat(250), Method::TailTruncation);
    }
}
