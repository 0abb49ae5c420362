"""ResNet-50 as IRNet uses it: its last stage without stride and without dilation (docs/method.md, "ResNet-50")."""

from __future__ import annotations

import timm
from torch import Tensor, nn
from torchvision.models import resnet50

from affinitynet.errors import InputError
from affinitynet.models.backbones.base import Backbone


class ResNet50(Backbone):
    """torchvision's ResNet-50 at stride 16.

    Features are the pooled stem and the outputs of the four stages. The stem and the first two stages are frozen.

    Example:
        >>> import torch
        >>> features = ResNet50()(torch.zeros(1, 3, 64, 96))
        >>> [tuple(f.shape[1:]) for f in features]
        [(64, 16, 24), (256, 16, 24), (512, 8, 12), (1024, 4, 6), (2048, 4, 6)]
    """

    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    channels = (64, 256, 512, 1024, 2048)
    strides = (4, 4, 8, 16, 16)
    reduced = (16, 32, 64, 128, 256)
    groups = (2, 4, 8, 16, 32)
    dropout = 0.0
    alike = True

    def __init__(self) -> None:
        super().__init__()
        self.network = resnet50()
        del self.network.fc, self.network.avgpool
        for part in (self.network.layer4[0].conv2, self.network.layer4[0].downsample[0]):
            part.stride = (1, 1)
        self.frozen = [self.network.conv1, self.network.bn1, self.network.layer1, self.network.layer2]
        self.freeze()

    def initialise(self, classifier: nn.Conv2d) -> None:
        """Leave PyTorch's default, as the released code does."""

    def load_imagenet(self) -> None:
        """Load torchvision's first weights, from timm's hub."""
        try:
            tensors = timm.create_model("resnet50.tv_in1k", pretrained=True).state_dict()
        except Exception as error:  # a hub and its transport may raise anything
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise InputError(
                f"--network resnet50: no ImageNet weights ({reason}); go online once, or pass a weight file with "
                "--weights: torchvision's resnet50-19c8e357.pth"
            ) from None
        self.network.load_state_dict({key: value for key, value in tensors.items() if not key.startswith("fc.")})

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        network = self.network
        x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
        taps = [x]
        for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
            x = stage(x)
            taps.append(x)
        return tuple(taps)
