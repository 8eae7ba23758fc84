"""Videos, cameras and streams: frames in and out, smoothing over time, and persons who keep their id."""
