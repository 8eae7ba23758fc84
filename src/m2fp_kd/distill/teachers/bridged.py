"""A live teacher whose student knows other parts. (A cached one is led over the bridge where its cache is read.)"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from m2fp_kd.data.bridging import cross
from m2fp_kd.distill.teachers.live import LiveTeacher
from m2fp_kd.distill.teachers.target import TeacherTarget
from m2fp_kd.labels import Bridge
from m2fp_kd.models.m2fp import M2FP


class BridgedTeacher(LiveTeacher):
    """Its queries are not given, as their classes are the teacher's; its features say nothing of parts and are.

    Args:
        network: as in `LiveTeacher`.
        bridge: from the network's label set to the student's.
        size: as in `LiveTeacher`.
    """

    gives = LiveTeacher.gives - {"queries"}

    def __init__(self, network: M2FP, bridge: Bridge, size: int) -> None:
        super().__init__(network, bridge.teacher.num_parts, size)
        self.bridge = bridge

    def __call__(self, batch: Mapping[str, Any]) -> TeacherTarget:
        target = super().__call__(batch)
        return replace(target, log_parts=cross(target.log_parts, self.bridge), queries=None)
