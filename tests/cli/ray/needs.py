"""Size of the tests' folder, and the mark of tests that start a cluster."""

from importlib.util import find_spec

import pytest

COUNT = 24

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the ray extra")
