"""Every error that nova-fakes raises on its own account.

Adapters translate these to nova's, cinder's, ldap's and amqp's own exceptions; the core raises nothing else.

::

    NovaFakesError
    ├── InvalidInput              a field, its value and what to do about it
    │   ├── UnknownRealizer
    │   └── VIFTypeRefused        a port that is bound to no host, or of a type that cannot be made here
    ├── NotFound
    │   ├── HostNotFound
    │   ├── GuestNotFound
    │   ├── DeviceNotFound        a guest's disk, volume or interface
    │   └── MigrationNotFound
    ├── Conflict
    │   ├── GuestExists
    │   ├── HostExists
    │   ├── InvalidTransition     the guest's power state does not allow the operation
    │   ├── InsufficientCapacity
    │   ├── DeviceInUse           the device name or interface is taken already
    │   ├── HostDown              the hypervisor has crashed and answers nothing
    │   │   └── HostHangs         the hypervisor has not answered in time
    │   └── MigrationAborted      somebody ended a live migration before its switch-over
    ├── JournalError              the file of the journal cannot be written
    ├── SignatureMismatch         the installed nova calls the driver in another way than it was written for
    ├── InjectedFault             a FaultRule said so
    ├── NotInTime                 what a test waits for has not come to pass
    ├── RealizerError             a network operation failed; what was done before it has been undone
    │   ├── NamespacesUnavailable
    │   ├── KernelRefused         netlink answered with an error number
    │   ├── OpenVSwitchMissing    this machine has no Open vSwitch that could be used
    │   ├── OvsdbError            Open vSwitch's database
    │   │   ├── OvsdbUnavailable  it does not answer, or ovs-vswitchd does not
    │   │   └── OvsdbRefused      it answered with an error
    │   └── AgentError            the agent behind the realizer `remote` did not do it
    │       ├── AgentUnreachable  nothing listens on its socket, or the connection was lost
    │       ├── PeerRefused       the agent does not serve this user
    │       ├── ProtocolMismatch  the agent speaks another version of the protocol
    │       ├── AgentBusy         too many requests wait there already
    │       └── DeadlineExceeded  there was no answer in time
    ├── ApiError                  an API fake refuses a request: HTTP status, message and kind
    ├── StorageError              in nova_fakes.volume.errors: a volume store refuses something
    ├── LdapError                 in nova_fakes.ldap.results: a directory refuses an operation, with its result code
    ├── AmqpError                 in nova_fakes.rabbit.errors: a broker refuses something, with its reply code
    │   ├── SoftError             closes the channel
    │   └── HardError             closes the connection
    ├── MalformedTable            in nova_fakes.rabbit.errors: octets that are no field table
    ├── ScenarioError
    │   ├── StepFailed            a step of a scenario found something other than it should be
    │   └── ProbeFailed           a ping could not be sent from inside an instance
    └── SandboxError
        ├── StateInUse            another sandbox owns the state directory
        ├── NotRunning
        └── PortTaken
"""

from collections.abc import Mapping


class NovaFakesError(Exception):
    """Root of the tree."""


class InvalidInput(NovaFakesError):
    """A value that cannot be used: names the field, the value and the cure."""

    def __init__(self, field: str, value: object, cure: str) -> None:
        super().__init__(f"{field}: {value!r} cannot be used: {cure}")
        self.field = field
        self.value = value
        self.cure = cure


class UnknownRealizer(InvalidInput):
    """No VIF realizer is registered under that name."""


class VIFTypeRefused(InvalidInput):
    """A port is bound to no host, or its type or VNIC type is none that the realizer can make."""


class NotFound(NovaFakesError):
    """Something that was named is not there."""


class HostNotFound(NotFound):
    """The fleet has no hypervisor of that name."""


class GuestNotFound(NotFound):
    """The hypervisor or fleet has no such guest."""


class DeviceNotFound(NotFound):
    """The guest has no such disk, volume or interface."""


class MigrationNotFound(NotFound):
    """The guest is not being live-migrated."""


class Conflict(NovaFakesError):
    """The present state does not allow what was asked."""


class GuestExists(Conflict):
    """A guest with that uuid is already on the hypervisor."""


class HostExists(Conflict):
    """The fleet already has a hypervisor of that name."""


class InvalidTransition(Conflict):
    """The guest's power state does not allow the operation."""


class InsufficientCapacity(Conflict):
    """A claim does not fit into what the hypervisor has left."""


class DeviceInUse(Conflict):
    """The device name or interface is taken already."""


class HostDown(Conflict):
    """The hypervisor has crashed; it answers nothing until it recovers."""


class HostHangs(HostDown):
    """The hypervisor hangs, and has not recovered before the operation's deadline."""


class MigrationAborted(Conflict):
    """Somebody ended the live migration before its switch-over; the guest stays where it was."""


class JournalError(NovaFakesError):
    """The file in which a fleet's state is kept cannot be written; what was to be done has not been done."""


class SignatureMismatch(NovaFakesError):
    """The installed nova calls the driver with other arguments than it was written for."""


class InjectedFault(NovaFakesError):
    """A fault rule asked for this failure."""


class NotInTime(NovaFakesError):
    """What somebody waited for has not come to pass; the message tells what there is instead."""


class RealizerError(NovaFakesError):
    """A network operation failed; what was done before it has been undone.

    `operation` is the name of the operation that failed, where a plan was being carried out.
    """

    operation: str | None = None


class NamespacesUnavailable(RealizerError):
    """This machine or user may not make network namespaces; the message names the cure."""


class KernelRefused(RealizerError):
    """The kernel refused a netlink message.

    :param doing: what the message was to do
    :param code: the error number
    :param text: the kernel's own words, where it had any
    :param failed: the positions of all refused messages in their batch
    """

    #: What was said of each refused message of the batch, by its position.
    each: Mapping[int, "KernelRefused"]

    def __init__(self, doing: str, code: int, text: str, failed: tuple[int, ...] = ()) -> None:
        super().__init__(f"the kernel refused to {doing}: {text} (errno {code})")
        self.doing = doing
        self.text = text
        self.errno = code
        self.failed = failed
        self.each = {}


class AgentError(RealizerError):
    """The privileged agent did not do what it was asked."""


class AgentUnreachable(AgentError):
    """Nothing listens on the agent's socket, or the connection was lost before the answer."""


class PeerRefused(AgentError):
    """The agent does not serve the user who asked."""


class ProtocolMismatch(AgentError):
    """Client and agent speak different versions of the protocol."""


class AgentBusy(AgentError):
    """The agent has too many requests waiting; this one was not begun."""


class DeadlineExceeded(AgentError):
    """The agent did not finish in time; the message tells whether it had begun."""


class OpenVSwitchMissing(RealizerError):
    """This machine has no Open vSwitch that could be used; the message names the cure."""


class OvsdbError(RealizerError):
    """Open vSwitch's database did not do what it was asked."""


class OvsdbUnavailable(OvsdbError):
    """Nobody answers on the database's socket, or not before the deadline; whether it did it is not known."""


class OvsdbRefused(OvsdbError):
    """The database refused a transaction; nothing of it was done.

    :param error: the database's name for it, as in RFC 7047 §3.1
    :param details: its own words, where it had any
    """

    def __init__(self, error: str, details: str) -> None:
        super().__init__(f"Open vSwitch's database refused: {error}{': ' if details else ''}{details}")
        self.error = error
        self.details = details


class ApiError(NovaFakesError):
    """An API fake refuses a request.

    Args:
        status: HTTP status.
        message: what the body tells the client.
        kind: the error's name where the service's body has one ("NetworkNotFound"); "" elsewhere.
        headers: further headers of the response.
    """

    def __init__(self, status: int, message: str, *, kind: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.headers = dict(headers or {})


class SandboxError(NovaFakesError):
    """A sandbox could not be started, reached or stopped."""


class StateInUse(SandboxError):
    """Another running sandbox owns the state directory."""


class NotRunning(SandboxError):
    """No sandbox runs on the state directory."""


class PortTaken(SandboxError):
    """The TCP port is in use by another program."""


class ScenarioError(NovaFakesError):
    """A scenario could not be carried through."""


class StepFailed(ScenarioError):
    """A step of a scenario found something other than it should be."""


class ProbeFailed(ScenarioError):
    """A ping could not be sent from inside an instance."""
