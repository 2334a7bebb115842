"""What the demo does to its servers, and what the other servers then hear of them."""

from __future__ import annotations

from collections.abc import Callable

from nova_fakes.exceptions import StepFailed
from nova_fakes.scenario.diagnostics import nic_counters
from nova_fakes.scenario.mesh import measure
from nova_fakes.scenario.probes import Echoes, Watch
from nova_fakes.scenario.stage import DemoServer, Migration, Stage
from nova_fakes.scenario.steps import NotApplicable

__all__ = [
    "answers",
    "confirm_resize",
    "counters_grew",
    "first_reading",
    "is_silent",
    "live_migrate",
    "migration_was_seamless",
    "pause",
    "ping_everybody",
    "resize",
    "start",
    "stop",
    "unpause",
]

MIGRATION_INTERVAL_S = 0.01
# While the kernel moves a port from one bridge to the other nothing passes. Hypervisors pause a guest for longer:
# nova's libvirt driver allows half a second (live_migration_downtime).
MIGRATION_GAP_S = 0.02
TIMEOUT_S = 1.0
# Long enough that a reply which is merely late would come, short enough not to bore.
SILENCE_TIMEOUT_S = 0.3
COUNTED_ECHOES = 25
# An echo request without payload: Ethernet, IP and ICMP headers (RFC 791, RFC 8200, RFC 792).
HEADER_BYTES = {4: 14 + 20 + 8, 6: 14 + 40 + 8}

Pick = Callable[[Stage], DemoServer]


def ping_everybody(stage: Stage) -> str:
    """Let every pair of servers ping each other in both families."""
    stage.require_interfaces()
    stage.mesh = mesh = measure(stage.prober, stage.nodes(), timeout_s=TIMEOUT_S)
    expected = 2 * len(stage.servers) * (len(stage.servers) - 1)
    if len(mesh.pairs) != expected:
        raise StepFailed(f"{len(mesh.pairs)} addresses were pinged, not {expected}")
    if mesh.silent:
        silent = ", ".join(f"{pair.source} → {pair.echoes.address}" for pair in mesh.silent[:5])
        raise StepFailed(f"{len(mesh.silent)} of {len(mesh.pairs)} addresses lost replies: {silent}")
    times = [rtt for pair in mesh.pairs for rtt in pair.echoes.rtts_ms]
    return f"{len(mesh.pairs)} of {len(mesh.pairs)} addresses answer, mean round trip {sum(times) / len(times):.3f} ms"


def live_migrate(stage: Stage) -> str:
    """Live-migrate a server, with another one pinging it, and one that stays, if the servers have interfaces."""
    if len(stage.plan.hosts) < 2:
        raise NotApplicable("one host has nowhere to migrate to")
    server = stage.subject(0)
    if stage.status["realizer"] == "null":
        stage.migration = migration = _migrate(stage, server)
    else:
        began = stage.clock.monotonic()
        # With two servers the witness itself is the one that stays.
        with _watch(stage, stage.subject(1) if len(stage.servers) > 2 else stage.witness) as stationary:
            with _watch(stage, server) as watch:
                asked_s = stage.clock.monotonic() - began
                migration = _migrate(stage, server)
                ended_s = stage.clock.monotonic() - began
                echoes = watch.stop()
            elsewhere = stationary.stop()
        stage.migration = migration = Migration(
            server=migration.server,
            source=migration.source,
            destination=migration.destination,
            seconds=migration.seconds,
            began_s=asked_s - _lead_s(echoes, ended_s),
            ended_s=ended_s - _lead_s(echoes, ended_s),
            interval_s=MIGRATION_INTERVAL_S,
            echoes=echoes,
            stationary=elsewhere,
        )
    return f"{server.name} {migration.source} → {migration.destination} in {migration.seconds:.2f} s"


def _watch(stage: Stage, server: DemoServer) -> Watch:
    address = server.address(4)
    return stage.prober.watch(stage.witness.id, address, interval_s=MIGRATION_INTERVAL_S, timeout_s=TIMEOUT_S)


def _lead_s(echoes: Echoes, ended_s: float) -> float:
    """Return how long after the pinger was launched its first request left: it had to start first."""
    return max(0.0, ended_s - echoes.sent * MIGRATION_INTERVAL_S)


def _migrate(stage: Stage, server: DemoServer) -> Migration:
    source = server.host
    began = stage.clock.monotonic()
    stage.cloud.compute.live_migrate_server(server.id, host=None, block_migration="auto")
    stage.wait_for_server(server, "ACTIVE", host=lambda name: name != source)
    return Migration(server.name, source, server.host, stage.clock.monotonic() - began)


def migration_was_seamless(stage: Stage) -> str:
    """Judge what the witness heard of the migrating server, by what it heard of one that stayed.

    A machine that takes long to answer for a server that stays takes as much longer to move one.
    """
    stage.require_interfaces()
    if stage.migration is None or stage.migration.echoes is None or stage.migration.stationary is None:
        raise StepFailed("nothing was measured")
    echoes, stationary = stage.migration.echoes, stage.migration.stationary
    told = f"{echoes.lost} of {echoes.sent} echo requests lost, one every {MIGRATION_INTERVAL_S * 1000:.0f} ms"
    silence_s = (echoes.lost - stationary.lost) * MIGRATION_INTERVAL_S
    allowed_s = MIGRATION_GAP_S + max(stationary.rtts_ms) / 1000
    if silence_s > allowed_s:
        raise StepFailed(f"{told}: more than {allowed_s * 1000:.0f} ms without an answer")
    return f"{told}; slowest reply {max(echoes.rtts_ms):.2f} ms"


def answers(pick: Pick) -> Callable[[Stage], str]:
    """Return a step: the server answers every ping of the witness in both families."""

    def step(stage: Stage) -> str:
        stage.require_interfaces()
        server = pick(stage)
        heard = _ping(stage, server, count=3, timeout_s=TIMEOUT_S)
        lost = [echoes for echoes in heard if echoes.lost]
        if lost:
            told = ", ".join(f"{echoes.address}: {echoes.received} of {echoes.sent}" for echoes in lost)
            raise StepFailed(f"{server.name} does not answer every ping: {told}")
        return f"{server.name} answers {', '.join(echoes.address for echoes in heard)}"

    return step


def is_silent(pick: Pick) -> Callable[[Stage], str]:
    """Return a step: the server answers no ping of the witness, in neither family."""

    def step(stage: Stage) -> str:
        stage.require_interfaces()
        server = pick(stage)
        heard = _ping(stage, server, count=3, timeout_s=SILENCE_TIMEOUT_S)
        answered = [echoes.address for echoes in heard if echoes.received]
        if answered:
            raise StepFailed(f"{server.name} answers on {', '.join(answered)}, though it should be silent")
        return f"no reply from {', '.join(echoes.address for echoes in heard)}"

    return step


def _ping(stage: Stage, server: DemoServer, *, count: int, timeout_s: float) -> list[Echoes]:
    addresses = [server.address(4), server.address(6)]
    return stage.prober.ping(stage.witness.id, addresses, count=count, interval_s=0.02, timeout_s=timeout_s)


def pause(stage: Stage) -> str:
    """Pause a server."""
    server = stage.subject(1)
    stage.cloud.compute.pause_server(server.id)
    stage.wait_for_server(server, "PAUSED")
    return f"{server.name} PAUSED"


def unpause(stage: Stage) -> str:
    """Let the paused server go on."""
    server = stage.subject(1)
    stage.cloud.compute.unpause_server(server.id)
    stage.wait_for_server(server, "ACTIVE")
    return f"{server.name} ACTIVE"


def resize(stage: Stage) -> str:
    """Resize a server to the larger flavor."""
    server = stage.subject(1)
    source = server.host
    stage.cloud.compute.resize_server(server.id, stage.made["large flavor"].id)
    stage.wait_for_server(server, "VERIFY_RESIZE")
    return f"{server.name} on {source} → {server.host}, VERIFY_RESIZE"


def confirm_resize(stage: Stage) -> str:
    """Confirm the resize, and see the server with what the larger flavor gives."""
    server = stage.subject(1)
    stage.cloud.compute.confirm_server_resize(server.id)
    found = stage.wait_for_server(server, "ACTIVE")
    if (found.flavor.vcpus, found.flavor.ram) != (2, 128):
        raise StepFailed(f"{server.name} has {found.flavor.vcpus} VCPU and {found.flavor.ram} MB after the resize")
    return f"{server.name} ACTIVE with 2 VCPU, 128 MB"


def stop(stage: Stage) -> str:
    """Stop a server."""
    server = stage.subject(2)
    stage.cloud.compute.stop_server(server.id)
    stage.wait_for_server(server, "SHUTOFF")
    return f"{server.name} SHUTOFF"


def start(stage: Stage) -> str:
    """Start the stopped server."""
    server = stage.subject(2)
    stage.cloud.compute.start_server(server.id)
    stage.wait_for_server(server, "ACTIVE")
    return f"{server.name} ACTIVE"


def first_reading(stage: Stage) -> str:
    """Read a server's diagnostics, to be compared with a later reading."""
    server = stage.subject(0)
    stage.counters = [nic_counters(stage, server)]
    told = stage.counters[0]
    return f"{server.name}: received {told['rx_packets']} packets, sent {told['tx_packets']}"


def counters_grew(stage: Stage) -> str:
    """Ping the server and read again: its interface counted at least the echo requests and the replies."""
    stage.require_interfaces()
    server = stage.subject(0)
    heard = _ping(stage, server, count=COUNTED_ECHOES, timeout_s=TIMEOUT_S)
    stage.counters.append(nic_counters(stage, server))
    before, after = stage.counters
    grown = {name: after[name] - before[name] for name in after}
    received = sum(echoes.received for echoes in heard)
    octets = COUNTED_ECHOES * sum(HEADER_BYTES.values())
    if received != 2 * COUNTED_ECHOES:
        raise StepFailed(f"{received} of {2 * COUNTED_ECHOES} echo requests were answered")
    short = {
        name: growth for name, growth in grown.items() if growth < (received if name.endswith("_packets") else octets)
    }
    if short:
        told = ", ".join(f"{name} by {growth}" for name, growth in short.items())
        raise StepFailed(f"{received} echoes went through {server.name}, but its counters grew less: {told}")
    return f"{received} echoes: rx +{grown['rx_packets']}, tx +{grown['tx_packets']} packets"
