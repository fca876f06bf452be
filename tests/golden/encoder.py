#!/usr/bin/env python3
"""Golden values of the encoder from open_clip 3.3: features, logits, taps and interventions.

    python tests/golden/encoder.py        (torch 2.11, open_clip_torch 3.3, Pillow, safetensors)

Writes beside itself: images/*.png (synthetic pictures of model size), checkpoints with random weights and unlike sizes (tiny/:
a ResNet, exact GELU, mixed storage types; vit/: as OpenAI published it; average/: every option that published transformers
use), and encoder-{reference,tiny,vit,average}.safetensors (what open_clip computes).
"""

import hashlib
import json
import pathlib
import sys

if sys.path[0] == str(pathlib.Path(__file__).resolve().parent):
    sys.path.pop(0)  # statistics.py beside this script is not the module that libraries mean

import numpy
import open_clip
import torch
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).resolve().parent
REFERENCE = HERE.parent.parent / "models" / "reference"
TEXTS = ["a picture of a poodle", "$$$", "The word  MONEY bag", "a", "cats & dogs, 7 of them!"]
QUICK = "QuickGELU"
STAGES = ["layer1", "layer2", "layer3", "layer4"]  # each is its last block; those before are layer2.0 and so on
# layer, site, unit, value: one before the ReLU of the last stage, one after it in a middle stage, one negative value
# before a ReLU (which cuts it), one on the output; and, where there is one, in a block that is not the last of its stage.
OF_RESNETS = [
    ("layer2.0", "pre_relu", 100, 3.0),
    ("layer4", "pre_relu", 17, 5.0),
    ("layer2", "post_relu", 3, -1.0),
    ("layer3", "pre_relu", 8, -2.0),
    ("attnpool", "output", 1, 0.25),
]
# In the first block, before and after the attention of a later one, and where only one pool still sees it.
OF_TRANSFORMERS = [
    ("block0", "mlp_hidden", 5, 3.0),
    ("block0", "residual", 0, -2.0),
    ("block1", "residual", 7, 1.5),
    ("block1", "mlp_hidden", 31, -1.0),
]
# The same weights under another configuration, where nothing in the tensors tells.
VARIANTS = {"vit": [{"pool_type": "avg"}, {"head_width": 16}], "average": [{"pool_type": "tok"}, {"final_ln_after_pool": False}]}

TINY = {
    "model_cfg": {
        "embed_dim": 32,
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": 4, "image_size": 64, "patch_size": None},
        "text_cfg": {"context_length": 24, "vocab_size": 600, "width": 32, "heads": 4, "layers": 2},
    },
    "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
}
VIT = {
    "model_cfg": {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"layers": 2, "width": 32, "head_width": 8, "patch_size": 16, "image_size": 64},
        "text_cfg": {"context_length": 24, "vocab_size": 600, "width": 16, "heads": 2, "layers": 2},
    },
    "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
}
AVERAGE = {
    "model_cfg": {
        "embed_dim": 20,
        # 50 px hold four patches of 12 px a side, and 2 px are in none; 40 * 2.33 is no whole number.
        "vision_cfg": {"layers": 2, "width": 40, "head_width": 20, "patch_size": 12, "image_size": 50, "mlp_ratio": 2.33,
                       "ls_init_value": 0.1, "no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True},
        "text_cfg": {"context_length": 20, "vocab_size": 560, "width": 24, "heads": 3, "layers": 1, "mlp_ratio": 3.1,
                     "ls_init_value": 0.1, "pool_type": "eos", "eos_id": 559},
    },
    "preprocess_cfg": {"mean": [0.45, 0.5, 0.55], "std": [0.25, 0.2, 0.3]},
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


def randomise(model):
    """Weights at which activations are as wide as in a trained model and no normalisation is the identity."""
    state = model.state_dict()
    for name, tensor in state.items():
        if name.endswith("gamma"):
            tensor.uniform_(0.3, 0.8)
        elif name.endswith("running_var"):
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
    if "visual.class_embedding" in state:  # after all others, so that a ResNet's values stay what they were
        state["visual.class_embedding"].normal_(0, 0.5)
        state["token_embedding.weight"].normal_(0, 0.5)
    return state


@torch.no_grad()
def calibrate(model, images):
    """A deep ResNet's running statistics as these pictures have them: those drawn at random let activations grow from block to block,
    until they have no place in f16. What a block adds is made small beside what passes by, as training does: else the network is
    chaotic, and the last bit of a picture decides its embedding. And queries and keys of its attention pool by the size of what it
    is given: else one position takes all attention."""
    if not hasattr(model.visual, "attnpool"):
        return
    norms = [module for module in model.visual.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over batches, of which there is one
    model.eval()
    for norm in norms:
        norm.train()
    for _, block in blocks_of_resnet(model):
        block.bn3.weight.mul_(0.25)
    sizes = []
    handle = model.visual.attnpool.register_forward_pre_hook(lambda _, given: sizes.append(given[0].square().mean().sqrt()))
    model.encode_image(images)
    handle.remove()
    for projection in (model.visual.attnpool.q_proj, model.visual.attnpool.k_proj):
        projection.weight.div_(sizes[0])


def make(folder, config, seed, calibrated=False):
    torch.manual_seed(seed)
    model = open_clip.CLIP(**config["model_cfg"])
    randomise(model)
    if calibrated:
        calibrate(model, normalised(config, pictures(config["model_cfg"]["vision_cfg"]["image_size"]).values()))
    state = {
        name: tensor if not tensor.is_floating_point() or tensor.dim() == 0
        else tensor.to(torch.float16 if name.startswith("visual.") else torch.bfloat16)
        for name, tensor in model.state_dict().items()
    }
    folder.mkdir(exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n")


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


def normalised(config, images):
    """Pictures of bytes as the towers take them: [N, 3, S, S]."""
    mean, std = (torch.tensor(config["preprocess_cfg"][key])[:, None, None] for key in ("mean", "std"))
    bytes_of = (torch.from_numpy(numpy.asarray(image).astype(numpy.uint8)).permute(2, 0, 1) for image in images)
    return torch.stack([(pixels / 255 - mean) / std for pixels in bytes_of])


def load(folder, changes=()):
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"].update(changes)
    model = open_clip.CLIP(**config["model_cfg"])
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in
                           load_file(folder / "open_clip_model.safetensors").items()}, strict=True)
    return config, model.eval()


def blocks_of_resnet(model):
    for stage in STAGES:
        blocks = getattr(model.visual, stage)
        for number, block in enumerate(blocks, 1):
            yield stage if number == len(blocks) else f"{stage}.{number - 1}", block


def watch(model, interventions=()):
    """Hooks that give every tap and set the interventions. The value before a block's last ReLU exists nowhere as a
    module's output (`out += identity` stands between), so the ReLU's input is taken: a pre-hook sees it."""
    seen, handles = {}, []

    def held(layer, site, x, units=1):
        for _, _, unit, value in (each for each in interventions if each[:2] == (layer, site)):
            x = x.clone()
            x.select(units, unit).fill_(value)
        return x

    if not hasattr(model.visual, "layer1"):
        for number, block in enumerate(model.visual.transformer.resblocks):
            for site, module in (("mlp_hidden", block.mlp.gelu), ("residual", block)):
                def tokens(_, __, x, layer=f"block{number}", site=site):
                    x = held(layer, site, x, 2)
                    seen[f"{layer}.{site}:class"] = x[:, 0]
                    seen[f"{layer}.{site}:mean"], seen[f"{layer}.{site}:max"] = x[:, 1:].mean(1), x[:, 1:].amax(1)
                    return x
                handles.append(module.register_forward_hook(tokens))
        return seen, handles

    def keep(layer, site, x):
        grid = x if x.dim() == 4 else x[:, :, None, None]
        seen[f"{layer}.{site}:mean"], seen[f"{layer}.{site}:max"] = grid.mean((2, 3)), grid.amax((2, 3))

    for layer, block in blocks_of_resnet(model):

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
    """Taps once more by another way, so that no hook order can mislead: the value before a ReLU by its formula, bn3(conv3(..)) +
    identity; a transformer's by open_clip's own intermediates and the formula of a block."""
    parts = {}
    if not hasattr(model.visual, "layer1"):
        found = model.visual.forward_intermediates(images, output_fmt="NLC", output_extra_tokens=True)
        for number, (patches, extra) in enumerate(zip(found["image_intermediates"], found["image_intermediates_prefix"])):
            for pool, value in (("class", extra[:, 0]), ("mean", patches.mean(1)), ("max", patches.amax(1))):
                assert torch.allclose(value, seen[f"block{number}.residual:{pool}"], atol=1e-5), (number, pool)
        first, x = model.visual.transformer.resblocks[0], model.visual._embeds(images)
        x = x + first.ls_1(first.attention(first.ln_1(x)))
        hidden = first.mlp.c_fc(first.ln_2(x))
        hidden = hidden * torch.sigmoid(1.702 * hidden) if QUICK in str(first.mlp) else torch.nn.functional.gelu(hidden)
        assert torch.allclose(hidden[:, 1:].amax(1), seen["block0.mlp_hidden:max"], atol=1e-5)
        return
    for layer, block in blocks_of_resnet(model):
        handles = [block.bn3.register_forward_hook(lambda _, __, x: parts.update(out=x.clone())),
                   block.register_forward_pre_hook(lambda _, x: parts.update(x=x[0].clone()))]
        model.encode_image(images)
        for handle in handles:
            handle.remove()
        identity = parts["x"] if block.downsample is None else block.downsample(parts["x"])
        before = parts["out"] + identity
        for site, value in (("pre_relu", before), ("post_relu", before.clamp(min=0))):
            assert torch.allclose(value.mean((2, 3)), seen[f"{layer}.{site}:mean"], atol=1e-5), layer
            assert torch.allclose(value.amax((2, 3)), seen[f"{layer}.{site}:max"], atol=1e-5), layer


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
    images = []
    (HERE / "images").mkdir(exist_ok=True)
    for title, values in pictures(size).items():
        path = HERE / "images" / f"{title}-{size}.png"
        Image.fromarray(values.astype(numpy.uint8)).save(path, optimize=True)
        images.append(Image.open(path).convert("RGB"))
    images = normalised(config, images)
    tokens = tokenizer(text["vocab_size"], text["context_length"])(TEXTS)

    seen, handles = watch(model)
    out = {"image_features": model.encode_image(images), "text_features": model.encode_text(tokens),
           "logits": model.get_logits(images, tokens)[0], "logit_scale": model.logit_scale.exp().double(), "tokens": tokens}
    out.update(seen)
    for handle in handles:
        handle.remove()
    check_taps(model, images, seen)
    resnet = "layer4.post_relu:mean" in seen
    after = "layer4.post_relu:mean" if resnet else "block1.residual:class"
    for intervention in OF_RESNETS if resnet else OF_TRANSFORMERS:
        seen, handles = watch(model, [intervention])
        layer, site, unit, value = intervention
        if resnet and layer not in ["attnpool", *(name for name, _ in blocks_of_resnet(model))]:
            continue
        key = f"held {layer}.{site} {unit} {value}"
        out[key] = model.encode_image(images)
        out[f"{key} {after.split('.')[0]}"] = seen[after].clone()
        for handle in handles:
            handle.remove()
        assert not torch.equal(out[key], out["image_features"]), key
    for changes in VARIANTS.get(name, []):
        _, other = load(folder, changes)
        key = "variant " + json.dumps(changes)
        out[key] = other.encode_image(images)
        assert (out[key] - out["image_features"]).norm() > 0.01 * out["image_features"].norm(), key
    made = {"open_clip": open_clip.__version__, "torch": torch.__version__, "texts": TEXTS, "fingerprint": fingerprint(model)}
    # One entry, because several come in any order, and the same values should make the same file.
    save_file({k: v.clone().contiguous() for k, v in out.items()}, HERE / f"encoder-{name}.safetensors",
              metadata={"made": json.dumps(made)})


if __name__ == "__main__":
    torch.set_num_threads(1)
    golden("reference", REFERENCE)
    for name, config, seed in (("tiny", TINY, 5), ("vit", VIT, 6), ("average", AVERAGE, 7)):
        make(HERE / name, config, seed)
        golden(name, HERE / name)
