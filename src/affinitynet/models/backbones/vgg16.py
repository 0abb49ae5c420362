"""VGG-16 in the DeepLab-LargeFOV layout, the first network of the paper (docs/method.md, "VGG-16")."""

from __future__ import annotations

import timm
import torch.nn.functional as F
from torch import Tensor, nn

from affinitynet.errors import InputError
from affinitynet.models.backbones.base import ATROUS, Backbone
from affinitynet.models.weights.names import CAFFE_MEAN, VGG16_CONVOLUTIONS, fill, from_torchvision_vgg16

LARGE_FIELD = 4  # dilation of fc6 in AffinityNet


class VGG16(Backbone):
    """VGG-16 at stride 8: no fifth pool, dilated conv5, fully connected layers as convolutions.

    Features are relu(conv4_3), relu(conv5_3) and relu(fc7): 512, 512 and 1024 channels. The first
    four convolutions are frozen. State-dict keys are those of the released checkpoints.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     backbone = VGG16()
        ...     features = backbone(torch.zeros(1, 3, 64, 96))
        >>> [tuple(f.shape[1:]) for f in features]
        [(512, 8, 12), (512, 8, 12), (1024, 8, 12)]
    """

    # Caffe's BGR image in 0..255 minus a mean, expressed as an RGB image in 0..1; forward swaps the channels.
    mean = CAFFE_MEAN
    std = (1 / 255, 1 / 255, 1 / 255)
    channels = (512, 512, 1024)
    strides = (8, 8, 8)
    reduced = (64, 128, 256)
    groups = (8, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for stage, widths in enumerate(VGG16_CONVOLUTIONS, start=1):
            dilation = 2 if stage == 5 else 1
            for number, width in enumerate(widths, start=1):
                layer = nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation)
                self.add_module(f"conv{stage}_{number}", layer)
                channels = width
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=1)
        self.drop6 = nn.Dropout2d(0.5)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.frozen = [self.get_submodule(name) for name in ("conv1_1", "conv1_2", "conv2_1", "conv2_2")]
        self.freeze()

    def enlarge_field(self, dilation: int = LARGE_FIELD) -> None:
        """Dilate fc6: by 4 for AffinityNet, by 12 for DeepLab-LargeFOV."""
        self.fc6.padding = self.fc6.dilation = (dilation, dilation)

    def large_field_head(self, labels: int) -> nn.Module:
        """Return a 1x1 convolution of fc7, and dilate fc6 by 12 (Chen et al., ICLR 2015)."""
        self.enlarge_field(ATROUS)
        return nn.Sequential(nn.Dropout2d(0.5), nn.Conv2d(self.channels[-1], labels, 1))

    def load_imagenet(self) -> None:
        """Load timm's VGG-16, downloaded, in the LargeFOV layout."""
        try:
            tensors = timm.create_model("vgg16.tv_in1k", pretrained=True).state_dict()
        except Exception as error:  # a hub and its transport may raise anything
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise InputError(
                f"--network vgg16: no ImageNet weights ({reason}); go online once, or pass a weight file with "
                "--weights: vgg16_20M.caffemodel, torchvision's vgg16 or a checkpoint of the released code"
            ) from None
        state, prefix = from_torchvision_vgg16(tensors), "backbone."
        own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        fill(self, own, "timm's VGG-16")

    def rectify(self, maps: Tensor) -> Tensor:
        """Return the square root of the positive part, as the released code does for VGG-16."""
        return F.relu(maps).sqrt()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = x.flip(1)
        for stage, widths in enumerate(VGG16_CONVOLUTIONS, start=1):
            for number in range(1, len(widths) + 1):
                x = F.relu(self.get_submodule(f"conv{stage}_{number}")(x))
            if stage == 4:
                conv4 = x
            if stage < 5:
                x = F.max_pool2d(x, 3, stride=1 if stage == 4 else 2, padding=1)
        return conv4, x, F.relu(self.fc7(self.drop6(F.relu(self.fc6(x)))))
