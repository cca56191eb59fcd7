import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

from advprune.models import build
from advprune.shipping import from_pretrained, push_to_hub, read_manifest


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the hub."""

    def upload(repo_id: str, folder_path: Path, token: str | None) -> str:
        shutil.copytree(folder_path, tmp_path / repo_id)
        (tmp_path / repo_id / "evil.py").write_text("raise SystemExit")
        return f"hub/{repo_id}"

    def download(repo: str, local_dir: str, allow_patterns: list[str], **_: Any) -> str:
        for name in allow_patterns:
            if (tmp_path / repo / name).exists():
                shutil.copy(tmp_path / repo / name, local_dir)
        return local_dir

    monkeypatch.setattr(huggingface_hub, "create_repo", lambda *_args, **_settings: None)
    monkeypatch.setattr(huggingface_hub, "upload_folder", upload)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return tmp_path


def test_a_model_comes_back_from_the_hub(hub: Path) -> None:
    model = build("lenet5_caffe", widths=[2, 2, 4]).eval()
    assert push_to_hub(model, "me/net", classes=["a"], input_shape=[1, 28, 28]) == "hub/me/net"
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(from_pretrained("me/net")(images), model(images))
    assert read_manifest(hub / "me/net").classes == ["a"]
    assert torch.equal(from_pretrained(str(hub / "me/net"))(images), model(images))


def test_what_was_changed_on_the_hub_is_refused(hub: Path) -> None:
    push_to_hub(build("lenet5_caffe", widths=[2, 2, 4]), "me/net")
    (hub / "me/net/model.safetensors").write_bytes(b"other")
    with pytest.raises(ValueError, match="damaged or was changed"):
        from_pretrained("me/net")
