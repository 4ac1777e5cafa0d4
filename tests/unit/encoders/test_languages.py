"""The language of a text decides which text tower reads it."""

from __future__ import annotations

import pytest

from tests.support import language_samples as samples
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.languages import FUNCTION_WORDS, SUPPORTED_NAMES, UNSUPPORTED_NAMES, Language


@pytest.fixture(scope="module")
def encoder() -> BuiltinEncoder:
    return BuiltinEncoder()


def identify(encoder: BuiltinEncoder, text: str) -> Language:
    return encoder._identify_language(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ein Hund springt in den See", "German"),
        ("un chien court sur la plage", "French"),
        ("un perro corre por la playa", "Spanish"),
        ("due donne che ballano", "Italian"),
        ("mulher dançando", "Portuguese"),
        ("een hond rent op het strand", "Dutch"),
        ("pies biegnie po plaży", "Polish"),
        ("köpek sahilde koşuyor", "Turkish"),
        ("собака бежит", "Russian"),
        ("犬", "Japanese"),
        ("赤い車", "Japanese"),
        ("狗在沙滩上奔跑", "Chinese"),
        ("개", "Korean"),
        ("كلب", "Arabic"),
        ("สุนัข", "Thai"),
    ],
)
def test_supported_languages_are_recognized(encoder: BuiltinEncoder, text: str, name: str) -> None:
    language = identify(encoder, text)
    assert language.is_supported
    assert not language.is_english
    if text != "犬":  # a character that Chinese has, too
        assert language.name == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("koira juoksee rannalla", "Finnish"),
        ("ett barn som leker med en hund på gatan", "Swedish"),
        ("egy kutya fut a tengerparton", "Hungarian"),
        ("собака біжить по пляжу", "Ukrainian"),
        ("سگ در ساحل می‌دود", "Persian"),
        ("σκύλος", "Greek"),
        ("काली बिल्ली", "Hindi"),
        ("כלב", "Hebrew"),
    ],
)
def test_other_languages_are_named(encoder: BuiltinEncoder, text: str, name: str) -> None:
    language = identify(encoder, text)
    assert (language.name, language.is_supported) == (name, False)


@pytest.mark.parametrize(
    "text",
    [
        *("", "!?", "1234", "sushi", "piano", "taxi", "hotel", "robot", "gorilla", "taekwondo"),
        *("chat", "a brwon dog runing", "Angela Merkel", "no people", "zqxwv", "x", "café"),
        "5 α-particles",
    ],
)
def test_english_names_and_loan_words_stay_english(encoder: BuiltinEncoder, text: str) -> None:
    assert identify(encoder, text).is_english


@pytest.mark.parametrize(
    ("table", "english", "min_other", "min_english"),
    [
        (samples.DEVELOPMENT, samples.DEVELOPMENT_ENGLISH, 0.8, 0.9),
        (samples.HELD_OUT, samples.HELD_OUT_ENGLISH, 0.85, 0.9),
    ],
    ids=["development", "held out"],
)
def test_short_queries_go_to_the_right_tower(
    encoder: BuiltinEncoder,
    table: dict[str, str],
    english: str,
    min_other: float,
    min_english: float,
) -> None:
    others = [
        not identify(encoder, text).is_english
        for line in table.values()
        for text in line.split("|")
    ]
    kept = [identify(encoder, text).is_english for text in english.split("|")]
    assert sum(others) >= min_other * len(others)
    assert sum(kept) >= min_english * len(kept)


def test_common_english_does_not_load_the_multilingual_vocabulary() -> None:
    encoder = BuiltinEncoder()
    assert identify(encoder, "a dog on a beach").is_english
    assert "_npz_arrays" not in vars(encoder._multilingual_tower)


def test_every_language_has_a_name() -> None:
    assert set(FUNCTION_WORDS) <= SUPPORTED_NAMES.keys() | UNSUPPORTED_NAMES.keys()


@pytest.mark.slow
def test_a_hostile_text_is_read_in_bounded_time(encoder: BuiltinEncoder) -> None:
    for text in ("zzzzzzzz " * 10_000, "q" * 100_000, "ß" * 100_000, "é " * 50_000):
        assert encoder.read_text(text).language


def test_corrected_and_unknown_words_are_reported(encoder: BuiltinEncoder) -> None:
    reading = encoder.read_text("a dolfin and a zqxwv")
    assert reading.language == "English"
    assert reading.replacements == (("dolfin", "dolphin"),)
    assert reading.unknown_words == ("zqxwv",)


@pytest.mark.parametrize(
    "text",
    [
        *("opossum", "frisbees", "skateboarders windsurfing", "a well-known T-shirt", "12 3D cars"),
        *("koala", "scooter", "poodle", "it's a skunk", "Angela Merkel"),
    ],
)
def test_known_and_compound_words_are_not_reported(encoder: BuiltinEncoder, text: str) -> None:
    reading = encoder.read_text(text)
    assert (reading.replacements, reading.unknown_words) == ((), ())


def test_words_of_other_languages_are_not_corrected(encoder: BuiltinEncoder) -> None:
    assert encoder.read_text("ein Hund im Garten").replacements == ()
    finnish = encoder.read_text("koira juoksee rannalla")
    assert not finnish.is_supported
    assert {"English", "German", "Japanese"} <= set(finnish.supported_languages)
