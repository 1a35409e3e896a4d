"""What is written, given to those who will read it: cloud-init, a TOML parser, a shell, useradd."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.unit.bringup.test_mechanism import CLOUD, HOST_KEY, PRIVATE, RUN, TOML, written

from wulfling.bringup import host_key
from wulfling.components import access
from wulfling.model.cluster import Cluster
from wulfling.node.board import Board

ROOT = Path(__file__).parents[3]
SHAPES = pytest.mark.parametrize("shape", ["cluster", "by_dhcp", "plain"])


@pytest.fixture
def shaped(request: pytest.FixtureRequest, shape: str) -> Cluster:
    """The cluster of that fixture."""
    found = request.getfixturevalue(shape)
    assert isinstance(found, Cluster)
    return found


def parsed(text: str) -> Any:
    """YAML as cloud-init's parser reads it."""
    return YAML(typ="safe", pure=True).load(text)


def cloud_init(*words: str) -> str:
    """What `cloud-init schema` says: installed, or unpacked by `./dev test` into .cache."""
    unpacked = ROOT / ".cache" / "cloud-init" / "usr"
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    if (unpacked / "bin" / "cloud-init").exists():
        argv = ["/usr/bin/python3", str(unpacked / "bin" / "cloud-init"), "schema"]
        environment["PYTHONPATH"] = str(unpacked / "lib" / "python3" / "dist-packages")
    elif program := shutil.which("cloud-init"):
        argv = [program, "schema"]
    else:
        pytest.skip("there is no cloud-init here; `./dev test` brings one")
    done = subprocess.run(
        [*argv, *words], capture_output=True, text=True, check=False, env=environment
    )
    return done.stdout + done.stderr


# cloud-init


@SHAPES
def test_cloud_init_takes_the_user_data(shaped: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "user-data"
    file.write_text(written(CLOUD, shaped)["user-data"])
    said = cloud_init("--config-file", str(file))
    # Up to 22.4, its schema did not know what its manual says of an empty list.
    known = "users: [] is too short"
    errors = re.findall(r"^(?:Error: )?Cloud config schema errors: (.*)$", said, re.MULTILINE)
    assert all(error == known for error in errors), said
    assert errors or "Valid" in said, said


@SHAPES
def test_cloud_init_takes_the_network_config(shaped: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "network-config"
    file.write_text(written(CLOUD, shaped)["network-config"])
    said = cloud_init("--schema-type", "network-config", "--config-file", str(file))
    if "unrecognized arguments" in said:
        pytest.skip("this cloud-init checks no network-config")
    if "Skipping" in said:
        pytest.skip(said.strip())
    assert "Valid" in said, said


def test_the_network_is_static_with_a_gateway_and_dhcp_without(
    cluster: Cluster, by_dhcp: Cluster
) -> None:
    static = parsed(written(CLOUD, cluster)["network-config"])
    assert static == {
        "version": 2,
        "ethernets": {
            "eth0": {
                "optional": True,
                "dhcp4": False,
                "addresses": ["10.0.0.2/24"],
                "routes": [{"to": "0.0.0.0/0", "via": "10.0.0.254"}],
                "nameservers": {"addresses": ["10.0.0.254"]},
            }
        },
    }
    dhcp = parsed(written(CLOUD, by_dhcp)["network-config"])
    assert dhcp["ethernets"]["eth0"] == {"optional": True, "dhcp4": True}


def test_nobody_gets_a_password_and_the_host_key_is_ours(cluster: Cluster) -> None:
    data = parsed(written(CLOUD, cluster)["user-data"])
    assert data["users"] == []
    assert data["ssh_pwauth"] is False
    assert data["ssh_keys"] == {
        "ed25519_private": PRIVATE,
        "ed25519_public": HOST_KEY.public,
    }
    assert (data["hostname"], data["locale"]) == ("rpnode02", "ko_KR.UTF-8")
    assert not {"chpasswd", "password", "passwd"} & data.keys()
    # It would write /etc/hosts anew at each boot, against what apply has written there.
    assert "manage_etc_hosts" not in data


def test_the_private_key_leaves_the_boot_partition_when_it_was_used(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Everybody with an account can read /boot/firmware."""
    file = tmp_path / "user-data"
    file.write_text(written(CLOUD, cluster)["user-data"])
    before = parsed(file.read_text())
    (forget,) = before["runcmd"]
    assert "/boot/firmware/user-data" in forget[2]
    command = forget[2].replace("/boot/firmware/user-data", str(file)).replace("; sync", "")
    subprocess.run([*forget[:2], command], check=True)
    assert "PRIVATE" not in file.read_text()
    del before["ssh_keys"]
    assert parsed(file.read_text()) == before


# custom.toml

# Keys and types as init_config of raspberrypi-sys-mods 20240129 reads them; config_version is
# the number 1. What it does not know it warns of and leaves out.
READER: Mapping[str, Mapping[str, type]] = {
    "system": {"hostname": str},
    "user": {"name": str, "password": str, "password_encrypted": bool},
    "ssh": {
        "enabled": bool,
        "password_authentication": bool,
        "authorized_keys": list,
        "ssh_import_id": list,
    },
    "wlan": {
        "ssid": str,
        "password": str,
        "password_encrypted": bool,
        "hidden": bool,
        "country": str,
    },
    "locale": {"keymap": str, "timezone": str},
}


def test_the_reader_of_custom_toml_knows_every_key(by_dhcp: Cluster) -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 brings a TOML parser")
    data = tomllib.loads(written(TOML, by_dhcp)["custom.toml"])
    assert type(data["config_version"]) is int
    assert data.pop("config_version") == 1
    for section, values in data.items():
        for key, value in values.items():
            assert isinstance(value, READER[section][key]), f"{section}.{key}"
    assert data["user"] == {"name": "pi"}  # without a password the reader locks it
    assert data["ssh"]["authorized_keys"] == list(by_dhcp.admin_keys)


def test_python3_toml_which_it_uses_reads_the_same(by_dhcp: Cluster) -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 brings a TOML parser")
    text = written(TOML, by_dhcp)["custom.toml"]
    code = "import json, sys, toml; print(json.dumps(toml.loads(sys.stdin.read())))"
    argv = ["/usr/bin/python3", "-c", code]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip("python3-toml is not installed")
    assert json.loads(done.stdout) == tomllib.loads(text)


# The scripts


def scripts(cluster: Cluster) -> list[str]:
    """Every shell text that a board will run."""
    data = parsed(written(CLOUD, cluster)["user-data"])
    texts = [words[-1] for block in ("bootcmd", "runcmd") for words in data[block]]
    return [written(RUN, cluster)["firstrun.sh"], *texts]


@SHAPES
def test_the_scripts_are_sound_shell(shaped: Cluster) -> None:
    for text in scripts(shaped):
        subprocess.run(["/bin/sh", "-n"], input=text, text=True, check=True)


def test_no_secret_is_a_word_of_a_command(cluster: Cluster) -> None:
    for text in scripts(cluster)[1:]:
        assert "bm90IGEga2V5" not in text
    script = scripts(cluster)[0]
    commands = re.sub(r"<<'EOF'\n.*?^EOF$", "", script, flags=re.DOTALL | re.MULTILINE)
    assert "bm90IGEga2V5" in script
    assert "bm90IGEga2V5" not in commands


# A folder of this machine is covered by a layer that only the script sees, so that useradd
# and its like are the real ones. What would reach a running system is a word that does nothing.
SANDBOX = """\
set -eu
mount -t tmpfs none "$1/layer"
for folder in etc var boot; do
    over="$1/layer/$folder"
    mkdir -p "$over/up" "$over/work"
    mount -t overlay -o "lowerdir=/$folder,upperdir=$over/up,workdir=$over/work" none "/$folder"
done
mkdir -p /boot/firmware /etc/NetworkManager/system-connections /etc/ssh/sshd_config.d \
    /etc/sudoers.d
cp "$1/firstrun.sh" "$1/cmdline.txt" /boot/firmware
touch /etc/ssh/ssh_host_rsa_key
echo ready
PATH="$1/words:$PATH" sh "$2"
tar -c -f "$1/after.tar" -C / etc/passwd etc/group etc/shadow etc/hosts etc/ssh etc/sudoers.d \
    var/local boot/firmware
"""


@pytest.fixture
def sandbox(tmp_path: Path, cluster: Cluster) -> Path:
    """A folder with what SANDBOX needs."""
    if Path("/usr/bin/cancel-rename").exists():
        pytest.skip("this is a Raspberry Pi, whose own first boot the script would end")
    for name in ("layer", "words", "after"):
        (tmp_path / name).mkdir()
    for word in ("systemctl", "rfkill", "raspi-config", "sync"):
        (tmp_path / "words" / word).symlink_to("/bin/true")
    for name, text in written(RUN, cluster).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def after(sandbox: Path, script: Path) -> Path:
    """The folders as the script leaves them."""
    argv = ["unshare", "--mount", "sh", "-c", SANDBOX, "sh", str(sandbox), str(script)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if "ready" not in done.stdout:
        pytest.skip(f"no layers can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    tar = ["tar", "-x", "-p", "--numeric-owner", "-f", str(sandbox / "after.tar")]
    subprocess.run([*tar, "-C", str(sandbox / "after")], check=True)
    return sandbox / "after"


@pytest.mark.skipif(os.geteuid() != 0, reason="who owns a file is seen by root")
@pytest.mark.parametrize("way", ["firstrun", "cloud-init"])
def test_the_first_apply_finds_the_account_as_declared(
    way: str, sandbox: Path, cluster: Cluster
) -> None:
    if way == "cloud-init":
        (sandbox / "bootcmd").write_text(scripts(cluster)[1])
    script = sandbox / "bootcmd" if way == "cloud-init" else Path("/boot/firmware/firstrun.sh")
    root = after(sandbox, script)
    board = Board(root)
    for resource in access.admin(cluster):
        assert resource.observe(board) == resource, resource.key
    shadow = (root / "etc/shadow").read_text()
    assert re.search(r"^wulfling:!", shadow, re.MULTILINE), "it has a password"
    assert "127.0.1.1 rpnode02\n" in (root / "etc/hosts").read_text()
    if way == "firstrun":
        key = root / "etc/ssh/ssh_host_ed25519_key"
        assert (key.read_text(), key.stat().st_mode & 0o777) == (PRIVATE, 0o600)
        assert not (root / "etc/ssh/ssh_host_rsa_key").exists()
        assert not (root / "boot/firmware/firstrun.sh").exists()
        assert "systemd." not in (root / "boot/firmware/cmdline.txt").read_text()


def test_a_host_key_is_a_key_and_stays_nowhere(home: Path) -> None:
    key = host_key.new("raspi-hpc", "rpnode01")
    derived = subprocess.run(
        ["ssh-keygen", "-y", "-f", "/dev/stdin"],
        input=key.private,
        capture_output=True,
        text=True,
        check=False,
    )
    if derived.returncode == 0:  # some versions of ssh-keygen want a file of mode 0600
        assert derived.stdout.split()[:2] == key.public.split()
    assert key.public != host_key.new("raspi-hpc", "rpnode01").public
    left = [file for file in home.rglob("*") if file.is_file()]
    assert not [file for file in left if b"PRIVATE" in file.read_bytes()]
