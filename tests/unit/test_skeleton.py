"""What holds for every module: it imports, it is light where it has to be, and its `__all__` tells the truth."""

import importlib
import importlib.util
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

import nova_fakes

PACKAGE = Path(nova_fakes.__file__).parent
# The adapters: what may import nova, a web framework or the terminal's libraries.
ADAPTERS = (
    "nova_fakes.api",
    "nova_fakes.cmd",
    "nova_fakes.conf",
    "nova_fakes.__main__",
    "nova_fakes.fixtures",
    # They take python-ldap's own classes where it is installed, and keystone's.
    "nova_fakes.ldap.client",
    "nova_fakes.ldap.fakeldap",
    "nova_fakes.ldap.keystone_fakeldap",
    "nova_fakes.rabbit.management",
    "nova_fakes.rabbit.server",
    "nova_fakes.rabbit.transport",
    "nova_fakes.sandbox",
    "nova_fakes.scenario",
    "nova_fakes.virt.connection",
    "nova_fakes.virt.driver",
    "nova_fakes.virt.drop_in",
    "nova_fakes.virt.drop_in_base",
    "nova_fakes.virt.fake",
    "nova_fakes.volume.cinder",
)
# What cannot be imported beside a nova in native threads: cinder imports eventlet.
APART = ("nova_fakes.volume.cinder",)
# Importing the largest of them takes hundreds of milliseconds, or drags in most of OpenStack.
HEAVY = (
    "nova",
    "placement",
    "openstack",
    "keystoneauth1",
    "oslo_config",
    "oslo_utils",
    "oslo_log",
    "oslo_concurrency",
    "oslo_messaging",
    "eventlet",
    "flask",
    "werkzeug",
    "click",
    "rich",
    "pyroute2",
    "fixtures",
)
# A module of the core with all of the standard library that it needs; the interpreter itself starts with about 60.
MODULE_BUDGET = 200


def module_names() -> list[str]:
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        # Cinder and nova share one configuration object: tests/contract/cinder imports these, in another process.
        if path.is_relative_to(PACKAGE / "volume" / "cinder"):
            continue
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


CORE = [name for name in module_names() if not within(name, ADAPTERS)]
TOGETHER = [name for name in module_names() if not within(name, APART)]


@pytest.mark.parametrize("name", CORE)
def test_core_module_imports_alone_and_lightly(name: str) -> None:
    program = (
        "import json, sys; before = set(sys.modules); __import__(sys.argv[1]);"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program, name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    imported = json.loads(done.stdout)
    assert [module for module in imported if module.split(".")[0] in HEAVY] == []
    assert len(imported) <= MODULE_BUDGET, imported


@pytest.mark.parametrize("name", [name for name in TOGETHER if not name.endswith("__main__")])
def test_every_name_in_all_exists(name: str) -> None:
    module = importlib.import_module(name)
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names)), "a name is listed twice"
    assert [entry for entry in names if not hasattr(module, entry)] == []


@pytest.mark.parametrize("name", TOGETHER)
def test_module_tells_what_it_is(name: str) -> None:
    module = importlib.import_module(name)
    assert isinstance(module, types.ModuleType)
    assert (module.__doc__ or "").strip()


@pytest.mark.skipif(importlib.util.find_spec("cinder") is None, reason="cinder is not installed (extra cinder)")
def test_modules_for_cinder_are_whole() -> None:
    names = [name for name in module_names() if within(name, APART)]
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    module = importlib.import_module(name)\n"
        "    missing = [entry for entry in getattr(module, '__all__', ()) if not hasattr(module, entry)]\n"
        "    assert module.__doc__ and not missing, (name, missing)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_error_tree_in_the_docstring_is_the_real_one() -> None:
    from nova_fakes import exceptions

    classes = {
        name: value
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and issubclass(value, exceptions.NovaFakesError)
    }
    drawn: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    for line in (exceptions.__doc__ or "").splitlines():
        entry = line.lstrip(" │├└─")
        name = entry.split(" ")[0]
        if name not in classes:
            continue
        depth = len(line) - len(entry)
        while parents and parents[-1][0] >= depth:
            parents.pop()
        drawn[name] = parents[-1][1] if parents else ""
        parents.append((depth, name))
    assert set(drawn) == set(classes)
    for name, parent in drawn.items():
        if parent:
            assert classes[parent] in classes[name].__bases__, f"{name} is drawn below {parent}"
