import subprocess
import sys

import pytest
from test_vif_plan import V4, vif

from nova_fakes.exceptions import InvalidInput, RealizerError, UnknownRealizer
from nova_fakes.virt.vif import plan, registry, rtnetlink
from nova_fakes.virt.vif.announcement import frames
from nova_fakes.virt.vif.base import Realizer, Subnet
from nova_fakes.virt.vif.null import NullRealizer
from nova_fakes.virt.vif.worker import Worker


def test_is_found_by_name():
    realizer = registry.load("null", host="h1")
    assert isinstance(realizer, NullRealizer)
    assert isinstance(realizer, Realizer)
    assert {"null", "bridge"} <= set(registry.names())


def test_unknown_name_lists_the_known():
    with pytest.raises(UnknownRealizer, match=r"brigde.*bridge.*null"):
        registry.load("brigde")


def test_plans_what_the_bridge_realizer_would_do():
    realizer = NullRealizer("h1")
    realizer.plug("i", [vif(1, V4)], up=False)
    realizer.plug("i", [vif(1, V4), vif(2, network="net-2")])
    operations = realizer.operations("i")
    assert [o for o in operations if isinstance(o, plan.MakeBridge)] == [
        plan.MakeBridge("net-1", "h1", 1500),
        plan.MakeBridge("net-2", "h1", 1500),
    ]
    (links,) = (o for o in operations if isinstance(o, plan.MakeLinks))
    assert [i.name for i in links.interfaces] == ["eth0", "eth1"]
    assert not links.up
    realizer.unplug("i", [vif(1)])
    realizer.unplug("i")
    realizer.unplug("i")
    assert realizer.operations("i") == ()


def test_refuses_what_the_bridge_realizer_would_refuse():
    realizer = NullRealizer()
    with pytest.raises(InvalidInput):
        realizer.plug("i", [vif(1), vif(2, address="fa:16:3e:00:00:01")])
    assert realizer.operations("i") == ()


def test_migration_moves_plan_and_link_state():
    one, two = NullRealizer("h1"), NullRealizer("h2")
    one.plug("i", [vif(1, V4)])
    one.set_link("i", False)
    two.migrate("i", [vif(1, V4)], one)
    assert one.operations("i") == ()
    assert not next(o for o in two.operations("i") if isinstance(o, plan.MakeLinks)).up


def test_has_nothing_real():
    realizer = NullRealizer()
    realizer.plug("i", [vif(1)])
    assert realizer.counters("i") == {}
    assert realizer.namespace("i") is None


def test_filling_a_template_patches_every_place_and_no_other():
    one = rtnetlink.ADDRESS4.fill(index=7, address=b"\x0a\x00\x00\x01", prefix_length=24).data
    two = rtnetlink.ADDRESS4.fill(index=7, address=b"\x0a\x00\x00\x02", prefix_length=24).data
    assert [i for i in range(len(one)) if one[i] != two[i]] == [
        i for i in range(len(one)) if one[i : i + 1] == b"\x01" and two[i : i + 1] == b"\x02"
    ]
    assert one.count(b"\x0a\x00\x00\x01") == 2  # IFA_LOCAL and IFA_ADDRESS
    assert int.from_bytes(one[:4], sys.byteorder) == len(one)


def test_announcements():
    (interface,) = plan.interfaces([vif(1, V4, Subnet("fd00::/64", None, ("fd00::5",)))], {})
    arp, advertisement = frames(interface)
    mac = bytes.fromhex("fa163e000001")
    assert arp[:14] == b"\xff" * 6 + mac + b"\x08\x06"
    assert arp[28:32] == arp[38:42] == bytes([10, 0, 0, 5])
    assert advertisement[:14] == bytes.fromhex("333300000001") + mac + b"\x86\xdd"
    assert advertisement[54] == 136
    # A message with a right checksum sums up to zero, pseudo header included.
    body = advertisement[54:]
    total = sum(
        int.from_bytes(part[i : i + 2], "big")
        for part in (advertisement[22:54], len(body).to_bytes(4, "big") + b"\0\0\0\x3a", body)
        for i in range(0, len(part), 2)
    )
    assert total % 0xFFFF == 0
    (bare,) = plan.interfaces([vif(1)], {})
    assert frames(bare)[0][12:14] == b"\x80\x35"


def test_worker_hands_results_and_errors_back_and_refuses_after_close():
    worker = Worker("test")
    assert worker.call(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 // 0)
    worker.close()
    worker.close()
    with pytest.raises(RealizerError, match="closed"):
        worker.call(lambda: 7)


def test_worker_is_a_real_thread_under_eventlet():
    program = (
        "import eventlet; eventlet.monkey_patch()\n"
        "import ctypes\n"
        "from nova_fakes.virt.vif.worker import Worker\n"
        "gettid = ctypes.CDLL(None).gettid\n"
        "w = Worker('x'); a = gettid(); b = w.call(gettid); w.close(); print(a != b)"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_core_imports_no_openstack():
    program = (
        "import sys, nova_fakes.virt.vif.bridge, nova_fakes.virt.vif.cleanup, nova_fakes.virt.vif.ping\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('nova', 'eventlet', 'oslo_config', 'pyroute2')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
