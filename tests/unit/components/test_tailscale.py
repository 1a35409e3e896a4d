"""The vendor's repository brings one package, by one key, and nothing of the system is replaced:
apt itself says so, of a repository that is made and signed here in the vendor's place."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from wulfling.components import compile_cluster, tailscale
from wulfling.model.cluster import Cluster, Tailscale
from wulfling.node.resources.file import File
from wulfling.node.resources.keyring import Keyring
from wulfling.node.resources.packages import Packages
from wulfling.node.resources.service import Service

apt = pytest.mark.skipif(
    not (shutil.which("apt-get") and shutil.which("gpg")), reason="there is no apt or gpg here"
)

PACKAGE = "Package: {}\nVersion: {}\nArchitecture: all\nMaintainer: x\nFilename: x.deb\nSize: 1\n"
PACKAGE += "SHA256: " + "0" * 64 + "\nDescription: x\n\n"


@pytest.fixture
def away(cluster: Cluster) -> Cluster:
    """The cluster with a head that is in a tailnet."""
    return replace(cluster, tailscale=Tailscale("tag:wulfling"))


def files(cluster: Cluster) -> dict[str, str]:
    head = cluster.node(cluster.head)
    return {r.path: r.content for r in tailscale.before(cluster, head) if isinstance(r, File)}


def test_without_a_word_in_the_file_nothing_is_declared(cluster: Cluster) -> None:
    for node in cluster.nodes:
        assert [*tailscale.before(cluster, node), *tailscale.resources(cluster, node)] == []


def test_the_head_alone_and_its_rules_first(away: Cluster) -> None:
    found = compile_cluster(away)
    assert not [r.key for node in ("two", "files") for r in found[node] if "tailscale" in r.key]
    keys = [r.key for r in found["one"]]
    assert keys.index(f"keyring:{tailscale.KEYRING}") < keys.index("packages:apt")
    rules, daemon = f"service:{tailscale.RULES_UNIT}", "service:tailscaled.service"
    assert keys.index("packages:apt") < keys.index(rules) < keys.index(daemon)
    (service,) = [r for r in found["one"] if isinstance(r, Service) and r.key == daemon]
    assert service.enabled and service.running
    assert "RequiredBy=tailscaled.service" in tailscale.RULES_UNIT_TEXT


def test_the_key_is_the_pinned_one_by_https(away: Cluster) -> None:
    (key,) = [r for r in tailscale.before(away, away.node("one")) if isinstance(r, Keyring)]
    assert key.url == "https://pkgs.tailscale.com/stable/debian/bookworm.noarmor.gpg"
    assert key.fingerprint == "2596A99EAAB33821893C0A79458CA832957F5868"


def test_a_version_that_was_asked_for(away: Cluster) -> None:
    pinned = replace(away, tailscale=Tailscale("tag:wulfling", "1.90"))
    assert "Pin: version 1.90*\nPin-Priority: 1001" in files(pinned)[tailscale.PREFERENCES_FILE]
    found = tailscale.resources(pinned, pinned.node("one"))
    assert [r.versions for r in found if isinstance(r, Packages)] == [(("tailscale", "1.90"),)]


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Callable[[str, str], None]]:
    """Signs the repository below ``tmp_path`` with the key of a name, and publishes its key."""
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    gpg = ("gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback")

    def run(*words: str, stdin: bytes = b"") -> bytes:
        return subprocess.run((*gpg, *words), input=stdin, check=True, capture_output=True).stdout

    for name in ("right", "wrong"):
        run("--passphrase", "", "--quick-gen-key", name, "ed25519", "sign", "never")
    (tmp_path / "keyring.gpg").write_bytes(run("--export", "right"))

    def sign(name: str, packages: str) -> None:
        place = tmp_path / "repository" / "dists" / "bookworm"
        (place / "main" / "binary-all").mkdir(parents=True, exist_ok=True)
        listed = ["main/binary-all/Packages"]
        (place / listed[0]).write_text(packages)
        sums = "".join(
            f" {hashlib.sha256((place / n).read_bytes()).hexdigest()} {len(packages)} {n}\n"
            for n in listed
        )
        text = "Suite: bookworm\nCodename: bookworm\nArchitectures: all\nComponents: main\n"
        text += f"SHA256:\n{sums}"
        (place / "InRelease").write_bytes(run("-u", name, "--clearsign", stdin=text.encode()))

    yield sign
    subprocess.run(("gpgconf", "--homedir", str(home), "--kill", "all"), check=False)


def typed(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What apt says that knows of nothing but ``root``."""
    for folder in ("etc", "state/lists/partial", "cache/archives/partial"):
        (root / "apt" / folder).mkdir(parents=True, exist_ok=True)
    (root / "apt" / "status").touch()
    options = {
        "Dir::Etc": root / "apt" / "etc",
        "Dir::Etc::SourceList": root / "tailscale.sources",
        "Dir::Etc::SourceParts": "-",
        "Dir::Etc::Preferences": root / "preferences",
        "Dir::State": root / "apt" / "state",
        "Dir::State::status": root / "apt" / "status",
        "Dir::Cache": root / "apt" / "cache",
        "APT::Architecture": "all",
        "APT::Architectures": "all",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
    }
    told = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return subprocess.run(
        [words[0], *told, *words[1:]],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "APT_CONFIG": "/dev/null"},
        check=False,
    )


@apt
def test_s5_apt_takes_one_package_by_one_key(
    away: Cluster, tmp_path: Path, vendor: Callable[[str, str], None]
) -> None:
    """The same files as on a board, but for the place of the repository and of its key."""
    declared = files(away)
    place = f"file:{tmp_path}/repository"
    sources = declared[tailscale.SOURCES_FILE]
    sources = sources.replace("https://pkgs.tailscale.com/stable/debian", place)
    (tmp_path / "tailscale.sources").write_text(
        sources.replace(tailscale.KEYRING, str(tmp_path / "keyring.gpg"))
    )
    # A repository of files has no host: its origin is "".
    text = declared[tailscale.PREFERENCES_FILE].replace(f"origin {tailscale.HOST}", 'origin ""')
    (tmp_path / "preferences").write_text(text)
    vendor("wrong", PACKAGE.format("tailscale", "6.6.6"))
    refused = typed(tmp_path, "apt-get", "update")
    assert refused.returncode != 0
    assert "not signed" in refused.stderr or "NO_PUBKEY" in refused.stderr, refused
    vendor("right", PACKAGE.format("tailscale", "1.90.8") + PACKAGE.format("bash", "99"))
    assert typed(tmp_path, "apt-get", "update").returncode == 0
    said = typed(tmp_path, "apt-cache", "policy", "tailscale", "bash").stdout
    ours, _, systems = said.partition("\nbash:")
    assert "Candidate: 1.90.8" in ours
    assert "Candidate: (none)" in systems and " 99 -1" in systems
