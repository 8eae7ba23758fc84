"""The results and the label set that the options of `m2fp-kd parse` choose, checked before any work."""

import argparse
import sys
from typing import TYPE_CHECKING

from m2fp_kd.cli.jobs import OF_VIDEOS, Wanted

if TYPE_CHECKING:
    from m2fp_kd.labels import Translation


def wanted_of(options: argparse.Namespace, videos: bool) -> Wanted:
    """Return the results to make; say which of them videos do not have."""
    kinds = options.write if options.write else () if options.format else ("map", "mosaic")
    kinds = (*kinds, *([options.format] if options.format else []))
    if videos and (others := [kind for kind in kinds if kind not in OF_VIDEOS]):
        print(f"only photos get {', '.join(others)}; videos get JSON lines and what -h says", file=sys.stderr)
    return Wanted(kinds, options.part_maps, facts=options.json or options.ray is not None)


def translation_of(options: argparse.Namespace, wanted: Wanted) -> "Translation | None":
    """Return the translation to the wanted label set; say which of the artefact's parts it can only guess.

    Raises:
        ValueError: there is no such translation, or the artefact gives no probabilities that a result needs.
    """
    from m2fp_kd.labels import find_translation
    from m2fp_kd.runtime.artefact import find_model, load_card

    if not options.labels and "confidence" not in wanted.kinds:
        return None
    card = load_card(find_model(options.artefact))
    if "confidence" in wanted.kinds and "part_logits" not in card.outputs:
        raise ValueError(f"--write confidence: {options.artefact} gives no probabilities; export it with this version")
    translation = find_translation(card.labels, options.labels) if options.labels else None
    if translation and (guesses := translation.guesses):
        found = ", ".join(f"{part} -> {likeliest}" for part, likeliest in guesses.items())
        print(f"{options.labels} divides some parts; where the model is sure, they become: {found}", file=sys.stderr)
    return translation
