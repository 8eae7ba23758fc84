"""Draft a bridge between two label sets from the predictions of a network on photos with the other set's labels.

    python benchmarks/bridge_shares.py teacher.json --data DIR --labels cihp

For photos labelled with one set (the teacher's, in M2FP's layout) and a network of another set (the student's), the
script prints the share of each part's pixels that the network assigns to each of its own parts. Rounded, and without
the network's confusions, the output is a file for teacher.bridge.
"""

import argparse

import numpy as np
from tqdm import tqdm

from m2fp_kd.checkpoints.network import load_network
from m2fp_kd.data.layouts import m2fp_records
from m2fp_kd.data.reading import read_record
from m2fp_kd.distill.teachers.part_model import PartModel
from m2fp_kd.distill.teachers.whole_photo import WholePhotoTeacher
from m2fp_kd.labels import load_label_set
from m2fp_kd.runtime.geometry import restore_dense

SMALLEST = 0.03
"""Smallest share that is printed."""


def main() -> None:
    """Count the shares and print a row per part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="network file with the student's parts")
    parser.add_argument("--data", required=True, help="photos with the teacher's labels, in M2FP's layout")
    parser.add_argument("--labels", required=True, help="the teacher's label set, by name or YAML file")
    parser.add_argument("--split", default="Training")
    options = parser.parse_args()
    saved, labels = load_network(options.network), load_label_set(options.labels)
    network = WholePhotoTeacher([PartModel(saved.module, saved.labels, saved.geometry)], saved.geometry)
    mass = np.zeros((labels.num_parts, saved.labels.num_parts))
    for record in tqdm(m2fp_records(options.data, options.split), unit="photo"):
        photo = read_record(record, labels)
        probabilities = np.exp(restore_dense(network.log_parts(photo.image)[0], network.placement(photo.image)))
        for part in np.unique(photo.parts[photo.parts != labels.ignore_index]):
            mass[part] += probabilities[:, photo.parts == part].sum(axis=1)
    for part, row in zip(labels.parts, mass, strict=True):
        shares = row / max(row.sum(), 1e-9)
        order = [index for index in np.argsort(-shares) if shares[index] >= SMALLEST]
        print(f"{part}: {{{', '.join(f'{saved.labels.parts[index]}: {shares[index]:.2f}' for index in order)}}}")


if __name__ == "__main__":
    main()
