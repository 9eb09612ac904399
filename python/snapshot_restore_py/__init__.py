# SPDX-License-Identifier: MIT
"""Hooks around a snapshot.

Code that runs before the snapshot is taken may register functions to be called right before it is
taken, last registered first, and in every sandbox right after it has been restored, in the order of
registration. The names are those of AWS Lambda's library of the same name.
"""

__all__ = ["register_before_snapshot", "register_after_restore",
           "get_before_snapshot", "get_after_restore"]

_before_snapshot = []
_after_restore = []


def register_before_snapshot(func, *args, **kwargs):
    """Call func(*args, **kwargs) before the snapshot. Returns func, so it serves as a decorator."""
    if not callable(func):
        raise TypeError("func must be callable")
    _before_snapshot.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """Call func(*args, **kwargs) after each restore. Returns func, so it serves as a decorator."""
    if not callable(func):
        raise TypeError("func must be callable")
    _after_restore.append((func, args, kwargs))
    return func


def get_before_snapshot():
    """The (func, args, kwargs) registered, in the order of registration."""
    return list(_before_snapshot)


def get_after_restore():
    """The (func, args, kwargs) registered, in the order of registration."""
    return list(_after_restore)


def _run_before_snapshot():
    for func, args, kwargs in reversed(_before_snapshot):
        func(*args, **kwargs)


def _run_after_restore():
    for func, args, kwargs in _after_restore:
        func(*args, **kwargs)
