"""The texts of the palaces that build.py makes: short notes about an invented harbour, the same on every run."""

import itertools

SUBJECTS = [
    "The tide table",
    "The ferry bell",
    "The chart room",
    "The rope locker",
    "The harbour log",
    "The lamp store",
]
VERBS = [
    "was moved to",
    "is counted in",
    "was repaired beside",
    "is read aloud in",
    "was painted for",
    "is kept dry in",
]
PLACES = ["the north hall", "the long shed", "the pilot house", "the salt yard", "the upper quay", "the winter dock"]

SENTENCES = list(itertools.product(VERBS, PLACES, SUBJECTS))

UNICODE = [
    "Grüße vom Kai: die Fähre fährt um fünf, die Möwen schlafen länger.",
    "Το καράβι φεύγει νωρίς και γυρίζει με τη νύχτα.",
    "港の時計は三分おくれている。朝の船はそれを待たない。",
    "النورس يعرف الميناء قبل القبطان.",
    "Emoji of the day: ⚓🌊👩🏽‍✈️ — and e\u0301 written in two code points, é in one.",
    'Zero width\u200bspace, no-break\u00a0space, a tab\there, a line\nbreak, "quotes", back\\slash and 𝔘𝔫𝔦𝔠𝔬𝔡𝔢.',
]


def note(number):
    """Returns a sentence; no two numbers give the same."""
    verb, place, subject = SENTENCES[number % len(SENTENCES)]
    return f"{subject} {verb} {place}, note {number}."


def notes(count, first=0):
    return [note(number) for number in range(first, first + count)]


def long_note(number, sentences=40):
    """Returns one text of about 60 characters per sentence; above 800 characters the peer cuts it into chunks."""
    return f"Long report {number}. " + " ".join(notes(sentences, first=number * 7))


# Two invented people and two invented things that are named together often enough for hallways.
PROJECT = {
    "README.md": """# Harbour Ledger

Mara Lindqvist built the Harbour Ledger with Tobias Renner. The ledger counts ferries, ropes and lamps.

## How it is used
Mara Lindqvist decided that every ferry is written down twice. Tobias Renner wrote the second book.
They fixed the tide table in spring and shipped the first reading to the Pilot House.

## What is missing
Tobias Renner discovered that lamps are counted by hand. Mara Lindqvist said: "A lamp that is not counted is not lit."
""",
    "docs/decisions.md": """# Decisions

## Two books
We decided to keep two books, one by Mara Lindqvist and one by Tobias Renner, because one book was lost in the rain.

## Paper first
Mara Lindqvist chose paper over slate. Tobias Renner tested slate for a month and rejected it.
The Pilot House agreed. The Harbour Ledger was reviewed by the Pilot House every week after that.

## Lamps
We built a shelf for lamps. Tobias Renner measured it, Mara Lindqvist painted it, and the Pilot House accepted it.
""",
    "src/tides.py": '''"""Reads the tide table of the Harbour Ledger."""


def next_tide(table, hour):
    """Returns the first tide at or after the hour, or the first of the next day."""
    for tide in table:
        if tide.hour >= hour:
            return tide
    return table[0]


def height(table, hour):
    """Interpolates between two tides; Mara Lindqvist asked for whole centimetres."""
    before, after = next_tide(table, hour - 6), next_tide(table, hour)
    share = (hour - before.hour) / max(after.hour - before.hour, 1)
    return round(before.height + share * (after.height - before.height))
''',
    "src/ferries.py": '''"""Counts ferries. Tobias Renner wrote it, Mara Lindqvist keeps it."""


def count(ledger):
    return sum(1 for line in ledger if line.kind == "ferry")


def late(ledger, minutes=10):
    return [line for line in ledger if line.kind == "ferry" and line.delay > minutes]
''',
}

# Question and answer of each turn of the conversation.
CONVERSATION = [
    ("Why did the ferry count differ yesterday?",
     "Two books disagreed. Tobias Renner wrote the ferry of noon in the book of the evening; Mara Lindqvist found it."),
    ("Should we keep both books then?",
     "Yes. We decided to keep both: the second book is how the mistake was found at all."),
    ("What about the lamps, are they counted?",
     "By hand so far. The problem is that the shelf is dark. The fix was a lamp for the shelf of lamps."),
    ("I prefer short notes. Can the log be shorter?",
     "One line per ferry: hour, name, delay. Mara Lindqvist prefers the hour first, Tobias Renner the name."),
    ("When do we review the tide table?",
     "On Monday, with the Pilot House. The table of spring was fixed and works now, so the review is short."),
]  # fmt: skip
