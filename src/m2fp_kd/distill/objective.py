"""The objective: a weighted sum of named terms, checked when it is built."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from m2fp_kd.distill.losses.term import Term
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet, PartSets
from m2fp_kd.models.outputs import StudentOutput


class Objective(nn.Module):
    """Weighted sum of named terms: ``sum_k weights[k] * terms[k]``.

    Args:
        terms: modules by name. Their parameters (for instance a projection) train with the student.
        weights: one weight per term.
        anneal: for each term that is annealed, the share of the training, above 0, at which its weight reaches 0. The
            weight falls linearly from the start (the idea of Jafari et al. 2021, "Annealing Knowledge Distillation").

    Raises:
        ValueError: terms and weights do not match, every term is annealed, or one is annealed at 0.
    """

    def __init__(
        self, terms: Mapping[str, Term], weights: Mapping[str, float], anneal: Mapping[str, float] | None = None
    ) -> None:
        super().__init__()
        if not terms:
            raise ValueError("the objective has no terms; choose a recipe, for instance distill=classic")
        if set(terms) != set(weights):
            raise ValueError(f"weights are for {sorted(weights)}, but the terms are {sorted(terms)}")
        self.terms = nn.ModuleDict(terms)
        self.weights = dict(weights)
        self.anneal = dict(anneal or {})
        if at_once := [name for name, share in self.anneal.items() if share <= 0]:
            raise ValueError(f"terms annealed before training begins: {', '.join(at_once)}; set distill.anneal above 0")
        if all(self.anneal.get(name, 1.0) < 1 for name in terms):
            raise ValueError("every term is annealed before training ends; add one that is not, for instance ce")

    def check(self, teacher_gives: frozenset[str], student_gives: frozenset[str]) -> None:
        """Check that teacher and student give every field that the terms read.

        Raises:
            ValueError: a term lacks a field; the message names the term, the field and the fix.
        """
        given = teacher_gives | {f"student.{name}" for name in student_gives}
        for name, term in self.terms.items():
            missing = sorted(term.needs - given)  # type: ignore[operator]
            if not missing:
                continue
            if of_student := [item for item in missing if item.startswith("student.")]:
                raise ValueError(
                    f"the term '{name}' needs {of_student}, which this student lacks; "
                    "use student=m2fp, or leave the term out"
                )
            raise ValueError(
                f"the term '{name}' needs {missing} from the teacher, which gives {sorted(teacher_gives)}; "
                "use teacher=live teacher.checkpoint=FILE with one network of this project (caches, ensembles and "
                "other models give part distributions only), or distill=labels to train on labels alone"
            )

    def check_labels(self, part_sets: Mapping[str, PartSets]) -> None:
        """Check that every term can read the labels of the photos' sources.

        Raises:
            ValueError: a term needs the student's own labels, and a source has others; the message names the fix.
        """
        others = [name for name, table in part_sets.items() if not table.one_to_one]
        own = [name for name, term in self.terms.items() if not term.any_labels]
        if others and own:
            raise ValueError(
                f"the terms {', '.join(own)} need the student's own labels, but {', '.join(others)} have others; use "
                "student=fpn with distill=labels_jaccard, or leave these sources out of data.sources"
            )

    def reads_teacher(self, progress: float = 0.0) -> bool:
        """Whether any term still reads the teacher's target at ``progress``, 0..1, of the training."""
        needed = frozenset().union(*(self.terms[name].needs for name in self._weights(progress)))  # type: ignore[arg-type]
        return not all(name.startswith("student.") for name in needed)

    def connect(self, student_channels: int, teacher_channels: int | None) -> None:
        """Let the terms build layers that depend on the feature channels of student and teacher (None: no features)."""
        for term in self.terms.values():
            term.connect(student_channels, teacher_channels)  # type: ignore[operator]

    def forward(
        self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum, and the unweighted terms, at ``progress``, 0..1, of the training.

        Terms whose weight has reached 0 are not computed; ``target`` may be None if no other term reads it.
        """
        weights = self._weights(progress)
        values = {name: self.terms[name](output, batch, target) for name in weights}
        return torch.stack([weight * values[name] for name, weight in weights.items()]).sum(), values

    def _weights(self, progress: float) -> dict[str, float]:
        """Return the weights that are still above 0."""
        left = {name: 1 - progress / self.anneal[name] if name in self.anneal else 1.0 for name in self.terms}
        return {name: share * self.weights[name] for name, share in left.items() if share > 0}


def reads_teacher(term: partial[Term]) -> bool:
    """Whether a term that is not built yet needs the teacher's target."""
    needs: frozenset[str] = term.func.needs  # type: ignore[attr-defined]
    return any(not name.startswith("student.") for name in needs)


def build_objective(terms: Mapping[str, Mapping[str, Any]], labels: LabelSet) -> Objective:
    """Build an objective from ``{name: {"weight": w, "term": partial}}``, each partial taking ``labels``.

    An optional entry "anneal" anneals the term; see `Objective`. A term of weight 0 is left out, so that
    ``distill.alpha=0`` needs no teacher.

    Raises:
        ValueError: a weight is negative.
    """
    if negative := [name for name, spec in terms.items() if spec["weight"] < 0]:
        raise ValueError(f"terms with a negative weight: {', '.join(negative)}; set distill.alpha between 0 and 1")
    active = {name: spec for name, spec in terms.items() if spec["weight"] != 0}
    return Objective(
        {name: spec["term"](labels=labels) for name, spec in active.items()},
        {name: float(spec["weight"]) for name, spec in active.items()},
        {name: float(spec["anneal"]) for name, spec in active.items() if spec.get("anneal") is not None},
    )
