"""Networks: backbones, the M2FP teacher and the students. Pure `nn.Module`s on images RGB 0..255."""
