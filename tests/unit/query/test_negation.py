"""Negation in plain words: what is split, what is left as typed, and the hint."""

from __future__ import annotations

import pytest

from vsearch.query.hints import NEGATION_HINT, negation_hint
from vsearch.query.model import Term
from vsearch.query.parser import parse_query

SPLIT_QUERIES = """
person, not indoors => person | indoors
a kitchen without people => a kitchen | people
dog, no snow => dog | snow
dog outside, no snow => dog outside | snow
cars but not red => cars | red
a street with no cars => a street | cars
beach minus people => beach | people
anything except dogs => | dogs
dog NOT cat => dog | cat
birds but no water => birds | water
a room without a person in it => a room | person
an empty road, no traffic => an empty road | traffic
no people on the beach => the beach | people
no one on the beach => the beach | people
nobody at the beach => the beach | people
a woman who is not smiling => a woman | smiling
a man with no hair => a man | hair
no dogs => | dogs
not a dog => | dog
a dog without a leash => a dog | leash
a dog that doesn't bark => a dog | bark
people who don't wear masks => people | wear masks
a man who has no beard => a man | beard
a beach where there are no people => a beach | people
there are no cars => | cars
a bike without a rider in the rain => a bike in the rain | rider
a man without a shirt running => a man running | shirt
cats or dogs, but not outside => cats or dogs | outside
a garden with no people, no cars and no dogs => a garden | people | cars | dogs
a street without cars or buses => a street | cars | buses
a street with no cars, buses or bicycles => a street | cars | buses | bicycles
a forest with neither people nor animals => a forest | people | animals
a parking lot w/o cars => a parking lot | cars
everything but cats => | cats
vehicles excluding trucks => vehicles | trucks
vehicles except for trucks => vehicles | trucks
animals other than dogs => animals | dogs
a cup instead of a glass => a cup | glass
a beach without people at sunset => a beach at sunset | people
a dog not on a leash => a dog | on a leash
a man not wearing a hat => a man | wearing a hat
cars that aren't red => cars | red
the dog is not running => the dog | running
a room with nobody in it => a room | people
a house with no one inside => a house | people
a table with no food on it => a table | food
a woman without glasses, at night => a woman, at night | glasses
mountains - no snow => mountains | snow
beach no people => beach | people
a lake and no boats => a lake | boats
food, not meat => food | meat
food, not meat, not fish => food | meat | fish
a mountain without any sign of snow => a mountain | snow
a portrait with no text in the picture => a portrait | text
a cat but not a black one => a cat | black
show me videos of a beach without people => a beach | people
find clips where there is no sound => | sound
a road free of cars => a road | cars
a man without a hat and a woman with a dog => a man and a woman with a dog | hat
a man without a hat or a coat => a man | hat | coat
sports other than football, not indoors => sports | football | indoors
all animals, excluding cats and dogs => all animals | cats | dogs
a swimmer without a cap, please => a swimmer | cap
a plane that never lands => a plane | lands
a window with no curtains and a view of the sea => a window and a view of the sea | curtains
a dog that does not bark => a dog | bark
a bird that can't fly => a bird | fly
a bird that cannot fly => a bird | fly
people who won't sit => people | sit
a forest without fog => a forest | fog
skier, no helmet => skier | helmet
a classroom with no students => a classroom | students
flowers but not roses => flowers | roses
a car that is not moving => a car | moving
street at night, without cars => street at night | cars
no cars on the road => the road | cars
nobody in the office => the office | people
a cake without candles on a table => a cake on a table | candles
people dancing, not singing => people dancing | singing
a bird that can't fly => a bird | fly
fruit except bananas => fruit | bananas
a portrait without a smile => a portrait | smile
a boat, not a ship => a boat | ship
a desk with no computer or phone => a desk | computer | phone
a city skyline without clouds in the sky => a city skyline in the sky | clouds
woman not wearing makeup => woman | wearing makeup
a soccer game with no audience => a soccer game | audience
there is nobody in the room => the room | people
please show me a beach, but no umbrellas => a beach | umbrellas
cooking videos, no talking => cooking videos | talking
food that doesn't contain meat => food | meat
anything but cats => | cats
a child without shoes playing football => a child playing football | shoes
a green field minus the cows => a green field | cows
a lake without a single boat => a lake | boat
not a cat, a dog => a dog | cat
a guitar player, no drums and no singer => a guitar player | drums | singer
all fruits other than apples => all fruits | apples
there is no tomorrow => | tomorrow
a rose without thorns => a rose | thorns
guitar but no singing => guitar | singing
city street, no pedestrians => city street | pedestrians
a bowl of fruit with no apples => a bowl of fruit | apples
a child not crying => a child | crying
a horse that isn't brown => a horse | brown
mountains without trees in winter => mountains in winter | trees
nobody on the dance floor => the dance floor | people
there are no clouds in the sky => the sky | clouds
coffee except espresso => coffee | espresso
rain, not snow => rain | snow
two men without hats shaking hands => two men shaking hands | hats
an office with no windows or plants => an office | windows | plants
sea minus boats => sea | boats
a wedding without a bride => a wedding | bride
a person NOT wearing a mask => a person | wearing a mask
show me cats but not kittens => cats | kittens
find a park without any benches please => a park | benches
a dog, neither black nor white => a dog | black | white
a cook who doesn't wear an apron => a cook | wear an apron
a bedroom with no bed in it => a bedroom | bed
trains other than steam trains => trains | steam trains
a garden without flowers, in the sun => a garden, in the sun | flowers
sports, but no football => sports | football
""".strip().splitlines()

UNSPLIT_QUERIES = """
a no smoking sign
no smoking sign
no smoking
no entry
no entry sign
not only dogs
nothing but sand
a sign that says no parking
knot
a knot in a rope
notes on a piano
a nose
snow without end
to be or not to be
a man shaking his head no
a woman saying no
do not disturb sign
no dogs allowed sign
doctors without borders
it is not funny
this is not a pipe
they don't know
never give up
minus 10 degrees
a minus sign
no man's land
no-fly zone
not bad
why not
with or without you
no time to die
a cat on a northern window
no 5 perfume
no, no, no
a nonstop train
someone yelling no at a dog
note without
a gato no telhado
cachorro no parque com crianças
a text reading no exit
whether or not it rains
isn't she lovely
last but not least
an empty room
a butler
no more cake
cannot
a button
a dog does not care
we will not go
no swimming sign
I am not sure
a notice board
she does not care
a nobel prize
no no no
a man singing no woman no cry
a no parking zone
not bad at all
a button labeled no
it's not over
the noble knight
whether he comes or not
""".strip().splitlines()


@pytest.mark.parametrize("row", SPLIT_QUERIES)
def test_a_negation_excludes_as_if_typed_with_a_minus(row: str) -> None:
    query_text, expected_text = row.split(" => ")
    wanted_text, *excluded_texts = map(str.strip, expected_text.split("|"))
    query = parse_query(query_text)
    assert query.terms == (
        *([Term("text", wanted_text)] if wanted_text else []),
        *(Term("text", excluded_text, -1) for excluded_text in excluded_texts),
    )
    assert parse_query(str(query)) == query
    assert negation_hint(query) is None


@pytest.mark.parametrize("text", UNSPLIT_QUERIES)
def test_an_idiom_a_quotation_or_a_statement_is_not_split(text: str) -> None:
    query = parse_query(text)
    assert query.terms == (Term("text", text),)
    assert parse_query(str(query)) == query


def test_only_plain_words_are_split() -> None:
    phrase = Term("text", "a room without people", is_phrase=True)
    assert parse_query('"a room without people"').terms == (phrase,)
    assert parse_query(r"text:no\ dogs").terms == (Term("text", "no dogs"),)
    assert parse_query(r"no\ dogs").terms == (Term("text", "no dogs"),)
    assert parse_query("said:never").terms == (Term("said", "never"),)


def test_each_step_is_split_by_itself() -> None:
    query = parse_query("a street with no cars then:<30s a dog, not indoors")
    assert query == parse_query("a street -cars then:<30s a dog -indoors")
    assert parse_query("a street image:a.png without cars") == parse_query(
        "a street image:a.png -cars"
    )


def test_a_long_description_is_not_split() -> None:
    text = "without a hat " + "and so on " * 30
    assert parse_query(text).terms == (Term("text", text.strip()),)


@pytest.mark.parametrize(
    ("text", "has_hint"),
    [
        ("they don't know", True),
        ("never give up", True),
        ("it is not funny", True),
        ("a dog then: this is not a pipe", True),
        ("a sign without", True),
        ("a room without -", True),
        ("a dog", False),
        ('"no dogs"', False),
        ("said:no", False),
        ("a knot", False),
        ("it is not funny -cat", False),
    ],
)
def test_a_negative_word_that_excludes_nothing_gets_a_hint(text: str, has_hint: bool) -> None:
    assert negation_hint(parse_query(text)) == (NEGATION_HINT if has_hint else None)
