"""Label sets: the parts of a data set, their colours and their left/right pairs."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from m2fp_kd.labels.colours import PAPER, distinct_colours
from m2fp_kd.labels.yaml_file import read_yaml


@dataclass(frozen=True)
class LabelSet:
    """The parts of a data set.

    Attributes:
        name: short name for cards and reports.
        parts: names of the parts in index order; index 0 is background.
        colours: one RGB colour (0..255) per part.
        flip_pairs: pairs of indices that swap when a photo is mirrored.
        has_human: whether persons are labelled too, so that M2FP's class head has a `Human` class after the parts.
        ignore_index: value of unlabelled pixels in label maps.

    Raises:
        ValueError: a field is invalid.
    """

    name: str
    parts: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    has_human: bool = False
    ignore_index: int = 255

    def __post_init__(self) -> None:
        where = f"label set '{self.name}'"
        if not 2 <= len(self.parts) <= 255:
            raise ValueError(f"{where}: needs 2 to 255 parts with background first, got {len(self.parts)}")
        if repeated := sorted({part for part in self.parts if self.parts.count(part) > 1}):
            raise ValueError(f"{where}: part names repeat: {', '.join(repeated)}")
        if len(self.colours) != len(self.parts):
            raise ValueError(f"{where}: {len(self.parts)} parts but {len(self.colours)} colours; give one per part")
        if any(len(colour) != 3 or not all(0 <= value <= 255 for value in colour) for colour in self.colours):
            raise ValueError(f"{where}: every colour must be three numbers from 0 to 255")
        paired = [index for pair in self.flip_pairs for index in pair]
        if any(len(pair) != 2 for pair in self.flip_pairs) or len(set(paired)) != len(paired):
            raise ValueError(f"{where}: flip pairs must be pairs of different parts, each part in at most one pair")
        if any(not 0 < index < len(self.parts) for index in paired):
            raise ValueError(f"{where}: flip pairs name parts outside 1..{len(self.parts) - 1}: {self.flip_pairs}")
        if not len(self.parts) <= self.ignore_index <= 255:
            raise ValueError(
                f"{where}: ignore_index {self.ignore_index} must be at most 255 "
                f"and must not be a part (0..{len(self.parts) - 1})"
            )

    @property
    def num_parts(self) -> int:
        """P, background included."""
        return len(self.parts)

    @property
    def num_classes(self) -> int:
        """Number of classes of M2FP's head without "no object": P parts, and `Human` if persons are labelled."""
        return self.num_parts + self.has_human

    @property
    def flip_permutation(self) -> tuple[int, ...]:
        """Index of every part in the mirrored photo; a permutation that is its own inverse."""
        permutation = list(range(self.num_parts))
        for left, right in self.flip_pairs:
            permutation[left], permutation[right] = right, left
        return tuple(permutation)

    def check(self, array: np.ndarray, where: str) -> None:
        """Check that a label map holds only parts and `ignore_index`.

        Raises:
            ValueError: it holds other values; the message names `where` and the values.
        """
        if not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f"{where}: a label map must hold integers, not {array.dtype}")
        wrong = (array < 0) | (array >= self.num_parts)
        wrong &= array != self.ignore_index
        if wrong.any():
            values = np.unique(array[wrong])
            shown = ", ".join(map(str, values[:8])) + (", ..." if values.size > 8 else "")
            raise ValueError(
                f"{where}: label {shown} outside '{self.name}' (0..{self.num_parts - 1}, ignored {self.ignore_index}); "
                "check that the label map belongs to this label set"
            )

    def palette(self) -> list[int]:
        """Return the 768 numbers of a PNG palette, with light grey for the ignored label."""
        colours = list(self.colours) + [(0, 0, 0)] * (256 - self.num_parts)
        colours[self.ignore_index] = PAPER
        return [value for colour in colours for value in colour]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain lists and numbers for JSON and YAML."""
        plain = asdict(self)
        return plain | {
            "parts": list(self.parts),
            "colours": [list(colour) for colour in self.colours],
            "flip_pairs": [list(pair) for pair in self.flip_pairs],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "LabelSet":
        """Build a label set from the result of `to_dict`; without `colours`, distinct ones are chosen.

        Raises:
            ValueError: a field is missing, unknown or invalid.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(map(str, set(values) - known)):
            raise ValueError(f"label set has unknown fields {unknown}; the fields are {sorted(known)}")
        if missing := sorted({"name", "parts"} - set(values)):
            raise ValueError(f"label set lacks {missing}")
        parts, has_human, ignored = values["parts"], values.get("has_human", False), values.get("ignore_index", 255)
        if not isinstance(parts, list | tuple):
            raise ValueError(f"parts must be a list of names, background first, not {parts}")
        if others := [str(part) for part in parts if not isinstance(part, str)]:
            raise ValueError(f"parts must be names, not {', '.join(others)}; quote what YAML reads as another kind")
        if not isinstance(has_human, bool):
            raise ValueError(f"has_human must be true or false, not {has_human!r}")
        if not isinstance(ignored, int):
            raise ValueError(f"ignore_index must be a whole number, not {ignored!r}")
        colours = _tuples("colours", values.get("colours") or distinct_colours(len(parts)))
        pairs = _tuples("flip_pairs", values.get("flip_pairs", ()))
        return cls(str(values["name"]), tuple(parts), colours, pairs, has_human, ignored)


def _tuples(name: str, rows: Iterable[Iterable[int]]) -> tuple[Any, ...]:
    try:
        return tuple(tuple(int(value) for value in row) for row in rows)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a list of lists of numbers, not {rows}") from error


def _label_set(
    name: str, parts: str, flip_pairs: tuple[tuple[int, int], ...] = (), has_human: bool = False
) -> LabelSet:
    names = tuple(parts.split())
    return LabelSet(name, names, distinct_colours(len(names)), flip_pairs, has_human)


_CIHP = """background hat hair glove sunglasses upper-clothes dress coat socks pants torso-skin scarf skirt face
    left-arm right-arm left-leg right-leg left-shoe right-shoe"""
_ATR = """background hat hair sunglasses upper-clothes skirt pants dress belt left-shoe right-shoe face
    left-leg right-leg left-arm right-arm bag scarf"""
_PASCAL = "background lower-arm head upper-leg torso lower-leg upper-arm"
_MHP = """background cap helmet face hair left-arm right-arm left-hand right-hand protector bikini jacket t-shirt
    polo-shirt sweater singlet torso-skin pants shorts skirt stockings socks left-boot right-boot left-shoe right-shoe
    left-high-heel right-high-heel left-sandal right-sandal left-leg right-leg left-foot right-foot coat dress robe
    jumpsuit other-full-body-clothes headwear backpack ball bat belt bottle carry-bag case sunglasses eyewear glove
    scarf umbrella wallet watch wristband tie other-accessory other-upper-body-clothes other-lower-body-clothes"""
_CCP = """background accessories bag belt blazer blouse bodysuit boots bra bracelet cape cardigan clogs coat dress
    earrings flats glasses gloves hair hat heels hoodie intimate jacket jeans jumper leggings loafers necklace panties
    pants pumps purse ring romper sandals scarf shirt shoes shorts skin skirt sneakers socks stockings suit sunglasses
    sweater sweatshirt swimwear t-shirt tie tights top vest wallet watch wedges"""
_SAPIENS2 = """background apparel eyeglass face-neck hair left-foot left-hand left-lower-arm left-lower-leg left-shoe
    left-sock left-upper-arm left-upper-leg lower-clothing right-foot right-hand right-lower-arm right-lower-leg
    right-shoe right-sock right-upper-arm right-upper-leg torso upper-clothing lower-lip upper-lip lower-teeth
    upper-teeth tongue"""
_MHP_PAIRS = ((5, 6), (7, 8), (22, 23), (24, 25), (26, 27), (28, 29), (30, 31), (32, 33))

LABEL_SETS: dict[str, LabelSet] = {
    label_set.name: label_set
    for label_set in (
        _label_set("cihp", _CIHP, ((14, 15), (16, 17), (18, 19)), has_human=True),
        # LIP has CIHP's twenty parts except one: jumpsuits instead of torso-skin.
        _label_set("lip", _CIHP.replace("torso-skin", "jumpsuits"), ((14, 15), (16, 17), (18, 19))),
        _label_set("atr", _ATR, ((9, 10), (12, 13), (14, 15))),
        _label_set("pascal_person_part", _PASCAL, has_human=True),
        _label_set("mhp_v2", _MHP, _MHP_PAIRS, has_human=True),
        _label_set("ccp", _CCP),
        _label_set("sapiens2", _SAPIENS2, tuple(zip(range(5, 13), range(14, 22), strict=True))),
    )
}


def load_label_set(name: str) -> LabelSet:
    """Return a built-in label set by name, or load one from a YAML file with the fields of `LabelSet`.

    Args:
        name: key of `LABEL_SETS`, or path of a `.yaml` or `.yml` file.

    Raises:
        ValueError: the name is unknown, or the file is invalid.
        FileNotFoundError: the YAML file does not exist.
    """
    if name in LABEL_SETS:
        return LABEL_SETS[name]
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise ValueError(f"unknown label set '{name}'; choose from {', '.join(LABEL_SETS)} or give a .yaml file")
    try:
        return LabelSet.from_dict(read_yaml(path))
    except ValueError as error:
        raise ValueError(f"'{name}': {error}") from error
