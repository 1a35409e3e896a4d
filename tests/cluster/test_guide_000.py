"""Guide 000 from boards that nobody knows to a job that is handed in from a cafe, in file order.

Each test names the requirements that it shows. At home a head and a board that computes; elsewhere
a laptop, a virtual board of another lab behind a router that passes one UDP port on.
"""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

import pytest
from boards import Cluster, own_lab
from forward import port_forward
from strangers import estrange

import wulfling
from wulfling import lab as labs
from wulfling.transport import pins

pytestmark = pytest.mark.crash

NAME, ELSEWHERE = "test-guide-000", "test-guide-000-cafe"
HEAD, TUNNEL, ROUTER = "10.0.0.1", "10.88.0.1", "192.168.77.254"
SECRET = "correct horse battery"
FOUND = f"""\
wulfling: 1
cluster: {NAME}
boards: virtual
nodes:
  vim4: {{address: {HEAD}, memory: 1G, roles: [head], cpus: 2}}
  pi1: {{address: 10.0.0.2, memory: 384M, roles: [compute], cpus: 2}}
"""
# What a person adds to what was found.
WISHES = """\
storage: {/cluster/shared: vim4, /home: vim4}
software: {packages: [git, cmake]}
people:
  kim: {account: school, keys: [key.pub]}
"""
CAFE = f"""\
wulfling: 1
cluster: {ELSEWHERE}
boards: virtual
network: 192.168.77.0/24
nodes:
  laptop: {{address: 192.168.77.1, memory: 384M}}
storage: false
slurm: false
"""
# The laptop is kim's, who has an account there, and a key that was made there.
LAPTOP = """
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -y install --no-install-recommends wireguard-go wireguard-tools >/dev/null
echo tun >/etc/modules-load.d/tun.conf
id kim >/dev/null 2>&1 || useradd -m -s /bin/bash kim
sudo -u kim sh -ec 'cd; mkdir -p -m 700 .ssh
    [ -e .ssh/id_ed25519 ] || ssh-keygen -q -t ed25519 -N "" -f .ssh/id_ed25519'
cat /home/kim/.ssh/id_ed25519.pub
"""
CLIENT = """
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -y install --no-install-recommends freerdp2-x11 xvfb xauth >/dev/null
"""
# wg-quick(8): at each boot of the laptop.
CONNECT = """
(umask 077; cat >/etc/wireguard/home.conf) <<'EOF'
CONFIG
EOF
modprobe tun
systemctl enable -q wg-quick@home
systemctl restart wg-quick@home
"""
SSH = "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o ConnectTimeout=5 kim@{}"
JOB = """#!/bin/bash
#SBATCH --nodes=1 --mem-per-cpu=32 --output=/cluster/shared/kim/out.txt
hostname
mpirun -n 2 ./ranks
"""
RANKS = """#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv) {
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (rank == 0) printf("%d ranks\\n", size);
    return MPI_Finalize();
}
"""
KEY_THERE = "~/.ssh/id_ed25519.pub"
SUM = "#!/bin/bash\\necho $(hostname) $((100 * 101 / 2)) >result\\n"
# What a client sees of the head's port of RDP.
KNOCK = "timeout 5 bash -c 'exec 3<>/dev/tcp/{}/3389 && echo open' 2>/dev/null || echo closed"
# A session of a minute, on a screen that nobody sees; the certificate is compared.
RDP = (
    "cd; timeout 180 xvfb-run -a -s '-screen 0 1024x768x24' xfreerdp /v:{address} /u:kim"
    " /cert:fingerprint:sha256:{print} /log-level:WARN /from-stdin:force"
    " < password > rdp.log 2>&1 &"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two boards with an account, a password, and nothing of ours."""
    file = tmp_path_factory.mktemp("home") / "lab.yaml"
    file.write_text(FOUND)
    with own_lab(file) as boards:
        if boards.on("vim4", "ls -d /var/lib/wulfling/program || :") == "":  # not kept
            for node, user in (("vim4", "khadas"), ("pi1", "pi")):
                estrange(boards, node, user, SECRET)
            pins.known_hosts(NAME).unlink()
        yield Cluster(file.with_name("cluster.yaml"))


@pytest.fixture(scope="module")
def cafe(home: Cluster) -> Iterator[Cluster]:
    """A laptop elsewhere, with a key of kim's that was made on it."""
    file = home.file.with_name("cafe.yaml")
    file.write_text(CAFE)
    with own_lab(file) as laptop:
        key = laptop.on("laptop", LAPTOP).splitlines()[-1]
        home.file.with_name("key.pub").write_text(f"{key}\n")
        with port_forward(ELSEWHERE, NAME, HEAD, 51820):
            yield laptop


def kim(cafe: Cluster, script: str) -> str:
    """What a script of kim's printed on the laptop."""
    return cafe.on("laptop", f"cd; {script}", person="kim")


def at_home(cafe: Cluster, script: str) -> str:
    """What kim's script printed on the head, where it got through the tunnel by kim's key."""
    words = base64.b64encode(script.encode()).decode()
    return kim(cafe, f"{SSH.format(TUNNEL)} 'base64 -d <<<{words} | bash -leu'")


def comes_in(cafe: Cluster) -> bool:
    return kim(cafe, f"{SSH.format(TUNNEL)} hostname 2>/dev/null || echo nobody") == "vim4\n"


def within(seconds: int, what: str) -> Iterator[None]:
    """Go on until somebody breaks; fail when that takes longer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(2)
    pytest.fail(f"{what}: not within {seconds} s")


def ended(cafe: Cluster, job: str) -> str:
    """The state of a job, when it has ended."""
    for _ in within(180, f"job {job}"):
        said = at_home(cafe, f"sacct -n -X -P -j {job} -o State").strip()
        if said and said.split()[0] not in ("PENDING", "RUNNING", "COMPLETING"):
            return said.split()[0]
    raise AssertionError


def test_0_01_boards_that_are_switched_on_are_found(home: Cluster) -> None:
    """Nobody knows what they are, and which of them still work."""
    out = home.wulfling("discover", "--lab", NAME, "--names", "n[1-9]", "--yes", "-o", "json")
    told = json.loads(out)
    assert [row["address"] for row in told] == [HEAD, "10.0.0.2"]
    assert home.file.read_text().count("{address: 10.0.0.") == 2


def test_0_06_0_26_they_become_the_cluster_of_the_file(home: Cluster, cafe: Cluster) -> None:
    """The person says which one is the head. They had a password and no key of ours."""
    home.file.write_text(FOUND + WISHES)
    answers = {
        node: {
            "user": user,
            "password": SECRET,
            "fingerprint": pins.fingerprint(labs.host_key(NAME, node)),
        }
        for node, user in (("vim4", "khadas"), ("pi1", "pi"))
    }
    place = home.file.with_name("answers.yaml")
    place.write_text(json.dumps(answers))
    place.chmod(0o600)
    home.wulfling("adopt", "--answers", str(place))
    home.wulfling("apply", "-y")
    assert home.wulfling("plan") == "0 changes on 2 nodes\n"


def test_0_16_0_24_compilers_and_mpi_are_there(home: Cluster) -> None:
    for tool in ("gcc", "make", "g++", "gfortran", "git", "cmake", "mpicc", "mpirun"):
        assert home.on("vim4", f"command -v {tool}").strip(), tool


def test_0_18_0_23_every_board_has_the_shared_folder(home: Cluster) -> None:
    """As if it were its own disk; exported to the boards alone, and root is squashed (S1, S2)."""
    home.on("vim4", "install -d -o kim -g kim -m 700 /cluster/shared/kim")
    home.on("vim4", "echo seen >/cluster/shared/kim/note", person="kim")
    assert home.on("pi1", "cat /cluster/shared/kim/note", person="kim") == "seen\n"
    assert "nfs4" in home.on("pi1", "findmnt -n -o FSTYPE /cluster/shared | tail -1")
    exports = home.on("vim4", "exportfs -v")
    assert "root_squash" in exports and "no_root_squash" not in exports and "*" not in exports
    home.on("pi1", "! touch /cluster/shared/of-root 2>/dev/null")


def test_0_05_0_07_0_11_the_laptop_comes_in_after_add_device_alone(
    home: Cluster, cafe: Cluster
) -> None:
    """Without a monitor, without an account elsewhere, with one UDP port that answers nobody."""
    assert not comes_in(cafe)
    place = home.file.with_name("laptop.conf")
    home.wulfling("remote", "add-device", "laptop", "--endpoint", ROUTER, "--out", str(place))
    cafe.on("laptop", CONNECT.replace("CONFIG", place.read_text()))
    for _ in within(120, "the laptop comes in"):
        if comes_in(cafe):
            break
    (device,) = json.loads(home.wulfling("remote", "list", "-o", "json"))
    assert device["address"] == "10.88.0.2" and device["last_seen"]


def test_0_05_a_job_from_elsewhere_by_sbatch(cafe: Cluster) -> None:
    """Compiled on the head, run on the other board, and its result read in the cafe."""
    script, source = (base64.b64encode(text.encode()).decode() for text in (JOB, RANKS))
    at_home(
        cafe,
        f"mkdir -p wave && cd wave && base64 -d <<<{script} >job.sh && base64 -d <<<{source} >r.c"
        " && mpicc -o ranks r.c",
    )
    job = at_home(cafe, "cd wave && sbatch --parsable job.sh").strip()
    assert ended(cafe, job) == "COMPLETED"
    assert at_home(cafe, "cat /cluster/shared/kim/out.txt") == "pi1\n2 ranks\n"


def test_0_05_a_job_from_elsewhere_by_wulfling_submit(home: Cluster, cafe: Cluster) -> None:
    """The folder goes there and the result comes back; the laptop has the cluster's file, a copy of
    this program, and kim's own key, and none of the admin's."""
    put(cafe, "laptop", site_packages(), "/opt/wulfling")
    text = home.file.read_text().replace("boards: virtual\n", "").replace("key.pub", KEY_THERE)
    kim(cafe, f"cat >cluster.yaml <<'EOF'\n{text}\nEOF\n")
    kim(cafe, f"{SSH.format(HEAD)} true")  # whose key is compared with what a person was told
    kim(cafe, f"mkdir -p sum; printf '{SUM}' >sum/job.sh")
    own = "PYTHONPATH=/opt/wulfling python3 -m wulfling -f cluster.yaml"
    job = kim(cafe, f"{own} submit --folder sum --mem=32 job.sh").strip()
    assert ended(cafe, job) == "COMPLETED"
    kim(cafe, f"{own} fetch {job}")
    assert kim(cafe, "cat sum/job-*/result") == "pi1 5050\n"


def test_0_12_after_a_power_cut_of_everything_nobody_types_anything(
    home: Cluster, cafe: Cluster
) -> None:
    for boards, node in ((home, "vim4"), (home, "pi1"), (cafe, "laptop")):
        boards.wulfling("lab", "cut", node)
    home.wulfling("lab", "up")
    cafe.wulfling("lab", "up")
    for _ in within(240, "the laptop comes in"):
        if comes_in(cafe):
            break
    for _ in within(180, "sbatch"):
        job = at_home(cafe, "cd wave && sbatch --parsable job.sh || :").strip()
        if job.isdigit():
            break
    assert ended(cafe, job) == "COMPLETED"
    assert at_home(cafe, "cat /cluster/shared/kim/out.txt") == "pi1\n2 ranks\n"
    assert home.wulfling("plan") == "0 changes on 2 nodes\n"


def test_0_13_0_14_the_desktop_from_elsewhere(home: Cluster, cafe: Cluster) -> None:
    """By a client of RDP through the tunnel, by a password that kim made and that opens nothing
    else; nobody reaches the port from the network of the boards, or from the internet."""
    assert kim(cafe, KNOCK.format(TUNNEL)) == "closed\n"
    with home.file.open("a") as file:
        file.write("desktop: true\n")
    home.wulfling("apply", "-y")
    cafe.on("laptop", CLIENT)
    listening = home.on("vim4", "ss -Htln 'sport = 3389 or sport = 3350' | awk '{print $4}'")
    assert set(listening.split()) == {"127.0.0.1:3389", f"{TUNNEL}:3389", "[::1]:3350"}
    assert home.on("pi1", KNOCK.format(HEAD)) == "closed\n"
    assert kim(cafe, KNOCK.format(HEAD)) == "closed\n", "the address at home"
    assert kim(cafe, KNOCK.format(ROUTER)) == "closed\n"
    assert kim(cafe, KNOCK.format(TUNNEL)) == "open\n"
    told = dict(line.split() for line in at_home(cafe, "desktop-password").splitlines())
    assert told["name"] == "kim"
    sees(home, cafe, "wrong-wrong-wrong-wrong", told["sha256"], desktop=False)
    sees(home, cafe, told["password"], told["sha256"], desktop=True)
    said = home.on("vim4", "journalctl; cat /var/log/xrdp*.log; ps -e -o args")
    assert told["password"] not in said
    assert home.on("vim4", "getent shadow kim | cut -d: -f2").strip() in ("!", "*", "!*")


def test_0_15_the_desktop_is_there_after_each_boot(home: Cluster, cafe: Cluster) -> None:
    home.wulfling("lab", "cut", "vim4")
    home.wulfling("lab", "up")
    for _ in within(300, "the desktop"):
        if kim(cafe, KNOCK.format(TUNNEL)) == "open\n":
            break
    assert home.on("pi1", KNOCK.format(HEAD)) == "closed\n"
    assert home.wulfling("plan") == "0 changes on 2 nodes\n"


def test_a_desktop_that_nobody_wants_any_more_stays_away(home: Cluster) -> None:
    """Also after a boot, at which its session manager used to bring it back for all addresses."""
    text = home.file.read_text()
    home.file.write_text(text.replace("desktop: true\n", ""))
    home.wulfling("apply", "-y")
    home.wulfling("lab", "cut", "vim4")
    home.wulfling("lab", "up")
    home.on("vim4", "systemctl is-system-running --wait || :")
    assert home.on("vim4", "ss -Htln 'sport = 3389 or sport = 3350'") == ""
    assert home.wulfling("plan") == "0 changes on 2 nodes\n"


def test_0_05_and_not_after_revoke(home: Cluster, cafe: Cluster) -> None:
    home.wulfling("remote", "remove-device", "laptop")
    assert not comes_in(cafe)
    assert kim(cafe, KNOCK.format(TUNNEL)) == "closed\n"


def sees(home: Cluster, cafe: Cluster, password: str, fingerprint: str, *, desktop: bool) -> None:
    """Whether kim's client gets a session with this password."""
    kim(cafe, f"(umask 077; echo '{password}' >password)")
    client = RDP.format(address=TUNNEL, print=fingerprint)
    running = "pgrep -u kim -x xfce4-panel >/dev/null && echo running || echo none"
    kim(cafe, client)
    try:
        for _ in range(90 if desktop else 10):
            if home.on("vim4", running) == "running\n":
                break
            time.sleep(2)
        assert (home.on("vim4", running) == "running\n") == desktop, kim(cafe, "cat rdp.log")
    finally:
        kim(cafe, "pkill -u kim xfreerdp || :; rm -f password")


def site_packages() -> bytes:
    """This program and what it imports, as a tar: what pip would put on the laptop."""
    names, found = ["wulfling"], set()
    while names:
        name = names.pop()
        if name.lower() in found:
            continue
        with suppress(PackageNotFoundError):  # for another Python than this
            wanted = [line for line in requires(name) or () if "extra ==" not in line]
            names += [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in wanted]
            found.add(name.lower())
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as archive:
        archive.add(Path(wulfling.__file__).parent, "wulfling")
        for name in sorted(found - {"wulfling"}):
            base = distribution(name)
            for file in base.files or ():
                if ".." not in file.parts and "__pycache__" not in file.parts:
                    archive.add(str(base.locate_file(file)), str(file), recursive=False)
    return made.getvalue()


def put(cluster: Cluster, node: str, packed: bytes, folder: str) -> None:
    """Unpack a tar on a board."""
    words = (sys.executable, "-m", "wulfling", "-f", str(cluster.file), "node", "shell", node, "--")
    unpack = f"mkdir -p {folder} && tar -xz --no-same-owner -C {folder}"
    subprocess.run([*words, "sudo", "sh", "-c", unpack], input=packed, check=True)
