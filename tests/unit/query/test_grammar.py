"""The query language: formatting and parsing are inverse, and any text parses or is an error."""

from __future__ import annotations

import string
import time
from datetime import UTC, date, datetime
from datetime import time as clock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsearch.errors import QueryError
from vsearch.query.areas import Area
from vsearch.query.dates import RelativeDate
from vsearch.query.filter_values import TRAITS, WEEKDAYS, ClockRange, FrameRateRange
from vsearch.query.filters import CONTENT_KINDS
from vsearch.query.grammar import FIELD_NAMES
from vsearch.query.model import Filters, Query, ResultRef, Step, Term
from vsearch.query.parser import (
    MAX_QUERY_CHARS,
    MAX_QUERY_TERMS,
    NameResolver,
    parse_query,
    text_query,
)
from vsearch.search.last_search import LastSearch, parse_result_numbers
from vsearch.types import Location, Span

SAVED = {"dogs": '"a dog" -cat path:pets/*', "two": "a then:<5s b", "loop": "x @loop"}
LAST_SEARCH = LastSearch("dog", (ResultRef("/films/1.mp4", Span(1, 3.5), 0.5),) * 2)


def saved(name: str) -> str:
    if name not in SAVED:
        raise QueryError(name)
    return SAVED[name]


RESOLVER = NameResolver(
    saved, lambda text: [LAST_SEARCH.get_result(number) for number in parse_result_numbers(text)]
)


def terms(text: str) -> tuple[Term, ...]:
    return parse_query(text, name_resolver=RESOLVER).terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog  jumps", [Term("text", "a dog jumps")]),
        ('"a dog" runs', [Term("text", "a dog", is_phrase=True), Term("text", "runs")]),
        ('2:"into a pool"', [Term("text", "into a pool", 2, is_phrase=True)]),
        ("dog 0.5:cat", [Term("text", "dog"), Term("text", "cat", 0.5)]),
        ("dog -indoor", [Term("text", "dog"), Term("text", "indoor", -1)]),
        ("-.5:said:foo", [Term("said", "foo", -0.5)]),
        ('said:"thank you" now', [Term("said", "thank you", is_phrase=True), Term("text", "now")]),
        ("shown:EXIT", [Term("shown", "EXIT")]),
        ("image:~/a.jpg", [Term("image", "~/a.jpg")]),
        (r"image:C:\pics\a.jpg", [Term("image", r"C:\pics\a.jpg")]),
        ('image:"my pics/a.jpg"', [Term("image", "my pics/a.jpg")]),
        (r"image:my\ pics/a.jpg", [Term("image", "my pics/a.jpg")]),
        ("clip:ref.mp4@3-8", [Term("clip", "ref.mp4", span=Span(3, 8))]),
        ('clip:"a b.mp4"@0:03-0:08', [Term("clip", "a b.mp4", span=Span(3, 8))]),
        ('clip:"a@1-2"', [Term("clip", "a@1-2")]),
        ("2:like:#1", [Term("clip", "/films/1.mp4", 2, Span(1, 3.5))]),
        ("@dogs", [Term("text", "a dog", is_phrase=True), Term("text", "cat", -1)]),
        ("SAID:yes", [Term("said", "yes")]),
    ],
)
def test_a_query_text_parses_to_these_terms(text: str, expected: list[Term]) -> None:
    assert terms(text) == tuple(expected)


@pytest.mark.parametrize(
    "text",
    ["10:30", "16:9 picture", "http://x.org/a", "a:b", ":)", "🐕 läuft", "שלום עולם", "12\" vinyl",
     "dog - cat", "it's", "--", "2:30 min", "note: this", r"back\slash", "50%", "C++", "a@b.c"],
)  # fmt: skip
def test_text_without_syntax_is_literal(text: str) -> None:
    assert terms(text) == (Term("text", text),)


@pytest.mark.parametrize(
    ("text", "word"),
    [(r"\-5", "-5"), (r"\@dogs", "@dogs"), (r"path\:x", "path:x"), (r"\"a", '"a'),
     (r"a\\ b", "a\\ b"), (r"a\ \ b", "a  b"), (r"2\:a", "2:a")],
)  # fmt: skip
def test_a_backslash_escapes_syntax(text: str, word: str) -> None:
    assert terms(text) == (Term("text", word),)
    assert parse_query(str(parse_query(text))) == parse_query(text)


def test_then_separates_steps() -> None:
    query = parse_query('a dog then:<1m30s "splash" then: -cat said:x then:end')
    assert query.next_steps == (
        Step((Term("text", "splash", is_phrase=True),), 90),
        Step((Term("text", "cat", -1), Term("said", "x"))),
        Step((Term("text", "end"),)),
    )


def test_filters_include_and_exclude_at_any_position() -> None:
    query = parse_query(
        'a path:tapes/* dog tag:"grandma dances" -tag:x longer:1:30 shorter:2h at:0:10-0:20 '
        "model:openclip:ViT-L-14/openai has:speech -has:TAGS -path:old -longer:2m"
    )
    assert query.terms == (Term("text", "a dog"),)
    assert query.filters == Filters(
        path_patterns=("tapes/*",),
        tags=("grandma dances",),
        min_duration=90,
        max_duration=7200,
        spans=(Span(10, 20),),
        models=("openclip:ViT-L-14/openai",),
        has=("speech",),
    )
    assert query.exclude == Filters(
        path_patterns=("old",), tags=("x",), min_duration=120, has=("tags",)
    )


def test_filters_alone_are_a_query() -> None:
    query = parse_query("after:2024 -tag:x")
    assert (query.terms, query.exclude) == ((), Filters(tags=("x",)))
    assert parse_query("", video_globs=["a.mp4"]) == parse_query("path:a.mp4")
    assert parse_query("@holiday red", name_resolver=NameResolver(lambda _: "path:holiday")) == (
        parse_query("red path:holiday")
    )
    with pytest.raises(ValueError, match="term or filter"):
        Query(())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wide: dog", Filters(traits=("wide",))),
        ("dog 4K:", Filters(traits=("4k",))),
        ("dog is:Portrait", Filters(traits=("vertical",))),
        ('dog camera:"canon eos"', Filters(cameras=("canon eos",))),
        ("dog codec:H265 codec:avc", Filters(codecs=("hevc", "h264"))),
        ("dog fps:50", Filters(frame_rates=(FrameRateRange(50, 50),))),
        ("dog fps:>=50", Filters(frame_rates=(FrameRateRange(50, None),))),
        ("dog fps:50-", Filters(frame_rates=(FrameRateRange(50, None),))),
        ("dog fps:>50", Filters(frame_rates=(FrameRateRange(51, None),))),
        ("dog fps:<30", Filters(frame_rates=(FrameRateRange(None, 29),))),
        ("dog fps:50-120", Filters(frame_rates=(FrameRateRange(50, 120),))),
        ("dog lang:Deutsch lang:eng", Filters(languages=("de", "en"))),
        ("dog lang:pt-BR", Filters(languages=("pt",))),
        ("dog time:22-4:30", Filters(times_of_day=(ClockRange(1320, 270),))),
        ("dog time:6pm-12am", Filters(times_of_day=(ClockRange(1080, 1440),))),
        ("dog time:18:00-", Filters(times_of_day=(ClockRange(1080, 1440),))),
        ("dog weekday:fri-mon", Filters(weekdays=("friday", "saturday", "sunday", "monday"))),
        ("dog weekday:weekend weekday:sun", Filters(weekdays=("saturday", "sunday"))),
        ('near:"48.1, 11.5" 5km dog', Filters(areas=(Area(Location(48.1, 11.5), 5),))),
        ("near:-33.8,-151.2,500m dog", Filters(areas=(Area(Location(-33.8, -151.2), 0.5),))),
        ("near:33.8S;151.2W dog", Filters(areas=(Area(Location(-33.8, -151.2), 10),))),
        ('near:"New York,  US" 2 mi dog', Filters(areas=(Area("New York, US", 3.218688),))),
        ("near:Munich dog 5km", Filters(areas=(Area("Munich", 10),))),
    ],
)
def test_filters_on_properties_are_parsed(text: str, expected: Filters) -> None:
    query = parse_query(text)
    assert query.filters == expected
    assert query.terms[0].value.startswith("dog")


def test_filters_on_properties_exclude() -> None:
    query = parse_query("dog -4k: -camera:gopro -near:48,11 3km -weekday:sat-sun")
    assert query.filters == Filters()
    assert query.exclude == Filters(
        traits=("4k",),
        cameras=("gopro",),
        weekdays=("saturday", "sunday"),
        areas=(Area(Location(48, 11), 3),),
    )


def test_repeated_bounds_all_hold() -> None:
    query = parse_query("x longer:10s longer:20s shorter:60 shorter:50 -longer:45 -longer:40")
    assert (query.filters.min_duration, query.filters.max_duration, query.exclude.min_duration) == (
        20,
        50,
        40,
    )


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
def test_a_date_starts_in_the_local_time_zone(
    monkeypatch: pytest.MonkeyPatch, zone: str, text: str, expected: datetime
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        query = parse_query(f"x after:{text} -before:{text}")
        assert (query.filters.recorded_after, query.exclude.recorded_before) == (expected, expected)
        assert parse_query(str(query)) == query
        assert ("T" in text) or f"after:{text}" in str(query)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_saved_search_replaces_its_name() -> None:
    query = parse_query("big @dogs after:2024 @two c", name_resolver=RESOLVER)
    assert query == parse_query('big "a dog" -cat path:pets/* after:2024 text:a then:<5s b text:c')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing to search for"),
        ("path:x then: dog", "must come before it"),
        ("path:x dog then:", "must come after it"),
        ("-camera:", "^-camera: a value must follow"),
        ("wide:shot", "wide: takes no value"),
        ("2:wide:", "a filter cannot be weighted"),
        ("is:big", "wide, vertical, square, 4k, photo or video"),
        ("fps:many", "not a frame rate"),
        ("fps:50-30", "not a frame rate"),
        ("fps:-", "not a frame rate"),
        ("time:25:00-26:00", "not a part of the day"),
        ("time:18:00", "not a part of the day"),
        ("time:18:00-18:00", "not a part of the day"),
        ("weekday:someday", "not a day of the week"),
        ("weekday:mo", "not a day of the week"),
        ("lang:germann", "did you mean german"),
        ("near:91,0", "latitude"),
        ("near:48.1, 11.5", "without a blank"),
        ("near:48,11,5km 6km", "two distances"),
        ("near:48,11 0km", "more than 0"),
        ("near:48,11,99999km", "at most 20040 km"),
        ("place:Munich dog", "did you mean near:"),
        ("language:de dog", "did you mean lang:"),
        ("landscape:x", "did you mean wide:"),
        ("like:", "^like: a value must follow"),
        ("like: dog", "^like: a value must follow"),
        ("paht:x dog", 'did you mean path:.*"paht:x"'),
        ("since:2024 dog", "did you mean after:"),
        ("frobnicate:x", "known fields: text:, said:"),
        ("path: dog", "without a blank"),
        ('"a dog', "not closed"),
        ('"a"b', "a blank must follow"),
        ('""', "phrase in quotes is empty"),
        ("0:dog", "a weight must be"),
        ("9999:dog", "a weight must be"),
        ("2:-dog", "minus goes before"),
        ("2:path:x dog", "a filter cannot be weighted"),
        ("-then: dog", "neither weighted"),
        ("then: dog", "must come before it"),
        ("dog then:", "must come after it"),
        ("dog then:<0s cat", "0 seconds"),
        ("dog then:<soon cat", "not a duration"),
        ("a then: b then: c then: d then: e then: f", "more than 4"),
        ("dog after:tomorrow", "not a date"),
        ("dog after:2024-13", "not a date"),
        ("dog after:2024-02-30", "not a date"),
        ("dog longer:long", "not a duration"),
        ("dog at:10", "not a span"),
        ("dog at:20-10", "end after it starts"),
        ("dog has:fun", "speech, music, singing, subtitles, screen or tags"),
        ("clip:a.mp4@8-3", "end after it starts"),
        ("-@dogs", "neither weighted"),
        ("@loop", "cannot contain another"),
        ("a\0b", "NUL"),
        ("\udc80", "UTF-8"),
        ("x" * (MAX_QUERY_CHARS + 1), str(MAX_QUERY_CHARS)),
        (" ".join(f'"{n}"' for n in range(MAX_QUERY_TERMS + 1)), f"maximum is {MAX_QUERY_TERMS}"),
    ],
)
def test_an_invalid_query_is_explained(text: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        parse_query(text, name_resolver=RESOLVER)


@pytest.mark.parametrize("text", ["@dogs", "like:#1"])
def test_without_a_library_references_are_refused(text: str) -> None:
    with pytest.raises(QueryError):
        parse_query(text)


def test_a_caption_is_not_interpreted() -> None:
    text = 'A man says: "path:x" -- then: @home'
    assert text_query(text) == Query((Term("text", text),))


# --- any query, formatted and parsed

blank_or_odd = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
)
spelled = st.text(string.ascii_letters + '0123.:-@"\\# <~äß\n\t', max_size=12)
tricky = st.sampled_from(
    [*(f"{name}:" for name in FIELD_NAMES), "2:", "-", "@", "http://x", '"', "\\"]
)
EVERYDAY_WORDS = """a dog? cat. show me find please videos of where is no not without but and or OR
AND NOT + | who isn't people on the (beach) , ? ! / nobody it with, zeig mir 狗的视频 犬を見せて"""
everyday_words = st.lists(st.sampled_from(EVERYDAY_WORDS.split()), max_size=10).map(" ".join)
values = st.one_of(
    spelled, blank_or_odd, st.tuples(tricky, spelled).map("".join), everyday_words
).filter(str.strip)
weights = st.sampled_from([1.0, 1.0, -1.0, 2.0, 0.1 + 0.2, -0.5, 1000.0, -0.001])
frame_rate_numbers = st.integers(1, 1_000).map(float) | st.sampled_from([23.976, 29.97, 59.94])
frame_rates = st.one_of(
    frame_rate_numbers.map(lambda rate: FrameRateRange(rate, rate)),
    frame_rate_numbers.map(lambda rate: FrameRateRange(rate, None)),
    frame_rate_numbers.map(lambda rate: FrameRateRange(None, rate)),
    st.tuples(frame_rate_numbers, frame_rate_numbers).map(lambda t: FrameRateRange(*sorted(t))),
)
clock_ranges = (
    st.tuples(st.integers(0, 1_439), st.integers(1, 1_440))
    .filter(lambda t: t[0] != t[1])
    .map(lambda t: ClockRange(*t))
)
locations = st.builds(Location, st.floats(-90, 90), st.floats(-180, 180))
place_names = st.sampled_from(["Munich", "São Paulo", "Paris, US", 'an "odd" name', "A,5km", "-x"])
areas = st.builds(Area, locations | place_names, st.floats(0.001, 20_000))
spans = st.tuples(st.floats(0, 1e6), st.floats(0.001, 1e4)).map(lambda t: (t[0], t[0] + t[1]))
periods = spans.filter(lambda t: t[0] < t[1]).map(lambda t: Span(*t))
texts = st.builds(
    Term, st.sampled_from(["text", "said", "shown"]), values, weights, is_phrase=st.booleans()
)
pictures = st.builds(Term, st.just("image"), values, weights)
films = st.builds(Term, st.just("clip"), values, weights, st.none() | periods)
days = st.dates(date(1971, 1, 2), date(2100, 1, 1))
times = st.builds(datetime.combine, days, st.times())
dates = st.one_of(
    times.map(lambda when: when.replace(tzinfo=UTC)),
    days.map(lambda day: datetime.combine(day, clock()).astimezone(UTC)),
    st.sampled_from(["yesterday", "7d", "12h", "last-week", "this-year", "monday"]).map(
        RelativeDate
    ),
)
lengths = st.none() | st.floats(0, 1e6)
filter_sets = st.builds(
    Filters,
    path_patterns=st.lists(values, max_size=2).map(tuple),
    tags=st.lists(values, max_size=2).map(tuple),
    recorded_after=st.none() | dates,
    recorded_before=st.none() | dates,
    min_duration=lengths,
    max_duration=lengths,
    spans=st.lists(periods, max_size=2).map(tuple),
    models=st.lists(values, max_size=1).map(tuple),
    has=st.lists(st.sampled_from(CONTENT_KINDS), max_size=2).map(tuple),
    traits=st.lists(st.sampled_from(TRAITS), max_size=2).map(tuple),
    cameras=st.lists(values, max_size=1).map(tuple),
    codecs=st.lists(st.sampled_from(["h264", "hevc", "prores"]), max_size=1).map(tuple),
    frame_rates=st.lists(frame_rates, max_size=1).map(tuple),
    languages=st.lists(st.sampled_from(["de", "yue", "xx"]), max_size=2).map(tuple),
    times_of_day=st.lists(clock_ranges, max_size=1).map(tuple),
    weekdays=st.lists(st.sampled_from(WEEKDAYS), max_size=2, unique=True).map(tuple),
    areas=st.lists(areas, max_size=1).map(tuple),
)
some = st.lists(texts | pictures | films, min_size=1, max_size=3).map(tuple)
steps = st.builds(Step, some, st.none() | st.floats(0.001, 1e5))
queries = st.builds(Query, some, st.lists(steps, max_size=3).map(tuple), filter_sets, filter_sets)
filters_alone = st.builds(
    Query, st.just(()), st.just(()), filter_sets.filter(lambda filters: filters != Filters()),
    filter_sets,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(queries | filters_alone)
def test_a_formatted_query_parses_to_an_equal_query(query: Query) -> None:
    text = str(query)
    assert len(text) > MAX_QUERY_CHARS or parse_query(text) == query


hostile = st.lists(
    st.sampled_from([
        *(f"{name}:" for name in FIELD_NAMES), "2:", "-", "@", "#1", '"', "\\", " ", " ", "dog",
        "<", "cat", "30s", "5km", "48,11", "18:00-4", "sat-sun", ">=50", "de", "wide:", "3-8",
        "2024", "1e9", "99999999999", "\0", "\udc80", "🐕", "\u202e",
        "\u2028", "@dogs", "like:#1", "like:#99999", "~", "~nobody/x", "C:\\x", "٣:x", "[", "*",
        "%", "'",
    ]),
    max_size=30,
).map("".join)  # fmt: skip
anything = st.one_of(hostile, everyday_words, st.text(max_size=200))


@settings(max_examples=1_000, deadline=None)
@given(anything)
def test_any_text_parses_or_raises_a_query_error(text: str) -> None:
    assert _round_trips(text)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(anything)
def test_ten_thousand_texts_parse_or_raise_a_query_error(text: str) -> None:
    assert _round_trips(text)


def _round_trips(text: str) -> bool:
    """Return True if a text is not a query, or a query that survives formatting and parsing."""
    try:
        query = parse_query(text, name_resolver=RESOLVER)
    except QueryError:
        return True
    return len(str(query)) > MAX_QUERY_CHARS or parse_query(str(query)) == query


@pytest.mark.parametrize(
    "bit", ["-", '"', "\\", "@", ":", "2:", "a:", "1", ".", "\\ ", "then:", " "]
)
def test_a_long_run_of_any_syntax_parses_in_linear_time(bit: str) -> None:
    began = time.process_time()
    for end in ("", "x", '"', " x"):
        try:
            text = (bit * MAX_QUERY_CHARS)[: MAX_QUERY_CHARS - 5] + end
            parse_query(text, name_resolver=RESOLVER)
        except QueryError:
            continue
    assert time.process_time() - began < 5  # quadratic matching would take minutes
