# SPDX-License-Identifier: MIT
"""Modules of the standard library, imported before the snapshot and handed out when asked for.

Importing json, re or pathlib is most of the work of a small program. So the launcher imports what
programs often use, takes it all out of sys.modules again, and gives a module back, as it was right after
its import, the first time a program imports it. The program finds in sys.modules just what it would find
natively, and a file of its own that has a library module's name is still found first.
"""
import sys
import _imp
import _frozen_importlib as bootstrap
import _frozen_importlib_external as external
import builtins

# What is left out: modules that act when imported, that keep state of the process or the environment,
# or that are rare or large (all of these take 10 MiB of the snapshot).
NAMES = """
    types operator keyword reprlib collections collections.abc functools itertools enum re copyreg copy
    json datetime _strptime calendar pathlib fnmatch urllib.parse ipaddress hashlib hmac math cmath
    bisect heapq random statistics fractions decimal numbers string textwrap typing dataclasses inspect
    dis ast tokenize linecache traceback contextlib struct base64 binascii array csv argparse gettext
    shutil tempfile glob subprocess signal threading queue logging warnings weakref importlib
    importlib.util importlib.machinery runpy pkgutil uuid secrets pprint socket selectors platform
    timeit pickle zlib gzip graphlib difflib shlex contextvars asyncio concurrent.futures io time errno
    atexit gc unicodedata
""".split()

modules = {}  # name: module, waiting to be handed out
known = {}    # the same, never taken from
specs = {}    # name: the module's own __spec__
edges = {}    # name: names its import brings, in order
stdlib = None # the library's entry of sys.path
stems = {}    # FileFinder: (time of its listing, module names in it)
stash_globals = globals()


def note(importer, names):
    seen = edges.setdefault(importer, {})
    for name in names:
        if name in sys.modules:
            seen[name] = None


def trace(original):
    """A builtins.__import__ that notes in edges who imports what.

    Who, that is the module whose body is running: an import inside a function belongs to the module
    whose import calls the function.
    """

    def traced(name, globals=None, locals=None, fromlist=(), level=0):
        frame = sys._getframe(1)
        while frame.f_code.co_name != "<module>" or frame.f_globals is stash_globals:
            frame = frame.f_back
            if frame is None or frame.f_globals is stash_globals:
                return original(name, globals, locals, fromlist, level)
        before = set(sys.modules)
        try:
            return original(name, globals, locals, fromlist, level)
        finally:  # also after a failure: what it brought is there to stay
            target = name
            if level:
                package = globals.get("__package__") or globals["__name__"]
                target = package.rsplit(".", level - 1)[0] + ("." + name if name else "")
            parts = target.split(".")
            names = [".".join(parts[: i + 1]) for i in range(len(parts))]
            names += [n for n in sys.modules if n not in before]
            names += [target + "." + item for item in fromlist or ()]
            note(frame.f_globals["__name__"], names)

    return traced


def closure(name, found=None, begun=None):
    """All that importing name brings, in the order in which the imports end: itself last."""
    found, begun = ({}, set()) if found is None else (found, begun)
    if name not in begun:
        begun.add(name)
        parent = name.rpartition(".")[0]
        if parent:
            closure(parent, found, begun)
        for other in edges.get(name, ()):
            closure(other, found, begun)
        found[name] = None
    return found


def fill():
    global stdlib
    before = dict(sys.modules)
    stdlib = external.__spec__ and sys._stdlib_dir
    original = builtins.__import__
    builtins.__import__ = trace(original)
    try:
        for name in NAMES:
            try:
                builtins.__import__(name, {})
            except ImportError:
                pass  # not in this library
    finally:
        builtins.__import__ = original
    for name, module in list(sys.modules.items()):
        if name not in before:
            spec = getattr(module, "__spec__", None)
            if "." in name and getattr(spec, "name", None) != name:
                note(name.rpartition(".")[0], [name])  # put there by hand, as typing.io is
    for name, module in list(sys.modules.items()):
        if name not in before:
            modules[name] = module
            specs[name] = getattr(module, "__spec__", None)
            del sys.modules[name]
    known.update(modules)
    note_in_c = {"_elementtree": ["copy"]}  # imports from C, of what was there already
    for importer, names in note_in_c.items():
        edges.setdefault(importer, {}).update(dict.fromkeys(names))
    for name in edges:
        for other in [o for o in edges[name] if o not in known]:
            del edges[name][other]
    if "logging" in known:  # its atexit callback belongs where the program's import stands
        known["atexit"].unregister(known["logging"].shutdown)
    # A submodule is an attribute of its package once it has been imported, not before.
    for name in known:
        parent, _, child = name.rpartition(".")
        owner = known.get(parent) or before.get(parent)
        if owner is not None and getattr(owner, child, None) is known[name] and name not in closure(parent):
            delattr(owner, child)
    original_find_spec = bootstrap.BuiltinImporter.find_spec
    importing = bootstrap._find_and_load_unlocked.__code__

    def find_spec(cls, fullname, path=None, target=None):
        # Only for an import: who asks for the specification shall see the library's own.
        if fullname in modules and sys._getframe(2).f_code is importing and allowed(fullname):
            return bootstrap.ModuleSpec(fullname, Loader)
        return original_find_spec(fullname, path, target)

    bootstrap.BuiltinImporter.find_spec = classmethod(find_spec)
    # Debuggers leave out importlib by its frames' module, whose name changes when importlib is imported.
    globals()["__name__"] = bootstrap.__name__


def listing(finder, name):
    """The names of modules in a FileFinder's directory; up to date, for one stat()."""
    if finder.find_spec(name) is not None:
        return {name}
    entry = stems.get(finder)
    if entry is None or entry[0] != finder._path_mtime:
        entry = stems[finder] = finder._path_mtime, {e.partition(".")[0] for e in finder._path_cache}
    return entry[1]


def allowed(fullname):
    """Would the library's own module be found, for this name and all that it imports?"""
    wanted = set()
    for name in closure(fullname):
        present = sys.modules.get(name)
        if present is None and name in sys.modules:  # the program forbids its import
            return False
        if present is not None:
            if name != fullname and present is not known.get(name, present):  # not known: there from the start
                return False
        elif name not in modules:
            return False
        elif "." not in name and not _imp.is_builtin(name) and not _imp.is_frozen(name):
            wanted.add(name)
    if not wanted:
        return True
    first = fullname if fullname in wanted else next(iter(wanted))
    for entry in sys.path:
        if entry == stdlib:
            return True
        finder = external.PathFinder._path_importer_cache(entry) if isinstance(entry, str) else None
        if finder is None:
            continue
        if type(finder) is not external.FileFinder or not wanted.isdisjoint(listing(finder, first)):
            return False
    return False


def place(name):
    """Takes a module out of the stash, with what it would have done had it been imported just now."""
    module = sys.modules[name] = modules.pop(name)
    if name == "random":
        module.seed()
    elif name == "warnings":
        if sys.warnoptions:
            module._processoptions(sys.warnoptions)
    elif name == "logging":
        module._startTime = known["time"].time() if "time" in known else sys.modules["time"].time()
        known["atexit"].register(module.shutdown)
    return module


class Loader:
    """Loads a module by giving it back."""

    @staticmethod
    def create_module(spec):
        return modules[spec.name]

    @staticmethod
    def exec_module(module):
        name = module.__spec__.name
        module.__spec__ = specs[name]
        for other in closure(name):
            if other in modules:
                placed = place(other)
                parent, _, child = other.rpartition(".")
                if parent in sys.modules and other != name:
                    setattr(sys.modules[parent], child, placed)


fill()
