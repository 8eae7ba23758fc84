"""Models of `transformers`: each kind from a local folder, and what is refused."""

import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ResNetConfig, ResNetModel, SegformerConfig, SegformerModel

from m2fp_kd.checkpoints import hugging_face
from m2fp_kd.checkpoints.hugging_face import load_hugging_face
from m2fp_kd.checkpoints.network import CheckpointError
from m2fp_kd.models.foreign import ForeignNetwork
from m2fp_kd.versions import install_hint
from tests.checkpoints.tiny_transformers import KINDS, PREPROCESSOR, names, save_tiny

CLASSES = names("pascal_person_part")
IMAGES = torch.randint(0, 256, (2, 3, 96, 96), generator=torch.Generator().manual_seed(0)).float()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_loaded_with_all_that_is_needed_to_use_it(kind: str, tmp_path: Path) -> None:
    saved = save_tiny(tmp_path / kind, kind, CLASSES)
    found = load_hugging_face(tmp_path / kind)
    assert type(found.module) is type(saved) and found.name == kind and found.classes == CLASSES
    weights = zip(found.module.parameters(), saved.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) and ours.dtype == torch.float32 for ours, theirs in weights)
    assert found.normalisation is not None
    assert found.normalisation[0] == pytest.approx([123.675, 116.28, 103.53])
    assert found.normalisation[1] == pytest.approx([58.395, 57.12, 57.375])
    assert found.fixed == ((96, 96) if kind == "eomt" else None)


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_the_models_own(kind: str, tmp_path: Path) -> None:
    """Semantic models: the softmax of their logits. Others: the scores of their post-processing, normalised."""
    saved = save_tiny(tmp_path, kind, CLASSES)
    found = load_hugging_face(tmp_path)
    assert found.normalisation is not None
    network = ForeignNetwork(found.module, torch.eye(7), *found.normalisation, found.fixed).eval()
    mean, std = (torch.tensor(PREPROCESSOR[name]).view(1, 3, 1, 1) for name in ("image_mean", "image_std"))
    with torch.no_grad():
        ours = network(IMAGES).part_logits.exp()
        output: Any = saved(pixel_values=(IMAGES / 255 - mean) / std)
    if kind in ("segformer", "sapiens2"):
        theirs = output.logits.softmax(dim=1)
    else:
        classes = output.class_queries_logits.softmax(dim=-1)[..., :-1]
        scores = torch.einsum("bqc,bqhw->bchw", classes, output.masks_queries_logits.sigmoid())
        theirs = scores / scores.sum(dim=1, keepdim=True)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)
    assert ours.std() > 0.01


def test_weights_in_half_precision_are_loaded_in_float32(tmp_path: Path) -> None:
    save_tiny(tmp_path, "segformer", CLASSES).half().save_pretrained(tmp_path)
    assert {weight.dtype for weight in load_hugging_face(tmp_path).module.parameters()} == {torch.float32}


def test_without_settings_the_normalisation_is_unknown(tmp_path: Path) -> None:
    save_tiny(tmp_path, "segformer", CLASSES, None)
    assert load_hugging_face(tmp_path).normalisation is None


def test_bgr_images_are_refused(tmp_path: Path) -> None:
    save_tiny(tmp_path, "segformer", CLASSES, PREPROCESSOR | {"do_flip_channel_order": True})
    with pytest.raises(CheckpointError, match="takes BGR images"):
        load_hugging_face(tmp_path)


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\ntags:\n- a\n---\nText", "mit"),
        ("---\nlicense: other\nlicense_name: sapiens2-license\n---\n", "sapiens2-license"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\ntags: [a]\n---\nlicense: mit", None),
        ("license: mit", None),
        (None, None),
    ],
)
def test_the_licence_is_the_model_cards(tmp_path: Path, card: str | None, licence: str | None) -> None:
    save_tiny(tmp_path, "segformer", CLASSES)
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert load_hugging_face(tmp_path).licence == licence


def test_a_model_card_of_other_bytes_is_read(tmp_path: Path) -> None:
    save_tiny(tmp_path, "segformer", CLASSES)
    (tmp_path / "README.md").write_bytes(b"---\nlicense: mit\n---\nCaf\xe9")
    assert load_hugging_face(tmp_path).licence == "mit"


def test_the_hash_depends_on_weights_and_configuration(tmp_path: Path) -> None:
    save_tiny(tmp_path, "segformer", CLASSES)
    first = load_hugging_face(tmp_path).sha256
    assert load_hugging_face(tmp_path).sha256 == first
    save_tiny(tmp_path, "segformer", CLASSES, seed=1)
    second = load_hugging_face(tmp_path).sha256
    save_tiny(tmp_path, "segformer", CLASSES[::-1], seed=1)
    assert len({first, second, load_hugging_face(tmp_path).sha256}) == 3


def test_a_backbone_without_a_head_is_refused(tmp_path: Path) -> None:
    save_tiny(tmp_path, "segformer", CLASSES)
    state = load_file(tmp_path / "model.safetensors")
    save_file(
        {name: tensor for name, tensor in state.items() if "decode_head" not in name}, tmp_path / "model.safetensors"
    )
    with pytest.raises(CheckpointError, match=r"lacks \d+ tensors of a SegformerForSemanticSegmentation"):
        load_hugging_face(tmp_path)
    SegformerModel(SegformerConfig(hidden_sizes=[8] * 4, depths=[1] * 4)).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="trained for segmentation"):
        load_hugging_face(tmp_path)


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    ResNetModel(ResNetConfig(hidden_sizes=[8] * 4, depths=[1] * 4, embedding_size=8)).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="is a resnet, which is no model for semantic or universal segmentation"):
        load_hugging_face(tmp_path)


def test_broken_folders_are_refused(tmp_path: Path) -> None:
    save_tiny(tmp_path, "segformer", CLASSES)
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="cannot be loaded by transformers"):
        load_hugging_face(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"holds no \.safetensors weights.*save_pretrained"):
        load_hugging_face(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "unheard-of"}))
    (tmp_path / "pytorch_model.bin").rename(tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="cannot be loaded by transformers"):
        load_hugging_face(tmp_path)


def test_a_hub_name_without_a_network_fails_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(CheckpointError, match=r"no file or folder here.*hf download mattmdjaga/segformer.*--local-dir"):
        load_hugging_face("mattmdjaga/segformer_b2_clothes")
    assert time.monotonic() - start < 10


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hugging_face, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=re.escape(install_hint("teachers"))):
        load_hugging_face(tmp_path)
