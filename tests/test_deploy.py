"""What deploy/ says is so: its files are read as their programs read them, and every command line in them is ours."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from facesearch.server.app import make_app
from facesearch.server.service import service_of
from facesearch.server.settings import Settings
from index.truth.address import Server, read_address
from retrieval.shards import read_shard
from tests.served import stand_in
from tests.test_docs import what_is_wrong
from tests.test_packaging import PROJECT

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
OURS = f"facesearch:{PROJECT['version']}"
COMPOSE = DEPLOY / "compose.yaml"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def documents() -> list[dict[str, Any]]:
    return [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return found


def pods() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each object that makes pods, with what its pods are."""
    for one in documents():
        if "template" in one.get("spec", {}):
            yield one, one["spec"]["template"]["spec"]


def containers() -> list[dict[str, Any]]:
    return [container for _, pod in pods() for container in pod["containers"]]


def command_lines() -> list[str]:
    """All that our image is told to do."""
    lines = []
    for service in compose()["services"].values():
        if service["image"] == OURS:
            lines.append(shlex.join(["facesearch", *service["command"]]))
    for one in containers():
        if one["image"] == OURS and one.get("command") == ["sh", "-c"]:
            lines.append(one["args"][0].partition(" || ")[0])
        elif one["image"] == OURS:
            lines.append(shlex.join(["facesearch", *one["args"]]))
    return lines


def test_every_command_line_would_be_understood() -> None:
    assert len(command_lines()) == 5
    assert [wrong for line in command_lines() if (wrong := what_is_wrong(line))] == []


def test_a_planted_wrong_command_line_would_be_found() -> None:
    assert what_is_wrong(command_lines()[0].replace("--port", "--prot")) != ""


def images() -> list[str]:
    served = [service["image"] for service in compose()["services"].values()]
    built = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    milvus = [one["spec"]["components"]["image"] for one in documents() if one["kind"] == "Milvus"]
    return served + built + milvus + [one["image"] for one in containers()]


def test_every_image_has_a_version_and_the_name_of_no_host() -> None:
    assert len(images()) >= 10
    for image in images():
        name, _, version = image.partition(":")
        assert re.fullmatch(r"v?\d+\.\d+\.\d+(-\w+)*", version) or version == PROJECT["version"], image
        assert "." not in name.split("/")[0], image


def test_ours_has_the_version_of_the_project() -> None:
    assert {image for image in images() if image.startswith("facesearch")} == {OURS}


def test_no_secret_stands_in_them() -> None:
    for service in compose()["services"].values():
        for name, said in service.get("environment", {}).items():
            assert not re.search("PASSWORD|KEY", name) or str(said).startswith("${"), name
    for one in containers():
        for variable in one.get("env", []):
            assert not re.search("PASSWORD|KEY", variable["name"]) or "secretKeyRef" in variable["valueFrom"]
    assert not [one for one in documents() if one["kind"] == "Secret"]


def test_ports_that_are_asked_are_ports_that_are_listened_at() -> None:
    for one, pod in pods():
        for container in pod["containers"]:
            named = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            probes = [container[name]["httpGet"]["port"] for name in container if "httpGet" in str(container[name])]
            assert set(probes) <= named.keys(), one["metadata"]["name"]
            if container["image"] == OURS and named:
                line = container["args"]
                assert named["http"] == int(line[line.index("--port") + 1])
    services = {one["metadata"]["name"]: one["spec"] for one in documents() if one["kind"] == "Service"}
    for name, spec in services.items():
        listening = [
            port["name"]
            for one, pod in pods()
            if one["spec"]["template"]["metadata"]["labels"].items() >= spec["selector"].items()
            for container in pod["containers"]
            for port in container.get("ports", [])
        ]
        assert {port["targetPort"] for port in spec["ports"]} <= set(listening), name
    line = compose()["services"]["server"]["command"]
    assert compose()["services"]["server"]["ports"] == [f"127.0.0.1:8000:{line[line.index('--port') + 1]}"]


def test_paths_that_probes_ask_for_exist_and_need_no_key(tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    probed = {
        container[name]["httpGet"]["path"]
        for container in containers()
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
        if "httpGet" in container.get(name, {})
    } | set(re.findall(r"127\.0\.0\.1:8000(/\w+)", DOCKERFILE))
    assert probed == {"/healthz", "/readyz"}
    settings = Settings(host="0.0.0.0", key="k" * 20, names=("facesearch",))
    with stand_in(tmp_path / "db") as faces:
        app = make_app(service_of(faces, settings))
        with TestClient(app, base_url="http://10.1.2.3:8000") as client:  # as a kubelet calls it
            assert {client.get(path).status_code for path in probed} == {200}
            assert client.get("/api/v1/gallery").status_code == 401


def test_addresses_name_servers_that_are_there() -> None:
    services = {one["metadata"]["name"] for one in documents() if one["kind"] == "Service"} | set(compose()["services"])
    told = [compose()["x-facesearch"]["environment"]["FACESEARCH_DB"]]
    told += [v["value"] for one in containers() for v in one.get("env", []) if v["name"] == "FACESEARCH_DB"]
    assert len(told) == 4
    for address in map(read_address, told):
        assert isinstance(address, Server) and address.url.host in services and address.url.database == "faces"


def test_volumes_that_are_mounted_are_there() -> None:
    for one, pod in pods():
        claims = [claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", [])]
        there = {volume["name"] for volume in pod.get("volumes", [])} | set(claims)
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == there, one["metadata"]["name"]
    named = {
        mount.partition(":")[0]
        for service in compose()["services"].values()
        for mount in service["volumes"]
        if not mount.startswith("$")
    }
    assert named == set(compose()["volumes"])


def test_nobody_is_root() -> None:
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    for _, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0


def test_the_job_runs_every_shard_once() -> None:
    [job] = [one for one in documents() if one["kind"] == "Job" and one["spec"].get("completionMode") == "Indexed"]
    line = job["spec"]["template"]["spec"]["containers"][0]["args"][0]
    shards = [
        read_shard(re.sub(r"^\$JOB_COMPLETION_INDEX", str(n), _shard(line))) for n in range(job["spec"]["completions"])
    ]
    assert [shard.number for shard in shards] == list(range(shards[0].count))


def _shard(line: str) -> str:
    words = shlex.split(line)
    return words[words.index("--shard") + 1]


def test_what_the_image_copies_is_there_and_what_it_installs_exists() -> None:
    for copied in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for source in copied.split()[:-1]:
            assert (ROOT / source).exists(), source
    [extras] = re.findall(r'"\.\[(.+)\]"', DOCKERFILE)
    assert (
        {"serve", "postgres", "ray"}
        < set(extras.replace("${FAISS}", "cpu").split(","))
        <= set(PROJECT["optional-dependencies"])
    )
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks", "docs"}
    assert all(f"COPY {name} {name}" in DOCKERFILE for name in packages)


def test_a_folder_of_the_repository_that_holds_data_is_not_sent_to_the_build() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", "data", "runs"} <= set(ignored)


@pytest.mark.parametrize("path", [COMPOSE, *MANIFESTS], ids=lambda path: path.name)
def test_each_file_says_what_it_is_for(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
