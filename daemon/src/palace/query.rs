//! Makes a short query out of what a model sends as one.
//!
//! Models paste whole prompts into `query`; their embedding means nothing. The rule is the peer's: short text as it
//! is, otherwise its last line that asks, otherwise its last line of substance, otherwise its end.

/// Text up to this many characters is searched as it is.
const PLAIN_CHARS_MAX: usize = 200;
/// A query is cut to this many characters.
const QUERY_CHARS_MAX: usize = 250;
/// A line shorter than this is no line of substance.
const LINE_CHARS_MIN: usize = 10;
/// Marks that may wrap a query.
const QUOTES: [char; 2] = ['"', '\''];

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
    let made = |text: String, method| CleanQuery { text, method, original_chars };
    if original_chars <= PLAIN_CHARS_MAX {
        return made(raw.to_owned(), Method::Passthrough);
    }
    let lines = || raw.split('\n').rev().map(str::trim).filter(|line| !line.is_empty());
    let substantial = |text: &str| text.chars().count() >= LINE_CHARS_MIN;
    if let Some(question) = lines().find(|line| asks(line)).filter(|line| substantial(line)) {
        let fits = question.chars().count() <= QUERY_CHARS_MAX;
        let question = if fits { question.to_owned() } else { bounded(question) };
        return made(question, Method::QuestionExtraction);
    }
    match lines().filter(|line| substantial(line)).map(bounded).find(|line| substantial(line)) {
        Some(line) => made(line, Method::TailSentence),
        None => made(tail(raw).to_owned(), Method::TailTruncation),
    }
}

/// Tells whether a line ends as a question, quotation marks aside.
fn asks(line: &str) -> bool {
    let line = line.trim_end();
    line.strip_suffix(QUOTES).unwrap_or(line).trim_end().ends_with(['?', '？'])
}

/// Returns a text that fits: without wrapping quotes, else its last sentence of a fitting length, else its end.
fn bounded(text: &str) -> String {
    let text = unquoted(text);
    let fits = |text: &str| text.chars().count() <= QUERY_CHARS_MAX;
    if fits(text) {
        return text.to_owned();
    }
    let sentences = text.rsplit(['.', '!', '?', '。', '！', '？', '\n']).map(unquoted);
    let substantial = |text: &&str| text.chars().count() >= LINE_CHARS_MIN && fits(text);
    sentences.into_iter().find(substantial).unwrap_or_else(|| tail(text)).to_owned()
}

fn tail(text: &str) -> &str {
    let skip = text.chars().count().saturating_sub(QUERY_CHARS_MAX);
    text.char_indices().nth(skip).map_or("", |(at, _)| text[at..].trim())
}

/// Takes off pairs of equal quotation marks, then a single one at either end.
fn unquoted(text: &str) -> &str {
    let mut text = text.trim();
    let pair = |text: &str| {
        let mark = text.chars().next().filter(|mark| QUOTES.contains(mark))?;
        (text.len() >= 2 && text.ends_with(mark)).then_some(())
    };
    while pair(text).is_some() {
        text = text[1..text.len() - 1].trim();
    }
    text = text.strip_prefix(QUOTES).map_or(text, str::trim);
    text.strip_suffix(QUOTES).map_or(text, str::trim)
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
        check(&"x".repeat(600), &"x".repeat(250), Method::TailSentence);
    }

    /// What MemPalace 3.11.0 makes of the same texts.
    #[test]
    fn reductions_are_the_peers() {
        let noise = "You are a helpful assistant with many rules\n".repeat(20);
        let last = "You are a helpful assistant with many rules";
        let question = Method::QuestionExtraction;
        for (raw, text, method) in [
            (format!("{noise}Hm. And so? \"what about it?\""), "Hm. And so? \"what about it?\"", question),
            (format!("{noise}\"what about it?\""), "\"what about it?\"", question),
            (format!("{noise}why?"), last, Method::TailSentence),
            (format!("{noise}'auth migration decision'"), "auth migration decision", Method::TailSentence),
            (
                "a sentence of words. ".repeat(20).trim().to_owned(),
                "a sentence of words",
                Method::TailSentence,
            ),
            (format!("{}what then?", "First sentence here. ".repeat(13)), "First sentence here", question),
        ] {
            check(&raw, text, method);
        }
        let short = "short\n".repeat(60);
        check(&short, short.trim()[359 - 250..].trim_start(), Method::TailTruncation);
    }
}
