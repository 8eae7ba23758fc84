"""INT8 by every way: static, accuracy-controlled, dynamic, quantisation-aware, and PyTorch's own two."""
