"""The report of a small run with three parts, two photos and invented figures."""

import numpy as np

from m2fp_kd.evaluation.metrics.boundary import boundary_counts
from m2fp_kd.evaluation.metrics.evaluate import scores_of
from m2fp_kd.evaluation.metrics.miou import confusion
from m2fp_kd.evaluation.report.pictures import Picture
from m2fp_kd.evaluation.report.results import DataSummary, ModelResult, RunReport
from m2fp_kd.labels import LabelSet
from m2fp_kd.runtime.checks import Hop
from m2fp_kd.runtime.provenance import DataSource, Lineage, ObjectiveSummary, TeacherCard

LABELS = LabelSet("tiny", ("background", "head", "shoe <left>"), ((0, 0, 0), (200, 40, 40), (40, 200, 40)))


def picture(name: str, seed: int = 0) -> Picture:
    """Return a photo of noise, 24 x 32, with maps of decreasing quality."""
    random = np.random.default_rng(seed)
    truth = np.zeros((24, 32), np.uint8)
    truth[4:12, 6:14], truth[14:22, 6:14], truth[0] = 1, 2, 255
    maps = {"truth": truth}
    for key, wrong in (("teacher", 0.05), ("student_fp32", 0.2), ("student_int8", 0.25)):
        noise = random.integers(0, 3, truth.shape, np.uint8)
        maps[key] = np.where((random.random(truth.shape) < wrong) | (truth == 255), noise, truth)
    return Picture(name, random.integers(0, 256, (24, 32, 3), np.uint8), maps)


def tiny_pictures() -> list[Picture]:
    """The two photos of `tiny_report`."""
    return [picture("one.jpg", 1), picture("two.jpg", 2)]


def tiny_report(name: str = "tiny", passed: bool = True, **config: object) -> RunReport:
    """Return a complete report; keyword arguments become its config."""
    pictures = tiny_pictures()
    costs = {
        "teacher": {"megabytes": 253.0, "p50_ms": 600.0, "parameters": 63_120_000, "note": "from its card"},
        "student_fp32": {
            "megabytes": 12.7,
            "gmacs": 1.234,
            "p50_ms": 12.0,
            "p95_ms": 14.0,
            "peak_mb": 210.0,
            "engine": "openvino",
        },
        "student_int8": {"megabytes": 8.0, "p50_ms": 6.0, "p95_ms": 7.0, "peak_mb": 180.0, "threads": 2},
    }
    models = {}
    for key, cost in costs.items():
        counts = sum(confusion(shown.maps["truth"], shown.maps[key], 3) for shown in pictures)
        borders = sum(boundary_counts(shown.maps["truth"], shown.maps[key], 3) for shown in pictures)
        scores = scores_of(counts, LABELS, borders)
        scored = {name: getattr(scores, name) for name in ("miou", "miou_absent_zero", "iou", "boundary")}
        models[key] = ModelResult(**scored, **cost)
    return RunReport(
        name=name,
        created="2026-01-02T03:04:05+00:00",
        labels=LABELS,
        models=models,
        parity=[
            Hop("PyTorch -> ONNX fp32", 0.99995, 0.0, 0.0, "head", -0.0001, True, {"min_pixel_agreement": 0.999}),
            Hop(
                "ONNX fp32 -> INT8",
                0.97,
                -0.021,
                0.0042,
                "shoe <left>",
                -0.0712,
                passed,
                {"min_pixel_agreement": 0.96, "max_miou_drop": 3.0 if passed else 0.5},
                failed=[] if passed else ["max_miou_drop"],
            ),
        ],
        shares={"background": 0.8, "head": 0.15, "shoe <left>": 0.05},
        curves={
            "train/loss": [(step, 3.0 / (1 + step)) for step in range(50)],
            "val/mIoU": [(9, 0.2), (19, 0.4), (29, 0.5)],
            "val/IoU/head": [(9, 0.1), (19, float("nan")), (29, 0.3)],
        },
        data=DataSummary(name="tiny", scored_photos=2, scored_on="validation photos"),
        lineage=Lineage(
            teacher=TeacherCard(name="M2FP", licence="CC BY-NC 4.0", sha256="ab" * 32),
            data=DataSource("tiny", "cd" * 32),
            objective=ObjectiveSummary({"kl": 0.7, "ce": 0.3}, ("kl",), alpha=0.7, temperature=4.0),
            student="fpn",
            backbone="resnet18",
            seed=3,
            licences=("CC BY-NC 4.0",),
            val_miou=0.4321,
        ),
        config=config,
        versions={"numpy": "2.0"},
        cpu={"model": "Some CPU", "architecture": "x86_64", "cores": 2, "features": ("AVX2",)},
    )
