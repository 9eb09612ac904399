# SPDX-License-Identifier: MIT
import sys
class Noisy:
    def __del__(self):
        print("finalizing:", sys.is_finalizing(), "modules:", len(sys.modules) if sys.modules else None,
              sys.path, sys.argv, sys.meta_path)
thing = Noisy()
