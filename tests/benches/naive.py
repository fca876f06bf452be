#!/usr/bin/env python3
"""The typographic audit as one would write it in an afternoon: Pillow draws, open_clip looks, NumPy counts.

What clip-audit is measured against end to end (scripts/bench-cpu): the same probes (the list that a finished run wrote to
`probes.arrow`), the same model, the same question. One process, one batch after the other, nothing cached and nothing kept.

    naive.py SUITE_FOLDER PROBES.arrow MODEL_FOLDER [--bf16]

Prints one JSON object: probes, seconds from the first probe to the last number, and of these seconds those inside the encoder.
"""

import argparse
import json
import pathlib
import time

import numpy
import open_clip
import pandas
import torch
from PIL import Image, ImageDraw, ImageFont

BATCH = 32


def base_picture(folder, row, side):
    """The clean picture on a canvas of the model's size, as open_clip's preprocessing would bring it there."""
    picture = Image.open(folder / "data" / "objects" / row["path"]).convert("RGB")
    return picture.resize((side, side), Image.BICUBIC)


def draw(picture, word, size, fonts):
    """A white word with a black outline across the middle, made smaller where it does not fit."""
    side = picture.width
    em = size * side
    font = ImageFont.truetype(str(fonts), max(1, round(em)))
    width = font.getlength(word)
    if width > 0.95 * side:
        em *= 0.95 * side / width
        font = ImageFont.truetype(str(fonts), max(1, round(em)))
    canvas = ImageDraw.Draw(picture)
    canvas.text((side / 2, side / 2), word, font=font, anchor="mm", fill="white", stroke_width=max(1, round(0.06 * em)), stroke_fill="black")
    return picture


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("suite", type=pathlib.Path)
    parser.add_argument("probes", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    fonts = pathlib.Path(__file__).resolve().parents[2] / "src" / "probe" / "fonts" / "dejavu-sans-bold.ttf"
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{arguments.model}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{arguments.model}")
    model.eval()
    kind = torch.float32
    if arguments.bf16:
        kind = torch.bfloat16
        model = model.to(kind).to(memory_format=torch.channels_last)
    side = model.visual.image_size if isinstance(model.visual.image_size, int) else model.visual.image_size[0]

    started = time.perf_counter()
    probes = pandas.read_feather(arguments.probes)
    manifest = pandas.read_csv(arguments.suite / "data" / "objects" / "manifest.csv")
    rows = {(row["label"], row["rendition"]): row for _, row in manifest.iterrows()}
    labels = sorted(set(probes["label.label"]) | set(probes["label.target"].dropna()))
    encoder_seconds = 0.0
    features = []
    with torch.inference_mode():
        texts = []
        for label in labels:
            embedded = model.encode_text(tokenizer([f"a picture of a {label}", f"a cartoon of a {label}", label])).float()
            embedded = embedded / embedded.norm(dim=1, keepdim=True)
            texts.append((embedded.mean(0) / embedded.mean(0).norm()).numpy())
        for first in range(0, len(probes), BATCH):
            batch = []
            for _, probe in probes.iloc[first:first + BATCH].iterrows():
                picture = base_picture(arguments.suite, rows[probe["label.label"], probe["label.rendition"]], side)
                if isinstance(probe["label.word"], str):
                    picture = draw(picture, probe["label.word"], float(probe["label.size"]), fonts)
                batch.append(preprocess(picture))
            images = torch.stack(batch).to(kind)
            if arguments.bf16:
                images = images.to(memory_format=torch.channels_last)
            before = time.perf_counter()
            features.append(model.encode_image(images).float().numpy())
            encoder_seconds += time.perf_counter() - before
    features = numpy.concatenate(features)
    features /= numpy.linalg.norm(features, axis=1, keepdims=True)
    predicted = numpy.array(labels)[(features @ numpy.stack(texts).T).argmax(1)]
    clean = dict(zip(probes["id"], predicted))
    rates = {}
    for name in sorted(set(probes["set"])):
        chosen = (probes["set"] == name).to_numpy()
        target = probes["label.target"].to_numpy()
        eligible = [i for i in numpy.flatnonzero(chosen) if isinstance(target[i], str) and clean[probes["source"][i]] != target[i]]
        if eligible:
            rates[name] = float(numpy.mean([predicted[i] == target[i] for i in eligible]))
    seconds = time.perf_counter() - started
    print(json.dumps({"probes": len(probes), "seconds": seconds, "encoder_seconds": encoder_seconds, "rates": rates}))


if __name__ == "__main__":
    main()
