"""`parse --ray` names what it cannot work with before it writes anything."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from m2fp_kd.cli import ray_pool
from m2fp_kd.cli.table import TABLE
from tests.cli.ray.needs import needs_ray


def test_it_is_an_extra(parse, monkeypatch):
    for name in ("ray", "ray.data"):
        monkeypatch.setitem(sys.modules, name, None)
    code, _, printed = parse("--ray", "local")
    assert code == 2 and printed.startswith("m2fp-kd: ray") and "[serve,ray]" in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--shard", "1/2"), "--shard"), (("--format", "coco"), "--format")],
)
def test_options_that_do_not_go_with_a_cluster_are_refused(parse, tmp_path, options, words):
    code, _, printed = parse("--ray", "local", *options)
    assert code == 2 and printed.startswith(f"m2fp-kd: --ray does not go with {words}; it")
    assert not (tmp_path / "out").exists()
    code, _, printed = parse("--ray", "local", source="0")
    assert code == 2 and printed.startswith("m2fp-kd: --ray does not go with a camera; it")


@needs_ray
def test_videos_are_refused(parse, folder, tmp_path):
    (folder / "walk.mp4").write_bytes(b"")
    code, _, printed = parse("--ray", "local")
    assert code == 2 and f"{folder / 'walk.mp4'} is a video" in printed and not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["foo", "foo:", "foo:port", "foo:99999", ":6379"])
def test_an_address_without_host_or_port_is_refused(parse, tmp_path, address):
    code, _, printed = parse("--ray", address)
    assert code == 2 and not (tmp_path / "out").exists()
    assert printed == f"m2fp-kd: --ray {address} must be HOST:PORT, such as 10.0.0.1:6379, auto or local\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "no cluster answers at ADDRESS (Connection refused); start a cluster with `ray start --head`"),
        (b"", "no cluster answers at ADDRESS (timed out); start a cluster with `ray start --head`"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "another program than Ray answers at ADDRESS; start a cluster"),
    ],
)
def test_an_address_without_a_cluster_is_named(parse, tmp_path, monkeypatch, answer, words):
    """Nobody listens, a program that says nothing, and a web server."""
    monkeypatch.setattr(ray_pool, "PATIENCE", 0.5)
    with socket.socket() as server, ThreadPoolExecutor(1) as pool:
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"
        if answer is not None:
            server.listen()
            pool.submit(answer_once, server, answer)
        code, _, printed = parse("--ray", address)
    assert code == 2 and printed.startswith("m2fp-kd: " + words.replace("ADDRESS", address)), printed
    assert "--ray local" in printed and len(printed.splitlines()) == 1 and not (tmp_path / "out").exists()


def answer_once(server, answer):
    """Accept a connection, send an answer, and wait until the other side closes it."""
    connection, _ = server.accept()
    with connection:
        connection.sendall(answer)
        while connection.recv(1000):
            pass


@needs_ray
def test_a_table_of_another_program_is_kept(parse, tmp_path):
    import pyarrow.parquet

    (tmp_path / "out").mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "out" / TABLE)
    code, _, printed = parse("--ray", "local")
    assert code == 2 and "was not written by m2fp-kd" in printed
