"""The 1,797 handwritten digits of 8x8 that come with scikit-learn (UCI, Alpaydin, Kaynak 1998)."""

from dataclasses import replace

import torch

from advprune.data.images import Images
from advprune.data.splitting import stratified

TEST_IMAGES = 360


def read() -> dict[str, Images]:
    """Read the digits: one grey channel, 0 ... 16 scaled to [0, 1].

    The 360 test images are always the same, a fifth of each class.
    """
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    bunch = load_digits()
    x = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16
    y = torch.from_numpy(bunch.target).long()
    images = Images(x, y, tuple(str(name) for name in bunch.target_names), "digits")
    train, test = stratified(y, TEST_IMAGES, seed=0)
    return {
        "train": replace(images.subset(train), name="digits train"),
        "test": replace(images.subset(test), name="digits test"),
    }
