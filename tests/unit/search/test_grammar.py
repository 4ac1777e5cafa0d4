"""The language: what is written is read as the same, and anything is a query or an error."""

from __future__ import annotations

import string
import time
from datetime import UTC, date, datetime
from datetime import time as clock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsearch.errors import QueryError
from vsearch.results import Result, Results, numbers
from vsearch.search.filters import KINDS
from vsearch.search.grammar import NAMES
from vsearch.search.query import LONGEST, MOST, Names, parse, plain
from vsearch.types import Filters, Query, Span, Step, Term

SAVED = {"dogs": '"a dog" -cat path:pets/*', "two": "a then:<5s b", "loop": "x @loop"}
FOUND = Results("dog", (Result("/films/1.mp4", Span(1, 3.5), 0.5),) * 2)


def saved(name: str) -> str:
    if name not in SAVED:
        raise QueryError(name)
    return SAVED[name]


GIVEN = Names(saved, lambda text: [FOUND.named(number) for number in numbers(text)])


def terms(text: str) -> tuple[Term, ...]:
    return parse(text, names=GIVEN).terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog  jumps", [Term("text", "a dog jumps")]),
        ('"a dog" runs', [Term("text", "a dog", exact=True), Term("text", "runs")]),
        ('2:"into a pool"', [Term("text", "into a pool", 2, exact=True)]),
        ("dog 0.5:cat", [Term("text", "dog"), Term("text", "cat", 0.5)]),
        ("dog -indoor", [Term("text", "dog"), Term("text", "indoor", -1)]),
        ("-.5:said:foo", [Term("said", "foo", -0.5)]),
        ('said:"thank you" now', [Term("said", "thank you", exact=True), Term("text", "now")]),
        ("shown:EXIT", [Term("shown", "EXIT")]),
        ("image:~/a.jpg", [Term("image", "~/a.jpg")]),
        (r"image:C:\pics\a.jpg", [Term("image", r"C:\pics\a.jpg")]),
        ('image:"my pics/a.jpg"', [Term("image", "my pics/a.jpg")]),
        (r"image:my\ pics/a.jpg", [Term("image", "my pics/a.jpg")]),
        ("clip:ref.mp4@3-8", [Term("clip", "ref.mp4", span=Span(3, 8))]),
        ('clip:"a b.mp4"@0:03-0:08', [Term("clip", "a b.mp4", span=Span(3, 8))]),
        ('clip:"a@1-2"', [Term("clip", "a@1-2")]),
        ("2:like:#1", [Term("clip", "/films/1.mp4", 2, Span(1, 3.5))]),
        ("@dogs", [Term("text", "a dog", exact=True), Term("text", "cat", -1)]),
        ("SAID:yes", [Term("said", "yes")]),
    ],
)
def test_what_is_typed_means(text: str, expected: list[Term]) -> None:
    assert terms(text) == tuple(expected)


@pytest.mark.parametrize(
    "text",
    ["10:30", "16:9 picture", "http://x.org/a", "a:b", ":)", "🐕 läuft", "שלום עולם", "12\" vinyl",
     "dog - cat", "it's", "--", "2:30 min", "note: this", r"back\slash", "50%", "C++", "a@b.c"],
)  # fmt: skip
def test_what_means_nothing_else_means_itself(text: str) -> None:
    assert terms(text) == (Term("text", text),)


@pytest.mark.parametrize(
    ("text", "word"),
    [(r"\-5", "-5"), (r"\@dogs", "@dogs"), (r"path\:x", "path:x"), (r"\"a", '"a'),
     (r"a\\ b", "a\\ b"), (r"a\ \ b", "a  b"), (r"2\:a", "2:a")],
)  # fmt: skip
def test_a_backslash_takes_the_meaning_away(text: str, word: str) -> None:
    assert terms(text) == (Term("text", word),)
    assert parse(str(parse(text))) == parse(text)


def test_steps_follow_each_other() -> None:
    query = parse('a dog then:<1m30s "splash" then: -cat said:x then:end')
    assert query.then == (
        Step((Term("text", "splash", exact=True),), 90),
        Step((Term("text", "cat", -1), Term("said", "x"))),
        Step((Term("text", "end"),)),
    )


def test_filters_narrow_and_leave_out_wherever_they_stand() -> None:
    query = parse(
        'a path:tapes/* dog tag:"grandma dances" -tag:x longer:1:30 shorter:2h at:0:10-0:20 '
        "model:openclip:ViT-L-14/openai has:speech -has:TAGS -path:old -longer:2m"
    )
    assert query.terms == (Term("text", "a dog"),)
    assert query.filters == Filters(
        videos=("tapes/*",),
        tags=("grandma dances",),
        longer=90,
        shorter=7200,
        at=(Span(10, 20),),
        models=("openclip:ViT-L-14/openai",),
        has=("speech",),
    )
    assert query.without == Filters(videos=("old",), tags=("x",), longer=120, has=("tags",))


def test_of_bounds_given_twice_both_hold() -> None:
    query = parse("x longer:10s longer:20s shorter:60 shorter:50 -longer:45 -longer:40")
    assert (query.filters.longer, query.filters.shorter, query.without.longer) == (20, 50, 40)


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        ("UTC", "2024", datetime(2024, 1, 1, tzinfo=UTC)),
        ("UTC", "2024-05-17", datetime(2024, 5, 17, tzinfo=UTC)),
        ("Europe/Berlin", "2024-05", datetime(2024, 4, 30, 22, tzinfo=UTC)),
        ("America/New_York", "2024-05-17T10:30", datetime(2024, 5, 17, 14, 30, tzinfo=UTC)),
        ("America/New_York", "2024-05-17T10:30Z", datetime(2024, 5, 17, 10, 30, tzinfo=UTC)),
    ],
)
def test_a_date_is_when_it_begins_here(
    monkeypatch: pytest.MonkeyPatch, zone: str, text: str, expected: datetime
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        query = parse(f"x after:{text} -before:{text}")
        assert (query.filters.after, query.without.before) == (expected, expected)
        assert parse(str(query)) == query
        assert ("T" in text) or f"after:{text}" in str(query)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_saved_search_is_put_where_its_name_is() -> None:
    query = parse("big @dogs after:2024 @two c", names=GIVEN)
    assert query == parse('big "a dog" -cat path:pets/* after:2024 text:a then:<5s b text:c')


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "give some words"),
        ("path:x", "a filter alone asks for nothing"),
        ("-tag:x longer:10s", "vsearch list"),
        ("like:", "^like: something must follow"),
        ("like: dog", "^like: something must follow"),
        ("paht:x dog", 'did you mean path:.*"paht:x"'),
        ("since:2024 dog", "did you mean after:"),
        ("frobnicate:x", "there are text:, said:"),
        ("path: dog", "without a blank"),
        ('"a dog', "not closed"),
        ('"a"b', "a blank must follow"),
        ('""', "nothing between"),
        ("0:dog", "a weight is"),
        ("9999:dog", "a weight is"),
        ("2:-dog", "minus goes before"),
        ("2:path:x dog", "a filter has none"),
        ("-then: dog", "neither weighted"),
        ("then: dog", "before it"),
        ("dog then:", "after it"),
        ("dog then:<0s cat", "0 seconds"),
        ("dog then:<soon cat", "no length of time"),
        ("a then: b then: c then: d then: e then: f", "no more than 4"),
        ("dog after:yesterday", "no date"),
        ("dog after:2024-13", "no date"),
        ("dog after:2024-02-30", "no date"),
        ("dog longer:long", "no length of time"),
        ("dog at:10", "no part of a video"),
        ("dog at:20-10", "end after it starts"),
        ("dog has:fun", "speech, subtitles, screen or tags"),
        ("clip:a.mp4@8-3", "end after it starts"),
        ("-@dogs", "neither weighted"),
        ("@loop", "may not name another"),
        ("a\0b", "NUL"),
        ("\udc80", "UTF-8"),
        ("x" * (LONGEST + 1), str(LONGEST)),
        (" ".join(f'"{n}"' for n in range(MOST + 1)), f"{MOST} parts"),
    ],
)
def test_a_mistake_is_told(text: str, told: str) -> None:
    with pytest.raises(QueryError, match=told):
        parse(text, names=GIVEN)


@pytest.mark.parametrize("text", ["@dogs", "like:#1"])
def test_without_a_library_nothing_has_a_name(text: str) -> None:
    with pytest.raises(QueryError):
        parse(text)


def test_a_caption_is_taken_as_it_is() -> None:
    text = 'A man says: "path:x" -- then: @home'
    assert plain(text) == Query((Term("text", text),))


# --- any query, written and read

blank_or_odd = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
spelled = st.text(string.ascii_letters + '0123.:-@"\\# <~äß\n\t', max_size=12)
tricky = st.sampled_from([*(f"{name}:" for name in NAMES), "2:", "-", "@", "http://x", '"', "\\"])
values = st.one_of(spelled, blank_or_odd, st.tuples(tricky, spelled).map("".join)).filter(str.strip)
weights = st.sampled_from([1.0, 1.0, -1.0, 2.0, 0.1 + 0.2, -0.5, 1000.0, -0.001])
spans = st.tuples(st.floats(0, 1e6), st.floats(0.001, 1e4)).map(lambda t: (t[0], t[0] + t[1]))
periods = spans.filter(lambda t: t[0] < t[1]).map(lambda t: Span(*t))
texts = st.builds(
    Term, st.sampled_from(["text", "said", "shown"]), values, weights, exact=st.booleans()
)
pictures = st.builds(Term, st.just("image"), values, weights)
films = st.builds(Term, st.just("clip"), values, weights, st.none() | periods)
days = st.dates(date(1971, 1, 2), date(2100, 1, 1))
times = st.builds(datetime.combine, days, st.times())
dates = st.one_of(
    times.map(lambda when: when.replace(tzinfo=UTC)),
    days.map(lambda day: datetime.combine(day, clock()).astimezone(UTC)),
)
lengths = st.none() | st.floats(0, 1e6)
narrowings = st.builds(
    Filters,
    videos=st.lists(values, max_size=2).map(tuple),
    tags=st.lists(values, max_size=2).map(tuple),
    after=st.none() | dates,
    before=st.none() | dates,
    longer=lengths,
    shorter=lengths,
    at=st.lists(periods, max_size=2).map(tuple),
    models=st.lists(values, max_size=1).map(tuple),
    has=st.lists(st.sampled_from(KINDS), max_size=2).map(tuple),
)
some = st.lists(texts | pictures | films, min_size=1, max_size=3).map(tuple)
steps = st.builds(Step, some, st.none() | st.floats(0.001, 1e5))
queries = st.builds(Query, some, st.lists(steps, max_size=3).map(tuple), narrowings, narrowings)


@settings(max_examples=300, deadline=None)
@given(queries)
def test_what_is_written_is_read_as_the_same(query: Query) -> None:
    assert parse(str(query)) == query


hostile = st.lists(
    st.sampled_from([
        *(f"{name}:" for name in NAMES), "2:", "-", "@", "#1", '"', "\\", " ", " ", "dog", "<",
        "cat", "30s", "3-8", "2024", "1e9", "99999999999", "\0", "\udc80", "🐕", "\u202e", "\u2028",
        "@dogs", "like:#1", "like:#99999", "~", "~nobody/x", "C:\\x", "٣:x", "[", "*", "%", "'",
    ]),
    max_size=30,
).map("".join)  # fmt: skip


anything = st.one_of(hostile, st.text(max_size=200))


@settings(max_examples=1_000, deadline=None)
@given(anything)
def test_any_text_is_a_query_or_a_query_error(text: str) -> None:
    assert _is_kept(text)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(anything)
def test_each_of_ten_thousand_texts_is_a_query_or_a_query_error(text: str) -> None:
    assert _is_kept(text)


def _is_kept(text: str) -> bool:
    """Whether a text is no query, or one that is read as the same when it is written."""
    try:
        query = parse(text, names=GIVEN)
    except QueryError:
        return True
    return len(str(query)) > LONGEST or parse(str(query)) == query


@pytest.mark.parametrize(
    "bit", ["-", '"', "\\", "@", ":", "2:", "a:", "1", ".", "\\ ", "then:", " "]
)
def test_a_long_run_of_anything_is_read_at_once(bit: str) -> None:
    began = time.process_time()
    for end in ("", "x", '"', " x"):
        try:
            parse((bit * LONGEST)[: LONGEST - 5] + end, names=GIVEN)
        except QueryError:
            continue
    assert time.process_time() - began < 5  # quadratic matching would take minutes
