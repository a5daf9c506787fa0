"""Narrow ResNets of torchvision with random weights, and what they make of two images.

    pip install -r requirements.txt && python make.py

Writes resnet18.pth, resnet18.safetensors (half precision: resnet18-half.safetensors), resnet50.pth
(nested, with a prefix) and golden.safetensors: `images` N×3×H×W, and for each network its features
before the classifier, N×F.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

HERE = Path(__file__).parent


class Narrow(ResNet):
    """torchvision's ResNet with `width` channels after the first convolution instead of 64."""

    def __init__(self, block, layers, width):
        self.__dict__["width"] = width
        super().__init__(block, layers, num_classes=3)

    @property
    def inplanes(self):
        return self.__dict__["narrow_inplanes"]

    @inplanes.setter
    def inplanes(self, value):
        first = "narrow_inplanes" not in self.__dict__
        self.__dict__["narrow_inplanes"] = self.width if first else value

    def _make_layer(self, block, planes, *args, **kwargs):
        return super()._make_layer(block, planes * self.width // 64, *args, **kwargs)

    def features(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return torch.flatten(self.avgpool(x), 1)


def network(block, layers, width):
    made = Narrow(block, layers, width)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in [
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 1.5),
            ]:
                nn.init.uniform_(tensor, low, high)
    return made.eval()


def main():
    torch.manual_seed(7)
    torch.set_num_threads(1)
    images = torch.randn(2, 3, 40, 24)
    golden = {"images": images}
    with torch.no_grad():
        resnet18 = network(BasicBlock, [2, 2, 2, 2], 4)
        torch.save(resnet18.state_dict(), HERE / "resnet18.pth")
        save_file(resnet18.state_dict(), HERE / "resnet18.safetensors")
        golden["resnet18"] = resnet18.features(images)

        half = {name: t.half() if t.is_floating_point() else t for name, t in resnet18.state_dict().items()}
        save_file(half, HERE / "resnet18-half.safetensors")
        resnet18.load_state_dict(half)
        golden["resnet18-half"] = resnet18.features(images)

        resnet50 = network(Bottleneck, [3, 4, 6, 3], 2)
        state = {f"module.{name}": tensor for name, tensor in resnet50.state_dict().items()}
        torch.save({"epoch": 3, "state_dict": state, "arch": "resnet50"}, HERE / "resnet50.pth")
        golden["resnet50"] = resnet50.features(images)
    save_file(golden, HERE / "golden.safetensors")


if __name__ == "__main__":
    main()
