"""M2FP (Mask2Former for Parsing, Yang et al. 2023): the teacher."""

import torch
from torch import Tensor, nn

from m2fp_kd.models.backbones import Backbone
from m2fp_kd.models.normalise import Normalise
from m2fp_kd.models.outputs import M2FPOutput
from m2fp_kd.models.pixel_decoder import PixelDecoder
from m2fp_kd.models.transformer_decoder import TransformerDecoder


class M2FP(nn.Module):
    """Backbone, pixel decoder and transformer decoder in sequence."""

    def __init__(
        self, backbone: Backbone, pixel_decoder: PixelDecoder, transformer_decoder: TransformerDecoder
    ) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.backbone = backbone
        self.pixel_decoder = pixel_decoder
        self.transformer_decoder = transformer_decoder

    def forward(self, images: Tensor, auxiliary: bool | None = None) -> M2FPOutput:
        """Predict classes and masks.

        Args:
            images: (B, 3, H, W) RGB 0..255, uint8 or float; H and W multiples of 32.
            auxiliary: whether to also return the predictions of earlier layers; None for in training only.

        Raises:
            ValueError: H or W is not a multiple of 32.
        """
        if images.shape[-2] % 32 or images.shape[-1] % 32:
            raise ValueError(f"image sides must be multiples of 32, got {tuple(images.shape[-2:])}; pad the images")
        levels, mask_features = self.pixel_decoder(self.backbone(self.normalise(images)))
        return self.transformer_decoder(levels, mask_features, self.training if auxiliary is None else auxiliary)


def build_m2fp(
    backbone: Backbone,
    num_classes: int,
    width: int = 256,
    mask_width: int = 256,
    queries: int = 100,
    encoder_layers: int = 6,
    decoder_layers: int = 9,
    heads: int = 8,
    encoder_feedforward: int = 1024,
    decoder_feedforward: int = 2048,
    exact_order: bool = False,
) -> M2FP:
    """Build an M2FP with newly initialised decoders; the defaults are those of the published models.

    Args:
        backbone: backbone with features at strides 4, 8, 16, 32.
        num_classes: C, the parts and, if the label set has it, `Human`; without "no object".
        width: channels of the pixel decoder and of the queries.
        mask_width: channels of the mask features.
        queries: number of queries.
        encoder_layers: number of layers of the pixel decoder.
        decoder_layers: number of layers of the transformer decoder.
        heads: number of attention heads.
        encoder_feedforward: width of the pixel decoder's feed-forward layers.
        decoder_feedforward: width of the transformer decoder's feed-forward layers.
        exact_order: see `TransformerDecoder`.
    """
    network = M2FP(
        backbone,
        PixelDecoder(backbone.channels, width, mask_width, encoder_layers, heads, encoder_feedforward),
        TransformerDecoder(
            num_classes, width, mask_width, queries, decoder_layers, heads, decoder_feedforward, exact_order
        ),
    )
    return network.to(memory_format=torch.channels_last)  # as in `Normalise`, to avoid reordering weights
