"""Compares the driver with every call that Cinder's managers make, and prints what does not fit, as JSON.

A process of its own: Cinder and nova share one configuration object, and cannot live in one process.
"""
# ruff: noqa: E402 (Cinder chooses its threads before anything else is imported)

import ast
import inspect
import json
import os
import sys
import textwrap
from pathlib import Path

os.environ["OS_CINDER_DISABLE_EVENTLET_PATCHING"] = "true"

from cinder import monkey_patch

monkey_patch.patch()

from cinder import objects

objects.register_all()

import cinder
from cinder import interface
from cinder.interface import base as interface_base

from nova_fakes.volume.cinder import NovaFakesDriver

#: Where Cinder calls its driver.
CALLERS = ("volume/manager.py", "volume/flows/manager/*.py", "volume/driver.py", "volume/volume_utils.py")
#: What Cinder does itself where a driver has nothing better: consistency groups are groups by now, a backup is restored
#: through the device.
FALLBACKS = {
    "create_cgsnapshot",
    "create_consistencygroup",
    "create_consistencygroup_from_src",
    "create_volume_from_backup",
    "delete_cgsnapshot",
    "delete_consistencygroup",
    "update_consistencygroup",
}


def calls():
    """Yield name, number of positional arguments, names of the others, and place of each call of the driver."""
    root = Path(cinder.__file__).parent
    for pattern in CALLERS:
        for path in sorted(root.glob(pattern)):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                if ast.unparse(node.func.value) in ("self.driver", "driver"):
                    keywords = [one.arg for one in node.keywords if one.arg]
                    yield node.func.attr, len(node.args), keywords, f"{path.name}:{node.lineno}"


def complaint(name, positional, keywords):
    method = inspect.getattr_static(NovaFakesDriver, name, None)
    if method is None:
        return "is missing"
    bound = getattr(object.__new__(NovaFakesDriver), name) if not isinstance(method, property) else None
    if not callable(bound):
        return None
    try:
        inspect.signature(bound).bind(*[None] * positional, **dict.fromkeys(keywords))
    except TypeError as error:
        return f"takes other arguments: {error}"
    return None if name in FALLBACKS else unimplemented(bound)


def unimplemented(method):
    """Tell of a method that does nothing but refuse."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    body = [one for one in tree.body[0].body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    if body and isinstance(body[-1], ast.Raise) and "NotImplementedError" in ast.unparse(body[-1]):
        return "is not implemented"
    return None


def interface_methods():
    """Yield every method that Cinder documents for drivers of volumes."""
    modules = [
        "volume_driver",
        "volume_group_driver",
        "volume_manageable_driver",
        "volume_snapshot_revert",
        "volume_snapshotmanagement_driver",
    ]
    for module in modules:
        for _name, kind in inspect.getmembers(getattr(__import__(f"cinder.interface.{module}").interface, module)):
            if inspect.isclass(kind) and issubclass(kind, interface_base.CinderInterface):
                for name, method in vars(kind).items():
                    if inspect.isfunction(method) and not name.startswith("_"):
                        yield name, method


found = {}
asked = set()
for name, positional, keywords, place in calls():
    asked.add(name)
    wrong = complaint(name, positional, keywords)
    if wrong:
        found[f"{name} at {place}"] = wrong
for name, method in interface_methods():
    asked.add(name)
    names = [one for one in inspect.signature(method).parameters if one != "self"]
    wrong = complaint(name, len(names), [])
    if wrong:
        found[f"{name} of the interface"] = wrong
if NovaFakesDriver not in interface._volume_register:
    found["registration"] = "is missing"
json.dump({"asked": sorted(asked), "found": found}, sys.stdout)
