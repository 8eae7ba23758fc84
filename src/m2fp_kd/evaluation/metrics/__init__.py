"""Quality: mIoU, persons, calibration, and how certain a difference is."""
