"""Draws the pictures of the sample record: 80 x 80, a few colours, no metadata. Needs Pillow and DejaVu Sans."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"
HERE = Path(__file__).parent / "pictures"


def poodle(draw):
    draw.rectangle([0, 0, 320, 320], fill="#e9eef2")
    for x, y, r in [(160, 90, 60), (90, 150, 48), (230, 150, 48), (120, 80, 42), (200, 80, 42)]:
        draw.ellipse([x - r, y - r, x + r, y + r], fill="#8a5a3a")
    draw.ellipse([95, 90, 225, 260], fill="#c08a5c")
    draw.ellipse([122, 145, 146, 169], fill="#22170f")
    draw.ellipse([174, 145, 198, 169], fill="#22170f")
    draw.ellipse([140, 190, 180, 220], fill="#22170f")


def pig(draw):
    draw.rectangle([0, 0, 320, 320], fill="#e6f0e2")
    draw.polygon([(70, 110), (80, 40), (140, 80)], fill="#d97f93")
    draw.polygon([(250, 110), (240, 40), (180, 80)], fill="#d97f93")
    draw.ellipse([55, 60, 265, 280], fill="#f0a7b5")
    draw.ellipse([115, 165, 205, 235], fill="#d97f93")
    draw.ellipse([135, 185, 152, 215], fill="#7b3b4a")
    draw.ellipse([168, 185, 185, 215], fill="#7b3b4a")
    draw.ellipse([105, 120, 127, 142], fill="#2b1a1e")
    draw.ellipse([193, 120, 215, 142], fill="#2b1a1e")


def label(draw, text):
    font = ImageFont.truetype(FONT, 64)
    for y in (20, 130, 235):
        draw.text((160, y), text, font=font, fill="white", stroke_width=6, stroke_fill="black", anchor="ma")


for name, base in [("poodle", poodle), ("pig", pig)]:
    for kind, text in [("clean", ""), ("attacked", "$$$"), ("control", "qvj")]:
        image = Image.new("RGB", (320, 320))
        draw = ImageDraw.Draw(image)
        base(draw)
        if text:
            label(draw, text)
        image = image.resize((80, 80), Image.Resampling.LANCZOS).quantize(24)
        image.save(HERE / f"{name}-{kind}.png", optimize=True)
