"""The nginx configuration of deploy/ in front of the service, where nginx is installed."""

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.conftest import artefact  # noqa: F401  a fixture
from tests.serve.attacks import Attacked, attacked, connections, drip, head
from tests.serve.conftest import encoded

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
PHOTO = encoded(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8))

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx, as Debian has it")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def here(folder: Path, port: int, service: int) -> str:
    """The configuration with the places and ports of a test, and without TLS."""
    text = CONFIGURATION.read_text()
    for old, new in (
        (r"/run/nginx.pid", f"{folder}/nginx.pid"),
        (r"/var/log/nginx", str(folder)),
        (r"listen 443 ssl", f"listen 127.0.0.1:{port}"),
        (r"\n *ssl_certificate[^\n]*", ""),
        (r"127\.0\.0\.1:8000", f"127.0.0.1:{service}"),
        (r"worker_processes auto", "worker_processes 1"),
    ):
        text, found = re.subn(old, new, text)
        assert found, old
    if os.geteuid() == 0:  # the workers of root would be nobody, who may not enter the folder
        text = f"user root;\n{text}"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return text.replace("http {", "http {\n" + "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds), 1)


@pytest.fixture
def behind(artefact, tmp_path):  # noqa: F811
    """A service behind nginx; `port` is nginx's."""
    with attacked(artefact(), "--name=parser.example.org", "--requests-per-minute=0") as service:
        port = free_port()
        (tmp_path / "nginx.conf").write_text(here(tmp_path, port, service.port))
        command = [str(NGINX), "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path), "-g", "daemon off;"]
        process = subprocess.Popen(command)
        try:
            for _ in range(100):
                with socket.socket() as one:
                    if not one.connect_ex(("127.0.0.1", port)):
                        break
                time.sleep(0.05)
            yield Attacked(port, service.process, service.log)
        finally:
            process.terminate()
            process.wait(20)


def test_photos_pass_and_foreign_names_do_not(behind):
    assert behind.post(PHOTO, Host="parser.example.org")[0] == 200
    assert behind.post(PHOTO, Host="parser.example.org", Origin="https://parser.example.org")[0] == 200
    assert behind.post(PHOTO, Host="evil.example")[1]["error"]["code"] == "unknown_host"
    assert behind.get("/healthz")[0] == 200


def test_slow_clients_never_reach_the_service_and_an_address_has_a_limit(behind):
    with connections(behind.port, 20, head(len(PHOTO)) + PHOTO[:1000]) as opened:
        drip(opened, 0.5)
        assert behind.get("/healthz")[0] == 429, "nginx's limit of connections for an address"
    time.sleep(0.5)
    assert behind.post(PHOTO, Host="127.0.0.1")[0] == 200
    assert not any("status=408" in line for line in behind.log)
