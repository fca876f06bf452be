"""Boxes of the ink of words as Pillow places them: ImageDraw.text at (20, 25), font size 20, basic layout, no hinting
switch. Run with Pillow 11 or newer from the top of the repository; writes text_boxes.json beside this file."""

import json
import pathlib

from PIL import Image, ImageDraw, ImageFont

here = pathlib.Path(__file__).parent
fonts = here.parent.parent / "src" / "probe" / "fonts"
boxes = []
for font in ("dejavu-sans", "dejavu-sans-bold", "patrick-hand"):
    face = ImageFont.truetype(fonts / f"{font}.ttf", 20, layout_engine=ImageFont.Layout.BASIC)
    for text in ("$$$", "spider", "AVAST", "Köln", "pig"):
        image = Image.new("L", (288, 288))
        ImageDraw.Draw(image).text((20, 25), text, fill=255, font=face)
        left, top, right, bottom = image.point(lambda value: 255 if value > 96 else 0).getbbox()
        boxes.append({"font": font, "text": text, "box": [left, top, right, bottom]})
(here / "text_boxes.json").write_text("[\n" + ",\n".join(json.dumps(box, ensure_ascii=False) for box in boxes) + "\n]\n")
