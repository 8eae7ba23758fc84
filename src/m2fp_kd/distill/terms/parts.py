"""Terms that learn from the teacher's part distributions; a cache is enough for them."""

from collections.abc import Mapping
from typing import Any, get_args

from torch import Tensor

from m2fp_kd.distill.losses.boundary import edge_band, edges_and_bodies, labelled_or_likely
from m2fp_kd.distill.losses.channels import channel_maps
from m2fp_kd.distill.losses.relations import part_relations
from m2fp_kd.distill.losses.soft_parts import Confidence, pixel_weights, soft_parts
from m2fp_kd.distill.objective import TeacherTarget, Term
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput


class SoftParts(Term):
    """Per-pixel KL to the teacher's part distribution, perhaps weighted by its certainty; see `soft_parts`."""

    needs = frozenset({"log_parts"})

    def __init__(self, labels: LabelSet, temperature: float = 4.0, confidence: Confidence | None = None) -> None:
        super().__init__()
        self.temperature = _above_zero(temperature)
        self.confidence = _known(confidence)

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        assert target is not None  # Objective.check has seen to it
        weights = pixel_weights(target.log_parts, target.valid, self.confidence)
        return soft_parts(output.part_logits, target.log_parts, weights, self.temperature)


class ChannelMaps(Term):
    """Channel-wise distillation; see `channel_maps`."""

    needs = frozenset({"log_parts"})

    def __init__(self, labels: LabelSet, temperature: float = 4.0) -> None:
        super().__init__()
        self.temperature = _above_zero(temperature)

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        assert target is not None  # Objective.check has seen to it
        return channel_maps(output.part_logits, target.log_parts, target.valid, self.temperature)


class PartRelations(Term):
    """DIST: correlation with the teacher between and within parts; see `part_relations`."""

    needs = frozenset({"log_parts"})

    def __init__(
        self, labels: LabelSet, temperature: float = 1.0, between_weight: float = 1.0, within_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.settings = _above_zero(temperature), between_weight, within_weight

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        assert target is not None  # Objective.check has seen to it
        return part_relations(output.part_logits, target.log_parts, target.valid, *self.settings)


class EdgesAndBodies(Term):
    """KL apart at the edges of parts and in their bodies; see `edges_and_bodies`.

    Edges are the label's or, where a pixel has none, those of the teacher's most probable part.
    """

    needs = frozenset({"log_parts"})

    def __init__(
        self,
        labels: LabelSet,
        temperature: float = 4.0,
        width: int = 1,
        edge_weight: float = 1.0,
        body_weight: float = 1.0,
        confidence: Confidence | None = None,
    ) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"an edge's width is a whole number of cells, 1 or more, not {width}")
        self.ignore_index = labels.ignore_index
        self.width = width
        self.settings = _above_zero(temperature), edge_weight, body_weight
        self.confidence = _known(confidence)

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        assert target is not None  # Objective.check has seen to it
        parts = labelled_or_likely(batch["parts"], target.log_parts, self.ignore_index)
        edges = edge_band(parts, target.valid, self.width)
        weights = pixel_weights(target.log_parts, target.valid, self.confidence)
        return edges_and_bodies(output.part_logits, target.log_parts, weights, edges, *self.settings)


def _above_zero(temperature: float) -> float:
    if temperature <= 0:
        raise ValueError(f"distill.temperature must be above 0, not {temperature}")
    return temperature


def _known(confidence: Confidence | None) -> Confidence | None:
    if confidence not in (None, *get_args(Confidence)):
        raise ValueError(f"confidence={confidence} is not one of null, {', '.join(get_args(Confidence))}")
    return confidence
