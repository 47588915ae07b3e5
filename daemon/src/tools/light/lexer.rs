//! Splits a line of the query language into words, quoted texts, arrows and colons, each with its place.

use std::ops::Range;

use serde::de::IgnoredAny;
use winnow::ascii::multispace0;
use winnow::combinator::{alt, cut_err, eof, fail, not, peek, preceded, repeat, repeat_till, terminated};
use winnow::error::{StrContext, StrContextValue};
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location, Stream};
use winnow::token::{any, none_of, one_of};

use super::Mistake;

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A bare word; may be a keyword.
    Word(String),
    /// A text in quotes; never a keyword.
    Quoted(String),
    /// `->` or `=>`.
    Arrow,
    /// A colon that ends a name.
    Colon,
    /// A JSON object or list; never a keyword.
    Json(String),
}

/// A token and the bytes of the line it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The token.
    pub token: Token,
    /// Its place.
    pub span: Range<usize>,
}

type Input<'i> = LocatingSlice<&'i str>;

/// Splits a line.
///
/// # Errors
/// A quote that is never closed, with its place.
pub fn split(line: &str) -> Result<Vec<Placed>, Mistake> {
    terminated(repeat(0.., placed), (multispace0, eof)).parse(LocatingSlice::new(line)).map_err(|error| {
        Mistake {
            at: error.offset(),
            message: match error.inner().context().next() {
                Some(StrContext::Expected(StrContextValue::Description(what))) => format!("expected {what}"),
                Some(_) | None => "this cannot be read".to_owned(),
            },
        }
    })
}

fn placed(input: &mut Input<'_>) -> ModalResult<Placed> {
    multispace0.parse_next(input)?;
    peek(not(eof)).parse_next(input)?;
    let begin = input.current_token_start();
    let token = alt((json, quoted, arrow, colon, word)).parse_next(input)?;
    let end = input.previous_token_end();
    Ok(Placed { token, span: begin..end })
}

fn json(input: &mut Input<'_>) -> ModalResult<Token> {
    match json_len(input) {
        Some(len) => Ok(Token::Json(input.next_slice(len).to_owned())),
        None => fail.parse_next(input),
    }
}

/// Returns the length of the JSON object or list that a text begins with, when the value stands for itself: brackets that
/// are no JSON, or go on as a word, are text.
fn json_len(text: &str) -> Option<usize> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let len = json_end(text).ok()?;
    text[len..].chars().next().is_none_or(char::is_whitespace).then_some(len)
}

/// Returns where the JSON value ends that a text begins with.
///
/// # Errors
/// The place and the reason when there is none.
pub fn json_end(text: &str) -> Result<usize, Mistake> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Ok(IgnoredAny)) => Ok(values.byte_offset()),
        Some(Err(error)) => {
            let row: usize =
                text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
            let at = if error.is_eof() { text.len() } else { row + error.column().saturating_sub(1) };
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            Err(Mistake { at, message: format!("this is no JSON: {reason}") })
        }
        None => Err(Mistake { at: text.len(), message: "a JSON value is missing".to_owned() }),
    }
}

fn quoted(input: &mut Input<'_>) -> ModalResult<Token> {
    let begin = *input;
    let mark = one_of(['"', '\'']).parse_next(input)?;
    let character =
        alt((preceded('\\', any).map(unescaped), none_of(move |found| found == mark).map(String::from)));
    let closed = repeat_till(0.., character, mark).map(|(text, _): (Vec<String>, char)| text.concat());
    let missing = StrContextValue::Description("a closing quote for the text that begins here");
    let text = cut_err(closed).context(StrContext::Expected(missing)).parse_next(input);
    // The place to show is where the text began, not the end of the line.
    text.map(Token::Quoted).inspect_err(|_| *input = begin)
}

fn unescaped(character: char) -> String {
    match character {
        'n' => "\n".to_owned(),
        't' => "\t".to_owned(),
        'r' => "\r".to_owned(),
        '"' | '\'' | '\\' => character.to_string(),
        other => format!("\\{other}"),
    }
}

fn arrow(input: &mut Input<'_>) -> ModalResult<Token> {
    alt(("->", "=>")).value(Token::Arrow).parse_next(input)
}

/// A colon before a blank, a quote or JSON; other colons belong to their word.
fn colon(input: &mut Input<'_>) -> ModalResult<Token> {
    let follows = any.verify(|found: &char| found.is_whitespace() || matches!(found, '"' | '\''));
    terminated(':', peek(alt((eof.void(), follows.void(), json.void()))))
        .value(Token::Colon)
        .parse_next(input)
}

/// Apostrophes belong to words: what's new.
fn word(input: &mut Input<'_>) -> ModalResult<Token> {
    let inner = any.verify(|found: &char| !found.is_whitespace() && *found != '"');
    let character = preceded(not(alt((arrow, colon))), inner);
    let text: String = repeat(1.., character).parse_next(input)?;
    Ok(Token::Word(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(line: &str) -> Vec<Token> {
        split(line).unwrap().into_iter().map(|placed| placed.token).collect()
    }

    fn word(text: &str) -> Token {
        Token::Word(text.into())
    }

    #[test]
    fn words_quotes_arrows_and_colons_are_told_apart() {
        assert_eq!(
            tokens(r#"KG ADD Max->loves -> "table tennis""#),
            [
                word("KG"),
                word("ADD"),
                word("Max"),
                Token::Arrow,
                word("loves"),
                Token::Arrow,
                Token::Quoted("table tennis".into())
            ]
        );
        assert_eq!(
            tokens(r#"goal:"fix it" from:a to : b"#),
            [
                word("goal"),
                Token::Colon,
                Token::Quoted("fix it".into()),
                word("from:a"),
                word("to"),
                Token::Colon,
                word("b")
            ]
        );
        assert_eq!(tokens(r#"CHECKPOINT {"items": []} "#)[1], Token::Json(r#"{"items": []}"#.into()));
        assert_eq!(
            tokens(r#"metadata:{"a": [1]} TO b"#),
            [word("metadata"), Token::Colon, Token::Json(r#"{"a": [1]}"#.into()), word("TO"), word("b")]
        );
        assert_eq!(tokens("[draft] {x} [1], [1]x"), ["[draft]", "{x}", "[1],", "[1]x"].map(word));
        assert_eq!(
            tokens("https://x.org/a 10:30 wing/room"),
            ["https://x.org/a", "10:30", "wing/room"].map(word)
        );
        assert_eq!(tokens(r#""a\"b\n\\c\d""#), [Token::Quoted("a\"b\n\\c\\d".into())]);
        assert_eq!(tokens("what's new"), ["what's", "new"].map(word));
        assert_eq!(tokens("  "), []);
    }

    #[test]
    fn places_are_those_of_the_line() {
        let placed = split("FIND  \"é x\" IN w").unwrap();
        let texts: Vec<&str> =
            placed.iter().map(|placed| &"FIND  \"é x\" IN w"[placed.span.clone()]).collect();
        assert_eq!(texts, ["FIND", "\"é x\"", "IN", "w"]);
    }

    #[test]
    fn an_open_quote_is_pointed_at() {
        let mistake = split("FIND \"never closed").unwrap_err();
        assert_eq!((mistake.at, mistake.message.contains("closing quote")), (5, true));
    }
}
