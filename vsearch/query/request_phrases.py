r"""Removal of words that ask for a video but do not describe it: "show me a dog, please?".

Each language has a small grammar of regular expressions. An *opening* is matched at the start of a
text, a *closing* at its end; they are removed in turn, and never so that nothing remains.

    opening  = [ greeting ] , [ "please" ] , request | question | media ;
    request  = "show me" | "find" | "I am looking for" | "do you have" | … ;
    question = ( "when" | "where" ) , ( "is" | "does" | … ) ;
    media    = [ determiners ] , ( "videos" | "clips" | … ) , ( "of" | "where" | "with" | … ) ;
    closing  = "please" | "thanks" | "in my videos" | … ;

The patterns are strings: `re` compiles them on first use, which most queries never reach.
"""

from __future__ import annotations

import re

SENTENCE_MARKS = "?!.,;…？！。．，、；؟،؛¿¡"
_LEADING_MARKS = "?!,;…？！。，、；؟،¿¡/ "
_TRAILING_MARKS = f"{SENTENCE_MARKS}:： "
_MAX_PASSES = 6  # openings in sequence: hi, can you find | videos where | there is
_MAX_CHARS = 400  # longer texts are not requests

# --- English
_ENGLISH_START = (  # decides if the patterns of openings are tried
    r"(?:hi|hello|hey|ok|okay|please|kindly|just|can|could|would|will|show|find|get|give|fetch|look"
    r"|search|list|retrieve|locate|i|we|im|let|help|do|have|got|is|are|when|where|at|in|which|what"
    r"|want|wanna|looking|try)\b"
)
_MEDIA_NAMES = (
    r"\b(?:v[ií]d[eé]os?|vids?|clips?|footage|recordings?|scenes?|moments?|shots?|segments?|films?"
    r"|sequences?|movies?|pictures?|photos?|images?|parts?|bits?|sections?|points?|times?|frames?"
    r"|instances?|spots?|ones?|aufnahmen?|szenen?)\b"
)
_DETERMINERS = (
    r"(?:(?:a (?:few|couple of|lot of)|an?|the|all(?: of)?|any|some|every|each|more|other|another"
    r"|several|my|our|your|these|those|this|that|one|only|just|short|full)\s+){0,3}"
)
_VIDEOS = r"(?:(?:video|film|movie)\s+)?(?:videos?|vids?|clips?|footage|recordings?)"
_SCENES = (  # film, picture or shot: only removed where the text surely speaks of the recording
    r"(?:scenes?|moments?|shots?|segments?|sequences?|films?|movies?|pictures?|photos?|images?)"
)
_PARTS = r"(?:parts?|bits?|sections?|points?|times?|instances?|frames?|spots?|ones?)"
_ABOUT = (
    r"(?:of|with|about|showing|containing|featuring|including|depicting"
    r"|(?:that|which)\s+(?:shows?|contains?|ha(?:s|ve)|features?|includes?|depicts?))"
)
_MEDIA = (
    rf"{_DETERMINERS}(?:{_VIDEOS}\s+{_ABOUT}"
    rf"|(?:{_VIDEOS}|{_SCENES}|{_PARTS})\s+(?:where|when|in\s+which|during\s+which)"
    r"|the\s+(?:scene|moment|part|bit|one)s?\s+with)\s+"
)
_NOUN_PHRASE = r"(?:an?|the|all|any|some|every|my|our|your|only|more|videos?|clips?|footage)\b"
_I_AM = r"(?:i|we)(?:\s+am|\s+are|['’]?m|['’]re)?\s+"
_I_WOULD = r"(?:i|we)(?:['’]?d|\s+would)?\s+(?:(?:really|just)\s+)?"
_REQUEST = (
    r"(?:(?:hi|hello|hey|ok|okay)(?:\s+there)?[,!.]?\s+)?(?:please,?\s+)?"
    r"(?:(?:can|could|would|will)\s+you\s+)?(?:(?:please|kindly|just)\s+)?"
    r"(?:(?:show|find|get|give|fetch)\s+(?:me|us)"
    r"|(?:try\s+to\s+)?find(?!\s+out\b)|search(?=:)"
    r"|(?:look|search(?:\s+(?:through\s+)?(?:(?:my|the|all|our)\s+)*"
    r"(?:videos|clips|footage|library|files))?)\s+for"
    rf"|(?:show|list|retrieve|locate)(?=\s+{_NOUN_PHRASE})"
    rf"|{_I_AM}(?:(?:currently|just)\s+)?(?:looking|searching)\s+for"
    rf"|{_I_AM}trying\s+to\s+(?:find|locate|see)"
    r"|looking\s+for(?=\s+(?:an?|any|some|videos?|clips?|footage)\b)"
    rf"|(?:{_I_WOULD})?(?:wanna|(?:want|need|like|love)\s+to)"
    r"\s+(?:see|find|watch|view|look\s+(?:at|for)|search\s+for)"
    r"|(?:i|we)\s+(?:want|need|would\s+like)"
    r"(?!\s+(?:to|you|it|him|her|them|me|us|that|this|in|out|more)\b)"
    r"|(?:can|could|may)\s+(?:i|we)\s+(?:please\s+)?(?:see|have|get|watch|find|view)"
    r"|let\s+(?:me|us)\s+see|let['’]s\s+see|help\s+me\s+(?:to\s+)?(?:find|locate)"
    r"|do\s+(?:you|we|i)\s+have|have\s+(?:you|we|i)\s+got|(?:is|are)\s+there"
    r"|got(?=\s+any\b))(?:\s*[:,]\s*|\s+)|please,\s*"
)
_QUESTION = (
    r"(?:when|where|at\s+what\s+(?:time|point))(?:['’]s|\s+(?:is|are|was|were|(?:can|could)\s+"
    r"(?:i|we|you)\s+(?:see|find|watch)))\s+"
    r"|(?:when|where)\s+(?=(?:an?|the|my|his|her|some(?:one|body)|he|she|it|they|people|there)\s)"
    rf"|(?:in\s+)?(?:which|what)\s+(?:{_VIDEOS}|{_SCENES})\s+"
    r"(?:shows?|ha(?:s|ve)|contains?|features?|(?:is|are)\s+there|(?:can|do)\s+i\s+see|is|are)\s+"
)
_DOES = (
    r"(?:when|where|at\s+what\s+(?:time|point)"
    rf"|(?:in\s+)?(?:which|what)\s+(?:{_VIDEOS}|{_SCENES}))\s+(do|does|did)\s+"
)
_SUBJECT_VERB = (  # a subject of which the verb is certain
    r"((?:(?:an?|the|my|his|her|our|their)\s+\w+|some(?:one|body)|he|she|it)\s+)"
    r"(?!(?:in|on|at|of|with|from)\b)(\w+)"
    r"(?=$|\s+(?:an?|the|in|on|at|into|onto|over|up|down|off|out|through|across|with|to)\b)"
)
_WATCH_MEDIA = (  # "watch" and "go to" only before a medium
    rf"(?:(?:please\s+)?(?:get|see|watch|view|play|open|search|display|(?:pull|bring)\s+up"
    rf"|(?:go|jump|skip|seek|take\s+me)\s+to)\s+)?{_MEDIA}"
)
_REQUESTED_MEDIA = (  # only after a request: "a shot of tequila", "there is"
    rf"{_DETERMINERS}{_SCENES}\s+{_ABOUT}\s+|(?:any|some|all(?:\s+(?:of\s+)?(?:the|my))?)\s+"
    r"|(?:there\s+(?:is|are|was|were)|there['’]s|(?:you|we|i)\s+(?:can\s+)?see)\s+"
)
_PLEASE = (
    r",?\s(?<!\bsay\s)(?<!\bsays\s)(?<!\bsaid\s)(?<!\bsaying\s)(?<!\bwith\s)(?:please|pls|plz)$"
    r"|[,.!;]\s*(?:thanks|thank\s+you|thx)(?:\s+(?:so\s+much|very\s+much|in\s+advance))?$"
)
_REQUEST_END = (  # only after a request
    r"\s(?:for\s+(?:me|us)|(?:in|from)\s+(?:it|them|(?:the|this|these|those|my|any|your|our)"
    r"(?:\s+of\s+\w+)?\s+(?:videos?|clips?|footage|library|collection|recordings?|files)))$"
)

# --- other languages in Latin script
_LATIN_START = (
    r"(?:bitte|zeige?|suche?|finde|ich|gibt|hast|haben|wo|k[aö]nn\w+|montrez?|trouvez?|cherchez?"
    r"|je|est|y|où|mu[eé]str[ae]\w+|enséña\w+|b[uú]sca(?:me)?|encu[eé]ntra(?:me)?|estoy|quiero"
    r"|d[oó]nde|hay|mostr[ae]|me|procur[ae]|encontr[ae]|estou|quero|onde|mostra\w+|fammi|fai"
    r"|cerc\w+|sto|trova(?:mi)?|voglio|vorrei|dove?)\b"
)
_LATIN_OPENING = (
    r"(?:"  # German
    r"(?:bitte\s+)?zeige?\s+(?:mir|uns)(?:\s+(?:bitte|alle|mal))*"
    r"|(?:bitte\s+)?(?:suche?|finde)(?:\s+(?:mir|bitte|nach))*"
    r"(?=\s+(?:eine?[nmrs]?|der|die|das|de[nm]|alle|videos?|clips?)\b)"
    r"|ich\s+suche(?:\s+nach)?|gibt\s+es|hast\s+du|haben\s+sie|wo\s+(?:ist|sind)"
    r"|(?:(?:alle|eine?n?|die|das)\s+)?(?:videos?|clips?|aufnahmen?|szenen?)\s+"
    r"(?:von|mit|über|wo|in\s+(?:denen|dem|der)|auf\s+denen)"
    # French
    r"|montrez?[-\s]moi|(?:trouvez?|cherchez?)(?:[-\s]moi)?"
    r"|je\s+(?:cherche|(?:veux|voudrais)\s+voir)|est-ce\s+qu['’]il\s+y\s+a|y\s+a-t-il"
    r"|où\s+(?:est|sont)|(?:(?:une|des|les|la)\s+)?vidéos?\s+(?:de|où|avec|dans\s+l\w+quelles?)"
    # Spanish
    r"|(?:mu[eé]str[ae]|ens[eé]ña)(?:me|nos)|b[uú]sca(?:me)?|encu[eé]ntra(?:me)?"
    r"|(?:estoy\s+buscando|quiero\s+ver)|d[oó]nde\s+est[aá]n?|hay(?=\s+(?:una?|alg\w+)\b)"
    r"|(?:(?:una?|unos|los|el)\s+)?v[ií]deos?\s+(?:de|con|donde|en\s+(?:los?|el)\s+que)"
    # Portuguese
    r"|mostr[ae]-(?:me|nos)|me\s+mostr[ae]|(?:procur[ae]|encontr[ae])(?:-me|\s+por)?"
    r"|(?:estou\s+(?:procurando|à\s+procura\s+de)(?:\s+por)?|quero\s+ver)"
    r"|onde\s+(?:está|estão|fica)|(?:(?:um|uns|os|o)\s+)?vídeos?\s+(?:com|onde|em\s+que)"
    # Italian
    r"|mostra(?:mi|ci|temi)|(?:fammi|fai)\s+vedere|cercami|sto\s+cercando|cerco|trova(?:mi)?"
    r"|v(?:oglio|orrei)\s+vedere|dove\s+(?:sono|è)|dov['’]è"
    r"|(?:(?:un|i|dei)\s+)?video\s+(?:di|con|in\s+cui|dove)"
    r")\s+|(?:(?:une|des|les)\s+)?vidéos?\s+d['’]"
)
_GERMAN_FRAME = (  # the verb comes last
    r"(?:(?:kannst|könntest)\s+du|(?:können|könnten)\s+sie)\s+(?:(?:mir|uns|bitte)\s+)*"
    r"(?P<content>\S.*?)\s+(?:zeigen|suchen|finden)"
    r"|ich\s+(?:möchte|will)\s+(?:gerne?\s+)?(?P<wish>\S.*?)\s+sehen"
)
_LATIN_CLOSING = (
    r",?\s(?:bitte|s['’]il\s+(?:te|vous)\s+pla[iî]t|svp|por\s+favor|per\s+(?:favore|piacere))$"
)

# --- languages in other scripts
_OTHER_SCRIPT = r"[Ѐ-ӿ\u0600-ۿ\u3040-ヿ㐀-鿿가-힣]"
_OTHER_OPENING = (
    r"(?:(?:пожалуйста,?\s+)?(?:покажи|найди)(?:те)?(?:\s+(?:мне|нам))?(?:,?\s+пожалуйста,?)?"
    r"|(?:я\s+)?ищу|(?:я\s+)?хочу\s+(?:увидеть|посмотреть)|есть\s+ли|где"
    r"|видео\s+(?:с|со|где|про|[вн]а?\s+котор(?:ом|ых))"
    # Arabic
    r"|أرني|ارني|أريني|أرنا|اعرض(?:\s+لي)?|ابحث(?:\s+لي)?\s+عن|أريد\s+(?:رؤية|مشاهدة|أن\s+أرى)"
    r"|هل\s+(?:هناك|يوجد|لديك)|أين|(?:مقاطع?|فيديو)(?:\s+فيديو)?\s+(?:عن|فيها|فيه))\s+"
    # Chinese
    r"|[请請]?[给給帮幫]我们?(?:看看?|找找?|展示|[显顯]示|搜索|播放)(?:一下|一些|一[个個])?"
    r"|[请請](?:找|搜索|[显顯]示|展示)(?:一下|出)?|(?:搜索|查找|找)一下|我(?:想要?|要)(?:看|找)|有没有"
)
_OTHER_CLOSING = (
    r"(?:,?\s(?:пожалуйста|من\s+فضلك)"
    # Chinese
    r"|的(?:[视視][频頻]|影片|片段|[镜鏡][头頭]|画面)|在哪[里裡儿兒]?|[吗嗎]"
    # Japanese
    r"|[をが]?(?:見せて|みせて|表示して|探して|さがして|検索して|見つけて|見たい)"
    r"(?:ください|下さい|くれ|欲しい|ほしい|です)?"
    r"|は(?:どこ(?:ですか|にいますか|にありますか)?|いますか|ありますか)"
    r"|(?:の|(?<=[ぁ-ん]))(?:動画|ビデオ|映像|シーン|場面|クリップ)"
    # Korean
    r"|[을를]?\s*(?:좀\s*)?(?:보여|찾아|검색해)\s?(?:줘|주세요|주십시오)요?|[을를]\s*보고\s?싶어요?"
    r"|[이가]?\s*나오는\s*(?:동영상|영상|비디오|장면)|\s+(?:동영상|영상|비디오|클립|장면)"
    r"|[은는이가]?\s*어디(?:에)?\s?(?:있어|있나요|있습니까)요?)$"
)


def strip_request(text: str) -> str:
    """Return the content of a request: "a dog" for "please find me a dog!".

    Args:
        text: Words of a query, not quoted.

    Returns:
        The text without punctuation at its ends, parentheses, and the openings and closings of a
        request; the text itself if nothing else is in it; "" if it is only punctuation.
    """
    content = strip_marks(_drop_parentheses(text))
    if not content:
        return "" if all(mark in f"{SENTENCE_MARKS}/ " for mark in text) else text
    if len(content) > _MAX_CHARS:
        return content
    content = _strip_closings(content)
    has_request = False
    for _ in range(_MAX_PASSES):
        opened_text = _strip_opening(content, has_request=has_request)
        if opened_text == content:
            break
        content, has_request = _strip_closings(opened_text), True
    return _strip_closing(_REQUEST_END, content) if has_request else content


def strip_marks(text: str) -> str:
    """Remove sentence punctuation and blanks from both ends, but not the dot of `.5`."""
    stripped_text = text.lstrip(_LEADING_MARKS)
    if stripped_text.startswith(("..", ". ")):
        stripped_text = stripped_text.lstrip(f".{_LEADING_MARKS}")
    return stripped_text.rstrip(_TRAILING_MARKS)


def _drop_parentheses(text: str) -> str:
    """Drop parentheses but not their content: dog(s), dog (brown)."""
    if not any(parenthesis in text for parenthesis in "()（）"):
        return text
    joined_text = re.sub(r"(?<=\w)\((\w{1,2})\)", r"\1", text)
    spaced_text = " ".join(re.sub("[()（）]", " ", joined_text).split())
    return re.sub(r" (?=[,.;!?])", "", spaced_text)


def _strip_opening(text: str, *, has_request: bool) -> str:
    """Remove the first opening; some are only known after a request."""
    patterns = [_REQUESTED_MEDIA] if has_request else []
    has_latin_start = re.match(_LATIN_START, text, re.IGNORECASE)
    names_media = re.search(_MEDIA_NAMES, text, re.IGNORECASE)
    if re.match(_ENGLISH_START, text, re.IGNORECASE):
        if does_match := re.match(_DOES, text, re.IGNORECASE):
            return _inflect_verb(text[does_match.end() :], does_match[1].lower()) or text
        patterns += [_REQUEST, _QUESTION]
    if names_media:
        patterns.append(_WATCH_MEDIA)
    if has_latin_start or names_media:
        patterns.append(_LATIN_OPENING)
    if re.search(_OTHER_SCRIPT, text):
        patterns.append(_OTHER_OPENING)
    for pattern in patterns:
        if opening_match := re.match(pattern, text, re.IGNORECASE):
            return strip_marks(text[opening_match.end() :]) or text
    if has_latin_start and (frame_match := re.fullmatch(_GERMAN_FRAME, text, re.IGNORECASE)):
        return frame_match["content"] or frame_match["wish"]
    return text


def _strip_closings(text: str) -> str:
    """Remove a closing of each kind, unless nothing would remain."""
    if text.lower().endswith(("please", "pls", "plz", "thanks", "you", "thx", "much", "advance")):
        text = _strip_closing(_PLEASE, text)
    if text.lower().endswith(("bitte", "plait", "plaît", "svp", "favor", "favore", "piacere")):
        text = _strip_closing(_LATIN_CLOSING, text)
    if re.search(_OTHER_SCRIPT, text):
        for _ in range(3):  # 犬 | の動画 | を見せて
            text = _strip_closing(_OTHER_CLOSING, text)
    return text


def _strip_closing(pattern: str, text: str) -> str:
    closing_match = re.search(pattern, text, re.IGNORECASE)
    return (strip_marks(text[: closing_match.start()]) or text) if closing_match else text


def _inflect_verb(clause: str, auxiliary: str) -> str:
    """Return "a dog runs" for "a dog run", if the question was "when does a dog run"."""
    verb_match = re.match(_SUBJECT_VERB, clause, re.IGNORECASE)
    if auxiliary == "do" or verb_match is None:
        return clause
    verb = re.sub(r"(?<=[^aeiou])y$", "ie", verb_match[2])
    verb += "es" if re.search(r"(?:s|x|z|o|ch|sh)$", verb) else "s"
    return verb_match[1] + {"haves": "has"}.get(verb, verb) + clause[verb_match.end() :]
