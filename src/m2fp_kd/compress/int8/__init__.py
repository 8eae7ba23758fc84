"""Quantise to INT8: static, accuracy-controlled, dynamic, quantisation-aware, and by PyTorch's FX mode and PT2E."""
