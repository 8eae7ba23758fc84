"""Each of two processes has half of a batch: values and gradients are those of one process with the whole batch."""

import pytest
import torch
from torch.testing import assert_close

from tests.distill import two_processes
from tests.distill.losses.batch_of_four import TERMS, main, results

OUTPUTS = 4
"""Fields of the student's output; the other gradients are those of a term's own weights."""

Results = dict[str, tuple[torch.Tensor, list[torch.Tensor]]]


@pytest.fixture(scope="module")
def alone() -> Results:
    return results(slice(0, 4))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    folder = tmp_path_factory.mktemp("ranks")
    two_processes.run(main, folder)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("name", [name for name in TERMS if name != "cross_image"])
def test_a_term_is_that_of_the_whole_batch(name: str, alone: Results, together: list[Results]) -> None:
    value, gradients = alone[name]
    of_ranks = [result[name] for result in together]
    for own_value, _ in of_ranks:
        assert_close(own_value, value)
    # DDP divides the sum of the processes' gradients by their number.
    found = [
        torch.cat(own) / 2 if index < OUTPUTS else sum(own) / 2
        for index, own in enumerate(zip(*(gradients for _, gradients in of_ranks), strict=True))
    ]
    assert any(gradient.any() for gradient in gradients)
    for gradient, expected in zip(found, gradients, strict=True):
        assert_close(gradient, expected, atol=1e-6, rtol=1e-4)


def test_photos_are_compared_with_those_of_their_process(alone: Results, together: list[Results]) -> None:
    values = [result["cross_image"][0] for result in together]
    assert_close(values[0], values[1])
    assert not torch.isclose(values[0], alone["cross_image"][0])
