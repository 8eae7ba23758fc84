"""Class names of other people's models."""

from pathlib import Path

import numpy as np
import pytest

from m2fp_kd.labels import LABEL_SETS
from m2fp_kd.labels.classes import class_shares

CIHP = LABEL_SETS["cihp"]
_CLOTHES = (
    "Background Hat Hair Sunglasses Upper-clothes Skirt Pants Dress Belt Left-shoe Right-shoe Face Left-leg Right-leg "
    "Left-arm Right-arm Bag Scarf"
)
CLOTHES = _CLOTHES.split()
"""Classes of the SegFormer mattmdjaga/segformer_b2_clothes."""
_SAPIENS2 = (
    "Background Apparel Eyeglass Face_Neck Hair Left_Foot Left_Hand Left_Lower_Arm Left_Lower_Leg Left_Shoe Left_Sock "
    "Left_Upper_Arm Left_Upper_Leg Lower_Clothing Right_Foot Right_Hand Right_Lower_Arm Right_Lower_Leg Right_Shoe "
    "Right_Sock Right_Upper_Arm Right_Upper_Leg Torso Upper_Clothing Lower_Lip Upper_Lip Lower_Teeth Upper_Teeth Tongue"
)
SAPIENS2 = _SAPIENS2.split()
"""Classes of Sapiens2's segmentation models."""


@pytest.mark.parametrize(("names", "labels"), [(CLOTHES, "atr"), (SAPIENS2, "sapiens2")])
def test_published_classes_are_built_in_label_sets(names: list[str], labels: str) -> None:
    np.testing.assert_array_equal(class_shares(names, LABEL_SETS[labels]), np.eye(len(names)))


def test_classes_in_another_order_go_to_the_part_of_their_name() -> None:
    found = class_shares(["Left Arm", "background", "TORSO_SKIN"], CIHP)
    assert [CIHP.parts[index] for index in found.argmax(axis=1)] == ["left-arm", "background", "torso-skin"]
    np.testing.assert_array_equal(found.sum(axis=1), 1)


def test_a_file_maps_other_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("Nothing: background\nArms: {left-arm: 0.5, right-arm: 0.5}\nTrousers: pants\n")
    found = class_shares(["Trousers", "Nothing", "Arms"], CIHP, file)
    assert found.shape == (3, 20) and found[0, 9] == 1 and found[1, 0] == 1
    assert found[2, 14] == found[2, 15] == 0.5


def test_a_class_without_a_part_names_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"classes Belt, Bag are no parts.*those of 'atr': set teacher\.labels=atr"):
        class_shares(CLOTHES, CIHP)
    with pytest.raises(ValueError, match=r"LABEL_0, LABEL_1.*pass it as teacher\.classes=FILE"):
        class_shares(["LABEL_0", "LABEL_1"], CIHP)
    file = tmp_path / "mine.yaml"
    file.write_text("Hat: hat\n")
    with pytest.raises(ValueError, match=r"teacher\.classes=.*mine\.yaml: lacks the model's parts Belt, Bag"):
        class_shares(["Hat", "Belt", "Bag"], CIHP, file)
    file.write_text("Hat: cap\n")
    with pytest.raises(ValueError, match="Hat: the label set 'cihp' has no part cap"):
        class_shares(["Hat"], CIHP, file)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        class_shares(["Hat"], CIHP, tmp_path / "nowhere.yaml")
