"""Words that are spelt one way in Britain and another in America."""

from __future__ import annotations

import re

from vsearch.evaluation.english import WORD, words_in

# British:American. Those in -our, -ise, -yse and -ll- are given as stems, see below.
_PAIRS = (
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
_OUR = (
    "arm behavi cand clam col demean discol endeav fav ferv flav glam harb hon hum lab multicol od "
    "parl ranc rig rum sav splend tum val vap vig watercol neighb unicol tricol"
)
_OUR_ENDINGS = "our ours oured ouring ourful ourless ourable ourite ourites ourhood ourhoods oury"
_ISE = (
    "american apolog author capital character civil color critic custom destabil emphas "
    "energ equal familiar fantas fertil final formal general harmon hospital improv industrial "
    "italic legal local material maxim mechan memor minim mobil modern neutral normal optim organ "
    "oxid patron personal polar popular priorit real recogn reorgan revital sanit satir scrutin "
    "social special stabil standard steril summar symbol sympath synchron terror util vandal "
    "vapor visual vocal"
)
_ISE_ENDINGS = "ise ised ises ising iser isation"
_YSE = "anal catal paral dial"
_DOUBLED = (  # British doubles the l: travelling
    "cancel channel counsel dial duel enamel equal fuel funnel grovel jewel label level marshal "
    "marvel model panel pedal pencil quarrel refuel shovel shrivel signal snorkel spiral swivel "
    "tinsel total towel travel tunnel unravel"
)


def _pairs() -> dict[str, str]:
    """British: American."""
    found = dict(pair.split(":") for pair in _PAIRS.split())
    for stem in _OUR.split():
        for end in _OUR_ENDINGS.split():
            found[f"{stem}{end}"] = f"{stem}{end.replace('our', 'or', 1)}"
    for stem in _ISE.split():
        for end in _ISE_ENDINGS.split():
            found[f"{stem}{end}"] = f"{stem}{end.replace('is', 'iz', 1)}"
    for stem in _YSE.split():
        found |= {f"{stem}yse{end}": f"{stem}yze{end}" for end in ("", "d", "s")}
        found[f"{stem}ysing"] = f"{stem}yzing"
    for stem in _DOUBLED.split():
        found |= {f"{stem}l{end}": f"{stem}{end}" for end in ("ed", "ing", "er", "ers")}
    return found


AMERICAN = _pairs()
BRITISH = {there: here for here, there in AMERICAN.items()}
# What means something else as well, or what both write: never turned into the other.
_BOTH = words_in(
    "story stories check checks draft ton tons tire tires jail curb program programs spelled "
    "learned burned meter meters toward backward forward afterward math"
)


def other_spelling(text: str) -> str:
    """The text as written on the other side of the Atlantic; the same where nothing differs."""
    return WORD.sub(lambda found: _other(found[0]), text)


def _other(word: str) -> str:
    if "-" in word:  # grey-haired
        return re.sub(r"[^-]+", lambda part: _other(part[0]), word)
    low = word.lower()
    other = AMERICAN.get(low) or (None if low in _BOTH else BRITISH.get(low))
    return word if other is None else _as(word, other)


def _as(word: str, other: str) -> str:
    """`other` with the capitals of `word`."""
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other.capitalize() if word[:1].isupper() else other
