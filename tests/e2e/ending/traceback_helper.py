# SPDX-License-Identifier: MIT
import helper_raises
helper_raises.go()
