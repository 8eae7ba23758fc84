"""Give a photo's result in the parts of another label set."""

import time
from dataclasses import replace

import numpy as np

from m2fp_kd.labels import Translation
from m2fp_kd.runtime.parsing import Parsing
from m2fp_kd.runtime.part_map import restored_argmax, upsampled_argmax

NEVER = np.float32(-1e30)
"""Logit of a part that no part of the artefact becomes; finite, because interpolation multiplies it by 0."""


def relabelled(parsing: Parsing, translation: Translation) -> Parsing:
    """Return a result in the parts of another label set.

    The probabilities of all parts are translated, as a teacher's are for a student, and then the most probable part is
    taken, at the photo's own size. An artefact without probabilities gives each part's likeliest translation. Persons
    stay as they are.

    Args:
        parsing: result in `translation.source`.
        translation: translation of its parts.
    """
    start = time.perf_counter()
    outputs = dict(parsing.outputs)
    if "part_logits" in outputs:
        outputs["part_logits"] = translated_logits(outputs["part_logits"], translation.shares)
        outputs["part_map"] = upsampled_argmax(outputs["part_logits"])
        part_map = restored_argmax(outputs["part_logits"], outputs["part_map"], parsing.placement)
    else:
        likeliest = translation.shares.argmax(axis=1).astype(np.uint8)
        outputs["part_map"], part_map = likeliest[outputs["part_map"]], likeliest[parsing.part_map]
    # The mask classifier's classes are those of the artefact's own parts.
    outputs = {name: values for name, values in outputs.items() if name in ("part_logits", "part_map")}
    timings = parsing.timings | {"labels": 1000 * (time.perf_counter() - start)}
    return replace(parsing, part_map=part_map, labels=translation.target, timings=timings, outputs=outputs)


def translated_logits(logits: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return logits whose softmax is that of the given ones times the shares; a part that only gets its name changed
    keeps its logits exactly.

    Args:
        logits: float32 (P, h, w).
        shares: float32 (P, Q), rows sum to 1.

    Returns:
        float32 (Q, h, w).
    """
    found = np.full((shares.shape[1], *logits.shape[1:]), NEVER, np.float32)
    for part in np.flatnonzero(shares.any(axis=0)):
        givers = np.flatnonzero(shares[:, part])
        largest = logits[givers].max(axis=0)
        weights = shares[givers, part][:, None, None]
        found[part] = largest + np.log((weights * np.exp(logits[givers] - largest)).sum(axis=0))
    return found
