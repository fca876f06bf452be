#!/usr/bin/env python3
"""Golden values of the encoder from open_clip 3.3: features, taps and an intervention.

    python tests/golden/encoder.py        (torch 2.11, open_clip_torch 3.3, Pillow, safetensors)

Writes beside itself: images/*.png (synthetic pictures of model size), tiny/ (a checkpoint with random weights, exact
GELU, unlike sizes and mixed storage types) and encoder-{reference,tiny}.safetensors (what open_clip computes).
"""

import hashlib
import json
import pathlib

import numpy
import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).resolve().parent
REFERENCE = HERE.parent.parent / "models" / "reference"
TEXTS = ["a picture of a poodle", "$$$", "The word  MONEY bag", "a", "cats & dogs, 7 of them!"]
STAGES = ["layer1", "layer2", "layer3", "layer4"]
# layer, site, unit, value: one before the ReLU of the last stage, one after it in a middle stage, one negative value
# before a ReLU (which cuts it), one on the output.
INTERVENTIONS = [
    ("layer4", "pre_relu", 17, 5.0),
    ("layer2", "post_relu", 3, -1.0),
    ("layer3", "pre_relu", 8, -2.0),
    ("attnpool", "output", 1, 0.25),
]

TINY = {
    "model_cfg": {
        "embed_dim": 32,
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": 4, "image_size": 64, "patch_size": None},
        "text_cfg": {"context_length": 24, "vocab_size": 600, "width": 32, "heads": 4, "layers": 2},
    },
    "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
}


def pictures(size):
    """Three pictures that differ in every channel: gradients, shapes on a ground, noise."""
    y, x = numpy.mgrid[0:size, 0:size]
    gradient = numpy.stack([255 * x / (size - 1), 255 * y / (size - 1), 255 * (x + y) / (2 * size - 2)], axis=-1)
    disc = (x - size * 0.4) ** 2 + (y - size * 0.55) ** 2 < (size * 0.3) ** 2
    shapes = numpy.where(disc[..., None], [200, 40, 60], [230, 220, 140])
    shapes[size // 8 : size // 5, size // 10 : -size // 10] = [10, 10, 30]
    state, noise = 1, []
    for _ in range(size * size * 3):  # a generator of its own, so that no library's release changes the picture
        state = (state * 1103515245 + 12345) % 2**31
        noise.append(state >> 23)
    noise = numpy.array(noise).reshape(size, size, 3)
    return {"gradient": gradient, "shapes": shapes, "noise": noise}


def make_tiny(folder):
    torch.manual_seed(5)
    model = open_clip.CLIP(**TINY["model_cfg"])
    state = model.state_dict()
    for name, tensor in state.items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif name.endswith("running_mean"):
            tensor.normal_(0, 0.2)
        elif ".bn" in name or "downsample.1" in name or ".ln_" in name or name.startswith("ln_final"):
            if tensor.is_floating_point():
                tensor.normal_(1 if name.endswith("weight") else 0, 0.2)
        elif "conv" in name or "downsample.0" in name:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
        elif name.endswith("bias"):
            tensor.normal_(0, 0.1)
        elif name.endswith("positional_embedding"):
            tensor.normal_(0, 0.5)
    state = {
        name: tensor if not tensor.is_floating_point() or tensor.dim() == 0
        else tensor.to(torch.float16 if name.startswith("visual.") else torch.bfloat16)
        for name, tensor in state.items()
    }
    folder.mkdir(exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(TINY, indent=1) + "\n")


def tokenizer(vocabulary, context_length):
    """open_clip's tokenizer with its merge list cut to the vocabulary: 512 symbols, the merges, start and end."""
    made = SimpleTokenizer(context_length=context_length)
    merges = list(made.bpe_ranks)[: vocabulary - 514]
    symbols = list(made.encoder)[:512]
    words = symbols + ["".join(pair) for pair in merges] + ["<start_of_text>", "<end_of_text>"]
    made.encoder = {word: number for number, word in enumerate(words)}
    made.decoder = {number: word for word, number in made.encoder.items()}
    made.bpe_ranks = {pair: number for number, pair in enumerate(merges)}
    made.cache = {word: word for word in words[-2:]}
    made.sot_token_id, made.eot_token_id = vocabulary - 2, vocabulary - 1
    return made


def load(folder):
    config = json.loads((folder / "open_clip_config.json").read_text())
    model = open_clip.CLIP(**config["model_cfg"])
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in
                           load_file(folder / "open_clip_model.safetensors").items()}, strict=True)
    return config, model.eval()


def watch(model, interventions=()):
    """Hooks that give every tap and set the interventions. The value before a block's last ReLU exists nowhere as a
    module's output (`out += identity` stands between), so the ReLU's input is taken: a pre-hook sees it."""
    seen, handles = {}, []

    def held(layer, site, x):
        for _, _, unit, value in (each for each in interventions if each[:2] == (layer, site)):
            x = x.clone()
            x[:, unit] = value
        return x

    def keep(layer, site, x):
        grid = x if x.dim() == 4 else x[:, :, None, None]
        seen[f"{layer}.{site}:mean"], seen[f"{layer}.{site}:max"] = grid.mean((2, 3)), grid.amax((2, 3))

    for layer in STAGES:
        block = getattr(model.visual, layer)[-1]

        def before(_, inputs, layer=layer):
            x = held(layer, "pre_relu", inputs[0])
            keep(layer, "pre_relu", x)
            return (x.clone(),)  # the ReLU works in place

        def after(_, __, x, layer=layer):
            x = held(layer, "post_relu", x)
            keep(layer, "post_relu", x)
            return x

        handles += [block.act3.register_forward_pre_hook(before), block.act3.register_forward_hook(after)]

    def output(_, __, x):
        x = held("attnpool", "output", x)
        keep("attnpool", "output", x)
        return x

    handles.append(model.visual.attnpool.register_forward_hook(output))
    return seen, handles


def check_taps(model, images, seen):
    """The pre-ReLU taps once more by the formula, bn3(conv3(..)) + identity, so that no hook order can mislead."""
    parts = {}
    block = model.visual.layer4[-1]
    handles = [block.bn3.register_forward_hook(lambda _, __, x: parts.update(out=x.clone())),
               block.register_forward_pre_hook(lambda _, x: parts.update(x=x[0].clone()))]
    model.encode_image(images)
    for handle in handles:
        handle.remove()
    identity = parts["x"] if block.downsample is None else block.downsample(parts["x"])
    assert torch.allclose((parts["out"] + identity).mean((2, 3)), seen["layer4.pre_relu:mean"], atol=1e-5)


def fingerprint(model):
    """SHA-256 over the sorted names, shapes and f32 values of everything but the integer counters, every part preceded
    by its length: the definition of the program, written down a second time."""
    digest = hashlib.sha256()

    def number(value):
        digest.update(value.to_bytes(8, "little"))

    for name, tensor in sorted(model.state_dict().items()):
        if tensor.is_floating_point():
            number(len(name))
            digest.update(name.encode())
            number(tensor.dim())
            for side in tensor.shape:
                number(side)
            data = tensor.float().contiguous().numpy().tobytes()
            number(len(data))
            digest.update(data)
    return digest.hexdigest()


@torch.no_grad()
def golden(name, folder):
    config, model = load(folder)
    vision, text = config["model_cfg"]["vision_cfg"], config["model_cfg"]["text_cfg"]
    size = vision["image_size"]
    preprocess = config["preprocess_cfg"]
    mean, std = (torch.tensor(preprocess[key])[:, None, None] for key in ("mean", "std"))
    images = []
    (HERE / "images").mkdir(exist_ok=True)
    for title, values in pictures(size).items():
        path = HERE / "images" / f"{title}-{size}.png"
        Image.fromarray(values.astype(numpy.uint8)).save(path, optimize=True)
        pixels = torch.from_numpy(numpy.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1)
        images.append((pixels / 255 - mean) / std)
    images = torch.stack(images)
    tokens = tokenizer(text["vocab_size"], text["context_length"])(TEXTS)

    seen, handles = watch(model)
    out = {"image_features": model.encode_image(images), "text_features": model.encode_text(tokens),
           "logit_scale": model.logit_scale.exp().double(), "tokens": tokens, **seen}
    for handle in handles:
        handle.remove()
    check_taps(model, images, seen)
    for intervention in INTERVENTIONS:
        seen, handles = watch(model, [intervention])
        layer, site, unit, value = intervention
        key = f"held {layer}.{site} {unit} {value}"
        out[key], out[f"{key} layer4"] = model.encode_image(images), seen["layer4.post_relu:mean"].clone()
        for handle in handles:
            handle.remove()
        assert not torch.equal(out[key], out["image_features"]), key
    save_file({k: v.clone().contiguous() for k, v in out.items()}, HERE / f"encoder-{name}.safetensors",
              metadata={"open_clip": open_clip.__version__, "torch": torch.__version__, "texts": json.dumps(TEXTS),
                        "fingerprint": fingerprint(model)})


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_tiny(HERE / "tiny")
    golden("reference", REFERENCE)
    golden("tiny", HERE / "tiny")
