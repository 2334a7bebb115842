"""The container recipe is built by buildah, and an agent out of it serves.

There may be no registry: the image grows on nothing, with this machine's programs mounted where the base's would be.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "deploy" / "container" / "Containerfile"
PROGRAMS = Path("/usr/bin/python3")
SESSION = """
PATH=/usr/bin:/bin
{entry} {command} --realizer null > /dev/null & agent=$!
for _ in $(seq 300); do [ -S /run/nova-fakes/agent.sock ] && break; sleep 0.1; done
{health}; code=$?
kill $agent; wait $agent
exit $code
"""


def words(name):
    """A line of the recipe that is a list of words."""
    return json.loads(re.search(rf"^{name} (\[.*)$", RECIPE.read_text(), re.MULTILINE)[1])


@pytest.fixture
def buildah(tmp_path):
    """Run buildah with storage of the test's own; returns what it printed."""
    program = shutil.which("buildah")
    if program is None:
        pytest.skip("no buildah here: apt-get install buildah")
    if os.geteuid() != 0:
        pytest.skip("building without isolation needs root")
    if not PROGRAMS.exists():
        pytest.skip(f"no {PROGRAMS} that could stand for the base image's")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(PROGRAMS)
    base = [program, "--storage-driver", "vfs", "--root", tmp_path / "storage", "--runroot", tmp_path / "run"]

    def run(*arguments):
        argv = list(map(str, [*base, *arguments]))
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=1500, cwd=ROOT)
        if done.returncode and "Failed to establish a new connection" in done.stdout + done.stderr:
            pytest.skip("no package index can be reached from here")
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout.strip()

    run.volumes = [f"--volume={path}:{path}:ro" for path in ("/usr", "/bin", "/lib", "/lib64", "/etc")]
    run.volumes.append(f"--volume={tmp_path / 'bin'}:/usr/local/bin:ro")
    yield run
    subprocess.run([*map(str, base), "rm", "--all"], capture_output=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_agent_out_of_the_container_serves(buildah):
    settings = [f"--env={name}={value}" for name, value in os.environ.items() if name.startswith("PIP_")]
    found = [value for name, value in os.environ.items() if name == "PIP_FIND_LINKS" and value.startswith("/")]
    more = [f"--volume={path}:{path}:ro" for path in found]
    options = ["--isolation", "chroot", "--from", "scratch", "--format", "docker", *buildah.volumes, *settings, *more]
    buildah("build", *options, "--tag", "agent", "--file", RECIPE, ROOT)
    config = json.loads(buildah("inspect", "--type", "image", "agent"))["Docker"]["config"]
    assert config["Healthcheck"]["Test"] == ["CMD", *words("HEALTHCHECK CMD")]
    container = buildah("from", "--pull-never", "localhost/agent")
    session = SESSION.format(
        entry=" ".join(words("ENTRYPOINT")), command=" ".join(words("CMD")), health=" ".join(words("HEALTHCHECK CMD"))
    )
    said = buildah("run", "--isolation", "chroot", *buildah.volumes, container, "--", "/bin/sh", "-c", session)
    assert said.startswith("ok: nova-fakes ")
