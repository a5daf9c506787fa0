#!/usr/bin/env python3
"""Build the glyphs data set: 500 Japanese characters in many typefaces.

Everything next to this file except README.md, requirements.txt and this file
itself is written by this script, from the fonts of Debian 12 (bookworm):

    pip install -r requirements.txt
    apt-get install --no-install-recommends $(python3 build.py --packages)
    python3 build.py

It writes
    characters.txt           the 500 characters, in cell order
    sheets/<slug>.png        one sheet per typeface, 25 x 20 cells of 28 x 28
    typefaces.csv            the index of the sheets
    LICENSE.md, licences/    who made each typeface and on what terms

Running it twice gives the same bytes.
"""

import argparse
import csv
import subprocess
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont
from zopfli.png import optimize as zopfli_png

FONTS = Path("/usr/share/fonts")
DOCS = Path("/usr/share/doc")
APACHE = Path("/usr/share/common-licenses/Apache-2.0")
HERE = Path(__file__).resolve().parent

COLUMNS, ROWS = 25, 20
CELL = 28  # side of a cell, in pixels
INK = 24  # longer side of a glyph's ink box, in pixels
EM = 8 * CELL  # font size glyphs are drawn at before they are scaled down
PROBE_EM = 40  # font size used to tell drawn glyphs from blanks and placeholders
# Eight of the sixteen grays (multiples of 17) that four bits can hold; using all
# sixteen makes the sheets a quarter larger.
GRAYS = (0, 34, 68, 102, 153, 187, 221, 255)
NEAREST_GRAY = [min(GRAYS, key=lambda gray: abs(gray - value)) for value in range(256)]

HIRAGANA = (
    "あいうえおかきくけこさしすせそたちつてとなにぬねの"
    "はひふへほまみむめもやゆよらりるれろわをん"
)


class Typeface(NamedTuple):
    slug: str
    name: str
    package: str
    licence: str
    holder: str
    file: str  # relative to FONTS


FONTWORKS = "2020 The {0} Project Authors (https://github.com/fontworks-fonts/{0})"

# Sorted by slug. One cut per design: fonts that only differ in spacing, or that share
# nearly all their outlines with another one here, are left out.
TYPEFACES = (
    Typeface("aoyagi-soseki", "Aoyagi Soseki", "fonts-aoyagi-soseki", "public domain",
             "Kouzan Aoyagi (青柳衡山), Soseki Aoyagi (青柳疎石), rights waived",
             "truetype/aoyagi-soseki/aoyagi-soseki.ttf"),
    Typeface("biz-ud-gothic", "BIZ UDGothic", "fonts-morisawa-bizud-gothic", "OFL-1.1",
             "2022 The BIZ UDGothic Project Authors",
             "truetype/bizud-gothic/BIZUDGothic-Regular.ttf"),
    Typeface("biz-ud-mincho", "BIZ UDMincho", "fonts-morisawa-bizud-mincho", "OFL-1.1",
             "2022 The BIZ UDMincho Project Authors",
             "truetype/bizud-mincho/BIZUDMincho-Regular.ttf"),
    Typeface("dejima-mincho", "Dejima Mincho", "fonts-dejima-mincho", "MIT",
             "2007-2010 Yoshiki Hayashi", "truetype/dejima-mincho/dejima-mincho-r227.ttf"),
    Typeface("dotgothic16", "DotGothic16", "fonts-dotgothic16", "OFL-1.1",
             FONTWORKS.format("DotGothic16"), "truetype/dotgothic16/DotGothic16-Regular.ttf"),
    Typeface("hanazono-mincho", "Hanazono Mincho A", "fonts-hanazono", "OFL-1.1",
             "2008-2011 GlyphWiki Project", "truetype/hanazono/HanaMinA.ttf"),
    Typeface("kiloji", "Kiloji", "fonts-kiloji", "BSD-3-Clause",
             "2007 きろのの (kilo)", "truetype/kiloji/kiloji.ttf"),
    Typeface("klee-one", "Klee One", "fonts-klee", "OFL-1.1",
             FONTWORKS.format("Klee"), "truetype/klee/KleeOne-Regular.ttf"),
    Typeface("konatu", "Konatu", "fonts-konatu", "MIT",
             "2007-2012 Mitiya Masuda", "truetype/konatu/Konatu.ttf"),
    Typeface("kouzan-gyosho", "Kouzan Mouhitsu Gyosho", "fonts-kouzan-mouhitsu", "public domain",
             "Kouzan Aoyagi (青柳衡山), rights waived",
             "truetype/kouzan-mouhitsu/kouzan-mouhitsu-gyosho.ttf"),
    Typeface("motoya-cedar", "Motoya L Cedar", "fonts-motoya-l-cedar", "Apache-2.0",
             "2010-2012 Motoya Co., Ltd.", "truetype/motoya-l-cedar/MTLc3m.ttf"),
    Typeface("rampart-one", "Rampart One", "fonts-rampart", "OFL-1.1",
             FONTWORKS.format("Rampart"), "truetype/rampart/RampartOne-Regular.ttf"),
    Typeface("reggae-one", "Reggae One", "fonts-reggae", "OFL-1.1",
             FONTWORKS.format("Reggae"), "truetype/reggae/ReggaeOne-Regular.ttf"),
    Typeface("rocknroll-one", "RocknRoll One", "fonts-rocknroll", "OFL-1.1",
             FONTWORKS.format("RocknRoll"), "truetype/rocknroll/RocknRollOne-Regular.ttf"),
    Typeface("sawarabi-mincho", "Sawarabi Mincho", "fonts-sawarabi-mincho", "OFL-1.1",
             "2008-2019 mshio", "truetype/sawarabi-mincho/sawarabi-mincho-medium.ttf"),
    Typeface("seto", "Seto Font", "fonts-seto", "OFL-1.1",
             "2003-2014 Nozomi Seto (瀬戸のぞみ)", "truetype/seto/setofont.ttf"),
    Typeface("stick", "Stick", "fonts-stick", "OFL-1.1",
             FONTWORKS.format("Stick"), "truetype/stick/Stick-Regular.ttf"),
    Typeface("train-one", "Train One", "fonts-train", "OFL-1.1",
             FONTWORKS.format("Train"), "truetype/train/TrainOne-Regular.ttf"),
    Typeface("vl-gothic", "VL Gothic", "fonts-vlgothic", "M+ and BSD-3-Clause",
             "1990-2003 Wada Laboratory, the University of Tokyo; 2003-2004 Electronic Font "
             "Open Laboratory (/efont/); 2003-2014 M+ FONTS PROJECT; 2006-2014 Daisuke SUZUKI "
             "and Project Vine", "truetype/vlgothic/VL-Gothic-Regular.ttf"),
    Typeface("yozfont", "YOzFont", "fonts-yozvox-yozfont-standard-kana", "OFL-1.1",
             "2004-2017 Y.Oz (Y.OzVox)", "truetype/yozvox-yozfont/YOzRS_.ttf"),
    Typeface("yusei-magic", "Yusei Magic", "fonts-yusei-magic", "OFL-1.1",
             "2020 The Yusei Magic Project Authors",
             "truetype/yusei-magic/YuseiMagic-Regular.ttf"),
)


def packages():
    return sorted({face.package for face in TYPEFACES})


def load(face, size):
    # The basic layout engine applies no substitutions, so a glyph depends on
    # nothing but the font's character map.
    return ImageFont.truetype(
        FONTS / face.file, size, index=0, layout_engine=ImageFont.Layout.BASIC
    )


def level_1_kanji():
    """The 2965 kanji of JIS X 0208 level 1 (rows 16 to 47), in JIS order."""
    cells = [(row, col) for row in range(16, 48) for col in range(1, 95)]
    last = cells.index((47, 51))
    return [bytes((0xA0 + row, 0xA0 + col)).decode("euc_jp") for row, col in cells[: last + 1]]


def drawn(face, characters):
    """The characters that the typeface really draws.

    A character counts as missing if the font does not map it, draws it blank,
    or draws it exactly like another one (a placeholder).
    """
    with TTFont(FONTS / face.file, fontNumber=0, lazy=True) as font:
        mapped = {chr(code) for code, glyph in font.getBestCmap().items() if glyph != ".notdef"}
    font = load(face, PROBE_EM)
    bitmaps = {}
    for character in characters:
        if character in mapped:
            mask = font.getmask(character)
            if mask.getbbox():
                bitmaps[character] = (mask.size, bytes(mask))
    uses = Counter(bitmaps.values())
    return {character for character, bitmap in bitmaps.items() if uses[bitmap] == 1}


def choose_characters(drawn_by_all):
    """The hiragana, then kanji spread evenly over those that every typeface draws.

    The hiragana are taken whether or not every typeface draws them.
    """
    kanji = [character for character in level_1_kanji() if character in drawn_by_all]
    count = COLUMNS * ROWS - len(HIRAGANA)
    return list(HIRAGANA) + [kanji[i * len(kanji) // count] for i in range(count)]


def render(font, character):
    """One glyph, white on black, centred by its ink box in a CELL x CELL image."""
    left, top, right, bottom = font.getbbox(character, anchor="ls")
    glyph = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(glyph).text((1 - left, 1 - top), character, fill=255, font=font, anchor="ls")
    glyph = glyph.crop(glyph.getbbox())
    side = round(max(glyph.size) * CELL / INK)
    square = Image.new("L", (side, side))
    square.paste(glyph, ((side - glyph.width) // 2, (side - glyph.height) // 2))
    small = square.resize((CELL, CELL), Image.Resampling.BOX)
    return small.point(NEAREST_GRAY)


def write_sheet(face, characters, present):
    """Draw a typeface's characters into its sheet; a missing one leaves its cell black."""
    sheet = Image.new("L", (COLUMNS * CELL, ROWS * CELL))
    font = load(face, EM)
    for cell, character in enumerate(characters):
        if character in present:
            row, column = divmod(cell, COLUMNS)
            sheet.paste(render(font, character), (column * CELL, row * CELL))
    plain = BytesIO()
    sheet.save(plain, "PNG")
    # Zopfli also packs the grays into four bits a pixel.
    packed = zopfli_png(plain.getvalue())
    (HERE / "sheets" / f"{face.slug}.png").write_bytes(packed)


def version(package):
    query = ["dpkg-query", "--show", "--showformat=${Version}", package]
    return subprocess.run(query, check=True, capture_output=True, text=True).stdout


def write_index(characters, present):
    with open(HERE / "typefaces.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["slug", "name", "package", "version", "licence", "file", "missing"])
        for face in TYPEFACES:
            missing = [i for i, c in enumerate(characters) if c not in present[face]]
            table.writerow([
                face.slug, face.name, face.package, version(face.package), face.licence,
                face.file, " ".join(map(str, missing)),
            ])


LICENSE_HEAD = """\
# Licences of the typefaces

The sheets are pictures of glyphs drawn from the typefaces below. Each typeface
stays under its own licence; the full text is in `licences/<package>.txt`, which
is the Debian package's copyright file. `licences/Apache-2.0.txt` is the text
that the files of Apache-2.0 packages refer to. Paragraphs there on `debian/*`
cover Debian's packaging files, none of which are used here.

| typeface | copyright | licence | text |
|---|---|---|---|
"""


def write_licences():
    folder = HERE / "licences"
    folder.mkdir(exist_ok=True)
    for package in packages():
        (folder / f"{package}.txt").write_bytes((DOCS / package / "copyright").read_bytes())
    (folder / "Apache-2.0.txt").write_bytes(APACHE.read_bytes())
    rows = [
        f"| {face.name} (`{face.slug}`) | {face.holder} | {face.licence} "
        f"| [{face.package}](licences/{face.package}.txt) |\n"
        for face in TYPEFACES
    ]
    (HERE / "LICENSE.md").write_text(LICENSE_HEAD + "".join(rows), encoding="utf-8")


def build():
    (HERE / "sheets").mkdir(exist_ok=True)
    candidates = list(HIRAGANA) + level_1_kanji()
    with ProcessPoolExecutor() as pool:
        drawn_sets = pool.map(drawn, TYPEFACES, repeat(candidates))
        present = dict(zip(TYPEFACES, drawn_sets))
        characters = choose_characters(set.intersection(*present.values()))
        sheets = [
            pool.submit(write_sheet, face, characters, present[face]) for face in TYPEFACES
        ]
        for sheet in sheets:
            sheet.result()
    text = "".join(character + "\n" for character in characters)
    (HERE / "characters.txt").write_text(text, encoding="utf-8")
    write_index(characters, present)
    write_licences()


def main():
    parser = argparse.ArgumentParser(description="Build the glyphs data set.")
    parser.add_argument(
        "--packages", action="store_true", help="list the font packages and stop"
    )
    if parser.parse_args().packages:
        print(*packages(), sep="\n")
    else:
        build()


if __name__ == "__main__":
    main()
