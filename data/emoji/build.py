#!/usr/bin/env python3
"""Build the emoji data set: the same emoji as different vendors draw it.

Everything next to this file except README.md, requirements.txt, fxemoji.csv and this
file itself is written by this script, from packages of npm:

    pip install -r requirements.txt
    npm install --no-save --prefix packages $(python3 build.py --packages)
    python3 build.py packages/node_modules

It writes
    emoji.txt                code point and name of each emoji, in cell order
    sheets/<slug>.png        one sheet per style, 40 columns of 32 x 32 cells
    styles.csv               the index of the sheets
    LICENSE.md, licences/    who drew each style and on what terms

Running it twice gives the same bytes.
"""

import argparse
import csv
import json
import sys
import unicodedata
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import resvg_py
from PIL import Image
from zopfli.png import optimize as zopfli_png

HERE = Path(__file__).resolve().parent

COLUMNS = 40
CELL = 32  # side of a cell, in pixels
DRAWN = 8 * CELL  # width an icon is drawn at, before it is cut and scaled down
INK = 16  # an alpha above this is ink, for the bounding box
KEYCAP = 0x20E3
STYLES_NEEDED = 4  # styles that must draw an emoji for it to be a class


class Style(NamedTuple):
    slug: str
    name: str
    version: str
    licence: str  # SPDX
    holder: str
    origin: str


# Sorted by slug. Left out: openmoji and emojione-v1 (share-alike), fluent-emoji (the same
# drawings as fluent-emoji-flat).
STYLES = (
    Style("emojione", "Emoji One 2", "1.2.3", "CC-BY-4.0",
          "Emoji icons provided free by Emoji One", "https://github.com/EmojiTwo/emojitwo"),
    Style("fluent-emoji-flat", "Fluent Emoji Flat", "1.2.6", "MIT",
          "Microsoft Corporation", "https://github.com/microsoft/fluentui-emoji"),
    Style("fxemoji", "Firefox OS Emoji", "1.2.2", "Apache-2.0",
          "Mozilla Foundation", "https://github.com/mozilla/fxemoji"),
    Style("noto", "Noto Emoji", "1.2.9", "Apache-2.0",
          "Google LLC", "https://github.com/googlefonts/noto-emoji"),
    Style("noto-v1", "Noto Emoji, first version", "1.2.5", "Apache-2.0",
          "Google Inc.", "https://github.com/googlefonts/noto-emoji"),
    Style("twemoji", "Twitter Emoji", "1.2.5", "CC-BY-4.0",
          "2019 Twitter, Inc. and other contributors", "https://github.com/jdecked/twemoji"),
)
SPDX_TEXTS = "spdx-license-list@6.11.0"  # the texts of the licences

# Names that no package gives to the code point; those of fxemoji stand in fxemoji.csv.
OTHER_NAMES = {(0x1F199,): ("up-text-button", "up-exclamation-button")}

# Emoji that are alike once an icon is cut to its bounding box, and parts of others.
LEFT_OUT = {
    *range(0x1F550, 0x1F568),  # clock faces
    *range(0x1F3FB, 0x1F400),  # skin tones
    *range(0x1F1E6, 0x1F200),  # letters of flags
    *(0x25AA, 0x25AB, 0x25FB, 0x25FC, 0x25FD, 0x25FE),  # squares of another size
    *(0x1F538, 0x1F539),  # diamonds of another size
}


def packages():
    return [f"@iconify-json/{style.slug}@{style.version}" for style in STYLES] + [SPDX_TEXTS]


def squashed(name):
    return "".join(letter for letter in name.lower() if letter.isalnum())


class Icons:
    """The icons of a package, by name."""

    def __init__(self, folder, style):
        package = folder / "@iconify-json" / style.slug
        found = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
        if found != style.version:
            sys.exit(f"{package} is version {found}, expected {style.version}")
        self.style = style
        self.set = json.loads((package / "icons.json").read_text(encoding="utf-8"))
        characters = package / "chars.json"
        self.characters = json.loads(characters.read_text(encoding="utf-8"))
        self.aliases = {
            alias: to["parent"]
            for alias, to in self.set.get("aliases", {}).items()
            if set(to) == {"parent"}
        }

    def listed(self):
        """The icon of each emoji that the package lists by its code points.

        An emoji is one code point, or the three of a keycap; the variation selector
        is left out.
        """
        icons = {}
        for sequence, name in self.characters.items():
            codes = tuple(int(code, 16) for code in sequence.split("-") if code != "fe0f")
            if len(codes) == 1 or codes[1:] == (KEYCAP,):
                icons[codes] = name
        return icons

    def called(self, names):
        """The icon of each emoji that has one of its names, letters and digits compared.

        Names of icons go before aliases: no icon stands for two emoji.
        """
        icons = {}
        used = set()
        for known in ({name: name for name in self.set["icons"]}, self.aliases):
            named = {squashed(name): icon for name, icon in known.items()}
            for codes, candidates in names.items():
                for name in map(squashed, candidates):
                    if codes not in icons and name in named and named[name] not in used:
                        icons[codes] = named[name]
                        used.add(named[name])
        return icons

    def svg(self, name):
        icon = self.set["icons"][name]
        left, top = icon.get("left", 0), icon.get("top", 0)
        width = icon.get("width", self.set["width"])
        height = icon.get("height", self.set["height"])
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' "
            f"viewBox='{left} {top} {width} {height}'>{icon['body']}</svg>"
        )


def join(sets):
    """The emoji that enough styles draw: code points -> (name, style -> icon)."""
    by_slug = {icons.style.slug: icons for icons in sets}
    names = {}  # every name of an emoji, the best one first
    for slug in ("noto", "twemoji", "fluent-emoji-flat"):
        icons = by_slug[slug]
        for codes, name in icons.listed().items():
            aliases = [alias for alias, icon in icons.aliases.items() if icon == name]
            names.setdefault(codes, []).extend([name, *aliases])
    for codes, known in names.items():
        if len(codes) == 1:
            known.append(unicodedata.name(chr(codes[0]), ""))
        known.extend(OTHER_NAMES.get(codes, ()))
    with open(HERE / "fxemoji.csv", encoding="utf-8") as file:
        checked = {(int(row["code"], 16),): row["icon"] for row in csv.DictReader(file)}

    drawn = {codes: {} for codes in sorted(names)}
    for icons in sets:
        slug = icons.style.slug
        found = icons.listed() if icons.characters else icons.called(names)
        if slug == "fxemoji":
            found |= checked
        for codes, icon in found.items():
            if codes in drawn and icon:
                drawn[codes][slug] = icon
    return {
        codes: (names[codes][0].replace("-", " "), styles)
        for codes, styles in drawn.items()
        if codes[0] not in LEFT_OUT and len(styles) >= STYLES_NEEDED
    }


def render(svg):
    """An icon on white, cut to its bounding box, centred in a CELL x CELL image."""
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=DRAWN))
    icon = Image.open(BytesIO(png)).convert("RGBA")
    box = icon.getchannel("A").point(lambda alpha: 255 * (alpha > INK)).getbbox()
    if box is None:
        return None
    icon = icon.crop(box)
    side = max(icon.size)
    square = Image.new("RGBA", (side, side), "white")
    square.alpha_composite(icon, ((side - icon.width) // 2, (side - icon.height) // 2))
    return square.convert("RGB").resize((CELL, CELL), Image.Resampling.BOX)


def write_sheet(icons, emoji):
    """Draw a style's emoji into its sheet; a missing one leaves its cell white."""
    rows = -(-len(emoji) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL, rows * CELL), "white")
    for cell, (_, drawn) in enumerate(emoji.values()):
        if icons.style.slug in drawn:
            picture = render(icons.svg(drawn[icons.style.slug]))
            if picture is None:
                sys.exit(f"{icons.style.slug}: {drawn[icons.style.slug]} is blank")
            row, column = divmod(cell, COLUMNS)
            sheet.paste(picture, (column * CELL, row * CELL))
    sheet = sheet.quantize(256, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
    plain = BytesIO()
    sheet.save(plain, "PNG")
    packed = zopfli_png(plain.getvalue())
    (HERE / "sheets" / f"{icons.style.slug}.png").write_bytes(packed)


def write_index(emoji):
    with open(HERE / "styles.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["slug", "name", "package", "version", "licence", "missing"])
        for style in STYLES:
            missing = [
                cell for cell, (_, drawn) in enumerate(emoji.values()) if style.slug not in drawn
            ]
            table.writerow([
                style.slug, style.name, f"@iconify-json/{style.slug}", style.version,
                style.licence, " ".join(map(str, missing)),
            ])


LICENSE_HEAD = """\
# Licences of the styles

The sheets are pictures made from the icons below: drawn on white, cut to their
bounding box, scaled to 32 x 32 pixels and reduced to 256 colours. Each style
stays under its own licence, whose text is in `licences/`.

| style | drawn by | from | licence |
|---|---|---|---|
"""


def write_licences(folder):
    (HERE / "licences").mkdir(exist_ok=True)
    for licence in sorted({style.licence for style in STYLES}):
        source = folder / "spdx-license-list" / "licenses" / f"{licence}.json"
        text = json.loads(source.read_text(encoding="utf-8"))["licenseText"]
        if licence == "MIT":
            text = text.replace("<year> <copyright holders>", "Microsoft Corporation.")
        (HERE / "licences" / f"{licence}.txt").write_text(text.rstrip() + "\n", encoding="utf-8")
    rows = [
        f"| {style.name} (`{style.slug}`) | {style.holder} | <{style.origin}> "
        f"| [{style.licence}](licences/{style.licence}.txt) |\n"
        for style in STYLES
    ]
    (HERE / "LICENSE.md").write_text(LICENSE_HEAD + "".join(rows), encoding="utf-8")


def build(folder):
    (HERE / "sheets").mkdir(exist_ok=True)
    sets = [Icons(folder, style) for style in STYLES]
    emoji = join(sets)
    with ProcessPoolExecutor() as pool:
        list(pool.map(write_sheet, sets, repeat(emoji)))
    text = "".join(
        f"{'-'.join(f'{code:x}' for code in codes)} {name}\n" for codes, (name, _) in emoji.items()
    )
    (HERE / "emoji.txt").write_text(text, encoding="utf-8")
    write_index(emoji)
    write_licences(folder)


def main():
    parser = argparse.ArgumentParser(description="Build the emoji data set.")
    parser.add_argument("folder", nargs="?", type=Path, help="a node_modules folder")
    parser.add_argument("--packages", action="store_true", help="list the packages and stop")
    arguments = parser.parse_args()
    if arguments.packages:
        print(*packages(), sep="\n")
    elif arguments.folder:
        build(arguments.folder)
    else:
        parser.error("expected the node_modules folder with the packages")


if __name__ == "__main__":
    main()
