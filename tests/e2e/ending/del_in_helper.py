# SPDX-License-Identifier: MIT
# __del__ of a global of a module imported since the start. (Between objects of two modules the
# order is the collector's and not promised.)
import helper_del
