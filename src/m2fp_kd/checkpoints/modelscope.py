"""Load published M2FP weights (ModelScope's `pytorch_model.pt`, M2FP's `.pth`) into our modules.

Both publishers use the same tensor names. Our backbone has timm's names, and our attention layers keep the query, key
and value projections apart, which the published files pack into one `in_proj` tensor.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from m2fp_kd.checkpoints.network import CheckpointError, check_tensors
from m2fp_kd.models.m2fp import M2FP
from m2fp_kd.models.state_file import read_state

# (our prefix, published prefix, substitutions in the rest of the name, applied in order)
_RENAMES: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "backbone.body.",
        "backbone.",
        [
            (r"^conv1\.0\.", "stem.conv1."),
            (r"^conv1\.1\.", "stem.conv1.norm."),
            (r"^conv1\.3\.", "stem.conv2."),
            (r"^conv1\.4\.", "stem.conv2.norm."),
            (r"^conv1\.6\.", "stem.conv3."),
            (r"^bn1\.", "stem.conv3.norm."),
            (r"^layer4\.", "res5."),
            (r"^layer3\.", "res4."),
            (r"^layer2\.", "res3."),
            (r"^layer1\.", "res2."),
            (r"\.bn(\d)\.", r".conv\1.norm."),
            (r"\.downsample\.0\.", ".shortcut."),
            (r"\.downsample\.1\.", ".shortcut.norm."),
        ],
    ),
    (
        "pixel_decoder.",
        "sem_seg_head.pixel_decoder.",
        [
            (r"^projections\.", "input_proj."),
            (r"^lateral\.0\.", "adapter_1."),
            (r"^lateral\.1\.", "adapter_1.norm."),
            (r"^smooth\.0\.", "layer_1."),
            (r"^smooth\.1\.", "layer_1.norm."),
            (r"^mask_features\.", "mask_features."),
            (r"^level_embed$", "transformer.level_embed"),
            (r"^layers\.(\d+)\.norm\.", r"layers.\1.norm2."),
            (r"\.attention_norm\.", ".norm1."),
            (r"\.attention\.value\.", ".self_attn.value_proj."),
            (r"\.attention\.out\.", ".self_attn.output_proj."),
            (r"\.attention\.", ".self_attn."),
            (r"^layers\.", "transformer.encoder.layers."),
        ],
    ),
    (
        "transformer_decoder.",
        "sem_seg_head.predictor.",
        [
            (r"^norm\.", "decoder_norm."),
            (r"^class_embed\.", "class_embed."),
            (r"^query_features$", "query_feat.weight"),
            (r"^query_places$", "query_embed.weight"),
            (r"^level_embed$", "level_embed.weight"),
            (r"^mask_embed\.0\.", "mask_embed.layers.0."),
            (r"^mask_embed\.2\.", "mask_embed.layers.1."),
            (r"^mask_embed\.4\.", "mask_embed.layers.2."),
            (r"\.(?:query|key|value)\.", ".in_proj_"),
            (r"\.out\.", ".out_proj."),
            (r"^layers\.(\d+)\.cross_attention\.", r"transformer_cross_attention_layers.\1.multihead_attn."),
            (r"^layers\.(\d+)\.self_attention\.", r"transformer_self_attention_layers.\1.self_attn."),
            (r"^layers\.(\d+)\.(cross|self)_norm\.", r"transformer_\2_attention_layers.\1.norm."),
            (r"^layers\.(\d+)\.", r"transformer_ffn_layers.\1."),
        ],
    ),
]
# State of the M2FP repository's training loss, stored beside the model's tensors.
_NOT_MODEL = {"criterion.empty_weight"}


def to_m2fp_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of `M2FP` under the published names, with packed projections."""
    return {
        published: torch.cat([state[name] for name in names]) if len(names) > 1 else state[names[0]]
        for published, names in _sources(state).items()
    }


def load_m2fp_checkpoint(model: M2FP, path: str | Path) -> None:
    """Load published weights into a model: every tensor, or none if one does not fit.

    Args:
        model: network with the same number of classes and layers, and the backbone `resnet101`.
        path: file that holds `{"model": state_dict}` or a plain state dict.

    Raises:
        FileNotFoundError: the file does not exist.
        CheckpointError: the file holds more than tensors, or tensors are missing, surplus or misshapen.
    """
    found = _read(Path(path))
    own = model.state_dict()
    wanted = to_m2fp_names(own)
    for name, tensor in wanted.items():  # files with frozen BatchNorms lack the counters
        if name.endswith(".num_batches_tracked"):
            found.setdefault(name, torch.zeros_like(tensor))
    check_tensors(wanted, found, path)
    state: dict[str, Tensor] = {}
    for source, names in _sources(own).items():
        parts = found[source].chunk(len(names)) if len(names) > 1 else [found[source]]
        state.update(zip(names, parts, strict=True))
    model.load_state_dict(state)


def _sources(names: Iterable[str]) -> dict[str, list[str]]:
    """Return published name -> our names: one, or those of query, key and value in the order of the packing."""
    sources: dict[str, list[str]] = {}
    for name in names:
        sources.setdefault(_published_name(name), []).append(name)
    return sources


def _published_name(name: str) -> str:
    for prefix, published, substitutions in _RENAMES:
        rest, changes = name.removeprefix(prefix), 0
        for pattern, replacement in substitutions if name.startswith(prefix) else []:
            rest, count = re.subn(pattern, replacement, rest)
            changes += count
        if changes:
            return published + rest
    raise CheckpointError(
        f"published M2FP checkpoints have no tensor like {name!r}; build the model with the backbone resnet101"
    )


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; download the published pytorch_model.pt and give its path")
    try:
        content = read_state(path, "teacher.checkpoint")
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    return {name: tensor for name, tensor in content.items() if name not in _NOT_MODEL}
