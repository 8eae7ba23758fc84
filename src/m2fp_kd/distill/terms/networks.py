"""Terms that look inside a live teacher: its features, its queries."""

from collections.abc import Mapping
from typing import Any, get_args

from torch import Tensor, nn

from m2fp_kd.distill.losses.cross_image import cross_image_relations
from m2fp_kd.distill.losses.features import Along, feature_hints
from m2fp_kd.distill.losses.queries import paired_queries
from m2fp_kd.distill.objective import TeacherTarget, Term
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput


class FeatureHints(Term):
    """The teacher's mask features as a hint for the student's stride-4 features; see `feature_hints`.

    The 1x1 projection between them trains with the objective and is not part of the network that is saved.
    """

    needs = frozenset({"features", "student.features"})

    def __init__(self, labels: LabelSet, along: Along = "pixel") -> None:
        super().__init__()
        if along not in get_args(Along):
            raise ValueError(f"along={along} is not one of {', '.join(get_args(Along))}")
        self.along: Along = along
        self.projection: nn.Module = nn.Identity()

    def connect(self, student_channels: int, teacher_channels: int | None) -> None:
        assert teacher_channels is not None, "Objective.check has seen to it"
        self.projection = nn.Conv2d(student_channels, teacher_channels, kernel_size=1)

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        # Objective.check has seen to it
        assert target is not None and target.features is not None and output.features is not None
        return feature_hints(self.projection(output.features), target.features, target.valid, self.along)


class CrossImage(Term):
    """Which places of the batch's photos resemble which; see `cross_image_relations`."""

    needs = frozenset({"features", "student.features"})

    def __init__(self, labels: LabelSet, cells: int = 16, temperature: float = 0.1) -> None:
        super().__init__()
        if cells < 1 or temperature <= 0:
            raise ValueError(f"cells={cells}, temperature={temperature}: need cells >= 1 and a temperature above 0")
        self.settings = cells, temperature

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        # Objective.check has seen to it
        assert target is not None and target.features is not None and output.features is not None
        return cross_image_relations(output.features, target.features, target.valid, *self.settings)


class PairedQueries(Term):
    """The teacher's queries as targets for the student's; see `paired_queries`."""

    needs = frozenset({"queries", "student.queries"})

    def __init__(
        self,
        labels: LabelSet,
        one_to_one: bool = False,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
    ) -> None:
        super().__init__()
        self.settings = one_to_one, class_weight, mask_weight, dice_weight

    def forward(self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None) -> Tensor:
        # Objective.check has seen to it
        assert target is not None and target.queries is not None and output.queries is not None
        return paired_queries(output.queries, target.queries, target.valid, *self.settings)
