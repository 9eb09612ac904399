# SPDX-License-Identifier: MIT
import no_such_module_anywhere
