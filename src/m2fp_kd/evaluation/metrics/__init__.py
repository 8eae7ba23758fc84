"""Quality: mIoU, persons, calibration, and the standard error of a difference."""
