"""Pictures and what Pillow makes of them, for tests/pictures.rs.

    python tests/golden/pictures.py          # needs torchvision and Pillow >= 11, < 13 (13 has another pass order for tall pictures)

Writes tests/golden/pictures.json: SHA-256 of expected pixels. Small pictures of unusual kinds and damaged files are
written in base64; the large ones are a formula that the test repeats.
"""

import base64
import hashlib
import io
import json
import pathlib
import struct
import zlib

import PIL
import torchvision
from PIL import Image, PngImagePlugin
from torchvision import transforms

assert 11 <= int(PIL.__version__.split(".")[0]) < 13, PIL.__version__
HERE = pathlib.Path(__file__).parent


def noise(width, height, channels, seed):
    """Bytes from a linear congruential generator, as tests/pictures.rs makes them."""
    state, out = seed, bytearray()
    for _ in range(width * height * channels):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out.append(state >> 24)
    return bytes(out)


def gradient(width, height):
    return bytes(v for y in range(height) for x in range(width) for v in (x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x * 7 + y * 13) & 255))


def picture(kind, width, height):
    data = noise(width, height, 3, width * 65537 + height) if kind == "noise" else gradient(width, height)
    return Image.frombytes("RGB", (width, height), data)


def digest(image):
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def fit(image, size):
    """What open_clip does for inference, up to the tensor."""
    steps = transforms.Compose([transforms.Resize(size, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(size)])
    return steps(image).convert("RGB")


def base(data):
    return base64.b64encode(data).decode()


def saved(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


resized = []
for kind, width, height, to in [
    ("noise", 1, 1, (1, 1)), ("noise", 1, 1, (7, 5)), ("noise", 2, 2, (3, 3)), ("noise", 5, 3, (5, 9)), ("noise", 5, 3, (9, 3)), ("noise", 17, 31, (17, 31)),
    ("noise", 64, 48, (224, 168)), ("noise", 333, 500, (224, 336)), ("noise", 500, 333, (336, 224)), ("noise", 300, 300, (299, 301)), ("noise", 640, 13, (80, 80)),
    ("noise", 13, 640, (80, 80)), ("noise", 1000, 700, (1, 1)), ("noise", 1000, 2, (3, 200)), ("gradient", 257, 129, (80, 40)), ("gradient", 100, 100, (288, 288)),
    ("gradient", 301, 7, (31, 77)), ("gradient", 2, 300, (2, 80)), ("noise", 3, 1, (1, 3)), ("gradient", 999, 998, (80, 79)),
]:
    resized.append([kind, width, height, *to, digest(picture(kind, width, height).resize(to, Image.Resampling.BICUBIC))])

fitted = []
for kind, width, height in [
    ("noise", 1, 1), ("noise", 3, 2), ("noise", 79, 81), ("noise", 80, 80), ("noise", 80, 83), ("noise", 83, 80), ("noise", 81, 80), ("noise", 80, 81), ("noise", 160, 163),
    ("noise", 640, 480), ("noise", 480, 640), ("noise", 1, 200), ("noise", 200, 1), ("noise", 5, 999), ("noise", 999, 5), ("gradient", 1023, 767), ("gradient", 37, 411),
    ("gradient", 411, 37), ("noise", 227, 351), ("gradient", 80, 400),
]:
    for size in (80, 63, 224) if width * height < 200_000 else (80,):
        fitted.append([kind, width, height, size, digest(fit(picture(kind, width, height), size))])

# Every mode a file may have. Each is stored with what convert("RGB") and open_clip's transform make of it.
files = []


def file(name, data, notes=()):
    image = Image.open(io.BytesIO(data))
    image.load()
    files.append({"name": name, "mode": image.mode, "file": base(data), "rgb": digest(image), "fit": [[s, digest(fit(image, s))] for s in (9, 16, 21)], "notes": list(notes)})


dropped = "transparency dropped, the colour beneath is kept"
W, H = 21, 16
colours = Image.frombytes("RGB", (W, H), gradient(W, H))
grey = Image.frombytes("L", (W, H), noise(W, H, 1, 5))
alpha = Image.frombytes("L", (W, H), noise(W, H, 1, 6))
palette = colours.quantize(13)
rgba = colours.copy()
rgba.putalpha(alpha)
hidden = colours.copy()
hidden.putalpha(Image.frombytes("L", (W, H), bytes(255 * (i % 3 == 0) for i in range(W * H))))
grey_alpha = grey.copy()
grey_alpha.putalpha(alpha)
file("rgb.png", saved(colours))
file("grey.png", saved(grey))
file("grey-alpha.png", saved(grey_alpha), [dropped])
file("rgba.png", saved(rgba), [dropped])
file("rgba-hidden-colours.png", saved(hidden), [dropped])
opaque = colours.copy()
opaque.putalpha(255)
file("rgba-opaque.png", saved(opaque))
file("palette.png", saved(palette))
file("palette-2.png", saved(colours.quantize(2)))
file("palette-transparent.png", saved(palette, transparency=3), [dropped])
file("palette-alpha.png", saved(palette, transparency=bytes([0, 40, 200, 255])), [dropped])
file("bit.png", saved(grey.convert("1")))
file("rgb-one-transparent.png", saved(colours, transparency=colours.getpixel((3, 3))), [dropped])
file("grey-one-transparent.png", saved(grey, transparency=grey.getpixel((2, 2))), [dropped])
file("icc.png", saved(colours, icc_profile=b"\0" * 132), ["ICC colour profile not applied"])
exif = Image.Exif()
exif[0x0112] = 6
file("orientation.png", saved(colours, exif=exif), ["EXIF orientation 6 not applied"])
file("palette.gif", saved(palette, "GIF"))
file("palette-transparent.gif", saved(palette, "GIF", transparency=3), [dropped])
file("grey.gif", saved(Image.frombytes("L", (256, 1), bytes(range(256))).resize((W, H), Image.Resampling.NEAREST), "GIF", optimize=False))
file("rgb.bmp", saved(colours, "BMP"))
file("lossless.webp", saved(colours, "WEBP", lossless=True))
file("lossless-alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True), [dropped])
file("lossless-icc.webp", saved(colours, "WEBP", lossless=True, icc_profile=b"\0" * 132), ["ICC colour profile not applied"])


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks):
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in chunks)


def grey_png(depth, samples):
    """4 x 4 grey picture of `depth` bits."""
    row = len(samples) // 4
    rows = b"".join(b"\0" + samples[i * row : i * row + row] for i in range(4))
    return png((b"IHDR", struct.pack(">IIBBBBB", 4, 4, depth, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


file("grey-2-bit.png", grey_png(2, bytes([0b00011011, 0b11100100, 0b00110011, 0b01010101])))
file("grey-4-bit.png", grey_png(4, bytes(range(0, 128, 16))))
file("trailing-bytes.png", saved(colours) + b"tail")

# JPEG decoders differ by a few levels; the test allows that for these.
jpegs = []
smooth = Image.frombytes("RGB", (64, 48), bytes(v for y in range(48) for x in range(64) for v in (x * 4, y * 5, 128)))
for name, data, notes in [
    ("rgb.jpg", saved(smooth, "JPEG", quality=95, subsampling=0), []),
    ("progressive.jpg", saved(smooth, "JPEG", quality=95, subsampling=0, progressive=True), []),
    ("restart.jpg", saved(smooth, "JPEG", quality=95, subsampling=0, restart_marker_rows=1), []),
    ("grey.jpg", saved(smooth.convert("L"), "JPEG", quality=95), []),
    ("oriented.jpg", saved(smooth, "JPEG", quality=95, subsampling=0, exif=exif), ["EXIF orientation 6 not applied"]),
    ("tail.jpg", saved(smooth, "JPEG", quality=95, subsampling=0) + b"tail", []),
]:
    jpegs.append({"name": name, "file": base(data), "rgb": base(saved(Image.open(io.BytesIO(data)).convert("RGB"))), "notes": notes})

# Files that must be refused, with a part of the reason.
refused = []


def refuse(name, data, reason):
    refused.append({"name": name, "file": base(data), "reason": reason})


whole, jpeg, web, gif = saved(colours), saved(smooth, "JPEG"), saved(colours, "WEBP", lossless=True), saved(palette, "GIF")
progressive = saved(smooth, "JPEG", progressive=True)
broken = bytearray(whole)
broken[whole.index(b"IDAT") + 10] ^= 1
ihdr = lambda w, h: (b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
text = PngImagePlugin.PngInfo()
text.add_text("Comment", "x")
texted = bytearray(saved(colours, pnginfo=text))
texted[texted.index(b"Comment")] ^= 1
frames = [colours, colours.transpose(Image.Transpose.FLIP_TOP_BOTTOM)]
part = bytearray(gif)
place = part.index(b"\x2c\0\0\0\0" + struct.pack("<HH", W, H))
part[place + 5 : place + 7] = struct.pack("<H", W - 1)
refuse("empty", b"", "0 bytes")
refuse("text.png", b"hello, this is no picture at all", "first bytes")
refuse("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "first bytes")
refuse("tiff", saved(colours, "TIFF"), "first bytes")
refuse("half.png", whole[: len(whole) // 2], "truncated")
refuse("no-end.png", whole[:-12], "truncated")
refuse("signature-only.png", whole[:8], "truncated")
refuse("checksum.png", bytes(broken), "checksum of chunk IDAT")
refuse("checksum-of-text.png", bytes(texted), "checksum of chunk tEXt")
refuse("bomb.png", png(ihdr(30000, 30000), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")), "30000x30000 px; the limits")
refuse("area.png", png(ihdr(16000, 16000), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")), "16000x16000 px; the limits")
refuse("line.png", png(ihdr(100000, 1), (b"IDAT", zlib.compress(b"\0" + b"\0" * 300000)), (b"IEND", b"")), "100000x1 px; the limits")
refuse("zero.png", png(ihdr(0, 5), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")), "no pixels")
refuse("no-data.png", png(ihdr(4, 4), (b"IEND", b"")), "damaged")
refuse("few-rows.png", png(ihdr(4, 4), (b"IDAT", zlib.compress(b"\0" * 13)), (b"IEND", b"")), "damaged")
refuse("no-header.png", png((b"IDAT", b""), (b"IEND", b"")), "not IHDR")
refuse("odd-palette.png", png((b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 3, 0, 0, 0)), (b"PLTE", b"\0"), (b"IDAT", zlib.compress(b"\0" * 20)), (b"IEND", b"")), "palette")
refuse("grey-16.png", grey_png(16, bytes(range(32))), "8-bit PNG")
refuse("animated.png", saved(frames[0], save_all=True, append_images=frames[1:]), "animated (2 frames)")
refuse("half.jpg", jpeg[: len(jpeg) // 2], "truncated")
refuse("no-end.jpg", jpeg[:-2], "truncated")
refuse("half-progressive.jpg", progressive[: len(progressive) // 2], "truncated")
refuse("cut-segment.jpg", jpeg[:300] + b"\xff\xd9", "truncated")
refuse("header-only.jpg", jpeg[:2] + b"\xff\xd9", "no picture")
refuse("cmyk.jpg", saved(smooth.convert("CMYK"), "JPEG"), "CMYK")
refuse("animated.gif", saved(frames[0].quantize(8), "GIF", save_all=True, append_images=[f.quantize(8) for f in frames[1:]]), "animated (2 frames)")
refuse("half.gif", gif[: len(gif) // 2], "truncated")
refuse("partial-frame.gif", bytes(part), "does not cover")
refuse("animated.webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]), "animated")
refuse("half.webp", web[: len(web) // 2], "truncated")
refuse("palette.bmp", saved(palette, "BMP"), "24 bits")
refuse("half.bmp", saved(colours, "BMP")[:500], "truncated")

golden = {"made_by": {"pillow": PIL.__version__, "torchvision": torchvision.__version__}, "resized": resized, "fitted": fitted, "files": files, "jpegs": jpegs, "refused": refused}
text = json.dumps(golden, indent=None, separators=(",", ":")).replace("],[", "],\n[").replace("},{", "},\n{")
(HERE / "pictures.json").write_text(text + "\n")
print(PIL.__version__, len(resized), len(fitted), len(files), len(jpegs), len(refused), len(text))
