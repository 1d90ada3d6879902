"""Memory that the C library holds."""

from __future__ import annotations


def release_free_memory() -> None:
    """Returns free memory to the operating system.

    glibc keeps what Python frees for later allocations, after loading a tenth of the whole. Other C libraries return
    memory by themselves.
    """
    import ctypes  # noqa: PLC0415  # slow to import

    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
