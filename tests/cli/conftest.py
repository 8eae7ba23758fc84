"""The tiny artefacts of the runtime's tests."""

from tests.runtime.conftest import artefact, people_artefact, stripes  # noqa: F401
