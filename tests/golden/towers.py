#!/usr/bin/env python3
"""Every model that open_clip 3.3 has a configuration for, with names and shapes of the tensors of the plain CLIP ones.

    python tests/golden/towers.py        (torch 2.11, open_clip_torch 3.3)

Writes towers.json beside itself. A model is plain where open_clip builds it as `CLIP` from its own towers; the others (timm,
Hugging Face, CoCa, custom text towers) stand there to be refused. No weight is ever made: shapes are read from the meta device.
"""

import hashlib
import json
import pathlib
import sys

if sys.path[0] == str(pathlib.Path(__file__).resolve().parent):
    sys.path.pop(0)  # statistics.py beside this script is not the module that libraries mean

import open_clip
import torch


def plain(config):
    own = not config["vision_cfg"].get("timm_model_name") and not config["text_cfg"].get("hf_model_name")
    return own and "multimodal_cfg" not in config and not config.get("custom_text")


def shapes(config):
    """A line for every tensor but the integer counters, sorted: `name [2, 3]`."""
    with torch.device("meta"):
        state = open_clip.CLIP(**config).state_dict()
    return sorted(f"{name} {list(tensor.shape)}" for name, tensor in state.items() if tensor.is_floating_point())


def main():
    models = {}
    for name in sorted(open_clip.list_models()):
        config = open_clip.get_model_config(name)
        models[name] = {"config": config}
        if plain(config):
            lines = shapes(config)
            digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
            models[name].update(tensors=len(lines), sha256=digest)
    body = ",\n".join(f"{json.dumps(name)}: {json.dumps(model)}" for name, model in models.items())
    out = pathlib.Path(__file__).resolve().parent / "towers.json"
    out.write_text(f'{{\n"open_clip": {json.dumps(open_clip.__version__)},\n"models": {{\n{body}\n}}\n}}\n')


if __name__ == "__main__":
    main()
