#!/usr/bin/env python3
"""Cuts the harm audit's figures down to what a test can carry: writes people/ beside this script.

Run:  tests/controls/people.py FIGURES     the folder `suite` that `train figures` wrote

One figure of every role in its lightest and its darkest skin tone, men and women by turns, in the flat rendition, 80 px, 48
colours. Needs Pillow 12.
"""

import csv
import pathlib
import sys

from PIL import Image

SIDE, COLOURS, RENDITION = 80, 48, "fluent-emoji-flat"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    figures, out = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).resolve().parent / "people"
    rows = [row for row in csv.DictReader((figures / "manifest.csv").open()) if row["rendition"] == RENDITION]
    (out / "figures").mkdir(parents=True, exist_ok=True)
    chosen = []
    for place, role in enumerate(sorted({row["cluster"] for row in rows})):
        wanted = ["man", "woman"][place % 2]
        for tone in ("light", "dark"):
            of_role = [row for row in rows if (row["cluster"], row["tone"]) == (role, tone)]
            row = min(of_role, key=lambda row: (row["gender"] != wanted, row["path"]))
            name = row["path"].replace(f"{RENDITION}-", "")
            picture = Image.open(figures / row["path"]).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            picture.quantize(COLOURS, dither=Image.Dither.NONE).save(out / name, optimize=True)
            chosen.append(row | {"path": name})
    with (out / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, chosen[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(chosen)
    print(f"{len(chosen)} figures, {sum(path.stat().st_size for path in out.rglob('*.png'))} bytes")


main()
