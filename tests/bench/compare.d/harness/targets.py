"""What is measured: each target's files, command and call."""

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

from harness.processes import Failed, free_port, wait_until_listening

PEERS = Path(__file__).parent.parent / "peers"
KEYS = [f"key-{number:03}" for number in range(16)] + ["key-probe"]
TOKEN = "tok-123"
PEPPER = "0123456789abcdef" * 4


@dataclass
class Target:
    """One of the compared: `kind` is direct, plain or translate."""

    name: str
    kind: str
    what: str
    command: list = field(default_factory=list)
    packages: list = field(default_factory=list)
    env: dict = field(default_factory=dict)

    @property
    def call(self):
        """Whose call it gets."""
        return "series" if self.kind == "translate" else "thalamus"


@dataclass
class Place:
    """Where a run has its files and programs."""

    folder: Path
    tools: Path
    gateway: Path
    root: Path
    upstream_port: int = 0
    tuned: Path | None = None


def nginx(name):
    """The command of an nginx with its own folder and configuration."""
    return ["nginx", "-e", "stderr", "-p", "@RUN@", "-c", f"@RUN@/{name}.conf"]


def haproxy(name):
    """The command of an HAProxy with its own configuration."""
    return ["haproxy", "-db", "-f", "@RUN@/haproxy_base.cfg", "-f", f"@RUN@/{name}.cfg"]


def all_targets(place):
    """All of them, those that translate nothing first."""
    lua = ["nginx-light", "libnginx-mod-http-lua", "lua-cjson"]
    return [
        Target("direct", "direct", "no proxy between"),
        Target("nginx_plain", "plain", "nginx, proxy_pass", nginx("nginx_plain"), ["nginx-light"]),
        Target("haproxy_plain", "plain", "HAProxy", haproxy("haproxy_plain"), ["haproxy"]),
        Target("hyper_plain", "plain", "stock hyper, no features",
               [place.tools / "hyper_plain", "@PORT@", "@UPSTREAM@"]),
        Target("hyper_floor", "plain", "hyper's server, the least client",
               [place.tools / "hyper_floor", "@PORT@", "@UPSTREAM@"]),
        Target("nginx_lua", "translate", "nginx + Lua", nginx("nginx_lua"), lua),
        Target("nginx_njs", "translate", "nginx + njs", nginx("nginx_njs"), ["nginx-light", "libnginx-mod-http-js"]),
        Target("haproxy_lua", "translate", "HAProxy + Lua", haproxy("haproxy_lua"), ["haproxy", "lua-cjson"]),
        latimer("latimer", place.gateway),
        *([latimer("latimer_tuned", place.tuned)] if place.tuned else []),
    ]


def latimer(name, program):
    """The gateway as it was built."""
    return Target(name, "translate", "Latimer", [program, "serve", "--config", "@RUN@/latimer.yaml"],
                  env={"THALAMUS_TOKEN": TOKEN, "PEPPER": PEPPER})


def consumers():
    """The gateway's consumers, by the hashes of their keys."""
    hashes = [hmac.new(PEPPER.encode(), key.encode(), hashlib.sha256).hexdigest() for key in KEYS]
    return "\n".join(f'  {key}: {{key: {{hash: "hmac-sha256:{digest}"}}}}' for key, digest in zip(KEYS, hashes))


def fill(text, values):
    """The text with its @PLACES@ filled in."""
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def render(target, place, port):
    """Writes the target's files into a folder of its own; the values that stand for its places."""
    folder = place.folder / target.name
    folder.mkdir(parents=True, exist_ok=True)
    values = {"RUN": folder, "PORT": port, "UPSTREAM": place.upstream_port, "ADMIN": free_port(),
              "MAPPINGS": place.root / "mappings", "CONSUMERS": consumers()}
    for path in PEERS.iterdir():
        (folder / path.name).write_text(fill(path.read_text(), values))
    return values


def start(target, place, keeper, core):
    """Starts the target on the core; the process, and the port that it listens on."""
    port = free_port()
    values = render(target, place, port)
    command = [fill(str(part), values) for part in target.command]
    log_path = place.folder / target.name / "log"
    with open(log_path, "a", encoding="utf-8") as log:
        process = keeper.start(command, core, log, target.env)
    try:
        wait_until_listening(process, port)
    except Failed as failure:
        last = log_path.read_text(errors="replace").splitlines()[-1:]
        raise Failed(" ".join([str(failure), *last])) from None
    return process, port
