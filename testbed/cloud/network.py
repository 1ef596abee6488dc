"""A network of machines on this one: network namespaces with addresses of their own, which can be cut off.

    this process's namespace ── switch's namespace (a bridge) ──┬── machine "node-0", 198.18.N.2
             198.18.N.1                                         └── machine "node-1", 198.18.N.3

Needs Linux, root, and `ip`, `unshare` and `nsenter`. Nothing of it outlives this process: each namespace is held by a
process that reads from it, and the kernel removes a namespace's links with it.
"""

import os
import random
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

PROGRAMS = ("ip", "unshare", "nsenter", "tc")
HOST = 1
"""The last number of this process's own address; machines follow."""


class NoNetworkError(Exception):
    """This machine does not let a network be made; says why."""


@dataclass
class Network:
    """A network within its block of `a_network`."""

    number: int
    """Between 0 and 255: the network is 198.18.NUMBER.0/24, of the addresses for tests of networks (RFC 2544)."""
    switch: int
    """The process that holds the switch's namespace."""
    stack: ExitStack
    """Ends the processes that hold namespaces."""
    machines: dict[str, int] = field(default_factory=dict)
    """The processes that hold the machines' namespaces, by the machine's name."""

    @property
    def host(self) -> str:
        """This process's address."""
        return self._address(HOST)

    @property
    def addresses(self) -> dict[str, str]:
        """The machines' addresses, by their names."""
        return {name: self._address(HOST + 1 + number) for number, name in enumerate(self.machines)}

    def join(self, name: str) -> None:
        """Give a machine its namespace and its address, if it has none."""
        if name in self.machines:
            return
        pid = self.stack.enter_context(_namespace())
        self.machines[name] = pid
        port = self._port(name)
        _run(*_within(self.switch), "ip", "link", "add", port, "type", "veth", "peer", "eth0", "netns", str(pid))
        _run(*_within(self.switch), "ip", "link", "set", port, "master", "bridge", "up")
        _run(*_within(pid), "ip", "addr", "add", f"{self.addresses[name]}/24", "dev", "eth0")
        _run(*_within(pid), "ip", "link", "set", "eth0", "up")

    def words(self, name: str) -> list[str]:
        """What a command line begins with, to run on a machine; the process keeps its id."""
        return _within(self.machines[name])

    def cut(self, name: str) -> None:
        """Pull a machine's plug out of the switch."""
        self._set(name, "down")

    def heal(self, name: str) -> None:
        """Put it back."""
        self._set(name, "up")

    def limit(self, name: str, *, megabits: int) -> None:
        """Let a machine's link carry no more, each way."""
        shape = ("root", "tbf", "rate", f"{megabits}mbit", "burst", "512kb", "latency", "50ms")
        _run(*_within(self.switch), "tc", "qdisc", "replace", "dev", self._port(name), *shape)
        _run(*_within(self.machines[name]), "tc", "qdisc", "replace", "dev", "eth0", *shape)

    def _set(self, name: str, state: str) -> None:
        _run(*_within(self.switch), "ip", "link", "set", self._port(name), state)

    def _port(self, name: str) -> str:
        return f"to-{name}"[:15]

    def _address(self, number: int) -> str:
        return f"198.18.{self.number}.{number}"


@contextmanager
def a_network() -> Iterator[Network]:
    """Have a network within the block.

    Raises:
        NoNetworkError: This machine does not let one be made.
    """
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise NoNetworkError(f"there is no program {missing[0]}")
    if os.geteuid() != 0:
        raise NoNetworkError("that needs root")
    with ExitStack() as stack:
        number = _claim(stack)
        try:
            switch = stack.enter_context(_namespace())
            network = Network(number, switch, stack)
            own = f"helios-{number}"
            _run(*_within(switch), "ip", "link", "add", "bridge", "type", "bridge")
            _run(*_within(switch), "ip", "link", "set", "bridge", "up")
            _run("ip", "link", "add", own, "type", "veth", "peer", "host", "netns", str(switch))
            _run(*_within(switch), "ip", "link", "set", "host", "master", "bridge", "up")
            _run("ip", "addr", "add", f"{network.host}/24", "dev", own)
            _run("ip", "link", "set", own, "up")
        except subprocess.CalledProcessError as exc:
            raise NoNetworkError(f"{' '.join(exc.cmd)}: {exc.stderr.strip()}") from exc
        yield network


@contextmanager
def _namespace() -> Iterator[int]:
    """A process that holds a network namespace with a loopback device, and ends with this one."""
    words = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            raise NoNetworkError("the system makes no network namespace")
        try:
            yield holder.pid
        finally:
            holder.stdin.close()


def _claim(stack: ExitStack) -> int:
    """Choose a number; a socket in Linux's abstract namespace reserves it, so that no other test process takes it."""
    taken = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=False).stdout
    for number in random.sample(range(256), 256):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0helios-test-network-{number}")
        except OSError:
            claim.close()
            continue
        stack.callback(claim.close)
        if f"198.18.{number}." not in taken:
            return number
    raise NoNetworkError("every number is taken")


def _within(pid: int) -> list[str]:
    return ["nsenter", "--target", str(pid), "--net", "--"]


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)
