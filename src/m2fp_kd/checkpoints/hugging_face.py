"""Load segmentation models of `transformers`, from a local folder or by their name on the Hugging Face hub."""

import hashlib
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from m2fp_kd.checkpoints.network import CheckpointError
from m2fp_kd.models.image_statistics import SETTINGS, Statistics, image_statistics
from m2fp_kd.runtime.files import file_sha256
from m2fp_kd.versions import install_hint

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")

FIXED_SIZE = ("beit", "data2vec-vision", "eomt", "eomt_dinov3")
"""Kinds of model whose position embeddings take images of ``image_size`` only."""

FILES = ("*.json", "*.safetensors", "README.md")
"""Files that are downloaded from the hub; pickled weights are not."""

TIMEOUT = 5
"""Seconds that the hub has to answer."""


@dataclass
class HuggingFaceModel:
    """A model with what is needed to use it.

    Attributes:
        module: the model, in float32.
        name: name of the folder, or on the hub.
        classes: names of its classes in the order of its outputs.
        normalisation: mean and standard deviation of its images' channels, 0..255; None where no file holds them.
        fixed: height and width of the only images that it takes; None for any.
        licence: licence that its README.md names.
        sha256: hash of its configuration and its weights.
    """

    module: nn.Module
    name: str
    classes: list[str]
    normalisation: Statistics | None
    fixed: tuple[int, int] | None
    licence: str | None
    sha256: str


def load_hugging_face(name: str | Path) -> HuggingFaceModel:
    """Load a model for semantic or universal segmentation.

    Args:
        name: folder that ``save_pretrained`` wrote, or the name of a model on the hub, which is downloaded once.

    Raises:
        CheckpointError: transformers is not installed, the hub cannot be reached, or the folder lacks files, holds
            another kind of model, or has weights that do not fit.
    """
    if find_spec("transformers") is None:
        raise CheckpointError(f"{name} is a model of transformers, which is missing: {install_hint('teachers')}")
    folder = Path(name) if Path(name).is_dir() else _download(str(name))
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise CheckpointError(
            f"{name} holds no .safetensors weights; pickled ones can run code and are not loaded. Load the model in a "
            "place that you trust and save it again with model.save_pretrained(FOLDER)"
        )
    module, config = _load(folder, name)
    return HuggingFaceModel(
        module=module,
        name=str(name) if not Path(name).is_dir() else folder.resolve().name,
        classes=[str(config.id2label[index]) for index in range(len(config.id2label))],
        normalisation=_normalisation(folder),
        fixed=_fixed(config),
        licence=_licence(folder / "README.md"),
        sha256=_hash([folder / "config.json", *weights]),
    )


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES), etag_timeout=TIMEOUT))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise CheckpointError(
            f"{name} is no file or folder here, and the Hugging Face hub did not give it ({_first_line(error)}). "
            f"Correct the path; or, where there is a network, run 'hf download {name} --local-dir FOLDER', copy the "
            "folder here and set teacher.checkpoint=FOLDER"
        ) from error


def _load(folder: Path, name: str | Path) -> tuple[nn.Module, Any]:
    """Load the weights with the class for the model's kind; every tensor must be in the file."""
    from transformers import AutoConfig, AutoModelForSemanticSegmentation, AutoModelForUniversalSegmentation
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder)
        kinds = [AutoModelForSemanticSegmentation, AutoModelForUniversalSegmentation]
        fitting = [kind for kind in kinds if type(config) in kind._model_mapping]  # type: ignore[operator]
        if not fitting:
            raise CheckpointError(
                f"{name} is a {config.model_type}, which is no model for semantic or universal segmentation; take one "
                "such as SegFormer, Mask2Former, EoMT or Sapiens2"
            )
        module, loaded = fitting[0].from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{name} cannot be loaded by transformers ({_first_line(error)})") from error
    if missing := sorted(loaded["missing_keys"]):
        raise CheckpointError(
            f"{name} lacks {len(missing)} tensors of a {type(module).__name__} ({', '.join(missing[:3])}), which would "
            "be random; take a model that was trained for segmentation"
        )
    return module, config


def _normalisation(folder: Path) -> Statistics | None:
    try:
        return image_statistics(folder / SETTINGS)
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def _fixed(config: Any) -> tuple[int, int] | None:
    if config.model_type not in FIXED_SIZE:
        return None
    size = config.image_size
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _licence(readme: Path) -> str | None:
    """Return the licence in the head of a model card."""
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    head = text.split("---")[1] if text.startswith("---") else ""
    found = dict(re.findall(r"^(license|license_name):[ \t]*[\"']?(.+?)[\"']?[ \t]*$", head, re.MULTILINE))
    licence = found.get("license")
    return found.get("license_name", licence) if licence == "other" else licence


def _hash(files: list[Path]) -> str:
    return hashlib.sha256("".join(file_sha256(file) for file in files).encode()).hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300] or type(error).__name__
