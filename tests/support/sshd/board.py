"""A real ssh server for one test, and a client that knows the way to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

SERVER = "/usr/sbin/sshd"
ALIAS = "board"

SERVER_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {root}/host_key
AuthorizedKeysFile {root}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
PermitRootLogin yes
PrintMotd no
SetEnv HOME={home} PATH={path} BOARD={root}
LogLevel VERBOSE
"""
CLIENT_CONFIG = """\
Host {alias}
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {root}/key
    IdentitiesOnly yes
    UserKnownHostsFile {root}/known_hosts
    GlobalKnownHostsFile /dev/null
"""
# The client finds its file by the user's entry in the list of users, not by $HOME; so it is told which.
CLIENT = """\
#!/bin/sh
exec {ssh} -F {root}/config "$@"
"""


def wait_until(condition: Callable[[], bool], message: str, timeout_s: float = 10) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: it does not come.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.02)


class Board:
    """A machine behind ssh that is this one, with a home directory and programs of its own.

    Args:
        root: an empty directory for keys, files of configuration, home and programs.
        home: name of the home directory below it.
    """

    def __init__(self, root: Path, home: str = "home") -> None:
        self.root = root
        self.home = root / home
        self.programs = root / "programs"
        self.client = root / "client"
        for folder in (self.home, self.programs, self.client):
            folder.mkdir(parents=True)
        self.port = _free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._stalled: list[psutil.Process] = []
        self._path = f"{self.programs}:{os.environ['PATH']}"
        self._make_keys()
        self._write_client()
        self._write_configs()
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What leads programs to a client that knows this board."""
        return {"PATH": f"{self.client}:{os.environ['PATH']}"}

    @property
    def pushed(self) -> Path:
        """Where vitbench keeps files."""
        return self.home / ".cache" / "vitbench" / "pushed"

    def start(self) -> None:
        """Let the server answer, again."""
        self._server = subprocess.Popen(
            [SERVER, "-D", "-f", str(self.root / "sshd_config"), "-E", str(self.root / "log")],
            stdin=subprocess.DEVNULL,
        )
        wait_until(self._listens, f"no ssh server: {self.log()}")

    def refuse(self) -> None:
        """Let the server answer no more; connections that are up stay."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def _of_connections(self) -> list[psutil.Process]:
        """The server's processes of each connection: for a user there may be two, with the same socket."""
        if self._server is None:
            return []
        below = psutil.Process(self._server.pid).children(recursive=True)
        return [process for process in below if process.name().startswith("sshd")]

    def cut(self) -> None:
        """Cut every connection, as a cable that is pulled does; new ones are answered."""
        for process in self._of_connections():
            _kill(process.pid)

    def stall(self) -> None:
        """Answer no more on every connection there is, without closing any; new ones are answered."""
        self._stalled = self._of_connections()
        for process in self._stalled:
            process.suspend()

    def alive(self, pid: int) -> bool:
        """Whether a process of the board runs."""
        return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

    def gone(self) -> None:
        """Cut every connection and answer no new one."""
        server = self._server
        if server is not None:
            server.send_signal(signal.SIGSTOP)
            self.cut()
        for process in self._stalled:
            _kill(process.pid)
        self.refuse()

    def program(self, name: str, body: str) -> None:
        """Put a shell script before the programs of the system."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def take_away(self, *names: str) -> None:
        """Have no programs of these names; those of the system lie in one place from now on."""
        few = self.root / "bin"
        few.mkdir()
        for place in ("/usr/bin", "/bin"):
            for program in Path(place).iterdir():
                if program.name not in names and not (few / program.name).exists():
                    (few / program.name).symlink_to(program)
        self._path = f"{self.programs}:{few}"
        self.refuse()
        self._write_configs()
        self.start()

    def change_host_key(self) -> None:
        """Be another machine at the same address."""
        self.refuse()
        (self.root / "host_key").unlink()
        _keygen(self.root / "host_key")
        self.start()

    def log(self) -> str:
        """What the server wrote."""
        log = self.root / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def running(self, word: str) -> list[psutil.Process]:
        """Processes with a word in their arguments, on this machine, but no ssh."""
        found = []
        for process in psutil.process_iter(["cmdline", "name"]):
            line = process.info["cmdline"] or []
            if process.info["name"] != "ssh" and any(word in part for part in line):
                found.append(process)
        return found

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _make_keys(self) -> None:
        for name in ("host_key", "key", "wrong_key"):
            _keygen(self.root / name)
        shutil.copy(self.root / "key.pub", self.root / "authorized_keys")
        public = (self.root / "host_key.pub").read_text().split()
        (self.root / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public[0]} {public[1]}\n")

    def _write_configs(self) -> None:
        # Without separation of privileges there is no server, and its directory is not made by its package.
        Path("/run/sshd").mkdir(exist_ok=True)
        server = SERVER_CONFIG.format(port=self.port, root=self.root, home=_word(self.home), path=self._path)
        (self.root / "sshd_config").write_text(server)
        self.write_client_config()

    def _write_client(self) -> None:
        (self.client / "ssh").write_text(CLIENT.format(ssh=shutil.which("ssh"), root=self.root))
        (self.client / "ssh").chmod(0o755)

    def write_client_config(self, more: str = "") -> None:
        """Write the client's own file, with more lines about the board."""
        user = psutil.Process().username()
        text = CLIENT_CONFIG.format(alias=ALIAS, port=self.port, user=user, root=self.root)
        (self.root / "config").write_text(text + more)


def _word(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if " " in text else text


def _keygen(path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
