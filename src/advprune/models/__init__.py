"""Networks, built by name; each takes images in [0, 1] and gives logits."""

from advprune.models.lenet import LeNet5Caffe
from advprune.models.logits import Logits
from advprune.models.modes import evaluating
from advprune.models.parts import Normalize
from advprune.models.registry import MODELS, build, register
from advprune.models.resnet import ResNet18
from advprune.models.small import SmallCNN
from advprune.models.vgg import VGG16

__all__ = [
    "MODELS",
    "VGG16",
    "LeNet5Caffe",
    "Logits",
    "Normalize",
    "ResNet18",
    "SmallCNN",
    "build",
    "evaluating",
    "register",
]
