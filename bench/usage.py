"""What a process costs, by /proc."""

import pathlib
import resource
import time


def cpu_seconds(pid: int) -> float:
    """CPU time of a process with all threads it ever had: its CPU clock, whose number clock_getcpuclockid(3) makes so."""
    return time.clock_gettime((~pid << 3) | 2)


def cpu_seconds_of_ended() -> float:
    """CPU time of all processes that we started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident_megabytes(pid: int) -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no VmRSS")


def cpu_percent(pid: int, seconds: float) -> float:
    """Of one processor, over the next so many seconds."""
    before, at = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_seconds(pid) - before) / (time.monotonic() - at)
