"""Token ids that open_clip's SimpleTokenizer gives, for tests/tokens.rs.

    python tests/golden/tokens.py            # needs open_clip_torch==3.3.0, ftfy==6.3.1

Writes tests/golden/tokens.json (ids without start and end, full vocabulary and the first 1,000 merges), and
src/model/tokenizer/merges.txt.gz from the list that open_clip ships.
"""

import gzip
import html.entities
import importlib.metadata
import json
import pathlib
import random
import tempfile
import unicodedata

import ftfy
from open_clip.tokenizer import SimpleTokenizer, default_bpe

HERE = pathlib.Path(__file__).parent
CUT = 1000

merges = gzip.open(default_bpe()).read().decode().split("\n")[1 : 49152 - 256 - 2 + 1]
packed = gzip.compress(("\n".join(merges) + "\n").encode(), 9, mtime=0)
(HERE / "../../src/model/tokenizer/merges.txt.gz").write_bytes(packed)

full = SimpleTokenizer()
with tempfile.NamedTemporaryFile(suffix=".gz") as short:
    short.write(gzip.compress(("header\n" + "\n".join(merges[:CUT])).encode()))
    short.flush()
    cut = SimpleTokenizer(bpe_path=short.name)
assert (full.vocab_size, cut.vocab_size) == (49408, 1514)

texts = []

# What a suite holds: prompts, labels, attack words.
templates = ["a photo of a {}.", "a picture of a {}", "a bad photo of the {}.", "itap of my {}.", "{}", "A {} in a video game!"]
labels = ["poodle", "money bag", "Granny Smith", "iPod", "piggy bank", "$$$", "€€€", "£££", "¥¥¥", "T-shirt", "ice-cream",
          "Chesapeake Bay retriever", "7-Up", "No.1", "rock 'n' roll", "jack-o'-lantern", "C++", "R&B", "AT&T", "100%"]
texts += [template.format(label) for template in templates for label in labels]

# Languages and scripts.
texts += """The quick brown fox jumps over the lazy dog.
Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. STRASSE STRAẞE
Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë.
El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío, ¿no? ¡Sí!
Luís argüia à Júlia que «brações, fé, chá, óxido, pôr, zângão» eram palavras.
Pchnąć w tę łódź jeża lub ośm skrzyń fig. ŻÓŁĆ
Příliš žluťoučký kůň úpěl ďábelské ódy. ŘÍP
Árvíztűrő tükörfúrógép ŐŰ
Pijamalı hasta yağız şoföre çabucak güvendi. İSTANBUL IĞDIR ısı
Þórður Ægisson át kæstan hákarl. ÐÞ
Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΟΔΥΣΣΕΥΣ ΣΟΦΟΣ. ΑΣ Σ ΑΣ1 ΌΣΟΣ-Σ
Съешь же ещё этих мягких французских булок. ЁЖИК
Жебракують філософи при ґанку церкви в Гадячі. ЇЖАК
דג סקרן שט בים מאוכזב ולפתע מצא חברה שָׁלוֹם
نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر ١٢٣ مُحَمَّد
یک گربه‌ی سیاه می‌خواهم
ऋषियों को सताने वाले दुष्ट राक्षसों का सर्वनाश। १२३
আমি বাংলায় গান গাই ৳
யாமறிந்த மொழிகளிலே தமிழ்மொழி போல்
เป็นมนุษย์สุดประเสริฐเลิศคุณค่า ๑๒๓
ພາສາລາວ မြန်မာ ភាសាខ្មែរ
いろはにほへと ちりぬるを カタカナ ﾊﾝｶｸ ｶﾞｷﾞ 漢字、東京都。「括弧」
키스의 고유조건은 입술끼리 만나야 한다 ㅋㅋㅋ
天地玄黃,宇宙洪荒。日月盈昃,辰宿列張。
ქართული ენა ᲥᲐᲠᲗᲣᲚᲘ Հայերեն ԲԱՐԵՒ እንኳን ደህና መጡ ᏣᎳᎩ ꮳꮃꭹ ᓄᓇᕗᑦ
Tiếng Việt: Trăm năm trong cõi người ta, chữ tài chữ mệnh khéo là ghét nhau. ĐÀ NẴNG
𝒽𝑒𝓁𝓁𝑜 𝕳𝖊𝖑𝖑𝖔 ⒽⒺⓁⓁⓄ 🅷🅴🅻🅻🅾 ᴴᵉˡˡᵒ ₁₂₃ ¹²³ ½ ¾ Ⅷ ⅷ ㊷ ①②③
𐐀𐐁𐐨 𞤀𞤢 Ꭰ ꭰ ǅ ǈ ǋ ǲ ẞ ß ſ K Å Ω""".split("\n")

# Emoji with modifiers, joiners, flags, keycaps, tags.
texts += ["🐩", "🐶🐷💰", "👩‍👩‍👧‍👦", "👍🏽 ok", "🇩🇪🇫🇷", "1️⃣2️⃣#️⃣", "🏴󠁧󠁢󠁷󠁬󠁳󠁿", "❤️❤", "a😀b😀c", "☺︎☺️", "🤦🏼‍♂️!!", "✔ ✗ ★☆", "(╯°□°)╯︵ ┻━┻", "¯\\_(ツ)_/¯"]

# HTML references: nested, without semicolon, numbers, capitals, with '<' and lines.
texts += ["&amp;", "&amp;amp;", "&amp;amp;amp;lt;", "a&ampb", "R&ampB", "&lt;b&gt;dog&lt;/b&gt;", "<b>&eacute;</b>", "<&EACUTE;>", "P&EACUTE;REZ",
          "&AMP;&LT;&GT;&QUOT;&COPY;", "&NTILDE;&FRAC12;&SZLIG;", "&notit;", "&not it", "&notin;", "&hellip;", "&nbsp;x&nbsp;&nbsp;y", "&#65;", "&#x41", "&#X41;",
          "&#0;", "&#13;", "&#128;", "&#150;x", "&#129;", "&#x1F600;", "&#xD800;", "&#x110000;", "&#99999999999999999999;", "&#11;", "&#xFFFE;", "&#xFDD0;", "&#59;",
          "&#38;lt;", "&#38;#65;", "&;", "&", "&&", "& amp;", "&#;", "&#x;", "&#abc;", "&zzz;", "&CounterClockwiseContourIntegral;", "&fjlig;", "&acE;", "&NotEqualTilde;",
          "x &lt; y\n&eacute;", "&eacute;\n<\n&EACUTE;", "&LTRIE;", "&ltrie;", "&quot;dog&quot;", "it&#x2019;s", "it&rsquo;s", "&amp;ldquo;x&amp;rdquo;", "&#12ab;", "&nTILDE;",
          "&#x1b;[31mred", "&shy;", "&zwj;&zwnj;", "&apos;s", "&amp#39;s", "&lt;start_of_text&gt;", "&lt;start_of_text&gt; &lt;dog&gt;"]
names = sorted(html.entities.html5)
generator = random.Random(1)
texts += [f"a &{name} b&{name.upper()}c" for name in generator.sample(names, 120)]

# Control tokens typed by a user.
texts += ["<start_of_text>", "<START_OF_TEXT>", "a<start_of_text>b", "<start_of_text><start_of_text>", "<start_of_text", "start_of_text>", "< start_of_text >",
          "<|startoftext|>", "<|endoftext|>", "<end_of_tex>", "<ſtart_of_text>", "<Start_Of_Text>dog", "!<start_of_text>!", "!!<start_of_text", "dog <start_of_text> $$$", "<pad>", "</w>", "dog</w>"]

# Contractions, quotes, digits, runs of punctuation.
texts += ["don't", "DON'T", "I'm I've I'll I'd we're it's", "'s't're've'm'll'd", "'S'T'RE", "'ſ", "x'ſy", "o'clock", "''s", "rock'n'roll", "y’all’ve", "‘single’ “double” ‛x‟ ʼn", "'sdog", "'llama", "'dog",
          "„low“ ‚low‘", "‹a› «b»", "1234567890", "3.14159", "2024-01-31", "1,000,000", "٣٤٥", "１２３", "5²+3³", "½cup", "a1b2c3", "!!!", "...", "…", "?!?!", "---", "———", "_", "__init__", "a_b", "@user #tag",
          "http://example.org/?q=1&r=2#x", "me@example.org", "{}[]()<>", "\\n\\t", "~`^|", "$5.00", "€5", "5€", "100 %", "^^;", ":-)", "=^.^=", "**bold**", "`code`", "a/b\\c", "§ 5", "© 2020", "™", "°C", "±1", "№ 5", "→←", "∑∞√", "♠♥♦♣", "♪♫"]

# White space and controls of every kind.
texts += ["", " ", "\t\n", "a  b", " a ", "a\tb\nc\rd\r\ne", "a\u00a0b", "a\u2003b\u2009c", "a\u200bb", "a\u200db", "\ufeffa", "a\u2028b\u2029c", "a\u3000b", "a\u0000b", "a\u0007b", "a\x0bb\x0cc", "a\x1cb\x1dc\x1ed\x1fe", "a\x7fb",
          "a\u00adb", "a\u200eb\u200fc", "\u202eabc\u202c", "a\u2060b", "a\ufffcb", "\ufff9x\ufffa", "a\u206ab", "\x1b[31mred\x1b[0m", "\x1b[1;2;3Kx", "\x1b[", "\x1b]x", "a\u180eb", "a\u1680b", "a\u205fb", "a\u202fb"]

# Ligatures, widths, combining marks, case.
texts += ["ﬁ ﬂ ﬀ ﬃ ﬄ ﬅ ﬆ", "ﬁve", "ĳsselmeer ĲSSEL", "ŉ", "Ǆ ǅ ǆ Ǉ ǉ Ǌ ǌ Ǳ ǳ", "ＬＯＵＤ　ＮＯＩＳＥＳ！", "ａｂｃ", "ｶﾞｷﾞｸﾞ", "ﾊﾟ", "￥￦￠￡", "ﾡﾢ", "￮￭", "＜start_of_text＞", "e\u0301", "E\u0301", "é", "a\u0308o\u0308u\u0308", "\u0301", "\u0345", "α\u0345", "!\u0345!",
          "x\u0345\u0301y", "q\u0323\u0307", "q\u0307\u0323", "가", "\u1100\u1161\u11a8", "\u212b\u2126\u212a", "\u0958", "\u2adc", "\u0340\u0341", "İi̇Iı", "ΑΣ", "ΑΣ.", "ΑΣ.Β", "Σ", "ΣΣ", "Α\u0301Σ", "Α:Σ", "ßẞ", "ŸŒ", "Ⅳ ⓐ Ⓐ", "ᾈᾼ", "\U0001d7d8", "\U00010400", "\U0001e900", "ﬀ\u0301", "\u1e9b\u0323"]

# Longer texts, one word of many bytes, words of each length.
texts += ["dog " * 40, "a" * 300, "ab" * 90, "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis", "漢" * 40, "😀" * 20]
texts += ["supercalifragilisticexpialidocious"[:n] for n in range(1, 34)]

# Random: visible ASCII, then characters assigned in Unicode 14 from all planes, alone and between others.
for _ in range(200):
    texts.append("".join(generator.choice([chr(c) for c in range(32, 127)]) for _ in range(generator.randint(1, 30))))
assigned = [chr(c) for c in range(0x80, 0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co", "Cc")]
small = [c for c in assigned if ord(c) < 0x2000]
for _ in range(330):
    pool = small if generator.random() < 0.7 else assigned
    texts.append("".join(generator.choice(pool if generator.random() < 0.8 else "aB1!' ") for _ in range(generator.randint(1, 10))))

# Where the program differs on purpose. Wrongly decoded text: what ftfy repairs, and what it only suspects.
wrong = ["schÃ¶n", "â€œquotesâ€\x9d", "Ã©tÃ©", "l'Ã©tÃ© Ã  Paris", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "вЂ™", "donâ€™t", "Â£100", "naÃ¯ve", "ã\x83\x84", "a\x85b", "\x93hi\x94", "ðŸ˜€", "Â© 2020", "æ\x97¥æ\x9c¬", "&Atilde;&para;", "ÃƒÂ¶", "√©t√©",
         "¨¦", "é¤", "œ.", "Ä°", "éÉ"]
ended = ["<end_of_text>", "a dog<end_of_text> a cat", "<END_OF_TEXT>", "&lt;end_of_text&gt;", "＜end_of_text＞"]

# ftfy asks this of every state of every line; a single yes is what the program refuses.
is_bad, suspicions = ftfy.is_bad, []


def recording(text):
    suspicions.append(is_bad(text))
    return suspicions[-1]


ftfy.is_bad = recording

cases, refused, seen = [], [], set()
for text in texts + wrong + ended:
    if text in seen:
        continue
    seen.add(text)
    suspicions.clear()
    ids = full.encode(text)
    if full.eot_token_id in ids:
        refused.append({"text": text, "because": "<end_of_text>", "full": ids})
    elif any(suspicions):
        refused.append({"text": text, "because": "wrong encoding", "full": ids})
    else:
        cases.append([text, ids, cut.encode(text)])
for text in wrong + ended:
    assert any(entry["text"] == text for entry in refused), text
assert len(cases) >= 1000, len(cases)

versions = {name: importlib.metadata.version(name) for name in ("open_clip_torch", "ftfy", "regex")}
versions["unicode"] = unicodedata.unidata_version
with open(HERE / "tokens.json", "w", encoding="utf-8") as out:
    line = lambda value: json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    out.write('{"made_by":' + line(versions) + ',\n"refused":[\n' + ",\n".join(map(line, refused)))
    out.write('\n],\n"cases":[\n' + ",\n".join(map(line, cases)) + "\n]}\n")
print(len(cases), "cases,", len(refused), "refused")
