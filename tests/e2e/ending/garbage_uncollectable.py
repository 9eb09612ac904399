import gc
import warnings


class Left:
    def __repr__(self):
        return "<left>"


warnings.simplefilter("always")
gc.garbage.append(Left())
gc.set_debug(gc.DEBUG_UNCOLLECTABLE)
