"""Requests, punctuation and operators in plain words."""

from __future__ import annotations

import pytest

from vsearch.errors import QueryError
from vsearch.query.model import Term
from vsearch.query.parser import parse_query, text_query

REQUESTS = {  # content: texts that parse to it
    "a dog": (
        "a dog!|a dog?|a dog.|/a dog|¿a dog?|show me a dog|please find me a dog|"
        "I am looking for a dog|I'm looking for a dog|do you have footage of a dog|"
        "Can you show me a dog please?|could you please find a video of a dog|(a dog)|"
        "is there a dog in the video?|a dog...|... a dog|show us clips of a dog, thanks|"
        "I want to see a dog|I'd like to see a dog|I need a video of a dog|a video of a dog|"
        "video with a dog|hello, show me a dog|get me a clip with a dog|"
        "search my videos for a dog|a dog, please|videos where you can see a dog|"
        "help me find a dog|have you got any footage of a dog|where can I see a dog|"
        "find a dog for me|show me a video with a dog in it|a dog 。|search for a dog|"
        "look for a dog"
    ),
    "dogs": (
        "find videos of dogs|search for dogs|dogs?|show me all videos of dogs|"
        "are there any dogs?|find dogs|videos about dogs|show me pictures of dogs|"
        "list all clips with dogs|do you have any dogs|watch videos of dogs|dogs please|dogs!!!|"
        "find all the dogs"
    ),
    "a dog runs": (
        "clips where a dog runs|a video in which a dog runs|when does a dog run|"
        "the part where a dog runs|which video shows a dog runs|go to the moment when a dog runs|"
        "scenes where a dog runs|when a dog runs|where does a dog run?"
    ),
    "the dog": "where is the dog|where's the dog?|when is the dog",
    "einen Hund": (
        "zeig mir einen Hund|Zeige mir bitte einen Hund!|ich suche einen Hund|"
        "Kannst du mir einen Hund zeigen?|Videos mit einen Hund|gibt es einen Hund?|"
        "einen Hund bitte|wo ist einen Hund|suche nach einen Hund|ich möchte einen Hund sehen"
    ),
    "un chien": (
        "montre-moi un chien|Montrez moi un chien s'il vous plaît|je cherche un chien|"
        "une vidéo d'un chien|où est un chien ?|y a-t-il un chien ?"
    ),
    "un perro": (
        "muéstrame un perro|Muestrame un perro por favor|¿dónde está un perro?|busca un perro|"
        "quiero ver un perro|vídeos con un perro|¿hay un perro?"
    ),
    "um cão": (
        "mostra-me um cão|mostre-me um cão, por favor|onde está um cão?|me mostra um cão|"
        "vídeos com um cão"
    ),
    "un cane": (
        "mostrami un cane|fammi vedere un cane|cerco un cane|dov'è un cane?|video con un cane|"
        "video di un cane"
    ),
    "собаку": (
        "покажи собаку|Покажите мне собаку, пожалуйста|найди собаку|где собаку?|я ищу собаку"
    ),
    "狗": (
        "给我看狗|请给我看一下狗|有没有狗？|狗的视频|我想看狗|帮我找狗|狗在哪里？|请给我看狗的视频"
    ),
    "犬": (
        "犬を見せて|犬を見せてください。|犬の動画|犬の動画を見せて|犬はどこ？|犬を探して|犬が見たい"
    ),
    "강아지": (
        "강아지 보여줘|강아지를 보여 주세요|강아지 찾아줘|강아지 영상|강아지가 나오는 영상을 보여줘"
    ),
    "كلب": "أرني كلب|ابحث عن كلب|هل يوجد كلب؟|أين كلب؟",
}
CONTENT = """
show me
videos
find
please
search
close-up of a face
aerial shot of a town
black and white footage
a photo on the wall
a man films himself
a video game
video call
search and rescue
someone finds a coin
a dog, running
show jumping
a shot of tequila
film of oil
finding nemo
drone footage of a town
a woman saying please
security camera view from above
video of
show
a search party
looking for shells on a beach
a place where people eat
hello kitty
play football
get ready
see you later
camera circles around a toy
part of a car
cerca de la playa
hay bales
moment of silence
C++
50%
12" vinyl
thank*
--
:)
10:30
give way sign
watch on a wrist
clip art
film
a picture with a frame
list of names
the one
time lapse
there is a dog
ビデオ
视频
영상
I want to break free
is
""".strip().splitlines()


@pytest.mark.parametrize(
    ("text", "content"),
    [(text, content) for content, texts in REQUESTS.items() for text in texts.split("|")],
)
def test_a_request_is_searched_by_its_content(text: str, content: str) -> None:
    query = parse_query(text)
    assert query.terms == (Term("text", content),)
    assert parse_query(str(query)) == query


@pytest.mark.parametrize("text", CONTENT)
def test_content_that_resembles_a_request_stays(text: str) -> None:
    query = parse_query(text)
    assert query.terms == (Term("text", text),)
    assert parse_query(str(query)) == query


@pytest.mark.parametrize("text", ["?", "!!!", "/", ". . .", "？", "¿?"])
def test_punctuation_alone_is_nothing_to_search_for(text: str) -> None:
    with pytest.raises(QueryError, match="nothing to search for"):
        parse_query(text)
    assert parse_query(f'{text} "a dog" {text}').terms == (Term("text", "a dog", is_phrase=True),)


def test_only_plain_words_are_interpreted() -> None:
    text = "show me the money"
    assert parse_query(text).terms == (Term("text", "the money"),)
    assert parse_query(f'"{text}"').terms == (Term("text", text, is_phrase=True),)
    assert parse_query(f'said:"{text}"').terms == (Term("said", text, is_phrase=True),)
    assert parse_query(r"text:show\ me").terms == (Term("text", "show me"),)
    assert parse_query(r"show\ me a dog?").terms == (Term("text", "show me a dog?"),)
    assert text_query(f"{text}!").terms == (Term("text", f"{text}!"),)


@pytest.mark.parametrize(
    "text", ["dog OR cat", "dog || cat", "DOG | CAT", "(dog OR cat) -red", "OR", "狗 OR 猫"]
)
def test_or_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(QueryError, match="search for each alternative separately"):
        parse_query(text)


@pytest.mark.parametrize(
    ("text", "same_query"),
    [
        ("dog AND cat", "dog cat"),
        ("dog && cat", "dog cat"),
        ("dog + cat", "dog cat"),
        ('"a dog" AND "a cat"', '"a dog" "a cat"'),
        ("dog NOT cat", "dog -cat"),
        ("dog AND NOT cat", "dog -cat"),
        ('dog NOT "black cat"', 'dog -"black cat"'),
        ("dog NOT said:hello", "dog -said:hello"),
        ("dog NOT tag:x", "dog -tag:x"),
        ("(a dog)", "a dog"),
        ("dog (brown)", "dog brown"),
        ("dog(s) (brown) running", "dogs brown running"),
        ("(a dog) -(cat)", "a dog -(cat)"),
        ("dog or cat", "text:dog\\ or\\ cat"),
        ("STOP OR GO", "text:STOP\\ OR\\ GO"),
    ],
)
def test_and_parentheses_and_not_are_understood(text: str, same_query: str) -> None:
    assert parse_query(text) == parse_query(same_query)


@pytest.mark.parametrize(
    "value", ["OR", "rock AND roll", "why NOT", "a | b", "show me a dog", "a dog?", "?", "no dogs"]
)
def test_a_text_that_would_be_interpreted_is_formatted_literally(value: str) -> None:
    query = parse_query(f"x text:{value}".replace(" ", "\\ ").replace("x\\ ", "x "))
    assert query.terms == (Term("text", "x"), Term("text", value))
    assert parse_query(str(query)) == query
    assert str(text_query(value)).startswith("text:")
