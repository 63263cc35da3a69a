"""How much memory this process has had at most."""


def peak_bytes():
    """Largest resident size so far, bytes (Linux).

    Not `getrusage`: a child's maximum begins there with what its parent had when it was started.
    """
    with open("/proc/self/status", encoding="ascii") as status:
        (line,) = [line for line in status if line.startswith("VmHWM:")]
    return 1024 * int(line.split()[1])
