from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

from m2fp_kd.checkpoints.modelscope import load_m2fp_checkpoint, to_m2fp_names
from m2fp_kd.checkpoints.network import CheckpointError
from m2fp_kd.models.backbones import Backbone, build_backbone
from m2fp_kd.models.m2fp import M2FP, build_m2fp

SMALL = {"width": 32, "mask_width": 32, "queries": 3, "encoder_layers": 1, "decoder_layers": 2, "heads": 4}


def _network(seed: int) -> M2FP:
    """An M2FP with the reference's stem and blocks, but one block a stage."""
    torch.manual_seed(seed)
    body = timm.create_model("resnet101s", features_only=True, out_indices=(1, 2, 3, 4), layers=(1, 1, 1, 1))
    backbone = Backbone(body, body.feature_info.channels())
    return build_m2fp(backbone, 5, **SMALL, encoder_feedforward=32, decoder_feedforward=32)


@pytest.fixture(scope="module")
def network() -> M2FP:
    return _network(0)


@pytest.fixture
def state(network: M2FP) -> dict[str, Tensor]:
    return to_m2fp_names(network.state_dict())


def _same(network: M2FP, other: M2FP) -> bool:
    mine, theirs = network.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_published_weights_load_into_another_network(network: M2FP, state: dict[str, Tensor], tmp_path: Path) -> None:
    other = _network(1)
    assert not _same(network, other)
    torch.save({"model": state}, tmp_path / "model.pt")
    load_m2fp_checkpoint(other, tmp_path / "model.pt")
    assert _same(network, other)


def test_projections_are_packed_query_key_value(network: M2FP, state: dict[str, Tensor]) -> None:
    packed = state["sem_seg_head.predictor.transformer_self_attention_layers.1.self_attn.in_proj_weight"]
    attention = network.transformer_decoder.layers[1].self_attention
    for part, layer in zip(packed.chunk(3), (attention.query, attention.key, attention.value), strict=True):
        assert torch.equal(part, layer.weight)


def _plain(state: dict[str, Tensor]) -> object:
    return state


def _without_counters(state: dict[str, Tensor]) -> object:
    return {"model": {name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}}


def _with_loss_state(state: dict[str, Tensor]) -> object:
    return {"model": {**state, "criterion.empty_weight": torch.ones(6)}, "iteration": 3}


@pytest.mark.parametrize("content", [_plain, _without_counters, _with_loss_state])
def test_other_layouts_of_the_same_weights_load(
    network: M2FP, state: dict[str, Tensor], tmp_path: Path, content: Callable[[dict[str, Tensor]], object]
) -> None:
    torch.save(content(state), tmp_path / "model.pth")
    other = _network(1)
    load_m2fp_checkpoint(other, tmp_path / "model.pth")
    assert _same(network, other)


def test_an_error_lists_what_does_not_fit_and_nothing_is_loaded(state: dict[str, Tensor], tmp_path: Path) -> None:
    head = "sem_seg_head.predictor.class_embed.weight"
    state[head] = torch.zeros(22, 32)
    state["sem_seg_head.predictor.extra"] = torch.zeros(1)
    for name in [name for name in state if name.startswith("backbone.stem.conv2.")]:
        del state[name]
    torch.save({"model": state}, tmp_path / "model.pt")
    other, before = _network(1), _network(1)
    with pytest.raises(CheckpointError) as error:
        load_m2fp_checkpoint(other, tmp_path / "model.pt")
    message = str(error.value)
    assert "5 missing: backbone.stem.conv2.weight, " in message
    assert "1 surplus: sem_seg_head.predictor.extra" in message
    assert f"1 misshapen: {head} (22, 32) instead of (6, 32)" in message
    assert _same(other, before)


def test_a_missing_file_is_named(network: M2FP, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_m2fp_checkpoint(network, tmp_path / "nowhere.pt")


def test_objects_and_broken_files_are_refused(network: M2FP, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"model": state, "owner": Path("x")}, tmp_path / "object.pt")
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04 half a file")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("object", "broken", "list"):
        with pytest.raises(CheckpointError, match=name):
            load_m2fp_checkpoint(network, tmp_path / f"{name}.pt")


@pytest.mark.parametrize("name", ["shufflenetv2", "resnet18", "mobilenetv3_small"])
def test_a_backbone_without_published_names_is_refused(name: str) -> None:
    network = build_m2fp(build_backbone(name), 5, **SMALL)
    with pytest.raises(CheckpointError, match="no tensor like 'backbone"):
        to_m2fp_names(network.state_dict())
