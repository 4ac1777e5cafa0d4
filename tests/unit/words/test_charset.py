from __future__ import annotations

import os

import pytest

from vsearch.words.charset import decoded

TEXTS = {
    "cp1251": "Привет, как дела?\nЯ не знаю, куда он ушёл.",
    "koi8-r": "Привет, как дела?\nЯ не знаю, куда он ушёл.",
    "gbk": "你好，你今天怎么样？\n我不知道他去了哪里。",
    "big5": "你好，你今天怎麼樣？\n我不知道他去了哪裡。",
    "shift_jis": "こんにちは、お元気ですか？\n彼がどこへ行ったのか分かりません。",
    "euc_jp": "こんにちは、お元気ですか？\n彼がどこへ行ったのか分かりません。",
    "euc_kr": "안녕하세요, 어떻게 지내세요?\n그가 어디로 갔는지 모르겠어요.",
    "iso-8859-2": "Dziękuję bardzo za pomoc!\nNie wiem, dokąd on poszedł.",
    "cp1250": "Děkuji vám za pomoc!\nŠtěstí přeje připraveným.",
    "cp1252": "Ich weiß nicht, wohin er gegangen ist.\n„Schöne Grüße“ – aus München!",
    "cp1253": "Γεια σου, τι κάνεις;\nΔεν ξέρω πού πήγε.",
    "cp1254": "Teşekkür ederim!\nNereye gittiğini bilmiyorum. İyi akşamlar.",
    "cp1255": "שלום, מה שלומך?\nאני לא יודע לאן הוא הלך.",
    "cp1256": "مرحبا، كيف حالك؟\nلا أعرف أين ذهب.",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_two_lines_tell_their_encoding(encoding: str) -> None:
    lines = TEXTS[encoding].splitlines()
    text = "".join(
        f"{number}\r\n00:00:0{number},000 --> 00:00:0{number},900\r\n{line}\r\n\r\n"
        for number, line in enumerate(lines, 1)
    )
    assert decoded(text.encode(encoding)) == text


def test_what_is_no_text_is_decoded_all_the_same() -> None:
    for content in (b"", os.urandom(1_000), b"\xff" * 100_000, bytes(range(256)) * 100):
        assert isinstance(decoded(content), str)


def test_a_few_accents_of_the_west_are_read_as_such() -> None:
    assert decoded("Café".encode("cp1252")) == "Café"
    assert decoded("it’s – “fine”".encode("cp1252")) == "it’s – “fine”"
