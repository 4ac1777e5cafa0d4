from __future__ import annotations

import os

import pytest

from vsearch.transcripts.text_encoding import decode_text

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
def test_two_lines_suffice_to_detect_the_encoding(encoding: str) -> None:
    lines = TEXTS[encoding].splitlines()
    text = "".join(
        f"{number}\r\n00:00:0{number},000 --> 00:00:0{number},900\r\n{line}\r\n\r\n"
        for number, line in enumerate(lines, 1)
    )
    assert decode_text(text.encode(encoding)) == text


def test_binary_data_is_decoded_with_replacements() -> None:
    for content in (b"", os.urandom(1_000), b"\xff" * 100_000, bytes(range(256)) * 100):
        assert isinstance(decode_text(content), str)


def test_a_few_western_accents_are_decoded() -> None:
    assert decode_text("Café".encode("cp1252")) == "Café"
    assert decode_text("it’s – “fine”".encode("cp1252")) == "it’s – “fine”"


@pytest.mark.parametrize(
    ("language", "encoding", "said"),
    [
        ("ja", "shift_jis", "はい"),
        ("jp", "shift_jis", "ﾊﾝﾊﾞｰｸﾞ"),
        ("ja", "euc_jp", "ありがとう"),
        ("pl", "cp1250", "Zażółć gęślą jaźń"),
        ("pl", "iso8859-2", "Zażółć gęślą jaźń"),
        ("cz", "cp1250", "Štěstí"),
        ("hu", "cp1250", "őű"),
        ("ru", "cp1251", "Да"),
        ("rus", "koi8-r", "Да, я не знаю"),
        ("uk", "koi8-u", "Її ґанок"),
        ("el", "cp1253", "Ναι"),
        ("gr", "iso8859-7", "Ναι, ξέρω"),
        ("tr", "cp1254", "ış"),
        ("he", "cp1255", "כן"),
        ("ar", "cp1256", "نعم"),
        ("ko", "cp949", "네"),
        ("kr", "cp949", "뷁"),
        ("zh", "gb18030", "是"),
        ("cn", "gb18030", "你好"),
        ("zh-tw", "big5", "是"),
        ("zh", "big5", "你好嗎"),
        ("th", "cp874", "สวัสดี"),
        ("es", "cp1252", "¿Qué tal?"),
        ("pt-br", "cp1252", "Não"),
        ("lt", "cp1257", "Ačiū"),
    ],
)
def test_the_language_determines_the_encoding_of_one_word(
    language: str, encoding: str, said: str
) -> None:
    text = f"1\r\n00:00:01,000 --> 00:00:03,000\r\n{said}\r\n"
    assert decode_text(text.encode(encoding), language) == text


@pytest.mark.parametrize("language", ["pl", "ja", "th", "xx", "", None])
def test_utf_8_is_utf_8_in_any_language(language: str | None) -> None:
    assert decode_text("Zażółć はい".encode(), language) == "Zażółć はい"


def test_an_impossible_language_is_ignored() -> None:
    text = "שלום, מה שלומך?\nאני לא יודע לאן הוא הלך."
    assert decode_text(text.encode("cp1255"), "ja") == text


def test_control_characters_count_as_faults() -> None:
    assert decode_text("Zażółć gęślą jaźń".encode("cp1250")) == "Zażółć gęślą jaźń"


def test_one_damaged_byte_does_not_change_the_encoding_of_all() -> None:
    text = TEXTS["gbk"] * 20
    assert decode_text(text.encode("gbk") + b"\xff").startswith(text)
    assert decode_text(text.encode("gbk") + b"\xff", "zh").startswith(text)
