"""Score an artefact on photos with other labels than its own, through a bridge.

    python benchmarks/bridged_miou.py artefacts/fp32 --data DIR --labels pascal_person_part --split Testing

The artefact's part distribution crosses the bridge from its parts to the photos' labels at the photo's own size, and
each pixel gets the most probable label. A part that the bridge divides, such as CIHP's arms, counts with its shares.
Unlike the score of a mix's source, this one can be compared with that of a model of the photos' own labels.
"""

import argparse
from functools import partial

import numpy as np
from scipy.special import softmax
from tqdm import tqdm

from m2fp_kd.data.layouts import limit_records, m2fp_records
from m2fp_kd.data.reading import read_record
from m2fp_kd.evaluation.metrics.evaluate import evaluate
from m2fp_kd.labels import Bridge, find_bridge, load_label_set
from m2fp_kd.runtime.geometry import restore_dense
from m2fp_kd.runtime.parser import Parser


def part_map(image: np.ndarray, parser: Parser, bridge: Bridge) -> np.ndarray:
    """Return the most probable label of each pixel, uint8 (H, W)."""
    parsing = parser(image)
    probabilities = softmax(restore_dense(parsing.outputs["part_logits"], parsing.placement), axis=0)
    return np.einsum("phw,pq->qhw", probabilities, bridge.shares).argmax(axis=0).astype(np.uint8)


def main() -> None:
    """Print the mIoU and the IoU of each label."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("artefact", help="artefact whose output includes part logits, or its folder")
    options.add_argument("--data", required=True, help="labelled photos in M2FP's layout")
    options.add_argument("--labels", required=True, help="label set of the photos, by name or YAML file")
    options.add_argument("--split", default="Testing")
    options.add_argument("--bridge", help="YAML file of your own bridge; default: the built-in one")
    options.add_argument("--limit", type=int, help="number of photos, a fixed choice; default: all")
    options.add_argument("--threads", type=int, help="CPU threads; default: the engine's choice")
    chosen = options.parse_args()
    parser, labels = Parser.load(chosen.artefact, threads=chosen.threads), load_label_set(chosen.labels)
    bridge = find_bridge(parser.labels, labels, chosen.bridge)
    if bridge is None:
        options.error("the artefact has the photos' own labels; score it with m2fp-kd benchmark")
    records = tqdm(limit_records(m2fp_records(chosen.data, chosen.split), chosen.limit), unit="photo")
    photos = (read_record(record, labels) for record in records)
    scores = evaluate(partial(part_map, parser=parser, bridge=bridge), photos, labels)
    print(f"mIoU {100 * scores.miou:.1f} % through {bridge.name}, {len(records)} photos")
    for label, value in scores.iou.items():
        print(f"{label}: {'absent' if value is None else f'{100 * value:.1f}'}")


if __name__ == "__main__":
    main()
