"""`m2fp-kd autolabel`: label photos with a model, for a person to correct and for training."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m2fp_kd.cli.options import add_artefact, add_megapixels, announce_demo
from m2fp_kd.cli.progress import Progress
from m2fp_kd.command import number, one_line, printable, teaching
from m2fp_kd.rules import means_file
from m2fp_kd.signals import TERMINATED, Terminated, terminable

if TYPE_CHECKING:
    from m2fp_kd.autolabel.answer import Labeller
    from m2fp_kd.autolabel.folder import LabelFolder

HELP = """examples:
  m2fp-kd autolabel photos/ -o labelled                               with the demo
  m2fp-kd autolabel photos/ -o labelled -a artefacts/int8 --persons   with person ids, by an artefact that has them
  m2fp-kd autolabel photos/ -o labelled --teacher teacher.json --tta  with a network of a run
  m2fp-kd autolabel photos/ -o labelled --teacher pytorch_model.pt --labels cihp --set teacher.size=640
  m2fp-kd train data=own data.root=labelled data.labels=pascal_person_part teacher=none distill=labels

It writes M2FP's layout: labelled/Training/Images, Category_ids (part indices; 255, the label set's ignore index, where
the model is not sure), Confidence (255 x the probability of the most probable part) and, with --persons, Human_ids. The
same call again continues where the last one stopped and leaves finished labels, and their corrections, as they are.
labelled/autolabel.json holds model, licence, label set, settings and progress.

Exit code: 0 all labelled, 1 some photos could not be read (they are named, the others are labelled), 2 stopped by an
error, 130 interrupted."""


def add(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser("autolabel", help="label photos with a model, to correct and train", **teaching(HELP))
    command.add_argument("photos", metavar="FOLDER", type=Path, help="folder of photos, with its subfolders")
    model = command.add_mutually_exclusive_group()
    add_artefact(model)
    words = "models as teacher.checkpoint takes them (see docs/guides/teacher.md); several are averaged"
    model.add_argument("--teacher", metavar="FILE|FOLDER|NAME", nargs="+", help=words)
    option = command.add_argument
    option("--labels", metavar="SET", help="label set of the teacher's answers, by name or YAML file")
    option("--set", metavar="KEY=VALUE", nargs="+", default=[], help="settings of the teacher, as in m2fp-kd train")
    option("-o", "--output", metavar="DIR", type=Path, required=True, help="folder to write to")
    words = "least probability of a label, 0..1 (default: 0.6)"
    option("--ignore-below", metavar="P", type=number(least=0, most=1), default=0.6, help=words)
    add_megapixels(command)
    option("--persons", action="store_true", help="write person ids as well")
    option("--tta", action="store_true", help="average the photo and its mirror image (twice the time)")
    command.set_defaults(run=run, extras="serve")


def run(options: argparse.Namespace) -> int:
    """Label all photos; return 1 if some could not be read."""
    from m2fp_kd.autolabel.folder import LabelFolder, Settings, find_sources

    sources = find_sources(options.photos, options.output)
    _check_teacher(options)
    labeller = _labeller(options)
    settings = Settings(options.photos, labeller.model, labeller.labels, options.ignore_below, options.persons)
    folder = LabelFolder(options.output, settings)
    failed: list[str] = []
    waiting = {name: source for name, source in sources.items() if not folder.done(name)}
    folder.save(sources, failed)
    try:
        with terminable():
            _label_all(folder, labeller, waiting, failed, options.megapixels)
    except (KeyboardInterrupt, Terminated) as stop:
        print("\nstopped; the same command continues from here", file=sys.stderr)
        return TERMINATED if isinstance(stop, Terminated) else 130
    finally:
        folder.save(sources, failed)
    words = [f"{len(waiting) - len(failed)} labelled"]
    words += [f"{len(sources) - len(waiting)} already there"] if len(waiting) < len(sources) else []
    words += [f"{len(failed)} failed"] if failed else []
    print(f"{', '.join(words)} in {options.output}", file=sys.stderr)
    if strays := folder.strays(sources):
        print(
            f"labels of photos that {options.photos} no longer has under this name: {printable(_first(strays))}; "
            "training uses them until you delete them",
            file=sys.stderr,
        )
    return 1 if failed else 0


def _first(names: list[str], shown: int = 5) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _check_teacher(options: argparse.Namespace) -> None:
    """Check what can be known about a teacher before PyTorch is imported.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: the label set is unknown, a setting has no value, or options contradict each other.
    """
    if not options.teacher:
        if options.labels or options.set:
            raise ValueError("--labels and --set belong to --teacher; an artefact has its own labels and settings")
        return
    from m2fp_kd.labels import load_label_set

    for teacher in options.teacher:
        if means_file(Path(teacher)) and not Path(teacher).exists():
            raise FileNotFoundError(f"--teacher {teacher}: no such file")
    if options.labels:
        load_label_set(options.labels)
    for setting in options.set:
        if "=" not in setting:
            raise ValueError(f"--set {setting}: must be KEY=VALUE")


def _labeller(options: argparse.Namespace) -> "Labeller":
    """Load the model."""
    if options.teacher:
        options.extras = "train,serve"
        from m2fp_kd.autolabel.teacher import TeacherLabeller

        return TeacherLabeller(options.teacher, options.labels, options.set, options.persons, options.tta)
    from m2fp_kd.autolabel.artefact import ArtefactLabeller

    announce_demo(options.artefact)
    return ArtefactLabeller(options.artefact, options.persons, options.tta)


def _label_all(
    folder: "LabelFolder", labeller: "Labeller", sources: dict[str, Path], failed: list[str], megapixels: float
) -> None:
    """Label the photos; print those that could not be read, and append their names to `failed`."""
    from m2fp_kd.runtime.geometry import PhotoError, read_photo

    progress = Progress(len(sources))
    for index, (name, source) in enumerate(sources.items()):
        progress.show(index, printable(str(source)))
        try:
            photo = read_photo(source, megapixels=megapixels)
        except (PhotoError, FileNotFoundError) as error:
            progress.clear()
            print(f"failed: {printable(one_line(error))}", file=sys.stderr)
            failed.append(name)
            continue
        folder.write(name, source, photo, labeller(photo))
    progress.clear()
