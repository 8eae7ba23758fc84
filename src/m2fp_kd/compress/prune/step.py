"""The step that prunes channels."""

import copy
import logging
from itertools import count
from typing import Any, ClassVar, Self, cast

from pydantic import model_validator
from pydantic.dataclasses import dataclass
from torch import nn

from m2fp_kd.compress.options import STRICT, Count, Engine, Factor, Importance, Name, Quantity, ShareAbove0, ShareBelow1
from m2fp_kd.compress.prune.graph import Prunable
from m2fp_kd.compress.prune.importance import ScaleSparsity
from m2fp_kd.compress.prune.latency import LatencyTable, open_table
from m2fp_kd.compress.prune.pruning import Goal, measure, prune_towards, prune_untrained
from m2fp_kd.compress.steps import FineTuning
from m2fp_kd.models.pruned import pruned_architecture

log = logging.getLogger(__name__)


@dataclass(frozen=True, config=STRICT)
class Prune:
    """Prune channels and fine-tune the network, in turn, until the goal is reached.

    Attributes:
        quantity: quantity to reduce: parameters, macs or milliseconds.
        reduction: share to remove, 0.4 for 40 %.
        importance: l1, bn_scale (with sparsity training before and between the steps) or taylor.
        most: largest share of the quantity that one step removes.
        epochs: epochs of fine-tuning after each step.
        last_epochs: epochs of fine-tuning after the last step.
        lr_scale: factor on the run's learning rate.
        gradient_batches: number of training batches for the gradients of taylor.
        engine: engine to measure milliseconds in: openvino or onnxruntime.
        threads: CPU threads of the engine.
        latency_table: file of measured milliseconds; null for one in `cache/`, named by engine and threads.
        name: name of the pruned network's file.
    """

    kind: ClassVar[str] = "prune"
    quantity: Quantity = "parameters"
    reduction: ShareBelow1 = 0.4
    importance: Importance = "taylor"
    most: ShareAbove0 = 0.15
    epochs: Count = 1
    last_epochs: Count = 4
    lr_scale: Factor = 0.5
    gradient_batches: Count = 8
    engine: Engine = "openvino"
    threads: Count | None = None
    latency_table: str | None = None
    name: Name = "pruned"

    @model_validator(mode="after")
    def _table_is_for_milliseconds(self) -> Self:
        if self.latency_table is not None and self.quantity != "milliseconds":
            raise ValueError(f"latency_table is for quantity=milliseconds, not {self.quantity}: leave it null")
        return self

    def check(self, student: nn.Module, size: int) -> None:
        """Check that the goal can be reached, which depends on the layers, not on their weights.

        Of a goal in milliseconds only the table is checked, because the layers would have to be measured.

        Args:
            student: network, which is not changed.
            size: side of the square photo in pixels.

        Raises:
            PruneError: the goal is out of reach.
            ValueError: the latency table is broken, or was measured on another machine.
        """
        if self._table() is None:
            goal = Goal(self.quantity, self.reduction, measure(student, size, self.quantity))
            prune_untrained(cast(Prunable, copy.deepcopy(student)), size, goal, self.most)

    def __call__(
        self, student: nn.Module, architecture: dict[str, Any], tuner: FineTuning
    ) -> tuple[nn.Module, dict[str, Any], float]:
        """Prune and fine-tune ``student`` in place.

        Raises:
            PruneError: the goal is out of reach; nothing was trained.
        """
        table = self._table()
        goal = Goal(self.quantity, self.reduction, measure(student, tuner.size, self.quantity, table))
        # Check that the goal can be reached before training.
        prune_untrained(cast(Prunable, copy.deepcopy(student)), tuner.size, goal, self.most, table)
        callbacks = [ScaleSparsity()] if self.importance == "bn_scale" else []
        if callbacks:
            tuner(student, f"{self.name}/0", self.epochs, self.lr_scale, callbacks)
        for step in count(1):
            if self.importance == "taylor":
                tuner.gradients(student, self.gradient_batches)
            result = prune_towards(cast(Prunable, student), tuner.size, goal, self.importance, self.most, table)
            left = f"{100 * result.after / goal.baseline:.0f} % of {self.quantity} left"
            log.info("pruning step %d: %s, the goal is %.0f %%", step, left, 100 * goal.target / goal.baseline)
            epochs = self.last_epochs if result.done else self.epochs
            score = tuner(student, f"{self.name}/{step}", epochs, self.lr_scale, callbacks)
            log.info("pruning step %d: val/mIoU %.4f after fine-tuning", step, score)
            if result.done:
                break
        return student, pruned_architecture(architecture, student), score

    def _table(self) -> LatencyTable | None:
        """Open the latency table; None for other goals than milliseconds."""
        if self.quantity != "milliseconds":
            return None
        path = self.latency_table or f"cache/latency-{self.engine}-{self.threads or 'all'}-threads.json"
        return open_table(path, self.engine, self.threads)
