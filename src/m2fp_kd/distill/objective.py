"""The objective: a weighted sum of named terms, checked when it is built."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from m2fp_kd.distill.losses.term import Term
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import LabelSet
from m2fp_kd.models.outputs import StudentOutput


class Objective(nn.Module):
    """Weighted sum of named terms: ``sum_k weights[k] * terms[k]``.

    Args:
        terms: modules by name. Their parameters (a projection, say) train with the student.
        weights: one weight per term.
        anneal: of the terms that fade, the share of the training, above 0, at which nothing is left of them; their
            weights fall linearly from the beginning on (the idea of Jafari et al. 2021, "Annealing Knowledge
            Distillation").

    Raises:
        ValueError: a weight without a term or a term without a weight, no term that stays, or one that fades at 0.
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
        if at_once := [name for name, fade in self.anneal.items() if fade <= 0]:
            raise ValueError(f"terms that fade before training begins: {', '.join(at_once)}; distill.anneal is above 0")
        if all(self.anneal.get(name, 1.0) < 1 for name in terms):
            raise ValueError("every term fades before training ends; add one that stays, for instance ce")

    def check(self, teacher_gives: frozenset[str], student_gives: frozenset[str]) -> None:
        """Refuse a term that reads what this teacher or this student cannot give.

        Raises:
            ValueError: naming the term, what it misses and the way out.
        """
        given = teacher_gives | {f"student.{name}" for name in student_gives}
        for name, term in self.terms.items():
            missing = sorted(term.needs - given)  # type: ignore[operator]
            if not missing:
                continue
            if of_student := [item for item in missing if item.startswith("student.")]:
                raise ValueError(
                    f"the term '{name}' needs {of_student}, which this student does not give; "
                    "use student=m2fp, or leave the term out"
                )
            raise ValueError(
                f"the term '{name}' needs {missing} from the teacher, which gives {sorted(teacher_gives)}; "
                "use teacher=live teacher.checkpoint=FILE (a cache holds part distributions only), "
                "or distill=labels to train on labels alone"
            )

    def reads_teacher(self, progress: float = 0.0) -> bool:
        """Whether any term still reads what a teacher says when so much, 0..1, of the training is done."""
        needed = frozenset().union(*(self.terms[name].needs for name in self._weights(progress)))  # type: ignore[arg-type]
        return not all(name.startswith("student.") for name in needed)

    def connect(self, student_channels: int, teacher_channels: int | None) -> None:
        """Let the terms make what depends on how many channels student's and teacher's features have, if it has any."""
        for term in self.terms.values():
            term.connect(student_channels, teacher_channels)  # type: ignore[operator]

    def forward(
        self, output: StudentOutput, batch: Mapping[str, Any], target: TeacherTarget | None, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum and its terms unweighted when ``progress``, 0..1, of the training is done.

        Terms that have faded are not computed, and ``target`` may be None when none of the others reads it.
        """
        weights = self._weights(progress)
        values = {name: self.terms[name](output, batch, target) for name in weights}
        return torch.stack([weight * values[name] for name, weight in weights.items()]).sum(), values

    def _weights(self, progress: float) -> dict[str, float]:
        """Weights of the terms that have not faded."""
        left = {name: 1 - progress / self.anneal[name] if name in self.anneal else 1.0 for name in self.terms}
        return {name: share * self.weights[name] for name, share in left.items() if share > 0}


def reads_teacher(term: partial[Term]) -> bool:
    """Whether a term, not built yet, needs something of the teacher's."""
    needs: frozenset[str] = term.func.needs  # type: ignore[attr-defined]
    return any(not name.startswith("student.") for name in needs)


def build_objective(terms: Mapping[str, Mapping[str, Any]], labels: LabelSet) -> Objective:
    """Build an objective from ``{name: {"weight": w, "term": partial}}``, each partial taking ``labels``.

    With a further entry "anneal" that is not None the term fades; see `Objective`. A term of weight 0 is left out, so
    that ``distill.alpha=0`` needs no teacher.

    Raises:
        ValueError: a negative weight.
    """
    if negative := [name for name, spec in terms.items() if spec["weight"] < 0]:
        raise ValueError(f"terms of negative weight: {', '.join(negative)}; distill.alpha lies between 0 and 1")
    active = {name: spec for name, spec in terms.items() if spec["weight"] != 0}
    return Objective(
        {name: spec["term"](labels=labels) for name, spec in active.items()},
        {name: float(spec["weight"]) for name, spec in active.items()},
        {name: float(spec["anneal"]) for name, spec in active.items() if spec.get("anneal") is not None},
    )
