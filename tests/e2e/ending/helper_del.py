# SPDX-License-Identifier: MIT
class Noisy:
    def __del__(self):
        print("del helper, module alive:", Noisy is not None)
thing = Noisy()
