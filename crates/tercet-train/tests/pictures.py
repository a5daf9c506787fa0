"""The pictures in this folder's `pictures`: `python pictures.py`, with Pillow.

`turned-…` note orientation 6 of a picture of 48×32 pixels whose left half is light.
"""

import io
import struct
import zlib
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent / "pictures"
FOLDER.mkdir(exist_ok=True)


def noise(x, y):
    return (x * 7919 + y * 104729) * 2654435761 % 2**32 >> 27


rich = Image.new("RGB", (67, 45))
rich.putdata([
    (3 * x ^ noise(x, y), 5 * y, (x + y) ^ noise(y, x)) for y in range(45) for x in range(67)
])
for name, image, options in [
    ("420.jpg", rich, {"quality": 80}),
    ("422.jpg", rich, {"quality": 80, "subsampling": "4:2:2"}),
    ("444.jpg", rich, {"quality": 95, "subsampling": "4:4:4", "optimize": True}),
    ("gray.jpg", rich.convert("L"), {"quality": 90}),
    ("cmyk.jpg", rich.convert("CMYK"), {"quality": 80}),
    ("progressive.jpg", rich, {"quality": 85, "progressive": True}),
    ("progressive-444.jpg", rich, {"quality": 96, "progressive": True, "subsampling": "4:4:4"}),
    ("progressive-gray.jpg", rich.convert("L"), {"progressive": True}),
    ("restart.jpg", rich, {"quality": 80, "restart_marker_blocks": 3}),
    ("restart-progressive.jpg", rich, {"progressive": True, "restart_marker_rows": 1}),
    ("rgb.png", rich, {}),
    ("lossy.webp", rich, {"quality": 60}),
    ("lossless.webp", rich, {"lossless": True}),
    ("256.gif", rich.convert("P"), {}),
    ("rgb.bmp", rich, {}),
    ("rgb.ppm", rich, {}),
    ("raw.tif", rich, {}),
    ("lzw.tif", rich, {"compression": "tiff_lzw"}),
    ("deflate.tif", rich, {"compression": "tiff_adobe_deflate"}),
    ("jpeg.tif", rich, {"compression": "jpeg"}),
    ("bits.tif", rich.convert("1"), {"compression": "group4"}),
]:
    image.save(FOLDER / name, **options)

half = Image.new("L", (48, 32))
half.paste(255, (0, 0, 24, 32))
exif = Image.Exif()
exif[0x0112] = 6
exif = exif.tobytes()
bare = exif.removeprefix(b"Exif\0\0")
xmp = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description '
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
).encode()
half.save(FOLDER / "turned-exif.jpg", exif=exif)
half.save(FOLDER / "turned-xmp.jpg", xmp=xmp)
half.save(FOLDER / "turned-exif.png", exif=bare)
half.save(FOLDER / "turned-tag.tif", tiffinfo={274: 6})


def encoded(kind, **options):
    file = io.BytesIO()
    half.save(file, kind, **options)
    return file.getvalue()


def png_with(kind, data, before):
    """A PNG file with one more chunk, before the pixels or behind them."""
    file = encoded("png")
    chunk = struct.pack(">I", len(data)) + kind + data
    chunk += struct.pack(">I", zlib.crc32(kind + data))
    place = file.index(b"IDAT" if before else b"IEND") - 4
    return file[:place] + chunk + file[place:]


text = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
packed = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)
(FOLDER / "turned-xmp.png").write_bytes(png_with(b"iTXt", text, True))
(FOLDER / "turned-xmp-packed.png").write_bytes(png_with(b"iTXt", packed, False))
(FOLDER / "turned-exif-behind.png").write_bytes(png_with(b"eXIf", bare, False))


def webp_with(kind, data, flag):
    """A WebP file of the extended form with one more chunk."""
    picture = encoded("webp", lossless=True)[12:]
    canvas = struct.pack("<I", 48 - 1)[:3] + struct.pack("<I", 32 - 1)[:3]
    head = b"VP8X" + struct.pack("<I", 10) + bytes([flag, 0, 0, 0]) + canvas
    chunk = kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    body = b"WEBP" + head + picture + chunk
    return b"RIFF" + struct.pack("<I", len(body)) + body


(FOLDER / "turned-exif.webp").write_bytes(webp_with(b"EXIF", bare, 8))
(FOLDER / "turned-exif-marked.webp").write_bytes(webp_with(b"EXIF", b"Exif\0\0" + bare, 8))
(FOLDER / "turned-xmp.webp").write_bytes(webp_with(b"XMP ", xmp, 4))
