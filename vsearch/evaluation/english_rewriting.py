"""English word lists and inflection rules for rewriting captions, and British/American spelling."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def split_words(words_text: str) -> frozenset[str]:
    """Split a word list written as one string."""
    return frozenset(words_text.split())


WORD_PATTERN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
BE_PLURALS = {"is": "are", "was": "were"}  # singular: plural
AUXILIARY_VERBS = split_words(
    "am is are was were be been being has have had having do does did will would can could may "
    "might must shall should"
)
SINGULAR_DETERMINERS = split_words("a an one this that each every another")
PLURAL_DETERMINERS = split_words(
    "two three four five six seven eight nine ten several some many few various these those both "
    "all multiple"
)
POSSESSIVES = split_words("the his her its their my our your no any")
FUNCTION_WORDS = (
    AUXILIARY_VERBS
    | SINGULAR_DETERMINERS
    | PLURAL_DETERMINERS
    | POSSESSIVES
    | split_words(
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
FILLER_WORDS = split_words(  # words about the image itself, not its content
    "video videos clip clips scene scenes shot shots footage view image picture photo film movie "
    "camera close-up closeup close front side top bottom middle group number couple"
)
UNCOUNTABLE_NOUNS = split_words(
    "water snow ice rain sand grass dirt mud music food bread rice meat hair traffic furniture "
    "luggage clothing equipment smoke fire air dust fog mist sunlight daylight light darkness "
    "weather nature wood metal glass plastic paper gold silver homework work tennis football "
    "basketball baseball soccer golf cricket hockey yoga chess surfing skiing swimming karate "
    "judo boxing wrestling gymnastics news mathematics sheep fish deer aircraft series species "
    "moose salmon trout spacecraft bison shrimp scissors trousers jeans shorts pants glasses "
    "sunglasses headphones goggles pliers tongs clothes goods surroundings pyjamas pajamas"
)
COLOR_WORDS = split_words(
    "black white red green blue yellow orange brown grey gray pink purple golden beige turquoise"
)
_POSTPOSED_ADJECTIVES = split_words(  # adjectives that follow their noun
    "full empty seen shown made alone open asleep awake ready visible worn held given taken hidden "
    "broken lit indoors outdoors upstairs downstairs underwater overhead outside inside"
)
IRREGULAR_PLURALS = dict(  # singular: plural
    pair.split(":")
    for pair in split_words(
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
_IRREGULAR_SINGULARS = {plural: singular for singular, plural in IRREGULAR_PLURALS.items()}
# Verbs that are frequent in captions, which would otherwise be taken for nouns.
_CAPTION_VERBS = split_words(
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
_DOUBLED_CONSONANT_VERBS = split_words(  # the last letter is doubled before -ing
    "chat clap chop cut dig dip drag drip drop flap flip get grab grin hit hop hug hum jog knit "
    "mow pat pet put rub run set ship shop sip sit skip slap spin split spot squat step stir stop "
    "swim tap tip trim trip trot wrap"
)


def conjugate_third_person(verb: str) -> str:
    """Return the third person singular of a verb: run → runs."""
    if verb in ("have", "do", "go"):
        return {"have": "has", "do": "does", "go": "goes"}[verb]
    return pluralize_by_rule(verb)


def form_gerund(verb: str) -> str:
    """Return the -ing form of a verb: run → running."""
    if verb in ("lie", "tie", "die"):
        return f"{verb[:-2]}ying"
    if verb in _DOUBLED_CONSONANT_VERBS:
        return f"{verb}{verb[-1]}ing"
    if verb.endswith("e") and not verb.endswith(("ee", "ye", "oe")):
        return f"{verb[:-1]}ing"
    return f"{verb}ing"


def pluralize_by_rule(noun: str) -> str:
    """Return the regular plural of a noun."""
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if re.search(r"(?:s|x|z|ch|sh)$", noun) else f"{noun}s"


THIRD_PERSON_VERBS = {conjugate_third_person(verb): verb for verb in _CAPTION_VERBS}  # runs: run
BASE_VERBS = _CAPTION_VERBS


def find_content_words(caption_text: str) -> list[re.Match[str]]:
    """Return matches of the words of a caption that carry meaning."""
    return [
        word_match
        for word_match in WORD_PATTERN.finditer(caption_text)
        if len(word_match[0]) > 1 and word_match[0].lower() not in FUNCTION_WORDS | FILLER_WORDS
    ]


def is_verb(word: str) -> bool:
    """Return whether a word names an action rather than a thing."""
    lowercase_word = word.lower()
    return (
        lowercase_word in THIRD_PERSON_VERBS
        or lowercase_word in BASE_VERBS
        or (lowercase_word.endswith("ing") and len(lowercase_word) > 5)
    )


def is_plural(noun: str) -> bool:
    """Return whether a noun is plural, judging by its form."""
    lowercase_noun = noun.lower()
    if lowercase_noun in _IRREGULAR_SINGULARS:
        return True
    return (
        len(lowercase_noun) > 3
        and lowercase_noun.endswith("s")
        and not lowercase_noun.endswith(("ss", "us", "is", "as", "os"))
    )


def pluralize_noun(noun: str) -> str:
    """Return the plural of a noun."""
    return IRREGULAR_PLURALS.get(noun) or pluralize_by_rule(noun)


def singularize_noun(noun: str) -> str:
    """Return the singular of a noun."""
    if noun in _IRREGULAR_SINGULARS:
        return _IRREGULAR_SINGULARS[noun]
    if noun.endswith("ies") and len(noun) > 4:
        return f"{noun[:-3]}y"
    if re.search(r"(?:ss|x|zz|ch|sh)es$", noun):
        return noun[:-2]
    return noun.removesuffix("s")


def find_head_nouns(caption_text: str) -> list[re.Match[str]]:
    """Find the nouns that a caption names: the last word of each run of content words.

    This is a heuristic without a parser: adjectives precede their noun, and a verb is one of a list
    or ends in -ing.

    Args:
        caption_text: The caption.

    Returns:
        Matches of the nouns.
    """
    content_spans = {content_word.span() for content_word in find_content_words(caption_text)}
    word_matches = list(WORD_PATTERN.finditer(caption_text))
    head_nouns = []
    for word_index, word_match in enumerate(word_matches):
        if word_match.span() not in content_spans or not _can_be_noun(word_match[0]):
            continue
        next_word = word_matches[word_index + 1] if word_index + 1 < len(word_matches) else None
        is_modifier = (
            next_word is not None
            and is_adjacent(word_matches, word_index, caption_text)
            and next_word.span() in content_spans
            and (_can_be_noun(next_word[0]) or next_word[0].lower() in COLOR_WORDS)
        )
        if not is_modifier:
            head_nouns.append(word_match)
    return head_nouns


def is_adjacent(word_matches: Sequence[re.Match[str]], word_index: int, caption_text: str) -> bool:
    """Return whether only white space separates a word from the next one."""
    return not caption_text[
        word_matches[word_index].end() : word_matches[word_index + 1].start()
    ].strip()


def _can_be_noun(word: str) -> bool:
    lowercase_word = word.lower()
    is_participle = len(lowercase_word) > 5 and lowercase_word.endswith(("ed", "ly"))
    return not (
        is_participle
        or is_verb(lowercase_word)
        or lowercase_word in _POSTPOSED_ADJECTIVES
        or lowercase_word in COLOR_WORDS
    )


# British and American spelling.

# British:American; words in -our, -ise, -yse and -ll- are listed as stems below.
_SPELLING_PAIRS = (
    "aeroplane:airplane aeroplanes:airplanes aluminium:aluminum analogue:analog annexe:annex "
    "axe:ax calibre:caliber catalogue:catalog catalogues:catalogs centimetre:centimeter "
    "centimetres:centimeters centre:center centred:centered centres:centers cheque:check "
    "cheques:checks chequered:checkered cosier:cozier cosy:cozy defence:defense dialogue:dialog "
    "doughnut:donut doughnuts:donuts draught:draft encyclopaedia:encyclopedia "
    "enrol:enroll fibre:fiber fibres:fibers fibreglass:fiberglass fulfil:fulfill gaol:jail "
    "goitre:goiter grey:gray greyish:grayish greys:grays gynaecologist:gynecologist "
    "instalment:installment jewellery:jewelry judgement:judgment kerb:curb kerbs:curbs "
    "kilometre:kilometer kilometres:kilometers leukaemia:leukemia licence:license litre:liter "
    "litres:liters lustre:luster manoeuvre:maneuver manoeuvres:maneuvers "
    "manoeuvring:maneuvering meagre:meager metre:meter metres:meters millimetre:millimeter "
    "mitre:miter mould:mold moulds:molds moulding:molding mouldy:moldy moult:molt "
    "moustache:mustache moustaches:mustaches moustached:mustached mum:mom mums:moms "
    "ochre:ocher offence:offense omelette:omelet orthopaedic:orthopedic paediatric:pediatric "
    "paediatrician:pediatrician plough:plow ploughed:plowed ploughing:plowing ploughs:plows "
    "practising:practicing practised:practiced pretence:pretense programme:program "
    "programmes:programs pyjama:pajama pyjamas:pajamas sabre:saber sabres:sabers "
    "sceptical:skeptical skilful:skillful sombre:somber spectre:specter "
    "smoulder:smolder smouldering:smoldering "
    "storey:story storeys:stories sulphur:sulfur theatre:theater theatres:theaters "
    "titbit:tidbit towards:toward tranquillity:tranquility tyre:tire tyres:tires "
    "wilful:willful woollen:woolen whisky:whiskey yoghurt:yogurt yoghurts:yogurts "
    "sceptre:scepter amphitheatre:amphitheater backwards:backward forwards:forward "
    "afterwards:afterward ageing:aging artefact:artifact artefacts:artifacts caesarean:cesarean "
    "haemorrhage:hemorrhage foetus:fetus oesophagus:esophagus anaesthetic:anesthetic "
    "archaeologist:archeologist archaeology:archeology cypher:cipher furore:furor pedlar:peddler "
    "snowplough:snowplow speciality:specialty spelt:spelled learnt:learned burnt:burned "
    "leapt:leaped dreamt:dreamed kneelt:kneeled spilt:spilled spoilt:spoiled tonne:ton "
    "tonnes:tons maths:math sledge:sled sledges:sleds sledging:sledding liquorice:licorice "
    "acknowledgement:acknowledgment"
)
_OUR_STEMS = (
    "arm behavi cand clam col demean discol endeav fav ferv flav glam harb hon hum lab multicol od "
    "parl ranc rig rum sav splend tum val vap vig watercol neighb unicol tricol"
)
_OUR_ENDINGS = "our ours oured ouring ourful ourless ourable ourite ourites ourhood ourhoods oury"
_ISE_STEMS = (
    "american apolog author capital character civil color critic custom destabil emphas "
    "energ equal familiar fantas fertil final formal general harmon hospital improv industrial "
    "italic legal local material maxim mechan memor minim mobil modern neutral normal optim organ "
    "oxid patron personal polar popular priorit real recogn reorgan revital sanit satir scrutin "
    "social special stabil standard steril summar symbol sympath synchron terror util vandal "
    "vapor visual vocal"
)
_ISE_ENDINGS = "ise ised ises ising iser isation"
_YSE_STEMS = "anal catal paral dial"
_DOUBLED_L_STEMS = (  # British English doubles the l: travelling
    "cancel channel counsel dial duel enamel equal fuel funnel grovel jewel label level marshal "
    "marvel model panel pedal pencil quarrel refuel shovel shrivel signal snorkel spiral swivel "
    "tinsel total towel travel tunnel unravel"
)


def _build_spelling_map() -> dict[str, str]:
    """Map British to American spellings."""
    american_by_british = dict(pair.split(":") for pair in _SPELLING_PAIRS.split())
    for stems, endings, british, american in (
        (_OUR_STEMS, _OUR_ENDINGS, "our", "or"),
        (_ISE_STEMS, _ISE_ENDINGS, "is", "iz"),
        (_YSE_STEMS, "yse ysed yses ysing", "ys", "yz"),
        (_DOUBLED_L_STEMS, "led ling ler lers", "l", ""),
    ):
        for stem, ending in itertools.product(stems.split(), endings.split()):
            american_by_british[stem + ending] = stem + ending.replace(british, american, 1)
    return american_by_british


AMERICAN_BY_BRITISH = _build_spelling_map()
BRITISH_BY_AMERICAN = {american: british for british, american in AMERICAN_BY_BRITISH.items()}
# American spellings that are also British words, and are therefore never swapped.
_AMBIGUOUS_WORDS = split_words(
    "story stories check checks draft ton tons tire tires jail curb program programs spelled "
    "learned burned meter meters toward backward forward afterward math"
)


def swap_spelling(caption_text: str) -> str:
    """Swap British and American spellings.

    Args:
        caption_text: The caption.

    Returns:
        The caption with the other spellings; unchanged if it has none that differ.
    """
    return WORD_PATTERN.sub(lambda word_match: _swap_word(word_match[0]), caption_text)


def _swap_word(word: str) -> str:
    if "-" in word:  # grey-haired
        return re.sub(r"[^-]+", lambda part_match: _swap_word(part_match[0]), word)
    lowercase_word = word.lower()
    other_word = AMERICAN_BY_BRITISH.get(lowercase_word) or (
        None if lowercase_word in _AMBIGUOUS_WORDS else BRITISH_BY_AMERICAN.get(lowercase_word)
    )
    return word if other_word is None else _copy_case(word, other_word)


def _copy_case(word: str, other_word: str) -> str:
    """Return `other_word` with the capitalization of `word`."""
    if word.isupper() and len(word) > 1:
        return other_word.upper()
    return other_word.capitalize() if word[:1].isupper() else other_word
