"""As much English as rewriting a caption needs: what carries meaning, and how it is inflected."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def words_in(text: str) -> frozenset[str]:
    """A list of words, written as text."""
    return frozenset(text.split())


WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

BE = {"is": "are", "was": "were"}  # one: many
AUXILIARIES = words_in(
    "am is are was were be been being has have had having do does did will would can could may "
    "might must shall should"
)
ONE = words_in("a an one this that each every another")
MANY = words_in(
    "two three four five six seven eight nine ten several some many few various these those both "
    "all multiple"
)
OWNERS = words_in("the his her its their my our your no any")
FUNCTION_WORDS = (
    AUXILIARIES
    | ONE
    | MANY
    | OWNERS
    | words_in(
        "and or but nor so yet if then than as while when where which who whom whose what why how "
        "about above across after against along alongside amid among around at atop before behind "
        "below beneath beside besides between beyond by down during for from in inside into like "
        "near next of off on onto opposite out outside over past round since through throughout to "
        "toward towards under underneath until up upon via with within without he she it they him "
        "her them his hers its their theirs i me my we us our you your himself herself itself "
        "themselves someone somebody something anyone anything there here not no very too also "
        "just only still even much more most less least other others such same own any lot lots "
        "kind sort bit together apart away back while up-close etc s t"
    )
)
EMPTY = words_in(  # says that there is a picture, not what is in it
    "video videos clip clips scene scenes shot shots footage view image picture photo film movie "
    "camera close-up closeup close front side top bottom middle group number couple"
)
UNCOUNTABLE = words_in(
    "water snow ice rain sand grass dirt mud music food bread rice meat hair traffic furniture "
    "luggage clothing equipment smoke fire air dust fog mist sunlight daylight light darkness "
    "weather nature wood metal glass plastic paper gold silver homework work tennis football "
    "basketball baseball soccer golf cricket hockey yoga chess surfing skiing swimming karate "
    "judo boxing wrestling gymnastics news mathematics sheep fish deer aircraft series species "
    "moose salmon trout spacecraft bison shrimp scissors trousers jeans shorts pants glasses "
    "sunglasses headphones goggles pliers tongs clothes goods surroundings pyjamas pajamas"
)
COLOURS = words_in(
    "black white red green blue yellow orange brown grey gray pink purple golden beige turquoise"
)
_BEHIND = words_in(  # says how its noun is, and stands behind it
    "full empty seen shown made alone open asleep awake ready visible worn held given taken hidden "
    "broken lit indoors outdoors upstairs downstairs underwater overhead outside inside"
)
IRREGULAR = dict(  # one: many
    pair.split(":")
    for pair in words_in(
        "man:men woman:women child:children person:people foot:feet tooth:teeth goose:geese "
        "mouse:mice ox:oxen knife:knives wife:wives life:lives leaf:leaves wolf:wolves calf:calves "
        "half:halves shelf:shelves loaf:loaves thief:thieves scarf:scarves hoof:hooves elf:elves "
        "cactus:cacti fungus:fungi policeman:policemen policewoman:policewomen fireman:firemen "
        "fisherman:fishermen snowman:snowmen businessman:businessmen postman:postmen "
        "cameraman:cameramen sportsman:sportsmen grandchild:grandchildren potato:potatoes "
        "tomato:tomatoes hero:heroes mosquito:mosquitoes volcano:volcanoes buffalo:buffaloes "
        "echo:echoes mango:mangoes"
    )
)
_ONE_OF = {many: one for one, many in IRREGULAR.items()}
# What captions say that people, animals and things do, so that it is not taken for a noun.
_VERBS = words_in(
    "add aim appear approach arrange arrive ask assemble attach bake balance bark bathe bend bite "
    "blow board boil bounce bow break breathe bring brush build burn buy call carry carve cast "
    "catch celebrate chase chat check cheer chew chop clap clean clear climb close collect come "
    "compete cook cough cover crash crawl cross cry curl cut cycle dance dig dip discuss display "
    "dive do drag draw drift drink drive drop dry eat embrace emerge enjoy enter examine exercise "
    "explain explore face fall feed fight fill film finish fix flap flip float flow fly fold "
    "follow forge gather gaze get give glide go grab greet grill hang have hit hold hop hover hug "
    "hunt hurry install interact iron jog join juggle jump keep kick kiss kneel knit knock land "
    "laugh lay lead lean leap learn leave lick lie lift listen load look make march measure meet "
    "melt mix mount move mow open operate pack paddle paint pass pat peel perform pet pick place "
    "play plant point polish pose pour practise practice prepare present press pull pump push put "
    "race rake reach read relax repair rest ride rise roast roll rotate row rub run sail saw say "
    "scatter score scream search see sell serve set shake sharpen shave shine shoot show shred "
    "sing sip sit skate skateboard ski skip slap sleep slice slide smash smell smile smoke sneeze "
    "sniff solve speak spin splash spray spread sprint squat stack stand stare start stay steer "
    "stir stop stretch stroll study surf sweep swim swing take talk taste teach tell throw tie "
    "toss touch train travel trim trot try turn twirl type unload use view visit wait wake walk "
    "wander warm wash watch wave wear weld whisk wipe work wrap wrestle write yawn yell"
)
_DOUBLED = words_in(  # the last letter, before -ing
    "chat clap chop cut dig dip drag drip drop flap flip get grab grin hit hop hug hum jog knit "
    "mow pat pet put rub run set ship shop sip sit skip slap spin split spot squat step stir stop "
    "swim tap tip trim trip trot wrap"
)


def third(verb: str) -> str:
    """`run` as in "he runs"."""
    if verb in ("have", "do", "go"):
        return {"have": "has", "do": "does", "go": "goes"}[verb]
    return plural_by_rule(verb)


def gerund(verb: str) -> str:
    """`run` as in "running"."""
    if verb in ("lie", "tie", "die"):
        return f"{verb[:-2]}ying"
    if verb in _DOUBLED:
        return f"{verb}{verb[-1]}ing"
    if verb.endswith("e") and not verb.endswith(("ee", "ye", "oe")):
        return f"{verb[:-1]}ing"
    return f"{verb}ing"


def plural_by_rule(noun: str) -> str:
    """One to many, for what has no form of its own."""
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if re.search(r"(?:s|x|z|ch|sh)$", noun) else f"{noun}s"


THIRD = {third(verb): verb for verb in _VERBS}  # runs: run
BASE = _VERBS


def content_words(text: str) -> list[re.Match[str]]:
    """Those words that say what is to be seen, as matches."""
    return [
        found
        for found in WORD.finditer(text)
        if len(found[0]) > 1 and found[0].lower() not in FUNCTION_WORDS | EMPTY
    ]


def is_verb(word: str) -> bool:
    """Whether a word says what is done rather than what is there."""
    low = word.lower()
    return low in THIRD or low in BASE or (low.endswith("ing") and len(low) > 5)


def is_plural(noun: str) -> bool:
    """Whether a noun means many, as far as its form tells."""
    low = noun.lower()
    if low in _ONE_OF:
        return True
    return len(low) > 3 and low.endswith("s") and not low.endswith(("ss", "us", "is", "as", "os"))


def plural(noun: str) -> str:
    """One to many."""
    return IRREGULAR.get(noun) or plural_by_rule(noun)


def singular(noun: str) -> str:
    """Many to one."""
    if noun in _ONE_OF:
        return _ONE_OF[noun]
    if noun.endswith("ies") and len(noun) > 4:
        return f"{noun[:-3]}y"
    if re.search(r"(?:ss|x|zz|ch|sh)es$", noun):
        return noun[:-2]
    return noun.removesuffix("s")


def nouns(text: str) -> list[re.Match[str]]:
    """What is named, as matches: the last of the content words that stand together.

    Without a parser this is a guess: an adjective stands before its noun, a verb is one of a list
    or ends in -ing, and whatever ends a group of content words is what the group is about.
    """
    carried = {found.span() for found in content_words(text)}
    words = list(WORD.finditer(text))
    heads = []
    for index, word in enumerate(words):
        if word.span() not in carried or not _may_be_noun(word[0]):
            continue
        if index + 1 < len(words) and adjacent(words, index, text):
            after = words[index + 1]
            if after.span() in carried and (_may_be_noun(after[0]) or after[0].lower() in COLOURS):
                continue
        heads.append(word)
    return heads


def adjacent(words: Sequence[re.Match[str]], index: int, text: str) -> bool:
    """Whether nothing but space is between a word and the next."""
    return not text[words[index].end() : words[index + 1].start()].strip()


def _may_be_noun(word: str) -> bool:
    low = word.lower()
    participle = len(low) > 5 and low.endswith(("ed", "ly"))
    return not (participle or is_verb(low) or low in _BEHIND or low in COLOURS)
