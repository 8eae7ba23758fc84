"""Draft a bridge from a teacher's label set to a student's, from photos with the student's labels.

    python benchmarks/bridge_shares.py teacher.json --data DIR --labels cihp > bridge.yaml

The teacher parses labelled photos. For each of its parts the script prints the share of that part's probability that
lies on each of the student's labels. The output is a file for teacher.bridge; remove the teacher's confusions from it.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from m2fp_kd.checkpoints.network import load_network
from m2fp_kd.data.layouts import m2fp_records
from m2fp_kd.data.reading import read_record
from m2fp_kd.distill.teachers.part_model import PartModel
from m2fp_kd.distill.teachers.whole_photo import WholePhotoTeacher
from m2fp_kd.labels import LabelSet, load_label_set
from m2fp_kd.runtime.geometry import restore_dense

SMALLEST = 0.03
"""Smallest share that is kept."""


def main() -> None:
    """Count the shares and print the bridge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="network file of the teacher")
    parser.add_argument("--data", required=True, help="photos with the student's labels, in M2FP's layout")
    parser.add_argument("--labels", required=True, help="the student's label set, by name or YAML file")
    parser.add_argument("--split", default="Training")
    options = parser.parse_args()
    saved, labels = load_network(options.network), load_label_set(options.labels)
    teacher = WholePhotoTeacher([PartModel(saved.module, saved.labels, saved.geometry)], saved.geometry)
    mass = np.zeros((saved.labels.num_parts, labels.num_parts))
    for record in tqdm(m2fp_records(options.data, options.split), unit="photo"):
        photo = read_record(record, labels)
        probabilities = np.exp(restore_dense(teacher.log_parts(photo.image)[0], teacher.placement(photo.image)))
        for part in np.unique(photo.parts[photo.parts != labels.ignore_index]):
            mass[:, part] += probabilities[:, photo.parts == part].sum(axis=1)
    print("\n".join(draft(mass, saved.labels, labels)))


def draft(mass: NDArray[np.float64], teacher: LabelSet, student: LabelSet) -> list[str]:
    """Return the lines of a bridge: for each of the teacher's parts, shares of the student's parts that sum to 1.

    Left and right parts get mirrored shares, as a bridge must have them.

    Args:
        mass: ``(teacher's P, student's P)``, probability of the teacher's part summed over the pixels with the label.
        teacher: label set of the teacher.
        student: label set of the student.
    """
    both = mass + mass[list(teacher.flip_permutation)][:, list(student.flip_permutation)]
    return [_line(part, row, student.parts) for part, row in zip(teacher.parts, both, strict=True)]


def _line(part: str, row: NDArray[np.float64], student: Sequence[str]) -> str:
    if not row.any():
        return f"{part}: {part if part in student else student[0]} # the teacher never found it in these photos"
    shares = row / row.sum()
    shares[shares < min(SMALLEST, shares.max())] = 0
    shares /= shares.sum()
    kept = [index for index in np.argsort(-shares, kind="stable") if shares[index]]
    return f"{part}: {{{', '.join(f'{student[index]}: {round(float(shares[index]), 7)}' for index in kept)}}}"


if __name__ == "__main__":
    main()
