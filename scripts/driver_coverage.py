"""Writes docs/reference/coverage.md: each method of nova's ComputeDriver, what our driver does there, and its tests.

Usage: driver_coverage.py [--check]   --check writes nothing, and fails where the page is not what it would write.
"""

import ast
import inspect
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from nova.virt.driver import ComputeDriver

from nova_fakes.virt.fake import FakeDriver

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "coverage.md"
TESTS = ROOT / "tests" / "unit" / "driver"

#: Methods that keep nova's own code, and why that is right for this hypervisor.
KEPT = {
    "capabilities_as_traits": "nova's, over our capabilities",
    "check_instance_shared_storage_cleanup": "nova's: the check leaves nothing behind",
    "check_source_migrate_data_at_dest": "nova's: the source's data needs no change",
    "clean_networks_preparation": "nova's: only Ironic prepares networks ahead of a spawn",
    "cleanup_lingering_instance_resources": "nova's: a guest's resources end with it",
    "default_device_names_for_instance": "refuses with NotImplementedError: nova names devices itself",
    "default_root_device_name": "refuses with NotImplementedError: nova names devices itself",
    "emit_event": "nova's",
    "failed_spawn_cleanup": "nova's: a failed spawn leaves nothing behind",
    "get_device_name_for_instance": "refuses with NotImplementedError: nova names devices itself",
    "get_instance_driver_metadata": "nova's: only Ironic has some",
    "inject_network_info": "nova's: guests learn their network from their interfaces",
    "is_node_deleted": "nova's: over get_available_nodes",
    "is_supported_fs_format": "nova's: no file system is named by the operator",
    "manages_network_binding_host_id": "nova's: ports are bound to the host's own name",
    "network_binding_host_id": "nova's: ports are bound to the host's own name",
    "node_is_available": "nova's: over get_available_nodes",
    "post_claim_migrate_data": "nova's: a claim adds nothing to the migration's data",
    "post_live_migration": "nova's: nothing of the guest is left on the source after the switch-over",
    "power_update_event": "refuses with NotImplementedError: nobody but this hypervisor powers its guests",
    "prepare_for_spawn": "nova's: only Ironic prepares nodes",
    "prepare_networks_before_block_device_mapping": "nova's: only Ironic prepares networks ahead of a spawn",
    "process_instances_at_startup": "nova's: nothing has to be done for all instances at once",
    "rebuild": "refuses with NotImplementedError: nova composes it of destroy and spawn",
    "register_event_listener": "nova's",
    "restore": "refuses with NotImplementedError: nova uses power_on",
    "rollback_live_migration_at_source": "nova's: until the switch-over the source has changed nothing",
    "soft_delete": "refuses with NotImplementedError: nova uses power_off",
    "volume_snapshot_create": "refuses with NotImplementedError: no volume backend needs the hypervisor's help",
    "volume_snapshot_delete": "refuses with NotImplementedError: no volume backend needs the hypervisor's help",
}

HEAD = """# Coverage

Each method of nova's `ComputeDriver`, as the installed nova {release} has it. *acts*: on the model of the hypervisor;
*kept*: nova's own code is right for it. Exceptions are nova's. The tests are those of the driver alone; nova's own
(see [](drop-in.md)) call nearly every method once more.

{acts} methods act, {kept} are kept.

| method | | what it does | refuses with | tests |
|---|---|---|---|---|
"""


def public_methods(cls: type) -> dict[str, Any]:
    """Return the methods that nova's manager may call, by name."""
    return {
        name: method
        for name, method in inspect.getmembers(cls, callable)
        if not name.startswith("_") and name in vars(ComputeDriver)
    }


def names_in(function: ast.FunctionDef) -> set[str]:
    """Return the attributes that a function takes, the functions that it calls, and the names that it spells out."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found.add(node.func.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def functions(path: Path) -> dict[str, ast.FunctionDef]:
    """Return a module's functions by name."""
    return {node.name: node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def calls_by_method() -> dict[str, set[str]]:
    """Return the names of the tests that call each method, themselves or by a helper of the tests."""
    helpers = {name: names_in(function) for name, function in functions(TESTS / "driver_kit.py").items()}
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in sorted(TESTS.glob("test_*.py")):
        local = functions(path)
        for name, function in local.items():
            if not name.startswith("test_"):
                continue
            names = names_in(function)
            for helper in names & (helpers.keys() | local.keys()):
                names |= helpers.get(helper, set()) | (names_in(local[helper]) if helper in local else set())
            for called in names:
                found[called].add(name)
    return found


def acts(name: str) -> bool:
    """Tell whether our driver has the method itself."""
    return inspect.getattr_static(FakeDriver, name) is not inspect.getattr_static(ComputeDriver, name)


def unknown_methods() -> list[str]:
    """Return the methods of which nobody has decided what this hypervisor does there."""
    return sorted(name for name in public_methods(ComputeDriver) if not acts(name) and name not in KEPT)


def rows() -> list[str]:
    """Return the page's table."""
    calls = calls_by_method()
    found = []
    for name in sorted(public_methods(ComputeDriver)):
        if acts(name):
            text = inspect.getdoc(getattr(FakeDriver, name)) or ""
            does, refuses = text.split("\n")[0], ", ".join(re.findall(r":raises (\w+):", text))
            kind = "acts"
        else:
            does, refuses, kind = KEPT.get(name, "?"), "", "kept"
        tests = sorted(calls[name])
        told = tests[0] + (f" and {len(tests) - 1} more" if len(tests) > 1 else "") if tests else ""
        found.append(f"| `{name}` | {kind} | {does} | {refuses} | {told} |")
    return found


def page() -> str:
    """Return the whole page."""
    from importlib.metadata import version

    names = public_methods(ComputeDriver)
    acting = sum(acts(name) for name in names)
    head = HEAD.format(release=version("nova"), acts=acting, kept=len(names) - acting)
    return head + "\n".join(rows()) + "\n"


def main() -> int:
    """Write the page, or check it."""
    if unknown := unknown_methods():
        print(f"driver_coverage: nova has methods of which nothing is known: {', '.join(unknown)}", file=sys.stderr)
        return 1
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
        return 0
    if PAGE.read_text() != page():
        print(f"driver_coverage: {PAGE} is out of date: run `python scripts/driver_coverage.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
