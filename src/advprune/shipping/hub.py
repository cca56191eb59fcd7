"""Saved models on Hugging Face's hub."""

import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from advprune.extras import need
from advprune.shipping.folder import load, save
from advprune.shipping.manifest import GRAPH, MANIFEST, WEIGHTS


def push_to_hub(
    model: nn.Module,
    repo: str,
    *,
    private: bool = False,
    token: str | None = None,
    **metadata: Any,
) -> str:
    """Saves a model, as `save` does, and uploads the folder.

    Args:
        model: see `save`.
        repo: `OWNER/NAME`; made where there is none.
        private: whether a new one is.
        token: of the hub; None is the one that one has logged in with.
        metadata: see `save`.

    Returns:
        The address of the commit.
    """
    hub = need("huggingface_hub")
    with tempfile.TemporaryDirectory() as temporary:
        folder = save(model, Path(temporary) / "model", **metadata)
        hub.create_repo(repo, private=private, token=token, exist_ok=True)
        return str(hub.upload_folder(repo_id=repo, folder_path=folder, token=token))


def from_pretrained(
    name: str, *, revision: str | None = None, token: str | None = None
) -> nn.Module:
    """Reads a saved model from a folder or from the hub, checked as `load` checks it.

    Args:
        name: a folder, or `OWNER/NAME` on the hub.
        revision: branch, tag or commit; a commit alone always gives the same model.
        token: of the hub.

    Raises:
        ValueError: see `load`.
    """
    if Path(name).is_dir():
        return load(name)
    hub = need("huggingface_hub")
    with tempfile.TemporaryDirectory() as temporary:  # its cache holds links, which load refuses
        hub.snapshot_download(
            name,
            revision=revision,
            token=token,
            local_dir=temporary,
            allow_patterns=[MANIFEST, WEIGHTS, GRAPH],
        )
        return load(temporary)
