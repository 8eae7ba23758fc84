import subprocess
import sys

import pytest

ALLOCATE_AND_FREE = """
import resource
import numpy as np
{call}
for _ in range(2):
    np.ones(1 << 23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(1 << 23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(call: str) -> int:
    answer = subprocess.run(
        [sys.executable, "-c", ALLOCATE_AND_FREE.format(call=call)], capture_output=True, check=True
    )
    return int(answer.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_used_again_without_new_pages() -> None:
    call = "from m2fp_kd.distill.training.allocator import keep_freed_memory; keep_freed_memory()"
    assert page_faults(call) < 20 < page_faults("")
