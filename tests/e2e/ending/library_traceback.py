# SPDX-License-Identifier: MIT
# The library's own lines are shown, and no frame of the import machinery's.
import statistics
statistics.mean([])
