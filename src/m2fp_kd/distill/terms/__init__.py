"""Terms of the objective: thin modules around ``distill.losses``, each saying what it reads."""

from m2fp_kd.distill.terms.labels import HardParts, MatchedMasks, PixelParts, SoftJaccard
from m2fp_kd.distill.terms.networks import CrossImage, FeatureHints, PairedQueries
from m2fp_kd.distill.terms.parts import ChannelMaps, EdgesAndBodies, PartRelations, SoftParts

__all__ = [
    "ChannelMaps",
    "CrossImage",
    "EdgesAndBodies",
    "FeatureHints",
    "HardParts",
    "MatchedMasks",
    "PairedQueries",
    "PartRelations",
    "PixelParts",
    "SoftJaccard",
    "SoftParts",
]
