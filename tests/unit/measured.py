"""A board as it is measured, for tests that need one: change what matters with ``replace``."""

from wulfling.model.cluster import Hardware

PI = Hardware(
    arch="arm64",
    cores=4,
    threads_per_core=1,
    memory_mb=3792,
    swap_mb=0,
    os_id="debian",
    os_version="12",
    os_codename="bookworm",
    kernel="6.1.0",
    python="3.11.2",
    model="Raspberry Pi 4 Model B Rev 1.4",
    cgroup_controllers=("cpuset", "cpu", "memory"),
    cmdline_file="",
    machine_id="0" * 32,
    host_keys=("ssh-ed25519 AAAA",),
)
